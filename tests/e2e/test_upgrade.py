"""Another program in the daemon's place: streams, those who wait, bodies and connections under way."""

import json
import os
import pathlib
import re
import socket
import ssl
from collections import Counter

import pytest

from test_tls import Authority
from test_websocket import WebSocket
from upgrades import Stream, descriptors, drainers, kinds, until_drained, upgrade
from wharf_harness import (SECONDS, SSE_HEAD, Connection, Later, chat_body, demo, held, is_alive, models,
                           serve_requests, until)

GIB = 1 << 30
CHAT = "/v1/chat/completions"
ROOMY = {"routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}}


def gpus(*sizes):
    return {"gpus": [{"sim": {"name": f"gpu{i}", "memory": size}, "sample": "20ms"}
                     for i, size in enumerate(sizes)]}


def waiting(d, count, model="m"):
    """Until that many wait for it."""
    d.until_model(model, waiting=count)


def in_order():
    """(list, run): run(name, work) puts the name onto the list when the work is done."""
    order = []

    def run(name, work):
        value = work()
        order.append(name)
        return value
    return order, run


class Gate:
    """A scripted model's server that takes requests and answers when the test says so. It is ready
    unless it was told not to be."""

    def __init__(self, upstream, ready=True):
        self.asked = []  # (peer, line, headers, body)
        self.ready = ready
        self.server = upstream(serve_requests(self.serve))

    def serve(self, peer, *request):
        if request[0].startswith("GET /ready"):
            peer.answer(b"", status=200 if self.ready else 503)
        else:
            self.asked.append((peer, *request))

    def take(self, n=0):
        """The n-th request, once it is there."""
        until(lambda: len(self.asked) > n, f"request {n}")
        return self.asked[n]

    def model(self, **keys):
        return self.server.model(**{"checkEndpoint": "/ready", **keys})


# ---------------------------------------------------------------- what streams


@pytest.mark.slice
def test_a_stream_is_whole(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "5ms", "--tokens", "60")}})
    pid = d.load("m")["pid"]
    whole = Stream(d, "m").rest()
    s = Stream(d, "m").head()
    s.next()
    said = upgrade(d)
    assert said["running"] == 1 and said["from"] == said["to"]
    assert len(drainers(d)) == 1
    assert d.model("m")["in_flight"] == 1 and d.model("m")["pid"] == pid, "it is known there"
    assert s.rest() == whole
    d.until_model("m", in_flight=0)
    until_drained(d)
    assert d.chat("m", max_tokens=1).status == 200 and d.model("m")["pid"] == pid
    assert "cut" not in d.stderr


def test_byte_for_byte(wharf, upstream):
    """What a server sends in pieces before, during and after, in whatever framing."""
    gate = Gate(upstream)
    d = wharf({"models": {"m": gate.model()}})
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True))
    peer = gate.take()[0]
    peer.send(SSE_HEAD)
    peer.chunk("data: one\n")
    answer = c.head()
    pieces = c.pieces(answer)
    assert next(pieces) == b"data: one\n"
    upgrade(d)
    rest = bytes(range(256)) * 300
    peer.chunk(rest)
    peer.send("0\r\n\r\n")
    assert b"".join(pieces) == rest and answer.complete
    # Its client goes on with the new program, and nothing showed.
    c.request("POST", CHAT, chat_body("m"))
    gate.take(1)[0].answer(b"{}")
    assert c.answer().status == 200
    until_drained(d)


def test_its_model_stays_for_it_and_goes_at_its_end(wharf):
    d = wharf({**gpus("12GiB"), **ROOMY, "models": {
        "m": demo("m", "--token-delay", "10ms", "--tokens", "40", vram="8GiB"),
        "n": demo("n", vram="8GiB")}})
    pid = d.load("m")["pid"]
    s = Stream(d, "m").head()
    s.next()
    other = Later(d.chat, "n", max_tokens=1)
    waiting(d, 1, "n")
    upgrade(d)
    assert d.model("n")["waiting"] == 1 and d.model("m")["in_flight"] == 1
    assert is_alive(pid) and not other.done
    s.rest()
    d.ok(other.result())
    assert not is_alive(pid), "its memory was wanted"
    until_drained(d)


