"""wharf run, submit and jobs against a daemon that speaks the leases' protocol from a script."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

import pytest

from fakes.leases import UUIDS, LeaseServer
from wharf_harness import SECONDS, SLOWNESS, WHARF, is_alive, processes_with, until

MARK = "WHARF_TEST_JOB"
PYTHON = sys.executable
GIB = 1 << 30


class Jobs:
    """Starts wharf below a mark, by which nothing that was left behind can hide."""

    def __init__(self, folder):
        self.folder = folder
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("WHARF_", "XDG_", "CUDA_", "HIP_"))}
        self.env.update({MARK: self.mark, "XDG_STATE_HOME": str(folder / "state")})
        self.started, self.servers = [], []

    def serve(self, **options):
        self.servers.append(LeaseServer(**options))
        self.env["WHARF_URL"] = self.servers[-1].url
        return self.servers[-1]

    def restart(self, server, **options):
        self.servers.append(server.restart(**options))
        return self.servers[-1]

    def run(self, *words, **options):
        return subprocess.run([str(WHARF), *words], env=self.env, capture_output=True, text=True,
                              timeout=SECONDS, **{"stdin": subprocess.DEVNULL, **options}
                              if "input" not in options else options)

    def start(self, *words, **options):
        process = subprocess.Popen([str(WHARF), *words], env=self.env, text=True, **{
            "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})
        self.started.append(process)
        return process

    def alive(self):
        return processes_with(f"{MARK}={self.mark}")

    def path(self, name):
        return self.folder / name

    def finish(self):
        for server in self.servers:
            if not server.closed:
                server.close()
        for pid in self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def jobs(tmp_path):
    j = Jobs(tmp_path)
    yield j
    for process in j.started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
            stream.close()
    try:
        until(lambda: not j.alive(), "the end of all that was started")
    finally:
        j.finish()


def finish(process):
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def guards(process):
    """The guard below a front, and the command below that."""
    def children(pid):
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    guard = until(lambda: children(process.pid), "the guard")[0]
    return guard, until(lambda: children(guard), "the command")[0]


def written(path):
    """The text of a file that a job writes in one go."""
    return until(lambda: path.exists() and path.read_text(), f"{path.name} from the job")


# ---------------------------------------------------------------- what goes through


@pytest.mark.slice
@pytest.mark.parametrize("script,status", [
    ("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", -15), ("kill -KILL $$", -9),
    ("kill -SEGV $$", -11), ("kill -HUP $$", -1)])
def test_the_end_of_the_command_is_the_end_of_wharf_run(jobs, script, status):
    server = jobs.serve(grants=True)
    run = jobs.run("run", "--vram", "1GiB", "--", "sh", "-c", script)
    assert (run.returncode, run.stdout, run.stderr) == (status, "", "")
    server.next().wait_gone()


@pytest.mark.parametrize("command,status,says", [
    (["no-such-command"], 127, "cannot run 'no-such-command': No such file or directory"),
    (["./nothing/here"], 127, "No such file"), (["/etc"], 126, "cannot run '/etc'"),
    (["/etc/passwd"], 126, "Permission denied")])
def test_a_command_that_cannot_be_run_asks_for_nothing(jobs, command, status, says):
    server = jobs.serve(grants=True)
    run = jobs.run("run", "--vram", "1GiB", "--", *command)
    assert run.returncode == status
    assert says in run.stderr
    assert server.asked.empty()


def test_a_program_that_is_none_is_told_after_the_grant(jobs, tmp_path):
    server = jobs.serve(grants=True)
    bad = tmp_path / "bad"
    bad.write_text("#!/no/such/interpreter\n")
    bad.chmod(0o755)
    run = jobs.run("run", "--vram", "1GiB", str(bad))
    assert run.returncode == 127
    assert f"cannot run '{bad}'" in run.stderr
    server.next().wait_gone()


def test_input_output_descriptors_and_arguments_are_the_commands_own(jobs):
    jobs.serve(grants=True)
    data = os.urandom(300_000)
    run = subprocess.run([str(WHARF), "run", "--vram", "1GiB", "cat"], env=jobs.env, input=data,
                         capture_output=True, timeout=SECONDS)
    assert run.stdout == data
    run = jobs.run("run", "--vram", "1GiB", "printf", "%s|", "--vram", "--", "-x", "a b")
    assert run.stdout == "--vram|--|-x|a b|"
    read, write = os.pipe()
    run = jobs.run("run", "--vram", "1GiB", "--", "sh", "-c", f"echo hi > /proc/self/fd/{write}", pass_fds=[write])
    os.close(write)
    assert os.read(read, 100) == b"hi\n"
    os.close(read)


def test_who_closes_its_output_is_seen_to_have_closed_it(jobs):
    jobs.serve(grants=True)
    script = f"exec >&-; read line; echo $line > {jobs.path('line')}"
    run = jobs.start("run", "--vram", "1GiB", "--", "sh", "-c", script, stdin=subprocess.PIPE)
    assert run.stdout.read() == ""  # ends although the command lives
    run.stdin.write("still here\n")
    run.stdin.flush()
    assert written(jobs.path("line")) == "still here\n"
    assert run.wait(SECONDS) == 0


def test_signals_and_mask_are_as_they_were(jobs):
    jobs.serve(grants=True)
    script = "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))), " \
             "signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGTERM))"

    def prepare():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    run = jobs.run("run", "--vram", "1GiB", PYTHON, "-c", script, preexec_fn=prepare)
    assert run.stdout == "[10] 1 0\n"


def test_what_was_granted_is_in_the_environment(jobs):
    server = jobs.serve(grants=True)
    run = jobs.run("run", "--vram", "6GiB", "--gpus", "2", "--", "env")
    env = dict(line.split("=", 1) for line in run.stdout.splitlines())
    lease = server.next()
    assert env["CUDA_VISIBLE_DEVICES"] == env["HIP_VISIBLE_DEVICES"] == ",".join(UUIDS)
    assert env["WHARF_LEASE"] == f"{lease.id}:{lease.token}"


def test_a_gate_leaves_the_devices_alone(jobs):
    jobs.serve(grants=True)
    run = jobs.run("run", "--gate", "mlx", "--", "env")
    assert "VISIBLE_DEVICES" not in run.stdout
    assert "WHARF_LEASE=lease1:secret1" in run.stdout


def test_what_is_asked_for(jobs):
    server = jobs.serve(grants=True)
    assert jobs.run("run", "--vram", "6GiB", "--gpus", "2", "--device", "gpu0", "--device", "gpu1",
                    "--gate", "mlx", "--class", "foreground", "--wait", "10m", "--run", "1h",
                    "--revocable", "30s", "--name", "train", "true").returncode == 0
    body = server.next().body
    assert body.pop("pid") > 1
    assert body.pop("wait") in ("600000ms", "599999ms", "599998ms")
    assert body == {"name": "train", "vram": 6 * GIB, "gpus": 2, "devices": ["gpu0", "gpu1"],
                    "gates": ["mlx"], "class": "foreground", "run": "3600000ms", "revocable": True,
                    "grace": "30000ms"}
    assert jobs.run("run", "--vram", "1073741824", "/bin/true").returncode == 0
    body = server.next().body
    assert body.pop("pid") > 1
    assert body == {"name": "true", "vram": GIB}


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("words,says", [
    (["--vram", "6GX"], "--vram: '6GX' is no size: 6GiB, 500MiB, 24GB"),
    (["--vram", "0"], "--vram: '0' is no size"),
    (["--vram", "1GiB", "--wait", "soon"], "--wait: 'soon' is no time: 90s, 10m"),
    (["--vram", "1GiB", "--run", "1y"], "--run: '1y' is no time"),
    (["--vram", "1GiB", "--revocable", "x"], "--revocable: 'x' is no time"),
    (["--vram", "1GiB", "--signal", "BOOM"], "--signal: 'BOOM' is no signal: TERM, INT"),
    (["--vram", "1GiB", "--gpus", "0"], "--gpus: '0' is no number of GPUs"),
    (["--gate", "a", "--gpus", "2"], "--gpus and --device belong to --vram"),
    ([], "--vram SIZE is missing, or --gate NAME"),
    (["--vrma", "1GiB"], "unknown option '--vrma'; did you mean '--vram'?")])
@pytest.mark.parametrize("command", ["run", "submit"])
def test_wrong_words_are_told_before_anything_is_asked(jobs, command, words, says):
    server = jobs.serve()
    run = jobs.run(command, *words, "--", "true")
    assert run.returncode == 2
    assert says in run.stderr
    assert server.asked.empty()


@pytest.mark.parametrize("http,code,message,status", [
    (400, "invalid_request", "no class 'fast': foreground, normal and background are", 2),
    (400, "invalid_request", "no gate 'mlx': there are none", 2),
    (507, "insufficient_memory", "80GiB is more than any device has: gpu0 24GiB", 2),
    (429, "queue_full", "100 are waiting already", 75),
    (503, "wait_expired", "the wait was longer than allowed", 75),
    (401, "unauthorized", "missing or wrong API key", 1)])
@pytest.mark.parametrize("command", ["run", "submit"])
def test_refused_at_once(jobs, command, http, code, message, status):
    server = jobs.serve()
    server.answers.put((http, {"error": {"code": code, "message": message}}))
    run = jobs.run(command, "--vram", "80GiB", "--", "true")
    assert (run.returncode, run.stdout) == (status, "")
    assert message in run.stderr
    assert json.loads(jobs.run("jobs", "--json").stdout)["jobs"] == []


@pytest.mark.parametrize("code,status", [("wait_expired", 75), ("queue_full", 75),
                                         ("insufficient_memory", 2), ("internal_error", 1)])
def test_refused_while_it_waits(jobs, code, status):
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "--wait", "1s", "true")
    lease = server.next()
    lease.waiting()
    lease.refuse(code, "it is as it is")
    returncode, _, err = finish(run)
    assert returncode == status
    assert "cannot get the lease: it is as it is" in err


@pytest.mark.parametrize("command", ["run", "submit"])
def test_no_daemon(jobs, command):
    jobs.serve().close()
    run = jobs.run(command, "--vram", "1GiB", "--", "true")
    assert (run.returncode, run.stdout) == (69, "")
    assert re.fullmatch(r"wharf: cannot reach wharf at \S+: Connection refused .*\n", run.stderr)


def test_what_answers_is_no_such_daemon(jobs):
    server = jobs.serve()
    server.answers.put((200, {"hello": 1}))
    run = jobs.run("run", "--vram", "1GiB", "true")
    assert run.returncode == 1
    assert "no line of a lease" in run.stderr


# ---------------------------------------------------------------- waiting


def test_plain_lines_while_it_waits(jobs):
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "--", "echo", "ran")
    lease = server.next()
    lease.waiting(3, 12, "for 1GiB on gpu0,\x1b[2J which qwen has")
    lease.ping()
    lease.waiting(1, 2, "for 1GiB on gpu0")
    lease.grant()
    assert finish(run) == (0, "ran\n",
                           "wharf: waiting, position 3, about 12s: for 1GiB on gpu0,\\x1b[2J which qwen has\n"
                           "wharf: waiting, position 1, about 2s: for 1GiB on gpu0\n")


def test_quiet(jobs):
    server = jobs.serve()
    run = jobs.start("run", "-q", "--vram", "1GiB", "--", "echo", "ran")
    lease = server.next()
    lease.waiting()
    lease.grant()
    assert finish(run) == (0, "ran\n", "")


def test_a_line_in_pieces(jobs):
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "--signal", "USR1", "--", "sh", "-c",
                     f"trap 'exit 7' USR1; echo up > {jobs.path('up')}; while :; do sleep 0.05; done")
    lease = server.next()
    text = json.dumps({**lease.first, **lease.grant_members()}).encode() + b"\n"
    lease.raw(text[:10])
    lease.raw(text[10:])
    written(jobs.path("up"))
    text = b'{"lease":"lease1","state":"revoked","reason":"r","grace_s":9}\n'
    for i in range(0, len(text), 7):
        lease.raw(text[i:i + 7])
    assert finish(run)[0] == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_waiting(jobs, number):
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "true")
    lease = server.next()
    lease.waiting()
    assert run.stderr.readline()
    run.send_signal(number)
    assert finish(run)[0] == -number
    lease.wait_gone()


def test_a_daemon_that_restarts_is_asked_again(jobs):
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "--", "echo", "ran")
    server.next().waiting()
    assert "position 1" in run.stderr.readline()
    server.close()
    assert "for the daemon" in run.stderr.readline()
    server = jobs.restart(server)
    lease = server.next()
    del server.known[lease.id]  # a refused one is none any more
    lease.refuse("shutting_down", "the server is shutting down")
    lease = server.next()
    lease.grant()
    assert finish(run)[:2] == (0, "ran\n")


@pytest.mark.slice
def test_what_was_granted_when_the_daemon_went_away_is_taken_up(jobs):
    """It did not hear of the grant; the next daemon keeps the lease, for nobody else."""
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "--", "echo", "ran")
    lease = server.next()
    lease.waiting()
    assert "position 1" in run.stderr.readline()
    lease.granted = True
    server = jobs.restart(server)
    assert finish(run)[:2] == (0, "ran\n")
    assert server.resumed.get(timeout=SECONDS) is lease
    assert server.asked.empty()
    lease.wait_gone()


def test_the_wait_goes_on_counting_without_a_daemon(jobs):
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "--wait", "1s", "true")
    server.next().waiting()
    server.close()
    returncode, _, err = finish(run)
    assert returncode == 75
    assert "did not come back within the time to wait" in err


# ---------------------------------------------------------------- whole trees

TREE = r"""
import os, sys, time, signal
def note(name):
    with open(sys.argv[1] + "/" + name + ".new", "w") as f: f.write(str(os.getpid()))
    os.rename(sys.argv[1] + "/" + name + ".new", sys.argv[1] + "/" + name)
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("child")
    while True: time.sleep(100)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:                       # a daemon: twice forked, its parent gone
        for fd in range(3): os.close(fd)
        os.environ.clear()
        note("daemon")
        while True: time.sleep(100)
    os._exit(0)
