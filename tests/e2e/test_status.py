"""GET /wharf/status: everything is there, of the right kind, in every state; what is not known is null."""

import datetime
import json
import re
import time

import pytest

from fake_gpus import FakeGpus
from wharf_harness import SSE_HEAD, Gone, demo, held, models, serve_requests, until

GIB = 1024 ** 3
TEXT, BOOL, LIST = (str,), (bool,), (list,)
COUNT, NUMBER = (int,), (int, float)
NULL = (type(None),)

# Every member, and what it may be.
DEGRADATION = {"what": TEXT, "name": TEXT + NULL, "reason": TEXT, "since_s": NUMBER, "retry_s": NUMBER + NULL,
               "models": LIST}
JOBS = {name: COUNT for name in ("active", "waiting", "processed", "failed", "cancelled")}
MODEL = {
    "id": TEXT, "state": TEXT, "placement": TEXT + NULL, "device": TEXT + NULL, "devices": LIST,
    "footprint_bytes": COUNT + NULL, "footprint_source": TEXT, "footprint": (dict,), "settling": BOOL, "used_bytes": COUNT + NULL,
    "peak_bytes": COUNT + NULL, "on_cpu": BOOL + NULL, "pinned": BOOL,
    "wish": TEXT + NULL, "class": TEXT, "in_flight": COUNT, "waiting": COUNT, "last_used": TEXT + NULL,
    "last_used_s": NUMBER + NULL, "ttl_s": NUMBER + NULL, "idle_unload_s": NUMBER + NULL,
    "load_s": NUMBER + NULL, "last_load_s": NUMBER + NULL, "operation": (dict,) + NULL, "backend": TEXT, "backend_model": TEXT + NULL, "endpoint": TEXT + NULL,
    "backend_reason": TEXT + NULL,
    "pid": COUNT + NULL, "port": COUNT + NULL, "reason": TEXT + NULL, "error": TEXT + NULL, "retries": (dict,),
    "aliases": LIST}
BYTES = {f"{name}_bytes": COUNT + NULL for name in (
    "total", "used", "free", "reserved", "own", "leased", "settling", "foreign", "room", "peak")}
DEVICE = {
    "index": COUNT, "name": TEXT + NULL, "maker": TEXT + NULL, "model": TEXT + NULL, "uuid": TEXT + NULL,
    "pci": TEXT + NULL, "driver": TEXT + NULL, "driver_version": TEXT + NULL, "unified": BOOL, "mig": BOOL,
    "present": BOOL, **BYTES, "loading": TEXT + NULL, "utilisation_percent": COUNT + NULL,
    "memory_utilisation_percent": COUNT + NULL, "temperature_c": COUNT + NULL,
    "memory_temperature_c": COUNT + NULL, "power_w": NUMBER + NULL, "power_limit_w": NUMBER + NULL,
    "fan_percent": COUNT + NULL, "processes": LIST + NULL, "processes_unknown": TEXT + NULL,
    "degraded": TEXT + NULL, "sampled_s": NUMBER + NULL}
STATUS = {
    "version": TEXT, "commit": TEXT, "build_date": TEXT, "uptime_s": NUMBER, "state": TEXT, "scheduler": TEXT,
    "planner": TEXT, "models": COUNT, "loaded": COUNT, "in_flight": COUNT, "waiting": COUNT,
    "connections": COUNT, "leases": COUNT, "leases_waiting": COUNT, "leased_bytes": COUNT,
    "mode": TEXT, "mode_reached": BOOL, "degraded": TEXT + NULL, "degraded_mode": BOOL,
    "degradations": LIST, "backends": LIST, "jobs": (dict,), "model_list": LIST, "devices": LIST}
STATES = {"unloaded", "loading", "loaded", "unloading", "moving", "suspending", "suspended", "resuming",
          "error", "stuck"}


def check(what, schema, where):
    """All members of the schema, each of a type that it may have."""
    assert set(schema) <= set(what), f"{where} lacks {set(schema) - set(what)}"
    for name, types in schema.items():
        # bool is an int to Python, but not to JSON.
        assert type(what[name]) in types, f"{where}.{name} is {what[name]!r}"


