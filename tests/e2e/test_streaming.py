"""Bytes in both directions as they come: pieces, back-pressure, bodies on disk, clients that leave."""

import json
import threading

import pytest

from wharf_harness import (SECONDS, SLOWNESS, SSE_HEAD, Connection, Later, chat_body, demo, models,
                           rss_kib, serve_requests, until)

MIB = 1024 * 1024
# What a daemon may grow by while it relays something far larger.
GROWTH_KIB_MAX = 24 * 1024
measures_memory = pytest.mark.skipif(SLOWNESS > 1, reason="memory is measured in a plain build only")


def chat_stream(connection, model="m", **keys):
    connection.request("POST", "/v1/chat/completions", chat_body(model, stream=True, **keys))
    return connection.head()


@pytest.mark.valgrind
def test_each_event_arrives_before_the_next_is_sent(wharf, upstream):
    """Both ends are scripted: event n+1 is written only after the client has read event n."""
    read = threading.Semaphore(0)

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        for i in range(20):
            peer.chunk(f"data: {i}\n\n")
            assert read.acquire(timeout=SECONDS)
        peer.send("0\r\n\r\n")

    d = wharf({"models": {"m": upstream(script).model()}})
    with Connection(d.address) as c:
        head = chat_stream(c)
        assert head.header("Content-Type") == "text/event-stream"
        assert head.header("X-Accel-Buffering") == "no"
        got = []
        for event in c.sse(head):
            got.append(event["data"])
            read.release()
        assert got == [str(i) for i in range(20)] and head.complete


@pytest.mark.slice
@pytest.mark.parametrize("framing", ["chunked", "length", "until close"])
def test_pieces_are_not_held_back(wharf, upstream, framing):
    read = threading.Semaphore(0)
    heads = {"chunked": "Transfer-Encoding: chunked\r\n", "length": "Content-Length: 10\r\n",
             "until close": "Connection: close\r\n"}

    def script(peer, _):
        peer.request()
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{heads[framing]}\r\n")
        for i in range(10):
            peer.chunk(str(i)) if framing == "chunked" else peer.send(str(i))
            assert read.acquire(timeout=SECONDS)
        if framing == "chunked":
            peer.send("0\r\n\r\n")

    d = wharf({"models": {"m": upstream(script).model()}})
    with Connection(d.address) as c:
        head = c.request("GET", "/upstream/m/").head()
        pieces = []
        for piece in c.pieces(head):
            pieces.append(piece)
            read.release()
        assert pieces == [b"%d" % i for i in range(10)] and head.complete


def test_a_cut_event_is_passed_on_as_it_is(wharf, upstream):
    """wharf relays bytes, not events: a piece that ends in mid-event is not waited with."""
    read = threading.Semaphore(0)

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        for part in ("da", "ta: on", "e\n", "\n"):
            peer.chunk(part)
            assert read.acquire(timeout=SECONDS)
        peer.send("0\r\n\r\n")

    d = wharf({"models": {"m": upstream(script).model()}})
    with Connection(d.address) as c:
        head = chat_stream(c)
        got = []
        for piece in c.pieces(head):
            got.append(piece)
            read.release()
        assert got == [b"da", b"ta: on", b"e\n", b"\n"]


def test_many_streams_at_once(wharf, upstream):
    go = threading.Event()

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        assert go.wait(SECONDS)
        for i in range(20):
            peer.chunk(f"data: {i}\n\n")
        peer.send("0\r\n\r\n")
        peer.is_closed()

    d = wharf({"models": {"m": upstream(script).model(concurrencyLimit=100)}})
    d.load("m")
    heads = []
    for _ in range(64):
        c = d.connect()
        heads.append((c, chat_stream(c)))
    assert d.model("m")["in_flight"] == 64
    go.set()
    for c, head in heads:
        assert [e["data"] for e in c.sse(head)] == [str(i) for i in range(20)] and head.complete


@measures_memory
@pytest.mark.parametrize("path", ["/big", "/bigchunked"])
def test_a_slow_reader_of_a_big_answer_does_not_fill_the_memory(wharf, path):
    size = 200 * MIB
    d = wharf(models("m"))
    d.load("m")
    d.get("/upstream/m/big?bytes=1000000")
    before = rss_kib(d.pid)
    with d.connect(receive_buffer=64 * 1024) as c:
        c.request("GET", f"/upstream/m{path}?bytes={size}")
        head = c.head()
        got = 0
        # The first read leaves the daemon facing a full pipe while the engine would send it all.
        body = c.pieces(head)
        got += len(next(body))
        until(lambda: d.get("/health").status == 200, "an answer while a stream is stalled")
        assert rss_kib(d.pid) - before < GROWTH_KIB_MAX
        for piece in body:
            got += len(piece)
        assert got == size and head.complete
    assert rss_kib(d.pid, "VmHWM") - before < GROWTH_KIB_MAX


