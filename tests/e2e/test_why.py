"""wharf why, queue, devices and pin: what is told of those who wait, by the commands and their paths;
and the bodies that these paths refuse."""

import json
import re

import pytest

from leases import GIB, Job, Lease, gpu, listed
from wharf_harness import Later, chat_body, demo, until


def two(**keys):
    return {"gpus": [gpu("g0"), gpu("g1")], "gates": {"mlx": {"limit": 1}, "build": {"limit": 2}},
            "models": {"a": demo("a", "--token-delay", "50ms", "--tokens", "600", vram="10GiB"),
                       "b": demo("b", vram="11GiB"), "c": demo("c", vram="12GiB")}, **keys}


def why(d, name):
    return d.ok(d.get(f"/wharf/why/{name}")).json()


def queue(d):
    return d.ok(d.get("/wharf/queue")).json()["queue"]


def ask(d, model, **headers):
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body(model, stream=True), headers)
    return c


@pytest.mark.slice
def test_one_queue(wharf):
    d = wharf(two(gpus=[gpu("g0")]))
    serving = ask(d, "a")
    next(serving.sse(serving.head()))
    late = Lease(d, vram="6GiB", name="late")
    ask(d, "b")
    ask(d, "b")
    first = ask(d, "c", **{"X-Wharf-Class": "foreground"})
    until(lambda: len(queue(d)) == 4, "all of them to wait")
    q = queue(d)
    assert [(x["model"], x["name"], x["class"], x["position"]) for x in q] == [
        ("c", None, "foreground", 1), ("b", None, "normal", 1), ("b", None, "normal", 2),
        (None, "late", "background", 1)]
    assert q[0]["for"] == "12GiB of device memory: these are busy: a"
    assert (q[3]["bytes"], q[3]["gpus"], q[3]["gates"], q[3]["lease"]) == (6 * GIB, 1, [], late.id)
    assert q[3]["for"].startswith("6GiB of device memory") and q[1]["deadline_s"] > 0
    text = d.cli("queue", check=0).stdout.splitlines()
    assert [row.split()[1] for row in text] == ["WHO", "c", "b", "b", "lease"] and "late, 6GiB" in text[4]
    got = why(d, "c")
    assert got["model"]["waiting"] == 1 and got["first_waiting"]["class"] == "foreground"
    assert got["first_waiting"]["for"] == q[0]["for"]
    told = d.cli("why", "c", check=0).stdout
    assert "1 waiting for it, the first (foreground) for 0s" in told and "12GiB of device memory: these are busy: a" in told
    first.close()
    serving.close()


def test_why_of_leases(wharf):
    d = wharf(two())
    holder, waiter = Lease(d, gates=["mlx"], name="holder"), Lease(d, gates=["mlx", "build"], name="waiter")
    got = why(d, "waiter")
    assert got["model"] is None and [l["id"] for l in got["leases"]] == [waiter.id]
    assert d.cli("why", waiter.id, check=0).stdout.endswith(
        "place 1: for a slot of gate mlx (1 of 1 taken: holder); it wants gates mlx,build\n")
    told = d.cli("why", "holder", check=0).stdout.splitlines()
    assert told[0].startswith(f"lease holder ({holder.id}) is granted, for ") and "with gates mlx" in told[0]
    assert told[1].endswith(f"lease holder ({holder.id}) was granted")
    holder.close()
    waiter.until("granted")
    waiter.close()
    until(lambda: not listed(d), "the end of both")
    assert [x["type"] for x in why(d, "waiter")["decisions"]] == ["lease_granted"], "its name outlives it"


