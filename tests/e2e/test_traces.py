"""Traces (W3C Trace Context): what comes is passed on as it is and told with the request; what does not come is
made only where the configuration says so."""

import json
import re

import pytest

from wharf_harness import chat_body, serve_requests, until

ID = "0af7651916cd43dd8448eb211c80319c"
VALID = f"00-{ID}-b7ad6b7169203331-01"


class Asked:
    """A model's server that keeps the fields of what it is asked, and answers."""

    def __init__(self, upstream):
        self.fields = []
        self.server = upstream(serve_requests(self.serve))

    def serve(self, peer, line, headers, body):
        if line.startswith("POST"):
            self.fields.append({k: v for k, v in headers.items() if k in ("traceparent", "tracestate")})
        peer.answer(b'{"choices":[]}')


def joined(fields):
    """As the scripted server reads them."""
    found = {}
    for name, value in fields:
        name = name.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def kept(d):
    return d.ok(d.get("/wharf/history/requests")).json()["requests"][0]["trace"]


def ask(d, *fields, status=200):
    c = d.connect()
    body = json.dumps(chat_body("m")).encode()
    head = "".join(f"{k}: {v}\r\n" for k, v in fields)
    c.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body)
    answer = c.answer()
    assert answer.status == status, answer
    c.close()
    return answer


@pytest.mark.slice
def test_what_comes(wharf, upstream):
    asked = Asked(upstream)
    d = wharf({"models": {"m": asked.server.model()}})
    for fields, trace in [
            ([("TraceParent", VALID), ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")], ID),
            ([("traceparent", f"cc-{ID}-b7ad6b7169203331-01-later")], ID),
            ([("traceparent", "00-xyz"), ("tracestate", "a=1")], None),
            ([("traceparent", VALID.upper())], None),
            ([("traceparent", VALID), ("traceparent", VALID)], None),
            ([], None)]:
        answer = ask(d, *fields)
        assert asked.fields[-1] == joined(fields), "passed on as it came"
        assert kept(d) == trace and answer.header("traceresponse") is None


def test_what_is_made(wharf, upstream):
    asked = Asked(upstream)
    d = wharf({"models": {"m": asked.server.model()}, "traceparent": True})
    first, second = ask(d).header("traceresponse"), ask(d).header("traceresponse")
    for at, made in ((0, first), (1, second)):
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)
        assert asked.fields[at] == {"traceparent": made}
    assert first != second and kept(d) == second.split("-")[1]
    # Whoever has begun one is not talked over, even where it is none.
    for value, trace in ((VALID, ID), ("none", None)):
        assert ask(d, ("traceparent", value)).header("traceresponse") is None
        assert asked.fields[-1] == {"traceparent": value} and kept(d) == trace
    # Who is refused is told too: it is kept.
    d.reload({"models": {"m": {"cmd": "false", "proxy": "http://127.0.0.1:1"}}, "traceparent": True})
    refused = ask(d, status=502)
    assert kept(d) == refused.header("traceresponse").split("-")[1]


def test_in_flight(wharf, upstream):
    d = wharf({"models": {"m": upstream(serve_requests(
        lambda peer, line, *_: None if line.startswith("POST") else peer.answer())).model()}})
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m"), {"traceparent": VALID})
    found = until(lambda: d.ok(d.get("/api/inflight")).json()["requests"], "the request to be in flight")
    assert [r["trace"] for r in found] == [ID]
    c.close()
