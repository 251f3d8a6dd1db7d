"""Gates in the process: order, cancellation, threads and event loops on one gate, and what they cost."""

import asyncio
import gc
import os
import queue
import signal
import threading
import time

import pytest

import wharf
from wharf import BACKGROUND, FOREGROUND, NORMAL, Gate
from wharf_harness import until


async def waiting(gate, count):
    while gate.stats.waiting != count:
        await asyncio.sleep(0)


async def start(gate, log, *entries):
    """A task for each (class, label), in that order; returns once all of them wait."""
    async def run(wharf_class, label):
        async with gate.hold(wharf_class):
            log.append(label)

    before, tasks = gate.stats.waiting, []
    for n, entry in enumerate(entries, 1):
        tasks.append(asyncio.create_task(run(*entry)))
        await waiting(gate, before + n)
    return tasks


async def test_order():
    gate, log = Gate(1), []
    async with gate:
        tasks = await start(gate, log, (BACKGROUND, "b0"), (NORMAL, "n0"), (FOREGROUND, "f0"),
                            (BACKGROUND, "b1"), (FOREGROUND, "f1"), (NORMAL, "n1"))
    await asyncio.gather(*tasks)
    assert log == ["f0", "f1", "n0", "n1", "b0", "b1"]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_limit(limit):
    gate, inside, most = Gate(limit), set(), 0

    async def run(i):
        nonlocal most
        async with gate.hold(NORMAL):
            inside.add(i)
            most = max(most, len(inside))
            await asyncio.sleep(0)
            inside.remove(i)

    await asyncio.gather(*map(run, range(50)))
    assert most == limit and gate.stats.inside == 0


async def test_a_cancelled_waiter_is_skipped():
    gate, log = Gate(1), []
    async with gate:
        tasks = await start(gate, log, *[(BACKGROUND, i) for i in range(4)])
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.gather(tasks[0], tasks[2], return_exceptions=True)
        assert gate.stats.waiting == 2
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log == [1, 3] and gate.stats.cancelled == 2 and gate.stats.inside == 0


async def test_cancelled_in_the_turn_in_which_it_is_granted():
    """The slot passes on: nobody is inside who does not run, and the gate is not stuck."""
    gate, log = Gate(1), []
    gate.acquire()
    tasks = await start(gate, log, (FOREGROUND, "f"), (BACKGROUND, "b"))
    gate.release()  # granted in the library; the task has not run yet
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log == ["b"] and gate.stats.inside == 0


async def test_cancelled_after_it_was_told():
    gate, log = Gate(1), []
    gate.acquire()
    tasks = await start(gate, log, (FOREGROUND, "f"))
    gate.release()
    asyncio.get_running_loop().call_later(0, tasks[0].cancel)  # after the inbox, before the task
    wait = next(iter(wharf._waits.hub()._waits.values()))
    await asyncio.wait([wait.future])
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert gate.stats.inside == 0


async def test_timeouts():
    gate = Gate(1)
    async with gate:
        for timeout in (0, 0.001, "1ms"):
            with pytest.raises(wharf.Timeout):
                await gate.acquire_async(FOREGROUND, timeout)
            with pytest.raises(TimeoutError):
                async with gate.hold(timeout=timeout):
                    raise AssertionError("it is inside")
        assert gate.stats.waiting == 0 and not gate.try_acquire()
    assert gate.try_acquire()


async def test_what_makes_no_sense():
    gate = Gate(1)
    with pytest.raises(RuntimeError):
        gate.release()
    with pytest.raises(ValueError):
        gate.acquire(7)
    with pytest.raises(ValueError):
        await gate.acquire_async(7)
    for limit in (0, -1, 2 ** 24, 2 ** 40):
        with pytest.raises(ValueError):
            Gate(limit)


async def test_close():
    gate, log = Gate(1), []
    gate.acquire()
    tasks = await start(gate, log, (FOREGROUND, "f"), (BACKGROUND, "b"))
    errors = queue.Queue()

    def block():
        try:
            gate.acquire()
        except wharf.Closed as e:
            errors.put(e)

    thread = threading.Thread(target=block)
    thread.start()
    await waiting(gate, 3)
    gate.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    thread.join()
    assert [type(r) for r in results] == [wharf.Closed] * 2 and log == [] and errors.qsize() == 1
    with pytest.raises(wharf.Closed):
        await gate.acquire_async()
    gate.release()


async def test_close_from_a_thread():
    gate, log = Gate(1), []
    gate.acquire()
    tasks = await start(gate, log, (FOREGROUND, "f"))
    await asyncio.get_running_loop().run_in_executor(None, gate.close)
    assert isinstance((await asyncio.gather(*tasks, return_exceptions=True))[0], wharf.Closed)


async def test_ageing():
    gate, log = Gate(1, max_wait={BACKGROUND: "1ms"}), []
    async with gate:
        tasks = await start(gate, log, (BACKGROUND, "b"), (FOREGROUND, "f"))
        await asyncio.sleep(0.002)  # that is what it has waited
    await asyncio.gather(*tasks)
    assert log == ["b", "f"]


async def test_no_future_while_nobody_waits(monkeypatch):
    gate, made = Gate(2), []
    monkeypatch.setattr(asyncio.get_running_loop(), "create_future", lambda: made.append(1),
                        raising=False)
    async with gate, gate.hold(FOREGROUND):
        assert gate.stats.inside == 2
    await gate.acquire_async()
    gate.release()
    assert made == []


