"""The package against a real daemon: gates and leases, models and modes, events, workers."""

import asyncio
import threading

import pytest

import wharf
from wharf_harness import demo, until

GIB, MIB = 1024 ** 3, 1024 ** 2
QUICK = {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}


def config(**keys):
    return {"gpus": [{"sim": {"name": "gpu0", "memory": "12GiB"}, "sample": "20ms"}],
            "routing": QUICK, "models": {}, **keys}


def gates(**limits):
    return config(gates={name: {"limit": limit} for name, limit in limits.items()})


@pytest.fixture(params=["tcp", "unix"])
def over(request, daemon, tmp_path, monkeypatch):
    """over(config) → a daemon that WHARF_URL names."""
    def start(config):
        if request.param == "unix":
            d = daemon(config, listen=["127.0.0.1:0", f"unix:{tmp_path}/w.sock"])
            monkeypatch.setenv("WHARF_URL", f"unix:{tmp_path}/w.sock")
        else:
            d = daemon(config)
            monkeypatch.setenv("WHARF_URL", d.url)
        return d
    return start


@pytest.fixture
def at(daemon, monkeypatch):
    def start(config, **options):
        d = daemon(config, **options)
        monkeypatch.setenv("WHARF_URL", d.url)
        return d
    return start


def listed():
    return {x["name"]: x for x in wharf.Client().leases()}


# ---------------------------------------------------------------- gates and leases


async def test_a_gate_in_order(at):
    at(gates(mlx=1))
    log = []

    async def run(label, wharf_class):
        async with wharf.gate("mlx", wharf_class, name=label):
            log.append(label)

    async def waits(label):
        while label not in await asyncio.get_running_loop().run_in_executor(None, listed):
            pass

    async with wharf.gate("mlx"):
        tasks = []
        for label, c in (("b0", wharf.BACKGROUND), ("b1", wharf.BACKGROUND), ("f", wharf.FOREGROUND)):
            tasks.append(asyncio.create_task(run(label, c)))
            await asyncio.wait([tasks[-1], asyncio.create_task(waits(label))],
                               return_when=asyncio.FIRST_COMPLETED)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
    await asyncio.gather(*tasks[1:])
    assert log == ["f", "b1"]


def test_a_lease(over):
    d = over(config())
    with wharf.lease(vram="6GiB", name="train") as l:
        assert (l.state, l.devices[0]["bytes"]) == ("granted", 6 * GIB)
        assert l.environment["WHARF_LEASE"].startswith(l.id + ":") and not l.revoked
        assert listed()["train"]["state"] == "granted"
        with pytest.raises(wharf.LeaseTimeout):
            wharf.lease("7GiB", timeout=0).acquire()
        with wharf.lease("5GiB", timeout=0):
            pass
    assert l.ended
    until(lambda: not listed(), "it is given back")
    assert d.get("/health").status == 200


async def test_a_lease_in_a_loop(over):
    over(config())
    async with wharf.lease(vram="6GiB", name="train") as l:
        assert l.devices[0]["bytes"] == 6 * GIB
        with pytest.raises(wharf.LeaseTimeout):
            await wharf.lease("7GiB", timeout=0).acquire_async()
    assert l.ended


def test_how_a_lease_stands(at):
    at(gates(jobs=1))
    said = []
    with wharf.gate("jobs"):
        waiting = wharf.gate("jobs", on_wait=lambda l: said.append((l.state, l.position)))
        thread = threading.Thread(target=waiting.acquire)
        thread.start()
        until(lambda: said, "that it waits")
        assert said[0] == ("waiting", 1) and waiting.waits_for
    thread.join()
    assert waiting.state == "granted" and waiting.waited_s >= 0
    waiting.release()
    waiting.release()


def test_refusals(at):
    at(gates(jobs=1))
    with pytest.raises(wharf.LeaseError, match="jobs") as e:
        wharf.gate("none").acquire()
    assert e.value.status == 400
    with pytest.raises(wharf.LeaseError) as e:
        wharf.lease("99GiB").acquire()
    assert (e.value.status, e.value.code) == (507, "insufficient_memory")
    with pytest.raises(ValueError):
        wharf.lease()
    with pytest.raises(ValueError):
        wharf.lease("6 pieces")
    with wharf.gate("jobs"), pytest.raises(wharf.LeaseTimeout):
        wharf.gate("jobs", timeout=0.05).acquire()


def test_revoked(at):
    at(config(models={"m": demo("m", vram="8GiB")}))
    told = threading.Event()
    with wharf.lease("8GiB", revocable=True, grace="30s", on_revoke=lambda l: told.set(),
                     wharf_class=wharf.BACKGROUND) as l:
        answers = []
        load = threading.Thread(target=lambda: answers.append(wharf.Client().ensure_loaded("m")))
        load.start()
        assert told.wait(20) and l.revoked and not l.ended
        assert l.grace_s and l.reason
    load.join()
    assert answers[0]["state"] == "loaded"


