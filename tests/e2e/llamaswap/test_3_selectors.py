"""Which target a selector stands for, request by request (3.19)."""

import contextlib
import json

import pytest

from test_routes import Recorder, form
from wharf_harness import demo, held, until

JSON = {"Content-Type": "application/json"}
CHAT = "/v1/chat/completions"
BESIDE = {"g": {"swap": False, "exclusive": False, "members": ["a", "b", "c"]}}


def three(strategy, targets="abc", slow=False, **keys):
    flags = ("--token-delay", "1s", "--tokens", "60") if slow else ()
    return {"groups": BESIDE, "models": {n: demo(n, *flags) for n in "abc"},
            "selectors": {"s": {"strategy": strategy, "targets": list(targets), **keys}}}


def served_by(d, name="s"):
    """The model that answers."""
    return d.ok(d.chat(name)).json()["model"]


def in_flight(d):
    return {n: d.model(n)["in_flight"] + d.model(n)["waiting"] for n in "abc"}


class Streams:
    """Requests that last."""

    def __init__(self, d):
        self.d, self.open = d, []

    def add(self, name="s"):
        c = self.d.connect()
        c.request("POST", CHAT, {"model": name, "messages": [], "stream": True})
        answer = c.head()
        assert answer.status == 200, answer
        self.open.append(c)
        return in_flight(self.d)

    def close(self, at=0):
        before = sum(in_flight(self.d).values())
        self.open.pop(at).close()
        until(lambda: sum(in_flight(self.d).values()) < before, "the request has ended")


@pytest.mark.slice
def test_pin_is_the_first(wharf):
    d = wharf(three("pin", "bc"))
    d.load("c")
    assert served_by(d) == "b"


def test_warm_is_the_first_that_is_ready(wharf):
    d = wharf(three("warm"))
    assert served_by(d) == "a"  # nothing runs: the first
    d.ok(d.get("/unload"))
    d.load("c")
    assert served_by(d) == "c"
    d.load("b")
    assert served_by(d) == "b"
    assert d.state_of("a") == "unloaded"


def test_warm_is_else_the_first_that_is_starting(wharf, tmp_path):
    config, flag = three("warm"), tmp_path / "go"
    config["models"]["b"] = held(config["models"]["b"], flag)
    d = wharf(config)
    assert d.post("/wharf/models/b/load?wait=0").status == 202
    until(lambda: d.state_of("b") == "loading", "b is being loaded")
    with d.connect() as c:
        c.request("POST", CHAT, {"model": "s", "messages": []})
        until(lambda: d.model("b")["waiting"] == 1, "it waits for b")
        flag.touch()
        assert d.ok(c.answer()).json()["model"] == "b"
    assert d.state_of("a") == "unloaded"


@pytest.mark.slice
def test_spillover(wharf):
    d = wharf(three("spillover", slow=True, settings={"spillover": 2}))
    s = Streams(d)
    assert s.add() == {"a": 1, "b": 0, "c": 0}  # the first cold one
    assert s.add() == {"a": 2, "b": 0, "c": 0}  # below its limit
    assert s.add() == {"a": 2, "b": 1, "c": 0}  # full: the next cold one
    assert s.add() == {"a": 2, "b": 2, "c": 0}  # the one with fewer
    assert s.add() == {"a": 2, "b": 2, "c": 1}
    assert s.add() == {"a": 2, "b": 2, "c": 2}
    assert sum(s.add().values()) == 7           # all are full: one of those with the fewest
    assert max(in_flight(d).values()) == 3
    while s.open:
        s.close()
    turns = []
    for _ in range(6):  # equals take turns
        before = in_flight(d)
        after = s.add()
        turns += [n for n in "abc" if after[n] > before[n]]
        s.close()
    assert turns[:3] == turns[3:] and set(turns) == set("abc")


def test_spillover_by_default_is_one(wharf):
    d = wharf(three("spillover", slow=True))
    s = Streams(d)
    s.add()
    assert s.add() == {"a": 1, "b": 1, "c": 0}


def test_spillover_sees_what_came_by_another_name(wharf):
    """llama-swap counts only what came through the selector (9.30)."""
    d = wharf(three("spillover", slow=True))
    s = Streams(d)
    s.add("a")
    assert s.add() == {"a": 1, "b": 1, "c": 0}


def test_spillover_keeps_away_from_what_fails(wharf):
    config = three("spillover", "ab")
    config["models"]["a"] = {"cmd": "/bin/false ${PORT}"}
    d = wharf(config)
    assert d.chat("s").status in (502, 503)
    assert served_by(d) == "b"


def test_spillover_when_all_are_stopping(wharf):
    config = three("spillover", "a")
    config["models"]["a"] = demo("a", "--ignore-sigterm", unloadTimeout=3)
    d = wharf(config)
    d.load("a")
    with d.connect() as c:
        c.request("POST", "/api/models/unload/a", b"")
        until(lambda: d.state_of("a") == "unloading", "a is being stopped")
        answer = d.chat("s")
        assert (answer.status, answer.error["code"]) == (503, "no_target")
        assert 'selector "s" has no available' in answer.message and answer.header("Retry-After")
        d.ok(c.answer())


@pytest.fixture
def recorded(wharf, upstream):
    r = Recorder(upstream)
    d = wharf({"models": {
        "m": r.server.model(aliases=["nick"], filters={"setParamsByID": {"m:high": {"effort": "high"}}}),
        "inner": r.server.model(useModelName="really")},
        "selectors": {"s": {"strategy": "pin", "targets": ["nick"]},
                      "high": {"strategy": "pin", "targets": ["m:high"]},
                      "in": {"strategy": "pin", "targets": ["inner"]}}})
    return d, r


@pytest.mark.parametrize("name, seen", [
    (b"s", b'{ "model" : "nick", "x":[ ] }'),
    (b"high", b'{ "model" : "m:high", "x":[ ] ,"effort":"high"}'),
    (b"in", b'{ "model" : "really", "x":[ ] }')])
def test_the_target_is_written_into_json(recorded, name, seen):
    d, r = recorded
    d.ok(d.post(CHAT, b'{ "model" : "%b", "x":[ ] }' % name, JSON))
    assert r.last()[2] == seen


def test_the_target_is_written_into_forms_and_queries(recorded):
    d, r = recorded
    kind = {"Content-Type": "multipart/form-data; boundary=XX"}
    d.ok(d.post("/v1/audio/transcriptions", form(b"XX", (b"a", b"", b"1"), (b"model", b"", b"s")), kind))
    assert r.last()[2] == form(b"XX", (b"a", b"", b"1"), (b"model", b"", b"nick"))
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    d.ok(d.post("/v1/audio/voices", b"x=%20&model=high&y", kind))
    assert r.last()[2] == b"x=%20&model=m%3Ahigh&y"
    assert r.last()[1]["content-length"] == str(len(r.last()[2]))
    d.ok(d.get("/props?a=%20&model=high&b"))
    assert r.last()[0] == "GET /props?a=%20&model=m%3Ahigh&b HTTP/1.1"


def test_selectors_are_no_names_below_upstream(recorded):
    d, _ = recorded
    assert d.get("/upstream/s/x").status == 404


def test_a_reload_changes_targets(wharf):
    config = three("pin", "a")
    d = wharf(config)
    assert served_by(d) == "a"
    config["selectors"]["s"]["targets"] = ["b"]
    d.write_config(config)
    d.events().catch_up()
    assert served_by(d) == "b"
