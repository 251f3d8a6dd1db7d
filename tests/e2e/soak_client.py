"""HTTP for the soak's load, on asyncio: many clients on one thread, each with connections of its own.

    async with Client(address, key) as c:
        answer = await c.ask("POST", "/v1/chat/completions", body)     # whole; .complete, .status, .body
        answer = await c.begin("POST", path, body)                     # its head; then:
        async for piece in c.pieces(answer): ...

Reads are strict, as those of wharf_harness.Connection, whose Answer this gives. What ends before its
framing says so is an answer that is not complete; where not even a head has come, it is Lost."""

import asyncio
import base64
import contextlib
import json
import os
import re
import struct

from wharf_harness import Answer

READ_BYTES = 65536


class Lost(ConnectionError):
    """The connection ended where a head was to come."""


class Client:
    def __init__(self, address, key=None, read_bytes=READ_BYTES):
        self.address, self.key, self.read_bytes = address, key, read_bytes
        self.reader = self.writer = None

    async def __aenter__(self):
        await self.connect()
        return self

    async def __aexit__(self, *_):
        self.close()

    async def connect(self):
        if isinstance(self.address, str):
            self.reader, self.writer = await asyncio.open_unix_connection(self.address, limit=self.read_bytes)
        else:
            self.reader, self.writer = await asyncio.open_connection(*self.address, limit=self.read_bytes)

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None

    def reset(self):
        """Gone without a word, as a machine that loses power."""
        if self.writer:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def begin(self, method, path, body=None, headers=None):
        """Asks; the answer's head."""
        await self.send(method, path, body, headers)
        return await self.head()

    async def send(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if body is not None:
            headers.setdefault("Content-Length", str(len(body)))
        if self.key:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{n}: {v}" for n, v in headers.items())]
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
        with contextlib.suppress(ConnectionError):  # what came before it may be an answer
            await self.writer.drain()

    async def head(self):
        while True:
            try:
                text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except (asyncio.IncompleteReadError, ConnectionError) as e:
                raise Lost(str(e)) from None
            first, *lines = text[:-4].split("\r\n")
            match = re.fullmatch(r"(HTTP/1\.[01]) (\d{3}) ?(.*)", first)
            assert match, f"no status line: {first!r}"
            if match[2] != "100" and match[2] != "102":
                headers = [(n, v.strip(" \t")) for n, _, v in (line.partition(":") for line in lines)]
                return Answer(int(match[2]), match[3], headers, match[1])

    async def pieces(self, answer, method="GET"):
        """The body as it comes; sets answer.complete at the end that its framing names."""
        length, coding = answer.header("Content-Length"), answer.header("Transfer-Encoding")
        assert not (length and coding), f"two framings: {answer.headers}"
        try:
            if method == "HEAD" or answer.status in (204, 304):
                pass
            elif coding:
                async for piece in self.chunks():
                    yield piece
            else:
                assert length is not None, f"no framing: {answer.headers}"
                left = int(length)
                while left:
                    piece = await self.some(left)
                    left -= len(piece)
                    yield piece
            answer.complete = True
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def some(self, most):
        piece = await self.reader.read(min(most, self.read_bytes))
        if not piece:
            raise Lost("the connection ended in a body")
        return piece

    async def chunks(self):
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            while size:
                piece = await self.some(size)
                size -= len(piece)
                yield piece
            assert await self.reader.readexactly(2) == b"\r\n", "a chunk does not end where it should"
        while await self.reader.readuntil(b"\r\n") != b"\r\n":
            pass

    async def rest(self, answer, method="GET"):
        answer.body = b"".join([piece async for piece in self.pieces(answer, method)])
        return answer

    async def ask(self, method, path, body=None, headers=None):
        return await self.rest(await self.begin(method, path, body, headers), method)


async def once(address, method, path, body=None, headers=None, key=None):
    """On a connection of its own."""
    async with Client(address, key) as c:
        return await c.ask(method, path, body, headers)


# ---------------------------------------------------------------- WebSockets (RFC 6455)

BINARY, CLOSE = 2, 8


def upgrade_headers():
    return {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode()}


def frame(payload, opcode=BINARY):
    """A client's, whose mask changes nothing."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


async def read_frame(reader):
    _, size = await reader.readexactly(2)
    if size == 126:
        size, = struct.unpack(">H", await reader.readexactly(2))
    return await reader.readexactly(size)