def test_nothing_is_left_and_nothing_strays(wharf, tmp_path):
    """Descriptors: of the daemon before and after, of a drainer, of models that the new program starts."""
    d = wharf({**gpus("12GiB"), "models": {"m": demo("m", "--token-delay", "10ms", "--tokens", "40", vram="1GiB"),
                                           "n": demo("n", vram="1GiB")}}, listen=["127.0.0.1:0", f"unix:{tmp_path}/s"])
    d.load("m")
    until(lambda: not d.probes(), "the end of the probe")
    d.until_archived()
    before = kinds(d.pid)
    s = Stream(d, "m").head()
    s.next()
    upgrade(d)
    drainer, = drainers(d)
    has = descriptors(drainer).values()
    assert not [t for t in has if "sqlite" in t or t.endswith(("/lock", "/records"))], has
    listening = {int(line.split()[9]) for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
                 if line.split()[3] == "0A"}
    assert not [t for t in has if (m := re.match(r"socket:\[(\d+)\]", t)) and int(m[1]) in listening]
    s.connection.close()
    until_drained(d)
    until(lambda: not d.probes() and not Counter(kinds(d.pid)) - Counter(before), "no more than before")
    fresh = d.load("n")["pid"]
    own = [[k for k in kinds(p) if k != "socket"] for p in (fresh, d.model("m")["pid"])]
    assert len(own[0]) == len(own[1]), own
    limits = [re.search(r"Max open files +(\d+)", pathlib.Path(f"/proc/{p}/limits").read_text())[1]
              for p in (fresh, d.model("m")["pid"])]
    assert limits[0] == limits[1], "what models may open"
    env = pathlib.Path(f"/proc/{fresh}/environ").read_bytes()
    assert b"WHARF_UPGRADE" not in env
    assert os.path.exists(tmp_path / "s")
    with Connection(f"{tmp_path}/s") as c:
        assert c.ask("GET", "/health").status == 200


def test_upgrades_while_an_earlier_program_still_streams(wharf):
    d = wharf({**gpus("12GiB"), **ROOMY, "models": {
        "m": demo("m", "--token-delay", "10ms", "--tokens", "90", vram="8GiB"),
        "n": demo("n", vram="8GiB")}})
    pid = d.load("m")["pid"]
    streams = []
    for i in range(3):
        streams.append(Stream(d, "m").head())
        streams[-1].next()
        upgrade(d)
        assert d.model("m")["in_flight"] == i + 1
        assert len(drainers(d)) == i + 1
    other = Later(d.chat, "n", max_tokens=1)
    waiting(d, 1, "n")
    for left in (2, 1, 0):
        assert is_alive(pid) and not other.done
        streams.pop(0).rest()
        if left:
            d.until_model("m", in_flight=left)
    d.ok(other.result())
    until_drained(d)


def test_a_client_that_reads_slowly(wharf, upstream):
    """What is queued for it is sent by the drainer, and its next request goes to the new program."""
    gate = Gate(upstream)
    d = wharf({"models": {"m": gate.model()}})
    c = d.connect(receive_buffer=4096)
    c.request("POST", CHAT, chat_body("m"))
    body = os.urandom(16 << 20)  # more than the kernel keeps
    sent = Later(gate.take()[0].answer, body)
    c.sock.recv(1, socket.MSG_PEEK)
    upgrade(d)
    assert drainers(d)
    assert c.answer().body == body
    sent.result()
    c.request("POST", CHAT, chat_body("m"))
    gate.take(1)[0].answer(b"next")
    assert c.answer().body == b"next"
    until_drained(d)


def test_a_tunnel_goes_on(wharf):
    d = wharf(models("m"))
    ws = WebSocket(d)
    assert ws.answer.status == 101
    for payload in (b"before", b"x" * 70_000, b"after"):
        ws.send(payload)
        assert ws.receive()[1] == payload
        upgrade(d)
        assert d.model("m")["in_flight"] == 1
    ws.c.close()
    until_drained(d)
    d.until_model("m", in_flight=0)


# ---------------------------------------------------------------- who waits