# ---------------------------------------------------------------- threads


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_threads_in_order():
    gate, log, threads = Gate(1), [], []

    def run(wharf_class, label):
        with gate.hold(wharf_class):
            log.append(label)

    with gate:
        for n, (c, label) in enumerate([(BACKGROUND, "b0"), (FOREGROUND, "f0"), (BACKGROUND, "b1"),
                                        (FOREGROUND, "f1")], 1):
            threads.append(in_thread(lambda c=c, label=label: run(c, label)))
            until(lambda n=n: gate.stats.waiting == n, "it waits")
    for t in threads:
        t.join()
    assert log == ["f0", "f1", "b0", "b1"]


def test_threads_and_loops_share_a_gate():
    gate, inside, most, lock = Gate(2), set(), [0], threading.Lock()

    def note(i):
        with lock:
            inside.add(i)
            most[0] = max(most[0], len(inside))
        with lock:
            inside.remove(i)

    def plain(start):
        for i in range(200):
            with gate.hold(NORMAL):
                note(start + i)

    async def run(start):
        for i in range(100):
            async with gate.hold(FOREGROUND):
                note(start + i)
                await asyncio.sleep(0)

    async def several(start):
        await asyncio.gather(*(run(start + 1000 * i) for i in range(5)))

    threads = [in_thread(lambda s=s: plain(s)) for s in (10000, 20000)]
    threads += [in_thread(lambda s=s: asyncio.run(several(s))) for s in (30000, 40000)]
    for t in threads:
        t.join()
    stats = gate.stats
    assert most[0] <= 2 and stats.inside == 0 and stats.waiting == 0
    assert stats.entered == 2 * 200 + 2 * 500


def test_a_blocked_thread_is_cancelled():
    gate, cancel, errors = Gate(1), wharf.Cancel(), []

    def block():
        try:
            gate.acquire(cancel=cancel)
        except wharf.Cancelled as e:
            errors.append(e)

    with gate:
        thread = in_thread(block)
        until(lambda: gate.stats.waiting == 1, "it waits")
        cancel.set()
        thread.join()
        with pytest.raises(wharf.Cancelled):
            gate.acquire(cancel=cancel)
    assert len(errors) == 1 and gate.stats.inside == 0


def test_ctrl_c_ends_a_wait_of_the_main_thread():
    gate = Gate(1)
    gate.acquire()
    old = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press():
        until(lambda: gate.stats.waiting == 1, "it waits")
        os.kill(os.getpid(), signal.SIGINT)

    thread = in_thread(press)
    try:
        with pytest.raises(KeyboardInterrupt):
            gate.acquire()
    finally:
        signal.signal(signal.SIGINT, old)
        thread.join()
    assert gate.stats.waiting == 0 and gate.stats.inside == 1


def test_a_loop_that_is_closed_with_waits_in_it():
    gate = Gate(1)
    gate.acquire()
    before = len(os.listdir("/proc/self/fd"))
    gc.disable()  # so that all of them are there at once
    for count in range(1, 21):
        loop = asyncio.new_event_loop()
        task = loop.create_task(gate.acquire_async())
        loop.run_until_complete(waiting(gate, count))
        loop.close()
        task._log_destroy_pending = False
        del loop, task
    gc.enable()
    gc.collect()
    assert gate.stats.waiting == 0
    gate.release()
    assert gate.stats.inside == 0
    assert len(os.listdir("/proc/self/fd")) <= before + 2, "inboxes of loops that are gone"


def test_a_gate_that_is_dropped_along_with_its_loop():
    for _ in range(20):
        gate, loop = Gate(1), asyncio.new_event_loop()
        gate.acquire()
        tasks = [loop.create_task(gate.acquire_async()) for _ in range(3)]
        loop.run_until_complete(waiting(gate, 3))
        gate.release()  # one is granted, and never told
        loop.close()
        for task in tasks:
            task._log_destroy_pending = False
        del gate, loop, tasks, task
        gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, Gate)]


# ---------------------------------------------------------------- what it costs


async def test_a_thousand_background_waiters_do_not_slow_the_foreground():
    """Foreground comes in next, and as quickly as if nobody else waited: in milliseconds."""
    gate, log = Gate(1), []
    await gate.acquire_async()
    tasks = await start(gate, log, *[(BACKGROUND, i) for i in range(1000)])
    took = []
    for _ in range(20):
        task = asyncio.create_task(gate.acquire_async(FOREGROUND))
        await waiting(gate, 1001)
        began = time.perf_counter()
        gate.release()
        await task
        took.append(time.perf_counter() - began)
        assert log == []
    assert sorted(took)[10] < 0.01, took
    gate.release()
    await asyncio.gather(*tasks)
    assert log == list(range(1000))


async def test_a_semaphore_is_not_much_cheaper():
    """Without anybody who waits, within a small factor of asyncio's own, in the same run."""
    async def measure(thing):
        began = time.perf_counter()
        for _ in range(20000):
            async with thing:
                pass
        return time.perf_counter() - began

    gate, semaphore = Gate(1), asyncio.Semaphore(1)
    ratios = [await measure(gate) / await measure(semaphore) for _ in range(5)]
    assert min(ratios) < 5, ratios
