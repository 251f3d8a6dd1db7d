"""The soak's daemon: two simulated GPUs, more models than fit on them, of every kind that there is, and
bounds that are small enough to be reached.

    world = World(wharf, folder, seed)         # the daemon runs
    world.variant(rng)                         # a configuration that a reload may bring
    world.close()

The history's file is filled beforehand with as many old rows as the run may displace, below the bound
that counts ids, so that from the first minutes on each new row pushes an old one out."""

import contextlib
import os
import pwd
import shlex
import signal
import sqlite3
import sys

import fake_gpus
import jobs_world
import real_server
from fakes.ollama import Ollama
from workers import Worker
from wharf_harness import DEMO, ROOT, demo, processes_with

GIB, MIB = fake_gpus.GIB, 1 << 20
KEY = "the-soak-has-a-key"
HISTORY_ROWS_MAX = 1_000_000  # src/server/record/history.h
LOG_BYTES_MAX = 16 * MIB      # src/server/residents/process.c
OWN_HISTORY_BYTES = 8 * MIB   # the least that may be: its oldest rows leave after a few minutes
CHATTY_BYTES = MIB            # of its log at each start
ENGINES = ROOT / "tests" / "e2e" / "fakes" / "engines.py"
# What is asked for in the ordinary way, and what its server calls itself.
TEXT = {"small": "small", "middle": "middle", "large": "large", "wide": "wide", "brief": "brief",
        "chatty": "chatty", "remade": "remade", "best": None, "self/small": "small"}
# Names that stand for several, of which any may have an error's cause.
STANDS_FOR = {"best": ("small", "middle"), "self/small": ("small",)}
KILLED = ["small", "middle", "large", "wide", "brief", "chatty", "mover", "sleeper", "remade", "llama"]
MODES = {"day": {"small": "loaded", "mover": "cuda"}, "night": {"middle": "loaded", "large": "unloaded"},
         "move": {"mover": "cpu", "clip": "cpu"}}


def chatty():
    """Its log is put aside at every so many starts."""
    model = demo("chatty", vram="3GiB")
    return {**model, "cmd": f"/bin/sh -c 'head -c {CHATTY_BYTES} /dev/zero | tr \"\\000\" x; exec {model['cmd']}'"}


def mover():
    words = shlex.join([str(DEMO), "--port", "PORT", "--name", "mover"]).replace("PORT", "${PORT}")
    return {"proxy": "http://127.0.0.1:${PORT}", "cmd": words,
            "devices": {"cuda": {"vram": "2GiB", "cmd": words + " --vram 2GiB"}, "cpu": {"cmd": words}}}


def sleeper():
    words = [sys.executable, "-IS", str(ENGINES), "--engine", "vllm", "--port", "PORT", "--vram", str(6 * GIB)]
    return {"cmd": shlex.join(words).replace("PORT", "${PORT}"), "proxy": "http://127.0.0.1:${PORT}",
            "vram": "6GiB", "suspend": "vllm"}


