"""What stands: modes, pins, the matrix, hooks, and how a reload changes them."""

import json

import pytest

from wharf_harness import check_config, demo, models, until

GIB = 1024 ** 3


def gpu(name="sim", memory="10GiB"):
    return {"sim": {"name": name, "memory": memory}, "sample": "20ms"}


def config(sizes, gpus=None, **keys):
    return {"gpus": gpus or [gpu()], **keys,
            "models": {name: demo(name, vram=f"{size}GiB") for name, size in sizes.items()}}


def loaded(d):
    return "".join(sorted(m["id"] for m in d.get("/wharf/models").json()["models"]
                          if m["state"] == "loaded"))


def set_mode(d, name):
    return d.ask("PUT", "/wharf/mode", json.dumps({"mode": name}).encode())


MODES = {"work": {"a": "loaded", "b": "unloaded"}, "play": {"a": "unloaded", "b": "loaded"}}
QUICK = {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}


@pytest.mark.slice
def test_modes_load_and_unload(wharf):
    d = wharf(config({"a": 6, "b": 6}, modes=MODES, routing=QUICK))
    events = d.events()
    assert d.get("/wharf/mode").json() == {"mode": "idle", "reached": True,
                                           "modes": {"idle": {}, **MODES}}
    assert d.ok(set_mode(d, "work")).json()["mode"] == "work"
    assert events.wait_for("mode_changed")["details"] == {"mode": "work", "from": "idle"}
    assert events.wait_for("mode_reached")["details"]["mode"] == "work"
    assert loaded(d) == "a" and d.get("/wharf/mode").json()["reached"]
    assert (d.model("a")["wish"], d.model("b")["wish"]) == ("loaded", "unloaded")
    set_mode(d, "play")
    events.wait_for("mode_reached", mode="play")
    assert loaded(d) == "b"
    assert d.get("/wharf/status").json()["mode"] == "play"
    set_mode(d, "idle")
    assert loaded(d) == "b", "idle wants nothing"
    assert d.model("b")["wish"] is None
    reasons = [x["reason"] for x in d.get("/wharf/decisions?model=b").json()["decisions"]]
    assert reasons == ["the mode wants it so"]


def test_on_demand_loads_what_a_mode_left_out(wharf):
    d = wharf(config({"a": 6, "b": 6}, modes=MODES, startMode="work", routing=QUICK))
    events = d.events()
    until(lambda: loaded(d) == "a", "the mode")
    d.ok(d.chat("b"))
    events.wait_for("model_loaded", model="a")
    until(lambda: loaded(d) == "a", "the mode again")


@pytest.mark.parametrize("body, status, code", [
    (b'{"mode":"wrok"}', 404, "mode_not_found"), (b"{}", 400, "invalid_request"),
    (b'{"mode":7}', 400, "invalid_request"), (b"work", 400, "invalid_json"),
])
def test_modes_that_are_none(wharf, body, status, code):
    d = wharf(config({"a": 6, "b": 6}, modes=MODES))
    answer = d.ask("PUT", "/wharf/mode", body)
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)
    if status == 404:
        assert "the nearest name is work" in answer.json()["error"]["message"]
    assert d.get("/wharf/mode").json()["mode"] == "idle"
    assert d.ask("POST", "/wharf/mode", body).status == 405


def test_a_mode_set_behind_a_request_that_is_refused(wharf):
    """Both came in one piece: the refusal is given out in the middle of a decision, and what is
    behind it is answered from there."""
    d = wharf({**config({"a": 6, "b": 6}, modes=MODES, routing=QUICK)})
    d.load("b")
    d.ok(d.post("/wharf/models/b/pin"))
    c = d.connect()
    chat = json.dumps({"model": "a", "messages": []}).encode()
    put, ask = b'{"mode":"work"}', b'{"model":"a"}'
    c.sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Wharf-Wait: 0.1\r\n"
                   b"Content-Length: %d\r\n\r\n%b"
                   b"PUT /wharf/mode HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                   b"POST /wharf/plan HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
                   % (len(chat), chat, len(put), put, len(ask), ask))
    assert c.answer().status == 503
    assert c.answer().json()["mode"] == "work"
    assert c.answer().json()["verdict"] == "blocked"
    d.ok(d.post("/wharf/models/b/unpin"))
    until(lambda: loaded(d) == "a", "the mode")


