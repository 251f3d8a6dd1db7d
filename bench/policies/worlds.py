"""Worlds in which policies are compared: a configuration and what `wharf simulate` is told.

The traces are read where they lie: their folder is given with --traces or in $WHARF_TRACES. They
are data centres', so time is stretched until a desk's machine can follow."""

import os
import pathlib
import random
from typing import NamedTuple

FOLDER = pathlib.Path(__file__).resolve().parent
MODELS = 12
GIB_LEAST, GIB_MOST = 2, 20
AZURE = ("az23_conv.csv", "az23_code.csv")
CONVERSATION, SYNTHETIC = ("mooncake_conversation.jsonl",), ("mooncake_synthetic.jsonl",)

# The baseline, what LRU is worth, what wharf does, and what could be had by knowing the future.
POLICIES = ("serial+group", "fifo+group", "fair+group", "fifo+fit-lru", "fifo+fit", "fair+fit-lru",
            "fair+fit", "fair+clairvoyant")


class World(NamedTuple):
    name: str
    what: str
    gib: int
    traces: tuple
    words: tuple  # of the command line
    policies: tuple = POLICIES


WORLDS = (
    World("heavy", "×20, 4,000 rows, 24 GiB, independent", 24, AZURE,
          ("--stretch", "20", "--rows", "4000")),
    World("light, sticky", "×300, 2,000 rows, 48 GiB, 4 users who keep to a model", 48, AZURE,
          ("--stretch", "300", "--rows", "2000", "--assign", "sticky")),
    World("light, independent", "×300, 2,000 rows, 48 GiB", 48, AZURE,
          ("--stretch", "300", "--rows", "2000")),
    World("conversation", "Mooncake's, half a device offered, 48 GiB, 4 users who keep to a model",
          48, CONVERSATION, ("--offered-load", "0.5", "--assign", "sticky")),
    World("synthetic", "Mooncake's, half a device offered, 48 GiB, independent", 48, SYNTHETIC,
          ("--offered-load", "0.5",)),
)


def configuration(gib, seed):
    """The sizes are evenly spaced; which model has which is the seed's choice."""
    sizes = [round((GIB_LEAST + (GIB_MOST - GIB_LEAST) * i / (MODELS - 1)) * 1024)
             for i in range(MODELS)]
    random.Random(seed).shuffle(sizes)
    lines = ["gpus: [{sim: {name: sim, memory: %dGiB}}]" % gib, "models:"]
    lines += ["  m%02d: {cmd: 'engine ${PORT}', vram: %dMiB, concurrencyLimit: 8}" % (i + 1, size)
              for i, size in enumerate(sizes)]
    return "\n".join(lines) + "\n"


def traces_folder(given=None):
    """Where the traces are, or None."""
    folder = given or os.environ.get("WHARF_TRACES")
    return pathlib.Path(folder) if folder else None


def trace_paths(folder, names):
    """The traces' paths; None when one is absent."""
    paths = [folder / name for name in names] if folder else []
    return paths if paths and all(p.is_file() for p in paths) else None
