"""Leases: memory and gate slots for jobs, held by a connection or renewed, through the daemon with a
simulated GPU."""

import json
import os
import random
import subprocess
import threading
import time

import pytest

from fake_gpus import FakeGpus
from leases import GIB, MIB, Job, Lease, device, end, gpu, listed, renew, room
from wharf_harness import SECONDS, WHARF, Connection, Later, demo, is_alive, together, until

QUICK = {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}


@pytest.fixture
def jobs():
    started = []

    def start(*args, **keys):
        started.append(Job(*args, **keys))
        return started[-1]

    yield start
    for job in started:
        job.kill()


def config(*gpus, **keys):
    return {"gpus": list(gpus) or [gpu()], "routing": QUICK, "models": {}, **keys}


def gates(**limits):
    return config(gates={name: {"limit": limit} for name, limit in limits.items()})


def ask(d, **terms):
    """A lease with a ttl: the whole answer."""
    return d.post("/wharf/leases", {"ttl": "30s", **terms}, seconds=3 * SECONDS)


def refused(d, status, code, **terms):
    answer = d.post("/wharf/leases", terms)
    assert (answer.status, answer.error["code"]) == (status, code), answer
    return answer.message


# ---------------------------------------------------------------- one gate: the six scenarios


def test_first_come_first_served_within_a_class(wharf):
    d = wharf(gates(mlx=1))
    leases = [Lease(d, name=f"bg{i}", gates=["mlx"]) for i in range(3)]
    assert [l.state for l in leases] == ["granted", "waiting", "waiting"]
    for before, after in zip(leases, leases[1:]):
        before.close()
        after.until("granted")
        assert all(l.state == "waiting" for l in leases[leases.index(after) + 1:])


@pytest.mark.slice
def test_foreground_goes_before_background(wharf):
    d = wharf(gates(mlx=1))
    background = [Lease(d, name=f"bg{i}", gates=["mlx"]) for i in range(5)]
    first = Lease(d, name="fg", gates=["mlx"], **{"class": "foreground"})
    assert first.lines[0]["position"] == 1
    order = [background[0], first, *background[1:]]
    for before, after in zip(order, order[1:]):
        before.close()
        after.until("granted")


def test_who_is_inside_is_not_put_out(wharf):
    d = wharf(gates(mlx=1))
    inside = Lease(d, gates=["mlx"])
    first = Lease(d, gates=["mlx"], **{"class": "foreground"})
    refused(d, 503, "wait_expired", gates=["mlx"], wait=0, **{"class": "foreground"})
    assert listed(d, inside.id)["state"] == "granted" and listed(d, first.id)["state"] == "waiting"
    inside.end()
    first.until("granted")


def test_a_mixed_queue(wharf):
    d = wharf(gates(mlx=1))
    holder = Lease(d, gates=["mlx"])
    mixed = [("foreground", "fg0"), ("background", "bg0"), ("foreground", "fg1"), ("background", "bg1"),
             ("background", "bg2")]
    waiting = {name: Lease(d, name=name, gates=["mlx"], **{"class": c}) for c, name in mixed}
    before = holder
    for name in ("fg0", "fg1", "bg0", "bg1", "bg2"):
        before.close()
        before = waiting[name]
        before.until("granted")


def test_background_is_the_default(wharf):
    d = wharf(gates(mlx=1))
    holder = Lease(d, gates=["mlx"])
    legacy, first = Lease(d, gates=["mlx"]), Lease(d, gates=["mlx"], **{"class": "foreground"})
    assert [listed(d, l.id)["class"] for l in (legacy, first)] == ["background", "foreground"]
    holder.close()
    first.until("granted")
    first.close()
    legacy.until("granted")


def test_who_left_is_passed_over(wharf):
    d = wharf(gates(mlx=1))
    holder, dead = Lease(d, gates=["mlx"]), Lease(d, gates=["mlx"])
    alive = Lease(d, gates=["mlx"])
    dead.connection.reset()
    until(lambda: listed(d, dead.id) is None, "the one that left")
    holder.close()
    alive.until("granted")


def test_a_hundred_clients_at_one_gate(wharf):
    """All at once: by class, within each in the order in which the daemon took them in, never two."""
    d = wharf(gates(mlx=1))
    events = d.events()
    holder = Lease(d, name="holder", gates=["mlx"])
    classes = ["foreground" if i % 5 == 0 else "background" for i in range(100)]
    leases = together(100, lambda i: Lease(d, name=f"c{i}", gates=["mlx"], **{"class": classes[i]},
                                           seconds=6 * SECONDS))
    arrived = [l["name"] for l in listed(d) if l["name"] != "holder"]
    assert len(arrived) == 100 and all(l.state == "waiting" for l in leases)
    places = {l["name"]: l["position"] for l in listed(d) if l["name"] != "holder"}
    expected = sorted(arrived, key=lambda name: classes[int(name[1:])] != "foreground")
    assert [places[name] for name in expected] == list(range(1, 101))
    holder.close()
    for name in expected:
        lease = leases[int(name[1:])]
        lease.until("granted")
        lease.close()
    until(lambda: not listed(d), "the end of all")
    events.catch_up()
    order = [(e["type"], e["details"]["name"]) for e in events.seen if e["type"].startswith("lease_")]
    assert order == [(t, name) for name in ["holder", *expected] for t in ("lease_granted", "lease_ended")]


