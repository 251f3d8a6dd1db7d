"""What stands: modes, pins, the matrix, hooks, and how a reload changes them."""

import json

import pytest

from wharf_harness import SECONDS, Later, check_config, demo, held, models, until

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
    assert d.get("/wharf/mode").json() == {"mode": "idle", "reached": True, "models": [],
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
        assert "the nearest name is work" in answer.message
        answer = d.ask("PUT", "/wharf/mode", b'{"mode":"something else"}')
        names = ", ".join(sorted({"idle", *MODES}))
        assert answer.message == f'no mode is called "something else"; there are {names}'
    if body == b"{}":
        assert answer.message == '"mode" is missing'
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
    assert answer.status == 403 and d.get("/wharf/mode").json()["mode"] == "idle"


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
    assert d.get("/wharf/mode").json() == {
        "mode": "idle", "reached": True, "models": [], "modes": {"idle": {}}}
    assert "the mode work is no longer configured" in d.stderr


def test_a_mode_says_which_gpu(wharf):
    modes = {"left": {"a": "x"}, "right": {"a": "y"}}
    for name, device in (("left", "x"), ("right", "y")):
        d = wharf(config({"a": 6}, gpus=[gpu("x"), gpu("y")], modes=modes, startMode=name))
        until(lambda: loaded(d) == "a", "the mode")
        assert d.model("a")["devices"] == [device]
        assert d.get("/wharf/mode").json()["modes"]["left"] == {"a": "x"}


# ---------------------------------------------------------------- waiting for a mode


def wait_for_mode(d, name, query="", seconds=SECONDS):
    return d.ask("PUT", f"/wharf/mode?wait=1{query}", json.dumps({"mode": name}).encode(), seconds=seconds)


def standings(d):
    return {m["model"]: (m["wish"], m["state"], m["reached"], m["failed"], m["why"])
            for m in d.get("/wharf/mode").json()["models"]}


@pytest.mark.slice
def test_a_mode_is_waited_for(wharf):
    d = wharf(config({"a": 6, "b": 6}, modes=MODES, routing=QUICK))
    assert d.ok(wait_for_mode(d, "work")).json()["reached"] is True
    assert loaded(d) == "a", "it is so when the answer comes"
    answer = d.ok(wait_for_mode(d, "play", "&timeout=30")).json()
    assert answer["models"] == [
        {"model": "a", "wish": "unloaded", "state": "unloaded", "reached": True, "failed": False, "why": None},
        {"model": "b", "wish": "loaded", "state": "loaded", "reached": True, "failed": False, "why": None}]
    assert loaded(d) == "b"
    # Again, and a mode that wants nothing: there is nothing to wait for.
    for name in ("play", "idle"):
        assert d.ok(wait_for_mode(d, name)).json()["mode"] == name
    run = d.cli("mode", "work", "--wait", check=0)
    assert run.stdout == "mode work\n" and loaded(d) == "a"


def test_a_mode_is_waited_for_while_a_model_is_in_use(wharf, tmp_path):
    """Before it is reached, the answer does not come, and GET says what is missing."""
    go = tmp_path / "go"
    c = config({"a": 6, "b": 6}, modes=MODES, routing=QUICK)
    c["models"]["b"] = held(c["models"]["b"], go)
    d = wharf(c)
    events = d.events()
    waiting = Later(wait_for_mode, d, "play")
    events.wait_for("model_loading", model="b")
    assert standings(d) == {"a": ("unloaded", "unloaded", True, False, None),
                            "b": ("loaded", "loading", False, False, "it is loading")}
    assert d.get("/wharf/mode").json()["reached"] is False and not waiting.done
    assert "b is not loaded yet: it is loading" in d.cli("mode", check=0).stdout
    go.touch()
    assert d.ok(waiting.result()).json()["reached"] is True


@pytest.mark.slice
def test_a_mode_that_cannot_be_reached_says_why(wharf):
    c = config({"a": 6, "b": 6}, modes={"work": {"a": "loaded", "b": "loaded"}},
               routing=QUICK)
    c["models"]["a"] = {**demo("a", vram="1GiB"), "cmd": "sh -c 'echo no such file: weights; exit 3' ${PORT}",
                        "maxLoadRetries": 0}
    d = wharf(c)
    events = d.events()
    answer = wait_for_mode(d, "work")
    assert (answer.status, answer.error["code"]) == (502, "mode_not_reached")
    assert "mode work is not reached: a (loaded): " in answer.message
    assert "its process exited with status 3" in answer.message
    failed = events.wait_for("load_failed", model="a")["details"]
    assert (failed["attempt"], failed["of"]) == (1, 1) and "no such file: weights" in failed["error"]
    # The others come all the same, and the mode stays.
    until(lambda: loaded(d) == "b", "the other model")
    assert d.get("/wharf/mode").json()["mode"] == "work"
    assert [x[3] for x in standings(d).values()] == [True, False]
    run = d.cli("mode", "work", "--wait")
    assert run.returncode == 1 and "its process exited with status 3" in run.stderr


def test_a_mode_waits_for_the_retries_of_its_models(wharf, tmp_path):
    """A load that is tried again has not failed."""
    tries = tmp_path / "tries"
    c = config({"a": 1}, modes={"work": {"a": "loaded"}}, routing=QUICK)
    engine = c["models"]["a"]["cmd"]
    c["models"]["a"].update(maxLoadRetries=3, cmd=f"/bin/sh -c 'echo >> {tries}; "
                            f"test $(wc -l < {tries}) -gt 1 || exit 3; exec {engine}'")
    d = wharf(c)
    events = d.events()
    assert d.ok(wait_for_mode(d, "work", seconds=3 * SECONDS)).json()["reached"]
    failed = events.wait_for("load_failed", model="a")["details"]
    assert (failed["attempt"], failed["of"]) == (1, 4)
    assert events.wait_for("error_over", model="a")["details"]["attempt"] == 1


def test_a_mode_is_reached_within_its_models_deadlines(wharf):
    """A model that does not go when it is told to is ended after its unloadTimeout."""
    c = config({"b": 6}, modes=MODES, routing=QUICK)
    c["models"]["a"] = demo("a", "--ignore-sigterm", vram="6GiB", unloadTimeout="1s")
    d = wharf(c)
    d.load("a")
    events = d.events()
    d.ok(wait_for_mode(d, "play", "&timeout=30", seconds=3 * SECONDS))
    took = events.wait_for("model_unloaded", model="a")["details"]["seconds"]
    assert 0.9 < took < 1 + SECONDS and loaded(d) == "b"


def test_a_mode_that_has_no_room_says_why(wharf):
    """A pinned model does not leave: neither for another one nor because the mode wants it so."""
    d = wharf(config({"a": 6, "b": 6}, modes=MODES, routing=QUICK))
    d.load("b")
    d.ok(d.post("/wharf/models/b/pin"))
    answer = wait_for_mode(d, "work")
    assert (answer.status, answer.error["code"]) == (502, "mode_not_reached")
    assert "b (unloaded): it is pinned" in answer.message and "a (loaded): " in answer.message


def test_a_wait_for_a_mode_ends_with_its_time(wharf, tmp_path):
    c = config({"a": 6, "b": 6}, modes=MODES, routing=QUICK)
    c["models"]["a"] = held(c["models"]["a"], tmp_path / "never")
    d = wharf(c)
    answer = wait_for_mode(d, "work", "&timeout=0.2")
    assert (answer.status, answer.error["code"]) == (502, "mode_not_reached")
    assert "not reached in that time: a (loaded): it is loading" in answer.message
    assert d.get("/wharf/mode").json()["mode"] == "work", "it stays set"
    run = d.cli("mode", "work", "--wait", "--timeout", "1")
    assert run.returncode == 1 and "not reached in that time" in run.stderr
    for bad in ("&timeout=soon", "&timeout=-1", "&timeout="):
        assert wait_for_mode(d, "work", bad).status == 400
    assert d.cli("mode", "--wait").returncode == 2
    assert d.cli("mode", "work", "--timeout", "3").returncode == 2


@pytest.mark.slice
def test_another_mode_ends_the_wait(wharf, tmp_path):
    c = config({"a": 6, "b": 6}, modes=MODES, routing=QUICK)
    c["models"]["a"] = held(c["models"]["a"], tmp_path / "never")
    d = wharf(c)
    events = d.events()
    waiting = [d.connect(seconds=3 * SECONDS) for _ in range(3)]
    for c in waiting:
        c.request("PUT", "/wharf/mode?wait=1", b'{"mode": "work"}')
    events.wait_for("model_loading", model="a")
    # The same one: no reason to stop waiting. What is answered now came behind the others.
    for _ in range(2):
        d.ok(set_mode(d, "work"))
    d.ok(wait_for_mode(d, "idle"))
    for c in waiting:
        answer = c.answer("PUT")
        assert (answer.status, answer.error["code"]) == (409, "superseded")


def test_a_reload_and_the_daemons_end_end_the_wait(wharf, tmp_path):
    c = config({"a": 6, "b": 6}, modes=MODES, routing=QUICK)
    c["models"]["a"] = held(c["models"]["a"], tmp_path / "never")
    d = wharf(c)
    events = d.events()
    waiting = Later(wait_for_mode, d, "work")
    events.wait_for("model_loading", model="a")
    d.reload({k: v for k, v in c.items() if k != "modes"})
    assert waiting.result().error["code"] == "superseded"
    d.reload(c)
    gone = d.connect()
    gone.request("PUT", "/wharf/mode?wait=1", {"mode": "work"})
    events.wait_for("mode_changed", mode="work")
    gone.close()  # one that does not wait any more harms nobody
    waiting = Later(wait_for_mode, d, "work")
    until(lambda: d.get("/wharf/mode").json()["mode"] == "work", "the mode")
    until(lambda: d.model("a")["state"] == "loading", "the load")
    d.process.terminate()
    answer = waiting.result()
    assert (answer.status, answer.error["code"]) == (503, "shutting_down")


def test_modes_with_variants(wharf):
    """A mode wants a model on one of its devices; what is loaded elsewhere, and cannot be moved, is
    said to be so."""
    c = config({"a": 1}, modes={"near": {"m": "cuda"}, "far": {"m": "cpu"}, "any": {"m": "loaded"}}, routing=QUICK)
    c["models"]["m"] = {**demo("m"), "devices": {"cuda": {"vram": "2GiB"}, "cpu": {}}}
    d = wharf(c)
    assert d.ok(wait_for_mode(d, "any")).json()["reached"]
    assert d.model("m")["placement"] == "cuda", "the first that there is room for"
    assert d.ok(wait_for_mode(d, "near")).json()["reached"]
    d.ok(d.post("/wharf/models/m/unload"))
    d.ok(set_mode(d, "idle"))
    answer = d.ok(wait_for_mode(d, "far")).json()
    assert answer["modes"]["far"] == {"m": "cpu"} and answer["reached"]
    assert (d.model("m")["placement"], d.model("m")["devices"]) == ("cpu", [])


def test_a_mode_wants_a_device_that_is_not_there(wharf):
    c = {"models": {"m": {**demo("m"), "devices": {"cuda": {"vram": "2GiB"}, "cpu": {}}}},
         "routing": {"router": {"use": "fit"}},
         "gpus": [{"sim": {"name": "sim", "memory": "4GiB"}}, {"device": "GPU-none"}],
         "modes": {"near": {"m": "far"}}}
    c["models"]["m"]["devices"] = {"far": {"vram": "2GiB", "gpus": ["1"]}, "cpu": {}}
    d = wharf(c)
    answer = wait_for_mode(d, "near")
    assert (answer.status, answer.error["code"]) == (502, "mode_not_reached")
    assert "m (far): no device for that is present" in answer.message


# ---------------------------------------------------------------- the rest


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


@pytest.mark.parametrize("op, why", [
    ("suspend", "it cannot be sent to sleep, since it has no `suspend` in the configuration"),
    ("resume", "it is loaded, and only what sleeps can be woken"),
    ("move", "it cannot be moved, since `devices` does not give it several places")])
def test_what_a_process_cannot_do(wharf, op, why):
    d = wharf(models("a"))
    d.load("a")
    answer = d.post(f"/wharf/models/a/{op}")
    assert (answer.status, answer.json()["error"]["code"]) == (501, "not_supported")
    assert answer.message == f"model a: {why}"
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
    until(lambda: 'hook failed event=model_loaded exit=3 output=wrong' in d.stderr, "the log")
    d.ok(d.post("/wharf/models/a/unload"))
    until(lambda: "event=model_unloaded" in d.stderr, "the log")
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
