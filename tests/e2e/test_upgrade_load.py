"""Another program in the daemon's place, again and again, under a crowd of clients, and with deaths in it."""

import contextlib
import os
import random
import signal
import ssl
import threading
import time

import pytest

from books import books_agree, known
from test_thousand_kills import DEVICES, MODELS, Load, config as killed_config
from test_tls import Authority
from test_upgrade_programs import install, installed, refused, script  # noqa: F401
from upgrades import Stream, descriptors, drainers, until_drained, upgrade
from wharf_harness import (SECONDS, SLOWNESS, WHARF, Connection, Later, chat_body, demo, free_port, is_alive, models,
                           rss_kib, until, wait_exit)

CHAT = "/v1/chat/completions"
GROWTH_KIB_MAX = 2048 * SLOWNESS
# How many in a row: a few, or as many as a long run asks for.
LONG = "WHARF_UPGRADES" in os.environ
UPGRADES = int(os.environ.get("WHARF_UPGRADES", 3))


# ---------------------------------------------------------------- a crowd


class Daemons:
    """The daemon as clients over TCP see it."""

    def __init__(self, d):
        host, _, port = d.listen[1].rpartition(":")
        self.address = (host, int(port))
        self.connect = d.connect


class Crowd:
    """Clients of every kind, of which none may see an error: what went wrong is kept, with the longest times."""

    def __init__(self, d, unix, tls=None):
        self.d, self.unix, self.tls = d, unix, tls
        self.over = threading.Event()
        self.wrong, self.answers = [], 0
        self.slowest = {"request": 0.0, "connect": 0.0}
        works = [self.keep_alive, self.keep_alive, self.each_its_own, self.each_its_own, self.old, self.pipelined,
                 self.by_unix, self.stream, self.stream]
        self.threads = [threading.Thread(target=self.run, args=(work,), daemon=True) for work in works]
        for t in self.threads:
            t.start()

    def run(self, work):
        try:
            work()
        except Exception as e:  # told by stop
            self.wrong.append(f"{work.__name__}: {e!r}"[:400])

    def connect(self, address=None):
        began = time.monotonic()
        c = Connection(address or self.d.address, 3 * SECONDS)
        if self.tls and not address:
            c.sock = self.tls.wrap_socket(c.sock, server_hostname="127.0.0.1")
        self.slowest["connect"] = max(self.slowest["connect"], time.monotonic() - began)
        return c

    def count(self, answer, began=None):
        assert answer.status == 200 and answer.complete, answer
        if began:
            self.slowest["request"] = max(self.slowest["request"], time.monotonic() - began)
        self.answers += 1

    def chat(self, c):
        began = time.monotonic()
        self.count(c.ask("POST", CHAT, chat_body("m", max_tokens=2)), began)

    def keep_alive(self):
        with self.connect() as c:
            while not self.over.is_set():
                self.chat(c)

    def each_its_own(self):
        while not self.over.is_set():
            with self.connect() as c:
                self.chat(c)

    def by_unix(self):
        while not self.over.is_set():
            with self.connect(self.unix) as c:
                self.chat(c)
                self.chat(c)

    def old(self):
        while not self.over.is_set():
            with self.connect() as c:
                c.send("GET /v1/models HTTP/1.0\r\n\r\n")
                self.count(c.answer())
                assert c.is_closed()

    def pipelined(self):
        with self.connect() as c:
            while not self.over.is_set():
                for _ in range(5):
                    c.request("POST", CHAT, chat_body("m", max_tokens=1))
                for _ in range(5):
                    self.count(c.answer())

    def stream(self):
        with self.connect() as c:
            while not self.over.is_set():
                s = Stream(self.d, "m", connection=c)
                assert s.rest().startswith("demo-model m ")
                self.answers += 1

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join(6 * SECONDS)
        assert not [t for t in self.threads if t.is_alive()], "a client never came back"
        assert not self.wrong, self.wrong[:5]


def crowd_test(wharf, folder, upgrades, authority=None):
    """With an authority all but unix sockets is under TLS."""
    sock, args = f"{folder}/s", []
    if authority:
        files = authority.sign()
        args = ["--tls-cert-file", files[0], "--tls-key-file", files[1]]
    # The unix socket is the first: what the test itself asks goes there.
    d = wharf({"logLevel": "warn", "models": {"m": demo("m", "--token-delay", "2ms", "--tokens", "30")}},
              listen=[f"unix:{sock}", f"127.0.0.1:{free_port()}"], args=args)
    pid = d.load("m")["pid"]
    crowd = Crowd(Daemons(d), sock, ssl.create_default_context(cafile=authority.file) if authority else None)
    until(lambda: crowd.answers > 50, "answers")
    upgrade(d)
    rss = rss_kib(d.pid)
    for _ in range(upgrades):
        goal = crowd.answers + 20
        upgrade(d)
        until(lambda: crowd.answers >= goal or crowd.wrong, "answers")
    assert not crowd.wrong, crowd.wrong[:5]
    last = rss_kib(d.pid)
    crowd.stop()
    until_drained(d)
    assert d.model("m")["pid"] == pid
    m = d.until_model("m", in_flight=0, waiting=0)
    assert m["pid"] == pid and "not come" not in d.stderr
    until(lambda: len(descriptors(d.pid)) < 40, "descriptors of nobody")
    assert last - rss < GROWTH_KIB_MAX, f"from {rss} to {last} KiB"
    print(f"{upgrades} upgrades, {crowd.answers} answers; longest: request {crowd.slowest['request'] * 1000:.0f} ms, "
          f"connect {crowd.slowest['connect'] * 1000:.0f} ms; RSS {rss} → {last} KiB")
    return crowd


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki") / "ca")


