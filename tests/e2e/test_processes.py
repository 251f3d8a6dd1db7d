"""Models as processes: how they start, fail, crash and end, with a cgroup and without."""

import os
import pathlib
import resource
import signal
import socket

import pytest

from wharf_harness import (SECONDS, SLOWNESS, WRAP, Connection, Cgroup, Later, chat_body, command_line,
                           content, demo, held, is_alive, models, together, until, wait_exit)


def test_a_process_is_contained(wharf, containment):
    d = wharf(models("m"), **containment)
    pid = d.load("m")["pid"]
    if containment["cgroup"] == "off":
        assert "process marks" in d.stderr
        marks = [v for v in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                 if v.startswith(b"WHARF_INSTANCE=")]
        assert len(marks) == 1 and b":m:" in marks[0]
    else:
        assert f"cgroup {containment['cgroup']}" in d.stderr
        assert d.models_among(Cgroup.members(containment["cgroup"])) == [pid]
        assert d.pid not in Cgroup.members(containment["cgroup"])
    d.ok(d.post("/wharf/models/m/unload"))
    if containment["cgroup"] != "off":
        assert not d.models_among(Cgroup.members(containment["cgroup"]))


def test_what_a_child_inherits(wharf, tmp_path):
    here = os.environ.get("HOME", "")
    d = wharf({"models": {"m": demo("m", env=["ONE=1", "TWO=two words", "PORT_IS=${PORT}"])}},
              env={"OUTER": "o"})
    m = d.load("m")
    env = dict(v.split("=", 1) for v in
               pathlib.Path(f"/proc/{m['pid']}/environ").read_text().split("\0") if "=" in v)
    assert (env["ONE"], env["TWO"], env["PORT_IS"]) == ("1", "two words", str(m["port"]))
    assert (env["OUTER"], env.get("HOME", "")) == ("o", here)
    fds = {int(f): os.readlink(f"/proc/{m['pid']}/fd/{f}") for f in os.listdir(f"/proc/{m['pid']}/fd")}
    assert fds[0] == "/dev/null" and fds[1] == fds[2]
    assert fds[1].startswith(str(d.state)), fds
    foreign = {n: t for n, t in fds.items() if n > 2 and str(d.state) in t}
    assert not foreign, f"descriptors of the daemon in its child: {foreign}"
    limits = pathlib.Path(f"/proc/{m['pid']}/limits").read_text()
    soft = limits.split("Max open files")[1].split()[0]
    assert soft == str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    status = pathlib.Path(f"/proc/{m['pid']}/status").read_text()
    blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    ignored = int(status.split("SigIgn:")[1].split()[0], 16)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        assert not (blocked | ignored) >> (number - 1) & 1, f"signal {number} is blocked or ignored"
    assert not blocked >> (signal.SIGPIPE - 1) & 1


def test_words_of_the_command(wharf):
    cmd = demo("m")["cmd"] + """
      # a comment line --never-ready
      --gpu-folder 'a b' --host \\
      "127.0.0.1" """
    d = wharf({"models": {"m": {"cmd": cmd, "proxy": "http://127.0.0.1:${PORT}"}}})
    words = command_line(d.load("m")["pid"])
    assert words[-4:] == ["--gpu-folder", "a b", "--host", "127.0.0.1"]


@pytest.mark.threads
@pytest.mark.slice
def test_crash_on_load_is_told_to_every_waiter(wharf, containment, tmp_path):
    d = wharf({"models": {"m": held(demo("m", "--crash-on-load=3"), tmp_path / "flag")}}, **containment)
    events = d.events()
    calls = [Later(d.chat, "m") for _ in range(10)]
    d.until_model("m", waiting=10)
    (tmp_path / "flag").touch()
    for answer in (call.result() for call in calls):
        assert answer.status == 502, answer
        assert answer.error["code"] == "load_failed"
        assert "status 3" in answer.message, answer.message
        assert "error: failed to load the model" in answer.message, \
            f"without the log's last lines: {answer.message}"
    assert events.wait_for("load_failed", model="m")
    assert events.count("model_loading") == 1, "ten waiters, one attempt"
    m = d.model("m")
    assert m["state"] in ("error", "unloaded") and m["pid"] is None
    assert (m["in_flight"], m["waiting"]) == (0, 0)