os.wait()
note("main")
while True: time.sleep(100)
"""


def start_tree(jobs, *words):
    folder = jobs.path("tree")
    folder.mkdir()
    run = jobs.start("run", "--vram", "1GiB", *words, "--", PYTHON, "-c", TREE, str(folder))
    pids = {name: int(written(folder / name)) for name in ("child", "daemon", "main")}
    return run, pids


def all_ended(pids):
    until(lambda: not any(is_alive(p) for p in pids.values()), f"the end of {pids}")


def test_kill_9_of_wharf_run_ends_the_whole_tree(jobs):
    server = jobs.serve(grants=True)
    run, pids = start_tree(jobs)
    lease = server.next()
    run.kill()
    lease.wait_gone()
    # Given back when nothing of it runs any more, and not before.
    assert not [p for p in pids.values() if is_alive(p)]
    run.wait()
    until(lambda: not jobs.alive(), "the guard's end")


def test_kill_9_of_the_process_group(jobs):
    server = jobs.serve(grants=True)
    folder = jobs.path("tree")
    folder.mkdir()
    run = jobs.start("run", "--vram", "1GiB", "--", PYTHON, "-c", TREE, str(folder), process_group=0)
    pids = {name: int(written(folder / name)) for name in ("child", "daemon", "main")}
    os.killpg(run.pid, signal.SIGKILL)
    server.next().wait_gone()
    assert not [p for p in pids.values() if is_alive(p)]


def test_kill_9_of_the_guard(jobs):
    server = jobs.serve(grants=True)
    run, pids = start_tree(jobs)
    os.kill(guards(run)[0], signal.SIGKILL)
    server.next().wait_gone()
    returncode, _, err = finish(run)
    assert returncode == -9
    assert "guards the job was killed" in err
    assert not [p for p in pids.values() if is_alive(p)]


@pytest.mark.slice
def test_kill_9_of_the_command(jobs):
    server = jobs.serve(grants=True)
    run, pids = start_tree(jobs)
    os.kill(pids["main"], signal.SIGKILL)
    assert finish(run)[0] == -9
    server.next().wait_gone()
    assert not [p for p in pids.values() if is_alive(p)]


def test_what_a_command_leaves_behind_is_ended(jobs):
    server = jobs.serve(grants=True)
    script = TREE.replace('note("main")\nwhile True: time.sleep(100)', 'note("main")')
    folder = jobs.path("tree")
    folder.mkdir()
    # The child may still be about to write its name.
    script = script.replace("os.wait()", "os.wait()\nwhile not all(os.path.exists(sys.argv[1] + '/' + n) "
                                         "for n in ('child', 'daemon')): time.sleep(0.01)")
    assert jobs.run("run", "--vram", "1GiB", "--", PYTHON, "-c", script, str(folder)).returncode == 0
    server.next().wait_gone()
    assert not [n for n in ("child", "daemon") if is_alive(int((folder / n).read_text()))]


def test_children_from_before_are_left_alone(jobs):
    jobs.serve(grants=True)
    shell = f"sleep 1000 & echo $! > {jobs.path('stranger')}; exec {WHARF} run --vram 1GiB -- sh -c 'exit 4'"
    run = subprocess.run(["sh", "-c", shell], env=jobs.env, timeout=SECONDS, stdout=subprocess.DEVNULL)
    stranger = int(jobs.path("stranger").read_text())
    assert run.returncode == 4
    assert is_alive(stranger)
    os.kill(stranger, signal.SIGKILL)


# ---------------------------------------------------------------- signals


def test_signals_go_on_to_the_command(jobs):
    jobs.serve(grants=True)
    script = f"""
