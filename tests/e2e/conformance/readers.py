"""Readers of HTTP that have nothing to do with wharf's, from strict to lax.

Each says where the messages in some bytes begin and end. What they agree about cannot be smuggled
past any of them."""

import http.client
import io
import re
import subprocess
from typing import NamedTuple

import h11

from wharf_harness import BUILD, SECONDS

LLHTTP = BUILD / "tests" / "fuzz" / "llhttp_reader"
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


class Malformed(Exception):
    pass


class Message(NamedTuple):
    method: str
    target: str
    fields: tuple  # of (name in lower case, value)
    body: bytes
    end: int  # the offset behind its last byte

    def values(self, name):
        return [v for n, v in self.fields if n == name]

    @property
    def place(self):
        return self.method, self.target, self.end


def strict_body(data, at, fields):
    """(body, end), or None where bytes are missing."""
    codings = [v for n, v in fields if n == "transfer-encoding"]
    lengths = [v for n, v in fields if n == "content-length"]
    if codings:
        if lengths or codings != ["chunked"]:
            raise Malformed(f"framing: {fields}")
        body = b""
        while line := re.compile(rb"([0-9a-f]{1,15})\r\n").match(data, at):
            size, at = int(line[1], 16), line.end()
            if len(data) < at + size + 2:
                return None
            if data[at + size:at + size + 2] != b"\r\n":
                raise Malformed("a chunk without its end")
            body, at = body + data[at:at + size], at + size + 2
            if size == 0:
                return body, at
        if b"\r\n" in data[at:]:
            raise Malformed(f"chunk size {data[at:at + 20]!r}")
        return None
    if len(lengths) > 1 or (lengths and not re.fullmatch("[0-9]+", lengths[0])):
        raise Malformed(f"lengths {lengths}")
    size = int(lengths[0]) if lengths else 0
    return (data[at:at + size], at + size) if len(data) >= at + size else None


def strict_one(data, start):
    """The message that begins there, by RFC 9112 to the letter; None where bytes are missing."""
    end = data.find(b"\r\n\r\n", start)
    if end < 0:
        return None
    line, *lines = data[start:end].split(b"\r\n")
    first = re.fullmatch(rb"(" + TOKEN + rb") ([!-~]+) HTTP/1\.1", line)
    if not first or b"#" in first[2]:
        raise Malformed(f"request line {line!r}")
    fields = []
    for line in lines:
        field = re.fullmatch(rb"(" + TOKEN + rb"):[ \t]*([\t -~\x80-\xff]*?)[ \t]*", line)
        if not field:
            raise Malformed(f"field {line!r}")
        fields.append((field[1].decode().lower(), field[2].decode("latin-1")))
    if len([1 for n, _ in fields if n == "host"]) != 1:
        raise Malformed(f"Host: {fields}")
    body = strict_body(data, end + 4, fields)
    return body and Message(first[1].decode(), first[2].decode(), tuple(fields), *body)


def strict(data):
    """(messages, where the last one ends)"""
    messages, at = [], 0
    while at < len(data) and (one := strict_one(data, at)):
        messages.append(one)
        at = one.end
    return messages, at


def lax(data):
    """As http.server and what is built on it: lines end in LF, names and values as they come."""
    places, file = [], io.BytesIO(data)
    while line := file.readline():
        method, target, _ = line.decode("latin-1").split()
        fields = http.client.parse_headers(file)
        if "chunked" in fields.get("Transfer-Encoding", "").lower():
            while size := int(file.readline().split(b";")[0], 16):
                file.read(size)
                file.readline()
            while file.readline().strip():
                pass
        else:
            file.read(int(fields.get("Content-Length", 0)))
        places.append((method, target, file.tell()))
    return places


def through_h11(data):
    """As uvicorn reads it, and with it most servers of models that are written in Python."""
    places, at = [], 0
    while at < len(data):
        reader = h11.Connection(h11.SERVER)
        reader.receive_data(data[at:])
        request = reader.next_event()
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, "h11 waits for more"
        at = len(data) - len(reader.trailing_data[0])
        places.append((request.method.decode(), request.target.decode(), at))
    return places


class Llhttp:
    """As Node.js reads it. A process of the build's own; absent where there is no llhttp."""

    def __init__(self):
        self.process = LLHTTP.exists() and subprocess.Popen(
            [str(LLHTTP)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, data):
        self.process.stdin.write(data.hex() + "\n")
        self.process.stdin.flush()
        *messages, state = self.process.stdout.readline().rstrip("\n").split("\t")
        assert state == "ok", f"llhttp: {state}, behind {messages}"
        return [(m, t, int(end)) for m, t, end in (text.split(" ") for text in messages)]

    def close(self):
        if self.process:
            self.process.stdin.close()
            assert self.process.wait(SECONDS) == 0


# What llhttp has a table of; any other token is no method to it (RFC 9110, section 9.1, allows it).
LLHTTP_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"}


def agree(data, llhttp):
    """The messages in data, which end with its last byte; fails where any two readers differ."""
    messages, end = strict(data)
    assert end == len(data), f"no whole request: {data[end:]!r}"
    places = [m.place for m in messages]
    readers = {"http.server": lax, "h11": through_h11}
    if llhttp.process and all(m.method in LLHTTP_METHODS for m in messages):
        readers["llhttp"] = llhttp
    for name, read in readers.items():
        got = read(data)
        assert got == places, f"{name} reads {got}, a strict reader {places}, of {data!r}"
    return messages


# ---------------------------------------------------------------- answers


def answers_of_h11(data, methods):
    """[(status, body)] as a client of h11's, such as httpx, reads answers to those methods."""
    found, at = [], 0
    for method in methods:
        reader = h11.Connection(h11.CLIENT)
        reader.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        reader.send(h11.EndOfMessage())
        reader.receive_data(data[at:])
        body, status = b"", None
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, "h11 waits for more"
            status = event.status_code if isinstance(event, h11.Response) else status
            body += event.data if isinstance(event, h11.Data) else b""
        found.append((status, bytes(body)))
        at = len(data) - len(reader.trailing_data[0])
    assert at == len(data), f"h11 sees more than the answers: {data[at:]!r}"
    return found


class Bytes:
    """A socket, as far as http.client looks."""

    def __init__(self, data):
        self.file = io.BytesIO(data)

    def makefile(self, _):
        return Unclosed(self.file)


class Unclosed(io.BufferedIOBase):
    def __init__(self, file):
        self.file = file

    def read(self, n=-1):
        return self.file.read(n)

    def readline(self, n=-1):
        return self.file.readline(n)

    def readinto(self, into):
        return self.file.readinto(into)


def answers_of_http_client(data, methods):
    sock, found = Bytes(data), []
    for method in methods:
        answer = http.client.HTTPResponse(sock, method=method)
        answer.begin()
        found.append((answer.status, answer.read()))
    rest = sock.file.read()
    assert not rest, f"http.client sees more than the answers: {rest!r}"
    return found
