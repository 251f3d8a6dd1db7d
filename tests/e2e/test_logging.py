"""The daemon's log: its forms, the lines of requests, and what becomes of it when nobody reads."""

import contextlib
import json
import os
import pty
import re
import shlex
import socket
import struct
import subprocess
import threading
import urllib.parse

import pytest

from wharf_harness import WHARF, WRAP, demo, until

OWN_LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info |warn |error) \S.*"
# What is in the log of a request, whatever form it has.
SECRET = "sk-very-secret"


def config(**keys):
    return {"models": {"m": demo("m")}, **keys}


def redirected(tmp_path, where, before=""):
    """A command line for a daemon whose output goes somewhere else; see the fixture `wharf`."""
    line = f'{before} exec "$@" >{shlex.quote(str(where))} 2>&1'
    return ["/bin/sh", "-c", line, "sh", *WRAP, str(WHARF), "serve", "--config",
            str(tmp_path / "daemon1" / "wharf.yaml")]


def entries(d):
    """All of the log, each line of which is an object."""
    return [json.loads(line) for line in d.stderr_path.read_bytes().decode().splitlines()]


def requests_in(entries_, path):
    return [e for e in entries_ if e.get("path") == path]


def log_output(d):
    return d.ok(d.get("/wharf/status")).json()["limits"]["log_output"]


# ---------------------------------------------------------------- forms


@pytest.mark.slice
def test_json(wharf):
    d = wharf(config(log={"format": "json"}, keys=[{"key": SECRET, "name": "ci \"1\""}]))
    me = {"Authorization": f"Bearer {SECRET}"}
    answer = d.ok(d.ask("POST", "/v1/chat/completions", {"model": "m", "messages": []},
                            {**me, "User-Agent": 'tester "1"', "X-Request-Id": "r-1"}))
    d.get("/nothing?secret=1", me)
    assert d.get("/v1/models").status == 401
    until(lambda: requests_in(entries(d), "/v1/models"), "the lines")
    found = entries(d)
    for e in found:
        assert list(e)[:3] == ["time", "level", "msg"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"])
        assert e["level"] in ("debug", "info", "warn", "error")
    chat = requests_in(found, "/v1/chat/completions")[0]
    assert chat["msg"].startswith('Request 127.0.0.1 "POST /v1/chat/completions HTTP/1.1" 200 ')
    wanted = {"method": "POST", "status": 200, "bytes": len(answer.body), "client": "127.0.0.1",
              "user_agent": 'tester "1"', "key": 'ci "1"', "model": "m", "request_id": "r-1"}
    assert {k: chat[k] for k in wanted} == wanted
    assert 0 < chat["waited_ms"] <= chat["ms"] and chat["request"] > 0
    nothing, refused = requests_in(found, "/nothing")[0], requests_in(found, "/v1/models")[-1]
    assert nothing["status"] == 404 and "model" not in nothing and "waited_ms" not in nothing
    assert refused["status"] == 401 and "key" not in refused
    ready = next(e for e in found if e["msg"] == "ready")
    assert ready["model"] == "m" and ready["pid"] in d.tree() and isinstance(ready["port"], int)
    loaded = next(e for e in found if e["msg"] == "model_loaded")
    assert loaded["details"]["model"] == "m"
    assert SECRET not in d.stderr and "secret=1" not in d.stderr


def test_lines_for_people_are_what_there_is_without_a_word(wharf):
    d = wharf(config())
    d.load("m")
    lines = until(lambda: "model_loaded" in d.stderr and d.stderr.splitlines(), "the lines")
    for line in lines:
        assert re.fullmatch(OWN_LINE, line), line
    assert re.search(r" m ready pid=\d+ port=\d+$", d.stderr, re.M)


def test_the_form_is_taken_over_by_a_reload(wharf):
    d = wharf(config())
    d.reload(config(log={"format": "json"}))
    d.get("/running")
    d.reload(config(log={"format": "human"}, logLevel="debug"))
    lines = d.stderr.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("{"))
    behind = next(i for i, line in enumerate(lines) if i > first and not line.startswith("{"))
    members = [json.loads(line) for line in lines[first:behind]]
    assert requests_in(members, "/running")
    assert all(re.fullmatch(OWN_LINE, line) for line in lines[:first] + lines[behind:])
    d.reload(config(logLevel="warn"))
    before = d.stderr
    d.ok(d.get("/running"))
    d.ok(d.get("/running"))
    assert d.stderr == before


