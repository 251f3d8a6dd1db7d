"""Public events: each type of config/events.def, what it says, and when it comes; and commands that get
them (hooks)."""

import json
import os
import re

import pytest

from fake_gpus import UUIDS, FakeGpus
from leases import Lease
from wharf_harness import ROOT, SECONDS, Later, demo, models, until

GIB, MIB = 1024 ** 3, 1024 ** 2
QUICK = {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}

# Types that no test of this file brings about, and the one that does.
ELSEWHERE = {
    "stuck": "tests/unit/test_server_notices.c::test_sleeps",
    "no_progress": "tests/unit/test_server_resident.c::test_overdue",
    "moving": "tests/e2e/backends/test_seed_001.py::test_full_workflow",
    "device_changed": "tests/e2e/backends/test_seed_001.py::test_full_workflow",
    "suspending": "tests/unit/test_server_notices.c::test_sleeps",
    "suspended": "tests/e2e/test_suspend.py::test_sleeps_and_wakes",
    "resuming": "tests/unit/test_server_notices.c::test_sleeps",
    "resumed": "tests/e2e/test_suspend.py::test_sleeps_and_wakes",
    "op_failed": "tests/e2e/test_suspend.py::test_404_is_said_and_unloaded",
    "starving": "tests/unit/test_server_notices.c::test_leases",
    "upgraded": "tests/e2e/test_upgrade_kept.py::test_rows_lines_and_the_event",
}


