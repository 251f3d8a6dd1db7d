"""What a test of crashes is made of: jobs drawn from a seed, and those who watch them.

The oracles do not ask the daemon. A gate is a folder with as many slot files as its limit is high:
a job's command locks one (flock(2)) without waiting, and all that it forks has the lock too, so that
the kernel gives the slot back with the last process of the job and not before. Memory is claimed
on the simulated GPU without looking whether it is free. Whoever finds a slot or memory given twice
writes that into the journal.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import random
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

from leases import GIB, listed
from wharf_harness import SECONDS, SLOWNESS, WHARF, is_alive, processes_with, until

CAPACITY = 12 * GIB
GATES = {"one": 1, "two": 2}
MARK = "WHARF_TEST_CRASH"
BEHIND = "behind"  # the name of what a command has moved away

COMMAND = r"""
import fcntl, json, os, select, signal, struct, sys, time
me = json.loads(sys.argv[1])
journal = os.open(me["journal"], os.O_WRONLY | os.O_APPEND)
FLOCK = "hhqqi4x"

def say(what, **more):
    line = {"job": me["number"], "pid": os.getpid(), "ns": time.monotonic_ns(), "what": what, **more}
    os.write(journal, (json.dumps(line) + "\n").encode())

def enter(gate, limit):
    inside = []
    for slot in range(limit):
        fd = os.open("%s/%s.%d" % (me["slots"], gate, slot), os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            inside.append(os.pread(fd, 100, 0).decode())
            os.close(fd)
            continue
        os.set_inheritable(fd, True)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(me["number"]).encode(), 0)
        return
    say("gate given twice", gate=gate, inside=inside)