def test_the_command_line_goes_first(wharf):
    d = wharf(config(log={"format": "human"}), args=["--log-format", "json"])
    assert entries(d)


def test_a_form_that_there_is_not(wharf, tmp_path):
    (tmp_path / "wharf.yaml").write_text("models: {}\n")
    run = subprocess.run([WHARF, "serve", "--config", tmp_path / "wharf.yaml", "--log-format", "xml"],
                         capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 2 and "none of auto, human, json and journald" in run.stderr
    (tmp_path / "wharf.yaml").write_text("log: {format: xml, access: some}\n")
    run = subprocess.run([WHARF, "check", tmp_path / "wharf.yaml"], capture_output=True, text=True,
                         timeout=30, check=False)
    assert "xml" in run.stderr + run.stdout and "some" in run.stderr + run.stdout


def test_logs_are_lines_for_people_whatever_goes_out(wharf):
    d = wharf(config(log={"format": "json"}))
    d.get("/running")
    text = until(lambda: "/running" in d.ok(d.get("/logs")).text and d.get("/logs").text, "the line")
    assert all(re.fullmatch(OWN_LINE, line) for line in text.splitlines())
    run = subprocess.run([WHARF, "logs", "--url", d.url], capture_output=True, text=True, timeout=30, check=True)
    assert re.search(r'Z info  Request \S+ "GET /running HTTP/1.1" 200', run.stdout)


# ---------------------------------------------------------------- what others make of it


HOSTILE = b'x"\\\xff\xfe\xc2\x9b31m\t{"level":"error"}\xe2\x80\xa8y'


@pytest.mark.slice
@pytest.mark.parametrize("form", ["human", "json"])
def test_nobody_forges_a_line(wharf, form):
    name = "a\u2028b\u202e"
    d = wharf({"models": {"m": demo("m"), name: demo("n")}, "log": {"format": form}})
    d.ok(d.post(f"/wharf/models/{urllib.parse.quote(name)}/load"))
    c = d.connect()
    c.send(b"GET /running%0a%22%1b?x HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: " + HOSTILE +
           b"\r\nX-Forwarded-For: " + HOSTILE + b"\r\nUser-Agent: " + HOSTILE + b"\r\n\r\n")
    c.head()
    raw = until(lambda: b"/running%0a" in d.stderr_path.read_bytes() and d.stderr_path.read_bytes(), "the line")
    text = raw.decode()  # is UTF-8
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text)
    if form == "json":
        line = requests_in(entries(d), "/running%0a%22%1b")[0]
        assert line["user_agent"] == 'x"\\\ufffd\ufffd\x9b31m\t{"level":"error"}\u2028y'
        assert line["request_id"] == line["user_agent"]
        assert any(e.get("model") == name for e in entries(d))
    else:
        assert all(re.fullmatch(OWN_LINE, line) for line in text.split("\n")[:-1])
        assert r'"x\"\\\xff\xfe\xc2\x9b31m\x09{\"level\":\"error\"}\xe2\x80\xa8y"' in text
        assert "\u2028" not in text and "\x9b" not in text


# ---------------------------------------------------------------- requests


def test_which_requests_have_a_line(wharf):
    d = wharf(config(log={"access": "errors", "format": "json"}))

    def paths():
        return [e["path"] for e in entries(d) if "path" in e]

    d.ok(d.get("/running"))
    d.get("/nothing/1")
    until(lambda: "/nothing/1" in paths(), "its line")
    assert paths() == ["/nothing/1"]
    d.reload(config(log={"access": "off", "format": "json"}))
    d.get("/nothing/2")
    d.reload(config(log={"access": "on", "format": "json"}))
    d.get("/nothing/3")
    d.ok(d.get("/running"))
    until(lambda: "/running" in paths(), "its line")
    assert [p for p in paths() if p.startswith("/nothing")] == ["/nothing/1", "/nothing/3"]


def test_who_leaves_is_an_error(wharf):
    d = wharf({"models": {"m": demo("m", "--load-time", "30s")}, "log": {"access": "errors", "format": "json"}})
    events = d.events()
    c = d.connect()
    c.request("POST", "/v1/chat/completions", {"model": "m", "messages": []})
    events.wait_for("model_loading")
    c.close()
    line = until(lambda: requests_in(entries(d), "/v1/chat/completions"), "the line")[0]
    assert line["status"] == 499 and line["model"] == "m" and "waited_ms" not in line


# ---------------------------------------------------------------- nobody reads


