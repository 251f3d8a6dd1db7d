"""Another program in the daemon's place when the system does not do what it is asked for."""

import contextlib
import errno
import re
import signal
import sqlite3
import time

import pytest

import faults
from fakes.ollama import Ollama
from faults import Faults
from upgrades import Stream, drainers, until_drained, upgrade
from wharf_harness import SECONDS, SLOWNESS, Connection, Later, demo, models, until

pytestmark = pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not()))
SLOW = demo("m", "--token-delay", "10ms", "--tokens", "100")


@pytest.fixture
def f(tmp_path):
    return Faults(tmp_path)


def test_it_cannot_be_copied(wharf, f):
    """Nobody is there to finish what runs: that is cut, and seen to be. All else goes on as after a crash."""
    d = wharf({"models": {"m": SLOW}}, env=f.env)
    pid = d.load("m")["pid"]
    s = Stream(d, "m").head()
    s.next()
    with f.failing("fork", errno.EAGAIN, thread="loop") as rule:
        d.signal(signal.SIGUSR2)
        until(lambda: rule.done, "the copy that fails")
    with pytest.raises((AssertionError, OSError)):
        s.rest()
    until(lambda: "cannot fork" in d.stderr, "it is said")
    assert d.model("m")["pid"] == pid and d.process.poll() is None
    assert Stream(d, "m").rest()
    assert not drainers(d)


def test_it_cannot_be_executed(wharf, f):
    """The program that runs takes its own place, and nothing is lost."""
    d = wharf({"models": {"m": SLOW}}, env=f.env)
    pid = d.load("m")["pid"]
    s = Stream(d, "m").head()
    s.next()
    with f.failing("exec", errno.ENOMEM):
        asked = upgrade(d)
    assert asked["running"] == 1
    assert re.search(r"cannot be run, this program is started anew: Cannot allocate memory", d.stderr)
    s.rest()
    assert d.model("m")["pid"] == pid
    until_drained(d)


def test_no_descriptor_is_left(wharf, f):
    """It is given up, told, and can be tried again."""
    d = wharf(models("m"), env=f.env)
    d.load("m")
    with f.failing("socketpair", errno.EMFILE):
        answer = d.ask("POST", "/wharf/upgrade", b"", seconds=3 * SECONDS)
    assert answer.status == 409 and "too many open files" in answer.message.lower(), answer
    assert d.ok(d.chat("m", max_tokens=1))
    upgrade(d)


def test_a_name_is_being_looked_up(wharf, f):
    """Threads that wait for a name server do not come along: the copy asks again."""
    far = wharf({"hosts": ["127.1"], **models("m")})
    name = "127.1"  # which nobody but getaddrinfo knows how to read
    d = wharf({"peers": {"far": {"proxy": f"http://{name}:{far.address[1]}", "models": ["m"]}}}, env=f.env)
    with f.failing("lookup", delay_us=60_000_000) as rule:
        asked = Later(d.chat, "m", max_tokens=2, seconds=3 * SECONDS)
        until(lambda: rule.seen, "the question")
        upgrade(d)
        d.ok(asked.result())
    until_drained(d)


def test_a_name_is_found_as_the_copy_is_made(wharf, f):
    """By a thread, which told a loop that is not the copy's: the answer is not taken for that to its own question."""
    far = wharf({"hosts": ["127.1"], **models("m")})
    d = wharf({"peers": {"far": {"proxy": f"http://127.1:{far.address[1]}", "models": ["m"]}}}, env=f.env)
    with f.failing("lookup", delay_us=1_500_000) as lookup, f.failing("fork", delay_us=2_000_000, thread="loop") as fork:
        asked = Later(d.chat, "m", max_tokens=2, seconds=3 * SECONDS)
        until(lambda: lookup.seen, "the question")
        copied = Later(upgrade, d)
        until(lambda: fork.seen, "the copy")
        until(lambda: lookup.done, "the answer")
        assert not fork.done, "it came before the copy was made"
        copied.result()
        d.ok(asked.result())
    until_drained(d)


@pytest.mark.slice
def test_thousands_of_connections(wharf, f):
    """All of them idle, and all of them served afterwards by the next program."""
    d = wharf(models("m"))
    pid = d.load("m")["pid"]
    count = 1000
    all_of_them = [Connection(d.address, 3 * SECONDS) for _ in range(count)]
    try:
        for c in all_of_them:
            assert c.ask("GET", "/health").status == 200
        upgrade(d)
        until_drained(d)
        for c in all_of_them:
            c.request("GET", "/wharf/status")
        assert {c.answer().status for c in all_of_them} == {200}
    finally:
        for c in all_of_them:
            c.close()
    assert d.model("m")["pid"] == pid


def test_the_history_is_locked(wharf, tmp_path):
    """By somebody who looks at it for long: streams do not wait for that."""
    activity = tmp_path / "activity.db"
    d = wharf({"store": {"path": str(activity)}, "models": {"m": SLOW}})
    d.ok(d.chat("m", max_tokens=1))
    d.until_archived()
    with contextlib.ExitStack() as held:
        for path in (activity, d.state / "history.db"):
            db = held.enter_context(contextlib.closing(sqlite3.connect(path, isolation_level=None)))
            db.execute("begin immediate")
        d.ok(d.chat("m", max_tokens=1))  # rows that cannot be written
        s = Stream(d, "m").head()
        s.next()
        asked = Later(upgrade, d)
        longest, last = 0, time.monotonic()
        while s.next() is not None:
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        asked.result()
    assert longest < 1.5 * SLOWNESS, longest


def test_models_of_ollama(wharf, tmp_path):
    """Its server keeps them, and the next program finds them there."""
    server = Ollama(tmp_path / "ollama", None, {"big:8b": {"vram": 6 << 30}})
    try:
        d = wharf({"models": {"big": server.model("big:8b")}})
        d.load("big")
        pid = server.loaded()["big:8b"]["pid"]
        upgrade(d)
        assert d.model("big")["state"] == "loaded"
        d.ok(d.chat("big", max_tokens=1))
        assert server.loaded()["big:8b"]["pid"] == pid
    finally:
        server.close()
