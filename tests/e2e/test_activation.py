"""Under a service manager: what it is told, the sockets that it hands over, and those left with it."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from wharf_harness import SECONDS, WHARF, Connection, demo, models

pytestmark = pytest.mark.skipif(
    "libsystemd" not in subprocess.run(["ldd", WHARF], capture_output=True, text=True).stdout,
    reason="this wharf was built without libsystemd")

MANAGERS_OWN = {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_USEC",
                "WATCHDOG_PID"}


class Manager:
    """The socket to which sd_notify(3) writes, and the sockets that came with the words."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(SECONDS)
        self.messages = []
        self.stored = {}  # name → socket

    def receive(self):
        data, fds, _, _ = socket.recv_fds(self.sock, 8192, 8)
        message = dict(line.split("=", 1) for line in data.decode().splitlines())
        for fd in fds:
            self.stored[message["FDNAME"]] = socket.socket(fileno=fd)
        if "FDSTOREREMOVE" in message:
            self.stored.pop(message["FDNAME"]).close()
        self.messages.append(message)
        return message

    def wait_for(self, key):
        """The next message that says that, behind those read so far."""
        while key not in (message := self.receive()):
            pass
        return message

    def has_said(self, key):
        """Whether it was said by now."""
        self.sock.setblocking(False)
        try:
            while True:
                self.receive()
        except BlockingIOError:
            return any(key in m for m in self.messages)
        finally:
            self.sock.settimeout(SECONDS)

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.path, **more}

    def close(self):
        for s in [self.sock, *self.stored.values()]:
            s.close()


@pytest.fixture
def manager(tmp_path):
    m = Manager(tmp_path)
    yield m
    m.close()


def listening(address="127.0.0.1"):
    """A socket of the service manager's, as of a socket unit."""
    unix = address.startswith("/")
    s = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    s.bind(address if unix else (address, 0))
    s.listen(8)
    return s


def where(s):
    return "unix:" + s.getsockname() if s.family == socket.AF_UNIX else "%s:%d" % s.getsockname()


def pending(s):
    """A request to a socket on which nobody accepts yet."""
    return Connection(s.getsockname()).request("GET", "/health")


# ---------------------------------------------------------------- what it is told


@pytest.mark.slice
def test_ready_reload_stop(wharf, manager):
    d = wharf(models("a", "b"), env=manager.environment())
    assert manager.wait_for("READY")["STATUS"] == "2 models configured"

    before = time.monotonic_ns() // 1000
    d.reload(models("a", "b", "c"))
    reloading = manager.wait_for("RELOADING")
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.wait_for("READY")["STATUS"] == "3 models configured"

    d.reload("models: [", event="config_rejected")
    manager.wait_for("RELOADING")
    assert manager.wait_for("READY")["STATUS"] == \
        "3 models configured; the new configuration has errors, the old one stays in force"

    d.stop()
    assert manager.wait_for("STOPPING")["STATUS"] == "stopping"


def test_a_stop_may_take_as_long_as_was_configured(wharf, manager):
    d = wharf({"timeouts": {"shutdown": "10m"}, "models": {"a": demo("a", unloadTimeout=300)}},
              env=manager.environment())
    d.stop()
    seconds = int(manager.wait_for("STOPPING")["EXTEND_TIMEOUT_USEC"]) / 1e6
    assert 900 <= seconds <= 960


def test_ready_is_said_once_the_start_is_over(wharf, manager):
    """The start waits for a model of an earlier daemon to answer; clients may come meanwhile."""
    d = wharf(models("m"), env=manager.environment())
    manager.wait_for("READY")
    pid = d.load("m")["pid"]
    os.kill(pid, signal.SIGSTOP)
    d.kill()
    manager.messages.clear()
    d.start()
    assert d.get("/health").status == 200
    assert not manager.has_said("READY"), "it still waits"
    os.kill(pid, signal.SIGCONT)
    manager.wait_for("READY")
    assert d.model("m")["pid"] == pid


def test_the_watchdog_hears_of_a_loop_that_turns(wharf, manager):
    d = wharf(models("m"), env=manager.environment(WATCHDOG_USEC="200000"))
    manager.wait_for("READY")
    times = []
    for _ in range(5):
        manager.wait_for("WATCHDOG")
        times.append(time.monotonic())
    assert times[-1] - times[0] >= 0.3, "at half the interval, not as often as it can"
    os.kill(d.pid, signal.SIGSTOP)
    assert os.waitpid(d.pid, os.WUNTRACED)
    manager.has_said("WATCHDOG")
    manager.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        manager.receive()
    os.kill(d.pid, signal.SIGCONT)
    manager.sock.settimeout(SECONDS)
    manager.wait_for("WATCHDOG")


def test_a_loop_that_hangs_is_ended_by_the_watchdogs_signal(wharf, manager):
    """As systemd does it: SIGABRT, and SIGCONT for whoever was stopped. Its models stay for the next daemon."""
    d = wharf(models("m"), env=manager.environment())
    pid = d.load("m")["pid"]
    d.signal(signal.SIGSTOP)
    d.signal(signal.SIGABRT)
    d.signal(signal.SIGCONT)
    assert d.wait() == -signal.SIGABRT
    d.stopped_on_purpose = True
    d.start()
    assert d.model("m")["pid"] == pid


