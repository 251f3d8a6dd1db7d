"""The fourth seed's six scenarios of a priority gate, under their own names, against
wharf.compat.llm_gate. Tasks are let run by yielding to the loop until the gate says that they wait."""

import asyncio

import pytest

from wharf.compat import llm_gate
from wharf.compat.llm_gate import (DEFAULT_PRIORITY, Priority, _reset_for_test, acquire_mlx_gate,
                                   get_mlx_gate)

FG, BG = Priority.FOREGROUND, Priority.BACKGROUND
pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def fresh_gate():
    _reset_for_test()
    yield
    _reset_for_test()


async def waiting(count):
    while llm_gate._gate.stats.waiting != count:
        await asyncio.sleep(0)


class Callers:
    """Tasks that come in as `label`, say so, and stay until they are let go."""

    def __init__(self):
        self.log, self.tasks, self.let_go, self.changed = [], {}, {}, asyncio.Event()

    async def _run(self, label, gate, stays):
        async with gate:
            self.log.append(label)
            self.changed.set()
            if stays:
                await self.let_go[label].wait()

    async def start(self, label, gate, stays=True, waits=None):
        """waits: how many wait once it does; None: it comes in."""
        self.let_go[label] = asyncio.Event()
        self.tasks[label] = asyncio.create_task(self._run(label, gate, stays))
        await (self.inside(label) if waits is None else waiting(waits))

    async def inside(self, label):
        while label not in self.log:
            self.changed.clear()
            await self.changed.wait()

    def leave(self, label):
        self.let_go[label].set()

    async def done(self):
        for event in self.let_go.values():
            event.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        return self.log


async def test_fifo_within_same_priority():
    c = Callers()
    await c.start("bg1", acquire_mlx_gate(BG))
    await c.start("bg2", acquire_mlx_gate(BG), waits=1)
    await c.start("bg3", acquire_mlx_gate(BG), waits=2)
    assert await c.done() == ["bg1", "bg2", "bg3"]


async def test_foreground_jumps_queue():
    c = Callers()
    await c.start("bg0", acquire_mlx_gate(BG))
    for i in range(1, 5):
        await c.start(f"bg{i}", acquire_mlx_gate(BG), waits=i)
    await c.start("fg", acquire_mlx_gate(FG), waits=5)
    c.leave("bg0")
    await c.inside("fg")
    assert c.log == ["bg0", "fg"]
    c.leave("fg")
    await c.inside("bg1")
    assert c.log == ["bg0", "fg", "bg1"]
    assert await c.done() == ["bg0", "fg", "bg1", "bg2", "bg3", "bg4"]


async def test_long_running_background_blocks_foreground():
    c = Callers()
    await c.start("bg", acquire_mlx_gate(BG))
    await c.start("fg", acquire_mlx_gate(FG), waits=1)
    for _ in range(100):
        await asyncio.sleep(0)
    assert c.log == ["bg"] and llm_gate._gate.stats.inside == 1
    c.leave("bg")
    await c.inside("fg")
    assert await c.done() == ["bg", "fg"]


async def test_mixed_concurrent_enqueue():
    c = Callers()
    await c.start("holder", acquire_mlx_gate(BG))
    for n, label in enumerate(["fg0", "bg0", "fg1", "bg1", "bg2"], 1):
        gate = acquire_mlx_gate(FG if label.startswith("fg") else BG)
        await c.start(label, gate, stays=False, waits=n)
    assert (await c.done())[1:] == ["fg0", "fg1", "bg0", "bg1", "bg2"]


async def test_backward_compat_get_mlx_gate():
    c = Callers()
    await c.start("holder", acquire_mlx_gate(BG))
    await c.start("legacy", get_mlx_gate(), waits=1)
    await c.start("fg", acquire_mlx_gate(FG), waits=2)
    assert (await c.done())[1:] == ["fg", "legacy"]
    assert DEFAULT_PRIORITY is BG and (FG, BG) == (0, 100)


async def test_cancelled_waiter_skip():
    c = Callers()
    await c.start("bg1", acquire_mlx_gate(BG))
    await c.start("bg2", acquire_mlx_gate(BG), waits=1)
    await c.start("fg1", acquire_mlx_gate(FG), waits=2)
    c.tasks["bg2"].cancel()
    with pytest.raises(asyncio.CancelledError):
        await c.tasks["bg2"]
    assert await c.done() == ["bg1", "fg1"]
    assert llm_gate._gate.stats.cancelled == 1
    assert llm_gate._gate.try_acquire(), "the gate is stuck"


async def test_the_fast_path_allocates_no_future(monkeypatch):
    """What the seed's document says of its gate, and its scenarios do not try."""
    loop = asyncio.get_running_loop()
    made = []
    monkeypatch.setattr(loop, "create_future", lambda: made.append(1), raising=False)
    for _ in range(3):
        async with acquire_mlx_gate(BG):
            pass
    assert made == []


async def test_a_starving_background_request_is_warned_of(monkeypatch, caplog):
    c = Callers()
    monkeypatch.setattr(llm_gate, "STARVING_S", 0.0)
    await c.start("bg1", acquire_mlx_gate(BG))
    await c.start("fg", acquire_mlx_gate(FG), waits=1)
    await c.start("bg2", acquire_mlx_gate(BG), waits=2)
    await c.done()
    assert [r.message for r in caplog.records] == ["a background request has waited 0 s for the gate"]
