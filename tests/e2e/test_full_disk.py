"""The state folder's disk is full, or slow: requests go on, what cannot be kept is said, and all is well again
once there is room."""

import contextlib
import errno
import os
import sqlite3
import subprocess
import time

import pytest

import faults
from fault_world import World
from wharf_harness import SECONDS, SLOWNESS, until

pytestmark = [pytest.mark.faults,
              pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not()))]

DISK_BYTES = 3 << 20


class TinyDisk:
    """A file system of the state folder's own. What the simulated GPU's users claim is hardware: it is on
    another."""

    def __init__(self, state):
        self.state, self.mounted = state, []
        self.mount(state, DISK_BYTES)
        (state / "sim").mkdir()
        self.mount(state / "sim", DISK_BYTES)

    def mount(self, folder, n):
        run = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={n},mode=700", "none", str(folder)],
                             capture_output=True, text=True)
        if run.returncode:
            self.close()
            pytest.skip("no file system can be mounted: " + run.stderr.strip())
        self.mounted.append(folder)

    def fill(self):
        with open(self.state / "fill", "ab", buffering=0) as file:
            with contextlib.suppress(OSError):
                while file.write(bytes(4096)):
                    pass

    def make_room(self):
        (self.state / "fill").unlink()

    def close(self):
        for folder in reversed(self.mounted):
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def disks():
    made = []

    def make(state):
        made.append(TinyDisk(state))
    make.made = made
    yield make
    for disk in made:
        disk.close()


class FullBySeam:
    """Where nothing can be mounted: whatever would take room fails."""

    def __init__(self, w):
        self.w = w

    def fill(self):
        for name in ("write", "truncate"):
            self.w.faults.set(name, errno.ENOSPC, scope="folder", last=0)

    def make_room(self):
        self.w.faults.clear()


def sound(path):
    with sqlite3.connect(path) as db:
        return db.execute("pragma integrity_check").fetchone() == ("ok",)


def names(w):
    return {it["name"] for it in w.troubles()}


@pytest.mark.parametrize("way", ["a tiny disk", "errors"])
def test_the_disk_is_full(wharf, tmp_path, request, way):
    w = World(wharf, tmp_path)
    if way == "errors":
        d, disk = w.start_with_all_in_state(), FullBySeam(w)
    else:
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        make = request.getfixturevalue("disks")
        d = w.start_with_all_in_state(make)
        disk = make.made[0]
    assert w.load() == 0, w.failures
    disk.fill()
    for _ in range(3):
        w.failures.clear()
        w.load()
        assert {work for work, _ in w.failures} <= {"spooled"}, w.failures
    refused = d.chat("small", "x" * 300_000)
    assert refused.status == 503 and "no space left" in refused.message, refused
    until(lambda: {"history", "spool"} <= names(w), f"it to be said; is {w.troubles()}")
    assert d.get("/health").status == 200
    if way != "errors":
        # A daemon that ends in this state is followed by one that takes over what runs.
        before = d.model("small")["pid"]
        d.kill()
        w.faults.await_process()
        d.start()
        d.ok(d.chat("small"))
        assert d.model("small")["pid"] == before
        assert w.attempt(w.chat_large) and w.attempt(w.chat_other), w.failures
    disk.make_room()
    w.must_recover("room again")
    # Whether a daemon that started in between ever lacked room for a row is up to the file system.
    for text in ("degraded", "recovered") if way == "errors" else ("degraded",):
        assert f'{text} {{"what":"store","name":"history"' in d.stderr
    d.stop()
    assert sound(d.state / "history.sqlite") and sound(d.state / "wharf.sqlite")
    w.faults.await_process()
    d.start()
    w.must_recover("the next daemon")
    d.stop()


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def test_a_slow_disk_holds_no_request_up(wharf, tmp_path):
    """Each call on the state folder's files takes 0.4 s. Who asks a model that is ready does not notice, while
    the history and footprints are written."""
    w = World(wharf, tmp_path)
    d, f = w.start_with_all_in_state(), w.faults
    d.ok(d.chat("small"))
    for name in ("open", "write", "read", "fsync", "truncate", "rename", "unlink"):
        f.set(name, delay_us=400_000, scope="folder", last=0)
    times, ends = [], time.monotonic() + 3 * SLOWNESS
    loop_calls = f.control.loop_folder_calls
    while time.monotonic() < ends:
        began = time.monotonic()
        d.ok(d.chat("small", max_tokens=1))
        times.append(time.monotonic() - began)
    loop_calls = f.control.loop_folder_calls - loop_calls
    slow = sum(f.done(name) for name in ("open", "write", "read", "fsync"))
    f.clear()
    print(f"{len(times)} requests, {slow} slow calls, {loop_calls} by the loop: p50 "
          f"{percentile(times, 0.5) * 1000:.1f} ms, p99 {percentile(times, 0.99) * 1000:.1f} ms, longest "
          f"{max(times) * 1000:.1f} ms")
    assert slow > 5
    assert percentile(times, 0.99) < 0.1 * SLOWNESS
    rows = until(lambda: (r := d.ok(d.get("/api/metrics/activity?limit=1")).json()), "the history", SECONDS)
    assert rows
    w.must_recover("a disk that is as quick as ever")
