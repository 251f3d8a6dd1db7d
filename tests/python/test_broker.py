"""A broker from Python: its callbacks, its two forms, cancellation and its end. What it decides is
tested where it is written (tests/lib, tests/unit, tests/golden)."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

import wharf
from wharf import Broker, Device, Model, Place
from wharf_harness import ROOT, until

GIB = 1 << 30
VLM = Model("vlm", [Place("cuda", "10.5GiB")], slots=2)
CLIP = Model("clip", [Place("cuda", "500MiB", "1GiB"), Place("cpu")], movable=True, yields=True)
MODES = {"recording": {"vlm": "loaded", "clip": "cpu"}, "autopilot": {"vlm": "unloaded", "clip": "cuda"}}


class World:
    """What is done, and whether it may be."""

    def __init__(self):
        self.said, self.error, self.events = [], None, []
        self.let = threading.Event()
        self.let.set()

    def load(self, model, device):
        assert self.let.wait(20)
        self.said.append(f"load {model} {device}")
        if self.error:
            raise self.error

    def unload(self, model):
        self.said.append(f"unload {model}")

    def move(self, model, device):
        self.said.append(f"move {model} {device}")
        return self.error is None


@pytest.fixture
def world():
    return World()


@pytest.fixture
def make(world):
    made = []

    def start(**options):
        keys = {"devices": [Device("cuda", "12GiB")], "models": [VLM, CLIP], "modes": MODES,
                "gates": {"jobs": 2}, "load": world.load, "unload": world.unload,
                "move": world.move, "event": world.events.append, **options}
        made.append(Broker(**keys))
        return made[-1]

    yield start
    world.let.set()
    for b in made:
        b.close()


def test_modes(make, world):
    b = make()
    b.found("clip", "cpu")
    for mode, said in (("recording", ["load vlm cuda"]), ("autopilot", ["unload vlm", "move clip cuda"]),
                       ("recording", ["move clip cpu", "load vlm cuda"])):
        world.said.clear()
        b.set_mode(mode)
        assert (b.mode, world.said) == (mode, said)
    assert b.model("clip").device == "cpu" and b.device("cuda").own == b.model("vlm").bytes
    b.set_mode(None)
    assert b.mode is None
    until(lambda: any(e.type == "device_changed" and e.model == "clip" for e in world.events), "events")


async def test_the_other_form(make, world):
    b = make()
    await b.load_async("vlm")
    with await b.enter_async("vlm") as one, await b.enter_async("vlm"):
        assert (one.device, b.model("vlm").running) == ("cuda", 2)
        with pytest.raises(wharf.Timeout):
            await b.enter_async("vlm", timeout="1ms")
    await b.unload_async("vlm")
    with await b.lease_async("4GiB", gates=["jobs"], device="cuda") as held:
        assert held.device == "cuda" and b.device("cuda").leased == 4 * GIB
    await b.load_async("clip")
    await b.move_async("clip", "cpu")
    await b.set_mode_async("autopilot")
    assert b.model("clip").device == "cuda"


async def test_coroutines_run_in_the_loop(make):
    loops = []

    async def load(model, device):
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)

    b = make(load=load)
    await b.load_async("vlm")
    await asyncio.get_running_loop().run_in_executor(None, b.load, "clip")
    assert loops == [asyncio.get_running_loop()] * 2


def test_coroutines_without_a_loop(make):
    async def load(model, device):
        await asyncio.sleep(0)

    b = make(load=load)
    b.load("vlm")
    assert b.model("vlm").state == "loaded"


@pytest.mark.parametrize("error", [RuntimeError("no"), MemoryError(), KeyboardInterrupt()])
def test_a_load_that_fails(make, world, error):
    b = make(models=[VLM], modes={})
    world.error = error
    with pytest.raises(wharf.Error) as e:
        b.load("vlm")
    assert str(e.value)
    assert b.model("vlm").state in ("error", "unloaded")


@pytest.mark.parametrize("call,error", [
    (lambda b: b.load("none"), wharf.NotFound), (lambda b: b.move("clip", "gpu9"), wharf.NotFound),
    (lambda b: b.set_mode("none"), wharf.NotFound), (lambda b: b.lease(), ValueError),
    (lambda b: b.lease("13GiB"), wharf.NoRoom), (lambda b: b.lease(1, device="none"), wharf.NotFound),
    (lambda b: b.enter("vlm", 7), ValueError), (lambda b: b.model("none"), wharf.NotFound),
    (lambda b: b.device("none"), wharf.NotFound), (lambda b: b.found("none", None), wharf.NotFound),
    (lambda b: b.lease(gates=["none"]), wharf.NotFound)])
def test_orders_that_make_no_sense(make, call, error):
    with pytest.raises(error):
        call(make())


@pytest.mark.parametrize("setup", [
    {"models": [VLM, VLM]}, {"modes": {"m": {"none": "loaded"}}}, {"gates": {"g": 0}},
    {"devices": [Device("cpu", 1)]}, {"load": None}])
def test_setups_that_make_no_sense(make, setup):
    with pytest.raises(ValueError):
        make(**setup)


async def test_cancelled_tasks(make, world):
    """One that waits, one that has been given a lease in the same turn, and a load, which goes on."""
    b = make()
    held = [b.lease(gates=["jobs"]) for _ in range(2)]
    waiting = [asyncio.create_task(b.lease_async(gates=["jobs"])) for _ in range(2)]
    await asyncio.sleep(0)
    held[0].leave()  # the first of them is granted, and does not know yet
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    (await waiting[1]).leave()
    held[1].leave()
    with b.lease(gates=["jobs"], timeout=0), b.lease(gates=["jobs"], timeout=0):
        pass
    world.let.clear()
    load = asyncio.create_task(b.load_async("vlm"))
    while b.model("vlm").state != "loading":
        await asyncio.sleep(0)
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)
    assert load.cancelled()


def test_a_blocking_call_is_cancelled(make, world):
    b, cancel, errors = make(), wharf.Cancel(), []
    world.let.clear()

    def run():
        try:
            b.load("vlm", cancel=cancel)
        except wharf.Cancelled as e:
            errors.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: b.model("vlm").state == "loading", "it loads")
    cancel.set()
    thread.join()
    assert len(errors) == 1


def test_ctrl_c(make, world):
    b = make()
    held = [b.lease(gates=["jobs"]) for _ in range(2)]
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            b.lease(gates=["jobs"])
    finally:
        signal.signal(signal.SIGINT, old)
        timer.join()
    for h in held:
        h.leave()
    with b.lease(gates=["jobs"], timeout=0), b.lease(gates=["jobs"], timeout=0):
        pass


async def test_closed_under_those_who_wait(make):
    b = make()
    for _ in range(2):
        b.lease(gates=["jobs"])
    errors = []

    def run():
        try:
            b.lease(gates=["jobs"])
        except wharf.Error as e:
            errors.append(type(e))

    thread = threading.Thread(target=run)
    thread.start()
    task = asyncio.create_task(b.lease_async(gates=["jobs"]))
    await asyncio.sleep(0)
    await asyncio.get_running_loop().run_in_executor(None, b.close)
    results = await asyncio.gather(task, return_exceptions=True)
    thread.join()
    assert isinstance(results[0], wharf.Closed) and errors[0] in (wharf.Cancelled, wharf.Closed)
    b.close()
    for late in (lambda: b.load("vlm"), lambda: b.mode):
        with pytest.raises(wharf.Closed):
            late()


def test_what_is_used_behind_its_back(make):
    used = [0]
    b = make(models=[], modes={}, load=None, unload=None, move=None, sample=lambda device: used[0])
    assert b.device("cuda").free == 12 * GIB
    used[0] = 5 * GIB
    b.sample()
    assert (b.device("cuda").foreign, b.device("cuda").free) == (5 * GIB, 7 * GIB)
    with pytest.raises(wharf.Timeout):
        b.lease("8GiB", timeout=0)


def test_the_end_of_the_process():
    """With a broker open, a load under way, threads in gates and a loop with waits in it."""
    code = """if True:
        import asyncio, threading, wharf
        gate = wharf.Gate(1)
        gate.acquire()
        began = threading.Event()
        broker = wharf.Broker(models=[wharf.Model("m", [wharf.Place("cpu")])],
                              load=lambda m, d: began.set(), unload=print)
        threading.Thread(target=broker.load, args=("m",), daemon=True).start()
        threading.Thread(target=gate.acquire, daemon=True).start()
        loop = asyncio.new_event_loop()
        task = loop.create_task(gate.acquire_async())
        loop.run_until_complete(asyncio.sleep(0))
        began.wait()
        print("over")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python")})
    assert (done.returncode, done.stdout) == (0, "over\n"), done