@pytest.mark.parametrize("cmd, clue", [
    ("/nowhere/no-such-engine --port ${PORT}", "no-such-engine"),
    ("/bin/sh -c 'echo first; echo the model file is missing >&2; exit 7' ${PORT}",
     "the model file is missing"),
    ("/bin/sh -c 'echo terrible; kill -SEGV $$' ${PORT}", "terrible"),
    ("/bin/sh -c 'exit 0' ${PORT}", ""),
])
def test_failing_commands(wharf, cmd, clue):
    d = wharf({"models": {"m": {"cmd": cmd, "proxy": "http://127.0.0.1:${PORT}"}}})
    answer = d.chat("m")
    assert (answer.status, answer.error["code"]) == (502, "load_failed"), answer
    assert clue in answer.message, answer.message


def test_a_failed_model_is_left_alone_but_an_explicit_load_tries_again(wharf, tmp_path):
    flag = tmp_path / "fixed"
    good = demo("m")["cmd"]
    cmd = f"/bin/sh -c 'test -e {flag} || {{ echo not yet; exit 1; }}; exec {good}'"
    d = wharf({"models": {"m": {"cmd": cmd, "proxy": "http://127.0.0.1:${PORT}"}}})
    events = d.events()
    assert d.chat("m").status == 502
    answer = d.chat("m")
    assert answer.status in (502, 503) and "not yet" in answer.message
    if answer.error["code"] == "load_paused":
        assert int(answer.header("Retry-After")) >= 1
        assert events.catch_up().count("model_loading") == 1
    failed = d.post("/wharf/models/m/load")
    assert failed.status == 502 and "not yet" in failed.message
    flag.touch()
    d.load("m")
    d.ok(d.chat("m"))


def test_failures_do_not_hold_up_others(wharf):
    d = wharf({"models": {"bad": demo("bad", "--crash-on-load=1"), "good": demo("good")}})
    answers = together(8, lambda i: d.chat("good" if i % 2 else "bad"))
    for i, answer in enumerate(answers):
        assert answer.status == 200 if i % 2 else answer.status in (502, 503), answer


@pytest.mark.slice
def test_a_crash_while_idle_is_noticed_and_the_next_request_reloads(wharf, containment):
    d = wharf(models("m"), **containment)
    events = d.events()
    pid = d.load("m")["pid"]
    os.kill(pid, signal.SIGKILL)
    gone = events.wait_for("model_unloaded", model="m")
    assert gone["details"]["reason"] == "its process ended by itself"
    m = d.model("m")
    assert (m["state"], m["pid"]) == ("unloaded", None)
    d.ok(d.chat("m"))
    assert d.model("m")["pid"] not in (None, pid)


def test_an_engine_that_ends_itself_when_idle(wharf):
    d = wharf({"models": {"m": demo("m", "--crash-idle-after", "1s")}})
    events = d.events()
    d.ok(d.chat("m"))
    events.wait_for("model_unloaded", model="m")
    d.ok(d.chat("m"))
    events.wait_for("model_unloaded", model="m")


def test_a_load_that_is_called_off_is_no_failure(wharf):
    """Nor does it take the place of the failure before."""
    d = wharf({"models": {"m": demo("m", "--never-ready")}})
    events = d.events()
    call = Later(d.post, "/wharf/models/m/load")
    events.wait_for("model_loading", model="m")
    d.ok(d.post("/wharf/models/m/unload"))
    assert call.result().error["code"] == "model_unloaded"
    assert events.wait_for("model_unloaded", model="m")["details"]["reason"] == "commanded"
    assert " m its load was called off" in d.stderr and "load failed" not in d.stderr, d.stderr
    assert d.model("m")["error"] is None