def test_several_slots_and_several_gates(wharf):
    d = wharf(gates(two=2, one=1))
    first, second = Lease(d, gates=["two"]), Lease(d, gates=["two", "one"])
    assert (first.state, second.state) == ("granted", "granted")
    both = Lease(d, gates=["two", "one"])
    first.end()
    assert listed(d, both.id)["state"] == "waiting", "a slot of each, or none"
    second.end()
    both.until("granted")


def test_a_gate_keeps_its_place_over_a_reload(wharf):
    d = wharf(gates(mlx=1))
    inside, waiting = Lease(d, gates=["mlx"]), Lease(d, gates=["mlx"])
    d.reload(gates(aaa=1, mlx=1, zzz=1))  # in another place of the list
    other = Lease(d, gates=["aaa"])
    assert other.state == "granted" and listed(d, waiting.id)["gates"] == ["mlx"]
    d.reload(gates(zzz=1))
    assert "there are: zzz" in refused(d, 400, "invalid_request", gates=["mlx"])
    inside.close()
    waiting.until("granted")
    d.reload(gates(mlx=2))
    assert Lease(d, gates=["mlx"]).state == "granted"
    assert Lease(d, gates=["mlx"]).state == "waiting"


# ---------------------------------------------------------------- those who wait


def test_a_wait_is_estimated_by_how_long_others_held_the_same(wharf):
    d = wharf(gates(mlx=1, other=1))
    holder = Lease(d, gates=["mlx"])
    waiting = Lease(d, gates=["mlx"], wait="1h")
    assert waiting.lines[0]["estimate_s"] is None, "nobody knows"
    began = time.monotonic()
    holder.close()
    waiting.until("granted")
    took = time.monotonic() - began
    second = Lease(d, gates=["mlx"])
    assert 1 <= second.lines[0]["estimate_s"] <= 2 + took
    inside = Lease(d, gates=["other"])
    assert Lease(d, gates=["other"]).lines[0]["estimate_s"] is None, "of that gate nothing is known"
    whole = Lease(d, vram="9GiB", run="100s")
    part = Lease(d, vram="5GiB", run="50s")
    behind = Lease(d, vram="5GiB")
    assert 98 <= part.lines[0]["estimate_s"] <= 100
    assert 148 <= behind.lines[0]["estimate_s"] <= 150
    assert whole.state == inside.state == "granted"


def test_waiting_lines_say_how_it_stands(wharf):
    d = wharf(gates(mlx=1))
    holder = Lease(d, name="train", gates=["mlx"], run="1h")
    others = [Lease(d, name=f"w{i}", gates=["mlx"], run="10m") for i in range(2)]
    line = others[1].lines[0]
    assert (line["position"], line["state"]) == (2, "waiting") and line["token"] == others[1].token
    assert line["for"] == "a slot of gate mlx (1 of 1 taken: train)"
    assert 4190 <= line["estimate_s"] <= 4200
    others[0].close()
    line = others[1].line()
    assert (line["state"], line["position"]) == ("waiting", 1) and "token" not in line
    holder.close()
    granted = others[1].until("granted")
    assert granted["waited_s"] > 0 and granted["devices"] == []
    assert granted["environment"] == {"WHARF_LEASE": others[1].mark}


def test_waiting_for_memory_names_who_is_in_the_way(wharf):
    d = wharf(config())
    holder = Lease(d, vram="10GiB")
    waiting = Lease(d, vram="6GiB")
    assert waiting.lines[0]["for"] == "6GiB of device memory: leases hold the room"
    holder.close()
    assert waiting.until("granted")["devices"] == [{"name": "gpu0", "uuid": None, "bytes": 6 * GIB}]


def test_a_wait_has_an_end(wharf):
    d = wharf(gates(mlx=1))
    Lease(d, gates=["mlx"])
    refused(d, 503, "wait_expired", gates=["mlx"], wait=0)
    waiting = Lease(d, gates=["mlx"], wait=0.2)
    line = waiting.until("refused")
    assert line["error"]["code"] == "wait_expired" and waiting.line() is None
    answer = ask(d, gates=["mlx"], wait="0.2s")
    assert (answer.status, answer.error["code"]) == (503, "wait_expired")
    assert len(listed(d)) == 1


def test_at_once_or_not_at_all(wharf):
    d = wharf(config(gates={"mlx": {"limit": 1}}))
    assert Lease(d, vram="2GiB", gates=["mlx"], wait=0).state == "granted"
    refused(d, 503, "wait_expired", vram="12GiB", wait=0)


# ---------------------------------------------------------------- memory


