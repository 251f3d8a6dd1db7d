"""wharf and nginx as proxies before the same upstream, and the upstream alone, by turns."""

import contextlib
import json
import os
import subprocess

from common import (BENCH, HOST, Bar, Daemon, Failure, check_health, children, cpu_seconds,
                    free_port, median, memory, pinned, running, spread, until)

DIRECT, NGINX, WHARF = "direct", "nginx", "wharf"
TARGETS = (DIRECT, NGINX, WHARF)
ONE, MANY = 1, 64


class Cores:
    """Who runs where: a proxy has a core to itself, so that it is what is measured. With two
    cores, the client and the upstream share the other one."""

    def __init__(self):
        cores = sorted(os.sched_getaffinity(0))
        self.proxy, self.upstream, self.client = None, None, None
        if len(cores) >= 2:
            self.proxy, self.upstream, self.client = cores[0], cores[1], cores[-1]

    def describe(self):
        if self.proxy is None:
            return "one core for all"
        return f"proxy on core {self.proxy}, upstream on {self.upstream}, wrk on {self.client}"


@contextlib.contextmanager
def nginx(folder, template, core, **values):
    """An nginx with that configuration; gives the pid of its only worker."""
    text = (BENCH / template).read_text()
    for name, value in {"folder": folder, **values}.items():
        text = text.replace(f"@{name}@", str(value))
    config = folder / template
    config.write_text(text)
    log = folder / f"{template}.log"
    command = ["nginx", "-c", config, "-p", folder, "-e", "stderr"]
    with running(pinned(core, command), log) as process:
        until(lambda: check_health(values["port"]), process, log, f"the start of {template}")
        (worker,) = children(process.pid)
        yield worker


def wharf_config(upstream):
    return {"models": {"bench": {"cmd": "sleep 3600", "proxy": f"http://{HOST}:{upstream}",
                                 "checkEndpoint": "/health", "concurrencyLimit": 256}},
            "hooks": {"on_startup": {"preload": ["bench"]}}}


def load(core, port, connections, seconds, model=None):
    """One run of wrk, as chat.lua reports it."""
    command = pinned(core, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                            "-s", str(BENCH / "chat.lua"), f"http://{HOST}:{port}"] + (["--", model] if model else []))
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise Failure(f"wrk failed: {done.stdout}{done.stderr}") from None
    if result["errors"] or not result["requests"]:
        raise Failure(f"{result['errors']} errors among {result['requests']} requests on {port}")
    return result


