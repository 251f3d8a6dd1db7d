"""Crowds of slow clients, which come from a process of their own (fakes/crowd.py), and what is left for others.

$WHARF_CROWD: how many there are in test_others_are_served; docs/reliability.md has figures.
"""

import contextlib
import json
import os
import pathlib
import re
import resource
import select
import statistics
import subprocess
import sys
import time

import pytest

from test_tls import Authority
from wharf_harness import (SANITIZED, SECONDS, SLOWNESS, Connection, chat_body, content, demo, models, rss_kib,
                           until)

FAKES = pathlib.Path(__file__).parent / "fakes"
CHAT = "/v1/chat/completions"
CROWD = int(os.environ.get("WHARF_CROWD", 2000))
KINDS = ("heads", "bodies", "chunked", "readers")
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

ROUNDS, ROUNDS_MORE = 3, 4
ROUND_S = 1.2 if CROWD <= 2000 else 4
# What may pass for noise where there are two cores: a turn of somebody else's.
NOISE_S = 0.004 * SLOWNESS

# Bytes of the daemon's memory for one connection of a kind, TLS aside. Allocations of sanitizers are larger.
COSTS = {"idle": 2500, "heads": 6000, "bodies": 12000, "chunked": 12000, "readers": 48000, "events": 48000}
BACK_KIB = 6 * 1024
UNSENT_MAX = 64 << 20
PATIENT = {"head": "10m", "body": "10m", "write": "10m", "idle": "10m"}


