"""llama-swap's logs (3.15): what is where, in which form, and what goes to stdout."""

import re

import pytest

from wharf_harness import Connection, demo, until

FORMS = {
    "ansic": r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    "unixdate": r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}",
    "rubydate": r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d \+0000 \d{4}",
    "rfc822": r"\d\d \w{3} \d\d \d\d:\d\d UTC",
    "rfc822z": r"\d\d \w{3} \d\d \d\d:\d\d \+0000",
    "rfc850": r"\w+day, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d UTC",
    "rfc1123": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d UTC",
    "rfc1123z": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000",
    "rfc3339": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "rfc3339nano": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z",
    "kitchen": r"\d{1,2}:\d\d[AP]M",
    "stamp": r"\w{3} [ \d]\d \d\d:\d\d:\d\d",
    "stampmilli": r"\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{3}",
    "stampmicro": r"\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{6}",
    "stampnano": r"\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{9}",
}


def talker(name, text="hello", **keys):
    """A model whose server says something before it serves."""
    model = demo(name, **keys)
    return {**model, "cmd": "/bin/sh -c 'echo %s; exec %s'" % (text, model["cmd"])}


def config(**keys):
    return {"models": {"m": talker("m", "hello from m", aliases=["org/alias"]), "n": talker("n", "hello from n")}, **keys}


def read_until(d, path, *wanted):
    """What the stream brings until all that is wanted has come; the answer's head."""
    with Connection(d.address) as c:
        head = c.request("GET", path).head()
        text = b""
        for piece in c.pieces(head):
            text += piece
            if all(w.encode() in text for w in wanted):
                return head, text.decode()
    raise AssertionError("the stream ended with %r" % text)


def test_monitors(wharf):
    d = wharf(config())
    d.load("m")
    d.load("n")
    head, own = read_until(d, "/logs/stream/proxy", "model_loaded")
    assert head.header("Content-Type").startswith("text/plain")
    assert head.header("X-Content-Type-Options") == "nosniff"
    assert head.header("X-Accel-Buffering") == "no"
    assert "hello from" not in own
    _, printed = read_until(d, "/logs/stream/upstream", "hello from m\n", "hello from n\n")
    assert "model_loaded" not in printed
    for name in ("m", "org/alias"):
        _, one = read_until(d, "/logs/stream/" + name, "hello from m\n")
        assert "hello from n" not in one
    _, mux = read_until(d, "/logs/stream", "model_loaded")
    assert "hello from" not in mux
    assert "hello from" not in d.ok(d.get("/logs")).text


@pytest.mark.parametrize("where, own, printed", [
    ("proxy", True, False), ("upstream", False, True), ("both", True, True), ("none", False, False)])
def test_log_to_stdout(wharf, where, own, printed):
    """GET /logs is what stdout gets (in d.stderr here, where both go)."""
    d = wharf(config(logToStdout=where))
    d.load("m")
    read_until(d, "/logs/stream/upstream", "hello from m")
    read_until(d, "/logs/stream/proxy", "model_loaded")
    for text in (d.ok(d.get("/logs")).text, d.stderr):
        assert ("model_loaded" in text, "hello from m" in text) == (own, printed)


def test_log_to_stdout_by_reload(wharf):
    d = wharf(config(logToStdout="none"))
    d.load("m")
    d.write_config(config(logToStdout="both"))
    d.events().catch_up()
    d.load("n")
    _, mux = read_until(d, "/logs/stream", "hello from n", "model_loaded")
    until(lambda: "hello from n" in d.stderr, "the model's line on stdout")


def test_without_the_key_models_are_not_on_stdout(wharf):
    d = wharf(config())
    d.load("m")
    read_until(d, "/logs/stream/upstream", "hello from m")
    assert "model_loaded" in d.stderr and "hello from m" not in d.stderr


def test_history_or_not(wharf):
    d = wharf(config())
    d.load("m")
    with Connection(d.address) as c:
        pieces = c.pieces(c.request("GET", "/logs/stream/upstream?no-history").head())
        d.load("n")
        text = b""
        while b"hello from n" not in text:
            text += next(pieces)
        assert b"hello from m" not in text


def test_what_a_model_printed_is_kept_when_it_failed(wharf):
    cmd = "/bin/sh -c 'echo last words; exit 3' sh ${PORT}"
    d = wharf({"models": {"m": {"cmd": cmd, "proxy": "http://127.0.0.1:${PORT}"}}})
    assert d.chat("m").status == 502
    read_until(d, "/logs/stream/upstream", "last words")


def test_unknown_monitor(wharf):
    d = wharf(config())
    assert d.get("/logs/stream/nobody").status == 404


@pytest.mark.parametrize("name", FORMS)
def test_time_format(wharf, name):
    d = wharf({"models": {}, "logTimeFormat": name}, env={"TZ": "UTC"})
    line = d.ok(d.get("/logs")).text.splitlines()[0]
    assert re.fullmatch(FORMS[name] + r" (info|warn) .*", line), line


def test_no_times(wharf):
    d = wharf({"models": {}, "logTimeFormat": ""})
    assert re.match(r"(info|warn) ", d.ok(d.get("/logs")).text)


@pytest.mark.parametrize("level, there", [("warn", False), (" ERROR ", False), ("info", True), ("other", True)])
def test_level(wharf, level, there):
    d = wharf(config(logLevel=level))
    d.load("m")
    assert ("model_loaded" in d.ok(d.get("/logs")).text) == there
