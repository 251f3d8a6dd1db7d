"""llama-swap's event stream (3.17): its frames, what comes at first, and what comes then."""

import json

import pytest

from wharf_harness import Connection, Later, demo, held, until

CONFIG = {
    "models": {
        "b": demo("b", "--load-time", "300ms", name="Bee", description="hums", aliases=["bb", "org/b"],
                  capabilities={"in": ["text", "image"], "out": ["text"], "tools": True, "context": 4096}),
        "a": {**demo("a"), "cmd": "/bin/sh -c 'echo one; printf \"\\\\303\\\\251\\\\n\"; exec %s'" % demo("a")["cmd"],
              "unlisted": True},
    },
    "peers": {"p": {"proxy": "http://127.0.0.1:9", "models": ["r"]}},
    "ui": {"activity": {"session_id": ["X-Mine"]}},
}


class Stream:
    """Decodes the stream strictly, as llama-swap writes it."""

    def __init__(self, d):
        self.connection = Connection(d.address)
        self.head = self.connection.request("GET", "/api/events").head()
        self.pieces = self.connection.pieces(self.head)
        self.text = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self):
        while b"\n\n" not in self.text:
            self.text += next(self.pieces)
        frame, self.text = self.text.split(b"\n\n", 1)
        if frame.startswith(b":"):
            return self.next()
        event, data = frame.decode().split("\n")
        assert event == "event:message" and data.startswith("data:{")
        outer = json.loads(data[len("data:"):])
        assert list(outer) == ["type", "data"] and isinstance(outer["data"], str)
        return outer["type"], json.loads(outer["data"])

    def until(self, wanted):
        """Until an event of which wanted(type, payload) holds."""
        while True:
            kind, payload = self.next()
            if wanted(kind, payload):
                return payload


def states(payload):
    return {m["id"]: m["state"] for m in payload}


def test_head(wharf):
    with Stream(wharf(CONFIG)) as s:
        assert s.head.status == 200
        assert s.head.header("Content-Type") == "text/event-stream"
        assert s.head.header("Cache-Control") == "no-cache"
        assert s.head.header("X-Content-Type-Options") == "nosniff"
        assert s.head.header("X-Accel-Buffering") == "no"


@pytest.mark.slice
def test_at_first(wharf):
    d = wharf(CONFIG)
    d.load("a")
    with Stream(d) as s:
        first = [s.next() for _ in range(6)]
    assert [kind for kind, _ in first] == \
        ["logData", "logData", "modelStatus", "uiConfig", "profileChanged", "inflight"]
    own, printed, models, ui, profile, inflight = [payload for _, payload in first]
    assert own["source"] == "proxy" and "model_loaded" in own["data"]
    assert printed["source"] == "upstream" and printed["data"].startswith("one\n\u00e9\n")
    assert models == [
        {"id": "a", "name": "", "description": "", "state": "ready", "unlisted": True, "peerID": ""},
        {"id": "b", "name": "Bee", "description": "hums", "state": "stopped", "unlisted": False, "peerID": "",
         "aliases": ["bb", "org/b"], "capabilities": {"vision": True, "function_calling": True},
         "context_length": 4096},
        {"id": "p/r", "name": "", "description": "", "state": "", "unlisted": False, "peerID": "p"}]
    assert ui == {"activity": {"session_id": ["X-Mine"]}}
    assert profile == {"active": None}
    assert inflight == {"operation": "snapshot"}


def test_states(wharf):
    """What changes within 10 ms is told once, so its load takes longer."""
    d = wharf({**CONFIG, "models": {"b": demo("b", "--load-time", "300ms")}})
    with Stream(d) as s:
        d.load("b")
        s.until(lambda kind, p: kind == "modelStatus" and states(p)["b"] == "starting")
        s.until(lambda kind, p: kind == "modelStatus" and states(p)["b"] == "ready")
        d.ok(d.get("/unload"))
        s.until(lambda kind, p: kind == "modelStatus" and states(p)["b"] == "stopped")


def test_a_reload_is_a_change(wharf):
    d = wharf(CONFIG)
    with Stream(d) as s:
        d.write_config({**CONFIG, "models": {"c": demo("c")}})
        d.events().catch_up()
        s.until(lambda kind, p: kind == "modelStatus" and set(states(p)) == {"c", "p/r"})


def test_logs(wharf):
    d = wharf(CONFIG)
    with Stream(d) as s:
        for _ in range(6):
            s.next()
        d.load("a")
        seen = {"proxy": "", "upstream": ""}

        def wanted(kind, payload):
            if kind == "logData":
                assert list(payload) == ["data", "source"]
                seen[payload["source"]] += payload["data"]
            return "model_loaded" in seen["proxy"] and "one\n\u00e9\n" in seen["upstream"]
        s.until(wanted)


def test_several_and_gone(wharf):
    d = wharf(CONFIG)
    streams = [Stream(d) for _ in range(5)]
    for s in streams[::2]:
        s.connection.reset()
    d.load("a")
    for s in streams[1::2]:
        with s:
            s.until(lambda kind, p: kind == "modelStatus" and states(p)["a"] == "ready")


def test_who_reads_nothing_does_no_harm(wharf):
    cmd = "/bin/sh -c 'yes a long line of log & exec %s'" % demo("m")["cmd"]
    d = wharf({"models": {"m": {**demo("m"), "cmd": cmd}}})
    with Connection(d.address, receive_buffer=4096) as c:
        c.request("GET", "/api/events").head()
        d.load("m")
        for i in range(20):
            d.ok(d.chat("m", f"n{i}"))


