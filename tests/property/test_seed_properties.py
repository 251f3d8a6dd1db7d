"""The thirteen correctness properties of the GPU resource manager that wharf was asked to implement,
each by its number, stated on what the core guarantees. `vlm` is the large model (10.5 GiB), `clip`
the movable one (500 MiB, on cuda as placement 0 or on the cpu as placement 1)."""

import pytest

pytest.importorskip("hypothesis", reason="no Hypothesis: tools/venv installs it")

from hypothesis import strategies as st  # noqa: E402

import actions  # noqa: E402
from core import GIB, MS, NONE, S, STATES  # noqa: E402
from world import CLIP, CLIP_FREE_MIN, MODES, VLM, Config, seed_models  # noqa: E402
from worlds import BATCHING, LINGERS, RESIDENTS, SIZES, beginnings, rest, seed_world, states, world  # noqa: E402

BEGINS = beginnings(actions.CALM, actions.FAULTS)
CUDA, CPU = 0, 1


def orders(effects, kind=None):
    return [e for e in effects if e.type in ("LOAD", "UNLOAD", "MOVE") and kind in (None, e.type)]


@states(begins=BEGINS, size=SIZES, sched=BATCHING, resident=RESIDENTS,
        took=st.one_of(st.integers(0, 5000), st.integers(5001, 20000)))
def test_property_01_mode_transition_triggers_vlm_unload(begins, size, sched, resident, took):
    """From recording, with the VLM loaded and idle, to autopilot: it is told to go in the same step,
    has gone when its engine says so, and is killed at 5 s if it has not. That a kill works is the
    backend's part."""
    with seed_world(begins, size, mode="recording", sched=sched, min_resident_ns=resident) as w:
        w.hold(w.state(VLM) == "loaded", "the VLM is %s in recording", w.state(VLM))
        w.auto, start = {"UNLOAD": took * MS}, w.now
        w.set_mode("autopilot")
        w.hold([e.model for e in orders(w.listen())][:1] == [VLM], "the unload is not ordered at once")
        op = w.engines[VLM].op
        w.advance(5 * S)
        if took <= 5000:
            w.hold(w.state(VLM) == "unloaded", "the VLM is %s after 5 s", w.state(VLM))
        else:
            w.hold(op.escalated and w.now == start + 5 * S, "not killed after 5 s")


@states(begins=BEGINS, size=SIZES, sched=BATCHING, linger=LINGERS, moves=st.integers(0, 3000),
        loads=st.integers(0, 20000))
def test_property_02_mode_transition_triggers_vlm_load(begins, size, sched, linger, moves, loads):
    """From autopilot, with the VLM unloaded, to recording: it is loaded within 30 s, where CLIP's
    move takes up to 3 s and the engine up to 20 s; an engine that takes longer is the backend's."""
    with seed_world(begins, size, linger, "autopilot", sched=sched) as w:
        w.hold(w.state(VLM) == "unloaded", "the VLM is %s in autopilot", w.state(VLM))
        w.auto = {"MOVE": moves * MS, "LOAD": loads * MS}
        w.set_mode("recording")
        for _ in range(30):
            w.advance(S)
            w.sample()
        w.hold(w.state(VLM) == "loaded", "the VLM is %s after 30 s", w.state(VLM))
        w.settle()
        w.check_wishes()


def check_promoted(w):
    """Nothing is under way, CLIP is loaded, idle and on the CPU: then there is no room for it."""
    clip = w.core.model(CLIP)
    if (w.mode == "autopilot" and not w.open_ops() and STATES[clip.state] == "loaded" and not w.clients
            and clip.placement == CPU and not clip.settling):
        room = w.core.device(0).room_bytes
        w.hold(room < CLIP_FREE_MIN, "CLIP stays on the CPU with %d bytes free", room)


@states(begins=BEGINS, size=SIZES, sched=BATCHING, linger=LINGERS)
def test_property_03_clip_on_gpu_in_autopilot(begins, size, sched, linger):
    """In autopilot CLIP is on the GPU whenever it is idle and 1 GiB is free there: at any time it is
    there, or on its way."""
    with world(Config(seed_models(), devices=(size,), sched=sched), linger) as w:
        w.set_mode("autopilot")
        for action in begins:
            actions.run(w, [action])
            check_promoted(w)
        rest(w, "autopilot")
        w.hold(w.engines[CLIP].placement == CUDA, "CLIP is at %s, at rest", w.engines[CLIP].placement)