def test_no_watchdog_no_word(wharf, manager):
    d = wharf(models("m"), env=manager.environment())
    d.load("m")
    d.stop()
    assert not manager.has_said("WATCHDOG") and manager.has_said("STOPPING")


def test_what_is_said_to_the_daemon_is_not_said_to_models(wharf, manager):
    with listening() as s:
        d = wharf(models("m"), listen=where(s), handed=[(s, "wharf.socket")],
                  env=manager.environment(WATCHDOG_USEC="60000000", WATCHDOG_PID=None))
        pid = d.load("m")["pid"]
        names = {entry.partition(b"=")[0].decode()
                 for entry in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
        assert "WHARF_INSTANCE" in names and not names & MANAGERS_OWN
        sockets = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert f"socket:[{os.fstat(s.fileno()).st_ino}]" not in sockets


# ---------------------------------------------------------------- sockets of socket units


@pytest.mark.slice
def test_who_came_before_the_daemon_is_served(wharf, tmp_path):
    with listening() as tcp, listening(str(tmp_path / "unit.sock")) as unix:
        early = [pending(tcp), pending(unix)]
        d = wharf({"listen": [where(tcp), where(unix)]}, listen=None,
                  handed=[(unix, "wharf.socket"), (tcp, "wharf.socket")])
        assert [c.answer().status for c in early] == [200, 200]
        assert d.stderr.count("a socket of the service manager's") == 2
        d.stop()
        assert os.path.exists(unix.getsockname()), "the file is the service manager's"
        late = pending(tcp)
        d.start()
        assert late.answer().status == 200


def test_a_socket_that_no_listen_names(wharf):
    with listening() as wanted, listening() as other:
        address = other.getsockname()
        d = wharf(models("m"), listen=where(wanted),
                  handed=[(other, "web.socket"), (wanted, "wharf.socket")])
        assert f"closing the socket at {where(other)}" in d.stderr
        assert f"closing the socket at {where(wanted)}" not in d.stderr
    with pytest.raises(ConnectionRefusedError):
        Connection(address)


def test_what_is_no_listening_socket(wharf):
    with socket.socket() as s:
        d = wharf(models("m"), handed=[(s, "odd")])
        assert "descriptor 3 was handed over, and is no listening socket" in d.stderr
        assert d.get("/health").status == 200


# ---------------------------------------------------------------- the fd store


def stored(manager, count):
    while len(manager.stored) < count:
        manager.receive()
    return [(s, name) for name, s in manager.stored.items()]


@pytest.mark.slice
def test_after_a_crash_nobody_is_refused(wharf, manager, tmp_path):
    path = str(tmp_path / "wharf.sock")
    d = wharf({"listen": ["127.0.0.1:0", f"unix:{path}"], **models("m")}, listen=None,
              env=manager.environment())
    handed = stored(manager, 2)
    assert all(re.fullmatch(r"[!-9;-~]{1,255}", name) for _, name in handed)
    port, pid = d.address, d.load("m")["pid"]
    d.kill()
    between = [Connection(a).request("GET", "/health") for a in (port, path)]
    d.handed = handed
    d.start()
    assert d.address == port, "port 0 was chosen once"
    assert [c.answer().status for c in between] == [200, 200]
    assert d.stderr.count("an earlier daemon's socket") == 2
    manager.wait_for("READY")
    assert d.model("m")["pid"] == pid, "and nothing that was loaded was lost"
    d.stop()
    manager.has_said("STOPPING")
    assert not manager.stored, "one that means to end leaves nothing"
    assert not os.path.exists(path)


def test_a_stored_socket_that_is_not_wanted_any_more(wharf, manager):
    d = wharf({"listen": ["127.0.0.1:0", "127.0.0.2:0"]}, listen=None, env=manager.environment())
    handed = stored(manager, 2)
    kept, other = (where(s) for s, _ in handed)
    assert kept.startswith("127.0.0.1:")
    d.kill()
    d.write_config({"listen": [kept]})
    d.handed = [(socket.socket(fileno=os.dup(s.fileno())), name) for s, name in handed]
    d.start()
    assert f"closing the socket at {other}" in d.stderr
    manager.wait_for("FDSTOREREMOVE")
    assert [where(s) for s in manager.stored.values()] == [kept]


def test_a_stored_unix_socket_without_its_file(wharf, manager, tmp_path):
    path = tmp_path / "wharf.sock"
    d = wharf({"listen": [f"unix:{path}"]}, listen=None, env=manager.environment())
    d.handed = [(socket.socket(fileno=os.dup(s.fileno())), n) for s, n in stored(manager, 1)]
    d.kill()
    path.unlink()
    d.start()
    assert "its file has gone" in d.stderr
    with Connection(str(path)) as c:
        assert c.ask("GET", "/health").status == 200
