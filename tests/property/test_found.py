"""Bugs of the core that the property tests have found, and that have been mended: each the shortest way
to it. What breaks is printed as a golden trace."""

import pytest

pytest.importorskip("hypothesis", reason="no Hypothesis: tools/venv installs it")

from core import GIB, MIB, MS, S, Ask, Model  # noqa: E402
from world import CLIP, VLM, Config, World, seed_models  # noqa: E402
from worlds import rest  # noqa: E402

CUDA, CPU = 0, 1


@pytest.fixture
def make():
    made = []

    def start(config=None, **fields):
        made.append(World(config or Config(seed_models())))
        vars(made[-1]).update(fields)
        return made[-1]
    yield start
    for w in made:
        w.close()


def with_clip_on_cuda(w):
    tag = w.request(CLIP)
    w.finish(CLIP)
    w.hold(w.engines[CLIP].placement == CUDA, "CLIP is at %s", w.engines[CLIP].placement)
    w.leave(tag)


def test_victim_that_could_not_move_is_unloaded(make):
    w = make()
    with_clip_on_cuda(w)
    tag = w.request(VLM)
    w.finish(CLIP, 1)
    w.settle(serve=False)
    w.hold(w.clients[tag].state == "inside", "#%d still waits", tag)


def test_victim_that_could_not_be_suspended_is_unloaded(make):
    models = [Model("sleepy", dict(device_mask=1, bytes=8 * GIB), suspends=1),
              Model("other", dict(device_mask=1, bytes=8 * GIB))]
    w = make(Config(models, suspend_bytes=16 * GIB))
    tag = w.request(0)
    w.finish(0)
    w.leave(tag)
    tag = w.request(1)
    w.finish(0, 1)
    w.settle(serve=False)
    w.hold(w.clients[tag].state == "inside", "#%d still waits", tag)


def test_next_at_the_gate_after_a_lease_of_bytes(make):
    w = make(Config(seed_models(), gates=(2,)))
    running = w.request(VLM)
    tags = [w.ask(Ask("normal", 1, 1, 2 * GIB, gates=1)) for _ in range(2)]
    w.finish(VLM)
    w.leave(running)
    w.finish(VLM)
    w.settle(serve=False)
    w.hold(all(w.clients[t].state == "inside" for t in tags), "a lease still waits")


def test_demotion_that_failed_is_tried_again(make):
    w = make()
    with_clip_on_cuda(w)
    w.set_mode("recording")
    w.finish(CLIP, 1)
    w.settle()
    w.check_wishes()


def test_promotion_that_failed_is_tried_again(make):
    w = make()
    w.set_mode("recording")
    w.settle()
    w.set_mode("autopilot")
    w.finish(VLM)
    w.sample()
    w.finish(CLIP, 1)
    w.settle()
    w.check_wishes()


def test_wish_after_a_stuck_model_has_gone(make):
    w = make(Config(seed_models(), devices=(11000 * MIB,)))
    with_clip_on_cuda(w)
    w.command("unload", CLIP)
    w.advance(10 * S)
    w.finish(CLIP, 1)
    w.set_mode("recording")
    w.exit(CLIP)
    w.settle()
    w.check_wishes()


def test_wish_after_a_device_has_come_back(make):
    w = make()
    w.tell("DEVICE_LOST", "lost gpu0", device=0)
    w.set_mode("recording")
    w.tell("DEVICE_FOUND", "found gpu0 12GiB", device=0, total_bytes=12 * GIB)
    w.settle()
    w.check_wishes()


def test_load_command_during_a_move(make):
    w = make()
    with_clip_on_cuda(w)
    w.set_mode("recording")
    tag = w.command("load", CLIP)
    w.settle()
    w.hold(tag not in w.commands, "!%d is not answered", tag)


def test_commanded_load_outlives_its_answer(make):
    w = make(Config(seed_models(), min_resident_ns=10 * S))
    w.set_mode("autopilot")
    w.finish(CLIP)
    tag = w.command("load", VLM)
    w.sample()
    w.auto = {}
    w.advance(2 * S)
    w.hold(tag not in w.commands, "!%d is not answered", tag)
    w.hold(w.state(VLM) == "loaded", "the load is done, and the VLM is %s", w.state(VLM))


def test_victim_that_is_pinned_stays(make):
    w = make()
    tag = w.request(VLM)
    w.finish(VLM)
    w.ask(Ask("normal", 1, 1, 2 * GIB))
    w.advance(200 * S)
    w.command("pin", VLM)
    w.leave(tag)


def test_suspended_residue_in_the_way(make):
    models = [Model("sleepy", dict(device_mask=1, bytes=4 * GIB), suspends=1, suspended_bytes=512 * MIB),
              Model("large", dict(device_mask=1, bytes=12 * GIB))]
    w = make(Config(models, suspend_bytes=8 * GIB))
    tag = w.request(0)
    w.finish(0)
    w.leave(tag)
    tag = w.request(1)
    w.settle(serve=False)
    w.hold(tag in w.clients and w.clients[tag].state == "inside", "#%d still waits, or is refused", tag)


def test_memory_that_comes_free_late(make):
    w = make(Config(seed_models(), devices=(11000 * MIB,)), linger_ns=2000 * MS)
    rest(w, "autopilot")
    tag = w.request(VLM)
    w.auto = {}
    for _ in range(120):
        w.advance(S)
        w.sample()
    w.hold(tag in w.clients and w.clients[tag].state == "inside", "#%d still waits, or is refused", tag)


def test_wishes_under_serial_come_to_rest(make):
    w = make(Config(seed_models(), sched="serial"))
    w.set_mode("recording")
    w.settle(rounds=60)
