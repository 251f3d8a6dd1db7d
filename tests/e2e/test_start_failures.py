"""A start that fails says why, ends with status 1, and takes back what it had opened and written."""

import contextlib
import errno
import fcntl
import shutil
import socket
import sqlite3
import subprocess

import pytest

import faults
from wharf_harness import SECONDS, WHARF, WRAP, demo, is_alive, models, until

CONFIG = {"gpus": [{"sim": {"name": "sim", "memory": "10GiB"}}], **models("m")}


def spoil_mark(d):
    (d.state / "instance-id").unlink()
    (d.state / "instance-id").mkdir()
    return "cannot write", "instance-id"


def spoil_device(d):
    shutil.rmtree(d.state / "sim")
    (d.state / "sim").touch()
    return "simulated GPU sim", "sim/0"


def spoil_address(d):
    """The last step: by then everything else has been started."""
    (d.state / "listen.new").mkdir()
    return "cannot write", "listen"


def hold_lock(d):
    d.lock = open(d.state / "lock", "w")
    fcntl.lockf(d.lock, fcntl.LOCK_EX)
    return "another wharf uses", str(d.state)


def take_port(d):
    d.taken = socket.create_server(("127.0.0.1", 0))
    d.listen = [*d.listen, "127.0.0.1:%d" % d.taken.getsockname()[1]]
    return "cannot listen on 127.0.0.1", "in use"


@pytest.mark.slice
@pytest.mark.parametrize("spoil", [spoil_mark, spoil_device, spoil_address, hold_lock, take_port],
                         ids=lambda f: f.__name__)
def test_nothing_is_left_behind(wharf, containment, tmp_path, spoil):
    path = tmp_path / "s"
    d = wharf(CONFIG, listen=["127.0.0.1:0", f"unix:{path}"], **containment).stop()
    words = spoil(d)
    d.start(wait=False)
    assert d.wait() == 1, d.stderr
    d.stopped_on_purpose = True
    last = d.stderr.splitlines()[-1]
    assert "cannot start" in last and all(w in last for w in words), last
    assert not path.exists() and not (d.state / "listen").exists()
    if containment["cgroup"] != "off":
        assert not [f for f in containment["cgroup"].iterdir() if f.is_dir()]


@pytest.mark.slice
@pytest.mark.parametrize("keys", [{}, {"vram": "1GiB"}], ids=["no GPU is looked for", "a GPU is looked for"])
@pytest.mark.parametrize("spoil", [spoil_address, take_port], ids=lambda f: f.__name__)
def test_models_of_an_earlier_daemon_are_left_to_the_next(wharf, containment, spoil, keys):
    """By then they have been taken over."""
    d = wharf({"models": {"m": demo("m", **keys)}}, listen=["127.0.0.1:0"], **containment)
    pid, listen = d.load("m")["pid"], d.listen
    d.kill()
    spoil(d)
    d.start(wait=False)
    assert d.wait() == 1, d.stderr
    d.stopped_on_purpose = True
    assert "left running for the next daemon" in d.stderr and is_alive(pid)
    d.listen = listen
    if spoil is spoil_address:
        (d.state / "listen.new").rmdir()
    d.start()
    assert d.model("m")["pid"] == pid
    assert d.ok(d.chat("m", max_tokens=1))


@pytest.mark.skipif(bool(faults.why_not()), reason=str(faults.why_not()))
def test_a_machine_without_ipv6(wharf, tmp_path):
    """A kernel of which it is no part has no such sockets, though its addresses can be read."""
    f = faults.Faults(tmp_path)
    f.set("socket", errno.EAFNOSUPPORT)
    d = wharf(models("m"), listen=":0", env=f.env)
    assert f.done("socket") == 1
    assert d.addresses[0].startswith("0.0.0.0:"), d.addresses


@pytest.mark.valgrind
def test_a_port_that_is_taken_is_told(wharf):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        d = wharf(models("m"), listen=f"127.0.0.1:{port}", wait=False)
        assert d.wait() == 1, d.stderr
        d.stopped_on_purpose = True
        assert str(port) in d.stderr and "in use" in d.stderr


def test_two_daemons_on_one_state_folder(wharf):
    d = wharf(models("m"))
    run = subprocess.run([*WRAP, str(WHARF), "serve", "--config", str(d.config_path), "--listen",
                          "127.0.0.1:0", "--state", str(d.state)], env=d.env,
                         capture_output=True, text=True, timeout=SECONDS)
    assert run.returncode == 1, run.stderr
    assert str(d.state) in run.stderr
    assert d.get("/health").status == 200
    assert (d.state / "listen").read_text().split() == d.addresses


def test_a_store_that_somebody_has_locked(wharf, tmp_path):
    """Nobody is kept from being served by that; rows are recorded as soon as it can be opened."""
    path = tmp_path / "activity.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("pragma journal_mode=wal")
        db.execute("begin exclusive")
        d = wharf({"store": {"path": str(path)}, **models("m")})
        d.ok(d.chat("m", max_tokens=1))
        assert "locked" in str(d.get("/wharf/status").json()["degraded"])
    until(lambda: not d.get("/wharf/status").json()["degraded"], "the end of that", 3 * SECONDS)
    d.ok(d.chat("m", max_tokens=1))
    until(lambda: d.get("/api/metrics/activity").json()["total"] == 1, "a row")
