"""What a line for each request costs: wharf with none, with one for people and with one of JSON."""

import contextlib

from common import Daemon, cpu_seconds, free_port, median, spread
from proxies import MANY, Cores, load, nginx, wharf_config

OFF, HUMAN, JSON = "off", "human", "json"
FORMS = (OFF, HUMAN, JSON)


class LogForms:
    def __init__(self, rounds, seconds):
        self.rounds, self.seconds = rounds, seconds
        self.cores, self.results = Cores(), {form: [] for form in FORMS}

    def run(self, folder, say):
        folder = folder / "log_forms"
        folder.mkdir()
        upstream = free_port()
        with contextlib.ExitStack() as stack:
            stack.enter_context(nginx(folder, "nginx-upstream.conf", self.cores.upstream, port=upstream))
            self.daemons = {form: stack.enter_context(Daemon(folder / form, {
                **wharf_config(upstream), "logLevel": "info",
                "log": {"format": HUMAN if form == OFF else form, "access": OFF if form == OFF else "on"},
            }, self.cores.proxy)) for form in FORMS}
            for turn in range(self.rounds):
                for form in sorted(FORMS, reverse=turn % 2 == 1):
                    self.measure(form)
                say(f"log_forms: round {turn + 1}/{self.rounds}: " + ", ".join(
                    f"{form} {self.results[form][-1]['cpu_us']:.1f} µs" for form in FORMS))
            self.bytes = {form: self.line_bytes(self.daemons[form].log) for form in FORMS[1:]}

    def measure(self, form):
        daemon = self.daemons[form]
        load(self.cores.client, daemon.port, MANY, 1)
        before = cpu_seconds(daemon.pid)
        result = load(self.cores.client, daemon.port, MANY, self.seconds)
        used = cpu_seconds(daemon.pid) - before
        result["rate"] = result["requests"] / (result["duration_us"] / 1e6)
        result["cpu_us"] = used * 1e6 / result["requests"]
        self.results[form].append(result)

    @staticmethod
    def line_bytes(log):
        lines = [line for line in log.read_bytes().splitlines() if b"POST /v1/chat/completions" in line]
        return sum(map(len, lines)) / len(lines)

    # ------------------------------------------------------------ what came of it

    def all(self, form, what):
        return [r[what] for r in self.results[form]]

    def ratio(self, form, what):
        return median([a / b for a, b in zip(self.all(form, what), self.all(OFF, what))])

    def bars(self):
        return []

    def report(self, page):
        page.heading("Lines for requests")
        page.text(f"The same small chat answers at {MANY} connections, with the log in a file: without lines for "
                  f"requests (log.access: off), with those for people, and with those of JSON. Medians (min–max) of "
                  f"{self.rounds} rounds, by turns; {self.cores.describe()}. CPU is of all of the daemon's threads.")
        page.table(["", "CPU µs", "times", "requests/s", "times", "bytes a line"],
                   [[form, spread(self.all(form, "cpu_us")), f"{self.ratio(form, 'cpu_us'):.2f}",
                     spread(self.all(form, "rate"), "{:.0f}"), f"{self.ratio(form, 'rate'):.2f}",
                     f"{self.bytes[form]:.0f}" if form in self.bytes else "0"] for form in FORMS])