class Uploader:
    """Sends a body of `size` bytes, and can be asked whether it is stuck."""

    STUCK_S = 0.3

    def __init__(self, connection, framing, size, block=bytes(range(256)) * 4096):
        self.connection, self.framing, self.block, self.left = connection, framing, block, size
        self.pending = memoryview(b"")

    def push(self):
        """Sends until nothing more is taken, or to the end. True at the end."""
        sock = self.connection.sock
        sock.settimeout(self.STUCK_S)
        try:
            while self.pending or self.left:
                if not self.pending:
                    piece = self.block[:min(len(self.block), self.left)]
                    self.left -= len(piece)
                    if self.framing == "chunked":
                        end = b"" if self.left else b"0\r\n\r\n"
                        piece = b"%x\r\n%b\r\n%b" % (len(piece), piece, end)
                    self.pending = memoryview(piece)
                self.pending = self.pending[sock.send(self.pending):]
        except TimeoutError:
            return False
        finally:
            sock.settimeout(SECONDS)
        return True


@measures_memory
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_big_upload_to_an_engine_that_does_not_read(wharf, upstream, framing):
    size = 100 * MIB
    reads = threading.Event()

    def script(peer, _):
        _, headers = peer.head()
        assert reads.wait(SECONDS)
        got, tail = len(peer.buffer), peer.buffer
        while not tail.endswith(b"0\r\n\r\n") if framing == "chunked" else got < size:
            data = peer.sock.recv(1 << 20)
            got, tail = got + len(data), (tail + data)[-5:]
        peer.answer(str(got), kind="text/plain")
        peer.is_closed()

    d = wharf({"models": {"m": upstream(script).model()}})
    d.load("m")
    before = rss_kib(d.pid)
    with d.connect() as c:
        how = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
        c.send(f"POST /upstream/m/in HTTP/1.1\r\nHost: x\r\n{how}\r\n\r\n")
        upload = Uploader(c, framing, size)
        upload.push()
        assert rss_kib(d.pid) - before < GROWTH_KIB_MAX, "what is not read piles up in memory"
        assert d.get("/health").status == 200
        reads.set()
        until(upload.push, "the rest of the upload")
        assert int(c.answer().text) >= size
    assert rss_kib(d.pid, "VmHWM") - before < GROWTH_KIB_MAX


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_upload_to_a_slow_engine(wharf, framing):
    size = MIB // 8
    d = wharf({"models": {"m": demo("m", "--slow-read", "1MiB")}})
    d.load("m")
    with d.connect() as c:
        how = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
        c.send(f"POST /upstream/m/in HTTP/1.1\r\nHost: x\r\n{how}\r\n\r\n")
        upload = Uploader(c, framing, size)
        until(upload.push, "the upload")
        assert c.answer().json()["body_bytes"] == size


@measures_memory
def test_a_multipart_upload_of_100_mb_is_spooled(wharf):
    """The model's name comes after the file: nothing can be forwarded before the end."""
    d = wharf({"maxBody": "256MiB", "models": {"m": demo("m", "--load-time", "200ms")}})
    before = rss_kib(d.pid)
    file = b"\x00\x01\x02\x03" * (25 * MIB)
    boundary = b"XbX"
    body = (b"--XbX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n" + file
            + b"\r\n--XbX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--XbX--\r\n")
    with d.connect(seconds=3 * SECONDS) as c:
        answer = c.ask("POST", "/upstream/m/count", body)
        assert answer.json()["body_bytes"] == len(body)
        answer = c.ask("POST", "/v1/audio/voices", body, {
            "Content-Type": f"multipart/form-data; boundary={boundary.decode()}"})
        assert answer.status == 200 and answer.json()["body_bytes"] == len(body), answer
    assert rss_kib(d.pid, "VmHWM") - before < 64 * 1024 + GROWTH_KIB_MAX
    spool = [p for p in d.state.rglob("*") if p.is_file() and p.stat().st_size > MIB]
    assert not spool, f"left in the state folder: {spool}"


@pytest.mark.slice
def test_a_body_is_kept_while_its_request_waits(wharf):
    """2 MiB for a model that has yet to load: the body is read to its end, and arrives whole."""
    d = wharf({"models": {"m": demo("m", "--load-time", "300ms")}})
    body = json.dumps({"prompt": "word " * (400 * 1024), "model": "m"}).encode()
    answer = d.ok(d.post("/sdapi/v1/txt2img", body, {"Content-Type": "application/json"}))
    assert answer.json()["body_bytes"] == len(body)


def test_a_body_over_the_limit(wharf):
    d = wharf({"maxBody": "1MiB", **models("m")})
    d.load("m")
    inside = json.dumps({"model": "m", "input": "x" * (1024 * 1024 - 100)}).encode()
    assert d.post("/v1/embeddings", inside, {"Content-Type": "application/json"}).status == 200
    for framing in ("length", "chunked"):
        with Connection(d.address) as c:
            how = "Content-Length: 1048577" if framing == "length" else "Transfer-Encoding: chunked"
            c.send(f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   f"{how}\r\n\r\n")
            if framing == "chunked":
                start = b'{"model":"m","input":"' + b"x" * 1048576
                c.send(b"%x\r\n%b\r\n" % (len(start), start))
            answer = c.answer()
            assert (answer.status, answer.error["code"]) == (413, "body_too_large")
            assert c.is_closed()
    assert d.get("/health").status == 200


