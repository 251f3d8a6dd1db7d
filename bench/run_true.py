#!/usr/bin/env python3
"""What `wharf run` costs over running a command by itself: the median time of `wharf run -- true`,
with a lease that is granted at once by a daemon with a simulated GPU, beside that of plain `true`.

    bench/run_true.py [--rounds 200] [--wharf build/wharf]

The two take turns, so that what the machine does otherwise hits both. Exit status 1 when the
difference of the medians is above 15 ms."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT_MS = 15


def start_daemon(wharf, folder):
    config = folder / "wharf.yaml"
    config.write_text(json.dumps({"models": {}, "gpus": [{"sim": {"name": "gpu0", "memory": "24GiB"}}]}))
    daemon = subprocess.Popen(
        [wharf, "serve", "--config", config, "--listen", f"unix:{folder}/wharf.sock", "--state", folder / "state"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if not k.startswith("WHARF_")})
    deadline = time.monotonic() + 20
    while not (folder / "state" / "listen").exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            sys.exit("the daemon did not start")
        time.sleep(0.01)
    return daemon


def milliseconds(command, env):
    begin = time.perf_counter()
    subprocess.run(command, env=env, check=True)
    return (time.perf_counter() - begin) * 1000


def measure(wharf, rounds, env):
    plain, leased = ["/bin/true"], [wharf, "run", "--vram", "1GiB", "--", "/bin/true"]
    times = {"true": [], "wharf run": []}
    for _ in range(rounds):
        times["true"].append(milliseconds(plain, env))
        times["wharf run"].append(milliseconds(leased, env))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--wharf", default=str(ROOT / "build" / "wharf"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        daemon = start_daemon(arguments.wharf, folder)
        try:
            times = measure(arguments.wharf, arguments.rounds, {**os.environ, "WHARF_URL": f"unix:{folder}/wharf.sock"})
        finally:
            daemon.terminate()
            daemon.wait()
    medians = {what: statistics.median(values) for what, values in times.items()}
    for what, values in times.items():
        print(f"{what:10}  median {medians[what]:6.2f} ms  p95 {statistics.quantiles(values, n=20)[-1]:6.2f} ms")
    over = medians["wharf run"] - medians["true"]
    print(f"difference of the medians: {over:.2f} ms (at most {LIMIT_MS})")
    return over > LIMIT_MS


if __name__ == "__main__":
    sys.exit(main())
