"""Another program in the daemon's place: which one, why not, and what a service manager sees of it."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

import pytest

from test_activation import Manager, listening, where
from test_activation import pytestmark as needs_libsystemd
from test_pid1 import contained  # noqa: F401 a fixture
from upgrades import Stream, drainers, until_drained, upgrade
from wharf_harness import (SECONDS, WHARF, Connection, Later, command_line, demo, is_alive,
                           models, until)

VERSION = json.loads(subprocess.run([str(WHARF), "version", "--json"], capture_output=True, text=True,
                                    check=True).stdout)["version"]
OTHER = "".join("9" if c.isdigit() else c for c in VERSION)


@pytest.fixture
def manager(tmp_path):
    m = Manager(tmp_path)
    yield m
    m.close()


def install(path, version=None):
    """A copy of the program at that place, in one step, that calls itself another version."""
    new = path.with_suffix(".new")
    data = WHARF.read_bytes()
    if version:
        assert len(version) == len(VERSION)
        data = data.replace(VERSION.encode() + b"\0", version.encode() + b"\0")
    new.write_bytes(data)
    new.chmod(0o755)
    new.replace(path)
    return path


def script(path, text, mode=0o755):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)


def executable(d):
    return os.readlink(f"/proc/{d.pid}/exe")


@pytest.fixture
def installed(wharf, tmp_path):
    """installed(config, argv0=None, **options) → a daemon from a file that can be replaced: .program"""
    (tmp_path / "bin").mkdir()
    program = install(tmp_path / "bin" / "wharf")

    def start(config, first=None, **options):
        config_path = tmp_path / "daemon1" / "wharf.yaml"
        d = wharf(config, command=[*(first or [str(program)]), "serve", "--config", str(config_path)], **options)
        d.program = program
        return d
    return start


# ---------------------------------------------------------------- which program


@pytest.mark.slice
def test_a_different_program(installed):
    d = installed({"models": {"m": demo("m", "--token-delay", "10ms", "--tokens", "100")}})
    pid = d.load("m")["pid"]
    install(d.program, OTHER)
    s = Stream(d, "m").head()
    s.next()
    assert executable(d).endswith(" (deleted)")
    assert upgrade(d) == {"from": VERSION, "to": OTHER, "running": 1}
    assert executable(d) == str(d.program)
    assert d.get("/wharf/status").json()["version"] == OTHER
    assert d.model("m")["pid"] == pid
    s.rest()
    until_drained(d)
    install(d.program)  # and back
    assert upgrade(d)["to"] == VERSION


def test_through_a_link_that_is_turned(installed, tmp_path):
    """By the name that it was called by, and not by what that was then."""
    old, new, link = tmp_path / "bin" / "wharf", tmp_path / "bin" / "wharf-next", tmp_path / "wharf"
    link.symlink_to(old)
    d = installed(models("m"), first=[str(link)])
    install(new, OTHER)
    (tmp_path / "turned").symlink_to(new)
    (tmp_path / "turned").replace(link)
    assert upgrade(d)["to"] == OTHER
    assert executable(d) == str(new)
    assert upgrade(d)["to"] == OTHER


@pytest.mark.parametrize("how", ["by PATH", "relative", "another name"])
def test_however_it_was_called(installed, tmp_path, how):
    first = {"by PATH": ["env", f"PATH=/nowhere:{tmp_path}/bin:{os.environ['PATH']}", "wharf"],
             "relative": ["sh", "-c", f'cd {tmp_path}; exec bin/wharf "$@"', "sh"],
             "another name": ["bash", "-c", f'exec -a something {tmp_path}/bin/wharf "$@"', "sh"]}[how]
    d = installed(models("m"), first=first)
    for version in (OTHER, VERSION, OTHER):
        install(d.program, version)
        assert upgrade(d)["to"] == version
        assert executable(d) == str(d.program)


# ---------------------------------------------------------------- why not


def refused(d, *reasons, status=409):
    """It says why, and everything is as before."""
    pid = d.model("m")["pid"]
    answer = d.ask("POST", "/wharf/upgrade", b"", seconds=4 * SECONDS)
    assert answer.status == status, answer
    for reason in reasons:
        assert reason in answer.message, answer.message
    assert d.ok(d.chat("m", max_tokens=1)) and d.model("m")["pid"] == pid
    assert not drainers(d)
    until(lambda: not (d.state / "upgrade.log").exists(), "nothing of it")
    return answer


def test_programs_that_do_not_start(installed):
    d = installed(models("m"))
    d.load("m")
    s = d.connect().request("GET", "/health")
    script(d.program, "#!/bin/sh\necho this will not do >&2\nexit 1\n")
    refused(d, "does not start (status 1)", "this will not do")
    script(d.program, "#!/bin/sh\nexit 0\n")
    refused(d, "no wharf that can")
    script(d.program, "#!/bin/sh\nkill -SEGV $$\n")
    refused(d, "ended by signal 11")
    script(d.program, "not a program\n", 0o755)
    refused(d)
    script(d.program, "#!/bin/sh\n", 0o644)
    refused(d, "Permission denied")
    d.program.unlink()
    refused(d, "No such file")
    assert s.answer().status == 200
    install(d.program, OTHER)
    assert upgrade(d)["to"] == OTHER
    assert d.ok(d.chat("m", max_tokens=1))


def test_a_configuration_with_errors(wharf):
    d = wharf(models("m"))
    d.load("m")
    good = d.config_path.read_text()
    d.write_config("models: [")
    refused(d, "does not start (status 2)")
    run = d.cli("upgrade")
    assert run.returncode == 1 and "wharf.yaml" in run.stderr, run
    d.write_config(good)
    assert d.cli("upgrade", check=0).stdout.startswith("started anew")


def test_models_that_the_configuration_has_otherwise(wharf):
    """They finish first; others are kept."""
    def config(*flags):
        return {"gpus": [{"sim": {"name": "gpu0", "memory": "12GiB"}, "sample": "20ms"}], "models": {
            "m": demo("m", "--token-delay", "10ms", "--tokens", "60", *flags, vram="1GiB"),
            "n": demo("n", vram="1GiB"), **({} if flags else {"gone": demo("gone", vram="1GiB")})}}
    d = wharf(config())
    old, kept = d.load("m")["pid"], d.load("n")["pid"]
    d.load("gone")
    s = Stream(d, "m").head()
    s.next()
    events = d.events()
    d.write_config(config("--load-time", "1ms"))
    asked = Later(upgrade, d)
    events.wait_for("model_unloaded", model="gone")
    assert not asked.done and is_alive(old)
    s.rest()
    assert asked.result()["running"] == 0
    assert not is_alive(old)
    assert d.model("n")["pid"] == kept
    assert d.get("/wharf/models/gone").status == 404
    assert d.load("m")["pid"] != old


def test_two_at_once_and_more_than_are_kept(wharf):
    d = wharf(models("m"))
    asked = [d.connect(seconds=3 * SECONDS).request("POST", "/wharf/upgrade", b"") for _ in range(12)]
    codes = sorted(c.answer().status for c in asked)
    assert set(codes) <= {200, 429} and codes.count(200) >= 8, codes
    assert d.stderr.count("takes this program's place") in (1, 2)


def test_a_request_for_one_on_a_connection_that_was_handed_over(wharf):
    """It is not taken for the one that was asked for before."""
    d = wharf(models("m"))
    c = d.connect(seconds=3 * SECONDS)
    assert c.ask("GET", "/health").status == 200
    upgrade(d)
    assert c.ask("POST", "/wharf/upgrade", b"").status == 200
    assert d.stderr.count("takes this program's place") == 2


def test_while_it_starts_or_stops(wharf):
    """A start that waits for a model of an earlier life to answer; a stop that waits for a stream."""
    d = wharf({"models": {"m": demo("m", "--token-delay", "10ms", "--tokens", "100")}})
    pid = d.load("m")["pid"]
    os.kill(pid, signal.SIGSTOP)
    d.kill()
    d.start()
    assert "starting or stopping" in d.ask("POST", "/wharf/upgrade", b"").message
    d.signal(signal.SIGUSR2)
    until(lambda: d.stderr.count("no upgrade: the daemon is starting") == 2, "it is said")
    os.kill(pid, signal.SIGCONT)
    s = Stream(d, "m").head()
    s.next()
    c = d.connect()
    c.request("GET", "/health").answer()
    d.signal(signal.SIGTERM)
    until(lambda: "stopping" in d.stderr, "the stop")
    d.signal(signal.SIGUSR2)
    until(lambda: d.stderr.count("no upgrade") == 3, "it is said")
    s.rest()
    assert d.wait() == 0
    d.stopped_on_purpose = True


@pytest.mark.parametrize("waits", [True, False], ids=["somebody waits", "nobody waits"])
def test_a_stop_amid_a_trial_that_hangs(installed, waits):
    """It is ended, and who waits is told."""
    d = installed(models("m"))
    script(d.program, "#!/bin/sh\nexec sleep 1000\n")
    c = d.connect(seconds=3 * SECONDS)
    if waits:
        c.request("POST", "/wharf/upgrade", b"")
    else:
        d.signal(signal.SIGUSR2)
    until(lambda: [p for p in d.everything() if command_line(p)[:1] == ["sleep"]], "the trial")
    d.stop()
    assert d.stderr.count("no upgrade") == 1
    if waits:
        assert c.answer().status == 503


def test_by_a_signal(wharf):
    """Two at once are no more than one, and a stop right behind is heeded by the new program."""
    d = wharf(models("m"))
    pid = d.load("m")["pid"]
    events = d.events()
    d.signal(signal.SIGUSR2)
    until(lambda: events.ended, "an end for those who follow")
    assert d.events(last_event_id=0).wait_for("upgraded")["details"]["running"] == 0
    assert d.model("m")["pid"] == pid
    d.signal(signal.SIGUSR2)
    until(lambda: d.stderr.count("takes this program's place") == 2, "the second")
    d.signal(signal.SIGUSR2)
    d.signal(signal.SIGHUP)
    d.signal(signal.SIGTERM)
    assert d.wait() == 0, d.stderr[-2000:]
    d.stopped_on_purpose = True
    assert not d.everything()


def test_who_may(wharf):
    d = wharf({"apiKeys": ["plain"], "keys": [{"key": "boss", "admin": True}, {"key": "ci", "models": ["m"]}],
               **models("m")})

    def status(key):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return d.ask("POST", "/wharf/upgrade", b"", headers, seconds=3 * SECONDS).status
    assert status(None) == 401 and status("ci") == 403
    assert not d.stderr.count("takes this program's place")
    assert status("boss") == 200


def test_another_user_of_the_machine(wharf, request):
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    folder = tempfile.TemporaryDirectory()
    request.addfinalizer(folder.cleanup)
    os.chmod(folder.name, 0o755)
    sock = f"{folder.name}/s"
    d = wharf({"socket": {"mode": "0666"}, **models("m")}, listen=["127.0.0.1:0", f"unix:{sock}"])
    ask = ("import socket,sys,os; os.setuid(65534); s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
           "s.sendall(b'POST /wharf/upgrade HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n'); print(s.recv(999))")
    run = subprocess.run(["python3", "-c", ask, sock], capture_output=True, text=True, timeout=SECONDS)
    assert "403" in run.stdout, run


# ---------------------------------------------------------------- who started it


@needs_libsystemd
@pytest.mark.slice
def test_under_a_service_manager(wharf, manager, tmp_path):
    """It hears READY again and the watchdog all the while, keeps what it stored, and its sockets stay."""
    own = listening()
    d = wharf(models("m"), listen=[where(own), "127.0.0.1:0"], handed=[(own, "wharf.socket")],
              env=manager.environment(WATCHDOG_USEC="200000", FDSTORE="8"))
    manager.wait_for("READY")
    pid = d.load("m")["pid"]
    stored = set(manager.stored)
    for _ in range(2):
        upgrade(d)
        manager.messages.clear()
        manager.wait_for("WATCHDOG")
        assert not [m for m in manager.messages if "STOPPING" in m or "FDSTOREREMOVE" in m]
        assert set(manager.stored) == stored, "none twice"
    with Connection(own.getsockname()) as c:
        assert c.ask("GET", "/health").status == 200
    env = pathlib.Path(f"/proc/{d.load('m')['pid']}/environ").read_bytes()
    assert d.model("m")["pid"] == pid and b"NOTIFY_SOCKET" not in env
    until_drained(d)
    d.stop()
    manager.wait_for("STOPPING")
    own.close()


@needs_libsystemd
def test_ready_is_said_again(wharf, manager):
    d = wharf(models("m"), env=manager.environment())
    manager.wait_for("READY")
    manager.messages.clear()
    upgrade(d)
    assert manager.wait_for("READY")


def test_as_process_1(contained):  # noqa: F811
    d, pid = contained({"models": {"m": demo("m", "--token-delay", "10ms", "--tokens", "40")}})
    d.load("m")
    s = Stream(d, "m").head()
    s.next()
    for _ in range(2):
        assert d.ask("POST", "/wharf/upgrade", b"", seconds=3 * SECONDS).status == 200
    s.rest()
    until(lambda: len(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) <= 1, "only the model")


def test_a_group_of_processes_is_interrupted(wharf):
    """As a terminal does it: the daemon stops, and a drainer finishes what it has."""
    d = wharf({"models": {"m": demo("m", "--token-delay", "10ms", "--tokens", "60")}})
    d.load("m")
    s = Stream(d, "m").head()
    s.next()
    upgrade(d)
    os.killpg(d.pid, signal.SIGINT)
    s.rest()
    assert d.wait() == 0
    d.stopped_on_purpose = True
    until(lambda: not d.everything(), "the end of all")
