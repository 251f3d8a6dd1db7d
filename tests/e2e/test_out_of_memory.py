"""An allocation fails: the request that it was for, or the daemon as a whole, in one line; the next daemon
takes over all that runs."""

import errno
import os
import random
import re

import pytest

import faults
from books import known
from fault_world import World
from wharf_harness import SANITIZED, chat_body, until

pytestmark = [pytest.mark.faults,
              pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not())),
              pytest.mark.skipif(SANITIZED, reason="a sanitizer has memory functions of its own")]

LAST_WORDS = re.compile(r"^wharf: (out of memory|a library cannot go on: .*)$", re.M)


def end_of(d):
    """None: it goes on. Else its last words."""
    try:
        d.ok(d.get("/health"))
        return None
    except OSError:
        d.wait()
    said = LAST_WORDS.findall(d.stderr)
    assert d.process.returncode == 1 and said, f"{d.process.returncode}: {d.stderr[-2000:]}"
    return said[-1]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_an_allocation_fails(wharf, tmp_path):
    seed = int(os.environ.get("WHARF_FAULT_SEED", random.randrange(1 << 32)))
    tries = 400 if os.environ.get("WHARF_FAULTS") == "all" else 6
    rng = random.Random(seed)
    w = World(wharf, tmp_path)
    d = w.start()
    assert w.load() == 0, w.failures
    w.faults.set("memory")
    assert w.load() == 0, w.failures
    count, ended = w.faults.rule("memory").seen, 0
    print(f"WHARF_FAULT_SEED={seed}: {count} allocations a pass")
    for _ in range(tries):
        n = rng.randrange(1, count)
        d.stderr_path.write_text("")
        w.failures.clear()
        with w.faults.failing("memory", errno.ENOMEM, first=n):
            with_fault = w.load()
        try:
            words = end_of(d)
        except AssertionError as e:
            raise AssertionError(f"allocation {n}: {e}") from None
        if words:
            ended += 1
            engines = set(d.engines())
            w.faults.await_process()
            d.start()
            until(lambda: (k := known(d)) is not None and set(d.engines()) <= k, "all that runs to be known")
            lost = {p for p in engines if p not in known(d)}
            unlawful = [line for line in re.findall(r"not taken over: (.*)", d.stderr)
                        if not line.startswith(("it was on its way out", "it has ended"))]
            assert not unlawful, f"allocation {n}: {unlawful}, {lost}"
        w.must_recover(f"allocation {n} ({words}, {with_fault} requests failed)")
    print(f"{tries} allocations failed: {ended} ended the daemon, each in one line")


def test_what_a_client_decides_ends_nothing(wharf, tmp_path):
    """As soon as there is no room for more than 20,000 bytes in one piece."""
    w = World(wharf, tmp_path)
    d = w.start()
    d.ok(d.chat("small"))
    w.faults.set("memory", errno.ENOMEM, first=1, last=0, bytes_min=20_000)
    long = "x" * 50_000
    asked = {
        "a body": lambda: d.chat("small", long),
        "a long body": lambda: d.chat("small", long * 20),
        "chunks": lambda: d.ask("POST", "/v1/chat/completions", headers={"Transfer-Encoding": "chunked"},
                                body=b"c350\r\n" + b" " * 50_000 + b"\r\n0\r\n\r\n"),
        "a head": lambda: d.get("/health", {"X-Long": "y" * 25_000}),
        "Ollama's words": lambda: d.post("/api/chat", {"model": "small", "messages": [
            {"role": "user", "content": long * 4}], "stream": False}),
        "a question to the daemon": lambda: d.post("/wharf/leases", {"name": long}),
        "Responses": lambda: d.post("/v1/responses", {"model": "small", "input": long * 4}),
        "Messages": lambda: d.post("/v1/messages", {**chat_body("small", long * 4), "max_tokens": 2}),
        "a long answer": lambda: d.chat("small", long, max_tokens=30_000),
    }
    for what, ask in asked.items():
        try:
            answer = ask()
            print(what, answer.status, answer.body[:120])
            assert answer.status in (200, 400, 413, 431, 503), f"{what}: {answer}"
        except OSError as e:  # what can be read no further is answered by the end
            print(what, repr(e))
        assert end_of(d) is None, f"{what}: {d.stderr[-1500:]}"
    w.faults.clear()
    w.must_recover("memory again")