def test_why_it_was_revoked(wharf):
    d = wharf(two(gpus=[gpu("g0")], routing={"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}))
    lease = Lease(d, vram="11GiB", name="train", revocable=True, grace="100ms")
    assert lease.state == "granted"
    load = Later(d.load, "b")
    lease.until("ended")
    load.result()
    told = [(x["type"], x["lease_name"], x["for_model"]) for x in why(d, "train")["decisions"] if x["lease"]]
    assert told == [("lease_granted", "train", None), ("lease_revoked", "train", "b"), ("lease_ended", "train", None)]
    text = d.cli("why", "train", check=0).stdout
    assert f"lease train ({lease.id}) was asked back for b" in text and "was ended: the lease was revoked" in text


def test_why_of_what_never_was(wharf):
    d = wharf(two(models={"alpha": demo("alpha")}))
    lease = Lease(d, gates=["mlx"], name="trainer")
    assert d.get("/wharf/why/trainre").status == 404
    run = d.cli("why", "trainre", check=2)
    assert run.stderr == ("wharf: cannot look into 'trainre': no model or lease is called \"trainre\", and nothing "
                          "was decided about one; the nearest name is trainer\n")
    assert "there are: alpha, trainer" in d.cli("why", "xyzzy", check=2).stderr
    lease.close()


def test_why_of_jobs(wharf, tmp_path):
    d = wharf(two())
    d.env["XDG_STATE_HOME"] = str(tmp_path / "jobs")
    hold = Lease(d, gates=["mlx"], name="first")
    number = d.cli("submit", "--gate", "mlx", "--name", "second", "true", check=0).stdout.strip()
    told = d.cli("why", number, check=0).stdout.splitlines()
    assert told[0] == f"job {number} (second) is waiting"
    assert "for a slot of gate mlx (1 of 1 taken: first)" in told[1]
    hold.close()
    ended = json.loads(d.cli("jobs", "wait", number, "--json", check=0).stdout)
    assert (ended["state"], ended["exit"]) == ("ended", 0)
    assert d.cli("why", number, check=0).stdout.startswith(f"job {number} (second) is ended, with status 0\n")
    assert json.loads(d.cli("why", number, "--json", check=0).stdout)["job"]["name"] == "second"
    assert "no job 99" in d.cli("jobs", "logs", "99", check=2).stderr


def test_devices_by_process(wharf):
    d = wharf(two())
    d.load("a")
    lease = Lease(d, vram="1GiB", name="train", devices=["g1"])
    job = Job(d, lease.granted["environment"], GIB)

    def uses():
        return {p["pid"]: p for g in d.ok(d.get("/wharf/devices")).json()["devices"] for p in g["processes"]}
    until(lambda: uses().get(job.pid, {}).get("lease") == lease.id, "the job's claim to be seen as its lease's")
    assert uses()[job.pid]["name"].startswith("python") and uses()[job.pid]["lease_name"] == "train"
    text = d.cli("devices", check=0).stdout
    rows = [line.split() for line in text.splitlines()]
    assert ["g1", str(job.pid), uses()[job.pid]["name"], "1GiB", "lease", "train"] in rows
    assert any(row[-2:] == ["model", "a"] for row in rows if row)
    job.end()
    lease.close()


def test_pins(wharf):
    d = wharf(two())
    assert d.cli("pin", check=0).stdout == "no model is pinned\n"
    assert d.cli("pin", "b", check=0).stdout == "b: unloaded, pinned\n"
    assert d.cli("pin", check=0).stdout == "b: unloaded\n"
    assert [m["id"] for m in json.loads(d.cli("pin", "--json", check=0).stdout)["models"]] == ["b"]
    d.cli("pin", "--off", check=2)
    assert d.cli("pin", "b", "--off", check=0).stdout == "b: unloaded\n"


def test_plans_of_gates_and_devices(wharf):
    d = wharf(two())
    hold = Lease(d, gates=["mlx"], name="holder")
    told = d.cli("plan", "--gate", "mlx", "--gate", "build", check=0).stdout.splitlines()
    assert told[1:] == ["  gate mlx: 1 of 1 taken by holder, 0 waiting", "  gate build: 0 of 2 taken, 0 waiting"]
    told = d.cli("plan", "--vram", "2GiB", "--device", "g1", check=0).stdout
    assert told.startswith("a lease can come in on g1, taking 2GiB, at once\n")
    assert "there are 2 such devices" in d.cli("plan", "--vram", "2GiB", "--gpus", "3", check=0).stdout
    hold.close()


@pytest.mark.parametrize("words, says", [
    (["load", "hueg"], "the nearest names are huge"), (["plan", "nothing-like-it"], "there are: a, b, c, huge"),
    (["mode", "idel"], "the nearest name is idle"), (["move", "a", "g9"], "it may be moved to"),
    (["lease", "hold", "--gate", "mxl"], "the nearest name is mlx"),
    (["lease", "hold", "--vram", "1GiB", "--device", "g7"], "there are: g0, g1"),
    (["plan", "--vram", "1GiB", "--class", "normla"], "the nearest is normal"),
    (["run", "--vram", "99GiB", "true"], "the largest possible on 1 is 12GiB"),
    (["load", "huge"], "needs 30GiB"), (["lease", "hold", "--vram", "6XB"], "'6XB' is no size"),
    (["lease", "hold", "--gate", "mlx", "--run", "soon"], "'soon' is no time"),
    (["plan", "--gpus", "2"], "belong to --vram"), (["plan", "a", "--gate", "mlx"], "a MODEL excludes"),
    (["lease", "edn"], "did you mean 'end'?"), (["lease", "end", "abc"], "'abc' is not ID:TOKEN"),
    (["lease", "--vram", "1GiB"], "belongs to hold"), (["lease", "end", "abc:def"], "no such lease")])
def test_what_there_is_not(wharf, words, says):
    c = two()
    c["models"]["huge"] = demo("huge", vram="30GiB")
    d = wharf(c)
    run = d.cli(*words, check=2)
    assert says in run.stderr and run.stdout == "", run


def test_the_token_of_another_lease(wharf):
    d = wharf(two())
    mine, other = Lease(d, gates=["build"]), Lease(d, gates=["build"])
    run = d.cli("lease", "end", f"{mine.id}:{other.token}", check=1)
    assert run.stderr == ("wharf: cannot end the lease: that is not the lease's token; WHARF_LEASE in the environment "
                          "of its jobs has it\n")
    ended = json.loads(d.cli("lease", "end", mine.mark, "--json", check=0).stdout)
    assert ended == {"lease": mine.id, "state": "ended"}
    mine.until("ended")
    other.close()


@pytest.mark.slice
@pytest.mark.parametrize("method, path, body, says", [
    ("POST", "/wharf/models/a/move", {"devcie": "g1"}, 'a move has no member "devcie"; the nearest name is "device"'),
    ("POST", "/wharf/models/a/load", {"wait": 0}, 'has no member "wait"; there are none'),
    ("PUT", "/wharf/mode", {"mode": "idle", "wiat": 1}, 'has no member "wiat"; there are: "mode"'),
    ("POST", "/wharf/plan", {"model": "a", "clas": "normal"}, 'the nearest name is "class"'),
    ("POST", "/wharf/plan", {"lease": {"vram": "1GiB", "gpu": 2}}, 'the nearest name is "gpus"'),
    ("POST", "/wharf/leases", {"vram": "1GiB", "gate": ["mlx"]}, 'the nearest name is "gates"'),
    ("PUT", "/wharf/leases/x", {"tokne": "y"}, 'the nearest name is "token"')])
def test_bodies_with_unknown_members(wharf, method, path, body, says):
    d = wharf(two())
    answer = d.ask(method, path, json.dumps(body).encode())
    assert (answer.status, answer.error["code"]) == (400, "invalid_request") and says in answer.message, answer
    assert d.state_of("a") == "unloaded"
    assert d.ok(d.post("/wharf/models/a/load", b"{}")).status == 200


def test_who_else_could_have_left(wharf):
    """Each with what it would have cost."""
    d = wharf({"gpus": [gpu("g0")], "models": {
        "often": demo("often", vram="4GiB"), "seldom": demo("seldom", vram="4GiB"), "big": demo("big", vram="6GiB")},
        "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}})
    d.ok(d.chat("seldom", max_tokens=1))
    for _ in range(9):
        d.ok(d.chat("often", max_tokens=1))
    d.ok(d.chat("big", max_tokens=1))
    left = next(x for x in d.get("/wharf/decisions").json()["decisions"] if x["type"] == "evict")
    costs = {c["model"]: c["next_percent"] for c in left["candidates"]}
    assert left["model"] == "seldom" and costs["often"] > 50 > costs["seldom"] > 0
    lines = d.cli("why", "seldom", check=0).stdout
    assert re.search(r"^    often: 4GiB, \S+ to load again, asked for next: \d+\.\d %$", lines, re.M), lines
    assert re.search(r"^    seldom: .* \(left\)$", lines, re.M)
