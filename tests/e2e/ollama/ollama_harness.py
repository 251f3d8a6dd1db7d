"""A scripted model's server behind Ollama's API, and how its answers are read."""

import json
import threading

from wharf_harness import serve_requests


def sse(*events, done=True):
    texts = [e if isinstance(e, str) else json.dumps(e) for e in events]
    return "".join(f"data: {t}\n\n" for t in texts + ["[DONE]"] * done).encode()


def framed(body, status, kind, sizes):
    """A whole answer, to be sent at once: wharf takes what is in it chunk by chunk all the same."""
    out = f"HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    sizes = iter(sizes)
    size = next(sizes)
    while body:
        piece, body = body[:size], body[size:]
        out += b"%x\r\n%b\r\n" % (len(piece), piece)
        size = next(sizes, size)
    return out + b"0\r\n\r\n"


class Scripted:
    """A model's server that keeps what reaches it, and answers `body` to all of it."""

    def __init__(self, upstream):
        self.requests, self.lock = [], threading.Lock()
        self.body, self.status, self.kind = b"{}", 200, "application/json"
        self.sizes = None
        self.server = upstream(serve_requests(self._answer))

    def _answer(self, peer, line, headers, body):
        with self.lock:
            self.requests.append((line, headers, body))
        if self.sizes is None:
            peer.answer(self.body, self.status, self.kind)
        else:
            peer.send(framed(self.body, self.status, self.kind, self.sizes))

    def says(self, body, status=200, kind="application/json", sizes=None):
        """sizes: of the chunks that it comes in, the last of them repeated; None: in one piece."""
        body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        self.body = body.encode() if isinstance(body, str) else body
        self.status, self.kind, self.sizes = status, kind, sizes

    def streams(self, *events, sizes=None, done=True):
        self.says(sse(*events, done=done), kind="text/event-stream", sizes=sizes)

    def last(self):
        """(path, body) of the last request."""
        with self.lock:
            line, headers, body = self.requests[-1]
        method, path, _ = line.split(" ")
        assert method == "POST" and headers["content-type"] == "application/json"
        assert headers["accept-encoding"] == "identity"
        return path, json.loads(body)


def lines(answer):
    """The objects of an answer that came line by line."""
    assert answer.complete and answer.header("content-type") == "application/x-ndjson", answer.headers
    text = answer.body.decode()
    assert text.endswith("\n")
    return [json.loads(line) for line in text[:-1].split("\n")]
