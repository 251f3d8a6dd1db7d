"""What it costs to record requests: wharf beside a build of it that records nothing.

Such a build is not a mode of wharf. It is made by hand, with an early return in recording_begin and
recording_head (src/server/record/recording.c), and named in $WHARF_UNRECORDED."""

import contextlib
import os
import sqlite3

from common import (DEMO, HOST, Bar, Daemon, Failure, check_health, cpu_seconds, free_port,
                    median, memory, pinned, running, spread, until)
from proxies import MANY, Cores, load, nginx, wharf_config

RECORDED, UNRECORDED, FILE = "recorded", "not recorded", "recorded in a file"
CHAT, STREAM = "bench", "stream"
EVENTS = 1000


class Recording:
    def __init__(self, rounds, seconds):
        self.rounds, self.seconds = rounds, seconds
        self.cores = Cores()

    def run(self, folder, say):
        other = os.environ.get("WHARF_UNRECORDED")
        if not other:
            raise Failure("$WHARF_UNRECORDED names no build to compare with")
        upstream, engine, self.results = free_port(), free_port(), {}
        folder = folder / "recording"
        folder.mkdir()
        config = wharf_config(upstream)
        config["models"]["stream"] = {**config["models"]["bench"], "proxy": f"http://{HOST}:{engine}"}
        config["routing"] = {"router": {"settings": {"groups": {
            "all": {"members": ["bench", "stream"], "swap": False}}}}}
        in_file = {**config, "store": {"path": str(folder / "history.db")}}
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                nginx(folder, "nginx-upstream.conf", self.cores.upstream, port=upstream))
            log = folder / "engine.log"
            process = stack.enter_context(running(pinned(self.cores.upstream, [
                DEMO, "--port", str(engine), "--name", "stream", "--tokens", str(EVENTS),
                "--token-delay", "0"]), log))
            until(lambda: check_health(engine), process, log, "the start of the engine")
            daemons = {UNRECORDED: Daemon(folder / "off", config, self.cores.proxy, other),
                       RECORDED: Daemon(folder / "on", config, self.cores.proxy),
                       FILE: Daemon(folder / "file", in_file, self.cores.proxy)}
            for daemon in daemons.values():
                stack.enter_context(daemon)
            self.idle = memory(daemons[RECORDED].pid)["rss"]
            for turn in range(self.rounds):
                self.turn(turn, daemons)
                say(f"recording: round {turn + 1}/{self.rounds}: " + ", ".join(
                    f"{name} {self.results[name, CHAT][-1]['cpu_us']:.1f} µs" for name in daemons))
        with sqlite3.connect(folder / "history.db") as db:
            self.rows = db.execute("select count(*) from activity").fetchone()[0]

    def turn(self, turn, daemons):
        for model in (CHAT, STREAM):
            for name in sorted(daemons, reverse=turn % 2 == 1):
                daemon = daemons[name]
                load(self.cores.client, daemon.port, MANY, 1, None if model == CHAT else model)
                before = cpu_seconds(daemon.pid)
                result = load(self.cores.client, daemon.port, MANY, self.seconds, None if model == CHAT else model)
                used = cpu_seconds(daemon.pid) - before
                result["rate"] = result["requests"] / (result["duration_us"] / 1e6)
                result["cpu_us"] = used * 1e6 / result["requests"]
                self.results.setdefault((name, model), []).append(result)

    # ------------------------------------------------------------ what came of it

    def all(self, name, model, what):
        return [r[what] for r in self.results[name, model]]

    def ratio(self, model, what, name=RECORDED):
        return median([a / b for a, b in zip(self.all(name, model, what),
                                             self.all(UNRECORDED, model, what))])

    def bars(self):
        return [Bar("requests/s, times those not recorded", self.ratio(CHAT, "rate"), 0.95, "",
                    at_least=True),
                Bar("streams/s, times those not recorded", self.ratio(STREAM, "rate"), 0.95, "",
                    at_least=True)]

    def report(self, page):
        page.heading("Recording")
        page.text(
            f"The same requests through wharf and through a build of it that records nothing, at {MANY} "
            f"connections: small chat answers, and streams of {EVENTS} events, each written by itself. "
            f"Medians (min–max) of {self.rounds} rounds, by turns; {self.cores.describe()}. CPU is of "
            f"all of the daemon's threads. {self.idle} KiB resident before the first request.")
        page.table(["", "chat, CPU µs", "times", "requests/s", "times", "stream, CPU µs", "times",
                    "streams/s", "times"],
                   [[name, *self.cells(name, CHAT), *self.cells(name, STREAM)]
                    for name in (UNRECORDED, RECORDED, FILE)])
        page.text(f"{self.rows} rows are in the file.")

    def cells(self, name, model):
        return [spread(self.all(name, model, "cpu_us")), f"{self.ratio(model, 'cpu_us', name):.2f}",
                spread(self.all(name, model, "rate"), "{:.0f}"),
                f"{self.ratio(model, 'rate', name):.2f}"]