@pytest.mark.threads
@pytest.mark.slice
def test_bytes_are_the_leases_until_it_ends(wharf):
    d = wharf(config())
    lease = Lease(d, name="train", vram="6GiB", **{"class": "normal"})
    shown = listed(d, lease.id)
    assert {k: shown[k] for k in ("name", "state", "class", "bytes", "devices", "gates", "held", "revocable")} == {
        "name": "train", "state": "granted", "class": "normal", "bytes": 6 * GIB, "devices": ["gpu0"], "gates": [],
        "held": True, "revocable": False}
    status = d.get("/wharf/status").json()
    assert status["leased_bytes"] == 6 * GIB == device(d)["leased_bytes"]
    assert (status["leases"], status["leases_waiting"]) == (1, 0)
    waiting = Lease(d, vram=8 * GIB)
    assert [l["id"] for l in d.get("/wharf/queue").json()["leases"]] == [lease.id, waiting.id]
    assert lease.end().status == 204
    assert lease.until("ended")["reason"] == "its holder has ended it" and lease.line() is None
    waiting.until("granted")


def test_two_devices_or_none(wharf):
    d = wharf(config(gpu("left"), gpu("right")))
    one = Lease(d, vram="8GiB", devices=["right"])
    both = Lease(d, vram="6GiB", gpus=2)
    assert both.state == "waiting" and room(d, 0) >= 6 * GIB, "it holds nothing while it waits"
    assert device(d, 0)["leased_bytes"] == 0
    one.close()
    granted = both.until("granted")
    assert [x["name"] for x in granted["devices"]] == ["left", "right"]
    assert len(granted["environment"]["WHARF_SIM_FOLDER"].split("\n")) == 2
    assert [device(d, i)["leased_bytes"] for i in range(2)] == [6 * GIB] * 2


def test_an_idle_model_leaves_for_a_lease(wharf):
    d = wharf(config(models={"a": demo("a", vram="8GiB")}))
    events = d.events()
    d.load("a")
    plan = d.post("/wharf/plan", {"lease": {"vram": "8GiB"}}).json()
    assert [x["model"] for x in plan["leaves"]] == ["a"]
    lease = Lease(d, name="train", vram="8GiB")
    lease.until("granted")
    assert d.state_of("a") == "unloaded"
    assert events.wait_for("evicted", model="a")["details"]["for_lease"] == lease.id
    assert events.wait_for("lease_granted")["details"]["lease"] == lease.id
    decisions = d.get(f"/wharf/decisions?lease={lease.id}").json()["decisions"]
    assert ("lease_granted", lease.id) in [(x["type"], x.get("lease")) for x in decisions]
    assert ("evict", lease.id) in [(x["type"], x.get("for_lease")) for x in decisions]


def test_a_grant_says_how_long_it_took(wharf):
    d = wharf(gates(mlx=1))
    events = d.events()
    first = Lease(d, gates=["mlx"])
    second = Lease(d, gates=["mlx"])
    assert second.state == "waiting"
    until(lambda: listed(d, second.id)["since_s"] >= 0.1, "a tenth of a second")
    first.close()
    waited = second.until("granted")["waited_s"]
    assert events.wait_for("lease_granted", lease=second.id)["details"]["seconds"] == waited >= 0.1


def test_what_settles_is_not_read_all_the_time(wharf, jobs):
    """A job that is known to nobody outlives its lease: until it is clear that the memory is its own, the
    device is read often, but not as often as it can be."""
    d = wharf(config(logLevel="debug"))
    lease = Lease(d, vram="4GiB")
    lease.until("granted")
    jobs(d, {k: v for k, v in lease.granted["environment"].items() if k != "WHARF_LEASE"}, 4 * GIB)
    until(lambda: device(d)["used_bytes"] == 4 * GIB, "the reading")
    lease.close()
    began = time.monotonic()
    before = d.stderr.count("DEVICE_SAMPLE")
    until(lambda: device(d)["foreign_bytes"] == 4 * GIB, "a stranger's memory")
    readings, seconds = d.stderr.count("DEVICE_SAMPLE") - before, time.monotonic() - began
    assert seconds > 2 and readings < 1200 * seconds, (readings, seconds)


def test_a_request_under_a_lease_does_not_wait_for_it(wharf):
    d = wharf(config(models={"a": demo("a", vram="8GiB"), "b": demo("b", vram="1GiB")}))
    lease = Lease(d, vram="8GiB")
    answer = d.chat("a", headers={"X-Wharf-Lease": lease.mark})
    assert (answer.status, answer.error["code"]) == (409, "lease_in_the_way")
    d.ok(d.chat("b", headers={"X-Wharf-Lease": lease.mark}))
    waits = Later(d.chat, "a")
    until(lambda: d.model("a")["waiting"] == 1, "the request that waits")
    lease.close()
    d.ok(waits.result())
    for mark, status, code in ((lease.mark, 404, "lease_not_found"), ("x", 400, "invalid_header"),
                               ("x" * 100, 400, "invalid_header")):
        answer = d.chat("a", headers={"X-Wharf-Lease": mark})
        assert (answer.status, answer.error["code"]) == (status, code)
    other = Lease(d, vram="1GiB")
    answer = d.chat("a", headers={"X-Wharf-Lease": f"{other.id}:{lease.token}"})
    assert (answer.status, answer.error["code"]) == (403, "lease_token_wrong")


