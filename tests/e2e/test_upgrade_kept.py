"""Another program in the daemon's place: leases, jobs, models, settings and records go over to it."""

import re
import subprocess

import pytest

from leases import Lease, gpu, listed, renew
from test_placements import config as placed_config, placed
from test_run import d as jobs  # noqa: F401 a fixture
from test_run import hold
from test_suspend import World
from upgrades import Stream, until_drained, upgrade
from wharf_harness import SECONDS, WHARF, Later, demo, held, is_alive, models, until
from workers import GPU, clip, embedding, workers  # noqa: F401

QUICK = {"routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}}


# ---------------------------------------------------------------- leases and jobs


@pytest.mark.slice
def test_a_raw_lease(wharf):
    """Its holder gets an end, and holds it again by its token; who waits keeps id, token and place."""
    d = wharf({"gpus": [gpu()], "gates": {"one": {"limit": 1}}, "models": {}})
    held_one = Lease(d, name="held", gates=["one"], vram="2GiB")
    assert held_one.state == "granted"
    first, second = (Lease(d, name=n, gates=["one"], seconds=3 * SECONDS) for n in ("first", "second"))
    late = Lease(d, name="late", gates=["one"], wait="2s", seconds=3 * SECONDS)
    for _ in range(2):
        upgrade(d)
        assert [l["name"] for l in listed(d) if l["state"] == "waiting"] == ["first", "second", "late"]
        assert [l["name"] for l in listed(d) if l["state"] == "granted"] == ["held"]
    while (line := held_one.line()) is not None:
        assert line["state"] != "ended", "an end of the answer, and none of the lease"
    again = Lease(d, again=held_one)
    assert again.until("granted")["lease"] == held_one.id
    refused = late.line()
    while refused and refused["state"] == "waiting":
        assert refused["lease"] == late.id
        refused = late.line()
    assert refused["state"] != "granted"
    again.end()
    granted = first.until("granted")
    assert granted["lease"] == first.id and listed(d, first.id)["state"] == "granted"
    assert renew(d, first.id, first.token).status in (200, 204, 409)
    first.close()
    assert second.until("granted")["lease"] == second.id
    second.close()
    until(lambda: not listed(d), "the end of all")


def test_a_lease_that_is_renewed(wharf):
    d = wharf({"gpus": [gpu()], "gates": {"one": {"limit": 1}}, "models": {}})
    made = d.post("/wharf/leases", {"gates": ["one"], "ttl": "30s"}).json()
    waits = Later(d.post, "/wharf/leases", {"gates": ["one"], "ttl": "30s"}, seconds=3 * SECONDS)
    until(lambda: len(listed(d)) == 2, "the second")
    id_ = next(l["id"] for l in listed(d) if l["state"] == "waiting")
    upgrade(d)
    assert next(l["id"] for l in listed(d) if l["state"] == "waiting") == id_
    assert renew(d, made["lease"], made["token"]).status == 200
    d.ask("DELETE", f"/wharf/leases/{made['lease']}", {"token": made["token"]})
    granted = waits.result()
    assert granted.status == 201 and granted.json()["lease"] == id_


def test_names_of_any_length(wharf):
    """Of a gate, and of a model's place: what has them goes over as what has short ones."""
    gate, place = "gate" * 80, "place" * 40
    model = placed()
    model["devices"] = {place: {**model["devices"]["cuda"], "gpus": ["gpu0"]}}
    d = wharf({"gpus": [gpu()], "gates": {gate: {"limit": 1}}, "models": {"m": model}, **QUICK})
    before = d.load("m")
    assert before["placement"] == place
    lease = d.post("/wharf/leases", {"gates": [gate], "vram": "2GiB", "ttl": "30s"}).json()
    upgrade(d)
    after = d.model("m")
    assert (after["pid"], after["placement"]) == (before["pid"], place)
    assert listed(d, lease["lease"])["state"] == "granted"
    other = d.post("/wharf/leases", {"gates": [gate], "ttl": "30s", "wait": "0s"})
    assert other.status == 503, other


def test_a_request_under_a_lease_waits(wharf, tmp_path):
    flag = tmp_path / "go"
    d = wharf({"gpus": [gpu()], **QUICK, "models": {"m": held(demo("m", vram="2GiB"), flag)}})
    lease = Lease(d, vram="8GiB")
    assert lease.state == "granted"
    call = Later(d.chat, "m", headers={"X-Wharf-Lease": lease.mark}, max_tokens=1, seconds=3 * SECONDS)
    d.until_model("m", waiting=1)
    upgrade(d)
    again = Lease(d, again=lease)
    again.until("granted")
    d.until_model("m", waiting=1)
    flag.touch()
    d.ok(call.result())


@pytest.mark.slice
def test_wharf_run_goes_on(jobs):  # noqa: F811
    """One that runs and one behind it: both end well, in their order."""
    d = jobs()
    first = hold(d, "8GiB")
    second = d.job("run", "--vram", "8GiB", "--", "sh", "-c", "echo ran; cat")
    until(lambda: [l["state"] for l in listed(d)] == ["granted", "waiting"], "both")
    ids = [l["id"] for l in listed(d)]
    for _ in range(2):
        upgrade(d)
        assert [l["state"] for l in listed(d)] == ["granted", "waiting"]
        assert [l["id"] for l in listed(d)] == ids
    assert first.finish()[0] == 0
    assert second.line() == "ran\n"
    upgrade(d)
    status, _, err = second.finish()
    assert status == 0, err
    until(lambda: not listed(d), "the end")


def test_submitted_jobs(jobs, tmp_path):  # noqa: F811
    d = jobs()
    flag = tmp_path / "go"
    for i in range(2):
        started = d.job("submit", "--vram", "8GiB", "--", "sh", "-c",
                        f"echo {i} >> {tmp_path}/ran; until test -e {flag}; do sleep 0.02; done")
        assert started.finish()[0] == 0
    until(lambda: [l["state"] for l in listed(d)] == ["granted", "waiting"], "both")
    upgrade(d)
    until(lambda: [l["state"] for l in listed(d)] == ["granted", "waiting"], "both")
    flag.touch()
    until(lambda: not listed(d), "the end of both")
    assert sorted((tmp_path / "ran").read_text().split()) == ["0", "1"]


# ---------------------------------------------------------------- models and those who order


@pytest.mark.slice
def test_a_model_that_loads_is_loaded_once(wharf, tmp_path):
    """Whoever waits for it is served, by request or by command."""
    flag = tmp_path / "go"
    d = wharf({"models": {"m": held(demo("m"), flag)}})
    chat = Later(d.chat, "m", max_tokens=1)
    d.until_model("m", waiting=1, state="loading")
    command = Later(d.cli, "load", "m", seconds=3 * SECONDS)
    until(lambda: d.model("m")["pid"], "its process")
    pid = d.model("m")["pid"]
    for _ in range(2):
        upgrade(d)
        assert d.state_of("m") == "loading"
    flag.touch()
    d.ok(chat.result())
    assert command.result().returncode == 0
    assert d.model("m")["pid"] == pid and d.stderr.count("m started") == 1


@pytest.mark.slice
def test_models_that_are_being_started(wharf, containment):
    """At whatever point of its start each is: one of it, known to the new program."""
    names = [f"m{i}" for i in range(6)]
    d = wharf({"gpus": [gpu(memory="12GiB")], "models": {n: demo(n, vram="1GiB") for n in names}}, **containment)
    for n in names:
        load = Later(d.post, f"/wharf/models/{n}/load", seconds=3 * SECONDS)
        asked = Later(upgrade, d)
        assert load.result().status == 200
        asked.result()
        d.ok(d.chat(n, max_tokens=1))
    assert sorted(d.engines()) == sorted(d.model(n)["pid"] for n in names)


def test_a_model_that_unloads(wharf):
    d = wharf({"models": {"m": demo("m", "--slow-stop", "500ms")}})
    pid = d.load("m")["pid"]
    events = d.events()
    command = Later(d.cli, "unload", "m", seconds=3 * SECONDS)
    events.wait_for("model_unloading", model="m")
    upgrade(d)
    assert command.result().returncode == 0
    until(lambda: not is_alive(pid), "its end")
    d.ok(d.chat("m", max_tokens=1))
    assert len(d.engines()) == 1


def test_a_model_asleep(wharf, tmp_path):
    w = World(wharf, tmp_path, {"s": {"engine": "vllm"}})
    d = w.d
    d.load("s")
    w.suspend()
    pid = d.model("s")["pid"]
    upgrade(d)
    assert d.state_of("s") == "suspended" and d.model("s")["pid"] == pid
    d.ok(d.chat("s"))
    assert d.model("s")["pid"] == pid


def test_a_model_that_moves(wharf):
    d = wharf(placed_config())
    d.load("m")
    moved = Later(d.post, "/wharf/models/m/move?device=cpu", seconds=3 * SECONDS)
    upgrade(d)
    assert moved.result().status == 200
    d.ok(d.chat("m", max_tokens=1))
    until(lambda: len(d.engines()) == 1, "one of it")


def test_a_worker(wharf, workers):  # noqa: F811
    d = wharf({"gpus": [GPU], "models": {"clip": clip()}})
    w = workers(d, "clip")
    before = embedding(d, "clip", "text")
    upgrade(d)
    until(lambda: d.state_of("clip") == "loaded", "the worker's return")
    assert embedding(d, "clip", "text") == before and d.model("clip")["pid"] == w.pid


def test_what_was_set_while_it_ran(wharf):
    """Mode, profile, pin; and a preload that somebody has unloaded is not loaded again."""
    d = wharf({"gpus": [gpu()], **QUICK, "hooks": {"on_startup": {"preload": ["p"]}},
               "modes": {"quiet": {"m": "unloaded"}}, "profiles": {"other": {"pins": {"m": "n"}}},
               "models": {n: demo(n, vram="1GiB") for n in "mnp"}})
    until(lambda: d.state_of("p") == "loaded", "the preload")
    d.ok(d.post("/wharf/models/p/unload"))
    d.load("n")
    d.ok(d.post("/wharf/models/n/pin"))
    assert d.ask("PUT", "/wharf/mode", {"mode": "quiet"}).status == 200
    profile = d.ask("PUT", "/api/profiles/active", {"name": "other"})
    before = [d.get(p).json() for p in ("/wharf/mode", "/api/profiles")]
    assert profile.status in (200, 204), profile
    for _ in range(2):
        upgrade(d)
        assert [d.get(p).json() for p in ("/wharf/mode", "/api/profiles")] == before
        assert d.model("n")["pinned"] and not d.model("p")["pinned"]
        assert d.state_of("p") == "unloaded"
    assert d.get("/wharf/mode").json()["mode"] == "quiet"


def test_a_command_that_waits_for_a_mode(wharf, tmp_path):
    flag = tmp_path / "go"
    d = wharf({"gpus": [gpu()], "modes": {"work": {"m": "loaded"}}, "models": {"m": held(demo("m", vram="1GiB"), flag)}})
    command = Later(d.cli, "mode", "work", "--wait", seconds=3 * SECONDS)
    d.until_model("m", state="loading")
    upgrade(d)
    assert not command.done
    flag.touch()
    assert command.result().returncode == 0, command.result()


# ---------------------------------------------------------------- records


def test_rows_lines_and_the_event(wharf, tmp_path):
    """Of what a drainer finished: one row, one line in the log, however it ended."""
    d = wharf({"store": {"path": str(tmp_path / "history.sqlite")},
               "models": {"m": demo("m", "--token-delay", "10ms", "--tokens", "50")}})
    d.load("m")
    good, bad = Stream(d, "m").head(), Stream(d, "m", "x" * 9000).head()
    good.next(), bad.next()
    upgrade(d)
    event = d.events(last_event_id=0).wait_for("upgraded")["details"]
    assert (event["running"], event["waiting"]) == (2, 0) and event["ms"] < 10000
    bad.connection.close()
    good.rest()
    until_drained(d)
    rows = lambda: [r for r in d.get("/api/metrics/activity").json()["data"] if r["req_path"] == "/v1/chat/completions"]
    until(lambda: len(rows()) == 2, f"two rows: {d.get('/api/metrics/activity').text}")
    assert len(re.findall(r'Request .*"POST /v1/chat/completions', d.stderr)) == 2
    assert len({r["id"] for r in rows()}) == 2
    upgrade(d)
    assert len(rows()) == 2, "in the file"


def test_those_who_follow_get_an_end(wharf):
    """A proper one, and what they ask for next is the new program's."""
    d = wharf(models("m"))
    events = d.events()
    logs = d.connect(seconds=3 * SECONDS)
    logs.request("GET", "/logs/stream")
    pieces = logs.pieces(answer := logs.head())
    next(pieces)
    follow = subprocess.Popen([str(WHARF), "events"], env=dict(d.env, WHARF_URL=d.url), stdout=subprocess.PIPE, text=True)
    until(lambda: d.get("/wharf/status").json()["connections"] >= 3, "three follow")
    upgrade(d)
    until(lambda: events.ended, "the end of the events")
    assert b"".join(pieces) is not None and answer.complete
    follow.stdout.read()
    assert follow.wait() == 0
    follow.stdout.close()
    assert d.events(last_event_id=0).wait_for("upgraded")
