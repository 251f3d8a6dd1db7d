"""What a real daemon seldom does: answers that are cut, leases that are lost and found again, events
that go on behind the last one. Both ends are scripted, and each case runs plain and in a loop."""

import asyncio
import json
import threading

import pytest

import wharf
from wharf import _events, _lease
from wharf_harness import until

HEAD = ("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
        "Transfer-Encoding: chunked\r\n\r\n")
FORMS = pytest.mark.parametrize("form", ["plain", "loop"])


def say(peer, *lines):
    for line in lines:
        peer.chunk(json.dumps(line) + "\n")


def url(server):
    return f"http://127.0.0.1:{server.port}"


WAITING = {"lease": "7", "token": "secret", "state": "waiting", "position": 2, "estimate_s": 9,
           "for": "others"}
GRANTED = {"lease": "7", "token": "secret", "state": "granted", "waited_s": 1.5,
           "devices": [{"name": "gpu0", "uuid": "GPU-1", "bytes": 5}],
           "environment": {"CUDA_VISIBLE_DEVICES": "GPU-1", "HIP_VISIBLE_DEVICES": None,
                           "WHARF_LEASE": "7:secret"}}


class Form:
    """The same steps of a lease, blocking or in an event loop on another thread."""

    def __init__(self, form):
        self.loop = asyncio.new_event_loop() if form == "loop" else None
        if self.loop:
            self.thread = threading.Thread(target=self.loop.run_forever)
            self.thread.start()

    def do(self, lease, what):
        if not self.loop:
            return getattr(lease, what)()
        work = getattr(lease, what + "_async")()
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self):
        if self.loop:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()


@pytest.fixture(params=["plain", "loop"])
def form(request):
    f = Form(request.param)
    yield f
    f.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(_lease, "RETRY_S", 0.01)
    monkeypatch.setattr(_events, "RETRY_S", 0.01)


def test_what_a_lease_asks_for(server, form):
    asked = []

    def script(peer, _):
        asked.append(peer.request())
        peer.send(HEAD)
        say(peer, GRANTED)
        peer.fill()

    l = wharf.lease("6GiB", gpus=2, devices=["gpu0", "gpu1"], gates=["mlx"], wharf_class=wharf.NORMAL,
                    timeout="10m", run="1h", revocable=True, grace=30, name="train", key="k",
                    url=url(server(script)))
    form.do(l, "acquire")
    assert (l.id, l.waited_s, l.headers) == ("7", 1.5, {"X-Wharf-Lease": "7:secret"})
    assert l.environment == {"CUDA_VISIBLE_DEVICES": "GPU-1", "WHARF_LEASE": "7:secret"}
    assert "secret" not in repr(l)
    form.do(l, "release")
    line, headers, body = asked[0]
    assert line == "POST /wharf/leases HTTP/1.1" and headers["authorization"] == "Bearer k"
    body = json.loads(body)
    assert body.pop("pid") > 0
    assert body == {"name": "train", "vram": 6 * 1024 ** 3, "gpus": 2, "devices": ["gpu0", "gpu1"],
                    "gates": ["mlx"], "class": "normal", "wait": 600.0, "run": 3600.0,
                    "revocable": True, "grace": 30.0}


def test_refused_while_it_waits(server, form):
    def script(peer, _):
        peer.request()
        peer.send(HEAD)
        say(peer, WAITING, {"ping": True},
            {"lease": "7", "state": "refused", "error": {"code": "wait_expired", "message": "late"}})
        peer.chunk("")

    said = []
    l = wharf.lease("1GiB", url=url(server(script)), on_wait=lambda x: said.append(x.position))
    with pytest.raises(wharf.LeaseTimeout, match="late"):
        form.do(l, "acquire")
    assert said == [2] and l.ended


@pytest.mark.parametrize("then", ["cut", "end", "nonsense"])
def test_the_daemon_goes_while_it_waits(server, form, then):
    def script(peer, _):
        peer.request()
        peer.send(HEAD)
        say(peer, WAITING)
        if then == "end":
            peer.chunk("")
        if then == "nonsense":
            peer.send("zz\r\n")

    with pytest.raises((wharf.Unreachable, wharf.LeaseError)):
        form.do(wharf.lease("1GiB", url=url(server(script))), "acquire")