@pytest.mark.slice
def test_nobody_reads_the_log(wharf, tmp_path):
    """Every request is answered, what is too much is counted, and whoever reads again is told."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with open(reader, "rb") as out:
        d = wharf(config(), command=redirected(tmp_path, pipe))
        agent = {"User-Agent": "\x80" * 250}
        c = d.connect()
        asked = 0
        while log_output(d)["refused"] < 10:
            for _ in range(100):
                c.request("GET", "/running", None, agent)
                assert c.answer().status == 200
            asked += 100
        limit = log_output(d)
        assert limit["used"] <= limit["max"]
        text = b""

        def missing():
            nonlocal text
            with contextlib.suppress(BlockingIOError):
                text += out.read() or b""
            return re.search(rb"lines of the log are missing here, since nobody took them count=(\d+)\n", text)

        count = int(until(missing, "the line")[1])
        told = len(re.findall(rb'"GET /running HTTP/1.1" 200', text))
        assert count >= 10 and told < asked
        assert all(re.fullmatch(OWN_LINE, line) for line in text.decode().splitlines())
        until(lambda: log_output(d)["used"] == 0, "nothing waits")
        d.stop()


# ---------------------------------------------------------------- the journal


class Journal:
    """A socket in a folder that a daemon in a mount namespace of its own finds at /run."""

    def __init__(self, folder):
        self.run = folder / "run"
        (self.run / "systemd" / "journal").mkdir(parents=True)
        self.path = self.run / "systemd" / "journal" / "socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        self.entries = []

    def close(self):
        self.socket.close()

    def before(self):
        return f"mount --bind {shlex.quote(str(self.run))} /run &&"

    def receive(self):
        """All that has come: an entry's fields, by their names."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.entries.append(self.parse(self.socket.recv(1 << 20)))
        return self.entries

    @staticmethod
    def parse(data):
        fields = {}
        while data:
            end = data.index(b"\n")
            name, has_value, value = data[:end].partition(b"=")
            if has_value:
                data = data[end + 1:]
            else:
                size, = struct.unpack_from("<Q", data, end + 1)
                value, data = data[end + 9:end + 9 + size], data[end + 10 + size:]
            assert name.decode() not in fields
            fields[name.decode()] = value.decode(errors="surrogateescape")
        return fields


@pytest.fixture
def journal(tmp_path):
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces for this user")
    j = Journal(tmp_path)
    yield j
    j.close()


def in_namespace(tmp_path, where, j):
    return ["unshare", "--mount", *redirected(tmp_path, where, j.before())]


def test_the_journal(journal, wharf, tmp_path):
    log = tmp_path / "log"
    d = wharf(config(log={"format": "journald"}, keys=[{"key": SECRET, "name": "ci"}]),
              command=in_namespace(tmp_path, log, journal))
    me = {"Authorization": f"Bearer {SECRET}", "User-Agent": "tester"}
    d.ok(d.ask("POST", "/v1/chat/completions", {"model": "m", "messages": []}, me))
    d.get("/nothing", me)
    d.stop()
    found = journal.receive()
    for e in found:
        assert e["SYSLOG_IDENTIFIER"] == "wharf" and e["PRIORITY"] in "3467" and e["MESSAGE"]
        assert not re.match(r"\d{4}-", e["MESSAGE"])  # the journal has the time
    chat = next(e for e in found if e.get("WHARF_PATH") == "/v1/chat/completions")
    assert chat["PRIORITY"] == "6" and chat["WHARF_MODEL"] == "m" and chat["WHARF_STATUS"] == "200"
    assert chat["WHARF_USER_AGENT"] == "tester" and chat["WHARF_KEY"] == "ci"
    assert float(chat["WHARF_MS"]) >= float(chat["WHARF_WAITED_MS"]) > 0
    assert re.fullmatch(r'Request 127.0.0.1 "POST /v1/chat/completions HTTP/1.1" 200 .*', chat["MESSAGE"])
    ready = next(e for e in found if e["MESSAGE"].startswith("m ready pid="))
    assert ready["WHARF_PID"].isdigit() and ready["WHARF_MODEL"] == "m"
    assert log.read_text() == ""
    assert not any(SECRET in value for e in found for value in e.values())


@pytest.mark.parametrize("leads_there", [True, False])
def test_the_journal_where_stderr_leads_there(journal, wharf, tmp_path, leads_there):
    log = tmp_path / "log"
    log.touch()
    at = log.stat()
    stream = f"{at.st_dev}:{at.st_ino + (not leads_there)}"
    d = wharf(config(), command=in_namespace(tmp_path, log, journal), env={"JOURNAL_STREAM": stream})
    d.stop()
    assert bool(journal.receive()) == leads_there and bool(log.read_text()) != leads_there


