"""What would happen, what happened and why: /wharf/plan, /wharf/decisions, /wharf/devices, and the
commands that print them."""

import json

import pytest

from wharf_harness import Later, chat_body, demo, models, until

GIB = 1024 ** 3


def gpu(name="sim", memory="10GiB", **keys):
    return {"sim": {"name": name, "memory": memory}, "sample": "20ms", **keys}


def config(sizes, gpus=None, **keys):
    return {"gpus": gpus or [gpu()], **keys,
            "models": {name: demo(name, vram=f"{size}GiB") for name, size in sizes.items()}}


def plan(d, **body):
    return d.ok(d.post("/wharf/plan", json.dumps(body).encode())).json()


def leaves(p):
    return [(v["model"], v["action"], v["bytes"] // GIB, v["busy"]) for v in p["leaves"]]


def decisions(d, query=""):
    return d.ok(d.get("/wharf/decisions" + query)).json()["decisions"]


def stream(d, name):
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body(name, stream=True))
    next(c.sse(c.head()))
    return c


@pytest.mark.slice
def test_plans_of_models(wharf):
    d = wharf(config({"a": 6, "b": 6, "c": 20, "d": 2}))
    p = plan(d, model="a")
    assert (p["verdict"], p["devices"], p["bytes"], leaves(p)) == ("go", ["sim"], 6 * GIB, [])
    assert p["class"] == "normal" and p["seconds"] > 0 and p["why"] is None
    assert p["room"] == [{"device": "sim", "total_bytes": 10 * GIB, "room_bytes": 10 * GIB}]
    d.load("a")
    assert plan(d, model="a")["verdict"] == "here"
    p = plan(d, model="b", **{"class": "foreground"})
    assert (p["verdict"], p["why"], leaves(p)) == \
        ("go", "it costs least to lose", [("a", "unload", 6, False)])
    assert p["class"] == "foreground" and p["leaves_count"] == 1
    assert leaves(plan(d, model="d")) == []
    p = plan(d, model="c")
    assert (p["verdict"], p["why"], p["seconds"]) == ("never", "it can never fit", None)
    assert (d.state_of("a"), d.state_of("b")) == ("loaded", "unloaded"), "nothing was done"


def test_plans_with_what_is_busy_or_pinned(wharf):
    c = config({"a": 6, "b": 6})
    c["models"]["a"] = demo("a", "--token-delay", "50ms", "--tokens", "600", vram="6GiB")
    d = wharf(c)
    hold = stream(d, "a")
    assert plan(d, model="b")["verdict"] in ("wait", "go")
    hold.close()
    d.until_model("a", in_flight=0)
    d.ok(d.post("/wharf/models/a/pin"))
    p = plan(d, model="b")
    assert (p["verdict"], p["why"]) == ("blocked", "pinned models hold the room")


def test_plans_of_leases(wharf):
    d = wharf({**config({"a": 6}, gpus=[gpu("x"), gpu("y")]), "gates": {"build": {"limit": 1}}})
    p = plan(d, lease={"vram": "6GiB", "gpus": 2})
    assert (p["model"], p["class"], p["verdict"], p["devices"], p["bytes"]) == \
        (None, "background", "go", ["x", "y"], 6 * GIB)
    assert plan(d, lease={"gates": ["build", "build"]})["verdict"] == "go"
    assert plan(d, lease={"vram": 6 * GIB, "gpus": 3})["verdict"] == "never"
    assert plan(d, lease={"vram": "20GiB"})["verdict"] == "never"
    d.load("a")
    p = plan(d, lease={"vram": "6GiB", "gpus": 2, "class": "foreground"})
    assert (p["verdict"], leaves(p)) == ("go", [("a", "unload", 6, False)])
    assert d.state_of("a") == "loaded"


@pytest.mark.parametrize("body, status, code", [
    (b"", 400, "invalid_json"), (b"{", 400, "invalid_json"), (b"[]", 400, "invalid_json"),
    (b'{"model":"a","model":"a"}', 400, "invalid_json"), (b"{}", 400, "invalid_request"),
    (b'{"model":7}', 400, "invalid_request"), (b'{"model":"x"}', 404, "model_not_found"),
    (b'{"model":"a","class":"urgent"}', 400, "invalid_request"),
    (b'{"model":"a","class":7}', 400, "invalid_request"),
    (b'{"model":"a","lease":{}}', 400, "invalid_request"),
    (b'{"lease":7}', 400, "invalid_request"), (b'{"lease":{}}', 400, "invalid_request"),
    (b'{"lease":{"vram":"much"}}', 400, "invalid_request"),
    (b'{"lease":{"vram":-1}}', 400, "invalid_request"),
    (b'{"lease":{"vram":"1GiB","gpus":0}}', 400, "invalid_request"),
    (b'{"lease":{"vram":"1GiB","gpus":9}}', 400, "invalid_request"),
    (b'{"lease":{"gates":["nope"]}}', 400, "invalid_request"),
    (b'{"lease":{"gates":"nope"}}', 400, "invalid_request"),
    (b'{"lease":{"gates":[1]}}', 400, "invalid_request"),
    (b'{"lease":{"gates":["a","b","c","d","e"]}}', 400, "invalid_request"),
    (b'{"model":"' + b"a" * 70000 + b'"}', 413, "body_too_large"),
])
def test_plans_that_cannot_be_understood(wharf, body, status, code):
    d = wharf(models("a"))
    answer = d.post("/wharf/plan", body)
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)