@pytest.mark.parametrize("form", ["plain", "loop"])
def test_ttl(at, form):
    """It is renewed by itself for far longer than its ttl, and given back at the end."""
    at(config())

    def renewals():
        return listed()["t"]["expires_s"]

    def watch():
        first = renewals()
        until(lambda: renewals() < first, "its time runs")
        until(lambda: renewals() > 0.8, "it is renewed")

    async def in_loop():
        async with wharf.lease("1GiB", ttl="1s", name="t"):
            for _ in range(2):
                await asyncio.get_running_loop().run_in_executor(None, watch)

    if form == "loop":
        asyncio.run(in_loop())
    else:
        with wharf.lease("1GiB", ttl="1s", name="t"):
            for _ in range(2):
                watch()
    until(lambda: not listed(), "it is given back")


@pytest.mark.parametrize("form", ["plain", "loop"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_lease_outlives_the_daemon(at, form, how):
    d = at(config(gates={"jobs": {"limit": 1}}))
    d.listen = d.addresses[0]

    def again(lease):
        getattr(d, how)()
        d.start()
        until(lambda: listed().get("t", {}).get("held"), "it is held again")
        assert not lease.revoked
        with pytest.raises(wharf.LeaseTimeout):
            wharf.gate("jobs", timeout=0).acquire()

    async def in_loop():
        async with wharf.lease("6GiB", gates=["jobs"], name="t") as l:
            await asyncio.get_running_loop().run_in_executor(None, again, l)

    if form == "loop":
        asyncio.run(in_loop())
    else:
        with wharf.lease("6GiB", gates=["jobs"], name="t") as l:
            again(l)
    until(lambda: not listed(), "it is given back")


# ---------------------------------------------------------------- models, modes, events


def test_models(over):
    over(config(models={"a b": demo("a b", vram="1GiB"), "m": demo("m", vram="12GiB")},
                modes={"work": {"m": "loaded"}}))
    c = wharf.Client()
    assert [m["id"] for m in c.models()] == ["a b", "m"]
    assert c.ensure_loaded("a b")["state"] == "loaded" and c.model("a b")["state"] == "loaded"
    assert [x["model"] for x in c.plan("m")["leaves"]] == ["a b"]
    assert c.pin("a b")["pinned"] and not c.pin("a b", False)["pinned"]
    assert c.set_mode("work")["reached"] is True and c.mode()["mode"] == "work"
    assert c.model("a b")["state"] == "unloaded", "it had to leave"
    assert c.ensure_unloaded("a b")["state"] == "unloaded"
    assert c.decisions("a b") and c.queue()["waiting"] == 0
    assert c.devices()[0]["own_bytes"] == 12 * GIB and c.status()["mode"] == "work"
    for call, status in ((lambda: c.model("none"), 404), (lambda: c.set_mode("none"), 404),
                         (lambda: c.move("m", "cpu"), 400)):
        with pytest.raises(wharf.DaemonError) as e:
            call()
        assert e.value.status == status and e.value.code and e.value.message


async def test_models_in_a_loop(over):
    over(config(models={"m": demo("m", vram="1GiB")}, modes={"work": {"m": "loaded"}}))
    c = wharf.AsyncClient()
    assert (await c.ensure_loaded("m"))["state"] == "loaded"
    assert (await c.ensure_unloaded("m", force=True))["state"] == "unloaded"
    assert (await c.set_mode("work"))["reached"] is True
    assert [m["id"] for m in await c.models()] == ["m"]
    assert (await c.mode())["mode"] == "work" and (await c.model("m"))["state"] == "loaded"
    assert await c.decisions("m") is not None and (await c.queue())["waiting"] == 0
    assert (await c.status())["loaded"] == 1 and len(await c.devices()) == 1
    assert await c.leases() == [] and (await c.plan(vram="1GiB"))["verdict"] == "go"
    assert (await c.pin("m"))["pinned"] is True
    with pytest.raises(wharf.DaemonError):
        await c.suspend("m")
    with pytest.raises(wharf.DaemonError):
        await c.call("GET", "/wharf/none")


def test_events(over):
    over(config(models={"m": demo("m", vram="1GiB")}))
    c = wharf.Client()
    with c.events() as events:
        c.ensure_loaded("m")
        seen = next(e for e in events if e.type == "model_loaded")
    assert seen.details["model"] == "m" and seen.id == events.last_id
    c.ensure_unloaded("m")
    with c.events(since=seen.id) as again:
        later = next(again)
        assert later.id > seen.id
        assert next(e for e in again if e.type == "model_unloaded").details["model"] == "m"


async def test_events_in_a_loop(over):
    over(config(models={"m": demo("m", vram="1GiB")}))
    c = wharf.AsyncClient()
    async with c.events() as events:
        await c.ensure_loaded("m")
        async for seen in events:
            if seen.type == "model_loaded":
                break
    assert seen.details["model"] == "m" and seen.id == events.last_id


def test_a_closed_stream_ends(at):
    at(config())
    events = wharf.Client().events()
    ended = threading.Thread(target=lambda: list(events))
    ended.start()
    events.close()
    ended.join(10)
    assert not ended.is_alive()


def test_nobody_there(tmp_path):
    for url in (f"unix:{tmp_path}/none.sock", "http://127.0.0.1:9"):
        for call in (wharf.Client(url).status, wharf.Client(url).events,
                     wharf.lease("1GiB", url=url).acquire):
            with pytest.raises(wharf.Unreachable):
                call()
        with pytest.raises(wharf.Unreachable):
            asyncio.run(wharf.AsyncClient(url).status())


def test_a_key(daemon):
    d = daemon(config(apiKeys=["secret"]))
    with pytest.raises(wharf.DaemonError) as e:
        wharf.Client(d.url).status()
    assert e.value.status == 401
    assert wharf.Client(d.url, key="secret").status()["state"] == "serving"
    assert "secret" not in repr(wharf.Client(d.url, key="secret"))


# ---------------------------------------------------------------- workers

CLIP = {"clip": {"backend": "worker",
                 "devices": {"cuda": {"vram": "500MiB", "minFree": "1GiB"}, "cpu": {}}}}


class Model:
    """Moves, or does what the test wants instead."""

    def __init__(self):
        self.at, self.fail, self.good = ["cpu"], None, True

    def to(self, device):
        if self.fail:
            raise RuntimeError(self.fail)
        self.at.append(device)

    def check(self):
        return self.good


def test_a_worker(over):
    over(config(models=CLIP))
    m, c = Model(), wharf.Client()
    with wharf.Worker("clip", m.to, check=m.check) as w:
        assert w.wait_registered(10) and w.registered
        until(lambda: c.model("clip")["state"] == "loaded", "it is taken over")
        assert c.model("clip")["device"] is None and m.at == ["cpu"]
        assert c.move("clip", "cuda")["device"] == "gpu0" and w.device == "cuda"
        assert c.move("clip", "cpu")["device"] is None
        m.good = False
        with pytest.raises(wharf.DaemonError, match="something else"):
            c.move("clip", "cuda")
        assert m.at == ["cpu", "cuda", "cpu", "cuda", "cpu"] and w.device == "cpu"
        m.good, m.fail = True, "out of ideas"
        with pytest.raises(wharf.DaemonError, match="out of ideas"):
            c.move("clip", "cuda")
        m.fail = None
        assert c.ensure_unloaded("clip")["state"] == "unloaded" and m.at[-1] is None
        assert c.ensure_loaded("clip")["state"] == "loaded" and m.at[-1] == w.device
    until(lambda: c.model("clip")["state"] == "unloaded", "it has left")


async def test_a_worker_in_a_loop(over):
    over(config(models=CLIP))
    m, c, loops = Model(), wharf.AsyncClient(), []

    async def to(device):
        loops.append(asyncio.get_running_loop())
        m.to(device)

    async with wharf.Worker("clip", to) as w:
        while not w.registered or (await c.model("clip"))["state"] != "loaded":
            await asyncio.sleep(0)
        assert (await c.move("clip", "cuda"))["device"] == "gpu0"
        assert (await c.move("clip", "cpu"))["device"] is None
    assert m.at == ["cpu", "cuda", "cpu"] and set(loops) == {asyncio.get_running_loop()}


def test_a_worker_that_is_refused(at):
    at(config(models=CLIP))
    with wharf.Worker("none", print) as w:
        with pytest.raises(wharf.DaemonError, match="none"):
            w.wait_registered(10)
    with pytest.raises(wharf.DaemonError):
        wharf.Worker("none", print).run()


def test_a_worker_comes_back(at):
    d = at(config(models=CLIP))
    m = Model()
    with wharf.Worker("clip", m.to) as w:
        assert w.wait_registered(10)
        d.listen = d.addresses[0]
        d.stop()
        until(lambda: not w.registered, "it has noticed")
        d.start()
        assert w.wait_registered(20)
        until(lambda: wharf.Client().model("clip")["state"] == "loaded", "it is taken over")
    assert m.at == ["cpu"]
