"""Weeks of a simulated machine, for `wharf report`: who asks for what, and, where it is wanted, somebody who
makes all others wait. A week is a configuration and generators of `wharf simulate`; what happened is what
that writes with --history."""

import json
import random
import subprocess
from typing import NamedTuple

from wharf_harness import SECONDS, WHARF, WRAP

PEOPLE = ("anna", "ben", "carla", "dora", "emil", "fritz")
SIZES = (2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 11, 14)  # GiB, of 77 in all, on a device of 48


class Week(NamedTuple):
    config: str
    ordinary: list  # generators
    offender: list  # the same; empty: nobody
    kind: str  # of who is to be named
    name: str


def ordinary(rng):
    """Twelve models, each asked for by two people in bursts that follow the hours, a few far more than others."""
    models = ["m%02d" % (i + 1) for i in range(len(SIZES))]
    sizes = dict(zip(models, rng.sample(SIZES, len(SIZES))))
    generators = []
    for place, model in enumerate(rng.sample(models, len(models))):
        rate = 0.012 / (place + 1) ** 0.9 * rng.uniform(0.7, 1.3)
        for person in rng.sample(PEOPLE, 2):
            generators.append(
                "bursty:model=%s,key=%s,rate=%g,burst=%g,gap=40s,daily=%g,prompt=%d,output=%d,for=7d" %
                (model, person, rate / 2, rng.uniform(3, 8), rng.uniform(0.5, 1), rng.randint(300, 2000),
                 rng.randint(100, 400)))
    return sizes, generators


def rare(rng, sizes):
    """A model of half the memory that is asked for once in a while, always before what it put out is back for long."""
    sizes["archive"] = 24
    return ["every:model=archive,key=cron,period=%dm,seconds=20,for=7d" % rng.randint(10, 15)], "model", "archive"


def alternating(rng, sizes):
    """A client that asks for two large models by turns."""
    sizes.update(left=22, right=24)
    period = rng.randint(14, 18)
    return ["every:model=left,key=flipper,period=%dm,seconds=5,for=7d" % period,
            "every:model=right,key=flipper,period=%dm,from=%dm,seconds=5,for=7d" % (period, period // 2)], \
        "client", "flipper"


def huge(rng, sizes):
    """A model that takes nearly all of the memory, for requests of a second."""
    sizes["giant"] = 40
    return ["poisson:model=giant,key=%s,rate=%g,daily=0.8,seconds=1,for=7d" %
            (rng.choice(PEOPLE), 1 / rng.uniform(1200, 2400))], "model", "giant"


def leased(rng, sizes):
    """A job that holds half the memory and more, twice a day, for hours."""
    return ["lease:name=train,size=%dGiB,period=12h,hold=%dh,from=%dh,for=7d" %
            (rng.randint(26, 32), rng.randint(5, 7), rng.randint(1, 6))], "lease", "train"


def evaluation(rng, sizes):
    """A client that asks for each of four models in turn, one question each, all week."""
    models = ["eval%d" % i for i in range(4)]
    for model in models:
        sizes[model] = rng.randint(14, 18)
    period = rng.randint(32, 40)
    return ["every:model=%s,key=checker,period=%dm,from=%dm,seconds=3,for=7d" % (model, period, i * period // 4)
            for i, model in enumerate(models)], "client", "checker"


OFFENCES = (rare, alternating, huge, leased, evaluation)


def week(seed, offence=None):
    rng = random.Random(seed)
    sizes, generators = ordinary(rng)
    offender, kind, name = offence(rng, sizes) if offence else ([], "", "")
    lines = ["gpus: [{sim: {name: sim, memory: 48GiB}}]", "models:"]
    lines += ["  %s: {cmd: 'engine ${PORT}', vram: %dGiB, concurrencyLimit: 8}" % m for m in sorted(sizes.items())]
    return Week("\n".join(lines) + "\n", generators, offender, kind, name)


def simulate(w, folder, seed, offended=True):
    """Writes the week's records into the folder, and returns what `wharf report` is told to read them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wharf.yaml").write_text(w.config)
    words = ["--config", folder / "wharf.yaml", "--policies", "fair+fit", "--seed", seed, "--history", folder]
    for spec in w.ordinary + (w.offender if offended else []):
        words += ["--generate", spec]
    done = subprocess.run([*WRAP, WHARF, "simulate", *map(str, words)], capture_output=True, text=True,
                          timeout=10 * SECONDS, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, ""), done
    return [w for kind in ("requests", "swaps", "leases") for w in ("--" + kind, folder / (kind + ".jsonl"))]


def records(folder):
    return [[json.loads(line) for line in (folder / (kind + ".jsonl")).open()]
            for kind in ("requests", "swaps", "leases")]


def waited_by_others(w, folder):
    """Seconds that requests waited which the offender did not send, nor were for his models."""
    requests, _, _ = records(folder)
    return sum((r["waited_ms"] or 0) / 1000 for r in requests if w.name not in (r["model"], r["key"]))
