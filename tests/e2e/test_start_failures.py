"""A start that fails says why, ends with status 1, and takes back what it had opened and written."""

import fcntl
import shutil
import socket
import subprocess

import pytest

from wharf_harness import SECONDS, WHARF, WRAP, models

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


@pytest.mark.valgrind
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