def test_a_lease_without_devices(wharf):
    d = wharf(models("a"))
    p = plan(d, lease={"vram": "1GiB"})
    assert (p["verdict"], p["why"], p["room"]) == ("never", "no device for it is present", [])


@pytest.mark.slice
def test_decisions(wharf):
    d = wharf(config({"a": 6, "b": 6, "c": 20}))
    assert decisions(d) == []
    for name in "ab":
        d.ok(d.chat(name))
    assert d.chat("c").status == 507
    seen = decisions(d)
    assert [(x["type"], x["model"], x["for_model"]) for x in seen] == [
        ("model_loading", "a", None), ("evict", "a", "b"), ("model_loading", "b", None),
        ("refused", "c", None)]
    evict, refused = seen[1], seen[3]
    assert (evict["reason"], evict["bytes"], evict["devices"]) == \
        ("it costs least to lose", 6 * GIB, ["sim"])
    assert evict["last_used_s"] >= 0
    assert refused["reason"] == "it can never fit"
    for number in ("20GiB", "10GiB", "b (6GiB)"):
        assert number in refused["detail"], refused
    assert [x["type"] for x in decisions(d, "?model=b")] == ["evict", "model_loading"]
    assert [x["type"] for x in decisions(d, "?limit=1")] == ["refused"]
    assert decisions(d, "?limit=0") == []
    assert len(decisions(d, "?limit=nonsense")) == 4
    assert d.get("/wharf/decisions?model=x").status == 404


def test_the_last_decisions_are_kept(wharf):
    """One refusal after the other, for models by turns, so that none repeats the last."""
    d = wharf(config({"a": 20, "b": 21}))
    c = d.connect()
    for i in range(1010):
        assert c.ask("POST", "/v1/chat/completions", chat_body("ab"[i % 2])).status == 507
    seen = decisions(d, "?limit=5000")
    assert len(seen) == 1000 and seen[-1]["model"] == "b"


def test_decisions_of_a_model_that_has_gone(wharf):
    d = wharf(config({"a": 6, "b": 6}))
    d.load("a")
    events = d.events()
    d.reload(config({"b": 6}))
    events.wait_for("model_unloaded", model="a")
    assert [x["type"] for x in decisions(d, "?model=a")] == ["model_loading", "model_unloading"]


def test_devices(wharf):
    d = wharf(config({"a": 6}))
    d.load("a")
    [device] = d.get("/wharf/devices").json()["devices"]
    assert (device["name"], device["present"], device["total_bytes"], device["own_bytes"],
            device["leased_bytes"], device["room_bytes"], device["loading"]) == \
        ("sim", True, 10 * GIB, 6 * GIB, 0, 4 * GIB, None)


def test_where_a_footprint_comes_from(wharf):
    c = config({"a": 6})
    c["models"]["b"] = demo("b", "--vram", "2GiB")
    c["models"]["b"]["vram"] = "auto"
    d = wharf(c)
    assert d.model("a")["footprint_source"] == "declared"
    assert (d.model("b")["footprint_source"], d.model("b")["footprint_bytes"]) == ("unknown", None)
    d.load("b")
    b = d.until_model("b", footprint_bytes=2 * GIB)
    assert b["footprint_source"] in ("measured", "learned") and b["devices"] == ["sim"]
    d.ok(d.post("/wharf/models/b/unload"))
    b = d.model("b")
    assert (b["footprint_source"], b["footprint_bytes"]) == ("learned", 2 * GIB)


