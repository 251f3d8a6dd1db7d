"""What tools/fuzz and tools/check share: how the fuzz targets are built and named, how long they run
in processor time, what libFuzzer says at the end, and the canary."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import subprocess
import threading
import time
from typing import Callable, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build-fuzz"
TESTS = ROOT / "tests" / "fuzz"
TOTALS = TESTS / "totals.json"

# An input that takes longer, in processor time, is a finding, as is one that wants more memory.
# libFuzzer goes by the clock, and others may be at work on the machine: whatever takes that long
# there is told apart by running it alone.
INPUT_SECONDS_MAX = 10
TIMEOUT_SECONDS = 60
RSS_MB_MAX = 1024
SLOW_SECONDS = 2
SLICE_SECONDS_MAX = 60
CANARY_SECONDS = 60

# What each fault of fuzz_canary.c has to be told of with; its first word chooses the fault.
CANARIES = {
    "address": "AddressSanitizer: heap-buffer-overflow",
    "undefined": "runtime error: signed integer overflow",
    "leak": "LeakSanitizer: detected memory leaks",
    "check": "deadly signal",
    "hang": "libFuzzer: timeout",
    "memory": "libFuzzer: out-of-memory",
}

ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


class Target(NamedTuple):
    name: str  # http_head
    program: pathlib.Path
    corpus: pathlib.Path

    def dictionary(self):
        """None where words don't help."""
        path = TESTS / "dict" / (self.name + ".dict")
        return path if path.exists() else None


class Outcome(NamedTuple):
    cpu_seconds: float
    executions: int
    coverage: int  # edges, of what is instrumented
    peak_rss_mb: int
    status: int
    found: list  # paths of inputs that failed
    slow: list  # paths of inputs that took long


def build(must_run: Callable):
    """must_run(command, environment) fails by an exception."""
    if not (FOLDER / "build.ninja").exists():
        must_run(["meson", "setup", FOLDER, "-Dfuzzer=true", "-Db_sanitize=address,undefined",
                  "-Db_lundef=false"], {"CC": "clang"})
    must_run(["ninja", "-C", FOLDER, "fuzz-targets"], {})


def targets():
    """All of them but the canary, by name."""
    told = subprocess.run(["meson", "introspect", str(FOLDER), "--tests"], check=True,
                          capture_output=True, text=True)
    found = [Target(t["name"][len("fuzz_"):], pathlib.Path(t["cmd"][0]), pathlib.Path(t["cmd"][1]))
             for t in json.loads(told.stdout)
             if t["name"].startswith("fuzz_") and t["suite"][0].split(":")[-1] == "fuzz"]
    return sorted(found)


# ------------------------------------------------------------------------------ running


def flags(target, artifacts):
    """libFuzzer's, but for how long and over which corpora."""
    words = ["-timeout=%d" % TIMEOUT_SECONDS, "-rss_limit_mb=%d" % RSS_MB_MAX,
             "-report_slow_units=%d" % SLOW_SECONDS, "-print_final_stats=1",
             "-artifact_prefix=%s/" % artifacts]
    return words + (["-dict=%s" % target.dictionary()] if target.dictionary() else [])


class Stop:
    """Ends what runs, in whichever thread, and what would be next."""

    def __init__(self):
        self.wanted, self.running, self.lock = False, set(), threading.Lock()

    def now(self):
        with self.lock:
            self.wanted = True
            for process in self.running:
                process.kill()


STOP = Stop()


def measured(command, log, environment=None):
    """(status, seconds of the processor). What is printed goes to the log."""
    with open(log, "ab") as file:
        file.write(("$ %s\n" % " ".join(map(str, command))).encode())
        file.flush()
        with STOP.lock:
            if STOP.wanted:
                return 0, 0.0
            process = subprocess.Popen([str(c) for c in command], cwd=ROOT, stdin=subprocess.DEVNULL,
                                       stdout=file, stderr=file, start_new_session=True,
                                       env={**os.environ, **ENVIRONMENT, **(environment or {})})
            STOP.running.add(process)
        _, status, usage = os.wait4(process.pid, 0)
        with STOP.lock:
            STOP.running.discard(process)
            process.returncode = 0 if STOP.wanted else os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def parse_log(text):
    """(executions, edges, peak MB) of the last run in it; zeros where it does not say."""
    def last(pattern):
        numbers = re.findall(pattern, text)
        return int(numbers[-1]) if numbers else 0
    return (last(r"stat::number_of_executed_units: (\d+)"), last(r"\bcov: (\d+)"),
            last(r"stat::peak_rss_mb: +(\d+)"))


def seconds_alone(program, path, log):
    """Of the processor, for one input."""
    return measured([program, "-timeout=%d" % (TIMEOUT_SECONDS * 10), path], log)[1]


