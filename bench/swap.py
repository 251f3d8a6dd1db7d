"""What a swap costs over the engine's own start and stop."""

import contextlib
import os
import select
import shlex
import signal
import statistics
import time

from common import (DEMO, HOST, POLL_S, START_SECONDS_MAX, STOP_SECONDS_MAX, Bar, Daemon, Failure,
                    ask, chat_request, check_health, fetch_json, find_gguf, find_llama_server,
                    free_port, median, median_between, spread)

MODELS = ("left", "right")
TOKENS = 2


def quarter(values):
    return statistics.quantiles(values, n=4)[0]


class Engine:
    """A kind of server: its command with {port}, and what the two timings of it gave."""

    def __init__(self, name, words):
        self.name, self.words = name, [str(word) for word in words]
        self.through, self.start, self.service, self.stop = [], [], [], []

    def command(self, port):
        return [word.replace("{port}", str(port)) for word in self.words]

    def model(self):
        return {"cmd": shlex.join(self.words).replace("'{port}'", "${PORT}")
                .replace("{port}", "${PORT}"), "proxy": f"http://{HOST}:${{PORT}}"}

    @property
    def own(self):
        """Start, first answer and stop of each turn: what no broker can save."""
        return [sum(parts) for parts in zip(self.start, self.service, self.stop)]

    @property
    def over(self):
        return [t - o for t, o in zip(self.through, self.own)]

    @property
    def over_undisturbed(self):
        """The same for the fastest quarter of both, which other load on the machine spares."""
        return quarter(self.through) - quarter(self.own)


def engines():
    demo = Engine("wharf-demo-model",
                  [DEMO, "--port", "{port}", "--name", "demo", "--load-time", "50ms"])
    server, gguf = find_llama_server(), find_gguf()
    if not server or not gguf:
        return None, demo
    return Engine("llama-server", [server, "-m", gguf, "--host", HOST, "--port", "{port}",
                                   "-c", "512", "-t", "1"]), demo


def spawn(command):
    """The process id. As wharf does it, the engine gets a session of its own; posix_spawn, because
    subprocess would add more of its own to the engine's start."""
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    return os.posix_spawn(command[0], command, os.environ, file_actions=quiet, setsid=True)


def wait_healthy(pid, port):
    deadline = time.monotonic() + START_SECONDS_MAX
    while not check_health(port):
        if time.monotonic() > deadline or os.waitpid(pid, os.WNOHANG)[0]:
            raise Failure("the engine did not become ready")
        select.select([], [], [], POLL_S)


def wait_exit(pid):
    """Waits for the end of a child without reaping it."""
    fd = os.pidfd_open(pid)
    try:
        if not select.select([fd], [], [], STOP_SECONDS_MAX)[0]:
            raise Failure("the engine does not stop")
    finally:
        os.close(fd)


def time_alone(engine, request):
    """One life of the engine without wharf: until /health says 200, one answer, until its exit."""
    port = free_port()
    command = engine.command(port)
    began = time.monotonic()
    pid = spawn(command)
    try:
        wait_healthy(pid, port)
        engine.start.append(time.monotonic() - began)
        engine.service.append(ask(port, request))
        told = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        wait_exit(pid)
        engine.stop.append(time.monotonic() - told)
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def check_running(port, expected):
    running = [model["model"] for model in fetch_json(port, "/running")["running"]]
    if running != expected:
        raise Failure(f"that was no swap: {running} are running, not {expected}")


class Swap:
    def __init__(self, swaps):
        self.swaps = swaps
        self.real, self.demo = engines()

    def run(self, folder, say):
        for engine in filter(None, (self.real, self.demo)):
            self.measure(engine, folder / engine.name)
            say(f"swap: {engine.name}: {median(engine.over) * 1e3:.1f} ms over "
                f"{median(engine.own) * 1e3:.1f} ms")

    def measure(self, engine, folder):
        """One swap through wharf, one life without it, and so on. Two models of which only one
        runs at a time, as a group has it."""
        requests = [chat_request(model, tokens=TOKENS) for model in MODELS]
        with Daemon(folder, {"models": {model: engine.model() for model in MODELS}}) as daemon:
            ask(daemon.port, requests[1])
            for turn in range(self.swaps):
                request = requests[turn % 2]
                engine.through.append(ask(daemon.port, request))
                check_running(daemon.port, [MODELS[turn % 2]])
                time_alone(engine, request)

    def bars(self):
        what = "p50 of a swap over llama-server's own start and stop"
        if not self.real:
            return [Bar(what, None, 5, "ms")]
        over = [value * 1e3 for value in self.real.over]
        return [Bar(what, median(over), 5, "ms", between=median_between(over))]

    def row(self, engine):
        ms = [[value * 1e3 for value in values] for values in (
            engine.through, engine.start, engine.service, engine.stop, engine.over)]
        return [engine.name, *(spread(values) for values in ms),
                f"{engine.over_undisturbed * 1e3:.1f}"]

    def report(self, page):
        page.heading("Swaps")
        page.text(
            f"{self.swaps} swaps between two models, by turns with the engine's own life without "
            "wharf: spawned, asked for /health every 0.5 ms on a new connection until it says 200, "
            "asked for one answer, ended with SIGTERM. A swap is timed from sending a request for "
            "the model that is not loaded to the first byte of its answer. Over: the swap less "
            "start, first answer and stop of the life that follows it; at the fastest quarter: the "
            "difference of the lower quartiles. Medians (min–max) in milliseconds.")
        page.table(["", "swap through wharf", "own start", "own first answer", "own stop", "over",
                    "at the fastest quarter"],
                   [self.row(e) for e in (self.real, self.demo) if e])
        page.text(
            "The engine alone gets a session of its own as wharf's child does. Where the kernel "
            "shares processors by session (sched_autogroup_enabled) this matters: on a busy "
            "machine, it moved the difference by some 20 ms, and repeated runs still differ by "
            "10 ms. Only a machine with nothing else to do resolves 5 ms of llama-server's start.")
        if not self.real:
            page.text("llama-server was not measured: there is none in $WHARF_LLAMA_SERVER, PATH "
                      "or build/venv, or no model file in $WHARF_TEST_GGUF.")