def test_revoked_then_ended(server, form):
    go_on, told = threading.Event(), []

    def script(peer, _):
        peer.request()
        peer.send(HEAD)
        say(peer, GRANTED, {"lease": "7", "state": "revoked", "reason": "needed", "grace_s": 3})
        go_on.wait(20)
        say(peer, {"lease": "7", "state": "ended", "reason": "its grace is over"})
        peer.chunk("")

    l = wharf.lease("1GiB", url=url(server(script)), on_revoke=lambda x: told.append(x.reason))
    form.do(l, "acquire")
    until(lambda: l.revoked, "the notice")
    assert (l.reason, l.grace_s, l.ended) == ("needed", 3, False)
    go_on.set()
    until(lambda: l.ended, "the end")
    assert told == ["needed"] and l.reason == "its grace is over"
    form.do(l, "release")


def test_it_is_held_again_after_a_restart(server, form):
    asked, held = [], threading.Event()

    def script(peer, number):
        asked.append(peer.request())
        if number == 2:
            return  # the daemon is not there yet
        peer.send(HEAD)
        say(peer, GRANTED)
        if number == 3:
            held.set()
            peer.fill()

    l = wharf.lease("1GiB", url=url(server(script)))
    form.do(l, "acquire")
    assert held.wait(20)
    assert not l.revoked
    form.do(l, "release")
    assert asked[2][0] == "POST /wharf/leases/7 HTTP/1.1"
    assert json.loads(asked[2][2]) == {"token": "secret"}


def test_it_is_lost_in_a_restart(server, form):
    told = threading.Event()

    def script(peer, number):
        peer.request()
        if number == 1:
            peer.send(HEAD)
            say(peer, GRANTED)
        else:
            peer.answer('{"error":{"code":"lease_not_found","message":"no such lease"}}', 404)

    l = wharf.lease("1GiB", url=url(server(script)), on_revoke=lambda _: told.set())
    form.do(l, "acquire")
    assert told.wait(20)
    until(lambda: l.ended, "the end")
    assert "no such lease" in l.reason
    form.do(l, "release")


def test_a_ttl_that_is_refused(server, form):
    asked = []

    def script(peer, _):
        asked.append(peer.request()[0])
        if len(asked) == 1:
            peer.answer(json.dumps({**GRANTED, "expires_s": 0.03}), 201)
        elif len(asked) == 2:
            peer.answer('{"expires_s":0.03}')
        else:
            peer.answer('{"error":{"code":"lease_not_found","message":"it lapsed"}}', 404)

    l = wharf.lease("1GiB", ttl=0.03, url=url(server(script)))
    form.do(l, "acquire")
    until(lambda: l.ended, "the end")
    assert "it lapsed" in l.reason and l.revoked
    form.do(l, "release")
    assert asked[:3] == ["POST /wharf/leases HTTP/1.1"] + ["PUT /wharf/leases/7 HTTP/1.1"] * 2


def test_a_ttl_that_is_asked_back(server, form):
    told = []

    def script(peer, number):
        peer.request()
        answer = {"lease": "7", "state": "revoked", "expires_s": 20} if number > 1 else GRANTED
        peer.answer(json.dumps(answer), 200 if number > 1 else 201)

    l = wharf.lease("1GiB", ttl=0.03, url=url(server(script)), on_revoke=lambda x: told.append(x.grace_s))
    form.do(l, "acquire")
    until(lambda: told, "the notice")
    form.do(l, "release")
    assert told == [20]


def test_a_lease_is_used_again(server, form):
    def script(peer, number):
        peer.request()
        peer.send(HEAD)
        say(peer, {**GRANTED, "lease": str(number)})
        peer.fill()

    l = wharf.lease("1GiB", url=url(server(script)))
    for number in ("1", "2"):
        form.do(l, "acquire")
        assert l.id == number and l.state == "granted"
        with pytest.raises(RuntimeError):
            form.do(l, "acquire")
        form.do(l, "release")


# ---------------------------------------------------------------- events


def stream(peer, *ids, cut=""):
    peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for i in ids:
        data = json.dumps({"id": i, "time": "t", "type": "x", "details": {"n": i}})
        peer.chunk(f": hello\n\nid: {i}\nevent: x\ndata: {data}\n\n")
    if cut:
        peer.chunk(cut)