@pytest.mark.skipif(bool(WRAP), reason="valgrind has the two read in two turns")
def test_a_load_that_cannot_be_tried_and_is_called_off(wharf):
    """In the same turn: it ends at once, and not once the time for killing a process is over."""
    d = wharf({"models": {"m": {"proxy": "http://127.0.0.1:1"}}})
    load, unload = d.connect(seconds=5), d.connect(seconds=5)
    for c in (load, unload):
        assert c.ask("GET", "/health").status == 200

    def both_at_once():
        d.signal(signal.SIGSTOP)
        until(lambda: pathlib.Path(f"/proc/{d.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "the stop")
        load.request("POST", "/wharf/models/m/load", b"")
        unload.request("POST", "/wharf/models/m/unload", b"")
        d.signal(signal.SIGCONT)
        code = load.answer().error["code"]
        assert code in ("model_unloaded", "load_failed")
        assert unload.answer().json()["state"] == "unloaded"
        return code == "model_unloaded"
    until(both_at_once, "both in one turn, and in that order")
    assert d.stderr.count("its load was called off") == 1
    d.stop()  # nothing of it is left


def test_death_in_the_middle_of_loading_is_noticed_at_once(wharf):
    d = wharf({"models": {"m": demo("m", "--never-ready")}})
    events = d.events()
    call = Later(d.chat, "m")
    events.wait_for("model_loading", model="m")
    [pid] = until(lambda: d.engines("m"), "the engine's process")
    os.kill(pid, signal.SIGKILL)
    answer = call.result(2 * SECONDS)
    assert (answer.status, answer.error["code"]) == (502, "load_failed"), answer
    assert "signal" in answer.message.lower() or "killed" in answer.message.lower()


@pytest.mark.slow
def test_load_timeout(wharf):
    """15 s is the least that llama-swap's healthCheckTimeout can be."""
    d = wharf({"healthCheckTimeout": 15,
               "models": {"busy": demo("busy", "--never-ready"), "deaf": demo("deaf", "--hang-health")},
               "groups": {"g": {"swap": False, "members": ["busy", "deaf"]}}})
    calls = [Later(d.chat, name, seconds=4 * SECONDS) for name in ("busy", "deaf")]
    for call in calls:
        answer = call.result(4 * SECONDS)
        assert (answer.status, answer.error["code"]) == (503, "load_timeout"), answer
        assert "GET /health at 127.0.0.1:" in answer.error["message"], answer
        assert "was never answered with 200" in answer.error["message"], answer
    assert not d.engines()


@pytest.mark.slice
def test_ignored_sigterm_is_followed_by_sigkill(wharf, containment):
    d = wharf({"models": {"m": demo("m", "--ignore-sigterm", unloadTimeout=1), "n": demo("n")}},
              **containment)
    pid = d.load("m")["pid"]
    d.ok(d.post("/wharf/models/m/unload"))
    assert not is_alive(pid) and not d.tree()
    d.load("m")
    assert d.chat("n").status == 200
    assert d.engines() == [d.model("n")["pid"]]


def test_slow_stop_is_waited_for(wharf):
    d = wharf({"models": {"m": demo("m", "--slow-stop", "500ms"), "n": demo("n")}})
    pid = d.load("m")["pid"]
    events = d.events()
    d.ok(d.chat("n"))
    assert not is_alive(pid)
    assert events.wait_for("model_unloaded", model="m")["details"]["seconds"] >= 0.4


@pytest.mark.threads
@pytest.mark.slice
@pytest.mark.parametrize("end", ["unload", "crash", "swap", "shutdown"])
def test_grandchildren_go_with_their_model(wharf, containment, end):
    d = wharf({"models": {"m": demo("m", "--fork-grandchildren", "3", unloadTimeout=1),
                          "n": demo("n")}}, **containment)
    events = d.events()
    pid = d.load("m")["pid"]
    family = until(lambda: len(d.tree()) == 4 and d.tree(), "an engine and three grandchildren")
    assert pid in family
    if end == "unload":
        d.ok(d.post("/wharf/models/m/unload"))
    elif end == "crash":
        os.kill(pid, signal.SIGKILL)
        events.wait_for("model_unloaded", model="m")
    elif end == "swap":
        d.ok(d.chat("n"))
    else:
        d.stop()
    assert [p for p in family if is_alive(p)] == [], "left of the model's family"


def test_a_model_does_not_end_before_its_grandchildren_have(wharf, containment):
    """What comes in after an unload may rely on the memory being free."""
    d = wharf({"models": {"m": demo("m", "--fork-grandchildren", "2", unloadTimeout=1)}}, **containment)
    for _ in range(3):
        d.load("m")
        d.ok(d.post("/wharf/models/m/unload"))
        assert not d.tree()


@pytest.mark.slice
def test_a_port_that_somebody_else_has_is_not_used(wharf):
    with socket.create_server(("127.0.0.1", 0)) as foreigner:
        port = foreigner.getsockname()[1]
        d = wharf({"startPort": port, **models("a", "b")})
        m = d.load("a")
        assert m["port"] != port
        assert content(d.ok(d.chat("a"))).startswith("demo-model a")
        d.ok(d.chat("b"))


def test_models_side_by_side_have_ports_of_their_own(wharf):
    names = [f"m{i}" for i in range(6)]
    d = wharf({**models(*names), "groups": {"all": {"swap": False, "members": names}}})
    together(6, lambda i: d.ok(d.chat(names[i])))
    ports = {d.model(n)["port"] for n in names}
    assert len(ports) == 6
    for n in names:
        assert content(d.ok(d.chat(n))).startswith(f"demo-model {n} ")


def test_another_daemons_models_are_no_leftovers(wharf):
    first, second = wharf(models("m")), wharf(models("m"))
    pid = first.load("m")["pid"]
    second.stop()
    second.start()
    second.load("m")
    assert first.model("m")["pid"] == pid and is_alive(pid)
    first.ok(first.chat("m"))


def test_cmd_stop_is_run_instead_of_a_signal(wharf, tmp_path):
    note = tmp_path / "note"
    d = wharf({"models": {"m": demo(
        "m", cmdStop=f"/bin/sh -c 'echo stop ${{PID}} >{note}; kill -TERM ${{PID}}'")}})
    pid = d.load("m")["pid"]
    d.ok(d.post("/wharf/models/m/unload"))
    assert note.read_text() == f"stop {pid}\n"


def test_check_endpoint(wharf):
    d = wharf({"models": {"m": demo("m", checkEndpoint="/props?x=1"),
                          "n": demo("n", checkEndpoint="/x?status=503")}})
    d.ok(d.chat("m"))
    events = d.events()
    call = Later(d.chat, "n")
    events.wait_for("model_loading", model="n")
    until(lambda: d.engines("n"), "the engine's process")
    assert not call.done and d.state_of("n") == "loading"
    d.ok(d.post("/wharf/models/n/unload?force=1"))
    answer = call.result()
    assert answer.status == 503 and answer.error["code"] == "model_unloaded", answer


def test_unload_while_loading(wharf, containment):
    d = wharf({"models": {"m": demo("m", "--never-ready")}}, **containment)
    events = d.events()
    calls = [Later(d.chat, "m") for _ in range(3)]
    events.wait_for("model_loading", model="m")
    d.until_model("m", waiting=3)
    d.ok(d.post("/wharf/models/m/unload?force=1"))
    for call in calls:
        assert call.result().status == 503
    assert not d.tree()


def test_the_engine_is_ready_soon_after_it_says_so(wharf):
    """Readiness is probed from the start on, not once a second. The machine may be busy elsewhere
    for some of the loads."""
    d = wharf({"models": {"m": demo("m", "--load-time", "20ms")}})
    events = d.events()
    took = []
    for _ in range(5):
        d.load("m")
        took.append(events.wait_for("model_loaded", model="m")["details"]["seconds"])
        d.ok(d.post("/wharf/models/m/unload"))
    assert min(took) < 0.5 * SLOWNESS, f"20 ms loads took {took} s"


def test_logs_of_an_engine_are_kept(wharf):
    d = wharf({"models": {"m": {"cmd": "/bin/sh -c 'echo one; echo two >&2; exec " + demo("m")["cmd"] + "'",
                                "proxy": "http://127.0.0.1:${PORT}"}}})
    d.load("m")
    with Connection(d.address) as c:
        head = c.request("GET", "/logs/stream/m").head()
        text = b""
        for piece in c.pieces(head):
            text += piece
            if b"listening on" in text:
                break
    assert text.startswith(b"one\ntwo\n"), text


def test_who_follows_a_log_goes_on_in_the_next_one(wharf):
    """One that has grown large is put aside at the next start."""
    d = wharf({"models": {"m": demo("m")}})
    d.load("m")
    with Connection(d.address) as c:
        pieces = c.pieces(c.request("GET", "/logs/stream/m?no-history").head())
        (log,) = (d.state / "logs").glob("m.log")
        with log.open("ab") as f:
            f.write(b"x" * (17 << 20) + b"the last of it\n")
        d.ok(d.post("/wharf/models/m/unload"))
        d.load("m")
        text = b""
        while b"listening on" not in text:
            text = text[-(1 << 10):] + next(pieces)
        assert b"the last of it\n" in text, text
    assert log.with_name("m.log.1").stat().st_size > 17 << 20


def test_an_engine_that_writes_without_end_does_no_harm(wharf):
    cmd = "/bin/sh -c 'yes a long line of log & exec " + demo("m")["cmd"] + "'"
    d = wharf({"models": {"m": {"cmd": cmd, "proxy": "http://127.0.0.1:${PORT}"}}})
    d.load("m")
    for i in range(20):
        d.ok(d.chat("m", f"n{i}"))
    d.ok(d.post("/wharf/models/m/unload?force=1"))
    assert not d.tree()


def test_main_process_gone_grandchildren_serving(wharf):
    """An engine whose main process ends has ended, whatever it left behind."""
    d = wharf({"models": {"m": {"cmd": "/bin/sh -c 'sleep 3600 & exec " + demo("m")["cmd"] + "'",
                                "proxy": "http://127.0.0.1:${PORT}"}}})
    events = d.events()
    pid = d.load("m")["pid"]
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m"))
    assert c.answer().status == 200
    os.kill(pid, signal.SIGTERM)
    wait_exit(pid)
    events.wait_for("model_unloaded", model="m")
    assert not d.tree()