@states(begins=BEGINS, size=SIZES, linger=LINGERS, way=st.sampled_from(("mode", "unload", "unload-now", "exit")))
def test_property_04_vram_decrease_on_vlm_unload(begins, size, linger, way):
    """Once the VLM's unload is complete and seen, the ledger has at least 8 GiB less of wharf's own
    bytes, and as much more room; before, not a byte. That the engine really gave them back is what
    the samples say; here, the world's."""
    with seed_world(begins, size, linger, "recording") as w:
        before = w.core.device(0)
        if way == "mode":
            w.set_mode("idle")
            w.command("unload", VLM)
        elif way == "exit":
            w.exit(VLM)
        else:
            w.command(way, VLM)
        during = w.core.device(0)
        if w.engines[VLM].op:
            w.hold(during.own_bytes == before.own_bytes and during.room_bytes == before.room_bytes,
                   "bytes are given out before they are free")
            w.finish(VLM)
        w.set_mode("idle")
        w.settle()
        after = w.core.device(0)
        w.hold(before.own_bytes - after.own_bytes - after.settling_bytes >= 8 * GIB, "still charged")
        w.hold(after.room_bytes - before.room_bytes >= 8 * GIB, "no more room than before")


@states(begins=beginnings(), size=SIZES)
def test_property_05_status_query_completeness(begins, size):
    """At any time what is shown of a model and a device is whole and consistent; how it is written
    down (the mode's name, the GPU's, utilisation) is the daemon's part."""
    with world(Config(seed_models(), devices=(size,))) as w:
        for action in begins:
            actions.run(w, [action])
            device = w.core.device(0)
            w.hold(device.present and device.total_bytes == size, "the device: %d bytes", device.total_bytes)
            w.hold(device.charged_bytes == device.own_bytes + device.leased_bytes, "charged?")
            w.hold(device.room_bytes <= size, "room: %d", device.room_bytes)
            own = 0
            for i in (VLM, CLIP):
                m = w.core.model(i)
                w.hold(m.state < len(STATES) and m.wish == {None: 0, "unloaded": 2}.get(
                    MODES[w.mode].get(w.name(i)), 1), "%s: state %d, wish %d", w.name(i), m.state, m.wish)
                w.hold(m.last_used_ns <= w.now and bool(m.devices & 1) == (m.charged_bytes > 0),
                       "%s: devices %x, %d bytes", w.name(i), m.devices, m.charged_bytes)
                own += m.charged_bytes
            w.hold(own <= device.own_bytes + device.settling_bytes, "models: %d of %d", own, device.own_bytes)


@states(begins=BEGINS, size=SIZES, sched=BATCHING, linger=LINGERS,
        way=st.sampled_from(("request", "command", "mode")), moves=st.integers(0, 5000))
def test_property_06_clip_migration_ordering(begins, size, sched, linger, way, moves):
    """With CLIP on the GPU, whoever wants the VLM: CLIP has moved to the CPU before the VLM's load
    begins, and is not there again until it is over (world.check_yields looks at each step)."""
    with seed_world(begins, size, linger, "autopilot", sched=sched) as w:
        w.hold(w.engines[CLIP].placement == CUDA, "CLIP is at %s in autopilot", w.engines[CLIP].placement)
        w.auto = {"MOVE": moves * MS}
        if way == "request":
            w.request(VLM)
        elif way == "command":
            w.command("load", VLM)
        else:
            w.set_mode("recording")
        for _ in range(12):
            w.advance(S)
            w.sample()
            if w.state(VLM) == "loaded":
                break
        told = [(e.type, e.model) for e in orders(w.listen())]
        w.hold(("LOAD", VLM) in told and told.index(("MOVE", CLIP)) < told.index(("LOAD", VLM)), "%s", told)


@states(begins=BEGINS, size=SIZES, many=st.integers(0, 6), before=st.booleans(), how=st.sampled_from((0, 3)))
def test_property_07_embedding_pipeline_consistency(begins, size, many, before, how):
    """No request is inside CLIP while it moves, and all that come meanwhile are served after it, where
    it is then. That its embeddings are right is the worker's part."""
    with seed_world(begins, size, mode="autopilot") as w:
        tags = [w.request(CLIP) for _ in range(many * before)]
        w.set_mode("recording")
        for tag in tags:
            if tag in w.clients:
                w.hold(not w.engines[CLIP].op, "CLIP moves while it serves")
        for _ in range(10):
            for c in w.inside():
                w.leave(c.tag)
        w.hold(w.engines[CLIP].op and w.engines[CLIP].op.kind == "MOVE", "CLIP does not move")
        tags = [w.request(CLIP) for _ in range(many)]
        w.hold(not w.inside(), "served while it moves")
        w.finish(CLIP, how)
        w.hold(w.engines[CLIP].placement == CPU, "CLIP is at %s", w.engines[CLIP].placement)
        w.settle()
        w.hold(not w.waiting() and all(t not in w.clients for t in tags), "somebody is not served")
        w.hold(w.counts["refused"] == 0 or not many or all(t in w.over for t in tags), "refused")


@states(begins=BEGINS, ttl=st.integers(1, 1000), times=st.lists(st.integers(0, 900), max_size=4),
        mode=st.sampled_from(("idle", "recording")))