class Crowd:
    def __init__(self, d, period=5, address=None, **counts):
        self.counts = counts
        self.process = subprocess.Popen(
            [sys.executable, FAKES / "crowd.py", address or "%s:%d" % d.address,
             *(f"{kind}={n}" for kind, n in counts.items()), "--period", str(period)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.up = self.line(60)["up"]

    def line(self, seconds=SECONDS):
        assert select.select([self.process.stdout], [], [], seconds)[0], "the crowd says nothing"
        return json.loads(self.process.stdout.readline())

    def look(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.line()

    def leave(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()


def side_by_side(*names):
    return {"routing": {"router": {"settings": {"groups": {"all": {"swap": False, "members": list(names)}}}}}}


def served(**keys):
    """A small model, and one whose answers have no end."""
    hose = {"cmd": f"{sys.executable} {FAKES}/firehose.py ${{PORT}}", "proxy": "http://127.0.0.1:${PORT}",
            "concurrencyLimit": 100000, "maxQueue": 100000}
    return {"timeouts": PATIENT, "models": {"ready": demo("ready"), "big": hose}, "captureBuffer": 0,
            **side_by_side("ready", "big"), **keys}


def start(wharf, **keys):
    d = wharf(served(**keys))
    d.load("ready")
    d.load("big")
    return d


def limits(d):
    return d.ok(d.get("/wharf/status")).json()["limits"]


def descriptors(d):
    return len(os.listdir(f"/proc/{d.process.pid}/fd"))


def cpu_s(d):
    fields = pathlib.Path(f"/proc/{d.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until_alone(d):
    """Nobody but who asks: the crowd has been noticed to have left."""
    until(lambda: d.ok(d.get("/wharf/status")).json()["connections"] <= 1, "the others to be gone", 60)


# ---------------------------------------------------------------- others are served


def p99(times):
    return sorted(times)[int(len(times) * 0.99)]


def measure(d, seconds):
    """{what: times} of short requests, one after the other, on a connection each."""
    times = {"chat": [], "models": []}
    with d.connect() as chat, d.connect() as lists:
        asks = {"chat": lambda: chat.ask("POST", CHAT, chat_body("ready")), "models": lambda: lists.ask("GET", "/v1/models")}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for what, ask in asks.items():
                began = time.perf_counter()
                answer = ask()
                times[what].append(time.perf_counter() - began)
                assert answer.status == 200, answer
    return times


def one_round(d, n):
    """Times without the crowd, and in it."""
    quiet = measure(d, ROUND_S)
    with Crowd(d, **{kind: n // len(KINDS) for kind in KINDS}) as crowd:
        assert crowd.up == n // len(KINDS) * len(KINDS)
        crowded = measure(d, ROUND_S)
        assert crowd.look()["closed"] == 0
        now = limits(d)
        assert now["connections"]["used"] >= crowd.up, now
    until_alone(d)
    return quiet, crowded


def medians(rounds, what):
    return [statistics.median(p99(part[what]) for part in parts) for parts in zip(*rounds)]


def is_beside(rounds):
    return all(crowded <= 2 * quiet + NOISE_S
               for quiet, crowded in (medians(rounds, what) for what in ("chat", "models")))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_others_are_served(wharf):
    """p99 of short requests in the crowd and without it, in turns; medians of rounds are compared."""
    d = start(wharf, maxConnections=CROWD + 100)
    assert limits(d)["connections"]["max"] == CROWD + 100, "the hard limit of open files is too low"
    measure(d, 0.5)
    before = descriptors(d)
    rounds = [one_round(d, CROWD) for _ in range(ROUNDS)]
    while not is_beside(rounds) and len(rounds) < ROUNDS + ROUNDS_MORE:
        rounds.append(one_round(d, CROWD))
    for what in ("chat", "models"):
        quiet, crowded = medians(rounds, what)
        p50 = [statistics.median(statistics.median(part[what]) for part in parts) for parts in zip(*rounds)]
        print(f"{what}: quiet p50 {1e3 * p50[0]:.2f} ms, p99 {1e3 * quiet:.2f} ms; {CROWD} slow clients "
              f"p50 {1e3 * p50[1]:.2f} ms, p99 {1e3 * crowded:.2f} ms; rounds {len(rounds)}")
    assert is_beside(rounds), "others wait for the crowd"
    until(lambda: descriptors(d) <= before + 4, "its descriptors to be free")


@pytest.mark.timeout(300)
@pytest.mark.skipif(SANITIZED, reason="sanitizers have memory of their own")
def test_what_a_connection_costs(wharf):
    d = start(wharf, maxConnections=4000)
    measure(d, 0.3)
    n, found = 1000, {}
    for kind, bound in COSTS.items():
        before, open_before = rss_kib(d.process.pid), descriptors(d)
        with Crowd(d, **{kind: n}) as crowd:
            assert crowd.up == n
            until(lambda: limits(d)["connections"]["used"] >= n, "them to have come in")
            measure(d, 0.3)
            found[kind] = (rss_kib(d.process.pid) - before) * 1024 / n
        until_alone(d)
        until(lambda: rss_kib(d.process.pid) < before + BACK_KIB, f"the memory of {kind} to be given back")
        until(lambda: descriptors(d) <= open_before + 4, f"the descriptors of {kind} to be free")
    print({kind: round(n) for kind, n in found.items()})
    assert all(found[kind] <= COSTS[kind] for kind in COSTS), found


def test_what_nobody_takes_is_bounded(wharf):
    """Over all clients: those that have been stalled longest are cut."""
    d = start(wharf, maxConnections=4000)
    with Crowd(d, readers=3400) as crowd:
        assert crowd.up == 3400
        until(lambda: limits(d)["unsent"]["refused"] > 0, "the first to be cut")
        # What comes within one turn of the loop is on top.
        until(lambda: limits(d)["unsent"]["used"] <= UNSENT_MAX, "the rest to be within the bound")
        assert content(d.ok(d.chat("ready"))) == "demo-model ready says: hello"
    until_alone(d)


# ---------------------------------------------------------------- how many


def status(d, name="limits"):
    return d.ok(d.get("/wharf/status")).json()[name]


def degradation(d, name, **options):
    found = [x for x in json.loads(ask_anyhow(d, **options))["degradations"] if x["name"] == name]
    return found[0] if found else None


def ask_anyhow(d, connection=None):
    return (connection.ask("GET", "/wharf/status") if connection else d.get("/wharf/status")).body


def refused(d, address=None):
    """A connection that finds no place: what it is told, before it has said anything."""
    with Connection(address or d.address) as c:
        answer = c.answer()
        assert (answer.status, answer.error["code"]) == (503, "overloaded"), answer
        assert answer.header("Retry-After") and answer.header("Connection") == "close"
        assert c.is_closed()


def test_one_above_is_told(wharf):
    d = wharf({**models("m"), "maxConnections": 20})
    events = d.events()  # one of them
    mine = d.connect()
    with contextlib.ExitStack() as others:
        for _ in range(18):
            c = others.enter_context(d.connect())
            assert c.ask("GET", "/health").status == 200
        for _ in range(3):
            refused(d)
        events.wait_for("degraded", what="limit", name="connections")
        now = json.loads(ask_anyhow(d, mine))
        assert now["limits"]["connections"] == {
            "unit": "connections", "setting": "maxConnections", "used": 20, "max": 20, "refused": 3}
        assert now["degraded"].startswith("limit connections: 20 connections are all")
        assert "maxConnections" in d.stderr
        # Who waits with a request sent is told, too.
        with Connection(d.address) as c:
            c.request("GET", "/health")
            assert c.answer().status == 503
    events.wait_for("recovered", what="limit", name="connections")
    assert d.ok(d.get("/health")) and not degradation(d, "connections")
    # A lower bound holds at once.
    d.reload({**models("m"), "maxConnections": 2})
    refused(d)


def test_one_above_under_tls(wharf, tmp_path):
    """A handshake is what cannot be afforded: it is closed without a word."""
    certificate, key = Authority(tmp_path / "ca").sign()
    unix = str(tmp_path / "s")
    d = wharf({**models("m"), "maxConnections": 2}, listen=[f"unix:{unix}", "127.0.0.1:0"],
              args=["--tls-cert-file", str(certificate), "--tls-key-file", str(key)])
    address = ("127.0.0.1", int(re.search(r"listening on 127.0.0.1:(\d+) with TLS", d.stderr).group(1)))
    with Connection(unix) as mine:
        until(lambda: json.loads(ask_anyhow(d, mine))["connections"] == 1, "the others to be gone")
        with Connection(address), Connection(address) as second:
            assert second.sock.recv(1) == b""
        assert json.loads(ask_anyhow(d, mine))["limits"]["connections"]["refused"] == 1


def test_a_crowd_that_is_turned_away(wharf):
    """At once, all of it, and those who are in do not notice."""
    d = wharf({**models("m"), "maxConnections": 10})
    with d.connect() as mine:
        assert mine.ask("GET", "/health").status == 200
        with Crowd(d, idle=1500) as crowd:
            until(lambda: crowd.look()["open"] <= 9, "the rest to be told")
            told = crowd.look()["statuses"].get("503", 0)
            assert told >= 1400, crowd.look()
            assert mine.ask("GET", "/health").status == 200
            # Nobody comes any more: nothing is done about it.
            began = cpu_s(d)
            time.sleep(0.5)  # the time that is measured
            assert cpu_s(d) - began < 0.1 * SLOWNESS
        until(lambda: json.loads(ask_anyhow(d, mine))["connections"] <= 2, "them to be gone")
    assert content(d.ok(d.chat("m")))


def test_the_unix_socket_has_places_of_its_own(wharf, tmp_path):
    path = str(tmp_path / "s")
    d = wharf({**models("m"), "maxConnections": 10}, listen=["127.0.0.1:0", f"unix:{path}"])
    with Crowd(d, heads=10) as crowd, contextlib.ExitStack() as those:
        assert crowd.up == 10
        refused(d)
        first = those.enter_context(Connection(path))
        assert first.ask("GET", "/health").status == 200
        assert json.loads(ask_anyhow(d, first))["limits"]["connections_kept"]["used"] == 1
        assert first.ask("POST", "/wharf/models/m/load").status == 200
        for _ in range(31):
            assert those.enter_context(Connection(path)).ask("GET", "/health").status == 200
        refused(d, path)
        assert json.loads(ask_anyhow(d, first))["limits"]["connections_kept"] == {
            "unit": "connections", "setting": None, "used": 32, "max": 32, "refused": 1}


def test_more_than_the_limit_of_files_allows(wharf):
    """maxConnections is what is wanted; two descriptors for each are what there has to be."""
    d = wharf({**models("m"), "maxConnections": 5000}, files=800)
    most = limits(d)["connections"]["max"]
    assert 100 < most < 400, most
    assert f"is enough for {most} connections, not for maxConnections (5000)" in d.stderr
    with d.connect() as mine:
        assert mine.ask("POST", CHAT, chat_body("m")).status == 200
        with Crowd(d, heads=most - 1) as crowd:
            assert crowd.up == most - 1
            refused(d)
            # A model can be started, and connected to.
            assert mine.ask("POST", "/wharf/models/m/unload").status == 200
            assert mine.ask("POST", CHAT, chat_body("m")).status == 200
            assert crowd.look() == {"open": most - 1, "closed": 0, "statuses": {}}


# ---------------------------------------------------------------- no descriptors at all


class Without:
    """The daemon's limit is below what it has open, so that it gets no further one; `kept`: but for the place of
    the one that it keeps for this."""

    def __init__(self, d, kept):
        self.d = d
        numbers = sorted(int(n) for n in os.listdir(f"/proc/{d.process.pid}/fd"))
        free = next(n for n in range(len(numbers) + 1) if n not in numbers)
        self.limit = free if kept else 3
        self.was = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)

    def __enter__(self):
        resource.prlimit(self.d.process.pid, resource.RLIMIT_NOFILE, (self.limit, self.was[1]))
        return self

    def __exit__(self, *_):
        resource.prlimit(self.d.process.pid, resource.RLIMIT_NOFILE, self.was)


def is_idle(d, seconds=0.7):
    began = cpu_s(d)
    time.sleep(seconds)  # the time that is measured
    used = cpu_s(d) - began
    assert used < 0.15 * seconds * SLOWNESS, f"{used} s of CPU in {seconds} s"


@pytest.mark.slice
@pytest.mark.parametrize("kept", [True, False])
def test_without_descriptors(wharf, kept):
    d = wharf({**models("a", "b"), **side_by_side("a", "b")})
    d.load("a")
    d.until_archived()
    events = d.events()
    big = b'{"model":"a","messages":[{"role":"user","content":"%s"}]}' % (b"x" * 300000)
    with contextlib.ExitStack() as those:
        mine, other, third, fourth = (those.enter_context(d.connect()) for _ in range(4))
        for c in (mine, other, third, fourth):
            assert c.ask("GET", "/health").status == 200
        # The connections to the model are closed when they have been idle.
        until(lambda: descriptors_of_sockets(d, "a") == 0, "no connection to the model")
        with Without(d, kept):
            late = [those.enter_context(Connection(d.address)) for _ in range(5)]
            is_idle(d)
            answer = mine.ask("POST", CHAT, chat_body("a"))
            assert (answer.status, answer.error["code"]) == (503, "overloaded"), answer
            assert answer.header("Retry-After")
            answer = other.ask("POST", CHAT, big)
            assert (answer.status, answer.error["code"]) == (503, "no_body_space"), answer
            answer = third.ask("POST", "/wharf/models/b/load")
            assert (answer.status, answer.error["code"]) == (502, "load_failed"), answer
            assert "Too many open files" in answer.message, answer
            answer = mine.ask("GET", "/logs/stream/a?no-follow")
            assert answer.status == 500, answer
            is_idle(d)
            now = json.loads(ask_anyhow(d, mine))
            assert [x["name"] for x in now["degradations"]] == ["descriptors"], now["degradations"]
            assert "no file descriptor was left" in now["degraded"]
            assert now["limits"]["descriptors"]["refused"] >= 3, now["limits"]["descriptors"]
            assert {m["id"]: m["state"] for m in now["model_list"]}["a"] == "loaded"
            events.wait_for("degraded", what="limit", name="descriptors")
            if kept:
                assert {c.answer().status for c in late} == {503}
        events.wait_for("recovered", what="limit", name="descriptors")
        for c in () if kept else late:  # they have waited
            assert c.ask("GET", "/health").status == 200
    assert content(d.ok(d.chat("a"))) == content(d.ok(d.post(CHAT, chat_body("a"))))
    d.load("b")
    assert status(d, "degraded_mode") is False


def descriptors_of_sockets(d, name):
    port = "%04X" % d.model(name)["port"]
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in lines if line.split()[2].endswith(":" + port) and line.split()[3] == "01")


# ---------------------------------------------------------------- slow ones are cut


@pytest.mark.slice
def test_slow_clients_are_cut(wharf):
    """None of them holds its place for longer than the timeouts say."""
    short = {"head": "1s", "body": "1s", "write": "1s", "idle": "1s"}
    d = start(wharf, timeouts=short)
    n = 40
    with Crowd(d, period=0.2, idle=n, heads=n, bodies=n, chunked=n, readers=n) as crowd:
        assert crowd.up == 5 * n
        until(lambda: status(d, "connections") <= 1, "all to be cut", 30 * SLOWNESS)
        # Readers do not read that they have been.
        until(lambda: crowd.look()["closed"] >= 4 * n, "them to notice")
        assert crowd.look()["statuses"]["408"] >= 3 * n, crowd.look()
    now = limits(d)
    assert now["head_time"]["refused"] >= n and now["body_time"]["refused"] == 2 * n, now
    assert now["write_time"]["refused"] == n, now
    assert now["head_time"]["max"] == now["body_time"]["max"] == now["write_time"]["max"] == 1
    d.until_model("big", in_flight=0)


def test_a_trickle_is_cut(wharf):
    """One that never pauses, but brings or takes next to nothing."""
    d = start(wharf, timeouts={**PATIENT, "body": "1s", "write": "1s", "minRate": "20KiB"})
    with d.connect() as slow, d.connect() as quick:
        for c in (slow, quick):
            c.send(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
                   '{"model":"ready","x":"')
        end = time.monotonic() + 2.5
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < end:
                quick.send("a" * 4000)
                slow.send("a" * 10)
                time.sleep(0.05)  # the rates that this is about: 80 kB/s, and 200 B/s
        answer = slow.answer()
        assert (answer.status, answer.error["code"]) == (408, "request_timeout")
        quick.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            quick.sock.recv(1)
    with Connection(d.address, receive_buffer=4096) as reader:
        reader.request("POST", CHAT, chat_body("big", stream=True))
        d.until_model("big", in_flight=1)
        with contextlib.suppress(ConnectionError):
            while d.model("big")["in_flight"]:
                reader.sock.recv(100)
                time.sleep(0.05)  # 2 kB/s
    assert limits(d)["write_time"]["refused"] == 1