def fill_history(path, last_id, rows):
    """Old rows, and an id from which on the bound is near."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("delete from activity")
        db.execute("""with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
            insert into activity (id, ts_created, model_id, req_path, resp_content_type, resp_status_code,
            duration_ms) select i, 1700000000 + i, 'old', '/v1/chat/completions', 'application/json', 200, 7
            from n""", (rows,))
        db.execute("update sqlite_sequence set seq = ? where name = 'activity'", (last_id,))


class World:
    def __init__(self, wharf, folder, seed, seconds, **options):
        self.seed, self.real = seed, not real_server.why_not()
        self.history = folder / "history" / "history.db"
        self.history.parent.mkdir()
        self.gpu1 = folder / "gpu1"
        self.gpu1.mkdir()
        (self.gpu1 / "capacity").write_text(f"{jobs_world.CAPACITY}\n")
        (self.gpu1 / "lock").touch()
        self.ollama = Ollama(folder / "ollama", self.gpu1, {"big:8b": {"vram": 6 * GIB}})
        self.unix = str(folder / "wharf.sock")
        listen = ["127.0.0.1:0", f"unix:{self.unix}"]
        # The daemon makes its file; what stands in it is made while no daemon has it.
        self.d = wharf(self.config(), listen=listen, wait=False, **options)
        self.own_history = self.d.state / "history.db"
        self.wait_started()
        self.d.stop()
        self.first_row = HISTORY_ROWS_MAX - 20
        self.old_rows = int(400 * seconds) + 2000
        fill_history(self.history, self.first_row, self.old_rows)
        self.history_bytes = self.history.stat().st_size
        self.d.start(wait=False)
        self.wait_started()
        self.d.env["WHARF_KEY"] = KEY  # of commands that tests run from now on
        self.worker = None
        self.start_worker()

    def wait_started(self):
        self.d.wait_started(self.d.state / "listen")

    def folders(self):
        """Of the simulated GPUs, by name."""
        return {"gpu0": str(self.d.state / "sim" / "0"), "gpu1": str(self.gpu1)}

    def start_worker(self):
        self.worker = Worker(self.d, "clip", over="unix")
        self.worker.joined()

    def config(self, guest=True, delay_ms=1, captures="1MiB", peer=False):
        gpus = [{"sim": {"name": "gpu0", "memory": jobs_world.CAPACITY}, "sample": "50ms"},
                {"sim": {"name": "gpu1", "memory": jobs_world.CAPACITY, "folder": str(self.gpu1)}, "sample": "50ms"}]
        own = jobs_world.config()
        config = {
            "gpus": gpus, "gates": own["gates"], "classes": own["classes"], "routing": own["routing"],
            "keys": [{"key": KEY, "name": "soak", "admin": True}, {"key": KEY + "-reads", "readOnly": True},
                     {"user": pwd.getpwuid(os.getuid()).pw_name, "admin": True}],
            "host": {"suspendBudget": "32GiB"}, "unloadTimeout": 5, "backendRetry": "200ms",
            "healthCheckTimeout": 20, "captureBuffer": captures, "store": {"path": str(self.history)},
            "history": {"maxSize": OWN_HISTORY_BYTES},
            "hooks": {"on": {"model_loaded": "true", "config_rejected": ["true", "cat"]}, "timeout": "5s"},
            "modes": MODES, "selectors": {"best": {"strategy": "warm", "targets": list(STANDS_FOR["best"])}},
            "spool": "64MiB", "models": self.models(guest, delay_ms)}
        if peer:
            config["peers"] = {"self": {"proxy": self.d.url, "apiKey": KEY, "models": ["small"],
                                          "timeouts": {"idleConn": "500ms"}}}
        return config

    def models(self, guest, delay_ms):
        quick = ("--load-time", "60ms", "--token-delay", "2ms")
        found = {
            "small": demo("small", *quick, vram="2GiB"), "middle": demo("middle", *quick, vram="7GiB"),
            "large": demo("large", *quick, vram="15GiB"),
            "wide": demo("wide", vram="16GiB", gpuCount=2), "brief": demo("brief", vram="1GiB", ttl=1),
            "chatty": chatty(), "mover": mover(), "sleeper": sleeper(),
            "remade": demo("remade", "--token-delay", f"{delay_ms}ms", vram="1GiB"),
            "crashing": demo("crashing", "--crash-after-tokens", "4", vram="1GiB"),
            "broken": {"cmd": "/bin/false ${PORT}", "proxy": "http://127.0.0.1:${PORT}", "vram": "1GiB"},
            "huge": demo("huge", vram="60GiB"),
            "crowded": demo("crowded", "--token-delay", "10ms", vram="1GiB", concurrencyLimit=1, maxQueue=1),
            "clip": {"backend": "worker", "devices": {"cuda": {"vram": "500MiB", "gpus": ["gpu0"]}, "cpu": {}},
                     "timeouts": {"idleConn": "500ms"}},
            "big": self.ollama.model("big:8b", vram="6GiB", gpus=["gpu1"], timeouts={"idleConn": "500ms"})}
        if guest:
            found["guest"] = demo("guest", vram="1GiB", aliases=["visitor"])
        if self.real:
            found["llama"] = {**real_server.model("llama"), "vram": 0, "ttl": 20}
        return found

    def variant(self, rng):
        return self.config(guest=rng.random() < 0.6, delay_ms=rng.randrange(1, 4),
                           captures=rng.choice(["1MiB", "1MiB", "2MiB"]), peer=True)

    def close(self):
        if self.worker:
            self.worker.kill()
        self.ollama.close()
        for pid in processes_with(f"WHARF_TEST_JOBS={self.d.test_id}"):  # of a run that was broken off
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
