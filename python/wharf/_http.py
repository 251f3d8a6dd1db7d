"""HTTP to the daemon over TCP or a unix socket: plain by http.client, and for event loops.

An answer is read whole, or line by line while it lasts (leases, workers, events)."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import stat
import urllib.parse
from typing import Any, AsyncIterator, Dict, Iterator, NamedTuple, Optional

from ._errors import DaemonError, Unreachable

_HEAD_BYTES_MAX = 64 * 1024
_LINE_BYTES_MAX = 4 * 1024 * 1024


class Address(NamedTuple):
    """Where a daemon is."""

    socket_path: Optional[str]
    host: str
    port: int
    base: str  # stands before every path

    def __str__(self) -> str:
        return f"unix:{self.socket_path}" if self.socket_path else f"http://{self.netloc}{self.base}"

    @property
    def netloc(self) -> str:
        """As the field Host says it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return "localhost" if self.socket_path else f"{host}:{self.port}"


def parse(url: str) -> Address:
    """The address that "http://HOST:PORT" or "unix:/PATH" names."""
    if url.startswith("unix:"):
        path = url[len("unix:"):]
        if not path.startswith("/"):
            raise ValueError(f"{path!r} is not the absolute path of a socket")
        return Address(path, "localhost", 0, "")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url!r} is no address: http://HOST:PORT or unix:/PATH is")
    return Address(None, parts.hostname, parts.port or 80, parts.path.rstrip("/"))


def default_address() -> Address:
    """As the command line finds it: $WHARF_URL, the system's socket, the user's, port 8080."""
    if os.environ.get("WHARF_URL"):
        return parse(os.environ["WHARF_URL"])
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for path in ("/run/wharf/wharf.sock", f"{runtime}/wharf/wharf.sock" if runtime else ""):
        try:
            if path and stat.S_ISSOCK(os.stat(path).st_mode):
                return parse("unix:" + path)
        except OSError:
            pass
    return parse("http://127.0.0.1:8080")


class Request(NamedTuple):
    """One call of the daemon, for either form of client."""

    method: str
    path: str
    body: Any = None
    headers: Optional[Dict[str, str]] = None
    timeout: Optional[float] = None  # without a byte of the answer; None: for ever


def _headers(request: Request, key: Optional[str]) -> Dict[str, str]:
    headers = dict(request.headers or {})
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    return headers


def _body(request: Request) -> Optional[bytes]:
    if request.body is not None:
        return json.dumps(request.body).encode()
    return b"" if request.method in ("POST", "PUT") else None


def error_in(status: int, body: bytes, retry_after: Optional[str]) -> DaemonError:
    """The refusal that an answer tells of."""
    try:
        error = json.loads(body)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "http", body[:300].decode(errors="replace") or f"status {status}"
    after = float(retry_after) if retry_after and retry_after.isdigit() else None
    return DaemonError(status, code, message, after)


