"""The daemon is killed again and again, at random moments under a mixed load: requests, streams, leases
and models that put each other out. Each time the next one has to know all that runs, and serve on.

One seed, which is printed, draws the load and the moments (WHARF_KILLS_SEED, WHARF_KILLS)."""

import contextlib
import os
import random
import re
import threading
import time

import pytest

from books import books_agree, known
from leases import Lease
from wharf_harness import SLOWNESS, chat_body, demo, until

GIB = 1 << 30
DEVICES = {"gpu0": 12 * GIB, "gpu1": 12 * GIB}
MODELS = {"large": "8GiB", "other": "8GiB", "third": "7GiB", "small": "2GiB"}
# What cannot be taken over, by what the daemon says of it.
LAWFUL = ("it was on its way out, to sleep or awake", "it has ended, or could not be woken",
          "another process of the model is taken over")
BOOKS_SECONDS = 2


def config():
    return {"gpus": [{"sim": {"name": n, "memory": f"{b // GIB}GiB"}, "sample": "20ms"}
                     for n, b in DEVICES.items()],
            "gates": {"one": {"limit": 1}}, "unloadTimeout": 2, "leaseGrace": "1s",
            "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}},
            "models": {name: demo(name, "--load-time", "20ms", "--token-delay", "2ms", vram=vram)
                       for name, vram in MODELS.items()}}


class Load:
    """Clients that never give up: what a daemon that dies under them does to them is what is counted."""

    def __init__(self, d, seed):
        self.d, self.over, self.answers, self.cut = d, threading.Event(), 0, 0
        self.wrong = []
        works = [self.chat, self.chat, self.stream, self.lease, self.unload]
        self.threads = [threading.Thread(target=self.run, args=(work, random.Random(f"{seed} {i}")), daemon=True)
                        for i, work in enumerate(works)]
        for t in self.threads:
            t.start()

    def run(self, work, rng):
        while not self.over.is_set():
            try:
                work(rng)
                self.answers += 1
            except (OSError, AssertionError, ValueError) as e:
                # Between two lives nobody is there; an answer that was cut is an error of its own.
                if not isinstance(e, OSError) and "503" not in str(e) and "incomplete" not in str(e):
                    self.wrong.append(repr(e)[:300])
                self.cut += 1
                self.over.wait(0.005)

    def chat(self, rng):
        answer = self.d.chat(rng.choice(list(MODELS)), max_tokens=3)
        if answer.status != 200:
            self.turned_away(answer)

    def turned_away(self, answer):
        """An engine that was told to go by an earlier daemon may still be going."""
        if answer.status not in (502, 503):
            self.wrong.append(repr(answer)[:300])

    def stream(self, rng):
        with self.d.connect() as c:
            c.request("POST", "/v1/chat/completions", chat_body(rng.choice(list(MODELS)), stream=True))
            for _ in c.sse(c.head()):
                pass

    def lease(self, rng):
        gates = ["one"] if rng.random() < 0.5 else []
        lease = Lease(self.d, vram=f"{rng.randrange(1, 4)}GiB", gates=gates, wait="5s")
        with contextlib.closing(lease):
            if lease.answer.status != 200:
                self.turned_away(lease.answer)
            elif lease.state == "waiting":
                lease.until("granted")

    def unload(self, rng):
        self.over.wait(0.02 + rng.random() / 20)
        self.d.post(f"/wharf/models/{rng.choice(list(MODELS))}/unload")

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join(30 * SLOWNESS)
        assert not [t for t in self.threads if t.is_alive()], "a client never came back"


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_again_and_again(wharf, containment):
    seed = int(os.environ.get("WHARF_KILLS_SEED", random.randrange(1 << 32)))
    kills = int(os.environ.get("WHARF_KILLS", 25))
    print(f"WHARF_KILLS_SEED={seed} WHARF_KILLS={kills}")
    rng = random.Random(seed)
    d = wharf(config(), **containment)
    load, began, slowest = Load(d, seed), time.monotonic(), 0
    for _ in range(kills):
        # The moment: so many answers later, and a part of one.
        goal = load.answers + rng.randrange(1, 40)
        until(lambda: load.answers >= goal, "answers")
        time.sleep(rng.random() / 50)
        d.kill()
        d.start()
        restarted = time.monotonic()
        until(lambda: (k := known(d)) is not None and set(d.engines()) <= k, "all that runs to be known")
        for name in MODELS:
            assert len(d.engines(name)) <= 1, f"two of {name}"
        slowest = max(slowest, time.monotonic() - restarted)
        assert slowest < BOOKS_SECONDS * SLOWNESS, "until nobody unknown is left"
    load.stop()
    assert not load.wrong, load.wrong[:5]
    reasons = re.findall(r"not taken over: (.*)", d.stderr)
    taken = d.stderr.count("taken over from an earlier daemon")
    unlawful = [r for r in reasons if not r.startswith(LAWFUL)]
    assert not unlawful, unlawful[:5]
    until(lambda: books_agree(d, DEVICES), "the books", 2 * BOOKS_SECONDS * SLOWNESS)
    for name in MODELS:
        d.ok(d.chat(name))
    print(f"{kills} kills, {taken} processes taken over, {len(reasons)} not ({sorted(set(reasons))}); "
          f"{load.answers} answers, {load.cut} cut or turned away; known within {slowest:.2f} s; "
          f"{time.monotonic() - began:.0f} s")
    assert taken > kills // 4