def test_a_journal_that_is_busy(journal, wharf, tmp_path):
    d = wharf(config(), command=in_namespace(tmp_path, tmp_path / "log", journal), args=["--log-format", "journald"])
    c = d.connect()
    while log_output(d)["refused"] < 5:
        for _ in range(20):
            c.request("GET", "/running")
            assert c.answer().status == 200
    journal.receive()
    c.request("GET", "/running")
    assert c.answer().status == 200
    told = until(lambda: [e for e in journal.receive() if "missing here" in e["MESSAGE"]], "the entry")
    assert len(told) == 1 and int(told[0]["WHARF_COUNT"]) >= 5 and told[0]["PRIORITY"] == "4"
    d.stop()


def test_without_a_journal_lines_go_where_they_would(wharf, tmp_path, journal):
    journal.close()
    journal.path.unlink()
    log = tmp_path / "log"
    d = wharf(config(log={"format": "journald"}), command=in_namespace(tmp_path, log, journal))
    d.get("/running")
    d.stop()
    lines = log.read_text().splitlines()
    assert all(re.fullmatch(OWN_LINE, line) for line in lines)
    assert sum("the journal cannot be reached" in line for line in lines) == 1
    assert any('"GET /running HTTP/1.1"' in line for line in lines)


# ---------------------------------------------------------------- a terminal


class Terminal:
    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.name, self.text = os.ttyname(self.slave), b""
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with contextlib.suppress(OSError):
            while piece := os.read(self.master, 65536):
                self.text += piece

    def close(self):
        os.close(self.slave)
        self.thread.join()
        os.close(self.master)


@pytest.fixture
def terminal():
    t = Terminal()
    yield t
    t.close()


def printing(text):
    """A model whose server prints that before it serves."""
    model = demo("m")
    return {**model, "cmd": "/bin/sh -c 'printf %s; exec %s'" % (json.dumps(text), model["cmd"])}


DRIVES = "\\033[31mred\\033[0m\\033]0;title\\007\\033[2J\\033[6n one\\nbehind\\n"


@pytest.mark.slice
def test_a_terminal(terminal, wharf, tmp_path):
    d = wharf({"models": {"m": printing(DRIVES)}, "logToStdout": "both"}, command=redirected(tmp_path, terminal.name))
    d.load("m")
    until(lambda: b"behind" in terminal.text and b"model_loaded" in terminal.text, "the lines")
    assert b"\033[31mred\033[0m one\r\nbehind\r\n" in terminal.text
    assert re.search(rb"\033\[m\d{4}-\S+Z \033\[32minfo  \033\[mm model_loaded ", terminal.text)
    assert not re.search(rb"\033(?!\[[0-9;:]*m)|\007", terminal.text)
    d.stop()


@pytest.mark.parametrize("env, args", [({"NO_COLOR": "1"}, []), ({}, ["--no-color"])])
def test_a_terminal_without_colours(terminal, wharf, tmp_path, env, args):
    d = wharf({"models": {"m": printing(DRIVES)}, "logToStdout": "both"}, env=env, args=args,
              command=redirected(tmp_path, terminal.name))
    d.load("m")
    until(lambda: b"behind" in terminal.text and b"model_loaded" in terminal.text, "the lines")
    assert b"red one\r\nbehind\r\n" in terminal.text and b"\033" not in terminal.text
    d.stop()


def test_what_models_print_is_not_touched_elsewhere(wharf):
    d = wharf({"models": {"m": printing(DRIVES)}, "logToStdout": "upstream"})
    d.load("m")
    until(lambda: b"behind\n" in d.stderr_path.read_bytes(), "the lines")
    assert b"\033[31mred\033[0m\033]0;title\007\033[2J\033[6n one\nbehind\n" in d.stderr_path.read_bytes()


def test_what_models_print_is_json_in_json(wharf):
    d = wharf({"models": {"m": printing(DRIVES)}, "logToStdout": "both", "log": {"format": "json"}})
    d.load("m")
    until(lambda: any(e["msg"] == "behind" for e in entries(d)), "the lines")
    printed = [e["msg"] for e in entries(d) if e.get("source") == "models"]
    assert printed[:2] == ["\033[31mred\033[0m\033]0;title\007\033[2J\033[6n one", "behind"]