@FORMS
def test_events_go_on_behind_the_last(server, form):
    asked = []

    def script(peer, number):
        asked.append(peer.request()[1].get("last-event-id"))
        if number == 1:
            stream(peer, 1, 2, cut="id: 3\ndata: {\"id\"")
        elif number == 2:
            return
        else:
            stream(peer, 3, 4)
            peer.fill()

    def plain(address):
        with wharf.Client(address).events() as events:
            return [next(events).id for _ in range(4)]

    async def in_loop(address):
        async with wharf.AsyncClient(address).events() as events:
            return [(await events.__anext__()).id for _ in range(4)]

    address = url(server(script))
    ids = asyncio.run(in_loop(address)) if form == "loop" else plain(address)
    assert ids == [1, 2, 3, 4] and asked == [None, "2", "2"]


@FORMS
def test_events_without_reconnecting(server, form):
    def script(peer, _):
        peer.request()
        stream(peer, 1)

    async def in_loop(address):
        return [e.id async for e in wharf.AsyncClient(address).events(reconnect=False)]

    address = url(server(script))
    with pytest.raises(wharf.Unreachable):
        if form == "loop":
            asyncio.run(in_loop(address))
        else:
            list(wharf.Client(address).events(reconnect=False))


# ---------------------------------------------------------------- answers


@FORMS
@pytest.mark.parametrize("answer,error", [
    ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", wharf.Unreachable),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{", wharf.DaemonError),
    ("HTTP/1.1 503 No\r\nContent-Length: 3\r\nRetry-After: 4\r\n\r\nno!", wharf.DaemonError),
    ("nonsense\r\n\r\n", wharf.Unreachable),
    ("", wharf.Unreachable),
    ("HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 20000 + "\r\n{}", wharf.Unreachable),
])
def test_answers_that_are_none(server, form, answer, error):
    def script(peer, _):
        peer.request()
        peer.send(answer)

    address = url(server(script))
    with pytest.raises(error) as e:
        asyncio.run(wharf.AsyncClient(address).status()) if form == "loop" else \
            wharf.Client(address).status()
    if "503" in answer:
        assert (e.value.status, e.value.retry_after_s, e.value.message) == (503, 4, "no!")


@FORMS
@pytest.mark.parametrize("answer", [
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n{\"a\":1}",
])
def test_framings(server, form, answer):
    def script(peer, _):
        peer.request()
        peer.send(answer)

    address = url(server(script))
    got = asyncio.run(wharf.AsyncClient(address).status()) if form == "loop" else \
        wharf.Client(address).status()
    assert got == {"a": 1}


def test_addresses(monkeypatch, tmp_path):
    monkeypatch.setenv("WHARF_URL", "http://[::1]:99/below/")
    assert str(wharf.Client().address) == "http://[::1]:99/below"
    assert str(wharf.Client("unix:/run/w.sock").address) == "unix:/run/w.sock"
    for bad in ("unix:here", "https://host", "host:80", "ftp://x"):
        with pytest.raises(ValueError):
            wharf.Client(bad)
    monkeypatch.delenv("WHARF_URL")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert str(wharf.Client().address) in ("http://127.0.0.1:8080", "unix:/run/wharf/wharf.sock")


@pytest.mark.parametrize("text,bytes", [("6GiB", 6 << 30), ("1.5 GiB", 3 << 29), ("500MiB", 500 << 20),
                                        (7, 7), ("7", 7), ("2GB", 2 * 10 ** 9), ("0.5kib", 512)])
def test_sizes(text, bytes):
    assert wharf._units.size(text) == bytes


@pytest.mark.parametrize("text,seconds", [("30s", 30), ("10m", 600), (0.5, 0.5), ("500ms", 0.5),
                                          ("1h", 3600), ("2", 2)])
def test_times(text, seconds):
    assert wharf._units.seconds(text) == seconds


@pytest.mark.parametrize("bad", ["", "six", "-1", -1, "6 XiB", "1e3"])
def test_amounts_that_are_none(bad):
    for read in (wharf._units.size, wharf._units.seconds):
        with pytest.raises(ValueError):
            read(bad)