import signal, os
for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH):
    signal.signal(n, lambda n, f: print(signal.Signals(n).name, flush=True))
open({str(jobs.path('up'))!r}, 'w').write('up')
while True: signal.pause()
"""
    run = jobs.start("run", "--vram", "1GiB", PYTHON, "-c", script)
    written(jobs.path("up"))
    for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH):
        run.send_signal(n)
        assert run.stdout.readline() == n.name + "\n"
    run.send_signal(signal.SIGQUIT)
    assert finish(run) == (-signal.SIGQUIT, "", "")


def test_a_signal_to_the_group_without_a_terminal_comes_once(jobs):
    jobs.serve(grants=True)
    script = f"""
import signal
signal.signal(signal.SIGTERM, lambda n, f: print('TERM', flush=True))
signal.signal(signal.SIGUSR2, lambda n, f: exit(0))
open({str(jobs.path('up'))!r}, 'w').write('up')
while True: signal.pause()
"""
    run = jobs.start("run", "--vram", "1GiB", PYTHON, "-c", script, start_new_session=True)
    written(jobs.path("up"))
    os.killpg(run.pid, signal.SIGTERM)
    assert run.stdout.readline() == "TERM\n"
    run.send_signal(signal.SIGUSR2)
    assert finish(run) == (0, "", "")


# What a shell does with a job on a terminal: a process group of its own, in front.
SHELL = r"""
import fcntl, os, signal, subprocess, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def front(pgid): os.tcsetpgrp(0, pgid)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    front(os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status): break
    front(os.getpgrp())
    print("STOPPED", signal.Signals(os.WSTOPSIG(status)).name, flush=True)
    input()
    front(pid)
    os.killpg(pid, signal.SIGCONT)