def test_they_keep_their_places_and_their_time(wharf, tmp_path):
    """Of two models and three classes; one with patience, which ends when it would have."""
    flag = tmp_path / "go"
    d = wharf({"models": {"m": {**held(demo("m", "--token-delay", "100ms"), flag), "concurrencyLimit": 1}, "n": held(demo("n"), flag)}})
    order, ended = in_order()
    calls = []
    for i, (name, headers) in enumerate((("bg", {"X-Wharf-Class": "background"}), ("large", {}), ("small", {}),
                                         ("fg", {"X-Wharf-Class": "foreground"}), ("impatient", {"X-Wharf-Wait": "2"}))):
        text = "x" * 300000 if name == "large" else name
        calls.append(Later(ended, name, lambda h=headers, t=text: d.chat("m", t, h, max_tokens=1, seconds=40)))
        waiting(d, i + 1)
    other = Later(d.chat, "n", max_tokens=1)
    waiting(d, 1, "n")
    queue = lambda: [(r["model"], r["class"], r["position"]) for r in d.get("/wharf/queue").json()["queue"]]
    before = queue()
    upgrade(d)
    assert queue() == before
    refused = calls[-1].result()
    assert refused.status in (503, 504) and refused.error["code"] == "wait_expired", refused
    upgrade(d)
    flag.touch()
    for call in calls[:-1]:
        answer = d.ok(call.result())
        assert float(answer.header("X-Wharf-Queued")) > 2, "from when it came"
    d.ok(other.result())
    assert [o for o in order if o != "impatient"] == ["fg", "large", "small", "bg"]
    until_drained(d)


@pytest.mark.slice
@pytest.mark.parametrize("ends", ["well", "badly"])
@pytest.mark.parametrize("way", ["interim", "comments", "loading"])
def test_those_who_are_told_of_their_wait(wharf, tmp_path, way, ends):
    """One head, and a proper end."""
    flag = tmp_path / "go"
    model = held(demo("m", *([] if ends == "well" else ["--crash-on-load=3"])), flag)
    d = wharf({"sendLoadingState": way == "loading", "models": {"m": model}})
    c = d.connect(seconds=3 * SECONDS)
    headers = {} if way == "loading" else {"X-Wharf-Progress": way}
    c.request("POST", CHAT, chat_body("m", stream=True, max_tokens=3), headers)
    head = c.head()
    text = b""
    if way == "interim":
        assert head.status == 102 or head.status == 103 or head.status == 100, head
    else:
        assert head.status == 200
        pieces = c.pieces(head)
        text += next(pieces)
    upgrade(d)
    upgrade(d)
    flag.touch()
    if way == "interim":
        while (head := c.head()).status < 200:
            pass
        assert head.status == (200 if ends == "well" else 502), head
        pieces = c.pieces(head)
    text += b"".join(pieces)
    assert head.complete and b"HTTP/1.1" not in text
    if ends == "well":
        assert text.count(b"[DONE]") == 1 and b"demo-model" in text
    elif way != "interim":
        assert text.count(b"event: error") == 1, text
    assert c.ask("GET", "/health").status == 200, "the connection goes on"
    lines = re.findall(r"Request .*POST /v1/chat/completions.* (\d{3}) \d+ ", d.stderr)
    assert lines == ["200" if ends == "well" else "502"], lines
    until_drained(d)


def test_what_waits_behind_a_stream(wharf):
    """A model that serves one at a time, whose one is a stream of the program before."""
    d = wharf({"models": {"m": demo("m", "--token-delay", "5ms", "--tokens", "50", concurrencyLimit=1)}})
    d.load("m")
    s = Stream(d, "m").head()
    s.next()
    next_one = Later(d.chat, "m", max_tokens=1)
    waiting(d, 1)
    upgrade(d)
    assert (d.model("m")["in_flight"], d.model("m")["waiting"]) == (1, 1)
    s.rest()
    d.ok(next_one.result())
    until_drained(d)


# ---------------------------------------------------------------- bodies