def test_property_08_idle_timeout_behaviour(begins, ttl, times, mode):
    """The VLM is unloaded at exactly its ttl after its last use, whatever the ttl; use puts it off."""
    with world(Config(seed_models(vlm=dict(ttl_ns=ttl * S)))) as w:
        actions.run(w, begins)
        rest(w, mode)
        w.auto = {"LOAD": 0, "UNLOAD": 0, "MOVE": 0}
        for seconds in [0, *times]:
            w.advance(min(seconds, ttl - 1) * S)
            tag = w.request(VLM)
            w.advance(0)
            for _ in range(5):  # CLIP may have to leave, and to be seen to have left
                if w.clients[tag].state == "inside":
                    break
                w.advance(S)
                w.sample()
            w.hold(w.clients[tag].state == "inside", "#%d is not served", tag)
            w.leave(tag)
        w.listen()
        w.advance(ttl * S - 1)
        w.hold(w.state(VLM) == "loaded" and not w.engines[VLM].op, "the VLM is %s too early", w.state(VLM))
        w.advance(1)
        w.hold([e for e in w.listen() if e.notice == "idle_unload" and e.model == VLM],
               "the VLM is %s after %d s", w.state(VLM), ttl)


@states(begins=BEGINS, size=SIZES, sched=BATCHING, mode=st.sampled_from(tuple(MODES)), rank=actions.RANKS)
def test_property_09_on_demand_vlm_loading(begins, size, sched, mode, rank):
    """In any mode a request for the VLM is granted, once it is loaded; not before, and not refused."""
    with seed_world(begins, size, mode=mode, sched=sched) as w:
        tag = w.request(VLM, rank)
        w.hold(tag in w.clients, "#%d is refused", tag)
        w.auto = {}
        for _ in range(60):
            w.advance(S)
            w.sample()
        w.hold(w.clients[tag].state == "inside", "#%d is not granted", tag)


@states(begins=BEGINS, size=SIZES, sched=BATCHING, resident=RESIDENTS, mode=st.sampled_from(("idle", "recording")))
def test_property_10_ensure_vlm_loaded_blocking(begins, size, sched, resident, mode):
    """A load command is answered when the VLM is loaded, not before (hear_command_done looks), and it
    is still so then."""
    with seed_world(begins, size, mode=mode, sched=sched, min_resident_ns=resident) as w:
        tag = w.command("load", VLM)
        w.auto = {}
        for _ in range(60):
            if tag not in w.commands:
                break
            w.advance(S)
            w.sample()
        w.hold(tag not in w.commands, "!%d is not answered", tag)
        w.hold(w.state(VLM) == "loaded", "the load is done, and the VLM is %s", w.state(VLM))


@states(begins=BEGINS, size=SIZES, mode=st.sampled_from(tuple(MODES)), now=st.booleans(), many=st.integers(0, 3))
def test_property_11_ensure_vlm_unloaded_blocking(begins, size, mode, now, many):
    """An unload command is answered when the VLM is gone, not before; unless it is to be at once,
    what runs is finished first."""
    with seed_world(begins, size, mode=mode) as w:
        for _ in range(many):
            w.request(VLM)
        w.auto = {}
        w.advance(60 * S)
        running = len(w.inside())
        tag = w.command("unload-now" if now else "unload", VLM)
        w.hold(not w.waiting(), "somebody waits for what is unloaded")
        w.advance(20 * S)
        w.hold((tag in w.commands) == (running > 0 and not now), "!%d: answered?", tag)
        for c in w.inside():
            w.leave(c.tag)
        w.advance(20 * S)
        w.hold(tag not in w.commands, "!%d is not answered", tag)
        w.hold(not w.engines[VLM].alive, "the unload is done, and the VLM is there")


@states(begins=beginnings(), size=SIZES)
def test_property_12_get_clip_device_validity(begins, size):
    """CLIP is on cuda or on the cpu while it is there, nowhere else, and its bytes are where it is.
    That the worker says the same is the backend's part."""
    with world(Config(seed_models(), devices=(size,))) as w:
        for action in begins:
            actions.run(w, [action])
            clip, there = w.core.model(CLIP), w.engines[CLIP]
            w.hold(clip.placement in ((CUDA, CPU) if there.alive else (NONE,)), "at %d", clip.placement)
            if there.alive and not there.op and not clip.settling:
                w.hold(bool(clip.devices) == (clip.placement == CUDA), "at %d, devices %x", clip.placement,
                       clip.devices)


@states(begins=BEGINS, sched=st.sampled_from(("fair", "fifo")),
        crowd=beginnings(actions.CALM, actions.ORDERS, least=15, most=30))
def test_property_13_sequential_operation_processing(begins, sched, crowd):
    """However many want however much at once: a model has one op at a time, a device loads one model
    at a time, ids grow (hear_order looks), and in the end every command has had its one answer."""
    with seed_world(begins, sched=sched) as w:
        actions.run(w, crowd)
        rest(w)
        w.hold(not w.commands, "commands without an answer: %s", w.commands)
        w.hold(not w.open_ops(), "ops that are still open")
