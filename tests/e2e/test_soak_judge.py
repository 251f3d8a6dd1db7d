"""The soak's judge, shown what it must find: leaks hidden in noise, steps, files without a bound, holes in
events, and errors that nobody asked for."""

import random

import pytest

from soak_judge import Deed, Flat, Ids, Outcome, asked_for, bounded, differences, levels, slope_per_hour

KIB = 1024
MIB = 1024 * KIB
RSS = Flat(slope_per_hour_max=2 * MIB, step_max=4 * MIB)


def series(seconds, leak_per_s=0.0, seed=1, warm_up_s=60, noise=200 * KIB, peaks=0.02, waves=0):
    """A daemon's memory: it grows while it warms up, and then goes up and down with its requests. waves:
    and in steps of that size on the whole, which last for a minute or two, as an allocator's do."""
    rng = random.Random(seed)
    step, points = 0, []
    for t in range(seconds):
        if rng.random() < 1 / 90:
            step = rng.uniform(-waves, waves)
        points.append((t, 20 * MIB + 8 * MIB * min(1, t / warm_up_s) + leak_per_s * t + rng.gauss(0, noise) + step +
                       (rng.random() < peaks) * 30 * MIB))
    return points


@pytest.mark.parametrize("seed", range(5))
def test_what_is_flat_passes(seed):
    assert RSS.faults("rss", series(1800, seed=seed)) == []
    assert RSS.faults("rss", series(25, seed=seed, warm_up_s=5)) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_of_a_kibibyte_a_second_is_found(seed):
    [fault] = RSS.faults("rss", series(1800, leak_per_s=KIB, seed=seed))
    assert fault.startswith("rss rises by 3") and fault.endswith(" at most; 2097152 are allowed")


@pytest.mark.parametrize("seed", range(20))
def test_waves_are_no_leak(seed):
    assert RSS.faults("rss", series(1800, seed=seed, waves=1.4 * MIB)) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_under_waves_is_found_in_an_hour(seed):
    faults = RSS.faults("rss", series(3600, leak_per_s=4 * KIB, seed=seed, waves=1.4 * MIB))
    assert any("rises by" in fault for fault in faults)


def test_a_leak_is_found_in_a_short_run_by_its_step():
    [fault] = RSS.faults("rss", series(25, leak_per_s=MIB, warm_up_s=5))
    assert fault.startswith("rss has risen by 1")


def test_a_leak_that_begins_late_is_found():
    points = [(t, v + max(0, t - 1700) * 100 * KIB) for t, v in series(1800)]
    assert any("has risen by" in f for f in RSS.faults("rss", points))


def test_a_slope_that_peaks_do_not_move():
    points = [(t, 5 * t + (10 ** 9 if t % 10 == 0 else 0)) for t in range(1000)]
    assert slope_per_hour(points) == pytest.approx(5 * 3600)
    assert levels([(t, v if t % 10 else v + 10 ** 9) for t, v in ((t, 7) for t in range(100))]) == (7, 7)


def test_a_descriptor_too_many_is_named():
    assert differences("fds", {"socket": 3, "pipe": 2}, {"socket": 3, "pipe": 2}) == []
    assert differences("fds", {"socket": 3}, {"socket": 4, "pidfd": 1}) == \
        ["fds: pidfd was 0, is 1", "fds: socket was 3, is 4"]


def test_files_have_bounds():
    bounds = [("logs/", 10), ("history", 5)]
    assert bounded({"logs/a": 10, "history.db": 5}, bounds) == []
    assert bounded({"logs/a": 11, "other": 0}, bounds) == \
        ["the file logs/a had 11 bytes; 10 are allowed", "no bound is known for the file other"]


def test_holes_in_events_are_found():
    ids = Ids()
    for id_, missed in ((7, None), (8, None), (40, 31), (41, None), (43, None), (43, None)):
        ids.saw(id_, missed)
    assert ids.faults == ["event 43 follows on 41", "event 43 follows on 43"]


def outcome(code, began=10, ended=12, model="m", **keys):
    return Outcome("chat", (model,), began, ended, 0, code, **keys)


@pytest.mark.parametrize("code, deed, excused", [
    ("cut", Deed("kill", "m", 11, 11), True),
    ("cut", Deed("kill", "m", 9, 9), True),
    ("cut", Deed("kill", "m", 7, 7), False),
    ("cut", Deed("kill", "m", 12.5, 12.5), False),
    ("cut", Deed("kill", "other", 11, 11), False),
    ("cut", Deed("unload", "m", 11, 11), False),
    ("upstream_error", Deed("worker", "m", 5, 10), True),
    ("wait_expired", Deed("kill", "m", 11, 11), False),
    ("busy", Deed("kill", "m", 11, 11), False),
    ("wrong", Deed("kill", "m", 11, 11), False),
    ("lost", Deed("kill", "m", 11, 11), False),
    ("model_unloaded", Deed("unload", None, 0), True),
    ("model_unloaded", Deed("unload", "m", 0, 8), False),
    ("load_paused", Deed("kill", "m", -50, -50), True),
    ("load_paused", Deed("kill", "m", -60, -60), False),
    ("status 499", Deed("cancel", None, 11, 11), True),
    ("status 502", Deed("kill", "m", -50, -50), True),
    ("status 503", Deed("unload", None, 11, 11), True),
    ("status 503", Deed("backend", "m", 5, 9), True),
    ("status 503", Deed("backend", "m", 5, 7), False),
    ("status 503", Deed("cancel", None, 11, 11), False),
    ("status 500", Deed("kill", "m", 11, 11), False),
    ("no_memory_now", Deed("kill", "m", 11, 11), False),
])
def test_which_errors_were_asked_for(code, deed, excused):
    assert asked_for(outcome(code), [deed]) is excused


def test_what_a_request_asks_for_itself():
    assert asked_for(outcome(""), [])
    assert asked_for(outcome("busy", wants=("busy",)), [])
    assert not asked_for(outcome("busy", wants=("wait_expired",)), [])
