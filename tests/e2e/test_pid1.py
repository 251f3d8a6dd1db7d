"""As process 1 of a container: it reaps, takes signals, and needs no cgroup that it can write to."""

import os
import pathlib
import signal
import subprocess

import pytest

from wharf_harness import WHARF, demo, until

# What a runtime leaves of /sys/fs/cgroup.
NO_CGROUP = {
    "absent": "mount -t tmpfs -o ro tmpfs /sys/fs/cgroup",
    "read-only": "mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -o remount,bind,ro /sys/fs/cgroup",
}
NAMESPACES = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup"]


@pytest.fixture(params=sorted(NO_CGROUP))
def contained(request, wharf, tmp_path):
    """contained(config) → (daemon, the daemon's process id here); the daemon's is 1."""
    prepare = NO_CGROUP[request.param]
    tried = subprocess.run([*NAMESPACES, "sh", "-c", prepare], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"no namespaces here: {tried.stderr.strip()}")
    started = []

    def start(config):
        path = tmp_path / "daemon1" / "wharf.yaml"
        d = wharf(config, env={"WHARF_CGROUP": None}, wrap=False,
                  command=[*NAMESPACES, "sh", "-c", f'{prepare}; exec "$0" "$@"', str(WHARF), "serve",
                           "--config", str(path)])
        pid = int(pathlib.Path(f"/proc/{d.pid}/task/{d.pid}/children").read_text())
        started.append((d, pid))
        return d, pid

    yield start
    for d, pid in started:  # unshare itself heeds no signal
        if d.process.poll() is None:
            os.kill(pid, signal.SIGTERM)
            assert d.wait() == 0, d.stderr[-3000:]
        d.stopped_on_purpose = True


def below(pid):
    """(state, name) of each child."""
    found = []
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        name, _, rest = pathlib.Path(f"/proc/{child}/stat").read_text().partition(" (")[2].rpartition(") ")
        found.append((rest[0], name))
    return found


def test_what_loses_its_parent_is_reaped(contained):
    """A model's own orphans, and those of a command that was run in the container beside it."""
    model = demo("m", "--fork-grandchildren", "2")
    model["cmd"] = f"sh -c '(setsid sleep 600 &); exec {model['cmd']}'"
    d, pid = contained({"models": {"m": model}})
    assert "contained by process marks" in d.stderr
    d.load("m")
    until(lambda: ("S", "sleep") in below(pid), "the model's orphan, which is process 1's by now")
    subprocess.run(["nsenter", "--target", str(pid), "--pid", "--mount", "sh", "-c",
                    "(sh -c 'kill -STOP $$; exit 3' &)"], check=True)
    until(lambda: ("T", "sh") in below(pid), "the other orphan")
    d.ok(d.post("/wharf/models/m/unload"))
    until(lambda: below(pid) == [("T", "sh")], "nothing of the model")
    stopped, = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(stopped), signal.SIGCONT)
    until(lambda: not below(pid), "nobody, and nothing that has ended and waits")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_it_takes_signals(contained, number):
    """Process 1 is sent none that it does not ask for."""
    d, pid = contained({"models": {"m": demo("m")}})
    d.load("m")
    os.kill(pid, signal.SIGHUP)
    until(lambda: "configuration reloaded" in d.stderr, "a reload")
    os.kill(pid, number)
    assert d.wait() == 0
    assert not d.everything()