def test_the_queue_in_order(wharf):
    c = config({"a": 6, "b": 6})
    c["models"]["a"] = demo("a", "--token-delay", "50ms", "--tokens", "600", vram="6GiB",
                            concurrencyLimit=1)
    d = wharf(c)
    hold = stream(d, "a")
    waiting = []
    for i, (name, class_) in enumerate((("b", "background"), ("a", "normal"), ("b", "foreground"))):
        waiting.append(Later(d.chat, name, headers={"X-Wharf-Class": class_}, max_tokens=1))
        d.until_model(name, waiting=1 + (i == 2))
    queue = d.get("/wharf/queue").json()
    assert [(r["model"], r["class"], r["position"]) for r in queue["requests"]] == \
        [("b", "background", 2), ("a", "normal", 1), ("b", "foreground", 1)]
    assert queue["leases"] == [] and queue["waiting"] == 3
    assert len(d.get("/wharf/queue?limit=2").json()["requests"]) == 2
    table = d.cli("queue", check=0).stdout.splitlines()
    assert table[0].split()[:3] == ["NEXT", "WHO", "CLASS"] and [row.split()[1] for row in table[1:]] == ["b", "a", "b"]
    hold.close()
    for w in waiting:
        d.ok(w.result())
    assert d.cli("queue", check=0).stdout == "nobody waits\n"


def test_commands(wharf):
    d = wharf({**config({"a": 6, "b": 6}), "gates": {"build": {"limit": 1}},
               "modes": {"work": {"a": "loaded"}}})
    for name in "ab":
        d.ok(d.chat(name))
    out = d.cli("why", check=0).stdout.splitlines()
    assert "a left for b: it costs least to lose; 6GiB on sim; last used " in out[1]
    now, *_, last = d.cli("why", "a", "-n", "1", check=0).stdout.splitlines()
    assert now == "a is unloaded: evicted to make room" and "a left for b" in last
    assert d.cli("why", "x", check=2).stderr
    out = d.cli("plan", "a", check=0).stdout
    assert out.startswith("a can come in on sim, taking 6GiB, at once: it costs least to lose\n") and \
        "  unload b, which gives 6GiB\n" in out and "sim has room for 4GiB of 10GiB now" in out
    out = d.cli("plan", "--vram", "30GiB", "--gate", "build", "--class", "normal", check=0).stdout
    assert out.startswith("a lease can never come in: it can never fit; it asks for 30GiB on 1 of these: sim can give 10GiB")
    assert json.loads(d.cli("plan", "--vram", "1GiB", "--gpus", "1", "--json",
                            check=0).stdout)["verdict"] == "go"
    for wrong in ((), ("a", "--vram", "1GiB")):
        assert d.cli("plan", *wrong, check=2).stderr.startswith("wharf: plan: ")
    table = d.cli("devices", check=0).stdout.splitlines()
    assert table[1].split()[:9] == ["sim", "10GiB", "6GiB", "6GiB", "0B", "0B", "0B", "-", "4GiB"]
    assert d.cli("mode", check=0).stdout == "mode idle\n  idle\n  work: a loaded\n"
    assert d.cli("mode", "work", check=0).stdout == "mode work\n"
    assert 'the nearest name is work' in d.cli("mode", "wrok", check=2).stderr
    assert d.cli("pin", "b", check=0).stdout == "b: loaded on sim, pinned\n"
    assert "loaded (pinned)" in d.cli("ps", check=0).stdout
    d.cli("pin", "b", "--off", check=0)
    assert d.model("b")["pinned"] is False
    for command in (("queue",), ("devices",), ("mode",), ("why",), ("plan", "a"), ("pin", "b")):
        json.loads(d.cli(*command, "--json", check=0).stdout)


def test_a_model_on_two_gpus(wharf):
    c = config({"a": 6, "c": 9}, gpus=[gpu("x"), gpu("y")])
    c["models"]["b"] = demo("b", vram="16GiB", gpuCount=2)
    d = wharf(c)
    d.load("a")
    d.ok(d.chat("b"))
    b = d.model("b")
    assert (b["devices"], b["footprint_bytes"], d.state_of("a")) == \
        (["x", "y"], 16 * GIB, "unloaded")
    until(lambda: [x["used_bytes"] for x in d.get("/wharf/devices").json()["devices"]] ==
          [8 * GIB, 8 * GIB], "readings of both")
    d.ok(d.chat("c"))
    assert d.state_of("b") == "unloaded" and len(d.model("c")["devices"]) == 1


def test_the_queue_under_serial(wharf):
    """One queue, whatever the model and the class."""
    c = {"models": {"a": demo("a", "--token-delay", "50ms", "--tokens", "600"), "b": demo("b")},
         "routing": {"scheduler": {"use": "serial"}}}
    d = wharf(c)
    hold = stream(d, "a")
    waiting = []
    for i, name in enumerate("bab"):
        waiting.append(Later(d.chat, name, max_tokens=1, headers={
            "X-Wharf-Class": ("background", "normal", "foreground")[i]}))
        until(lambda: d.get("/wharf/queue").json()["waiting"] == i + 1, "it to wait")
    assert [(r["model"], r["position"]) for r in d.get("/wharf/queue").json()["requests"]] == \
        [("b", 1), ("a", 2), ("b", 3)]
    hold.close()
    for w in waiting:
        d.ok(w.result())