def unreachable(address: Address, why: BaseException) -> Unreachable:
    """No daemon there, or it went away."""
    return Unreachable(f"{address}: {why or type(why).__name__}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: Optional[float]) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer:
    """An answer on a connection of its own. `stop` ends a read on another thread."""

    def __init__(self, address: Address, request: Request, key: Optional[str]) -> None:
        self._address = address
        if address.socket_path:
            self._connection: http.client.HTTPConnection = \
                _UnixConnection(address.socket_path, request.timeout)
        else:
            self._connection = http.client.HTTPConnection(address.host, address.port,
                                                          timeout=request.timeout)
        try:
            self._connection.connect()
            self._sock = self._connection.sock
            self._connection.request(request.method, address.base + request.path, _body(request),
                                     _headers(request, key))
            self._answer = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as e:
            self._connection.close()
            raise unreachable(address, e) from e
        self.status = self._answer.status

    def header(self, name: str) -> Optional[str]:
        """None: it has none."""
        return self._answer.getheader(name)

    def read(self) -> bytes:
        """All of it; then the connection is closed."""
        try:
            return self._answer.read()
        except (OSError, http.client.HTTPException) as e:
            raise unreachable(self._address, e) from e
        finally:
            self.close()

    def lines(self) -> Iterator[bytes]:
        """As they come, without their ends. Raises Unreachable when the answer is cut."""
        try:
            while True:
                line = self._answer.readline(_LINE_BYTES_MAX)
                if not line.endswith(b"\n"):
                    return
                yield line.rstrip(b"\r\n")
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as e:
            raise unreachable(self._address, e) from e

    def set_timeout(self, seconds: Optional[float]) -> None:
        """Of each read from here on."""
        self._sock.settimeout(seconds)

    def stop(self) -> None:
        """Its end, seen by the daemon and by whoever reads; from any thread."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        """The connection's end."""
        self._answer.close()
        self._connection.close()


def ask(address: Address, request: Request, key: Optional[str]) -> Any:
    """The JSON of an answer, None where it is empty; raises DaemonError or Unreachable."""
    answer = Answer(address, request, key)
    return result_of(answer.status, answer.read(), answer.header("Retry-After"))


def result_of(status: int, body: bytes, retry_after: Optional[str]) -> Any:
    """The JSON of a whole answer."""
    if status >= 300:
        raise error_in(status, body, retry_after)
    try:
        return json.loads(body) if body else None
    except ValueError as e:
        raise DaemonError(status, "http", f"the answer is not JSON: {body[:80]!r}") from e


class AsyncAnswer:
    """The same for an event loop; `await AsyncAnswer.of(...)` makes one."""

    def __init__(self, address: Address, reader: asyncio.StreamReader,
                 writer: asyncio.StreamWriter) -> None:
        self._address, self._reader, self._writer = address, reader, writer
        self.status = 0
        self._headers: Dict[str, str] = {}
        self.timeout: Optional[float] = None  # of each read

    @classmethod
    async def of(cls, address: Address, request: Request, key: Optional[str]) -> "AsyncAnswer":
        """Sends the request; returns once the answer's head is there."""
        try:
            if address.socket_path:
                pair = await asyncio.open_unix_connection(address.socket_path, limit=_LINE_BYTES_MAX)
            else:
                pair = await asyncio.open_connection(address.host, address.port,
                                                     limit=_LINE_BYTES_MAX)
        except OSError as e:
            raise unreachable(address, e) from e
        answer = cls(address, *pair)
        answer.timeout = request.timeout
        try:
            await answer._begin(request, key)
        except BaseException:
            answer.stop()
            raise
        return answer

    async def _begin(self, request: Request, key: Optional[str]) -> None:
        body = _body(request)
        headers = {"Host": self._address.netloc, "Connection": "close", **_headers(request, key)}
        if body is not None:
            headers["Content-Length"] = str(len(body))
        head = f"{request.method} {self._address.base}{request.path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if head.count("\r\n") != len(headers) + 1:
            raise ValueError("a line break in a path or a header")
        try:
            self._writer.write(head.encode("latin-1") + b"\r\n" + (body or b""))
            await self._writer.drain()
            await self._read_head()
        except (OSError, EOFError, ValueError, IndexError) as e:
            raise unreachable(self._address, e) from e

    async def _read_head(self) -> None:
        while self.status < 200:  # 1xx are no answers
            text = (await self._in_time(self._reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
            if len(text) > _HEAD_BYTES_MAX:
                raise ValueError("the head is too long")
            first, *lines = text[:-4].split("\r\n")
            self.status = int(first.split(" ")[1])
            for line in lines:
                name, _, value = line.partition(":")
                self._headers[name.lower()] = value.strip(" \t")

    async def _in_time(self, read: Any) -> Any:
        try:
            return await asyncio.wait_for(read, self.timeout)
        except asyncio.TimeoutError:
            raise OSError(f"nothing came for {self.timeout:g} s") from None
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
            raise OSError("the answer was cut") from e

    def header(self, name: str) -> Optional[str]:
        """None: it has none."""
        return self._headers.get(name.lower())

    async def _pieces(self) -> AsyncIterator[bytes]:
        if self.status in (204, 304):
            return
        if self._headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                size = int((await self._in_time(self._reader.readuntil(b"\r\n"))).split(b";")[0], 16)
                if size == 0:
                    return
                yield (await self._in_time(self._reader.readexactly(size + 2)))[:-2]
        elif "content-length" in self._headers:
            yield await self._in_time(self._reader.readexactly(int(self._headers["content-length"])))
        else:
            while True:
                piece = await self._in_time(self._reader.read(65536))
                if not piece:
                    return
                yield piece

    async def read(self) -> bytes:
        """All of it; then the connection is closed."""
        try:
            return b"".join([piece async for piece in self._pieces()])
        except (OSError, ValueError) as e:
            raise unreachable(self._address, e) from e
        finally:
            self.stop()

    async def lines(self) -> AsyncIterator[bytes]:
        """As they come, without their ends. Raises Unreachable when the answer is cut."""
        rest = b""
        try:
            async for piece in self._pieces():
                rest += piece
                *whole, rest = rest.split(b"\n")
                for line in whole:
                    yield line.rstrip(b"\r")
        except (OSError, ValueError) as e:
            raise unreachable(self._address, e) from e

    def stop(self) -> None:
        """The connection's end."""
        self._writer.close()


async def ask_async(address: Address, request: Request, key: Optional[str]) -> Any:
    """As `ask`."""
    answer = await AsyncAnswer.of(address, request, key)
    return result_of(answer.status, await answer.read(), answer.header("Retry-After"))