def test_memory_of_its_processes_is_the_leases(wharf, jobs):
    d = wharf(config())
    marked, tree = Lease(d, vram="4GiB"), None
    job = jobs(d, marked.granted["environment"], 3 * GIB)
    use = until(lambda: device(d)["processes"], "the process")[0]
    assert (use["pid"], use["bytes"], use["lease"], use["model"]) == (job.pid, 3 * GIB, marked.id, None)
    until(lambda: device(d)["foreign_bytes"] == 0, "nothing of it is foreign")
    tree = Lease(d, vram="4GiB", pid=os.getpid())
    assert listed(d, tree.id)["pid"] == os.getpid()
    environment = {k: v for k, v in tree.granted["environment"].items() if k != "WHARF_LEASE"}
    child = jobs(d, environment, 2 * GIB)
    until(lambda: {p["pid"]: p["lease"] for p in device(d)["processes"]} ==
          {job.pid: marked.id, child.pid: tree.id}, "both")


def test_over_a_unix_socket_the_kernel_says_who_it_is(wharf, tmp_path):
    path = tmp_path / "s"
    d = wharf(gates(mlx=1), listen=["127.0.0.1:0", f"unix:{path}"])
    with Connection(str(path)) as c:
        c.request("POST", "/wharf/leases", {"gates": ["mlx"], "pid": 1})
        assert c.head().status == 200
        assert until(lambda: listed(d), "the lease")[0]["pid"] == os.getpid()
    until(lambda: not listed(d), "its end")


# ---------------------------------------------------------------- ttl


def test_a_ttl_lapses_unless_it_is_renewed(wharf):
    d = wharf(gates(mlx=1))
    answer = ask(d, gates=["mlx"], ttl="1s")
    lease = answer.json()
    assert answer.status == 201 and lease["state"] == "granted" and 0 < lease["expires_s"] <= 1
    assert lease["environment"]["WHARF_LEASE"] == f"{lease['lease']}:{lease['token']}"
    waiting = Later(ask, d, gates=["mlx"], wait="1m")
    for _ in range(20):
        answer = d.ok(renew(d, lease["lease"], lease["token"]))
        assert answer.json()["expires_s"] > 0.9
    assert not waiting.done and listed(d, lease["lease"])["held"] is False
    second = waiting.result().json()
    assert second["waited_s"] >= 1, "a whole ttl after the last renewal"
    assert renew(d, lease["lease"], lease["token"]).status == 404
    assert end(d, second["lease"], second["token"]).status == 204
    assert not listed(d)


def test_what_waits_for_its_201_can_leave(wharf):
    d = wharf(gates(mlx=1))
    holder = Lease(d, gates=["mlx"])
    with Connection(d.address) as c:
        c.request("POST", "/wharf/leases", {"ttl": 30, "gates": ["mlx"]})
        until(lambda: len(listed(d)) == 2, "both")
    until(lambda: [l["id"] for l in listed(d)] == [holder.id], "the one that left")


def test_a_lease_is_ended_by_its_token_alone(wharf):
    d = wharf(gates(mlx=3))
    held, other = Lease(d, gates=["mlx"]), Lease(d, gates=["mlx"])
    ttl = ask(d, gates=["mlx"]).json()
    for method in ("DELETE", "PUT", "POST"):
        path = f"/wharf/leases/{ttl['lease']}"
        answer = d.ask(method, path, {"token": other.token})
        assert (answer.status, answer.error["code"]) == (403, "lease_token_wrong")
        assert d.ask(method, path, {}).status == 400
        assert d.ask(method, "/wharf/leases/nobody", {"token": other.token}).status == 404
        answer = d.ask(method, path, {"token": ttl["token"]}, {"Sec-Fetch-Site": "cross-site"})
        assert answer.status == 403
    assert renew(d, held.id, held.token).status == 409
    assert d.post(f"/wharf/leases/{ttl['lease']}", {"token": ttl["token"]}).status == 409
    answer = d.ask("DELETE", f"/wharf/leases/{ttl['lease']}", headers={"X-Wharf-Lease-Token": ttl["token"]})
    assert answer.status == 204
    assert held.end().status == 204 and other.end().status == 204
    text = d.stderr + json.dumps(d.get("/wharf/leases").json()) + d.get("/logs").text
    assert not any(t in text for t in (held.token, other.token, ttl["token"]))


# ---------------------------------------------------------------- revocation


@pytest.mark.slice
def test_a_revocable_lease_gives_way(wharf):
    d = wharf(config(models={"a": demo("a", vram="8GiB", **{"class": "foreground"})}))
    events = d.events()
    lease = Lease(d, vram="8GiB", revocable=True, grace="0.3s")
    waits = Later(d.chat, "a")
    line = lease.until("revoked")
    assert line["reason"] and 0 < line["grace_s"] <= 0.3
    assert listed(d, lease.id)["state"] == "revoked"
    assert events.wait_for("lease_revoked")["details"]["for_model"] == "a"
    assert lease.until("ended")["reason"] == "the lease was revoked" and lease.line() is None
    d.ok(waits.result())
    assert events.wait_for("lease_ended")["details"]["lease"] == lease.id


def test_a_holder_that_obeys_ends_its_grace(wharf):
    d = wharf(config(models={"a": demo("a", vram="8GiB", **{"class": "foreground"})}))
    lease = Lease(d, vram="8GiB", revocable=True, grace="1h")
    waits = Later(d.chat, "a")
    assert 3590 < lease.until("revoked")["grace_s"] <= 3600
    lease.end()
    d.ok(waits.result())


