"""Gates of libwharf: in the process beside a semaphore of the C library, among a million waiters, and
through the daemon."""

import json
import re
import subprocess

from common import BUILD, WHARF, Bar, Failure, log_tail, median, running, until

IN_PROCESS, THROUGH = BUILD / "bench" / "bench_lib_gate", BUILD / "bench" / "bench_lib_lease"
CONFIG = {"models": {}, "gates": {"bench": {"limit": 1}}}
COUNT = 2000
ALONE, SEMAPHORE = "gate, uncontended", "semaphore, uncontended"
CANCEL = "1000000 waiters: cancel any"


class Gates:
    """Medians over runs, in which all of it is measured one after the other."""

    def __init__(self, rounds):
        self.rounds, self.runs, self.us = rounds, [], []

    def run(self, folder, say):
        for program in (IN_PROCESS, THROUGH):
            subprocess.run(["ninja", "-C", str(BUILD), str(program.relative_to(BUILD))], check=True,
                           stdout=subprocess.DEVNULL)
        for _ in range(self.rounds):
            out = subprocess.run([IN_PROCESS], capture_output=True, text=True, timeout=300, check=True).stdout
            self.runs.append({what: float(ns) for what, ns in re.findall(r"(.+): ([\d.]+) ns", out)})
        say("gate: " + ", ".join(f"{what} {self.ns(what):.0f} ns" for what in self.runs[0]))
        self.through_the_daemon(folder)
        say(f"gate: through the daemon p50 {self.at(0.5):.0f} µs, p99 {self.at(0.99):.0f} µs")

    def through_the_daemon(self, folder):
        config, socket, log = folder / "gates.yaml", folder / "gates.sock", folder / "gates.log"
        config.write_text(json.dumps(CONFIG | {"state": str(folder / "gates-state")}))
        with running([WHARF, "serve", "--config", config, "--listen", f"unix:{socket}"], log) as daemon:
            until(lambda: self.through(socket, 1).returncode == 0, daemon, log, "the first lease")
            for _ in range(self.rounds):
                done = self.through(socket, COUNT)
                if done.returncode:
                    raise Failure(f"no lease of the gate:{log_tail(log)}")
                self.us += map(float, done.stdout.split())
        self.us.sort()

    @staticmethod
    def through(socket, count):
        return subprocess.run([THROUGH, f"unix:{socket}", "bench", str(count)], capture_output=True,
                              text=True, timeout=300)

    def ns(self, what):
        return median([run[what] for run in self.runs]) if self.runs else None

    def at(self, share):
        return self.us[int(len(self.us) * share)] if self.us else None

    def bars(self):
        alone = self.ns(ALONE)
        yield Bar("gate in the process: acquire and release, uncontended", alone, 100, "ns")
        yield Bar("gate in the process: the same, times what a semaphore costs",
                  median([run[ALONE] / run[SEMAPHORE] for run in self.runs]) if self.runs else None, 2, "")
        cancel = self.ns(CANCEL)
        yield Bar("gate in the process: cancel any of 1,000,000 waiters",
                  cancel / 1000 if cancel is not None else None, 2, "µs")
        yield Bar("gate through the daemon's unix socket: acquire and release, p50", self.at(0.5), 60, "µs")

    def report(self, page):
        page.heading("Gates of libwharf")
        page.text(f"In the process: means over 10,000,000 passes, and over 1,000,000 waiters of three classes "
                  f"of which half are cancelled at random; the median of {self.rounds} runs. A pass is one "
                  "acquire and one release by a single thread. Through the daemon: a lease of one gate, by "
                  f"wharf_client_gate and wharf_lease_end, each on a new connection; {len(self.us)} in all.")
        page.table(["", "ns"], [[what, f"{self.ns(what):.1f}"] for what in self.runs[0]])
        page.table(["through the daemon", "µs"], [[f"p{share * 100:g}", f"{self.at(share):.1f}"]
                                                  for share in (0.5, 0.9, 0.99)])