def test_a_page_of_another_site_cannot_set_it(wharf):
    d = wharf(config({"a": 6, "b": 6}, modes=MODES))
    answer = d.ask("PUT", "/wharf/mode", b'{"mode":"work"}', {"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 409 and d.get("/wharf/mode").json()["mode"] == "idle"


def test_the_mode_at_the_start(wharf):
    d = wharf(config({"a": 6, "b": 6}, modes=MODES, startMode="play"))
    assert d.get("/wharf/mode").json()["mode"] == "play"
    until(lambda: loaded(d) == "b", "the mode")


def test_a_mode_survives_a_reload(wharf):
    d = wharf(config({"a": 6, "b": 6}, modes=MODES, startMode="play", routing=QUICK))
    until(lambda: loaded(d) == "b", "the mode")
    set_mode(d, "work")
    until(lambda: loaded(d) == "a", "the mode")
    d.reload(config({"a": 6, "b": 6}, modes=MODES, startMode="play", routing=QUICK))
    assert d.get("/wharf/mode").json()["mode"] == "work" and loaded(d) == "a"
    changed = {**MODES, "work": {"b": "loaded", "a": "unloaded"}}
    d.reload(config({"a": 6, "b": 6}, modes=changed, routing=QUICK))
    until(lambda: loaded(d) == "b", "the mode as it is now")
    d.reload(config({"a": 6, "b": 6}))
    assert d.get("/wharf/mode").json() == {"mode": "idle", "reached": True, "modes": {"idle": {}}}
    assert "the mode work is no longer configured" in d.stderr


def test_a_mode_says_which_gpu(wharf):
    modes = {"left": {"a": "x"}, "right": {"a": "y"}}
    for name, device in (("left", "x"), ("right", "y")):
        d = wharf(config({"a": 6}, gpus=[gpu("x"), gpu("y")], modes=modes, startMode=name))
        until(lambda: loaded(d) == "a", "the mode")
        assert d.model("a")["devices"] == [device]
        assert d.get("/wharf/mode").json()["modes"]["left"] == {"a": "x"}


def test_too_many_gpus_for_one_model(tmp_path):
    c = config({"a": 1}, gpus=[gpu(n) for n in "wxyz"], modes={n: {"a": n} for n in "wxyz"})
    status, text = check_config(c, tmp_path)
    assert status == 2 and "modes want model 'a' on 4 GPUs; 3 is the most" in text


@pytest.mark.slice
def test_a_pinned_model_stays(wharf):
    d = wharf(config({"a": 6, "b": 6, "c": 3}))
    d.load("a")
    assert d.ok(d.post("/wharf/models/a/pin")).json()["pinned"] is True
    answer = d.chat("b", headers={"X-Wharf-Wait": "0.2"})
    assert answer.status == 503, answer
    d.ok(d.chat("c"))
    assert loaded(d) == "ac"
    assert d.ok(d.post("/wharf/models/a/unpin")).json()["pinned"] is False
    d.ok(d.chat("b"))
    assert loaded(d) == "bc"


def test_pinned_by_the_configuration(wharf):
    c = config({"a": 6, "b": 6})
    c["models"]["a"]["pin"] = True
    d = wharf(c)
    d.load("a")
    assert d.model("a")["pinned"] is True
    assert d.chat("b", headers={"X-Wharf-Wait": "0.2"}).status == 503
    assert loaded(d) == "a"
    d.reload(config({"a": 6, "b": 6}))
    assert d.model("a")["pinned"] is False
    d.ok(d.chat("b"))
    assert loaded(d) == "b"


@pytest.mark.parametrize("op", ["suspend", "resume", "move"])
def test_what_a_process_cannot_do(wharf, op):
    d = wharf(models("a"))
    d.load("a")
    answer = d.post(f"/wharf/models/a/{op}")
    assert (answer.status, answer.json()["error"]["code"]) == (501, "not_supported")
    assert d.state_of("a") == "loaded"


@pytest.mark.slice
def test_a_matrix(wharf):
    matrix = {"vars": {"A": "a", "B": "b", "C": "c"}, "sets": {"pair": "A & B", "alone": "C"}}
    d = wharf({"matrix": matrix, "models": {n: demo(n) for n in "abc"}})
    assert d.get("/wharf/status").json()["planner"] == "matrix"
    for name, left in zip("abcab", ("a", "ab", "c", "a", "ab")):
        d.ok(d.chat(name))
        assert loaded(d) == left, f"after {name}"
    reasons = {x["reason"] for x in d.get("/wharf/decisions").json()["decisions"]
               if x["type"] == "evict"}
    assert reasons == {"no set of the matrix holds both"}
    matrix["sets"] = {"all": "A & B & C"}
    d.reload({"matrix": matrix, "models": {n: demo(n) for n in "abc"}})
    d.ok(d.chat("c"))
    assert loaded(d) == "abc"


def hook(folder):
    """A command that appends what it was told to a file, in one write."""
    script = folder / "hook"
    script.write_text(f"""#!/bin/sh
printf '%s %s\\n' "$WHARF_EVENT" "$WHARF_EVENT_JSON" >> {folder}/told
echo "said $1"
""")
    script.chmod(0o755)
    return script


def told(folder):
    path = folder / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split(" ", 1)[0], json.loads(line.split(" ", 1)[1])) for line in lines]