front(os.getpgrp())
print("DONE", os.waitstatus_to_exitcode(status), flush=True)
"""


class Terminal:
    def __init__(self, jobs, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(PYTHON, [PYTHON, "-c", SHELL, str(WHARF), *words], jobs.env)
            finally:
                os._exit(1)
        self.text = ""

    def expect(self, text):
        """Reads up to the text, which is returned with what came before it."""
        deadline = time.monotonic() + SECONDS
        while text not in self.text:
            ready = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]
            assert ready, f"no {text!r} in {self.text!r}"
            self.text += os.read(self.fd, 4096).decode()
        before, _, self.text = self.text.partition(text)
        return before + text

    def type(self, data):
        os.write(self.fd, data)

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


ON_TERMINAL = r"""
import fcntl, os, signal, sys
say = lambda *a: print(*a, flush=True)
signal.signal(signal.SIGWINCH, lambda n, f: say("SIZE", os.get_terminal_size().columns))
signal.signal(signal.SIGCONT, lambda n, f: say("CONTINUED"))
count = [0]
def on_int(n, f):
    count[0] += 1
    say("INT", count[0])
signal.signal(signal.SIGINT, on_int)
say("FRONT", os.tcgetpgrp(0) == os.getpgrp(), sys.stdin.isatty(), sys.stdout.isatty())
while True:
    line = sys.stdin.readline().strip()
    say("LINE", line)
    if line == "end": sys.exit(5)
