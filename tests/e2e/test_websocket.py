"""Upgraded connections: tunnels that carry bytes both ways until either side closes."""

import base64
import hashlib
import os
import struct
import threading

import pytest

from wharf_harness import SECONDS, Connection, Gone, demo, models, until

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocket:
    """RFC 6455, the client's half."""

    def __init__(self, daemon, path="/upstream/m/ws", headers=None):
        self.c = daemon.connect()
        key = base64.b64encode(os.urandom(16))
        self.c.request("GET", path, headers={
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key.decode(), **(headers or {})})
        self.answer = self.c.head()
        if self.answer.status == 101:
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
            assert self.answer.header("Sec-WebSocket-Accept") == accept
            assert self.answer.header("Upgrade").lower() == "websocket"
            assert self.answer.header("Connection").lower() == "upgrade"

    def send(self, payload, opcode=TEXT):
        mask = os.urandom(4)
        n = len(payload)
        size = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else \
            b"\xff" + struct.pack(">Q", n)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.c.send(bytes([0x80 | opcode]) + size + mask + masked)

    def receive(self):
        first, second = self.c.exactly(2)
        assert not second & 0x80, "a server's frames are not masked"
        n = second & 0x7f
        if n == 126:
            n, = struct.unpack(">H", self.c.exactly(2))
        elif n == 127:
            n, = struct.unpack(">Q", self.c.exactly(8))
        return first & 0x0f, self.c.exactly(n)


@pytest.mark.valgrind
def test_echo(wharf):
    ws = WebSocket(wharf(models("m")))
    for payload in (b"hello", b"", b"x" * 200, b"y" * 70_000):
        ws.send(payload)
        assert ws.receive() == (TEXT, payload)
    ws.send(b"\0\xff" * 50, BINARY)
    assert ws.receive() == (BINARY, b"\0\xff" * 50)
    ws.send(b"p", PING)
    assert ws.receive() == (PONG, b"p")
    ws.send(struct.pack(">H", 1000), CLOSE)
    assert ws.receive()[0] == CLOSE
    assert ws.c.is_closed()


def test_frames_both_ways_at_once(wharf):
    ws = WebSocket(wharf(models("m")))
    payloads = [os.urandom(1 + i * 37) for i in range(200)]
    sender = threading.Thread(target=lambda: [ws.send(p, BINARY) for p in payloads], daemon=True)
    sender.start()
    for payload in payloads:
        assert ws.receive() == (BINARY, payload)
    sender.join(SECONDS)


def test_an_open_websocket_is_in_flight(wharf):
    d = wharf(models("m"))
    ws = WebSocket(d)
    assert d.model("m")["in_flight"] == 1
    ws.c.close()
    d.until_model("m", in_flight=0)


@pytest.mark.slice
@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_client_closes(wharf, upstream, how):
    """The upstream hears of it at once, with no frame in between."""
    closed = threading.Event()

    def script(peer, _):
        peer.head()
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: custom\r\nConnection: Upgrade\r\n\r\n")
        if peer.is_closed():
            closed.set()

    d = wharf({"models": {"m": upstream(script).model()}})
    c = d.connect()
    c.request("GET", "/upstream/m/x", headers={"Connection": "Upgrade", "Upgrade": "custom"})
    assert c.head().status == 101
    getattr(c, how)()
    assert closed.wait(SECONDS)
    d.until_model("m", in_flight=0)


def test_the_server_closes(wharf, upstream):
    def script(peer, _):
        line, headers = peer.head()
        assert headers["upgrade"] == "custom" and headers["connection"].lower() == "upgrade"
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: custom\r\nConnection: upgrade\r\n\r\n"
                  "bytes right behind")
        assert peer.exactly(3) == b"bye"
        peer.send("and the last")

    d = wharf({"models": {"m": upstream(script).model()}})
    with Connection(d.address) as c:
        c.request("GET", "/upstream/m/x", headers={"Connection": "Upgrade", "Upgrade": "custom"})
        assert c.head().status == 101
        assert c.exactly(18) == b"bytes right behind"
        c.send(b"bye")
        assert c.exactly(12) == b"and the last"
        assert c.is_closed()
    d.until_model("m", in_flight=0)


def test_bytes_sent_before_the_answer_are_not_lost(wharf, upstream):
    def script(peer, _):
        peer.head()
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: custom\r\nConnection: Upgrade\r\n\r\n")
        peer.send(peer.exactly(5))

    d = wharf({"models": {"m": upstream(script).model()}})
    with Connection(d.address) as c:
        c.send(b"GET /upstream/m/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: custom\r\n"
               b"\r\nearly")
        assert c.head().status == 101
        assert c.exactly(5) == b"early"


def test_an_upgrade_that_is_refused(wharf, upstream):
    def script(peer, _):
        while True:
            peer.head()
            peer.answer(b"no", status=403)

    d = wharf({"models": {"m": upstream(script).model()}})
    with Connection(d.address) as c:
        for _ in range(2):
            answer = c.ask("GET", "/upstream/m/x", headers={"Connection": "Upgrade", "Upgrade": "custom"})
            assert (answer.status, answer.body) == (403, b"no")


def test_it_is_ended_by_a_forced_unload(wharf):
    d = wharf(models("m"))
    ws = WebSocket(d)
    ws.send(b"x")
    assert ws.receive() == (TEXT, b"x")
    d.ok(d.post("/wharf/models/m/unload?force=1"))
    with pytest.raises((Gone, ConnectionError)):
        ws.receive()


def test_an_idle_websocket_is_not_timed_out(wharf):
    d = wharf({"timeouts": {"idle": "200ms", "body": "200ms", "write": "200ms", "head": "200ms"},
               "models": {"m": demo("m", timeouts={"responseHeader": 1})}})
    ws = WebSocket(d)
    events = d.events()
    # Another connection idles until it is cut: by then this one has been idle for longer.
    with Connection(d.address) as c:
        assert c.ask("GET", "/health").status == 200
        assert c.is_closed()
    ws.send(b"still here")
    assert ws.receive() == (TEXT, b"still here")
    assert not events.catch_up().all("model_unloaded")


def test_back_pressure_in_a_tunnel(wharf, upstream):
    go = threading.Event()
    size = 20_000_000

    def script(peer, _):
        peer.head()
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: custom\r\nConnection: Upgrade\r\n\r\n")
        assert go.wait(SECONDS)
        got = len(peer.buffer)
        while got < size:
            got += len(peer.sock.recv(1 << 20))
        peer.send(b"got it")

    d = wharf({"models": {"m": upstream(script).model()}})
    with Connection(d.address) as c:
        c.request("GET", "/upstream/m/x", headers={"Connection": "Upgrade", "Upgrade": "custom"})
        assert c.head().status == 101
        c.sock.settimeout(0.3)
        view = memoryview(bytes(size))
        with pytest.raises(TimeoutError):
            while view:
                view = view[c.sock.send(view):]
        go.set()
        c.sock.settimeout(SECONDS)
        while view:
            view = view[c.sock.send(view):]
        assert c.exactly(6) == b"got it"


def test_websocket_through_a_swap(wharf):
    """It counts as in flight: the other model waits until it is closed."""
    d = wharf(models("m", "n"))
    ws = WebSocket(d)
    n = d.connect()
    n.request("GET", "/upstream/n/x")
    d.until_model("n", waiting=1)
    ws.send(b"x")
    assert ws.receive() == (TEXT, b"x")
    assert d.state_of("m") == "loaded"
    ws.c.close()
    assert n.answer().status == 200
    until(lambda: d.state_of("m") == "unloaded", "the first model's end")