def status(d):
    """The status, after it was examined."""
    s = d.ok(d.get("/wharf/status")).json()
    check(s, STATUS, "status")
    check(s["jobs"], JOBS, "jobs")
    for x in s["degradations"]:
        check(x, DEGRADATION, "degradation")
    for m in s["model_list"]:
        check(m, MODEL, m["id"])
        check(m["retries"], {"failed": COUNT, "max": COUNT}, "retries")
        assert m["state"] in STATES
    for x in s["devices"]:
        check(x, DEVICE, x["name"])
    assert s["degraded_mode"] is bool(s["degraded"]) is bool(s["degradations"] or s["degraded"])
    assert len(s["model_list"]) == s["models"]
    assert s["loaded"] == sum(m["state"] == "loaded" for m in s["model_list"])
    return s


def model(s, name):
    [m] = [m for m in s["model_list"] if m["id"] == name]
    return m


def sim(memory="12GiB"):
    return [{"sim": {"name": "sim", "memory": memory}, "sample": "20ms"}]


@pytest.mark.slice
def test_get_status_returns_complete_status(wharf):
    c = {"gpus": sim(), "models": {"vlm": demo("vlm", vram="10.5GiB", ttl=300, maxLoadRetries=3),
                                   "clip": {**demo("clip"), "devices": {"cpu": {}, "cuda": {"vram": "500MiB"}}}},
         "modes": {"recording": {"vlm": "loaded", "clip": "cpu"}}}
    d = wharf(c)
    before = status(d)
    assert model(before, "vlm")["placement"] is None and model(before, "vlm")["last_used"] is None
    assert (before["mode"], before["mode_reached"], before["degraded"]) == ("idle", True, None)
    d.ok(d.ask("PUT", "/wharf/mode?wait=1", b'{"mode":"recording"}'))
    d.ok(d.chat("vlm"))
    until(lambda: d.model("vlm")["used_bytes"], "the reading")
    s = status(d)
    assert (s["mode"], s["mode_reached"], s["state"], s["planner"]) == ("recording", True, "serving", "fit")
    vlm, clip = model(s, "vlm"), model(s, "clip")
    assert (vlm["state"], vlm["placement"], vlm["device"], vlm["devices"]) == ("loaded", "gpu", "sim", ["sim"])
    assert (clip["state"], clip["placement"], clip["device"], clip["on_cpu"]) == ("loaded", "cpu", None, True)
    assert (vlm["ttl_s"], vlm["retries"], vlm["backend"], vlm["on_cpu"]) == (300, {"failed": 0, "max": 3},
                                                                           "process", False)
    assert vlm["used_bytes"] == vlm["peak_bytes"] == vlm["footprint_bytes"] == 10.5 * GIB
    [device] = s["devices"]
    assert (device["total_bytes"], device["used_bytes"], device["free_bytes"], device["own_bytes"]) == (
        12 * GIB, 10.5 * GIB, 1.5 * GIB, 10.5 * GIB)


@pytest.mark.parametrize("mode", ["idle", "recording", "autopilot"])
def test_get_status_reflects_execution_mode(wharf, mode):
    d = wharf({"gpus": sim(), "models": {"vlm": demo("vlm", vram="1GiB")}, "startMode": "recording",
               "modes": {"recording": {"vlm": "loaded"}, "autopilot": {"vlm": "unloaded"}}})
    assert status(d)["mode"] == "recording"
    d.ok(d.ask("PUT", "/wharf/mode", json.dumps({"mode": mode}).encode()))
    assert status(d)["mode"] == mode


def test_a_mode_that_is_not_reached(wharf):
    d = wharf({"gpus": sim("4GiB"), "models": {"vlm": demo("vlm", vram="10GiB")},
               "modes": {"recording": {"vlm": "loaded"}}, "startMode": "recording"})
    assert status(d)["mode_reached"] is False
    answer = d.ok(d.get("/wharf/mode")).json()
    assert answer["reached"] is False and answer["models"][0]["reached"] is False


