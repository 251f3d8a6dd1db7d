"""The commands against a daemon that speaks from a script: what they send, print and return."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("WHARF_BUILD_DIR", ROOT / "build")) / "wharf"
SECONDS_MAX = 10

MODELS = {"models": [
    {"id": "qwen", "state": "loaded", "placement": "cuda", "device": "sim0", "footprint_bytes": 11274289152,
     "footprint_source": "declared", "in_flight": 2, "waiting": 1, "last_used_s": None,
     "idle_unload_s": None, "pid": 42, "port": 5800, "reason": "commanded"},
    {"id": "org/tiny", "state": "loaded", "placement": "cpu", "device": None, "footprint_bytes": 1048576,
     "footprint_source": "estimated", "in_flight": 0, "waiting": 0, "last_used_s": 35.2,
     "idle_unload_s": 265, "pid": 43, "port": 5801, "reason": None},
    {"id": "broken", "state": "error", "device": None, "footprint_bytes": None,
     "footprint_source": None, "in_flight": 0, "waiting": 0, "last_used_s": None,
     "idle_unload_s": None, "pid": None, "port": None,
     "reason": "load_failed", "error": "exited with status 1\x1b]0;gotcha\x07\nlast line"},
]}


def answer(status, body, kind="application/json"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def stream(*pieces, ended=True):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(p), p) for p in pieces]
    return head + b"".join(chunks) + (b"0\r\n\r\n" if ended else b"")


class Daemon:
    """Answers each connection with the next of its answers; holds the last one open on demand."""

    def __init__(self, *answers, holds=False, path=None):
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen()
        self.url = f"unix:{path}" if path else "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.answers, self.holds, self.requests = answers, holds, []
        self.held = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        for text in self.answers:
            connection, _ = self.listener.accept()
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                self.requests.append(request.decode())
                connection.sendall(text)
                self.held.set()
                if self.holds:
                    with contextlib.suppress(ConnectionError):
                        connection.recv(1)

    def close(self):
        self.thread.join(SECONDS_MAX)
        assert not self.thread.is_alive(), "an answer was not asked for, or a connection not closed"
        self.listener.close()


def environment(url=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WHARF_U", "WHARF_K", "XDG_"))}
    if url:
        env["WHARF_URL"] = url
    return dict(env, **more)


def wharf(*args, url=None, stdin=subprocess.DEVNULL, **more):
    return subprocess.run([str(BINARY), *args], env=environment(url, **more), stdin=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS_MAX,
                          encoding="utf-8", errors="surrogateescape")


@pytest.fixture
def daemon():
    started = []

    def start(*answers, **options):
        started.append(Daemon(*answers, **options))
        return started[-1]

    yield start
    for d in started:
        d.close()


@pytest.mark.parametrize("args", [["help"], ["--help"], ["-h"]])
def test_overview_lists_the_commands(args):
    run = wharf(*args)
    assert (run.returncode, run.stderr) == (0, "")
    for name in "serve check status ps load unload mode run submit jobs logs events help version".split():
        assert re.search(rf"^  {name}  +\S", run.stdout, re.M), run.stdout


@pytest.mark.parametrize("name", "serve check status ps load unload mode run submit jobs logs events help version".split())
def test_help_of_each_command(name):
    run = wharf(name, "--help")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == wharf("help", name).stdout
    assert f"usage: wharf {name}" in run.stdout
    assert "Exit status:" in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80


@pytest.mark.parametrize("args", [["version"], ["--version"]])
def test_version(args):
    run = wharf(*args)
    assert run.returncode == 0
    assert re.fullmatch(r"wharf \S+\n", run.stdout)
    assert run.stdout == f"wharf {json.loads(wharf('version', '--json').stdout)['version']}\n"


@pytest.mark.parametrize("args,message", [
    ([], "a command is missing"),
    (["lod"], "unknown command 'lod'; did you mean 'load'?"),
    (["xyzzy"], "`wharf help` lists the commands"),
    (["help", "evnets"], "did you mean 'events'?"),
    (["--url", "x", "ps"], "unknown option before a command '--url'"),
    (["ps", "--jsno"], "did you mean '--json'?"),
    (["ps", "extra"], "unexpected 'extra'"),
    (["load"], "MODEL is missing"),
    (["unload"], "MODEL is missing, or --all"),
    (["unload", "a", "--all"], "exclude each other"),
    (["serve"], "--config FILE is missing, as in `wharf serve --config wharf.yaml`"),
    (["serve", "--config", "x", "--listen", "here"], "--listen 'here' is neither HOST:PORT nor"),
    (["events", "--count", "many"], "'many' is not a whole number"),
    (["events", "--since", "tomorrow"], "'tomorrow' is not a whole number"),
    (["ps", "--url", "ftp://x"], "http://HOST:PORT or unix:/PATH"),
    (["ps", "--key", "a\nb"], "the key holds control bytes"),
])
def test_wrong_usage(args, message):
    run = wharf(*args)
    assert run.returncode == 2
    assert run.stdout == ""
    assert message in run.stderr


@pytest.mark.parametrize("args", [["ps"], ["load", "m"], ["unload", "m"], ["unload", "--all"],
                                  ["events"], ["logs"], ["logs", "-f", "m"], ["status"], ["ps"], ["queue"],
                                  ["devices"], ["why"], ["mode"], ["plan", "m"], ["pin", "m"], ["move", "m", "cpu"],
                                  ["suspend", "m"], ["resume", "m"], ["lease"], ["lease", "hold", "--gate", "x"],
                                  ["lease", "end", "7:x"], ["run", "--gate", "x", "true"],
                                  ["submit", "--gate", "x", "true"]])
def test_not_reachable(args):
    with socket.socket() as bound:  # without listen, it refuses
        bound.bind(("127.0.0.1", 0))
        where = "127.0.0.1:%d" % bound.getsockname()[1]
        run = wharf(args[0], "--url", f"http://{where}", *args[1:])
    assert run.returncode == 69
    assert run.stderr == (f"wharf: cannot reach wharf at {where}: Connection refused "
                          "(is `wharf serve` running? --url or $WHARF_URL says where)\n")


def test_ps(daemon):
    d = daemon(answer(200, MODELS))
    run = wharf("ps", url=d.url, WHARF_KEY="secret")
    assert (run.returncode, run.stderr) == (0, "")
    assert [line.rstrip() for line in run.stdout.splitlines()] == [
        "MODEL     STATE   PLACEMENT  DEVICE  SIZE     BUSY  WAITING  IDLE/UNTIL",
        "qwen      loaded  cuda       sim0    10.5GiB  2     1        -",
        "org/tiny  loaded  cpu        -       ~1MiB    0     0        35s/4m25s",
        "broken    error   -          -       -        0     0        -",
        "broken: load_failed: exited with status 1\\x1b]0;gotcha\\x07",
    ]
    assert d.requests[0].startswith("GET /wharf/models HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer secret\r\n" in d.requests[0]


def test_status(daemon):
    """What is not known is left out or '-', and nothing of it moves a terminal."""
    d = daemon(answer(200, {
        "version": "1.2", "state": "serving", "uptime_s": 7380.5, "mode": "a\x1b[2J", "mode_reached": False,
        "scheduler": "fair", "planner": "fit", "models": 3, "loaded": 2, "model_list": [
            {"id": "vlm", "state": "loaded", "placement": "cuda"}, {"id": "clip", "state": "loaded", "placement": None},
            {"id": "idle", "state": "unloaded", "placement": None}],
        "jobs": {"active": 1, "waiting": 2, "processed": 33, "failed": 4, "cancelled": None},
        "devices": [{"name": "sim", "present": True, "used_bytes": 2 ** 30, "total_bytes": 12 * 2 ** 30,
                     "peak_bytes": None, "utilisation_percent": 7},
                    {"name": "gone", "present": False}],
        "backends": [{"kind": "ollama", "name": "http://h:1", "up": False}, {"kind": "worker", "name": "w", "up": True}],
        "degradations": [{"what": "gpu", "name": None, "reason": "no\x07bell"}]}))
    run = wharf("status", url=d.url)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == [
        "wharf 1.2, serving for 2h3m", "mode a\\x1b[2J (not reached yet)", "scheduler fair, planner fit",
        "jobs: 1 active, 2 waiting, 33 processed, 4 failed, - cancelled",
        "models: 2 of 3 loaded: vlm on cuda, clip", "device sim: 1GiB of 12GiB used, 7% busy", "device gone: absent",
        "ollama http://h:1: down", "worker w: up", "degraded: gpu: no\\x07bell"]
    assert d.requests[0].startswith("GET /wharf/status HTTP/1.1\r\n")


def test_mode_waits(daemon):
    d = daemon(answer(200, {"mode": "work", "reached": True}))
    assert wharf("mode", "work", "--wait", "--timeout", "7", url=d.url).stdout == "mode work\n"
    assert d.requests[0].startswith("PUT /wharf/mode?wait=1&timeout=7 HTTP/1.1\r\n")


def test_mode_says_what_is_missing(daemon):
    d = daemon(answer(200, {"mode": "work", "reached": False, "modes": {"work": {"a": "cpu", "b": "loaded"}}, "models": [
        {"model": "a", "wish": "cpu", "reached": False, "failed": True, "why": "no\x1b[2J"},
        {"model": "b", "wish": "loaded", "reached": False, "failed": False, "why": "it is loading"},
        {"model": "c", "wish": "unloaded", "reached": True, "failed": False, "why": None}]}))
    assert wharf("mode", url=d.url).stdout.splitlines() == [
        "mode work (not reached yet)", "  work: a cpu, b loaded", "a is not on cpu: no\\x1b[2J",
        "b is not loaded yet: it is loading"]


def test_ps_json_is_what_came(daemon):
    d = daemon(answer(200, json.dumps(MODELS, ensure_ascii=False, indent=2).encode()))
    run = wharf("ps", "--json", "--url", d.url)
    assert run.returncode == 0
    assert json.loads(run.stdout) == MODELS
    assert run.stdout.count("\n") == 1


def test_options_win_over_the_environment(daemon):
    d = daemon(answer(200, MODELS))
    run = wharf("ps", f"--url={d.url}", "--key=mine", url="http://127.0.0.1:1", WHARF_KEY="other")
    assert run.returncode == 0
    assert "Bearer mine\r\n" in d.requests[0]


def test_the_users_socket_is_found(daemon, tmp_path):
    if pathlib.Path("/run/wharf/wharf.sock").exists():
        pytest.skip("a daemon of this machine's own comes first")
    (tmp_path / "wharf").mkdir()
    daemon(answer(200, MODELS), path=str(tmp_path / "wharf/wharf.sock"))
    assert wharf("ps", XDG_RUNTIME_DIR=str(tmp_path)).returncode == 0


def test_head_ends_it_quietly(daemon):
    many = {"models": [dict(MODELS["models"][0], id=f"m{i}") for i in range(20000)]}
    d = daemon(answer(200, many))
    for ignored in (signal.SIG_DFL, signal.SIG_IGN):
        if ignored == signal.SIG_IGN:
            d = daemon(answer(200, many))
        process = subprocess.Popen([str(BINARY), "ps"], env=environment(d.url), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   restore_signals=ignored == signal.SIG_DFL)
        assert process.stdout.readline().startswith("MODEL")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(SECONDS_MAX) == -signal.SIGPIPE


def test_a_full_disk_is_told(daemon):
    d = daemon(answer(200, MODELS))
    with open("/dev/full", "w") as full:
        run = subprocess.run([str(BINARY), "ps"], env=environment(d.url), stdout=full,
                             stderr=subprocess.PIPE, text=True, timeout=SECONDS_MAX)
    assert run.returncode == 1
    assert run.stderr == "wharf: cannot write to stdout: No space left on device\n"


def test_load(daemon):
    d = daemon(answer(200, {"id": "org/tiny", "state": "loaded", "device": "sim0"}))
    run = wharf("load", "org/tiny", url=d.url)
    assert (run.returncode, run.stdout, run.stderr) == (0, "org/tiny: loaded on sim0\n", "")
    assert d.requests[0].startswith("POST /wharf/models/org%2Ftiny/load HTTP/1.1\r\n")


def test_load_failed(daemon):
    error = {"error": {"code": "load_failed", "message": "exited with status 1\n\x1b[2Jlast line"}}
    d = daemon(answer(502, error), answer(502, error))
    run = wharf("load", "m", url=d.url)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == ("wharf: cannot load 'm': exited with status 1\n"
                          "    \\x1b[2Jlast line\n")
    run = wharf("load", "m", "--json", url=d.url)
    assert run.returncode == 1
    assert json.loads(run.stdout) == error


@pytest.mark.parametrize("args,request_line", [
    (["m"], "POST /wharf/models/m/unload HTTP/1.1"),
    (["--force", "m"], "POST /wharf/models/m/unload?force=1 HTTP/1.1"),
    (["--all"], "GET /unload HTTP/1.1"),
])
def test_unload(daemon, args, request_line):
    state = {"id": "m", "state": "unloaded", "device": "sim0"}
    body = b"OK" if args == ["--all"] else json.dumps(state).encode()
    d = daemon(answer(200, body))
    run = wharf("unload", *args, url=d.url)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == ("all models: unloaded\n" if args == ["--all"] else "m: unloaded\n")
    assert d.requests[0].startswith(request_line + "\r\n")


@pytest.mark.parametrize("status, ends_with", [
    (400, 2), (404, 2), (507, 2),  # asked for what is not there or can never be
    (408, 75), (429, 75), (503, 75),  # not now
    (401, 1), (409, 1), (500, 1), (501, 1), (502, 1)])
@pytest.mark.parametrize("args", [["load", "m"], ["unload", "m"], ["mode", "x"], ["events"], ["queue"],
                                  ["plan", "--vram", "1GiB"], ["lease", "end", "7:x"]])
def test_status_of_a_refusal(daemon, args, status, ends_with):
    d = daemon(answer(status, {"error": {"code": "whatever", "message": "no"}}))
    run = wharf(*args, url=d.url)
    assert (run.returncode, run.stdout) == (ends_with, "")
    assert run.stderr.startswith("wharf: cannot ")


@pytest.mark.parametrize("code, ends_with", [("insufficient_memory", 2), ("wait_expired", 75), ("queue_full", 75),
                                             ("conflict", 1), ("of a later daemon", 1)])
def test_status_of_a_lease_that_is_refused_later(daemon, code, ends_with):
    line = json.dumps({"state": "refused", "error": {"code": code, "message": "no"}}).encode() + b"\n"
    d = daemon(stream(line))
    assert wharf("lease", "hold", "--vram", "1GiB", url=d.url).returncode == ends_with


def test_unauthorized(daemon):
    d = daemon(*[answer(401, {"error": {"code": "unauthorized", "message": "no key"}})] * 3)
    assert "no key (--key or $WHARF_KEY gives the key)" in wharf("ps", url=d.url).stderr
    assert "gave one that is not accepted" in wharf("ps", "--key", "x", url=d.url).stderr
    assert wharf("logs", url=d.url).returncode == 1


@pytest.mark.parametrize("text,message", [
    (answer(200, b"<html>", "text/html"), "is not wharf: no JSON came"),
    (answer(404, b"404 page not found\n", "text/plain"), "404 page not found"),
    (b"220 mail ESMTP\r\n\r\n", "does not speak HTTP/1.1"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "in the middle of its answer"),
    (b"", "without an answer"),
])
def test_what_answers_is_no_wharf(daemon, text, message):
    run = wharf("ps", url=daemon(text).url)
    assert run.returncode == 1
    assert message in run.stderr


EVENTS = [
    b'id: 7\nevent: model_loaded\ndata: {"id":7,"time":"2026-01-02T03:04:05.678Z",'
    b'"type":"model_loaded","details":{"model":"qwen","seconds":0.011,"why":"a request",'
    b'"on":["sim0"],"ok":true}}\n\n',
    b': still there\n\n',
    b'id: 8\nevent: evicted\ndata: {"id":8,"time":"2026-01-02T03:04:06.000Z","type":"evicted",'
    b'"details":{"model":"\\u001b[31m"}}\n\n',
    b'event: gap\ndata: {"missed":3}\n\n',
]
EVENT_LINES = [
    '2026-01-02T03:04:05.678Z model_loaded model=qwen seconds=0.011 why="a request" on=["sim0"] '
    'ok=true',
    '2026-01-02T03:04:06.000Z evicted model=\\x1b[31m',
    '- gap missed=3',
]


def test_events(daemon):
    d = daemon(stream(*EVENTS))
    run = wharf("events", "--since", "6", url=d.url)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == EVENT_LINES
    assert "\r\nLast-Event-ID: 6\r\n" in d.requests[0]
    assert "\r\nAccept: text/event-stream\r\n" in d.requests[0]


def test_events_count_leaves_an_open_stream(daemon):
    d = daemon(stream(*EVENTS, ended=False), holds=True)
    run = wharf("events", "--count", "1", "--json", url=d.url)
    assert run.returncode == 0
    assert [json.loads(line)["id"] for line in run.stdout.splitlines()] == [7]


def test_events_come_as_they_happen(daemon):
    d = daemon(stream(*EVENTS, ended=False), holds=True)
    with subprocess.Popen([str(BINARY), "events"], env=environment(d.url), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert [process.stdout.readline().rstrip("\n") for _ in EVENT_LINES] == EVENT_LINES
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_MAX) == -signal.SIGINT
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_events_that_end_too_early(daemon):
    run = wharf("events", "-n", "4", url=daemon(stream(*EVENTS)).url)
    assert run.returncode == 1
    assert "ended the stream after 3 of 4 events" in run.stderr
    run = wharf("events", url=daemon(stream(*EVENTS, ended=False)).url)
    assert run.returncode == 1
    assert run.stdout.splitlines() == EVENT_LINES
    assert "in the middle of its answer" in run.stderr


def test_load_is_left_by_ctrl_c(daemon):
    d = daemon(b"", holds=True)
    with subprocess.Popen([str(BINARY), "load", "m"], env=environment(d.url), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert d.held.wait(SECONDS_MAX)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_MAX) == -signal.SIGINT
        assert process.stderr.read().startswith("wharf: no longer waiting to load 'm'")


def test_logs(daemon):
    text = "caf\u00e9 \x1b[31mred\x1b[0m\n\tprogress 1%\rprogress 2%\n".encode() + b"\xff\n"
    d = daemon(answer(200, text, "text/plain"))
    run = wharf("logs", url=d.url)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == ("caf\u00e9 \\x1b[31mred\\x1b[0m\n\tprogress 1%\\rprogress 2%\n\\xff\n")
    assert d.requests[0].startswith("GET /logs HTTP/1.1\r\n")


@pytest.mark.parametrize("args,path", [
    (["-f"], "/logs/stream"),
    (["-f", "org/tiny"], "/logs/stream/org%2Ftiny"),
    (["org/tiny"], "/logs/stream/org%2Ftiny?no-follow"),
])
def test_logs_of_a_stream(daemon, args, path):
    d = daemon(stream("caf\u00e9 ".encode()[:4], "caf\u00e9 ".encode()[4:], b"end\n"))
    run = wharf("logs", *args, url=d.url)
    assert (run.returncode, run.stdout, run.stderr) == (0, "caf\u00e9 end\n", "")
    assert d.requests[0].startswith(f"GET {path} HTTP/1.1\r\n")


def test_logs_of_a_model_end_though_the_stream_does_not(daemon):
    d = daemon(stream(b"one\n", ended=False), holds=True)
    run = wharf("logs", "m", url=d.url)
    assert (run.returncode, run.stdout, run.stderr) == (0, "one\n", "")


def test_logs_of_an_unknown_model(daemon):
    d = daemon(answer(400, {"error": "invalid logger"}))
    run = wharf("logs", "-f", "m", url=d.url)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "wharf: cannot read the logs: invalid logger\n"


def test_closed_descriptors_are_not_reused(daemon):
    d = daemon(answer(200, MODELS))
    run = subprocess.run(["sh", "-c", '"$0" ps <&- >&- 2>&-', str(BINARY)],
                         env=environment(d.url), timeout=SECONDS_MAX)
    assert run.returncode == 0
    assert d.requests[0].startswith("GET /wharf/models HTTP/1.1\r\n")


CONFIG = """\
models:
  one:
    cmd: wharf-demo-model --port ${PORT}
  two:
    cmd: wharf-demo-model --port ${PORT}
    tll: 5