def live_bytes(path):
    try:
        with open(path, "r+") as f:
            got = fcntl.fcntl(f, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
            return int(f.read() or 0) if struct.unpack(FLOCK, got)[0] != fcntl.F_UNLCK else 0
    except FileNotFoundError:
        return 0

def claim(bytes_):
    kept = []
    for folder in os.environ["WHARF_SIM_FOLDER"].split("\n"):
        with open(os.path.join(folder, "lock"), "r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            own = str(os.getpid())
            others = {n: live_bytes(os.path.join(folder, n)) for n in os.listdir(folder)
                      if n.isdigit() and n != own}
            mine = open(os.path.join(folder, own), "w")
            mine.write(str(bytes_))
            mine.flush()
            fcntl.lockf(mine, fcntl.LOCK_EX)
            kept.append(mine)
            if sum(others.values()) + bytes_ > int(open(os.path.join(folder, "capacity")).read()):
                say("memory given twice", folder=folder, others={n: b for n, b in others.items() if b})
    return kept

say("begins", lease=os.environ["WHARF_LEASE"].split(":")[0])
if me["stubborn"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for gate in me["gates"]:
    enter(gate, me["limits"][gate])
share = me["bytes"] // (2 if me["forks"] else 1)
kept = claim(share) if me["bytes"] else []
if me["forks"]:
    # Away from the command: twice forked, in a session of its own, and no signal but SIGKILL ends it.
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open("/proc/self/comm", "w").write("behind")
        more = claim(me["bytes"] - share) if me["bytes"] else []
        say("in the background")
        os.write(write, b"!")
        while True:
            signal.pause()
    os.close(write)
    os.wait()
    os.read(read, 1)
select.select([], [], [], me["work"])  # its work
say("ends")
"""


def live_claims(folder):
    """(pid, bytes) of the claims whose process lives, as src/gpu/sim.h has it."""
    found = []
    for path in pathlib.Path(folder).iterdir():
        if not path.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError), open(path, "r+") as f:
            got = fcntl.fcntl(f, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
            if struct.unpack("hhqqi4x", got)[0] != fcntl.F_UNLCK:
                found.append((int(path.name), int(f.read() or 0)))
    return found


def read_proc(pid, file):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/{file}").read_bytes()
    return b""


def descend(pid):
    """A process and all below it."""
    found, next_ = [], [pid]
    while next_:
        pid = next_.pop()
        found.append(Process(pid))
        next_ += map(int, read_proc(pid, f"task/{pid}/children").split())
    return found


class Process:
    """Of a job; known by a descriptor, since its number may be another's by the time of a kill."""

    def __init__(self, pid):
        self.pid = pid
        self.environ = read_proc(pid, "environ").split(b"\0")
        self.exe = self.link("exe")
        self.comm = read_proc(pid, "comm").decode().strip()
        fields = read_proc(pid, "stat").decode().rpartition(") ")[2].split()
        self.ppid, self.session = (int(fields[1]), int(fields[3])) if fields else (0, 0)
        self.is_wharf = self.exe == str(WHARF)
        self.is_marked = any(v.startswith(b"WHARF_LEASE=") for v in self.environ)

    def link(self, name):
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{self.pid}/{name}")
        return ""

    def kill(self, mark):
        """False when it has ended."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if mark.encode() not in read_proc(self.pid, "environ").split(b"\0"):
                return False
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)


def draw(seed, number):
    """What a job is, of its seed and number alone."""
    rng = random.Random(f"{seed} job {number}")
    wants_memory = rng.random() < 0.8
    gates = rng.choice([[], [], ["one"], ["two"], ["one", "two"]] if wants_memory
                       else [["one"], ["two"], ["one", "two"]])
    revocable = rng.random() < 0.3
    kind = rng.choice(["run", "run", "run", "submit"])
    return {"number": number, "kind": kind, "gates": gates,
            "gib": rng.choice([1, 1, 2, 2, 3, 4, 6, 8, 11]) if wants_memory else 0,
            "gpus": 2 if wants_memory and rng.random() < 0.25 else 1,
            "class": rng.choice(["background", "background", "normal", "foreground"]),
            "revocable": revocable, "stubborn": revocable and rng.random() < 0.5,
            "run": rng.random() < 0.2, "ttl": kind == "run" and rng.random() < 0.08,
            "tty": kind == "run" and rng.random() < 0.3, "forks": rng.random() < 0.5,
            "work": rng.uniform(0.01, 0.25)}


class Job:
    def __init__(self, load, number):
        self.load, self.number, self.spec = load, number, draw(load.seed, number)
        self.name = f"job-{number}"
        self.mark = f"{MARK}={load.d.test_id}.{number}"
        self.killed = []  # roles of those of its processes that were killed
        self.submitted, self.log = None, ""
        self.out, self.err = (load.folder / f"{self.name}.{n}" for n in ("out", "err"))
        self.began = self.ended = time.monotonic()
        self.process = None

    def words(self):
        s = self.spec
        words = [s["kind"], "--name", self.name, "--class", s["class"]]
        if s["gib"]:
            words += ["--vram", f"{s['gib']}GiB", "--gpus", str(s["gpus"])]
        for gate in s["gates"]:
            words += ["--gate", gate]
        words += ["--revocable", "300ms"] if s["revocable"] else []
        words += ["--run", "60s"] if s["run"] else []
        words += ["--ttl", f"{4 * SLOWNESS:g}s"] if s["ttl"] else []
        me = {**s, "bytes": s["gib"] * GIB, "limits": GATES, "slots": str(self.load.slots),
              "journal": str(self.load.journal)}
        return [*words, "--", sys.executable, "-IS", "-c", COMMAND, json.dumps(me)]

    def env(self):
        name, _, value = self.mark.partition("=")
        return {**self.load.env, name: value}

    def start(self):
        master = slave = None
        options = {"stdin": subprocess.DEVNULL}
        if self.spec["tty"]:
            master, slave = pty.openpty()
            options = {"stdin": slave, "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)}
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([str(WHARF), *self.words()], env=self.env(), stdout=out,
                                            stderr=err, start_new_session=True, **options)
        if slave is not None:
            os.close(slave)
        return master

    def live(self):
        """From its start until its end, as the test's thread for it sees it."""
        master = self.start()
        try:
            self.status = self.process.wait(12 * SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.describe()} did not end; {listed(self.load.d)}") from None
        finally:
            self.ended = time.monotonic()
            if master is not None:
                os.close(master)
        if self.spec["kind"] == "submit" and self.status == 0:
            self.submitted = self.out.read_text().strip()
            self.load.wharf("jobs", "wait", self.submitted, seconds=12 * SECONDS)
            # At once: records of ended jobs make way for new ones.
            self.log = self.load.wharf("jobs", "logs", self.submitted).stdout

    def describe(self):
        return f"{self.name} {self.words()[:-6]} killed={self.killed}"

    # -- its processes

    def processes(self):
        """Down from what was called where that is there, which is quick; else by the mark."""
        if self.spec["kind"] == "run" and is_alive(self.process.pid):
            return descend(self.process.pid)
        return self.marked()

    def marked(self):
        """All, but those that have nearly ended, which have no environment any more."""
        return [p for p in map(Process, processes_with(self.mark)) if p.environ != [b""]]

    def role(self, p, by_pid):
        parent = by_pid.get(p.ppid)
        if p.comm == BEHIND:
            return "background"
        if p.is_marked:
            return "command"
        if not p.is_wharf:
            return None  # it has yet to become what is called, or has ended
        if p.pid == self.process.pid or (self.spec["kind"] == "submit" and is_alive(self.process.pid)):
            return "run"
        if p.session == p.pid:
            return "guard"
        if not parent or not parent.is_wharf:
            return "run"
        if parent.session == parent.pid and parent.pid != self.process.pid:
            return "command"  # before its exec
        return "witness" if self.spec["tty"] else "guard"

    def roles(self):
        """{role: processes}. run: what was called, or the detached one; guard and witness; command,
        also before its exec; background: what the command has moved away."""
        all_ = self.processes()
        by_pid = {p.pid: p for p in all_}
        found = {}
        for p in all_:
            found.setdefault(self.role(p, by_pid), []).append(p)
        found.pop(None, None)
        return found

    @property
    def is_orphaned(self):
        """Both of those who end what is left were killed (docs/jobs.md, "kill -9")."""
        return {"run", "guard"} <= set(self.killed)


class Load:
    """Jobs, so many at a time, for as long as it is open."""

    def __init__(self, d, seed, count):
        self.d, self.seed, self.count = d, seed, count
        self.folder = d.folder / "jobs"
        self.slots, self.journal = self.folder / "slots", self.folder / "journal"
        self.slots.mkdir(parents=True)
        self.journal.touch()
        for gate, limit in GATES.items():
            for i in range(limit):
                (self.slots / f"{gate}.{i}").touch()
        self.env = {k: v for k, v in d.env.items() if k != "WHARF_TEST_ID"}
        self.env.update({"WHARF_URL": d.url, "XDG_STATE_HOME": str(d.folder / "user"), MARK: f"{d.test_id}.0"})
        self.changed = threading.Condition()
        self.jobs, self.live, self.errors = [], {}, []
        self.is_open = self.is_up = True
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(count)]
        for t in self.threads:
            t.start()

    def wharf(self, *words, seconds=SECONDS):
        return subprocess.run([str(WHARF), *words], env=self.env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=seconds)

    def next_job(self):
        with self.changed:
            self.changed.wait_for(lambda: self.is_up or not self.is_open)
            if not self.is_open:
                return None
            job = Job(self, len(self.jobs) + 1)
            self.jobs.append(job)
            self.live[job.name] = job
            return job

    def work(self):
        try:
            while job := self.next_job():
                job.live()
                with self.changed:
                    del self.live[job.name]
                    self.changed.notify_all()
        except Exception as e:  # told to the test's own thread
            with self.changed:
                self.errors.append(e)
                self.changed.notify_all()

    def set_up(self, is_up):
        """Whether a daemon is there: nobody begins anything where none is."""
        with self.changed:
            self.is_up = is_up
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.is_open = False
            self.changed.notify_all()
        for t in self.threads:
            t.join(15 * SECONDS)
            self.check()
            assert not t.is_alive(), f"still there: {[j.describe() for j in self.live.values()]}"
        self.check()

    def check(self):
        if self.errors:
            raise self.errors[0]

    def abandon(self):
        """Whatever has failed, nothing is left, and nothing begins any more."""
        with self.changed:
            self.is_open = False
            self.changed.notify_all()

        def is_over():
            for pid in self.left():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not self.left() and not any(t.is_alive() for t in self.threads)
        until(is_over, "the end of all that was started")

    def lines(self):
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def left(self):
        """Processes of any job."""
        wanted = f"{MARK}={self.d.test_id}.".encode()
        return [int(p) for p in os.listdir("/proc") if p.isdigit()
                and any(v.startswith(wanted) for v in read_proc(p, "environ").split(b"\0"))
                and is_alive(int(p))]