def table():
    """{type: the members that its details may have}, of events.def."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "src/config/events.def").read_text(), flags=re.S)
    rows = re.findall(r'EVENT\((\w+),\s*"(?:[^"]*)",\s*"([^"]*)"\)', text)
    found, before = {}, set()
    for type_, details in rows:
        members = set(re.findall(r"`(\w+)`", details)) | (before if "the same" in details else set())
        found[type_] = before = members
    return found


TABLE = table()
PRODUCED = {}  # type: names of the tests that bring it about


def tells(*types):
    """Marks a test that brings about events of these types: the fixture looks that it does."""
    def mark(test):
        for t in types:
            PRODUCED.setdefault(t, []).append(test.__name__)
        return pytest.mark.tells(*types)(test)
    return mark


@pytest.fixture
def told(request, wharf):
    """told(config, **options) → a daemon and its events, which are judged at the end."""
    followed = []

    def start(config, **options):
        d = wharf(config, **options)
        # From the daemon's first event on.
        followed.append(d.events(last_event_id=0))
        return d, followed[-1]

    yield start
    seen = [e for events in followed for e in events.seen]
    for type_ in request.node.get_closest_marker("tells").args:
        assert any(e["type"] == type_ for e in seen), f"no {type_}: {[e['type'] for e in seen]}"
    for e in seen:
        if e["type"] != "gap":
            unknown = set(e["details"]) - TABLE[e["type"]] - {"model"}
            assert not unknown, f"{e['type']} says {unknown}, of which events.def does not speak: {e}"


def gpu(name="sim", memory="10GiB", **keys):
    return {"sim": {"name": name, "memory": memory}, "sample": "20ms", **keys}


def config(sizes, **keys):
    return {"gpus": [gpu()], "routing": QUICK, **keys,
            "models": {name: demo(name, vram=f"{size}GiB") for name, size in sizes.items()}}


def test_every_type_has_a_test():
    """Each type is brought about by a test of this file, or by one that is named."""
    assert set(PRODUCED) | set(ELSEWHERE) == set(TABLE)
    assert not set(PRODUCED) & set(ELSEWHERE)
    for type_, test in ELSEWHERE.items():
        path, name = test.split("::")
        text = (ROOT / path).read_text()
        body = re.search(rf"^(?:static void|def) {name}\(.*?(?=^(?:static|int|def) )", text, re.S | re.M)
        assert body, f"{test} is not there"
        assert f'"{type_}"' in body[0], f"{test} does not look at {type_}"


def test_the_table_of_events_is_in_the_documents():
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/http.md").read_text().split(
        "<!-- generated: events -->")[1].split("<!-- end -->")[0], re.M)
    assert documented == list(TABLE)
    defined = (ROOT / "docs/config.md").read_text().split("<!-- generated: event-types -->")[1]
    assert re.findall(r"`(\w+)`", defined.split("<!-- end -->")[0]) == list(TABLE)


# ---------------------------------------------------------------- models


@pytest.mark.slice
@tells("model_loading", "model_loaded", "model_unloading", "model_unloaded", "settled")
def test_model_unloaded_says_what_came_free(told):
    d, events = told(config({"a": 6}))
    d.load("a")
    loading = events.wait_for("model_loading")["details"]
    assert loading == {"model": "a", "reason": "commanded", "placement": "gpu", "device": "sim",
                       "devices": ["sim"], "bytes": 6 * GIB}
    come = events.wait_for("model_loaded")["details"]
    assert {k: come[k] for k in loading} == loading and come["seconds"] >= 0
    [vram] = come["vram"]
    assert (vram["device"], vram["before_bytes"]) == ("sim", 0)
    until(lambda: d.model("a")["used_bytes"] == 6 * GIB, "the reading")
    d.ok(d.post("/wharf/models/a/unload"))
    assert events.wait_for("model_unloading")["details"] == loading
    gone = events.wait_for("model_unloaded")["details"]
    assert (gone["placement"], gone["devices"], gone["vram"][0]["before_bytes"]) == ("gpu", ["sim"], 6 * GIB)
    # Only a sample that was taken afterwards proves that it came free.
    settled = events.wait_for("settled")["details"]
    assert settled["device"] == "sim" and settled["bytes"] == 6 * GIB
    assert settled["vram"] == [{"device": "sim", "before_bytes": 6 * GIB, "after_bytes": 0}]


@tells("settled")
def test_memory_of_a_model_that_is_no_longer_configured_settles(told):
    """Its name has gone by then."""
    d, events = told(config({"a": 6, "b": 1}))
    d.load("a")
    until(lambda: d.model("a")["used_bytes"] == 6 * GIB, "the reading")
    d.reload(config({"b": 1}))
    assert events.wait_for("settled")["details"]["bytes"] == 6 * GIB
    d.ok(d.chat("b"))


@tells("load_failed", "error_over")
def test_a_failed_load_says_which_it_was(told):
    c = config({"a": 1})
    c["models"]["a"]["cmd"] = "sh -c 'echo no weights; exit 3' ${PORT}"
    c["models"]["a"]["maxLoadRetries"] = 1
    d, events = told(c)
    assert d.chat("a", seconds=3 * SECONDS).status == 502
    for attempt in (1, 2):
        failed = events.wait_for("load_failed", model="a")["details"]
        assert (failed["attempt"], failed["of"], failed["placement"]) == (attempt, 2, "gpu")
        assert "exited with status 3" in failed["error"] and "no weights" in failed["error"]
        if attempt == 1:
            assert events.wait_for("error_over", model="a")["details"]["attempt"] == 1


@pytest.mark.slice
@tells("oom")
def test_out_of_memory_says_how_much_it_gets_next(told):
    c = config({"a": 4})
    c["models"]["a"]["cmd"] = "sh -c 'echo CUDA error: out of memory; exit 1' ${PORT}"
    d, events = told(c)
    assert d.chat("a").status == 502
    oom = events.wait_for("oom")["details"]
    assert (oom["model"], oom["device"], oom["had_bytes"], oom["bytes"]) == ("a", "sim", 4 * GIB, 5 * GIB)
    first, second = events.all("load_failed")[0], events.wait_for("load_failed", attempt=1)
    assert "attempt" not in first["details"], "it was tried again at once"
    assert "out of memory" in second["details"]["error"]


@tells("running_on_cpu")
def test_running_on_cpu_is_told(told):
    """Loaded, and nothing of it is seen on its device."""
    c = config({"a": 2})
    c["models"]["a"]["cmd"] = demo("a")["cmd"]
    d, events = told(c)
    d.load("a")
    assert events.wait_for("running_on_cpu")["details"] == {
        "model": "a", "placement": "gpu", "device": "sim", "bytes": 2 * GIB}
    assert d.model("a")["on_cpu"] is True
    d.ok(d.post("/wharf/models/a/unload"))
    assert d.model("a")["on_cpu"] is None


@tells("decision", "evicted")
def test_who_leaves_is_told(told):
    d, events = told(config({"a": 6, "b": 6}))
    d.load("a")
    d.ok(d.chat("b"))
    decision = events.wait_for("decision")["details"]
    assert (decision["model"], decision["for_model"], decision["bytes"]) == ("a", "b", 6 * GIB)
    evicted = events.wait_for("evicted")["details"]
    assert {k: decision[k] for k in evicted} == evicted


@tells("idle_unload")
def test_an_idle_unload_is_told(told):
    c = models("a")
    c["models"]["a"]["ttl"] = 1
    d, events = told(c)
    d.load("a")
    idle = events.wait_for("idle_unload")["details"]
    assert idle["model"] == "a" and 1 <= idle["seconds"] < 1 + SECONDS
    events.wait_for("model_unloaded")


# ---------------------------------------------------------------- requests


@tells("waiting", "granted", "refused")
def test_requests_that_wait_are_told(told):
    d, events = told(config({"a": 6}))
    assert d.chat("a", headers={"X-Wharf-Wait": "0"}).status == 503
    assert events.wait_for("refused")["details"]["reason"]
    d.ok(d.chat("a"))
    assert events.wait_for("waiting")["details"]["position"] == 1
    assert events.wait_for("granted")["details"]["seconds"] >= 0


@tells("blocked")
def test_who_cannot_be_served_is_told(told):
    d, events = told(config({"a": 6, "b": 6}))
    d.load("a")
    d.ok(d.post("/wharf/models/a/pin"))
    waiting = Later(d.chat, "b")
    blocked = events.wait_for("blocked")["details"]
    assert (blocked["model"], blocked["by_model"]) == ("b", "a")
    d.ok(d.post("/wharf/models/a/unpin"))
    d.ok(waiting.result())


# ---------------------------------------------------------------- modes, profiles, the daemon


@tells("mode_changed", "mode_reached")
def test_modes_are_told(told):
    d, events = told(config({"a": 6}, modes={"work": {"a": "loaded"}}))
    d.ok(d.ask("PUT", "/wharf/mode", b'{"mode":"work"}'))
    assert events.wait_for("mode_changed")["details"] == {"mode": "work", "from": "idle"}
    assert events.wait_for("mode_reached")["details"]["mode"] == "work"
    assert d.state_of("a") == "loaded"


@tells("profile_changed")
def test_profiles_are_told(told):
    d, events = told({**models("a"), "profiles": {"p": {"pins": {"x": "a"}}}})
    d.ok(d.ask("PUT", "/api/profiles/active", {"name": "p"}))
    assert events.wait_for("profile_changed")["details"] == {"profile": "p", "from": None}


@tells("config_reloaded", "config_rejected", "drained")
def test_the_daemon_tells_of_itself(told):
    d, events = told(models("a"))
    d.reload(models("a", "b"))
    d.reload({"models": 7}, event="config_rejected")
    d.stop()
    assert events.wait_for("drained")["details"] == {"reason": "shutting down"}


# ---------------------------------------------------------------- devices


@pytest.mark.slice
@tells("vram_changed", "device_found")
def test_vram_changed_has_a_threshold(told, tmp_path):
    """Told is what differs by as much from what was told last, not from what was read last."""
    fake = FakeGpus(tmp_path)
    c = {"models": {"a": demo("a", vram="1GiB") | {"cmd": demo("a")["cmd"]}}, "gpus": [{"sample": "20ms"}]}
    d, events = told(c, env=fake.env())
    found = events.wait_for("device_found")["details"]
    assert found == {"device": "NVIDIA Fake", "uuid": UUIDS[0], "total_bytes": 24 * GIB}
    used = GIB // 2
    device = lambda: d.get("/wharf/devices").json()["devices"][0]
    until(lambda: device()["used_bytes"] == used, "the first reading")

    def use(more):
        fake.use(0, {}, foreign=GIB // 2 + more)
        until(lambda: device()["used_bytes"] == GIB // 2 + more, "the reading")
        return events.catch_up().all("vram_changed")

    fake.use(0, {}, foreign=GIB // 2)
    assert events.all("vram_changed") == []
    assert use(99 * MIB) == [], "99 MiB are no news"
    [first] = use(101 * MIB)
    assert first["details"] == {"device": "NVIDIA Fake", "used_bytes": used + 101 * MIB,
                                "before_bytes": used, "delta_bytes": 101 * MIB,
                                "free_bytes": 23 * GIB - 101 * MIB, "total_bytes": 24 * GIB}
    assert len(use(195 * MIB)) == 1 and len(use(202 * MIB)) == 2, "slow growth is told too"
    last = use(0)[-1]["details"]
    assert (last["delta_bytes"], last["before_bytes"]) == (-202 * MIB, used + 202 * MIB)


def test_the_threshold_is_configured(wharf, tmp_path):
    d = wharf({**config({"a": 3, "b": 1}), "gpus": [gpu(changed="2GiB")]})
    events = d.events()
    d.load("b")
    until(lambda: d.model("b")["used_bytes"] == GIB, "the reading")
    assert events.catch_up().count("vram_changed") == 0
    d.load("a")
    assert events.wait_for("vram_changed")["details"]["delta_bytes"] >= 2 * GIB


@tells("device_lost", "degraded", "recovered", "device_found")
def test_a_lost_device_is_told_and_found_again(told, tmp_path):
    fake = FakeGpus(tmp_path, 2)
    d, events = told({"models": {"a": demo("a", vram="1GiB")}}, env=fake.env())
    events.wait_for("device_found", device="NVIDIA Fake #2")
    fake.set(_1_lost=1)
    lost = events.wait_for("device_lost")["details"]
    assert lost["device"] == "NVIDIA Fake #2" and "lost" in lost["reason"]
    degraded = events.wait_for("degraded")["details"]
    assert (degraded["what"], degraded["name"], degraded["models"]) == ("gpu", "NVIDIA Fake #2", ["a"])
    fake.set(_1_lost=None)
    assert events.wait_for("recovered", name="NVIDIA Fake #2")["details"]["reason"] == degraded["reason"]
    assert events.wait_for("device_found", device="NVIDIA Fake #2")["details"]["uuid"] == UUIDS[1]


@tells("device_error")
def test_critical_errors_are_told(told, tmp_path):
    fake = FakeGpus(tmp_path)
    d, events = told({"models": {"a": demo("a")}}, env=fake.env())
    until(lambda: d.get("/wharf/devices").json()["devices"], "the GPU")
    fake.set(_0_xid=79, _0_xids=1)
    assert events.wait_for("device_error")["details"] == {"device": "NVIDIA Fake", "xid": 79}


# ---------------------------------------------------------------- hooks


def hook(folder, body):
    script = folder / "hook"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return str(script)


def whole(path):
    """What a hook wrote, once it has its line feed."""
    text = path.read_text() if path.exists() else ""
    return text if text.endswith("\n") else None


@pytest.mark.slice
def test_hooks_get_the_event_on_stdin(wharf, tmp_path):
    script = hook(tmp_path, f'cat > {tmp_path}/new && printf "%s\\n" "$WHARF_EVENT_JSON" > {tmp_path}/variable '
                            f'&& mv {tmp_path}/new {tmp_path}/event')
    d = wharf({**models("a"), "hooks": {"on": {"model_loaded": script}}})
    events = d.events()
    d.load("a")
    text = until(lambda: whole(tmp_path / "event"), "the hook")
    published = events.wait_for("model_loaded")
    sse = published.pop("sse")
    assert text == sse["data"] + "\n" and json.loads(text) == published
    assert (tmp_path / "variable").read_text() == text


def test_hooks_cannot_change_the_event(wharf, tmp_path):
    """It is a file, sealed: whoever gets it has it as it was."""
    script = hook(tmp_path, f"readlink /proc/self/fd/0 > {tmp_path}/what; "
                            f"if echo x 1<>/dev/stdin; then echo changed; else echo sealed; fi >> {tmp_path}/what")
    d = wharf({**models("a"), "hooks": {"on": {"model_loaded": script}}})
    d.load("a")
    until(lambda: (whole(tmp_path / "what") or "").count("\n") == 2, "the hook")
    name, outcome = (tmp_path / "what").read_text().splitlines()
    assert "wharf-event" in name and outcome == "sealed"


def test_a_large_event_is_on_stdin_alone(wharf, tmp_path):
    """An environment has no room for it, and the hook runs all the same."""
    script = hook(tmp_path, f'printf "%s." "$WHARF_EVENT_JSON" > {tmp_path}/variable; cat > {tmp_path}/new; '
                            f'mv {tmp_path}/new {tmp_path}/event')
    name = "x" * 40000
    d = wharf({**models("a"), "modes": {name: {}}, "hooks": {"on": {"mode_changed": script}}})
    d.ok(d.ask("PUT", "/wharf/mode", json.dumps({"mode": name}).encode()))
    text = until(lambda: whole(tmp_path / "event"), "the hook")
    assert json.loads(text)["details"]["mode"] == name
    assert (tmp_path / "variable").read_text() == "."


@pytest.mark.slice
def test_hooks_end_after_their_timeout(wharf, tmp_path):
    script = hook(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 3600")
    d = wharf({**models("a", "b"), "hooks": {"timeout": "100ms", "on": {"model_loaded": script}}})
    d.load("a")
    until(lambda: "hook takes too long, and is ended event=model_loaded" in d.stderr, "its end")
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the process to go")
    # A reload changes it for those that begin afterwards.
    d.reload({**models("a", "b"), "hooks": {"timeout": "1h", "on": {"model_loaded": script}}})
    (tmp_path / "pid").unlink()
    d.load("b")
    until(lambda: whole(tmp_path / "pid"), "the second one")
    events = d.events()
    for _ in range(3):
        events.catch_up()
    assert d.stderr.count("takes too long") == 1


# ---------------------------------------------------------------- leases


@tells("lease_granted", "lease_ended", "waiting", "refused")
def test_leases_say_who_they_are(told):
    d, events = told(config({}, gates={"mlx": {}}))
    lease = Lease(d, name="train", vram="6GiB", gates=["mlx"])
    granted = events.wait_for("lease_granted")["details"]
    assert granted == {"lease": lease.id, "name": "train", "gates": ["mlx"], "devices": ["sim"], "bytes": 6 * GIB}
    waiting = Lease(d, name="next", gates=["mlx"], wait=0.1)
    assert events.wait_for("waiting")["details"] == {"lease": waiting.id, "name": "next", "position": 1}
    refused = events.wait_for("refused")["details"]
    assert refused == {"lease": waiting.id, "name": "next", "reason": "it waited longer than allowed"}
    lease.close()
    assert events.wait_for("lease_ended")["details"] == {"lease": lease.id, "name": "train"}


@tells("lease_granted", "lease_revoked", "lease_ended", "evicted", "decision")
def test_a_lease_is_asked_back_and_a_model_leaves_for_it(told):
    d, events = told({**config({"a": 6}), "routing": QUICK})
    d.load("a")
    lease = Lease(d, vram="6GiB", revocable=True, grace="0s")
    lease.until("granted")
    for type_ in ("decision", "evicted"):
        assert events.wait_for(type_)["details"]["for_lease"] == lease.id
    d.ok(d.chat("a", headers={"X-Wharf-Class": "foreground"}))
    revoked = events.wait_for("lease_revoked")["details"]
    assert revoked["lease"] == lease.id and revoked["for_model"] == "a" and revoked["reason"]
    assert events.wait_for("lease_ended")["details"] == {"lease": lease.id, "reason": "the lease was revoked"}
