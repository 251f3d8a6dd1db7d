"""Memory of simulated GPUs as its users take it (src/gpu/sim.h), and a watcher of all that is taken.

    claims = Claims(folders, name, bytes_)     # OverCapacity where the living leave no room for it
    claims.end()
    python sim_claims.py hold BYTES SECONDS    # a job: claims on $WHARF_SIM_FOLDER, works, ends
    python sim_claims.py watch FOLDER...       # until its input ends; then one line of JSON

A claim is a file of digits, alive while somebody holds a lock on it. Memory only ever grows under the
folder's lock, with a look at all other claims, so that no two grow past the capacity unseen."""

import contextlib
import fcntl
import json
import os
import select
import struct
import sys

FLOCK = "hhqqi4x"
PASS_S = 0.002


class OverCapacity(Exception):
    """There is not as much left as somebody was promised."""


def holder(file):
    """Whether another process holds a lock on it."""
    asked = struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0)
    return struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK


def living(folder, without=()):
    """{(name, inode): bytes} of the claims there that another process holds. A lock's owner does not
    see his own locks, and closing any descriptor of a file lets go of it: he names his files."""
    found = {}
    for name in os.listdir(folder):
        if not name.isdigit() or name in without:
            continue
        with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, name)) as file:
            if holder(file):
                found[name, os.fstat(file.fileno()).st_ino] = int(file.read().strip() or 0)
    return found


def capacity(folder):
    with open(os.path.join(folder, "capacity")) as file:
        return int(file.read())


class Claims:
    """Of one user, on each of the folders at once. mine: {folder: {name: bytes}}, what this process
    has there already."""

    def __init__(self, folders, name, bytes_, mine=None):
        self.mine = {} if mine is None else mine
        self.name, self.files = str(name), []
        for folder in folders:
            with open(os.path.join(folder, "lock"), "r+") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX)
                own = self.mine.setdefault(folder, {})
                used = sum(living(folder, own).values()) + sum(own.values())
                if used + bytes_ > capacity(folder):
                    self.end()
                    raise OverCapacity(f"{folder}: {used} and {bytes_} bytes of {capacity(folder)}")
                file = open(os.path.join(folder, self.name), "w")
                fcntl.lockf(file, fcntl.LOCK_EX)
                file.write(str(bytes_))
                file.flush()
                own[self.name] = bytes_
                self.files.append((folder, file))

    def end(self):
        for folder, file in self.files:
            os.unlink(file.name)
            del self.mine[folder][self.name]
            file.close()
        self.files = []


def hold(bytes_, seconds):
    folders = os.environ.get("WHARF_SIM_FOLDER", "").split("\n") if bytes_ else []
    try:
        claims = Claims(folders, os.getpid(), bytes_)
    except OverCapacity as e:
        print(f"over: {e}", flush=True)
        return 42
    select.select([], [], [], seconds)  # the job's work
    claims.end()
    return 0


def watch(folders):
    """Two looks in a row: what both have seen was there at the moment between them, all of it."""
    seen = {folder: {"capacity": capacity(folder), "most": 0, "samples": 0, "over": []} for folder in folders}
    before = {folder: living(folder) for folder in folders}
    while not select.select([sys.stdin], [], [], PASS_S)[0]:
        for folder, result in seen.items():
            now = living(folder)
            both = {key: bytes_ for key, bytes_ in now.items() if before[folder].get(key) == bytes_}
            before[folder], used = now, sum(both.values())
            result["samples"] += 1
            result["most"] = max(result["most"], used)
            if used > result["capacity"]:
                result["over"].append([used, sorted(both.items())])
    print(json.dumps(seen))


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        sys.exit(hold(int(sys.argv[2]), float(sys.argv[3])))
    watch(sys.argv[2:])
