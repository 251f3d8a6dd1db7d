"""Everything at once, from a seed: clients that vanish, engines that are killed, unloads, reloads.

Whatever happens, every request gets an answer, and in the end nothing is in flight, nobody waits,
and each model can be loaded. $WHARF_CHAOS_SEEDS: how many runs of each kind.
"""

import contextlib
import os
import random
import signal

import pytest

from wharf_harness import Connection, chat_body, content, demo, together

NAMES = ["a", "b", "c", "slow", "bad"]
ANSWERS = {200, 429, 502, 503}
CLIENTS, ACTIONS = 8, {"fifo": 40, "serial": 15}
SEEDS = int(os.environ.get("WHARF_CHAOS_SEEDS", 2))


def config(scheduler, ttl=0):
    gpu = {"sim": {"name": "s", "memory": "8GiB"}, "sample": "20ms"}
    return {"routing": {"scheduler": {"use": scheduler}}, "gpus": [gpu], "models": {
        "a": demo("a", vram="3GiB", ttl=ttl),
        "b": demo("b", "--fork-grandchildren", "1", vram="3GiB"),
        "c": demo("c", "--token-delay", "3ms", vram="4GiB", concurrencyLimit=2),
        "slow": demo("slow", "--load-time", "80ms", "--stop-time", "40ms", vram="6GiB"),
        "bad": demo("bad", "--crash-after-tokens", "2", "--load-time", "20ms", vram="2GiB")}}


class Client:
    def __init__(self, daemon, scheduler, seed):
        self.d, self.scheduler, self.rng = daemon, scheduler, random.Random(f"{scheduler} {seed}")

    def chat(self, name):
        text = f"n{self.rng.random()}"
        answer = self.d.chat(name, text, stream=self.rng.random() < 0.5)
        assert answer.status in ANSWERS, answer
        if answer.status == 200 and answer.complete:
            assert content(answer) == f"demo-model {name} says: {text}"
        if answer.status != 200:
            assert answer.message

    def leave_early(self, name):
        with Connection(self.d.address) as c:
            c.request("POST", "/v1/chat/completions", chat_body(name, stream=True))
            if self.rng.random() < 0.5:
                c.sock.settimeout(self.rng.random() * 0.05 + 0.001)
                with contextlib.suppress(TimeoutError, ConnectionError):
                    c.head()
            if self.rng.random() < 0.5:
                c.reset()

    def load(self, name):
        answer = self.d.post(f"/wharf/models/{name}/load")
        assert answer.status in ANSWERS, answer

    def unload(self, name):
        answer = self.d.post(f"/wharf/models/{name}/unload?force={self.rng.randrange(2)}")
        assert answer.status in ANSWERS, answer

    def kill(self, name):
        pid = self.d.model(name)["pid"]
        # Only what is an engine of this daemon still: the id may have been given away again.
        if pid in self.d.engines(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def reload(self, _):
        self.d.write_config(config(self.scheduler, ttl=self.rng.choice([0, 1, 60])))
        self.d.signal(signal.SIGHUP)

    def look(self, _):
        for path in ("/wharf/models", "/wharf/status", "/running", "/v1/models"):
            self.d.ok(self.d.get(path))

    def go(self):
        kinds = [self.chat] * 12 + [self.leave_early] * 5 + [self.load, self.unload, self.kill,
                                                            self.reload, self.look]
        for _ in range(ACTIONS[self.scheduler]):
            self.rng.choice(kinds)(self.rng.choice(NAMES))


@pytest.mark.slice
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("scheduler", ["fifo", "serial"])
def test_chaos(wharf, containment, scheduler, seed):
    d = wharf(config(scheduler), **containment)
    together(CLIENTS, lambda i: Client(d, scheduler, f"{seed} {i}").go())
    assert d.process.poll() is None, d.stderr[-3000:]
    for name in NAMES:
        d.until_model(name, in_flight=0, waiting=0)
    for name in ("a", "b", "c", "slow"):
        d.load(name)
        assert content(d.ok(d.chat(name))).startswith(f"demo-model {name} says:")
    d.stop()
