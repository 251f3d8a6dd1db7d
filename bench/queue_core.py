"""What entering, leaving and being granted cost in the core's queue."""

import re
import subprocess

from common import ROOT, Bar, Failure, median

PROGRAM = ROOT / "build" / "bench" / "bench_core_queue"
LINE = re.compile(r"(\d+) waiters: arrive (\d+) ns, cancel (\d+) ns, grant (\d+) ns")
WHAT = ("arrive", "cancel", "grant")
FEW, MANY = 100, 100_000


class Queue:
    """Medians over runs of the program, which measures both sizes in one process."""

    def __init__(self, rounds):
        self.rounds, self.ns = rounds, {}

    def run(self, _folder, say):
        subprocess.run(["ninja", "-C", str(ROOT / "build"), str(PROGRAM.relative_to(ROOT / "build"))],
                       check=True, stdout=subprocess.DEVNULL)
        runs = {FEW: [], MANY: []}
        for _ in range(self.rounds):
            done = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=120, check=True)
            for waiters, *ns in LINE.findall(done.stdout):
                runs[int(waiters)].append([int(n) for n in ns])
        if not all(runs.values()):
            raise Failure(f"{PROGRAM} says nothing")
        for size, rows in runs.items():
            self.ns[size] = [median(column) for column in zip(*rows)]
        say(f"queue: {MANY} waiters: " +
            ", ".join(f"{what} {ns:.0f} ns" for what, ns in zip(WHAT, self.ns[MANY])))

    def bars(self):
        for i, what in enumerate(WHAT):
            few, many = (self.ns[size][i] if self.ns else None for size in (FEW, MANY))
            yield Bar(f"core: {what}, {MANY} waiters over 1000 models",
                      many / 1000 if many is not None else None, 2, "µs")
            yield Bar(f"core: {what}, times what it costs with {FEW}",
                      many / few if many is not None else None, 6, "")

    def report(self, page):
        page.heading("The core's queue")
        page.text("All 1000 models are loaded and busy, so that whoever comes waits; planning is not "
                  "part of it. Means over 200,000 arrivals and 100,000 of each of the others, the "
                  f"median of {self.rounds} runs; what is cancelled or ends is drawn at random.")
        page.table(["waiters", *WHAT], [[str(size), *(f"{ns:.0f} ns" for ns in self.ns[size])]
                                        for size in (FEW, MANY)])