"""


def test_check_of_a_good_file(tmp_path):
    path = tmp_path / "wharf.yaml"
    path.write_text(CONFIG)
    run = wharf("check", str(path))
    assert (run.returncode, run.stdout) == (0, f"{path}: ok, 2 models\n")
    assert re.fullmatch(rf"{re.escape(str(path))}:6:5: warning: .*'tll'.*'ttl'.*\n", run.stderr)
    report = json.loads(wharf("check", "--json", str(path)).stdout)
    assert (report["ok"], report["models"], report["warnings"]) == (True, 2, 1)
    printed = tmp_path / "printed.yaml"
    printed.write_text(wharf("check", str(path), "--print").stdout)
    assert wharf("check", str(printed)).stdout == f"{printed}: ok, 2 models\n"


@pytest.mark.parametrize("command", [["check"], ["serve", "--config"]])
def test_a_bad_file(tmp_path, command):
    path = tmp_path / "wharf.yaml"
    path.write_text(CONFIG.replace("models:", "models:\n  none: {}\n  bad: {cmd: x, ttl: soon}"))
    run = wharf(*command, str(path))
    assert (run.returncode, run.stdout) == (2, "")
    assert len(re.findall(rf"^{re.escape(str(path))}:\d+:\d+: error: ", run.stderr, re.M)) >= 2
    assert "errors in the configuration" in run.stderr


def test_no_file(tmp_path):
    run = wharf("check", str(tmp_path / "absent.yaml"))
    assert run.returncode == 2
    assert "No such file or directory" in run.stderr


def test_the_state_folder_cannot_be_made(tmp_path):
    path = tmp_path / "wharf.yaml"
    path.write_text(CONFIG)
    run = wharf("serve", "--config", str(path), "--state", str(path))
    assert run.returncode == 1
    assert f"'{path}' is not a folder" in run.stderr
