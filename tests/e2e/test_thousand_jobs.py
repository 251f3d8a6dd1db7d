"""Jobs of mixed classes and sizes over two simulated GPUs, with models in between: no overcommit at any
moment, order by class, every bound kept, all complete. jobs_world.py has the jobs and runs them,
jobs_oracle.py judges.

$WHARF_JOBS: how many; 300 unless said otherwise, a thousand in `make check-long`. $WHARF_JOBS_SEED:
which; another one each time. Both are printed, and with them, how long it took and who waited."""

import asyncio
import collections
import contextlib
import datetime
import json
import os
import random
import signal
import statistics
import subprocess
import sys

import pytest

import jobs_world
from jobs_oracle import Oracle
from jobs_world import CLASSES, GATES, MODELS
from leases import Lease, listed
from wharf_harness import SANITIZED, SECONDS, SLOWNESS, WRAP, is_alive, processes_with, until

COUNT = int(os.environ.get("WHARF_JOBS", 100 if SANITIZED or WRAP else 300))
SEED = os.environ.get("WHARF_JOBS_SEED") or str(random.randrange(10**6))
CLIENTS = 4


class Watcher:
    """What the simulated GPUs say, from a process that looks all the time."""

    def __init__(self, folders):
        self.process = subprocess.Popen([sys.executable, jobs_world.SIM_JOB, "watch", *folders], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def end(self):
        """{folder: what was seen}; the living claims come as the last look has them."""
        return json.loads(self.process.communicate(timeout=SECONDS)[0])


def end_all(d):
    for pid in processes_with(f"WHARF_TEST_JOBS={d.test_id}"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def nothing_is_left(d):
    until(lambda: not listed(d), "the end of all leases")
    for name in MODELS:
        d.ok(d.post(f"/wharf/models/{name}/unload"))

    def empty():
        devices = d.ok(d.get("/wharf/devices")).json()["devices"]
        return all(v[k] == 0 for v in devices
                   for k in ("used_bytes", "own_bytes", "leased_bytes", "settling_bytes", "foreign_bytes")) and \
            all(v["room_bytes"] == jobs_world.CAPACITY for v in devices)

    until(empty, "ledgers as empty as the devices")
    for gate, (limit, _) in GATES.items():
        held = [Lease(d, gates=[gate], wait=0) for _ in range(limit)]
        assert [lease.state for lease in held] == ["granted"] * limit, gate
        for lease in held:
            lease.close()
    until(lambda: not listed(d), "the end of those, too")
    queue = d.ok(d.get("/wharf/queue")).json()
    assert (queue["waiting"], queue["running"], queue["leases_waiting"], queue["leases_granted"]) == (0, 0, 0, 0)
    left = [pid for pid in processes_with(f"WHARF_TEST_JOBS={d.test_id}") if is_alive(pid)]
    assert not left and not d.tree(), f"processes: {left} {d.tree()}"


def tell(world, oracle, seen):
    """The figures of bench/results.md."""
    print(f"{COUNT} jobs in {world.took_s:.1f} s, {COUNT / world.took_s:.1f} a second; "
          f"{len(world.retries)} revoked, {len(world.requests)} requests, {sum(oracle.loads_of.values())} loads")
    waits = collections.defaultdict(list)
    for party in oracle.parties.values():
        waits[party.job.klass].append(party.granted - party.since)
    for klass in CLASSES:
        cuts = statistics.quantiles(waits[klass], n=20)
        print(f"{klass:10} {len(waits[klass]):4} waited {statistics.median(waits[klass]):.2f} s, p95 {cuts[-1]:.2f}, "
              f"at most {max(waits[klass]):.2f}; {oracle.overdue_grants[klass]} overdue")
    print("passed:", ", ".join(f"{why} {n}" for why, n in sorted(oracle.passes.items())))
    worst = max((over / (allowed + 0.001) for over, allowed in oracle.bounds), default=0)
    print(f"bounds: {len(oracle.bounds)} were tried, {worst:.2f} of the longest that is allowed was needed")
    samples = min(v["samples"] for v in seen.values())
    print(f"samples: {samples} of each device, {world.ledger_samples // 2} of the ledger")


def tell_what_was_before(problem, stderr):
    """What the daemon logged in the half second before: with another seed, or at another speed, it may never
    come again."""
    at = float(problem.split(":")[0])
    for line in stderr.splitlines():
        with contextlib.suppress(ValueError, IndexError):
            if at - 0.5 <= datetime.datetime.fromisoformat(line.split()[0]).timestamp() <= at + 0.02:
                print(line)


@pytest.mark.slow
@pytest.mark.timeout((60 + COUNT * 0.2) * SLOWNESS)
def test_all_jobs_come_through(wharf, tmp_path):
    print(f"WHARF_JOBS={COUNT} WHARF_JOBS_SEED={SEED}")
    unix = f"unix:{tmp_path}/wharf.sock"
    d = wharf(jobs_world.config(), listen=["127.0.0.1:0", unix])
    watcher = Watcher(sorted(str(p.parent) for p in d.state.glob("sim/*/capacity")))
    world = jobs_world.World(d, unix, jobs_world.draw_jobs(SEED, COUNT))
    try:
        asyncio.run(asyncio.wait_for(world.live(CLIENTS), (30 + COUNT * 0.15) * SLOWNESS))
    except TimeoutError:
        raise AssertionError(f"not all came through: {listed(d)[:5]}") from None
    finally:
        seen = watcher.end()
        if len(world.done) < COUNT:
            end_all(d)
    oracle = Oracle(world, d.stderr).judge()
    tell(world, oracle, seen)
    if oracle.problems and oracle.problems[0][0].isdigit():
        tell_what_was_before(oracle.problems[0], d.stderr)
    assert len(seen) == 2 and not any(v["over"] for v in seen.values()), seen
    assert all(v["samples"] > 20 * world.took_s / SLOWNESS for v in seen.values()), "too few samples"
    assert world.ledger_samples > 10 * world.took_s / SLOWNESS
    assert not world.faults, "\n".join(world.faults[:20])
    assert not oracle.problems, f"{len(oracle.problems)}:\n" + "\n".join(oracle.problems[:20])
    assert len(world.done) == COUNT and not any(e["type"] == "refused" for e in world.events)
    assert [e["id"] for e in world.events] == list(range(world.events[0]["id"], world.events[-1]["id"] + 1))
    nothing_is_left(d)
    if COUNT >= 1000:  # fewer need not have met everything
        assert all(oracle.passes[why] for why in ("gate", "place", "backfill", "planned")), oracle.passes
        assert oracle.bounds and world.retries and all(oracle.loads_of[name] > 5 for name in MODELS)