"""


@pytest.mark.slice
def test_on_a_terminal(jobs):
    server = jobs.serve()
    terminal = Terminal(jobs, "run", "--vram", "1GiB", "--", PYTHON, "-c", ON_TERMINAL)
    lease = server.next()
    lease.waiting(2, 8, "for memory " + "x" * 200)
    terminal.expect("position 2")
    lease.waiting(1, 3, "for memory")
    shown = terminal.expect("position 1")
    assert "\r\x1b[K" in shown
    assert "x" * 100 not in shown  # cut to one line of the terminal
    lease.grant()
    terminal.expect("\r\x1b[K")
    terminal.expect("FRONT True True True")
    terminal.type(b"hello\n")
    terminal.expect("LINE hello")
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 123, 0, 0))
    terminal.expect("SIZE 123")
    terminal.type(b"\x03")  # Ctrl-C: once, from the terminal
    terminal.expect("INT 1")
    terminal.type(b"\x1a")  # Ctrl-Z
    terminal.expect("STOPPED SIGTSTP")
    assert not lease.gone.is_set()
    terminal.type(b"\n")  # fg
    terminal.expect("CONTINUED")
    terminal.type(b"\x03")
    terminal.expect("INT 2")
    terminal.type(b"end\n")
    terminal.expect("LINE end")
    terminal.expect("DONE 5")
    lease.wait_gone()
    terminal.close()


def test_ctrl_c_on_a_terminal_ends_a_command_that_takes_it_so(jobs):
    server = jobs.serve(grants=True)
    terminal = Terminal(jobs, "run", "--vram", "1GiB", "--", "sh", "-c", "echo READY; exec sleep 1000")
    terminal.expect("READY")
    terminal.type(b"\x03")
    terminal.expect("DONE -2")
    server.next().wait_gone()
    terminal.close()


def test_a_signal_to_the_group_on_a_terminal_comes_once(jobs):
    server = jobs.serve(grants=True)
    script = """
import signal
for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGWINCH):
    signal.signal(n, lambda n, f: print('GOT', signal.Signals(n).name, flush=True))
