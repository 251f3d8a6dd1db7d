"""Faults of the system underneath a daemon: tests/fault in front of its libc, and the control file that
both see. Switched while the daemon runs, and counted.

    faults = Faults(tmp_path)
    d = wharf(config, env=faults.env)
    with faults.failing("open", errno.EMFILE, first=3): ...
    faults.calls("open"), faults.done("open")
"""

import contextlib
import ctypes
import mmap
import pathlib
import re
import subprocess

from wharf_harness import BUILD, ROOT, SANITIZED, WRAP

LIBRARY = BUILD / "tests/fault/libwharf-fault.so"
FUNCTIONS = re.findall(r"^FAULT\((\w+)\)", (ROOT / "tests/fault/functions.def").read_text(), re.M)
SCOPES = {"any": 0, "sockets": 1, "folder": 2}
THREADS = {"each": 0, "loop": 1, "others": 2}


class Rule(ctypes.Structure):
    """struct fault_rule"""
    _fields_ = [(name, ctypes.c_uint32) for name in ("active", "error", "scope", "thread")] + \
               [(name, ctypes.c_uint64) for name in
                ("first", "last", "every", "chance", "seed", "delay_us", "bytes_max", "bytes_min",
                 "calls", "seen", "done")]


class Control(ctypes.Structure):
    """struct fault_control"""
    _fields_ = [("pid", ctypes.c_uint64), ("clock_ns", ctypes.c_int64),
                ("loop_folder_calls", ctypes.c_uint64), ("folder", ctypes.c_char * 256),
                ("rules", Rule * len(FUNCTIONS))]


def why_not():
    """Why the library cannot stand before a daemon here; None: it can."""
    if WRAP:
        return "under valgrind, which puts its own memory functions there"
    return None if LIBRARY.exists() else f"{LIBRARY} is not built: libc is not glibc"


def preload():
    """A sanitizer insists on being first."""
    words = [str(LIBRARY)]
    if SANITIZED:
        found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        words.insert(0, str(pathlib.Path(found.stdout.strip()).resolve()))
    return ":".join(words)


class Faults:
    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "faults"
        self.path.write_bytes(bytes(ctypes.sizeof(Control)))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.control = Control.from_buffer(self.map)
        self.env = {"LD_PRELOAD": preload(), "FAULT_CONTROL": str(self.path)}

    def rule(self, name):
        return self.control.rules[FUNCTIONS.index(name)]

    def await_process(self):
        """The next process that begins with this environment is meant."""
        self.control.pid = 0

    def set_folder(self, folder):
        self.control.folder = str(folder).encode()

    def set(self, name, error=0, *, first=1, last=None, scope="any", thread="each", every=1, **fields):
        """The calls from first to last fail; last None: that one alone; 0: all from there on."""
        r = self.rule(name)
        r.active = 0
        for field, value in {"error": error, "first": first, "last": first if last is None else last,
                             "scope": SCOPES[scope], "thread": THREADS[thread], "every": every,
                             "chance": 0, "seed": 0, "delay_us": 0, "bytes_max": 0, "bytes_min": 0,
                             "seen": 0, "done": 0, **fields}.items():
            setattr(r, field, value)
        r.active = 1

    def clear(self):
        for r in self.control.rules:
            r.active = 0

    @contextlib.contextmanager
    def failing(self, name, error=0, **how):
        self.set(name, error, **how)
        try:
            yield self.rule(name)
        finally:
            self.rule(name).active = 0

    def calls(self, name):
        return self.rule(name).calls

    def done(self, name):
        return self.rule(name).done

    def jump(self, seconds):
        """The wall clock, from what it really is."""
        self.control.clock_ns = int(seconds * 1e9)
