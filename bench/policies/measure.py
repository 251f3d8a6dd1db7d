"""Runs the worlds and makes of it a table and bars; a part of bench/run, or alone by ./run."""

import json
import pathlib
import statistics
import subprocess
import tempfile

from common import WHARF, Bar, Failure
from policies.worlds import FOLDER, WORLDS, configuration, trace_paths, traces_folder

SEEDS = 8
SECONDS_MAX = 600
MEASURES = ("loads", "reload_s", "wait_p50_s", "wait_p95_s", "wait_p99_s", "wait_max_s")
STARVATION = ("--generate", "closed:model=a,clients=6,for=1h,prompt=1000,output=200")
ONCE_IN_A_WHILE = ("--generate", "every:model=b,period=30s,for=1h,prompt=1000,output=200")
BUSY = "poisson:rate=8.5,rows=%d,seconds=3"


def simulate(config, *words):
    """policy → its result."""
    done = subprocess.run([WHARF, "simulate", "--config", str(config), "--json",
                           *map(str, words)], capture_output=True, text=True, timeout=SECONDS_MAX)
    if done.returncode:
        raise Failure(f"wharf simulate: {done.stderr.strip()}")
    return {result["policy"]: result for result in json.loads(done.stdout)}


def over(part, whole):
    return part / whole if whole else float("inf")


