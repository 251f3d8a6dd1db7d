"""llama-swap's event stream (3.17): its frames, what comes at first, and what comes then."""

import json

from wharf_harness import Connection, demo

CONFIG = {
    "models": {
        "b": demo("b", name="Bee", description="hums", aliases=["bb", "org/b"]),
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
         "aliases": ["bb", "org/b"]},
        {"id": "p/r", "name": "", "description": "", "state": "", "unlisted": False, "peerID": "p"}]
    assert ui == {"activity": {"session_id": ["X-Mine"]}}
    assert profile == {"active": None}
    assert inflight == {"operation": "snapshot"}


def test_states(wharf):
    d = wharf(CONFIG)
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