class Proxies:
    def __init__(self, rounds, seconds):
        self.rounds, self.seconds = rounds, seconds
        self.cores = Cores()
        self.one = {target: [] for target in TARGETS}
        self.many = {target: [] for target in TARGETS}
        self.idle, self.loaded = {}, {}

    def run(self, folder, say):
        with contextlib.ExitStack() as stack:
            self.start(folder, stack)
            self.idle = {target: memory(pid) for target, pid in self.pids.items() if pid}
            for target in TARGETS:  # once unrecorded: caches, connections, code pages
                self.measure(target, MANY, 1)
            for turn in range(self.rounds):
                self.turn(turn)
                say(f"proxy: round {turn + 1}/{self.rounds}: " + ", ".join(
                    f"{t} {self.one[t][-1]['p50_us']} µs {self.many[t][-1]['rate']:.0f}/s"
                    for t in TARGETS))
            self.loaded = {target: memory(pid) for target, pid in self.pids.items() if pid}

    def start(self, folder, stack):
        cores, upstream, proxy = self.cores, free_port(), free_port()
        stack.enter_context(nginx(folder, "nginx-upstream.conf", cores.upstream, port=upstream))
        worker = stack.enter_context(
            nginx(folder, "nginx-proxy.conf", cores.proxy, port=proxy, upstream=upstream))
        daemon = stack.enter_context(
            Daemon(folder / "wharf", wharf_config(upstream), cores.proxy))
        self.ports = {DIRECT: upstream, NGINX: proxy, WHARF: daemon.port}
        self.pids = {DIRECT: None, NGINX: worker, WHARF: daemon.pid}

    def turn(self, turn):
        """Each target once; the first of one round is the last of the next."""
        first = turn % len(TARGETS)
        order = TARGETS[first:] + TARGETS[:first]
        for target in order:
            self.one[target].append(self.measure(target, ONE, self.seconds))
        for target in order:
            self.many[target].append(self.measure(target, MANY, self.seconds))

    def measure(self, target, connections, seconds):
        pid = self.pids[target]
        before = cpu_seconds(pid) if pid else 0
        result = load(self.cores.client, self.ports[target], connections, seconds)
        used = cpu_seconds(pid) - before if pid else 0
        result["rate"] = result["requests"] / (result["duration_us"] / 1e6)
        result["cpu_us"] = used * 1e6 / result["requests"]
        result["busy"] = used / (result["duration_us"] / 1e6)
        return result

    # ------------------------------------------------------------ what came of it

    def added(self, target):
        """Microseconds that a target adds to p50 over the upstream alone, round by round."""
        return [r["p50_us"] - d["p50_us"] for r, d in zip(self.one[target], self.one[DIRECT])]

    def rates(self, target):
        return [r["rate"] for r in self.many[target]]

    def latency_ratio(self):
        return median(self.added(WHARF)) / max(1, median(self.added(NGINX)))

    def rate_ratio(self):
        return median(self.rates(WHARF)) / median(self.rates(NGINX))

    def rate_ratios(self):
        """Round by round, so that a slow minute counts for both."""
        return [w / n for w, n in zip(self.rates(WHARF), self.rates(NGINX))]

    def bars(self):
        return [Bar("added p50, times nginx's", self.latency_ratio(), 1.2, ""),
                Bar("requests/s at 64 connections, times nginx's", self.rate_ratio(), 0.85, "",
                    at_least=True),
                Bar("idle RSS", self.idle[WHARF]["rss"] / 1024, 8, "MiB")]

    def row(self, target):
        one, many = self.one[target], self.many[target]
        cells = [target, spread([r["p50_us"] for r in one], "{:.0f}"),
                 spread([r["p99_us"] for r in one], "{:.0f}")]
        if target == DIRECT:
            return cells + ["", spread(self.rates(target), "{:.0f}"), "", ""]
        return cells + [spread(self.added(target), "{:.0f}"), spread(self.rates(target), "{:.0f}"),
                        spread([r["cpu_us"] for r in many]),
                        f"{median([r['busy'] for r in many]):.0%}"]

    def memory_row(self, target):
        idle, loaded = self.idle[target], self.loaded[target]
        return [target + (" worker" if target == NGINX else ""), f"{idle['rss']} KiB",
                f"{idle['anon']} KiB", f"{loaded['rss']} KiB", f"{loaded['anon']} KiB"]

    def cpu_ratio(self, of):
        cpu = {t: of([r["cpu_us"] for r in self.many[t]]) for t in (NGINX, WHARF)}
        return cpu[WHARF] / cpu[NGINX]

    def headroom(self):
        return median(self.rates(DIRECT)) / median(self.rates(NGINX))

    def report(self, page):
        page.heading("As a proxy")
        page.text(
            "The upstream is an nginx of its own that answers a chat completion at once. The other "
            "nginx proxies to it with one worker and kept-alive connections; wharf reads each "
            f"body for its model. Medians (min–max) of {self.rounds} rounds, by turns; "
            f"{self.cores.describe()}. "
            "Added p50 is taken round by round; CPU is the proxy's own, per request.")
        page.table(["", "p50 at 1, µs", "p99 at 1, µs", "added p50, µs", "requests/s at 64",
                    "CPU per request at 64, µs", "core busy"],
                   [self.row(target) for target in TARGETS])
        page.text(
            f"wharf adds {self.latency_ratio():.2f} times what nginx adds, serves "
            f"{self.rate_ratio():.2f} times its requests/s (round by round: "
            f"{spread(self.rate_ratios(), '{:.2f}')}) and takes {self.cpu_ratio(median):.2f} times "
            f"its processor time ({self.cpu_ratio(min):.2f} times in the best round of each). "
            f"The upstream alone serves {self.headroom():.1f} times what nginx passes on"
            + ("." if self.headroom() >= 2 else ": too little for the rates to mean much."))
        page.table(["", "RSS idle", "of it anonymous", "RSS after the load", "of it anonymous"],
                   [self.memory_row(target) for target in (NGINX, WHARF)])
