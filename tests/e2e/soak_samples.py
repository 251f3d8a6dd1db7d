"""What a soak measures of the daemon from outside, each second: memory, descriptors, threads, children,
files; and how the simulated GPUs stand."""

import collections
import contextlib
import os
import pathlib
import re

from sim_claims import living

MEMORY = {"rss": "Rss", "pss": "Pss", "private_dirty": "Private_Dirty"}


def memory(pid):
    """In bytes."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1)) * 1024
            for name, field in MEMORY.items()}


def descriptors(pid):
    """How many of each kind; files by their names."""
    found = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        # socket:[1234], anon_inode:[eventpoll], /path
        found[re.sub(r":\[\d+\]$", "", target)] += 1
    return found


def sockets(pid):
    """What each is, as the kernel's tables have it; for the reader of a fault."""
    known = {}
    for table in ("tcp", "unix"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if table == "tcp":
                local, remote = (int(w.rpartition(":")[2], 16) for w in words[1:3])
                known[words[9]] = f"tcp {local} to {remote} state {int(words[3], 16)}"
            else:
                known[words[6]] = f"unix {' '.join(words[7:])} state {words[5]}"
    found = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}")):
                found[known.get(match[1], "another")] += 1
    return dict(found)


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            found += pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        except FileNotFoundError:
            continue
    return len(found)


def files(folder, without=()):
    """{path below it: bytes}."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            below = os.path.relpath(full, folder)
            if not below.startswith(without):
                try:
                    found[below] = os.stat(full).st_size
                except FileNotFoundError:
                    continue
    return found


class Sampler:
    """Looks once for each call of look(). Afterwards: points, {name: [(seconds, value)]}, and for files
    the most that was seen of each."""

    def __init__(self, pid, folders):
        self.pid, self.folders = pid, folders
        self.points = collections.defaultdict(list)
        self.files_most = {}

    def look(self, at, **more):
        all_files = {}
        for prefix, folder in self.folders.items():
            # Those of the simulated GPUs are the engines' own.
            all_files |= {prefix + name: size for name, size in files(folder, ("sim/", "listen")).items()}
        for name, size in all_files.items():
            self.files_most[name] = max(size, self.files_most.get(name, 0))
        values = {**memory(self.pid), "fds": sum(descriptors(self.pid).values()), "threads": threads(self.pid),
                  "children": children(self.pid), "files": sum(all_files.values()), **more}
        for name, value in values.items():
            self.points[name].append((at, value))


def claimed(folders):
    """{GPU: bytes that its users hold}."""
    return {name: sum(living(folder).values()) for name, folder in folders.items()}


def books(devices):
    """Of /wharf/devices, {GPU: what wharf counts}, or why they cannot be compared yet."""
    unsettled = [d["name"] for d in devices if d["settling_bytes"] or d["foreign_bytes"] or d["leased_bytes"]]
    return (None if unsettled else {d["name"]: d["own_bytes"] for d in devices}), unsettled