print('READY', flush=True)
while True: signal.pause()
"""
    terminal = Terminal(jobs, "run", "--vram", "1GiB", PYTHON, "-c", script)
    terminal.expect("READY")
    pid = server.next().body["pid"]
    for kill, name in ((os.killpg, "TERM"), (os.kill, "TERM"), (os.killpg, "USR1"), (os.killpg, "TERM"), (os.kill, "USR1")):
        kill(pid, getattr(signal, "SIG" + name))
        terminal.expect("GOT SIG" + name)
        # Of several pending signals the smallest number comes first: one that was passed on
        # besides would be seen before this.
        os.kill(pid, signal.SIGWINCH)
        assert "GOT" not in terminal.expect("GOT SIGWINCH").removesuffix("GOT SIGWINCH")
    os.killpg(pid, signal.SIGKILL)
    terminal.expect("DONE -9")
    terminal.close()


def test_a_command_that_stops_itself_stops_wharf_run(jobs):
    jobs.serve(grants=True)
    terminal = Terminal(jobs, "run", "--vram", "1GiB", "--", "sh", "-c", "kill -STOP $$; echo AGAIN; exit 6")
    terminal.expect("STOPPED SIGSTOP")
    terminal.type(b"\n")
    terminal.expect("AGAIN")
    terminal.expect("DONE 6")
    terminal.close()


def test_stopped_and_continued_without_a_terminal(jobs):
    jobs.serve(grants=True)
    run = jobs.start("run", "--vram", "1GiB", "--", "sh", "-c", "kill -STOP $$; exit 6", start_new_session=True)
    _, status = os.waitpid(run.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    run.send_signal(signal.SIGCONT)
    assert finish(run)[0] == 6


def test_a_pipeline_on_a_terminal(jobs):
    jobs.serve(grants=True)
    terminal = Terminal(jobs, "run", "--vram", "1GiB", "--", "sh", "-c",
                        f"{WHARF} run --vram 1GiB echo inner | cat; exit 2")
    terminal.expect("inner")
    terminal.expect("DONE 2")
    terminal.close()


# ---------------------------------------------------------------- revocation and limits


@pytest.mark.parametrize("words,name,status", [([], "TERM", 9), (["--signal", "SIGINT"], "INT", 9),
                                               (["--signal", "12"], "USR2", 9)])
def test_revoked_with_time_to_end(jobs, words, name, status):
    server = jobs.serve(grants=True)
    script = f"trap 'echo told; exit 9' {name}; echo up; while :; do sleep 0.02; done"
    run = jobs.start("run", "--vram", "1GiB", "--revocable", "20s", *words, "--", "sh", "-c", script)
    lease = server.next()
    assert run.stdout.readline() == "up\n"
    lease.revoke(20)
    returncode, out, err = finish(run)
    # The sleep may have died of the signal first, which a shell may tell.
    assert (returncode, out) == (status, "told\n")
    assert "wharf: the lease is revoked (somebody else has waited for too long); " \
           "the job is told to end, and has 19s\n" in err
    lease.wait_gone()


def test_revoked_and_deaf(jobs):
    server = jobs.serve(grants=True)
    run, pids = start_tree(jobs, "--revocable", "30s")
    server.next().revoke(0.2)
    assert finish(run)[0] == -signal.SIGTERM
    assert not [p for p in pids.values() if is_alive(p)]


def test_nothing_is_left_when_the_grace_of_a_revoked_lease_is_over(jobs):
    """The daemon gives a gate to the next one then, and not when it hears of the end."""
    server = jobs.serve(grants=True)
    run, pids = start_tree(jobs, "--revocable", "30s")
    lease, grace_s = server.next(), 3 * SLOWNESS
    began = time.monotonic()
    lease.revoke(grace_s)
    lease.wait_gone()
    assert 0.5 * grace_s < time.monotonic() - began < grace_s
    assert not [p for p in pids.values() if is_alive(p)]
    assert finish(run)[0] == -signal.SIGTERM


def test_ended_by_the_daemon(jobs):
    server = jobs.serve(grants=True)
    run = jobs.start("run", "--vram", "1GiB", "--", "sleep", "1000")
    guards(run)
    server.next().end()
    returncode, _, err = finish(run)
    assert returncode == -signal.SIGTERM
    assert "the lease has ended (it was ended by an operator)" in err


def test_the_time_to_run_is_a_limit(jobs):
    jobs.serve(grants=True)
    run = jobs.run("run", "--vram", "1GiB", "--run", "200ms", "--", "sleep", "1000")
    assert run.returncode == -signal.SIGTERM
    assert "for as long as --run says" in run.stderr


# ---------------------------------------------------------------- a daemon that comes and goes


@pytest.mark.slice
def test_the_job_goes_on_while_the_daemon_restarts(jobs):
    server = jobs.serve(grants=True)
    run = jobs.start("run", "--vram", "1GiB", "--", "sh", "-c", "read x; exit 5", stdin=subprocess.PIPE)
    lease = server.next()
    guards(run)
    server.close()
    assert "is gone; the job goes on" in run.stderr.readline()
    server = jobs.restart(server)
    assert server.resumed.get(timeout=SECONDS) is lease
    assert run.stderr.readline() == "wharf: the daemon is back, and the lease is kept\n"
    run.stdin.close()
    assert run.wait(SECONDS) == 5
    lease.wait_gone()


@pytest.mark.slice
@pytest.mark.parametrize("resumed", [False, True])
def test_a_guard_that_is_killed_holds_the_lease_until_nothing_is_left(jobs, resumed):
    """What the command has moved away lives on until the front has ended it; that is held up here."""
    server = jobs.serve(grants=True)
    run, pids = start_tree(jobs)
    lease = server.next()
    guard, _ = guards(run)
    if resumed:
        server.close()
        assert "is gone" in run.stderr.readline()
        server = jobs.restart(server)
        assert server.resumed.get(timeout=SECONDS) is lease
        assert "is kept" in run.stderr.readline()  # said once the front has its copy
    run.send_signal(signal.SIGSTOP)
    os.waitpid(run.pid, os.WUNTRACED)
    os.kill(guard, signal.SIGKILL)
    until(lambda: not is_alive(guard), "the guard's end")
    assert [p for p in pids.values() if is_alive(p)]
    with pytest.raises(BlockingIOError):  # it would be b"", or no socket, if the connection had ended
        lease.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    run.send_signal(signal.SIGCONT)
    lease.wait_gone()
    assert not [p for p in pids.values() if is_alive(p)]
    assert finish(run)[0] == -signal.SIGKILL


def test_a_guard_that_is_killed_does_not_keep_a_lease_with_a_time_to_live(jobs):
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "--ttl", "1h", "--", "sleep", "1000")
    lease = server.next()
    os.kill(guards(run)[0], signal.SIGKILL)
    lease.wait_gone()
    assert finish(run)[0] == -signal.SIGKILL


def test_a_lost_lease_does_not_end_the_job(jobs):
    server = jobs.serve(grants=True)
    run = jobs.start("run", "--vram", "1GiB", "--", "sh", "-c", "read x; exit 5", stdin=subprocess.PIPE)
    lease = server.next()
    guards(run)
    lease.granted = False  # the next daemon knows nothing of it
    server.close()
    assert "is gone" in run.stderr.readline()
    jobs.restart(server)
    assert "the lease is lost (the daemon does not know it); the job goes on" in run.stderr.readline()
    run.stdin.close()
    assert run.wait(SECONDS) == 5


def test_a_job_that_ends_while_the_daemon_is_away(jobs):
    server = jobs.serve(grants=True)
    run = jobs.start("run", "--vram", "1GiB", "--", "sh", "-c", "read x; exit 5", stdin=subprocess.PIPE)
    guards(run)
    server.close()
    assert "is gone" in run.stderr.readline()
    run.stdin.close()
    assert run.wait(SECONDS) == 5


def test_a_lease_with_a_time_to_live(jobs):
    server = jobs.serve()
    run = jobs.start("run", "--vram", "1GiB", "--ttl", "600ms", "--", "sh", "-c", "read x; exit 5",
                     stdin=subprocess.PIPE)
    lease = server.next()
    assert lease.body["ttl"] == "600ms"
    until(lambda: lease.renewals >= 2, "two renewals")
    assert not lease.gone.is_set()
    run.stdin.close()
    assert run.wait(SECONDS) == 5
    lease.wait_gone()
    assert lease.id not in server.known


# ---------------------------------------------------------------- submitted jobs


def submit(jobs, *words):
    run = jobs.run("submit", *words)
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"[1-9]\d*\n", run.stdout)
    return run.stdout.strip()


def job(jobs, number):
    return next(j for j in json.loads(jobs.run("jobs", "--json").stdout)["jobs"] if str(j["id"]) == number)


@pytest.mark.slice
def test_submitted(jobs):
    server = jobs.serve()

    def soon(*words):
        process = jobs.start("submit", *words)
        lease = server.next()
        lease.waiting(4, 9)
        returncode, out, err = finish(process)
        assert (returncode, err) == (0, "wharf: waiting, position 4, about 9s: for memory on gpu0\n")
        return out.strip(), lease

    number, lease = soon("--vram", "1GiB", "--name", "night", "--class", "normal", "--",
                         "sh", "-c", "echo out; echo err >&2; cat; exit 3")
    assert number == "1"
    assert os.getsid(lease.body["pid"]) not in (os.getsid(0), lease.body["pid"])
    waiting = job(jobs, number)
    assert (waiting["state"], waiting["position"], waiting["class"]) == ("waiting", 4, "normal")
    listed = jobs.run("jobs").stdout.splitlines()
    assert re.match(r"1 +waiting +night +normal +1GiB +position 4 ", listed[1]), listed
    follower = jobs.start("jobs", "logs", "-f", number)
    lease.grant()
    assert finish(follower) == (0, "out\nerr\n", "")
    ended = job(jobs, number)
    assert (ended["state"], ended["exit"], ended["signal"]) == ("ended", 3, None)
    assert jobs.run("jobs", "logs", number).stdout == "out\nerr\n"
    lease.wait_gone()
    number, lease = soon("--vram", "1GiB", "--", "sleep", "1000")
    assert number == "2"
    lease.grant()
    until(lambda: job(jobs, number)["state"] == "running", "the second job")
    assert job(jobs, number)["devices"][0]["name"] == "gpu0"
    assert jobs.run("jobs", "cancel", number).returncode == 0
    assert lease.gone.is_set()
    ended = job(jobs, number)
    assert (ended["state"], ended["signal"], ended["cancelled"]) == ("ended", 15, True)
    assert re.search(r"2 +ended +sleep .*cancelled +sleep 1000", jobs.run("jobs").stdout)


def test_cancelled_while_it_waits(jobs):
    server = jobs.serve()
    process = jobs.start("submit", "--vram", "1GiB", "--", "true")
    lease = server.next()
    lease.waiting()
    number = finish(process)[1].strip()
    assert jobs.run("jobs", "cancel", number).returncode == 0
    lease.wait_gone()
    ended = job(jobs, number)
    assert (ended["state"], ended["was_run"], ended["cancelled"]) == ("ended", False, True)
    again = jobs.run("jobs", "cancel", number)
    assert (again.returncode, again.stderr) == (1, f"wharf: job {number} has ended already\n")


def test_submitted_jobs_outlive_the_daemon(jobs):
    server = jobs.serve()
    process = jobs.start("submit", "--vram", "1GiB", "--", "sh", "-c",
                         f"until test -e {jobs.path('go')}; do sleep 0.02; done; echo one")
    running = server.next()
    running.grant()
    first = finish(process)[1].strip()
    process = jobs.start("submit", "--vram", "1GiB", "--", "echo", "two")
    server.next().waiting()
    second = finish(process)[1].strip()
    until(lambda: job(jobs, first)["state"] == "running", "the first job")
    server.close()
    states = [j["state"] for j in json.loads(jobs.run("jobs", "--json").stdout)["jobs"]]
    assert states == ["running", "waiting"]  # told without a daemon
    server = jobs.restart(server)
    assert server.resumed.get(timeout=SECONDS) is running
    server.next().grant()
    assert jobs.run("jobs", "wait", second).returncode == 0
    jobs.path("go").write_text("")
    assert jobs.run("jobs", "wait", first).returncode == 0
    assert "one\n" in jobs.run("jobs", "logs", first).stdout
    assert jobs.run("jobs", "logs", second).stdout.endswith("two\n")


def test_a_job_whose_processes_were_killed_is_lost(jobs):
    server = jobs.serve(grants=True)
    number = submit(jobs, "--vram", "1GiB", "--", "sleep", "1000")
    until(lambda: job(jobs, number)["state"] == "running", "the job")
    os.kill(job(jobs, number)["pid"], signal.SIGKILL)
    server.next().wait_gone()
    assert jobs.run("jobs", "wait", number).returncode == 0
    assert job(jobs, number)["state"] == "lost"
    assert re.search(r"1 +lost +sleep", jobs.run("jobs").stdout)


def test_jobs_that_do_not_exist(jobs):
    jobs.serve()
    assert jobs.run("jobs").stdout == "no jobs\n"
    for words in (["logs", "7"], ["cancel", "../x"], ["wait", "0"]):
        run = jobs.run("jobs", *words)
        assert (run.returncode, run.stdout) == (2, "")
        assert f"there is no job {words[1]}" in run.stderr
    for words in (["logs"], ["nonsense", "1"], ["-f"], ["cancel"]):
        assert jobs.run("jobs", *words).returncode == 2


def test_numbers_are_never_given_twice_at_once(jobs):
    server = jobs.serve(grants=True)
    started = [jobs.start("submit", "--vram", "1GiB", "--", "true") for _ in range(8)]
    numbers = sorted(int(finish(p)[1]) for p in started)
    assert numbers == list(range(1, 9))
    for _ in range(8):
        server.next().wait_gone()
    for number in numbers:
        assert jobs.run("jobs", "wait", str(number)).returncode == 0