@pytest.mark.parametrize("fault", ["none", "hang", "lost", "container", "no memory"])
def test_unknown_is_null_and_never_0(wharf, tmp_path, fault):
    """In each state that a GPU can be in, all members are there, and none that is not known is a number."""
    fake = FakeGpus(tmp_path)
    if fault == "container":
        fake.namespace(4026532999)
    d = wharf({"models": {"a": demo("a") | {"vram": "4GiB"}}}, env=fake.env())
    events = d.events()
    d.ok(d.chat("a"))
    if fault == "hang":
        fake.set(hang="nvmlDeviceGetMemoryInfo_v2")
        events.wait_for("degraded")
    elif fault == "lost":
        fake.set(_0_lost=1)
        events.wait_for("degraded")
    elif fault == "no memory":
        fake.set(nvmlDeviceGetMemoryInfo_v2=3, nvmlDeviceGetMemoryInfo=3)
        until(lambda: status(d)["devices"][0]["used_bytes"] is None, "the reading")
    s = status(d)
    [device] = s["devices"]
    readable = fault in ("none", "container")
    for name in ("used_bytes", "free_bytes", "foreign_bytes"):
        assert (device[name] is None) is not readable, (name, device)
    for name in ("utilisation_percent", "memory_utilisation_percent", "temperature_c", "power_w", "fan_percent",
                 "memory_temperature_c", "power_limit_w"):
        assert device[name] is None, name
    assert (device["reserved_bytes"] is None) is not readable
    assert (device["processes"] is None) is (fault not in ("none", "no memory"))
    assert s["degraded_mode"] is not readable, s["degraded"]
    assert model(s, "a")["peak_bytes"] is None
    if device["processes"] is None:
        assert model(s, "a")["used_bytes"] is None
    if not readable:
        assert s["degradations"][0]["models"] == ["a"] and s["degraded"] == device["degraded"]


def test_without_a_gpu(wharf):
    d = wharf(models("a"))
    d.ok(d.chat("a"))
    s = status(d)
    assert s["devices"] == [] and s["planner"] == "group" and not s["degraded_mode"]
    a = model(s, "a")
    assert a["state"] == "loaded"
    for name in ("placement", "device", "footprint_bytes", "used_bytes", "peak_bytes", "on_cpu", "ttl_s",
                 "idle_unload_s", "backend_model", "endpoint", "backend_reason"):
        assert a[name] is None, name


def test_what_is_degraded_is_one_sentence(wharf, tmp_path):
    """Of anything: here of a history that cannot be opened."""
    d = wharf(models("a"))
    (tmp_path / "history").write_text("no database" * 1000)
    d.reload({**models("a"), "store": {"path": str(tmp_path / "history")}})
    s = status(d)
    assert s["degraded_mode"] and s["degraded"].startswith("store")
    assert s["degradations"][0]["reason"] in s["degraded"]
    assert "degraded: store" in d.cli("status", check=0).stdout


def test_a_failing_model(wharf):
    c = models("a")
    c["models"]["a"].update(cmd="sh -c 'exit 3' ${PORT}", maxLoadRetries=0)
    d = wharf(c)
    assert d.chat("a").status == 502
    a = model(status(d), "a")
    assert (a["state"], a["placement"], a["retries"]) == ("error", None, {"failed": 1, "max": 0})
    assert "status 3" in a["error"]


def test_when_a_model_was_used(wharf):
    d = wharf(models("a", ttl=600))
    start = time.time()
    d.ok(d.chat("a"))
    a = model(status(d), "a")
    used = datetime.datetime.fromisoformat(a["last_used"].replace("Z", "+00:00")).timestamp()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", a["last_used"])
    assert start - 2 <= used <= time.time() + 1
    assert a["ttl_s"] == 600 and 0 < a["idle_unload_s"] <= 600