def test_one_with_a_ttl_hears_of_it_when_it_renews(wharf):
    d = wharf(config(models={"a": demo("a", vram="8GiB", **{"class": "foreground"})}))
    lease = ask(d, vram="8GiB", revocable=True, grace="2s", ttl="1h").json()
    assert renew(d, lease["lease"], lease["token"]).json()["state"] == "granted"
    waits = Later(d.chat, "a")
    until(lambda: listed(d, lease["lease"])["state"] == "revoked", "the revocation")
    answer = d.ok(renew(d, lease["lease"], lease["token"])).json()
    assert answer["state"] == "revoked" and 0 < answer["expires_s"] <= 2
    d.ok(waits.result())
    assert renew(d, lease["lease"], lease["token"]).status == 404


# ---------------------------------------------------------------- deaths


def test_processes_that_outlive_their_lease_keep_its_memory(wharf, jobs):
    """As when its client is killed: gate slots are free at once, memory when they are gone."""
    d = wharf(config(gates={"mlx": {"limit": 1}}))
    lease = Lease(d, vram="8GiB", gates=["mlx"])
    job = jobs(d, lease.granted["environment"], 1 * GIB)
    lease.connection.reset()
    until(lambda: listed(d, lease.id)["state"] == "settling", "the end of the lease")
    assert Lease(d, gates=["mlx"]).state == "granted", "its slot is free"
    # It has claimed no more than 1 GiB; the other seven are not to be had all the same.
    refused(d, 503, "wait_expired", vram="6GiB", wait=0)
    waiting = Lease(d, vram="6GiB")
    books = device(d)
    assert waiting.state == "waiting" and books["settling_bytes"] + books["leased_bytes"] == 8 * GIB
    job.kill()
    waiting.until("granted")
    until(lambda: listed(d, lease.id) is None, "nothing is left of it")


def test_a_killed_daemon_knows_its_leases(wharf, jobs):
    d = wharf(config(leaseGrace="1m", gates={"mlx": {"limit": 1}}))
    lease, lost = Lease(d, name="train", vram="6GiB", gates=["mlx"]), Lease(d, vram="1GiB")
    ttl, waiting = ask(d, vram="1GiB").json(), Lease(d, vram="6GiB")
    assert waiting.state == "waiting"
    job = jobs(d, lease.granted["environment"], 5 * GIB)
    d.kill()
    d.start()
    assert {l["id"]: (l["state"], l["held"], l["devices"]) for l in listed(d)} == {
        lease.id: ("granted", False, ["gpu0"]), lost.id: ("granted", False, ["gpu0"]),
        ttl["lease"]: ("granted", False, ["gpu0"])}
    shown = listed(d, lease.id)
    assert (shown["name"], shown["gates"], shown["bytes"]) == ("train", ["mlx"], 6 * GIB)
    refused(d, 503, "wait_expired", vram="6GiB", wait=0)
    refused(d, 503, "wait_expired", gates=["mlx"], wait=0)
    other = Lease(d, again=lost)
    assert other.state == "granted" and other.granted["environment"]["WHARF_LEASE"] == lost.mark
    answer = d.post(f"/wharf/leases/{lease.id}", {"token": lost.token})
    assert (answer.status, answer.error["code"]) == (403, "lease_token_wrong")
    assert d.post(f"/wharf/leases/{waiting.id}", {"token": waiting.token}).status == 404
    again = Lease(d, again=lease)
    assert again.state == "granted" and again.granted["environment"]["WHARF_LEASE"] == lease.mark
    assert listed(d, lease.id)["expires_s"] is None and listed(d, lease.id)["held"]
    until(lambda: [p["lease"] for p in device(d)["processes"]] == [lease.id], "its process is known")
    d.ok(renew(d, ttl["lease"], ttl["token"]))
    job.kill()
    again.close()
    other.close()
    end(d, ttl["lease"], ttl["token"])
    until(lambda: not listed(d), "the end of all")


def test_who_does_not_come_back_loses_it(wharf):
    d = wharf(config(leaseGrace="0.5s"))
    lease = Lease(d, vram="8GiB")
    d.kill()
    d.start()
    events = d.events(last_event_id=0)
    waiting = Lease(d, vram="8GiB")
    assert waiting.state == "waiting"
    waiting.until("granted")
    assert events.wait_for("lease_ended")["details"]["lease"] == lease.id
    assert d.post(f"/wharf/leases/{lease.id}", {"token": lease.token}).status == 404


def test_what_settles_is_known_to_the_next_daemon(wharf, jobs):
    d = wharf(config())
    lease = Lease(d, vram="8GiB")
    job = jobs(d, lease.granted["environment"], GIB)
    lease.close()
    until(lambda: listed(d, lease.id)["state"] == "settling", "the end of the lease")
    d.kill()
    d.start()
    assert listed(d, lease.id)["state"] == "settling" and device(d)["leased_bytes"] == 8 * GIB
    job.kill()
    until(lambda: not listed(d), "nothing is left")