def sort_found(program, new, log):
    """(failed, slow): what failed, or took too long, and what only took long. What others' work had
    made slow is removed."""
    failed, slow = [], []
    for path in new:
        if not path.name.startswith(("slow-unit-", "timeout-")):
            failed.append(path)
            continue
        seconds = seconds_alone(program, path, log)
        if seconds >= INPUT_SECONDS_MAX:
            failed.append(path)
        elif seconds >= SLOW_SECONDS:
            slow.append(path)
        else:
            path.unlink()
    return failed, slow


def run_slice(target, seconds, folder, program=None):
    """Fuzzes for that many seconds on the clock; what it finds is kept in the folder."""
    grown, artifacts, log = folder / "corpus", folder / "found", folder / "log"
    for path in (grown, artifacts):
        path.mkdir(parents=True, exist_ok=True)
    before, at = set(artifacts.iterdir()), log.stat().st_size if log.exists() else 0
    status, cpu = measured([program or target.program, *flags(target, artifacts),
                            "-max_total_time=%d" % seconds, grown, target.corpus], log)
    with open(log, errors="replace") as file:
        file.seek(at)
        executions, coverage, rss = parse_log(file.read())
    new = sorted(set(artifacts.iterdir()) - before)
    failed, slow = sort_found(program or target.program, new, log)
    if new and not failed:
        status = 0
    return Outcome(cpu, executions, coverage, rss, status, failed, slow)


def run_target(target, cpu_seconds, folder, program=None, done=lambda outcome: None):
    """Until so much processor time is used, or something is found. libFuzzer counts by the clock, so
    it goes slice by slice; `done` is told of each. The sum of them."""
    total = Outcome(0.0, 0, 0, 0, 0, [], [])
    while total.cpu_seconds < cpu_seconds and total.status == 0 and not STOP.wanted:
        left = cpu_seconds - total.cpu_seconds
        one = run_slice(target, max(1, min(SLICE_SECONDS_MAX, round(left))), folder, program)
        done(one)
        total = Outcome(total.cpu_seconds + one.cpu_seconds, total.executions + one.executions,
                        max(total.coverage, one.coverage), max(total.peak_rss_mb, one.peak_rss_mb),
                        one.status, total.found + one.found, total.slow + one.slow)
    return total


def merge(target, folder, log):
    """Adds to the tree's corpus what reaches code that nothing there reaches; the status."""
    status, _ = measured([target.program, "-merge=1", "-use_counters=0", *flags(target, folder),
                          target.corpus, folder / "corpus"], log)
    return status


# ------------------------------------------------------------------------------ the canary


def canary(folder):
    """What is wrong with the sanitizers or the fuzzer: a planted fault that was not found, by kind."""
    wrong = {}
    for kind, said in CANARIES.items():
        here = folder / "canary" / kind
        here.mkdir(parents=True, exist_ok=True)
        log = here / "log"
        log.unlink(missing_ok=True)
        target = Target("canary", FOLDER / "tests" / "fuzz" / "fuzz_canary", here)
        status, _ = measured([target.program, *flags(target, here), "-timeout=1", "-seed=1",
                              "-max_total_time=%d" % CANARY_SECONDS], log,
                             {"WHARF_CANARY": kind})
        text = log.read_text(errors="replace")
        if status == 0 or said not in text:
            wrong[kind] = "status %d, and not '%s' in %s" % (status, said, log)
    return wrong


# ------------------------------------------------------------------------------ totals


def read_totals():
    return json.loads(TOTALS.read_text()) if TOTALS.exists() else {}


@contextlib.contextmanager
def totals_lock():
    """Several runs may add to them at a time."""
    with open(FOLDER / "totals.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def add_to_totals(name, outcome):
    totals = read_totals()
    t = totals.setdefault(name, {"cpu_seconds": 0, "executions": 0, "edges": 0, "findings": 0})
    t["cpu_seconds"] = round(t["cpu_seconds"] + outcome.cpu_seconds, 1)
    t["executions"] += outcome.executions
    t["edges"] = outcome.coverage or t["edges"]
    t["findings"] += len(outcome.found)
    t["last"] = time.strftime("%Y-%m-%d")
    TOTALS.write_text(json.dumps(totals, indent=1, sort_keys=True) + "\n")


def totals_table(totals):
    """As lines of Markdown."""
    lines = ["| target | minutes of CPU | executions | edges reached | findings | last run |",
             "|---|---|---|---|---|---|"]
    row = "| %s | %s | %s | %s | %s | %s |"
    for name, t in sorted(totals.items()):
        lines.append(row % ("`%s`" % name, "%.1f" % (t["cpu_seconds"] / 60), f"{t['executions']:,}",
                            f"{t['edges']:,}", t["findings"], t["last"]))
    lines.append(row % ("all", "%.1f" % (sum(t["cpu_seconds"] for t in totals.values()) / 60),
                        f"{sum(t['executions'] for t in totals.values()):,}", "",
                        sum(t["findings"] for t in totals.values()), ""))
    return "\n".join(lines) + "\n"