@pytest.mark.slice
def test_jobs_are_counted(wharf, upstream):
    """Each request for a model counts once, when it is over, by what became of it."""
    def script(peer, line, headers, body):
        said = json.loads(body or b"{}").get("messages", [{}])[0].get("content")
        if said == "broken":
            peer.answer(status=500)
        elif said == "wrong":
            peer.answer(status=400)
        elif said == "cut":
            peer.send(SSE_HEAD)
            peer.chunk("data: {}\n\n")
            peer.reset()
            raise Gone
        elif said == "late":
            peer.is_closed()
        else:
            peer.answer()

    d = wharf({"models": {"a": upstream(serve_requests(script)).model()}, "peers": {}})
    jobs = lambda: {k: v for k, v in status(d)["jobs"].items()}
    assert jobs() == {"active": 0, "waiting": 0, "processed": 0, "failed": 0, "cancelled": 0}
    d.ok(d.chat("a"))
    assert d.chat("a", "wrong").status == 400
    assert jobs()["processed"] == 2
    assert d.chat("a", "broken").status == 500
    d.chat("a", "cut")
    assert d.chat("nobody").status == 404
    until(lambda: jobs()["failed"] == 2, "the one that was cut")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", {"model": "a", "messages": [{"role": "user", "content": "late"}]})
    until(lambda: jobs()["active"] == 1, "one that runs")
    c.close()
    until(lambda: jobs()["cancelled"] == 1, "its client's leave")
    assert jobs() == {"active": 0, "waiting": 0, "processed": 2, "failed": 2, "cancelled": 1}
    # wharf's own paths are no jobs.
    d.load("a")
    assert jobs()["processed"] == 2
    assert "2 processed, 2 failed, 1 cancelled" in d.cli("status", check=0).stdout


def test_refusals_are_failed_jobs(wharf):
    d = wharf({"gpus": sim("4GiB"), "models": {"a": demo("a", vram="10GiB")}})
    assert d.chat("a").status == 507
    assert status(d)["jobs"]["failed"] == 1


def test_the_command_line(wharf):
    d = wharf({"gpus": sim(), "models": {"vlm": demo("vlm", vram="2GiB"), "b": demo("b")},
               "modes": {"recording": {"vlm": "loaded"}}})
    text = d.cli("status", check=0).stdout
    assert "models: 0 of 2 loaded\n" in text and "mode idle\n" in text
    d.ok(d.ask("PUT", "/wharf/mode?wait=1", b'{"mode":"recording"}'))
    until(lambda: d.model("vlm")["used_bytes"], "the reading")
    text = d.cli("status", check=0).stdout
    for part in ("mode recording\n", "models: 1 of 2 loaded: vlm on gpu\n",
                 "device sim: 2GiB of 12GiB used, 2GiB at most\n", "scheduler fair, planner fit\n"):
        assert part in text, text
    assert json.loads(d.cli("status", "--json", check=0).stdout)["mode"] == "recording"
    assert re.search(r"^vlm +loaded +gpu +sim +2GiB", d.cli("ps", check=0).stdout, re.M)


OPERATION = {"what": TEXT, "since_s": NUMBER, "expected_s": NUMBER + NULL, "bytes": COUNT + NULL,
             "expected_bytes": COUNT + NULL}


@pytest.mark.slice
def test_how_far_a_load_is(wharf, tmp_path):
    """What is seen of it already, against what it takes, and what it took before."""
    flag = tmp_path / "go"
    engine = held(demo("m", vram="4GiB"), flag)
    d = wharf({"gpus": sim(), "models": {"m": engine, "stuck": demo("stuck", "--never-ready", vram="2GiB")}})
    flag.touch()
    m = d.load("m")
    took = m["last_load_s"]
    assert took > 0 and m["operation"] is None and m["load_s"] == took
    d.ok(d.post("/wharf/models/m/unload"))
    flag.unlink()
    assert d.post("/wharf/models/m/load?wait=0").status == 202
    now = until(lambda: d.model("m")["operation"], "the load")
    check(now, OPERATION, "operation")
    assert (now["what"], now["expected_s"], now["expected_bytes"]) == ("loading", took, 4 * GIB)
    assert now["bytes"] in (0, None)  # its engine has not begun
    flag.touch()
    d.until_model("m", state="loaded", operation=None)
    # An engine that has its memory, and is never ready.
    assert d.post("/wharf/models/stuck/load?wait=0").status == 202
    now = until(lambda: (d.model("stuck")["operation"] or {}).get("bytes") and d.model("stuck")["operation"], "its bytes")
    assert (now["bytes"], now["expected_bytes"], now["expected_s"]) == (2 * GIB, 2 * GIB, None)
