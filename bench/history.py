"""What wharf's own history costs: wharf with it, beside the same wharf without."""

import contextlib
import sqlite3

from common import DEMO, HOST, Bar, Daemon, check_health, free_port, memory, pinned, running, until
from proxies import MANY, nginx, wharf_config
from recording import CHAT, EVENTS, STREAM, Recording

WITHOUT, WITH = "without", "with history.db"


class History(Recording):
    def run(self, folder, say):
        upstream, engine, self.results = free_port(), free_port(), {}
        folder = folder / "history"
        folder.mkdir()
        config = wharf_config(upstream)
        config["models"]["stream"] = {**config["models"]["bench"], "proxy": f"http://{HOST}:{engine}"}
        config["routing"] = {"router": {"settings": {"groups": {
            "all": {"members": ["bench", "stream"], "swap": False}}}}}
        with contextlib.ExitStack() as stack:
            stack.enter_context(nginx(folder, "nginx-upstream.conf", self.cores.upstream, port=upstream))
            log = folder / "engine.log"
            process = stack.enter_context(running(pinned(self.cores.upstream, [
                DEMO, "--port", str(engine), "--name", "stream", "--tokens", str(EVENTS),
                "--token-delay", "0"]), log))
            until(lambda: check_health(engine), process, log, "the start of the engine")
            daemons = {WITHOUT: Daemon(folder / "off", {**config, "history": {"enabled": False}}, self.cores.proxy),
                       WITH: Daemon(folder / "on", config, self.cores.proxy)}
            for daemon in daemons.values():
                stack.enter_context(daemon)
            self.idle = memory(daemons[WITH].pid)["rss"]
            for turn in range(self.rounds):
                self.turn(turn, daemons)
                say(f"history: round {turn + 1}/{self.rounds}: " + ", ".join(
                    f"{name} {self.results[name, CHAT][-1]['cpu_us']:.1f} µs" for name in daemons))
        (file,) = (folder / "on").rglob("history.db")
        with sqlite3.connect(file) as db:
            self.rows = db.execute("select count(*) from requests").fetchone()[0]
            self.last = db.execute("select max(id) from requests").fetchone()[0]
            self.bytes = db.execute("pragma page_count").fetchone()[0] * 4096
        asked = sum(r["requests"] for model in (CHAT, STREAM) for r in self.results[WITH, model])
        self.lost = asked > self.last

    def ratio(self, model, what, name=WITH):
        pairs = zip(self.all(name, model, what), self.all(WITHOUT, model, what))
        return sorted(a / b for a, b in pairs)[self.rounds // 2]

    def bars(self):
        return [Bar("requests/s with history.db, times those without", self.ratio(CHAT, "rate"), 0.97, "",
                    at_least=True),
                Bar("streams/s with history.db, times those without", self.ratio(STREAM, "rate"), 0.97, "",
                    at_least=True)]

    def report(self, page):
        page.heading("wharf's own history")
        page.text(
            f"The same requests through wharf with `history.enabled` on and off, at {MANY} connections: small "
            f"chat answers, and streams of {EVENTS} events. Medians (min–max) of {self.rounds} rounds, by turns; "
            f"{self.cores.describe()}, the thread that writes included.")
        page.table(["", "chat, CPU µs", "times", "requests/s", "times", "stream, CPU µs", "times",
                    "streams/s", "times"],
                   [[name, *self.cells(name, CHAT), *self.cells(name, STREAM)] for name in (WITHOUT, WITH)])
        page.text(f"{self.rows} rows are in the file, {self.bytes / self.rows:.0f} bytes each; "
                  f"{'some were' if self.lost else 'none was'} lost on the way.")