def pieces_of(body, headers, cuts):
    """A request as bytes, in pieces."""
    text = (f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n").encode() + body
    head = len(text) - len(body)
    places = [0, *(head + cut for cut in cuts), len(text)]
    return [text[a:b] for a, b in zip(places, places[1:])]


def chunked(body, trailer=b""):
    half = len(body) // 2
    return b"%x;a=b\r\n%b\r\n%X\r\n%b\r\n0\r\n%b\r\n" % (half, body[:half], len(body) - half, body[half:], trailer)


BODY = json.dumps(chat_body("m", "word " * 40)).encode()
CHUNKED = chunked(BODY, b"X-Trailer: yes\r\n")


@pytest.mark.parametrize("pieces", [
    pytest.param(pieces_of(BODY, f"Content-Length: {len(BODY)}\r\n", [10, 100]), id="length"),
    pytest.param(pieces_of(BODY, f"Content-Length: {len(BODY)}\r\n", [-30, 0]), id="in the head"),
    *(pytest.param(pieces_of(CHUNKED, "Transfer-Encoding: chunked\r\n", cuts), id=f"chunks {cuts}")
      for cuts in ([1, 3], [len(BODY) // 2 + 7, len(BODY) // 2 + 8], [20, len(CHUNKED) - 20],
                   [len(CHUNKED) - 22, len(CHUNKED) - 10], [len(CHUNKED) - 3, len(CHUNKED) - 1]))])
def test_a_body_that_is_being_sent(wharf, upstream, pieces):
    gate = Gate(upstream)
    d = wharf({"models": {"m": gate.model()}})
    c = d.connect()
    c.send(pieces[0])
    until(lambda: d.get("/wharf/status").status == 200, "it reads")
    for piece in pieces[1:]:
        upgrade(d)
        c.send(piece)
    peer, _, headers, body = gate.take()
    assert body == BODY and headers["content-length"] == str(len(BODY))
    peer.answer(b"{}")
    assert c.answer().status == 200
    c.request("POST", CHAT, chat_body("m"))
    gate.take(1)[0].answer(b"{}")
    assert c.answer().status == 200
    until_drained(d)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_body_that_waits(wharf, upstream, framing):
    """It is in a file; and another comes behind it, larger than what is read ahead."""
    gate = Gate(upstream, ready=False)
    d = wharf({"models": {"m": gate.model()}})
    text = json.dumps(chat_body("m", "x" * 3_000_000)).encode()
    c = d.connect()
    headers = {"Content-Type": "application/json"}
    if framing == "chunked":
        c.request("POST", CHAT, chunked(text), {**headers, "Transfer-Encoding": "chunked"})
    else:
        c.request("POST", CHAT, text, headers)
    waiting(d, 1)
    behind = Later(c.request, "POST", CHAT, text, headers)
    for _ in range(2):
        upgrade(d)
        assert "have not come" not in d.stderr, "nobody is held up"
        assert d.model("m")["waiting"] == 1
    gate.ready = True
    for i in range(2):
        peer, _, headers, body = gate.take(i)
        assert body == text and headers["content-length"] == str(len(text))
        peer.answer(b"{}")
        assert c.answer().status == 200
    behind.result()
    until_drained(d)


@pytest.mark.parametrize("path,body", [
    ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
    ("/api/chat", {"model": "m", "stream": False, "messages": [{"role": "user", "content": "hi"}]}),
    ("/v1/completions", {"model": "alias", "prompt": "hi"})], ids=lambda v: v if isinstance(v, str) else "")
def test_requests_that_are_translated_or_renamed_wait(wharf, tmp_path, path, body):
    """What was changed in them for the model is not changed twice."""
    flag = tmp_path / "go"
    model = {**held(demo("theirs"), flag), "useModelName": "theirs", "aliases": ["alias"],
             "filters": {"stripParams": "top_k", "setParams": {"temperature": 0.5}}}
    d = wharf({"models": {"m": model}})
    call = Later(d.post, path, {**body, "top_k": 3}, seconds=40)
    waiting(d, 1)
    upgrade(d)
    waiting(d, 1)
    upgrade(d)
    flag.touch()
    assert "theirs" in d.ok(call.result()).text
    until_drained(d)


def test_a_form_that_waits(wharf, upstream):
    gate = Gate(upstream, ready=False)
    d = wharf({"models": {"m": gate.model(useModelName="theirs")}})
    parts = (b"--xx\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--xx\r\n"
             b"Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n" + b"\0\xff" * 100_000 + b"\r\n--xx--\r\n")
    call = Later(d.post, "/v1/audio/transcriptions", parts, {"Content-Type": "multipart/form-data; boundary=xx"})
    waiting(d, 1)
    upgrade(d)
    gate.ready = True
    peer, _, _, body = gate.take()
    assert body == parts.replace(b"\r\n\r\nm\r\n", b"\r\n\r\ntheirs\r\n")
    peer.answer(b"{}")
    assert call.result().status == 200


def test_expect_continue(wharf, upstream):
    """Asked for once its model is there, by the program that is by then."""
    gate = Gate(upstream, ready=False)
    d = wharf({"models": {"m": gate.model()}})
    c = d.connect()
    c.send(f"POST /v1/chat/completions?model=m HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           f"Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n")
    upgrade(d)
    gate.ready = True
    head = c.head()
    assert head.status == 100
    upgrade(d)
    c.send(BODY)
    peer, _, _, body = gate.take()
    assert body == BODY
    peer.answer(b"{}")
    assert c.answer().status == 200


def test_pipelined_requests(wharf, upstream):
    """The second is on its way already, and is answered by the new program behind the first one's answer."""
    gate = Gate(upstream)
    d = wharf({"models": {"m": gate.model()}})
    c = d.connect()
    for _ in range(3):
        c.request("POST", CHAT, chat_body("m"))
    first = gate.take()[0]
    upgrade(d)
    first.answer(b"1")
    gate.take(1)[0].answer(b"2")
    upgrade(d)
    gate.take(2)[0].answer(b"3")
    assert [c.answer().body for _ in range(3)] == [b"1", b"2", b"3"]
    until_drained(d)


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki") / "ca")


class Tls(Connection):
    """The same under TLS."""

    def __init__(self, d, authority):
        super().__init__(d.address, 3 * SECONDS)
        context = ssl.create_default_context(cafile=authority.file)
        self.sock = context.wrap_socket(self.sock, server_hostname="127.0.0.1")
        d.clients.append(self)


@pytest.fixture
def secured(wharf, authority):
    """secured(config) → a daemon that takes TLS alone."""
    certificate, key = authority.sign()
    return lambda config: wharf(config, args=["--tls-cert-file", certificate, "--tls-key-file", key], wait=False)


@pytest.mark.slice
def test_under_tls(secured, authority, tmp_path):
    """A stream, an idle connection that is used later, one that waits, one in its handshake."""
    flag = tmp_path / "go"
    d = secured({"models": {"m": demo("m", "--token-delay", "10ms", "--tokens", "40"), "n": held(demo("n"), flag)},
                 "matrix": {"vars": {"m": "m", "n": "n"}, "sets": {"both": "m & n"}}})
    until(lambda: (d.state / "listen").exists(), "the address")
    host, _, port = (d.state / "listen").read_text().strip().rpartition(":")
    d.address = (host, int(port))

    def up():
        with Tls(d, authority) as c:
            answer = c.ask("POST", "/wharf/upgrade", b"")
            assert answer.status == 200, answer
    with Tls(d, authority) as c:
        assert c.ask("POST", "/wharf/models/m/load", b"").status == 200
    s = Stream(d, "m", connection=Tls(d, authority)).head()
    s.next()
    idle, waits = Tls(d, authority), Tls(d, authority)
    assert idle.ask("GET", "/health").status == 200
    waits.request("POST", CHAT, chat_body("n", max_tokens=2))
    half = Connection(d.address, SECONDS)
    up()
    for _ in range(2):
        assert idle.ask("GET", "/health").status == 200
        assert idle.ask("POST", CHAT, chat_body("m", max_tokens=2)).status == 200
        up()
    flag.touch()
    assert waits.answer().status == 200
    assert waits.ask("GET", "/health").status == 200
    half.close()
    s.rest()
    for c in (idle, waits, s.connection):
        c.close()
    until_drained(d)