def test_hooks_run(wharf, tmp_path):
    script = hook(tmp_path)
    d = wharf({**models("a"), "hooks": {"on": {"model_loaded": f"{script} hello",
                                               "model_unloaded": str(script)}}})
    d.load("a")
    until(lambda: told(tmp_path), "the hook")
    [(event, data)] = told(tmp_path)
    assert event == data["type"] == "model_loaded" and data["details"]["model"] == "a"
    until(lambda: 'hook event=model_loaded output="said hello"' in d.stderr, "its output")
    d.ok(d.post("/wharf/models/a/unload"))
    until(lambda: len(told(tmp_path)) == 2, "the other hook")
    until(lambda: not d.tree(), "the hook to end")
    d.reload(models("a"))
    d.load("a")
    d.ok(d.post("/wharf/models/a/unload"))
    assert len(told(tmp_path)) == 2


def test_hooks_of_the_daemons_end(wharf, tmp_path):
    script = hook(tmp_path)
    d = wharf({**models("a"), "hooks": {"on": {"drained": str(script)}}})
    d.stop()
    assert [event for event, _ in told(tmp_path)] == ["drained"]


def test_hooks_that_fail_or_do_not_end(wharf):
    d = wharf({**models("a", "b"), "hooks": {"on": {
        "model_loaded": "sh -c 'echo wrong; exit 3'", "model_unloaded": "/no/such/program",
        "model_loading": "sleep 3600"}}})
    d.load("a")
    until(lambda: 'hook failed event=model_loaded exit=3 output="wrong"' in d.stderr, "the log")
    d.ok(d.post("/wharf/models/a/unload"))
    until(lambda: "hook failed event=model_unloaded" in d.stderr, "the log")
    assert "/no/such/program" in d.stderr
    d.ok(d.chat("b"))
    d.stop(seconds=8)


def test_hooks_of_requests_need_no_follower(wharf, tmp_path, upstream):
    script = hook(tmp_path)
    d = wharf({**models("a"), "hooks": {"on": {"waiting": str(script)}}})
    d.ok(d.chat("a"))
    until(lambda: told(tmp_path), "the hook")
    assert told(tmp_path)[0][1]["details"]["position"] == 1


def test_a_flood_of_hooks_holds_nothing_up(wharf):
    d = wharf({**models("a"), "hooks": {"on": {"refused": "sleep 0.3"}},
               "routing": {"scheduler": {"use": "fifo"}}})
    c = d.connect()
    body = json.dumps({"model": "a", "messages": []})
    for _ in range(200):
        assert c.ask("POST", "/v1/chat/completions", body, {"X-Wharf-Wait": "0"}).status == 503
    assert len(d.tree()) <= 4
    until(lambda: "hooks came faster than they end" in d.stderr, "the log", 30)


def test_policies_are_reloaded(wharf):
    d = wharf({**config({"a": 6}), "gates": {"build": {"limit": 1}, "zip": {"limit": 1}}})
    pid = d.load("a")["pid"]

    def verdict(gate):
        answer = d.post("/wharf/plan", json.dumps({"lease": {"gates": [gate]}}).encode())
        return answer.json().get("verdict", answer.status)

    assert (verdict("build"), verdict("zip"), verdict("disk")) == ("go", "go", 400)
    c = {**config({"a": 6}), "gates": {"disk": {"limit": 2}, "zip": {"limit": 1}}}
    c["models"]["a"].update({"class": "background", "pin": True, "maxLoadRetries": 1,
                             "maxQueue": 0, "onAbort": "drain"})
    d.reload(c)
    assert (verdict("build"), verdict("zip"), verdict("disk")) == (400, "go", "go")
    a = d.model("a")
    assert (a["class"], a["pinned"], a["pid"], a["state"]) == ("background", True, pid, "loaded")
    assert d.get("/wharf/plan").status == 405