# ---------------------------------------------------------------- clients that leave


@pytest.mark.valgrind
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_the_queue_is_gone_from_it(wharf, how):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60",
                                    concurrencyLimit=1)}})
    d.load("m")
    first = d.connect()
    chat_stream(first)
    others = []
    for _ in range(3):
        c = d.connect()
        c.request("POST", "/v1/chat/completions", chat_body("m"))
        others.append(c)
    d.until_model("m", in_flight=1, waiting=3)
    getattr(others[1], how)()
    d.until_model("m", in_flight=1, waiting=2)
    getattr(others[0], how)()
    d.until_model("m", in_flight=1, waiting=1)
    getattr(first, how)()
    d.until_model("m", in_flight=1, waiting=0)
    getattr(others[2], how)()
    d.until_model("m", in_flight=0, waiting=0)


def test_a_client_that_leaves_while_its_model_loads(wharf):
    d = wharf({"models": {"m": demo("m", "--load-time", "600ms")}})
    events = d.events()
    with Connection(d.address) as c:
        c.request("POST", "/v1/chat/completions", chat_body("m"))
        events.wait_for("model_loading", model="m")
    d.until_model("m", in_flight=0, waiting=0)
    d.ok(d.chat("m"))


@pytest.mark.slice
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_its_stream_ends_the_work_for_it(wharf, upstream, how):
    closed = threading.Event()

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        peer.chunk("data: 1\n\n")
        if peer.is_closed():
            closed.set()

    d = wharf({"models": {"m": upstream(script).model()}})
    c = d.connect()
    head = chat_stream(c)
    next(c.sse(head))
    assert not closed.is_set()
    getattr(c, how)()
    assert closed.wait(SECONDS), "the upstream's connection stayed open"
    d.until_model("m", in_flight=0)


def test_a_client_that_leaves_before_the_answer_begins(wharf, upstream):
    asked, closed = threading.Event(), threading.Event()

    def script(peer, _):
        peer.request()
        asked.set()
        if peer.is_closed():
            closed.set()

    d = wharf({"models": {"m": upstream(script).model()}})
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m"))
    assert asked.wait(SECONDS)
    c.close()
    assert closed.wait(SECONDS)
    d.until_model("m", in_flight=0)


def test_a_demo_engine_hears_of_it(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60")}})
    d.load("m")
    c = d.connect()
    head = chat_stream(c)
    next(c.sse(head))
    c.close()
    d.until_model("m", in_flight=0)
    with Connection(d.address) as logs:
        head = logs.request("GET", "/logs/stream/m").head()
        text = b""
        for piece in logs.pieces(head):
            text += piece
            if b"the client has gone" in text:
                break


def test_a_client_that_leaves_in_its_upload(wharf, upstream):
    closed, begun = threading.Event(), threading.Event()

    def script(peer, _):
        peer.head()
        peer.fill()
        begun.set()
        try:
            while True:
                peer.fill()
        except ConnectionError:
            closed.set()

    d = wharf({"models": {"m": upstream(script).model()}})
    d.load("m")
    c = d.connect()
    c.send(b"POST /upstream/m/in HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500000)
    assert begun.wait(SECONDS)
    c.close()
    assert closed.wait(SECONDS), "half an upload stays with the upstream"
    d.until_model("m", in_flight=0)


def test_an_answer_before_the_end_of_the_upload(wharf, upstream):
    """The upstream refuses a body that it has not read; its answer is what the client gets."""
    def script(peer, _):
        peer.head()
        peer.answer('{"error":"too much"}', status=413, extra="Connection: close\r\n")
        peer.is_closed()

    d = wharf({"models": {"m": upstream(script).model()}})
    d.load("m")
    with Connection(d.address) as c:
        c.send(b"POST /upstream/m/in HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        answer = c.answer()
        assert answer.status == 413 and answer.json() == {"error": "too much"}


def test_keep_alive_upstream(wharf, upstream):
    u = upstream(serve_requests(lambda peer, *_: peer.answer()))
    d = wharf({"models": {"m": u.model()}})
    for _ in range(10):
        d.ok(d.chat("m"))
    assert len(u.peers) == 1, "each request went over a connection of its own"


def test_no_head_of_line_blocking(wharf):
    """One stalled reader does not keep others from being served."""
    d = wharf({"models": {"m": demo("m", concurrencyLimit=4)}})
    d.load("m")
    stalled = d.connect(receive_buffer=16 * 1024)
    stalled.request("GET", f"/upstream/m/big?bytes={50 * MIB}")
    stalled.head()
    for i in range(20):
        d.ok(d.chat("m", f"n{i}"))
    assert Later(d.get, "/health").result().status == 200