def test_the_end_of_the_daemon_ends_the_stream(wharf):
    d = wharf(CONFIG)
    with Stream(d) as s:
        s.next()
        d.stop()
        for _ in s.pieces:
            pass
        assert s.head.complete


def test_profiles(wharf):
    d = wharf({**CONFIG, "profiles": {"f": {"pins": {"x": "a"}}}})
    with Stream(d) as s:
        for name in ("f", None):
            d.ok(d.ask("PUT", "/api/profiles/active", {"name": name}))
            s.until(lambda kind, p: kind == "profileChanged" and p == {"active": name})
        d.ok(d.ask("PUT", "/api/profiles/active", {"name": "f"}))
    with Stream(d) as s:
        assert s.until(lambda kind, p: kind == "profileChanged") == {"active": "f"}


def test_activity(wharf):
    d = wharf(CONFIG)
    with Stream(d) as s:
        s.until(lambda kind, _: kind == "inflight")
        for number in (1, 2):
            d.ok(d.chat("b"))
            assert s.until(lambda kind, _: kind == "activity") == {"id": number}
        assert d.ok(d.get("/api/metrics/activity")).json()["data"][0]["id"] == 2


def inflight(stream):
    return stream.until(lambda kind, _: kind == "inflight")


@pytest.fixture
def waiting(wharf, tmp_path):
    """A daemon, a request that waits for its model, and the file that lets the model begin."""
    flag = tmp_path / "go"
    d = wharf({"models": {"m": held(demo("m", "--token-delay", "100ms"), flag)},
               "selectors": {"any": {"strategy": "pin", "targets": ["m"]}}})
    later = Later(d.chat, "any", headers={"Cookie": "secret", "X-Forwarded-For": "10.0.0.9, 10.0.0.1"},
                  stream=True, max_tokens=10)
    until(lambda: d.ok(d.get("/api/inflight")).json()["requests"], "the request in flight")
    return d, later, flag


@pytest.mark.slice
def test_inflight(waiting):
    d, later, flag = waiting
    with Stream(d) as s:
        first = inflight(s)
        assert first["operation"] == "snapshot"
        [request] = first["requests"]
        assert set(request) == {"id", "timestamp", "model", "req_path", "method", "req_headers", "remote_ip",
                                "resp_headers", "resp_bytes", "elapsed_ms", "metadata",
                                "waited_ms", "first_ms"}  # the last two are wharf's own
        assert (request["id"], request["model"], request["remote_ip"]) == ("1", "m", "10.0.0.9")
        assert request["req_headers"]["Cookie"] == "[REDACTED]" and request["resp_headers"] == {}
        assert request["metadata"] == {"fifo_priority": "0", "selector": "any", "class": "normal"}
        assert (request["waited_ms"], request["first_ms"]) == (-1, -1)
        flag.touch()
        answered = inflight(s)
        assert (answered["operation"], answered["request"]["id"]) == ("upsert", "1")
        assert answered["request"]["resp_headers"]["Content-Type"] == "text/event-stream"
        assert answered["request"]["waited_ms"] > 0
        grown = inflight(s)  # a second of tokens: told again at least once
        assert grown["operation"] == "upsert" and grown["request"]["resp_bytes"] > 0
        assert grown["request"]["elapsed_ms"] - answered["request"]["elapsed_ms"] >= 240
        while grown["operation"] == "upsert":
            grown = inflight(s)
        assert grown == {"operation": "remove", "id": "1"}
        assert s.until(lambda kind, _: kind == "activity") == {"id": 1}
    d.ok(later.result())
    assert d.ok(d.get("/api/metrics/activity")).json()["data"][0]["metadata"]["selector"] == "any"


def test_inflight_of_what_begins_later(wharf):
    d = wharf(CONFIG)
    with Stream(d) as s:
        assert inflight(s) == {"operation": "snapshot"}
        d.ok(d.chat("b"))
        begun, answered, gone = inflight(s), inflight(s), inflight(s)
    assert [e["operation"] for e in (begun, answered, gone)] == ["upsert", "upsert", "remove"]
    assert begun["request"]["resp_headers"] == {} and answered["request"]["resp_headers"]
    assert begun["request"]["id"] == answered["request"]["id"] == gone["id"] == "1"


def test_inflight_of_who_lags_begins_anew(wharf):
    """More requests than the daemon remembers while nobody reads: a snapshot, and then what is new."""
    d = wharf({"models": {"m": demo("m")}})
    d.load("m")
    with Connection(d.address, receive_buffer=4096) as c:
        head = c.request("GET", "/api/events").head()
        with d.connect() as client:
            for _ in range(400):
                d.ok(client.ask("POST", "/v1/chat/completions", b'{"model":"m"}',
                                {"Content-Type": "application/json", "X-Long": "x" * 4000}))
        text, last, snapshots = b"", None, 0
        for piece in c.pieces(head):
            text += piece
            *frames, text = text.split(b"\n\n")
            for frame in frames:
                if b'"type":"inflight"' in frame:
                    last = json.loads(json.loads(frame.split(b"data:", 1)[1])["data"])
                    snapshots += last["operation"] == "snapshot"
            if last and last.get("id") == "400":
                break
        assert last == {"operation": "remove", "id": "400"} and snapshots > 1