def test_records_that_were_half_written_harm_nothing(wharf):
    d = wharf(config(leaseGrace="1m"))
    lease, other = Lease(d, vram="1GiB"), Lease(d, vram="2GiB")
    d.kill()
    records = d.state / "records"
    data = bytearray(records.read_bytes())
    at = data.index(lease.id.encode())
    data[at + 40] ^= 1
    records.write_bytes(data)
    d.start()
    assert [l["id"] for l in listed(d)] == [other.id]
    d.kill()
    records.write_bytes(os.urandom(len(data)))
    d.start()
    assert listed(d) == []
    assert Lease(d, vram="1GiB").state == "granted"


def test_a_daemon_that_stops_leaves_leases_to_the_next(wharf):
    """Jobs go on while it is replaced: only who waits is refused."""
    d = wharf(gates(mlx=1))
    lease, waiting = Lease(d, gates=["mlx"]), Lease(d, gates=["mlx"])
    created = Later(ask, d, gates=["mlx"])
    until(lambda: len(listed(d)) == 3, "all three")
    d.stop()
    assert waiting.until("refused")["error"]["code"] == "shutting_down"
    assert created.result().error["code"] == "shutting_down"
    assert lease.line() is None and lease.state == "granted", "the answer ends without 'ended'"
    d.start()
    assert [l["id"] for l in listed(d)] == [lease.id]
    again = Lease(d, again=lease)
    assert again.state == "granted"
    again.end()
    assert again.until("ended")


def test_the_last_who_comes_holds_it(wharf):
    d = wharf(gates(mlx=1))
    lease = Lease(d, gates=["mlx"])
    again = Lease(d, again=lease)
    assert again.state == "granted" and lease.line() is None
    lease.close()
    assert listed(d, lease.id)["held"]
    again.close()
    until(lambda: not listed(d), "its end")


# ---------------------------------------------------------------- what cannot be


def test_what_can_never_be_is_refused_with_numbers(wharf):
    d = wharf(config(gpu("left", "12GiB", reserve="1GiB", limit=1), gpu("right", "8GiB", limit=1)))
    text = refused(d, 507, "insufficient_memory", vram="80GiB")
    for part in ("80GiB on 1", "left can give 11GiB of 12GiB", "right can give 8GiB of 8GiB",
                 f"the largest possible on 1 is 11GiB ({11 * GIB} bytes)"):
        assert part in text, text
    assert f"the largest possible on 2 is 8GiB ({8 * GIB} bytes)" in \
        refused(d, 507, "insufficient_memory", vram="9GiB", gpus=2)
    assert "there are 2 such devices" in refused(d, 507, "insufficient_memory", vram="1GiB", gpus=3)
    assert "8GiB" in refused(d, 507, "insufficient_memory", vram="9GiB", devices=["right"])
    assert Lease(d, vram=11 * GIB).state == "granted"


def test_without_a_gpu_there_are_gates(wharf):
    d = wharf({"gates": {"mlx": {"limit": 1}}, "models": {}})
    until(lambda: d.get("/wharf/status").json()["state"] == "serving", "the start")
    assert "no GPU" in refused(d, 507, "insufficient_memory", vram="1GiB")
    assert Lease(d, gates=["mlx"]).state == "granted"


BAD = [
    ({}, 'a lease asks for "vram", "gates", or both'),
    ({"vram": 0}, 'a lease asks for "vram", "gates", or both'),
    ({"vram": -1}, '"vram" must be a size'),
    ({"vram": "lots"}, '"vram" must be a size'),
    ({"vram": 1.5}, '"vram" must be a size'),
    ({"vram": 10 ** 30}, None),
    ({"vram": "1GiB", "gpus": 0}, '"gpus" must be a number from 1 to 8'),
    ({"vram": "1GiB", "gpus": 9}, '"gpus" must be a number from 1 to 8'),
    ({"vram": "1GiB", "gpus": "1"}, '"gpus" must be a number from 1 to 8'),
    ({"vram": "1GiB", "devices": ["gpu1"]}, 'no device is called "gpu1"; the nearest name is gpu0; there are: gpu0'),
    ({"vram": "1GiB", "devices": "gpu0"}, '"devices" must be a list'),
    ({"gates": ["mlx", "tea"]}, 'no gate is called "tea"; the nearest name is tts; there are: mlx, tts'),
    ({"gates": "mlx"}, '"gates" must be a list'),
    ({"gates": [1]}, '"gates" must be a list'),
    ({"gates": ["mlx"] * 5}, '"gates" must be a list of 4 names at most'),
    ({"gates": ["mlx"], "class": "urgent"}, '"class" must be foreground, normal or background'),
    ({"gates": ["mlx"], "class": 1}, '"class" must be a text'),
    ({"gates": ["mlx"], "wait": -1}, '"wait" must be a time'),
    ({"gates": ["mlx"], "wait": "soon"}, '"wait" must be a time'),
    ({"gates": ["mlx"], "wait": True}, '"wait" must be a time'),
    ({"gates": ["mlx"], "ttl": 0}, '"ttl" must be a time'),
    ({"gates": ["mlx"], "ttl": 1e300}, '"ttl" must be a time'),
    ({"gates": ["mlx"], "run": []}, '"run" must be a time'),
    ({"gates": ["mlx"], "grace": "2000h0x"}, '"grace" must be a time'),
    ({"gates": ["mlx"], "revocable": "yes"}, '"revocable" must be true or false'),
    ({"gates": ["mlx"], "name": 5}, '"name" must be a text of 128 bytes at most'),
    ({"gates": ["mlx"], "name": "x" * 129}, '"name" must be a text of 128 bytes at most'),
]