@pytest.mark.slice
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("over", ["plain", "TLS"])
def test_a_crowd(wharf, tmp_path, authority, over):
    crowd_test(wharf, tmp_path, UPGRADES, authority if over == "TLS" else None)


@pytest.mark.parametrize("limit", [None, 700])
def test_many_connections(wharf, limit):
    """More than may be under way at once, and, with a limit, more than there are descriptors for twice."""
    count = 450
    d = wharf(models("m"), **({"command": ["sh", "-c", f'ulimit -n {limit}; exec "$0" "$@"', *command(wharf)]}
                              if limit else {}))
    d.load("m")
    count = min(count, d.get("/wharf/status").json()["limits"]["connections"]["max"] - 8)
    all_ = [d.connect(seconds=3 * SECONDS) for _ in range(count)]
    for c in all_:
        assert c.ask("GET", "/health").status == 200
    for _ in range(2):
        upgrade(d)
        for c in all_:
            assert c.ask("GET", "/health").status == 200
    until_drained(d)


def command(wharf):
    return [str(WHARF), "serve", "--config", str(wharf.folder / "daemon1" / "wharf.yaml")]


@pytest.fixture(autouse=True)
def where_daemons_are(wharf, tmp_path):
    """For those who name the command themselves."""
    wharf.folder = tmp_path


# ---------------------------------------------------------------- deaths


def stream_over(d, tokens):
    s = Stream(d, "m").head()
    s.next()
    return s


def slow_model(delay="10ms", tokens=80):
    return {"models": {"m": demo("m", "--token-delay", delay, "--tokens", tokens)}}


@pytest.mark.slice
def test_the_daemon_is_killed_and_the_drainer_goes_on(wharf):
    d = wharf(slow_model())
    pid = d.load("m")["pid"]
    s = stream_over(d, 80)
    upgrade(d)
    drainer, = drainers(d)
    d.kill()
    s.next()
    assert is_alive(drainer)
    d.start()
    s.rest()
    wait_exit(drainer)
    until(lambda: d.state_of("m") == "loaded", "the end of the start")
    assert d.model("m")["pid"] == pid
    d.ok(d.chat("m", max_tokens=1))


def test_a_drainer_is_killed(wharf):
    """Its requests end, and their places are free at once."""
    d = wharf({"models": {"m": demo("m", "--token-delay", "20ms", "--tokens", "400", concurrencyLimit=1)}})
    d.load("m")
    s = stream_over(d, 400)
    upgrade(d)
    waits = Later(d.chat, "m", max_tokens=1)
    d.until_model("m", waiting=1)
    os.kill(drainers(d)[0], signal.SIGKILL)
    d.ok(waits.result())
    with pytest.raises(ConnectionError):
        s.rest()
    until_drained(d)
    d.until_model("m", in_flight=0)


@pytest.mark.parametrize("longer", [False, True])
def test_a_stop_while_a_drainer_streams(wharf, longer):
    d = wharf({"timeouts": {"shutdown": "300ms" if longer else "30s"},
               **slow_model("20ms", 1000 if longer else 40)})
    d.load("m")
    s = stream_over(d, 0)
    upgrade(d)
    d.signal(signal.SIGTERM)
    began = time.monotonic()
    if longer:
        with pytest.raises(ConnectionError):
            s.rest()
    else:
        s.rest()
    assert d.wait() == 0
    d.stopped_on_purpose = True
    assert time.monotonic() - began < 5 * SLOWNESS
    until(lambda: not d.everything(), "nobody is left")


def kill_test(wharf, containment, times):
    """Upgrades and kills at random moments, as test_thousand_kills: the next one knows all that runs."""
    seed = int(os.environ.get("WHARF_KILLS_SEED", random.randrange(1 << 32)))
    print(f"WHARF_KILLS_SEED={seed}")
    rng = random.Random(seed)
    d = wharf(killed_config(), **containment)
    load = Load(d, seed)
    for _ in range(times):
        goal = load.answers + rng.randrange(1, 20)
        until(lambda: load.answers >= goal, "answers")
        with contextlib.suppress(OSError, ValueError, AssertionError):
            with Connection(d.address, SECONDS) as c:
                c.request("POST", "/wharf/upgrade", b"")
                if rng.random() < 0.8:
                    c.sock.settimeout(rng.random() / 6)
                c.head()
        if rng.random() < 0.7 and drainers(d) and rng.random() < 0.3:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(rng.choice(drainers(d)), signal.SIGKILL)
        if rng.random() < 0.7:
            d.kill()
            d.start()
        until(lambda: (k := known(d)) is not None and set(d.engines()) <= k, "all that runs to be known")
        for name in MODELS:
            assert len(d.engines(name)) <= 1, f"two of {name}"
    load.stop()
    wrong = [w for w in load.wrong if "upgrade" not in w]
    assert not wrong, wrong[:5]
    until(lambda: not drainers(d), "their end")
    for name in MODELS:
        d.until_model(name, in_flight=0, waiting=0)
    until(lambda: books_agree(d, DEVICES), "the books")


@pytest.mark.timeout(3000)
def test_killed_within_upgrades(wharf, containment):
    kill_test(wharf, containment, 2 * UPGRADES)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(not LONG, reason="takes 30 s: tools/check --long")
def test_a_trial_that_hangs(installed):  # noqa: F811
    d = installed(models("m"))
    d.load("m")
    script(d.program, "#!/bin/sh\nsleep 3600\n")
    refused(d, "not read its configuration in time")
    until(lambda: len(d.everything()) == 1, "nothing of it")
    install(d.program)
    upgrade(d)
