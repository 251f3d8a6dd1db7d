"""The wall clock is set an hour or ten years back or on while everything waits for something: nothing ends, or
goes on waiting, for that reason."""

import sqlite3
import time

import pytest

import faults
from fault_world import World
from leases import Lease
from wharf_harness import SLOWNESS, Later, until

pytestmark = [pytest.mark.faults,
              pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not()))]

HOUR, YEARS = 3600, 10 * 365 * 86400
JUMPS = [HOUR, -HOUR, YEARS, -YEARS, 0]


@pytest.mark.slice
def test_the_clock_jumps(wharf, tmp_path):
    w = World(wharf, tmp_path, leaseGrace="1s", performance={"every": "5s"})
    w.config["models"]["small"]["ttl"] = 2
    d = w.start()
    assert w.load() == 0, w.failures
    # One holds the gate by a ttl that is renewed, another waits for it, and a third is held by its connection.
    held = d.post("/wharf/leases", {"gates": ["one"], "ttl": "3s", "wait": "0s"}).json()
    by_connection = Lease(d, vram="512MiB")
    by_connection.until("granted")
    began = time.monotonic()
    waiting = Lease(d, gates=["one"], wait="60s", seconds=60)
    assert waiting.state == "waiting"
    for jump in JUMPS:
        w.faults.jump(jump)
        d.ok(d.post("/v1/chat/completions", {"model": "large", "messages": [], "max_tokens": 2}))
        assert w.attempt(w.stream) and w.attempt(w.look), w.failures
        d.ok(d.ask("PUT", f"/wharf/leases/{held['lease']}", {"token": held["token"]}))
        states = {it["id"]: it["state"] for it in d.ok(d.get("/wharf/leases")).json()["leases"]}
        assert states[held["lease"]] == states[by_connection.id] == "granted", (jump, states)
        assert states[waiting.id] == "waiting", (jump, states)
        assert w.troubles() == []
    # What is not renewed any more lapses after its own three seconds, whatever the clock says.
    renewed = time.monotonic()
    w.faults.jump(-YEARS)
    granted = Later(waiting.until, "granted")
    w.faults.jump(YEARS)
    granted.result()
    lapsed = time.monotonic() - renewed
    assert 2 < lapsed < 6 * SLOWNESS, lapsed
    # And what is idle leaves after two.
    until(lambda: d.state_of("small") == "unloaded", "the idle timeout")
    assert time.monotonic() - began > 2
    w.faults.jump(0)
    waiting.close()
    by_connection.close()
    w.must_recover("the right time")
    d.stop()
    with sqlite3.connect(w.config["store"]["path"]) as db:
        first, last = db.execute("select min(ts_created), max(ts_created) from activity").fetchone()
        ids = [i for i, in db.execute("select id from activity order by rowid")]
    assert last - first > 1.9 * YEARS, "rows have the time that was told"
    assert ids == sorted(ids)