def test_bad_input(wharf):
    d = wharf(config(gates={"mlx": {}, "tts": {}}))
    for terms, why in BAD:
        answer = d.post("/wharf/leases", terms)
        assert answer.status == 400, (terms, answer)
        assert why is None or why in answer.message, (terms, answer.message)
    assert d.post("/wharf/leases", "[]").status == 400
    assert d.post("/wharf/leases", {"gates": ["mlx"], "name": "x" * 70000}).status == 413
    assert d.post("/wharf/leases", {"gates": ["mlx"]}, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert listed(d) == []
    # Null is as good as absent.
    names = ("name", "vram", "gpus", "devices", "class", "wait", "ttl", "run", "revocable", "grace", "pid")
    assert Lease(d, gates=["mlx"], **{n: None for n in names}).state == "granted"


def test_there_are_only_so_many(wharf):
    d = wharf(gates(mlx=2000))
    with Connection(d.address, 3 * SECONDS) as c:
        for _ in range(1024):
            assert c.ask("POST", "/wharf/leases", {"gates": ["mlx"], "ttl": 60}).status == 201
        answer = c.ask("POST", "/wharf/leases", {"gates": ["mlx"], "ttl": 60})
        assert (answer.status, answer.error["code"]) == (429, "queue_full")
        one = listed(d)[0]
        assert one["state"] == "granted"


def test_one_that_is_asked_for_behind_a_refusal(wharf):
    """Both at once: the refusal is told while the core hands out effects, and the next request of the
    connection is read there and then."""
    d = wharf(config(models={"a": demo("a", vram="8GiB")}, gates={"mlx": {"limit": 1}}))
    Lease(d, vram="8GiB")
    chat = json.dumps({"model": "a", "messages": []})
    terms = json.dumps({"gates": ["mlx"], "ttl": 30})
    with Connection(d.address) as c:
        c.send("".join(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Wharf-Wait: 0\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n{body}"
                       for path, body in (("/v1/chat/completions", chat), ("/wharf/leases", terms))))
        assert c.answer().error["code"] in ("busy", "memory_held")
        assert c.answer().status == 201


def test_keys_bound_jobs_too(wharf):
    keys = [{"key": "slow", "name": "ci", "class": "normal", "wait": 0}, {"key": "fast", "name": "me"}]
    d = wharf({**gates(mlx=1), "keys": keys})

    def by(key, **terms):
        return Lease(d, headers={"Authorization": f"Bearer {key}"}, gates=["mlx"], **terms)

    assert d.post("/wharf/leases", {"gates": ["mlx"]}).status == 401
    assert by("fast").state == "granted"
    assert by("fast", **{"class": "foreground"}).state == "waiting"
    answer = by("slow", wait="1h").answer
    assert (answer.status, answer.error["code"]) == (503, "wait_expired")


# ---------------------------------------------------------------- the command line


def test_the_command_line(wharf, tmp_path):
    d = wharf(config(gates={"mlx": {"limit": 1}}))
    assert d.cli("lease", check=0).stdout == "no leases\n"
    env = dict(d.env, WHARF_URL=d.url)
    path = tmp_path / "env"
    with open(path, "wb") as out:
        hold = subprocess.Popen([str(WHARF), "lease", "hold", "--vram", "6GiB", "--gate", "mlx", "--name", "it's",
                                 "--revocable", "30s"], env=env, stdout=out, stderr=subprocess.PIPE, text=True)
    text = until(lambda: "WHARF_LEASE" in path.read_text() and path.read_text(), "the environment")
    shell = subprocess.run(["sh", "-c", f". {path}; echo $WHARF_LEASE"], capture_output=True, text=True, check=True)
    mark = shell.stdout.strip()
    [lease] = listed(d)
    assert mark.startswith(lease["id"] + ":") and lease["name"] == "it's" and lease["revocable"]
    table = d.cli("lease", check=0).stdout
    assert all(word in table for word in ("it's", "granted", "6GiB", "gpu0", "mlx")) and mark not in table
    waiter = Lease(d, gates=["mlx"], name="next")
    assert "lease next, mlx" in d.cli("queue", check=0).stdout and "it's)" in d.cli("queue").stdout
    waiter.close()
    assert "a job" not in d.cli("why", check=0).stdout
    assert d.cli("lease", "hold", "--gate", "mlx", "--wait", "0", check=75).stderr.startswith("wharf: cannot get")
    for words in (["hold"], ["end"], ["nonsense"], ["hold", "more"], ["end", "no-colon"]):
        assert d.cli("lease", *words).returncode == 2, words
    assert d.cli("lease", "end", mark[:-1], check=1).stderr
    assert d.cli("lease", "end", mark, check=0).stdout == ""
    assert hold.wait(SECONDS) == 1 and "its holder has ended it" in hold.stderr.read()
    hold.stderr.close()
    assert "export WHARF_SIM_FOLDER='" in text
    assert not listed(d) or until(lambda: not listed(d), "its end")


# ---------------------------------------------------------------- nothing is given twice


def test_nothing_is_given_twice(wharf):
    """Jobs of all sizes come, work and die; the events, and what the simulated GPU's claims say, are
    the witnesses."""
    d = wharf(config(gpu("left", "8GiB", limit=1), gpu("right", "8GiB", limit=1), gates={"mlx": {"limit": 2}},
                     models={"m": demo("m", vram="2GiB")}))
    events = d.events()
    stop, witness = threading.Event(), []

    def claims(i):
        total = 0
        for path in (d.state / "sim" / str(i)).iterdir():
            if path.name.isdigit() and is_alive(int(path.name)):
                try:
                    total += int(path.read_text() or 0)
                except FileNotFoundError:
                    pass
        return total

    def watch():
        while not stop.wait(0.005):
            witness.append(max(claims(0), claims(1)))

    watcher = Later(watch)

    def work(i):
        draw = random.Random(i)
        for _ in range(4):
            size = draw.randrange(1, 7)
            terms = {"vram": f"{size}GiB", "gpus": draw.choice((1, 1, 2))}
            if draw.random() < 0.5:
                terms["gates"] = ["mlx"]
            lease = Lease(d, seconds=6 * SECONDS, **terms)
            lease.until("granted")
            job = Job(d, lease.granted["environment"], size * GIB)
            how = draw.randrange(3)
            if how == 0:
                lease.connection.reset()  # its client dies before its job
                job.kill()
            elif how == 1:
                job.end()
                lease.end()
            else:
                job.kill()
                lease.close()

    requests = [Later(d.chat, "m", seconds=6 * SECONDS) for _ in range(3)]
    together(6, work)
    for r in requests:
        d.ok(r.result(6 * SECONDS))
    stop.set()
    watcher.result()
    until(lambda: not listed(d), "the end of all")
    events.catch_up()
    assert witness and max(witness) <= 8 * GIB
    inside, held, most = {}, {"left": 0, "right": 0}, 0
    for e in events.seen:
        details = e.get("details", {})
        if e["type"] == "lease_granted":
            inside[details["lease"]] = details
            for name in details.get("devices", []):
                held[name] += details["bytes"]
        elif e["type"] == "lease_ended":
            gone = inside.pop(details["lease"])
            for name in gone.get("devices", []):
                held[name] -= gone["bytes"]
        most = max(most, sum("mlx" in x.get("gates", []) for x in inside.values()))
        assert all(bytes_ <= 8 * GIB for bytes_ in held.values()), e
    assert not inside and 1 <= most <= 2
    assert sum(e["type"] == "lease_granted" for e in events.seen) == 24


def test_a_daemon_that_starts_says_of_no_lease_that_there_is_none(wharf, tmp_path):
    """Until it knows its GPUs it has not given back what the one before granted."""
    fake = FakeGpus(tmp_path)
    fake.set(hang="nvmlInit_v2")
    d = wharf({"models": {"m": demo("m", vram="1GiB")}}, env=fake.env())
    early = d.post("/wharf/leases/0123456789abcdef", {"token": "0"})
    assert (early.status, early.error["code"]) == (503, "busy") and early.header("Retry-After")
    fake.set(hang=None)
    until(lambda: d.post("/wharf/leases/0123456789abcdef", {"token": "0"}).status == 404, "the end of the start")


@pytest.mark.slice
@pytest.mark.parametrize("ttl", [None, "1h"])
@pytest.mark.parametrize("terms", [{"vram": "6GiB"}, {"gates": ["mlx"]}], ids=["memory", "gate"])
def test_what_ended_while_no_daemon_was_there_is_free(wharf, jobs, ttl, terms):
    """At once, when neither the holder nor a process with the mark is there any more."""
    d = wharf(gates(mlx=1) | {"leaseGrace": "1h"})
    holder = subprocess.Popen(["sleep", "1000"], env=d.env | {"WHARF_TEST_ID": ""})
    try:
        if ttl:
            granted = d.post("/wharf/leases", terms | {"pid": holder.pid, "ttl": ttl}).json()
            environment, id_ = granted["environment"], granted["lease"]
        else:
            lease = Lease(d, **terms, pid=holder.pid)
            environment, id_ = lease.granted["environment"], lease.id
        job = jobs(d, {"WHARF_SIM_FOLDER": str(d.state / "sim" / "0"), **environment})
        d.kill()
        holder.kill()
        holder.wait()
        d.start()
        # A process of it is there, and somebody may come back.
        assert listed(d, id_)["state"] == "granted"
        job.kill()
        until(lambda: not listed(d), "the end of the lease")
        assert Lease(d, **terms, wait=0).state == "granted"
    finally:
        holder.kill()
        holder.wait()


def test_a_holder_that_lives_on_does_not_keep_the_memory_of_a_lease_that_ended(wharf):
    """Also where it did not come back for it after a restart, until which its life was looked at."""
    d = wharf(config())
    before = room(d)
    lease = Lease(d, vram="6GiB", pid=os.getpid())
    d.kill()
    d.start()
    assert listed(d, lease.id)["state"] == "granted"
    assert end(d, lease.id, lease.token).status == 204
    until(lambda: not listed(d) and room(d) == before, "the memory")
