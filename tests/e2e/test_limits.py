"""The bounds of the daemon, each driven to its end: what stands in src/server/limits.def.

The tests of connections are in test_crowds.py. Each row of the table names its test; here it is also looked at
whether those exist, and whether /wharf/status shows what the table says.
"""

import contextlib
import re
import runpy
import sys

from leases import Lease
from wharf_harness import ROOT, Connection, chat_body, check_config, content, demo, is_alive, models, until

CHAT = "/v1/chat/completions"
sys.path.insert(0, str(ROOT / "tools"))
GEN_DOCS = runpy.run_path(str(ROOT / "tools/gen-docs"), run_name="gen_docs")
ROWS = {a[0]: a for _, a in GEN_DOCS["rows"]("src/server/limits.def", "LIMIT")}
NAME, UNIT, SETTING, DEFAULT = range(4)
UNITS = {"": 1, "s": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def limits(d):
    return d.ok(d.get("/wharf/status")).json()["limits"]


def number(text):
    digits, unit = re.fullmatch(r"(\d+)(\w*)", text).groups()
    return int(digits) * UNITS[unit]


# ---------------------------------------------------------------- the table


def test_each_row_names_a_test():
    for name, row in ROWS.items():
        path, test = row[-1].split("::")
        kind = "static void" if path.endswith(".c") else "def"
        assert re.search(rf"^{kind} {test}\(", (ROOT / path).read_text(), re.M), f"{name}: {row[-1]} does not exist"


def test_the_status_shows_every_row(wharf):
    """With the maximum that the table says is the default."""
    now = limits(wharf(models("m")))
    assert list(now) == list(ROWS)
    for name, row in ROWS.items():
        assert set(now[name]) == {"unit", "setting", "used", "max", "refused"}
        assert (now[name]["unit"], now[name]["setting"]) == (row[UNIT], row[SETTING] or None)
        if row[DEFAULT] != "-":
            assert now[name]["max"] == number(row[DEFAULT]), name


def test_settings_are_there():
    known = {(GEN_DOCS["unquote"](a[0]), a[1]) for _, a in GEN_DOCS["rows"]("src/config/settings.def", "SETTING")}
    places = {a[0]: a[1] for _, a in GEN_DOCS["rows"]("src/config/settings.def", "SCOPE")}
    paths = {(places[scope] + "." if places[scope] else "") + key for scope, key in known}
    for row in ROWS.values():
        assert not row[SETTING] or row[SETTING] in paths, row[SETTING]


def test_metrics_and_the_command_show_them(wharf):
    d = wharf({**models("m"), "maxBody": "1KiB", "maxConnections": 77})
    assert d.post(CHAT, "x" * 2000).status == 413
    text = d.ok(d.get("/metrics")).text
    assert 'wharf_limit_max{limit="connections"} 77\n' in text
    assert 'wharf_limit_used{limit="connections"} 1\n' in text
    assert 'wharf_limit_refused_total{limit="body"} 1\n' in text
    assert 'wharf_limit_used{limit="body"}' not in text  # there is no such thing
    shown = d.cli("status").stdout
    assert "limit body: 1KiB, refused 1\n" in shown and "limit connections" not in shown, shown


# ---------------------------------------------------------------- messages


def test_a_request_line(wharf):
    d = wharf(models("m"))
    with Connection(d.address) as c:
        c.send(b"GET /" + b"x" * 40000)
        answer = c.answer()
        assert (answer.status, answer.error["code"]) == (414, "target_too_long")
        assert c.is_closed()
    assert limits(d)["request_line"]["refused"] == 1


def test_what_is_sent_ahead(wharf, upstream):
    """It is read up to the bound, and the rest when there is room again."""
    asked = []

    def script(peer, _):
        while True:
            asked.append(peer.request())
            if len(asked) == 1:
                until(lambda: stalled, "the client to be stopped")
            peer.answer(b"{}")
    stalled = []
    d = wharf({"models": {"m": upstream(script).model()}})
    body = b'{"model":"m","x":"%s"}' % (b"a" * 5000)
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (CHAT.encode(), len(body), body)
    with Connection(d.address) as c:
        c.send(request)
        until(lambda: asked, "the first to be with the model")
        c.sock.setblocking(False)
        rest, tries = request * 2000, 0
        while tries < 30:  # 64 KiB, and what the kernel takes
            try:
                rest = rest[c.sock.send(rest):]
                tries = 0
            except BlockingIOError:
                tries += 1
                limits(d)  # a turn of the loop
        assert len(rest) > len(request) * 100, "all of it was taken"
        stalled.append(True)
        c.sock.settimeout(10)
        assert [c.answer().status for _ in range(5)] == [200] * 5


def test_a_full_spool(wharf):
    d = wharf({**models("m"), "spool": "1MiB"})
    with d.connect() as first:
        first.send(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n"
                   '{"model":"m","x":"' + "a" * 900000)
        until(lambda: limits(d)["spool"]["used"] > 800000, "it to be spooled")
        answer = d.post(CHAT, '{"model":"m","x":"' + "a" * 500000 + '"}')
        assert (answer.status, answer.error["code"]) == (503, "no_body_space"), answer
        assert answer.header("Retry-After")
        assert limits(d)["spool"]["refused"] == 1 and limits(d)["spool"]["max"] == 1 << 20
    until(lambda: limits(d)["spool"]["used"] == 0, "the spool to be empty")
    assert d.ok(d.post(CHAT, {**chat_body("m"), "x": "a" * 500000}))


def test_leases(wharf):
    d = wharf({**models("m"), "gates": {"g": {"limit": 1}}})
    with contextlib.ExitStack() as those:
        held = [Lease(d, gates=["g"]) for _ in range(1024)]
        for lease in held:
            those.callback(lease.close)
        one_more = Lease(d, gates=["g"])
        assert (one_more.answer.status, one_more.answer.error["code"]) == (429, "queue_full"), one_more.answer
        assert "too many leases" in one_more.answer.message
        assert limits(d)["leases"] == {"unit": "leases", "setting": None, "used": 1024, "max": 1024, "refused": 1}
    until(lambda: limits(d)["leases"]["used"] == 0, "them to be gone")


def test_models(tmp_path):
    def config(n):
        return "models:\n" + "".join(f"  m{i}: {{cmd: x, proxy: 'http://h'}}\n" for i in range(n))
    assert check_config(config(4096), tmp_path)[0] == 0
    code, text = check_config(config(4097), tmp_path)
    assert code != 0 and "more than 4096 models" in text


def test_processes(wharf):
    """One for each model that is loaded."""
    groups = {"routing": {"router": {"settings": {"groups": {"g": {"swap": False, "members": ["a", "b"]}}}}}}
    d = wharf({**models("a", "b"), **groups})
    until(lambda: limits(d)["processes"]["used"] == 0, "the look for GPUs to be over")
    for n, name in enumerate(("a", "b"), 1):
        d.load(name)
        assert limits(d)["processes"]["used"] == n
    pids = [d.model(name)["pid"] for name in ("a", "b")]
    for name in ("a", "b"):
        d.ok(d.post(f"/wharf/models/{name}/unload"))
    until(lambda: limits(d)["processes"]["used"] == 0, "them to be gone")
    assert not any(map(is_alive, pids))


# ---------------------------------------------------------------- what is told and recorded


def test_decisions(wharf):
    """The oldest are forgotten."""
    d = wharf({"models": {name: {**demo(name), "checkEndpoint": "none"} for name in "ab"}})
    with d.connect() as c:
        def change(n):
            for i in range(n):
                assert c.ask("POST", f"/wharf/models/{'ab'[i % 2]}/load").status == 200
        change(4)
        some = limits(d)["decisions"]["used"]
        assert some >= 4
        change(2)
        each = (limits(d)["decisions"]["used"] - some) / 2
        change(int((1000 - limits(d)["decisions"]["used"]) / each) + 4)
    assert limits(d)["decisions"]["used"] == 1000
    kept = d.ok(d.get("/wharf/decisions?limit=5000")).json()["decisions"]
    assert len(kept) <= 1000


def test_hooks(wharf, tmp_path):
    """Four run, 64 wait, the rest is left out."""
    go = tmp_path / "go"
    script = tmp_path / "hook"
    script.write_text(f"#!/bin/sh\nuntil test -e {go}; do sleep 0.02; done; echo ran >> {tmp_path}/ran\n")
    script.chmod(0o755)
    modes = {f"m{i}": {} for i in range(2)}
    d = wharf({**models("m"), "modes": modes, "hooks": {"on": {"mode_changed": str(script)}}})
    for i in range(72):
        d.ok(d.ask("PUT", "/wharf/mode", {"mode": f"m{i % 2}"}))
    now = limits(d)
    assert (now["hooks_running"]["used"], now["hooks_waiting"]["used"]) == (4, 64), now
    assert now["hooks_waiting"]["refused"] == 4
    go.touch()
    until(lambda: (tmp_path / "ran").exists() and (tmp_path / "ran").read_text().count("ran") == 68, "the others to run")
    until(lambda: "4 were left out" in d.stderr, "it to be said")
    until(lambda: limits(d)["hooks_running"]["used"] == 0, "the last to end")


def test_the_log_in_memory(wharf):
    d = wharf({**models("m"), "logLevel": "debug"})
    with d.connect() as c:
        for i in range(1200):
            assert c.ask("GET", f"/health?{'x' * 100}{i}").status == 200
    assert 90 << 10 < limits(d)["log_memory"]["used"] <= 100 << 10
    assert len(d.ok(d.get("/logs")).body) <= 100 << 10


def test_a_chatty_model_does_not_fill_the_disk(wharf):
    """Its log is begun anew while it runs; who follows it misses nothing of what came slowly enough."""
    noise = "i=0; while :; do i=$((i+1)); echo line $i of many that are all of about this length; done"
    d = wharf({"maxLogFile": "64KiB", "models": {"m": {
        **demo("m"), "cmd": f"/bin/sh -c '({noise}) & exec {demo('m')['cmd']}'"}}})
    d.load("m")
    log = d.state / "logs" / "m.log"
    aside = d.state / "logs" / "m.log.1"
    until(aside.exists, "it to be begun anew")
    first = aside.stat().st_mtime_ns
    until(lambda: aside.stat().st_mtime_ns != first, "and again")
    # What is printed between two looks comes on top.
    most = limits(d)["log_file"]
    assert most["max"] == 64 << 10 and most["used"] < 200 << 20, most
    assert content(d.ok(d.chat("m")))
    d.ok(d.post("/wharf/models/m/unload?force=1"))
    assert log.exists()


def test_a_log_that_is_begun_anew_is_followed(wharf, tmp_path):
    d = wharf({"maxLogFile": "64KiB", "models": {"m": demo("m")}})
    d.load("m")
    log = d.state / "logs" / "m.log"
    with Connection(d.address) as c:
        pieces = c.pieces(c.request("GET", "/logs/stream/m?no-history").head())
        aside = log.with_name("m.log.1")
        with log.open("ab", buffering=0) as f:
            f.write(b"x" * 70000 + b"the last of the old\n")
            until(lambda: aside.exists() and log.stat().st_size == 0, "it to be begun anew")
            f.write(b"the first of the new\n")
        text = b""
        while b"the first of the new\n" not in text:
            text += next(pieces)
        assert b"the last of the old\n" in text and len(text) == 70000 + 20 + 21, text[-100:]
    assert aside.read_bytes().endswith(b"the last of the old\n")
