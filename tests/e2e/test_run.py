"""wharf run, submit and jobs with the real daemon and simulated GPUs."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from leases import GIB, device, gpu, listed, room
from wharf_harness import SECONDS, WHARF, demo, is_alive, processes_with, until

# Claims memory as an engine does (src/gpu/sim.h): under the device's lock, and only where the claims
# of the living leave room for it. "over" on stdout, and status 42, when they do not.
JOB = r"""
import fcntl, os, struct, sys
bytes_, folders = int(sys.argv[1]), os.environ["WHARF_SIM_FOLDER"].split("\n")
FLOCK = "hhqqi4x"
kept = []
def lives(path):
    with open(path, "r+") as f:
        got = fcntl.fcntl(f, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
        return struct.unpack(FLOCK, got)[0] != fcntl.F_UNLCK
for folder in folders:
    with open(os.path.join(folder, "lock"), "r+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        used = 0
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if name.isdigit() and int(name) != os.getpid() and lives(path):
                used += int(open(path).read())
        if used + bytes_ > int(open(os.path.join(folder, "capacity")).read()):
            print("over", flush=True)
            sys.exit(42)
        claim = open(os.path.join(folder, str(os.getpid())), "w")
        claim.write(str(bytes_))
        claim.flush()
        fcntl.lockf(claim, fcntl.LOCK_EX)
        kept.append(claim)
print("claims", len(folders), flush=True)
"""
HOLD = JOB + "sys.stdin.read()\n"
# In the background of a process that ends: twice forked, in a session of its own, without a name.
DAEMON = r"""
import os, signal, sys
print(os.getpid(), flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0: os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    exec(sys.argv[2])
    open(sys.argv[3], "w").write(str(os.getpid()))
    while True: signal.pause()
os.wait()
while True: signal.pause()
"""


def environment(d, **more):
    env = {k: v for k, v in d.env.items() if k != "WHARF_TEST_ID"}
    return {**env, "WHARF_URL": d.url, "XDG_STATE_HOME": str(d.folder / "user"),
            "WHARF_TEST_JOBS": d.test_id, **more}


def wharf_run(d, *words, **options):
    return subprocess.run([str(WHARF), *words], env=environment(d), capture_output=True, text=True,
                          timeout=SECONDS, **({"stdin": subprocess.DEVNULL} | options))


class Start:
    """A command of wharf's that is still there, ended with its job by the fixture."""

    def __init__(self, d, *words):
        self.process = subprocess.Popen([str(WHARF), *words], env=environment(d), text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def line(self):
        return self.process.stdout.readline()

    def finish(self):
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err


@pytest.fixture
def d(wharf):
    daemons, starts = [], []

    def begin(*gpus, models=None, **keys):
        config = {"models": models or {}, "gpus": list(gpus) or [gpu()], **keys}
        daemons.append(wharf(config))
        daemon = daemons[-1]
        daemon.job = lambda *words: starts.append(Start(daemon, *words)) or starts[-1]
        return daemon

    yield begin
    for start in starts:
        if start.process.poll() is None:
            start.process.kill()
        start.process.wait()
        for stream in (start.process.stdin, start.process.stdout, start.process.stderr):
            stream.close()
    for daemon in daemons:
        try:
            until(lambda: not processes_with(f"WHARF_TEST_JOBS={daemon.test_id}"), "the jobs' end")
        finally:
            for pid in processes_with(f"WHARF_TEST_JOBS={daemon.test_id}"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def hold(d, vram="6GiB", *words, claims=None):
    """A job that claims what it was granted, until its input ends."""
    size = claims or int(vram.removesuffix("GiB")) * GIB
    job = d.job("run", "--vram", vram, *words, "--", sys.executable, "-c", HOLD, str(size))
    assert job.line().startswith("claims")
    return job


@pytest.mark.slice
def test_memory_is_had_while_the_job_runs_and_given_back(d):
    daemon = d()
    before = room(daemon)
    job = hold(daemon, "6GiB", "--name", "train")
    lease = listed(daemon)[0]
    assert (lease["name"], lease["state"], lease["bytes"], lease["pid"]) == \
        ("train", "granted", 6 * GIB, job.process.pid)
    assert room(daemon) <= before - 6 * GIB
    until(lambda: device(daemon)["leased_bytes"] == 6 * GIB, "the reading")
    assert job.finish()[0] == 0
    until(lambda: not listed(daemon), "the end of the lease")
    until(lambda: room(daemon) == before, "the memory")


def test_the_second_waits_for_the_first(d):
    daemon = d()
    first = hold(daemon, "8GiB", "--name", "first")
    second = daemon.job("run", "--vram", "8GiB", "--name", "second", "--", "echo", "ran")
    says = second.process.stderr.readline()
    assert re.match(r"wharf: waiting, position 1: .*8GiB.*", says), says
    first.finish()
    returncode, out, _ = second.finish()
    assert (returncode, out) == (0, "ran\n")


@pytest.mark.parametrize("words,says", [
    (["--vram", "1GiB", "--class", "fast"], "foreground"), (["--gate", "mxl"], "nearest name is mlx"),
    (["--vram", "1GiB", "--device", "gpu7"], "gpu0"), (["--vram", "80GiB"], "12GiB"),
    (["--vram", "1GiB", "--gpus", "2"], "1")])
@pytest.mark.parametrize("command", ["run", "submit"])
def test_what_can_never_be_is_refused_at_once(d, command, words, says):
    daemon = d(gates={"mlx": {"limit": 1}})
    run = wharf_run(daemon, command, *words, "--", "true")
    assert (run.returncode, run.stdout) == (2, ""), run.stderr
    assert says in run.stderr
    assert listed(daemon) == []


def test_the_wait_has_its_limit(d):
    daemon = d()
    first = hold(daemon, "8GiB")
    for words in (["--wait", "0"], ["--wait", "300ms"]):
        run = wharf_run(daemon, "run", "--vram", "8GiB", *words, "--", "true")
        assert run.returncode == 75, run.stderr
        assert "cannot get the lease" in run.stderr
    assert first.finish()[0] == 0


def test_places_in_the_queue(d):
    daemon = d()
    hold(daemon, "8GiB")
    waiters = [daemon.job("run", "--vram", "8GiB", "--", "true") for _ in range(3)]
    for w in waiters:
        w.process.stderr.readline()
    assert sorted(lease["position"] for lease in listed(daemon) if lease["position"]) == [1, 2, 3]


@pytest.mark.slice
@pytest.mark.parametrize("whom", ["front", "main"])
def test_kill_9_gives_the_memory_back(d, whom):
    daemon = d()
    before = room(daemon)
    note = daemon.folder / "pid"
    job = daemon.job("run", "--vram", "6GiB", "--", sys.executable, "-c", DAEMON, str(6 * GIB), JOB, str(note))
    pid = int(until(lambda: note.exists() and note.read_text(), "the daemon of the job"))
    until(lambda: device(daemon)["leased_bytes"] == 6 * GIB, "the reading")
    if whom == "front":
        job.process.kill()
    else:
        os.kill(int(job.line()), signal.SIGKILL)
    assert job.process.wait(SECONDS) == -9
    until(lambda: not is_alive(pid), "the end of what it left")
    until(lambda: room(daemon) == before and not listed(daemon), "the memory")


def test_an_idle_model_leaves_for_a_job(d):
    daemon = d(models={"m": demo("m", vram="8GiB")})
    daemon.load("m")
    job = hold(daemon, "6GiB")
    assert daemon.state_of("m") == "unloaded"
    assert job.finish()[0] == 0


@pytest.mark.parametrize("how", [[], ["--ttl", "1s"]], ids=["held", "renewed"])
def test_revoked_for_one_that_waits(d, how):
    daemon = d(classes={"foreground": {"maxWait": "200ms"}},
               routing={"scheduler": {"settings": {"fair": {"minResident": "0s"}}}})
    script = "trap 'echo told; exit 9' TERM; echo up; while :; do sleep 0.02; done"
    job = daemon.job("run", "--vram", "8GiB", "--revocable", "20s", *how, "--", "sh", "-c", script)
    assert job.line() == "up\n"
    other = daemon.job("run", "--vram", "8GiB", "--class", "foreground", "--", "echo", "ran")
    returncode, out, err = job.finish()
    assert (returncode, out) == (9, "told\n")
    assert "the lease is revoked" in err
    assert other.finish()[:2] == (0, "ran\n")


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_the_job_outlives_the_daemon(d, how):
    daemon = d()
    job = hold(daemon, "6GiB")
    lease = listed(daemon)[0]["id"]
    waiter = daemon.job("run", "--vram", "8GiB", "--", "echo", "ran")
    waiter.process.stderr.readline()
    daemon.listen = "%s:%d" % daemon.address  # where they look for it
    if how == "kill":
        daemon.kill()
    else:
        daemon.signal(signal.SIGTERM)
        daemon.wait()
    daemon.start()
    until(lambda: any(v["id"] == lease and v["held"] for v in listed(daemon)), "the lease taken up again")
    until(lambda: len(listed(daemon)) == 2, "the one that waits, asking again")
    assert job.finish()[0] == 0
    assert waiter.finish()[:2] == (0, "ran\n")
    until(lambda: not listed(daemon), "the leases' end")


@pytest.mark.slice
def test_twenty_at_once_on_two_gpus(d):
    daemon = d(gpu("gpu0", "12GiB"), gpu("gpu1", "12GiB"))
    sizes = [(1 + i % 5, 1 + (i % 7 == 0)) for i in range(20)]
    script = JOB + "import time; time.sleep(0.05)\n"  # its work
    jobs = [daemon.job("run", "-q", "--vram", f"{gib}GiB", "--gpus", str(n), "--", sys.executable, "-c", script,
                       str(gib * GIB)) for gib, n in sizes]
    ends = [job.finish() for job in jobs]
    assert ends == [(0, f"claims {n}\n", "") for _, n in sizes]
    until(lambda: not listed(daemon), "the leases' end")
    until(lambda: all(device(daemon, i)["used_bytes"] == 0 for i in (0, 1)), "the memory")


def test_a_gate_lets_one_in_at_a_time(d):
    daemon = d(gates={"mlx": {"limit": 1}})
    lock = daemon.folder / "inside"
    script = f"mkdir {lock} && sleep 0.05 && rmdir {lock}"
    jobs = [daemon.job("run", "-q", "--gate", "mlx", "--", "sh", "-c", script) for _ in range(6)]
    assert [job.finish()[0] for job in jobs] == [0] * 6


def test_a_small_job_passes_a_big_one(d):
    """The small one ends, it says, before the big one can start."""
    daemon = d()
    holder = hold(daemon, "8GiB", "--run", "1h")
    big = daemon.job("run", "--vram", "10GiB", "--", "true")
    big.process.stderr.readline()
    small = wharf_run(daemon, "run", "--vram", "2GiB", "--run", "1s", "--wait", "5s", "--", "echo", "small")
    assert (small.returncode, small.stdout) == (0, "small\n"), small.stderr
    assert holder.finish()[0] == 0
    assert big.finish()[0] == 0


def jobs_of(d):
    return json.loads(wharf_run(d, "jobs", "--json").stdout)["jobs"]


@pytest.mark.slice
def test_submitted_jobs_run_by_class(d):
    daemon = d()
    holder = hold(daemon, "8GiB")
    order = daemon.folder / "order"
    for name in ("background", "normal", "foreground"):
        run = wharf_run(daemon, "submit", "--vram", "8GiB", "--class", name, "--name", name, "--",
                        "sh", "-c", f"echo {name} >> {order}; echo done")
        assert run.returncode == 0, run.stderr
    until(lambda: [j.get("position") for j in jobs_of(daemon)] == [3, 2, 1], "their places")
    listing = wharf_run(daemon, "jobs").stdout
    assert re.search(r"^1 +waiting +background +background +8GiB +position 3 ", listing, re.M), listing
    holder.finish()
    for number in ("1", "2", "3"):
        assert wharf_run(daemon, "jobs", "wait", number).returncode == 0
    assert order.read_text() == "foreground\nnormal\nbackground\n"
    assert [(j["state"], j["exit"]) for j in jobs_of(daemon)] == [("ended", 0)] * 3
    assert wharf_run(daemon, "jobs", "logs", "2").stdout.endswith("done\n")


def test_submitted_jobs_outlive_the_daemon_and_can_be_ended(d):
    daemon = d()
    for size in ("6GiB", "8GiB"):
        assert wharf_run(daemon, "submit", "--vram", size, "--", "sleep", "1000").returncode == 0
    until(lambda: [j["state"] for j in jobs_of(daemon)] == ["running", "waiting"], "the jobs")
    daemon.listen = "%s:%d" % daemon.address
    daemon.kill()
    assert [j["state"] for j in jobs_of(daemon)] == ["running", "waiting"]
    daemon.start()
    until(lambda: [j.get("position") for j in jobs_of(daemon)] == [None, 1], "the jobs in their places")
    assert wharf_run(daemon, "jobs", "cancel", "1").returncode == 0
    until(lambda: jobs_of(daemon)[1]["state"] == "running", "the second job")
    assert wharf_run(daemon, "jobs", "cancel", "2").returncode == 0
    assert [(j["state"], j["cancelled"]) for j in jobs_of(daemon)] == [("ended", True)] * 2
    until(lambda: not listed(daemon), "the leases' end")


def test_a_lease_that_is_renewed_outlives_its_time(d):
    daemon = d()
    job = hold(daemon, "6GiB", "--ttl", "1s")
    lease = listed(daemon)[0]
    assert (lease["held"], lease["state"]) == (False, "granted")
    until(lambda: listed(daemon)[0]["granted_s"] > 2, "two times its time to live")
    assert job.process.poll() is None
    assert job.finish()[0] == 0
    until(lambda: not listed(daemon), "the end of the lease")
    job = hold(daemon, "6GiB", "--ttl", "1s")
    job.process.kill()
    until(lambda: not listed(daemon), "the end of one whose holder was killed")