class Policies:
    """What each policy comes to in each world, as means over seeds."""

    def __init__(self, seeds=SEEDS, traces=None, only=()):
        self.seeds, self.traces, self.only = seeds, traces_folder(traces), only
        self.runs = {}  # world → policy → a result for each seed
        self.skipped = []
        self.starving, self.alone = {}, []  # policy → a result for each seed; without B
        self.speed = {}

    # -------------------------------------------------------------------- running

    def run(self, _folder, say):
        for world in WORLDS:
            if not self.only or world.name in self.only:
                self.run_world(world, say)
        if self.only:
            return
        config, both = FOLDER / "starvation.yaml", ("fair+fit", "fifo+fit")
        self.starving = {policy: [] for policy in both}
        for seed in range(self.seeds):
            words = ("--seed", seed, *STARVATION)
            self.alone.append(simulate(config, *words, "--policies", "fair+fit")["fair+fit"])
            found = simulate(config, *words, *ONCE_IN_A_WHILE, "--policies", ",".join(both))
            for policy in both:
                self.starving[policy].append(found[policy])
        for name, rows, words in (("", 300_000, ()), (", checked at every step", 40_000, ("--check",))):
            self.speed[name] = simulate(FOLDER / "speed.yaml", "--generate", BUSY % rows,
                                        "--policies", "fair+fit", *words)["fair+fit"]
        say("policies: done")

    def run_world(self, world, say):
        paths = trace_paths(self.traces, world.traces)
        if not paths:
            self.skipped.append(world)
            say(f"policies: {world.name}: skipped, for want of {', '.join(world.traces)}: give their "
                "folder with --traces or in $WHARF_TRACES")
            return
        rows = {policy: [] for policy in world.policies}
        with tempfile.TemporaryDirectory(prefix="wharf-policies-") as folder:
            config = pathlib.Path(folder) / "world.yaml"
            for seed in range(self.seeds):
                config.write_text(configuration(world.gib, seed))
                results = simulate(config, "--trace", ",".join(map(str, paths)), "--seed", seed,
                                   "--policies", ",".join(world.policies), *world.words)
                for policy, result in results.items():
                    rows[policy].append(result)
        self.runs[world.name] = rows
        say(f"policies: {world.name}: {self.seeds} seeds")

    # -------------------------------------------------------------------- what came out

    def mean(self, world, policy, measure):
        return statistics.fmean(r[measure] for r in self.runs[world][policy])

    def ratio(self, world, measure, policy, other):
        """The mean over the seeds of each seed's ratio."""
        return statistics.fmean(over(a[measure], b[measure]) for a, b in
                                zip(self.runs[world][policy], self.runs[world][other]))

    def total(self, measure, policy):
        return sum(r[measure] for rows in self.runs.values() for r in rows[policy])

    def worst_of_fair_group(self):
        """By how much fair+group is worse than fifo+group, in the measure where it is most so."""
        return max(over(self.mean(world, "fair+group", m), self.mean(world, "fifo+group", m))
                   for world in self.runs for m in MEASURES
                   if self.mean(world, "fifo+group", m))

    def bars(self):
        for world, measure, other, limit in (
                ("light, sticky", "reload_s", "fair+fit-lru", 0.96),
                ("light, independent", "reload_s", "fair+fit-lru", 0.85),
                ("light, sticky", "reload_s", "fifo+group", 0.25),
                ("heavy", "wait_p50_s", "fifo+group", 0.33),
                ("heavy", "wait_p95_s", "fifo+group", 0.6)):
            if world in self.runs:
                yield Bar(f"policies: {world}: {measure} of fair+fit, by that of {other}",
                          self.ratio(world, measure, "fair+fit", other), limit, "")
        if self.runs:
            yield Bar("policies: fair+group by fifo+group, at its worst",
                      self.worst_of_fair_group(), 1.05, "")
            yield Bar("policies: waits beyond the bound of fair",
                      sum(self.total("violations", p) + self.total("unserved", p)
                          for p in ("fair+group", "fair+fit")), 0, "")
        if self.only:
            return
        fair = self.starving.get("fair+fit")
        yield Bar("starvation: requests for B beyond their bound, or unserved",
                  sum(r["violations"] + r["unserved"] for r in fair) if fair else None, 0, "")
        yield Bar("starvation: A's throughput, by that without B",
                  statistics.fmean(over(*(r["models"][0]["served"] for r in pair))
                                   for pair in zip(fair, self.alone)) if fair else None,
                  0.8, "", at_least=True)
        for (name, result), limit in zip(self.speed.items(), (1_000_000, 100_000)):
            yield Bar(f"simulate: events a second, 16 models, {result['waiting_mean']:.0f} waiters{name}",
                      result["events_per_s"], limit, "", at_least=True)

    def report(self, page):
        page.heading("Policies")
        page.text(f"`wharf simulate`, means over {self.seeds} seeds; times in seconds. A seed chooses "
                  "which model has which size, and which request is for which model. `bench/policies` "
                  "has the worlds; docs/simulate.md says what the columns mean.")
        for world in WORLDS:
            if world.name in self.runs:
                self.report_world(world, page)
        for world in self.skipped:
            page.text(f"**{world.name}** was skipped, for want of {', '.join(world.traces)}.")
        if self.starving:
            self.report_starvation(page)

    def report_world(self, world, page):
        page.text(f"**{world.name}**: {world.what}")
        rows = []
        for policy in world.policies:
            mean = {m: self.mean(world.name, policy, m) for m in MEASURES}
            ratio = self.ratio(world.name, "reload_s", policy, "fair+clairvoyant")
            lru = self.ratio(world.name, "reload_s", policy, "fair+fit-lru")
            rows.append([policy, f"{mean['loads']:,.0f}", f"{mean['reload_s']:,.0f}", f"{lru:.2f}",
                         f"{ratio:.2f}", *(f"{mean[m]:,.1f}" for m in MEASURES[2:]),
                         str(sum(r["violations"] for r in self.runs[world.name][policy])),
                         f"{statistics.fmean(r['gpu_busy'] for r in self.runs[world.name][policy]):.0%}"])
        page.table(["policy", "loads", "reload", "by LRU's", "by the clairvoyant's", "p50", "p95", "p99",
                    "max", "broken", "busy"], rows)

    def report_starvation(self, page):
        page.text("**starvation**: A and B take 8 GiB each of 12 GiB; six clients of A, each at once "
                  "with its next request, and one request for B every 30 s, for an hour")
        def mean(results, pick):
            return statistics.fmean(pick(r) for r in results)

        rows = [["fair+fit, without B", f"{mean(self.alone, lambda r: r['models'][0]['served']):,.0f}",
                 "-", "-", "-", "-", "-", f"{mean(self.alone, lambda r: r['loads']):.0f}"]]
        for policy, found in self.starving.items():
            rows.append([policy, f"{mean(found, lambda r: r['models'][0]['served']):,.0f}",
                         f"{mean(found, lambda r: r['models'][1]['served']):,.0f}",
                         f"{mean(found, lambda r: r['models'][1]['wait_p50_s']):,.1f}",
                         f"{max(r['models'][1]['wait_max_s'] for r in found):,.1f}",
                         f"{max(r['bound_used_max'] for r in found):.2f}",
                         str(sum(r["violations"] + r["unserved"] for r in found)),
                         f"{mean(found, lambda r: r['loads']):.0f}"])
        page.table(["policy", "A served", "B served", "B's p50", "B's max", "of its bound", "broken",
                    "loads"], rows)
