"""Mixed load for as long as $WHARF_SOAK_SECONDS says: memory, descriptors and files stay flat, and nobody
gets an error that the load did not ask for. $WHARF_SOAK_SEED draws it; it is printed.

soak_world.py is the daemon, soak_requests.py what clients ask for, soak_load.py who does what, and
soak_judge.py what is judged; test_soak_judge.py shows that the judge finds fault."""

import asyncio
import contextlib
import os
import random
import re
import sqlite3

import pytest

from soak_judge import Flat, bounded, levels, second_half, slope_per_hour
from soak_load import PATIENCE_S, Load
from soak_world import CHATTY_BYTES, LOG_BYTES_MAX, OWN_HISTORY_BYTES, World
from wharf_harness import BUILD, SANITIZED, WRAP

MIB = 1 << 20
# Under sanitizers and valgrind it is theirs.
MEMORY = () if SANITIZED or WRAP else ("rss", "pss", "private_dirty")
SECONDS = float(os.environ.get("WHARF_SOAK_SECONDS", 10))
QUIET_EVERY = 6 if SECONDS < 120 else 60
# A daemon warms up for about a minute: rings, caches and pools fill.
FLAT = Flat(2 * MIB, (12 if SECONDS < 120 else 4) * MIB)


def bounds(load):
    """Of the files that the daemon writes. What the history's file takes beyond its first size is pages
    that its indexes need while rows leave at one end and come at the other."""
    return [("history/history.db-wal", 16 * MIB), ("history/history.db-shm", MIB),
            ("history/", int(load.world.history_bytes * 1.2) + 4 * MIB),
            ("history.db-wal", 2 * MIB), ("history.db-shm", MIB), ("history.db", OWN_HISTORY_BYTES + MIB // 2),
            ("logs/chatty", LOG_BYTES_MAX + CHATTY_BYTES + MIB), ("logs/", LOG_BYTES_MAX + MIB),
            ("wharf.sqlite", 4 * MIB), ("", MIB)]


def history_faults(load):
    """No row was lost, and there are as many as may be."""
    with contextlib.closing(sqlite3.connect(load.world.history)) as db:
        [(first, rows)] = db.execute("select min(id), count(*) from activity")
        [(new, last)] = db.execute("select count(*), max(id) from activity where id > ?", (load.world.first_row,))
        [(own,)] = db.execute("select count(*) from activity_wharf")
    load.counts["rows of the history"] = new
    faults = []
    if new != last - load.world.first_row or own != new:
        faults.append(f"{last - load.world.first_row} rows were given ids, {new} are there, {own} of wharf's own")
    faults += own_history_faults(load)
    if first <= last - 1_000_000 or rows >= load.world.old_rows + new:
        faults.append(f"old rows were not dropped: the first is {first}, the last {last}")
    return faults


def own_history_faults(load):
    """Of wharf's own: those leave that came first, and no other; ids are given in the order in which they
    ended."""
    with contextlib.closing(sqlite3.connect(load.world.own_history)) as db:
        rows = db.execute("select id, arrived, arrived + total_ms from requests order by id").fetchall()
    load.counts["requests in wharf's own history"] = len(rows)
    if not rows:
        return ["wharf's own history is empty"]
    ids = {id_ for id_, _, _ in rows}
    if 1 in ids:
        first = 1  # none has left
    else:
        sure_ms = min(arrived for _, arrived, _ in rows) + PATIENCE_S * 1000
        first = next(id_ for id_, _, ended in rows if ended > sure_ms)
    missing = set(range(first, max(ids) + 1)) - ids
    return [f"of the requests {first} to {max(ids)} {sorted(missing)} are missing"] if missing else []


def judge(load):
    faults = load.faults + load.events.faults + [f"a job: {f}" for f in load.jobs.faults]
    for name in MEMORY:
        faults += FLAT.faults(f"{name} at quiet moments", load.quiet_points[name])
        faults += FLAT.faults(name, load.sampler.points[name])
    faults += bounded(load.sampler.files_most, bounds(load))
    faults += history_faults(load)
    if load.outcomes.slowest > PATIENCE_S:
        faults.append(f"somebody was answered after {load.outcomes.slowest:.1f} s")
    lines = re.findall(r"^.*(?:lost rows|internal error|invariant).*$", load.d.stderr, re.M)
    return faults + lines


def report(load):
    print("answers:", dict(load.outcomes.fine.most_common()))
    print("counts:", dict(sorted(load.counts.items())))
    print("events:", dict(load.events_by_type.most_common()))
    print("files:", dict(load.sampler.files_most), "history at first", load.world.history_bytes)
    print(f"slowest answer {load.outcomes.slowest:.2f} s")
    for where, all_points in (("quiet", load.quiet_points), ("always", load.sampler.points)):
        for name, points in all_points.items():
            half = second_half(points)
            before, after = levels(half)
            print(f"{where} {name}: first {points[0][1]:.6g}, half {before:.6g}, end {after:.6g}, "
                  f"slope {slope_per_hour(half):.6g} an hour")
    print("fds", load.quiets[0]["fds"])


def soak(wharf, folder, seconds, options=None, **quiet):
    """What is wrong, after that long."""
    seed = int(os.environ.get("WHARF_SOAK_SEED", random.randrange(1 << 32)))
    print(f"WHARF_SOAK_SEED={seed} WHARF_SOAK_SECONDS={seconds:g}")
    world = World(wharf, folder, seed, seconds, **(options or {}))
    try:
        load = Load(world, seconds, **quiet)
        asyncio.run(load.live())
        world.d.stop()
        faults = judge(load)
        report(load)
        return faults
    finally:
        world.close()


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 400)
def test_a_soak(wharf, tmp_path):
    faults = soak(wharf, tmp_path, SECONDS, quiet_every=QUIET_EVERY)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:40])


@pytest.mark.skipif(not MEMORY, reason="sanitizers and valgrind are loaded first")
def test_a_leak_is_found(wharf, tmp_path, monkeypatch):
    """Of memory and of descriptors, in a daemon that has both."""
    monkeypatch.setattr("soak_load.QUIET_S", 1)
    options = {"env": {"LD_PRELOAD": str(BUILD / "tests" / "fake" / "leak.so")}}
    faults = soak(wharf, tmp_path, 10, options, quiet_every=1, first_quiet=1)  # at least three of them
    assert any(f.startswith("private_dirty has risen by ") for f in faults), faults
    assert any("at a quiet moment: ['fds: /dev/null was " in f for f in faults), faults
    others = [f for f in faults if "has risen by" not in f and "at a quiet moment" not in f]
    assert not others, others
