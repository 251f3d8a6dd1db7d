"""Workers: programs of somebody's own that register for a model, and are moved between CPU and GPU."""

import fcntl
import json
import os
import shlex
import subprocess

import pytest

from wharf_harness import DEMO, ROOT, SECONDS, WHARF, Later, demo, until
from workers import (GPU, MIB, Raw, clip, embed, embedding, move, place, used,  # noqa: F401
                     workers)

BIG = {"big": demo("big", vram="11GiB")}
QUICK = {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}}
MODES = {"auto": {"clip": "cuda"}, "rec": {"clip": "cpu"}}


def config(extra=None, **keys):
    return {"gpus": [GPU], "models": {"clip": clip(), **(extra or {})}, "modes": MODES,
            "routing": QUICK, **keys}


def set_mode(d, name):
    return d.ok(d.ask("PUT", "/wharf/mode", json.dumps({"mode": name}).encode()))


def wait_for_bytes(d, **wanted):
    def right():
        [device] = d.get("/wharf/status").json()["devices"]
        return {k: device[f"{k}_bytes"] for k in wanted} == wanted
    until(right, wanted)


@pytest.mark.slice
def test_registers_and_is_adopted(wharf, workers):
    d = wharf(config())
    events = d.events()
    assert d.state_of("clip") == "unloaded"
    w = workers(d, "clip")
    assert events.wait_for("model_loaded", model="clip")["details"]["reason"] == \
        "it was loaded already"
    m = d.model("clip")
    assert (m["state"], m["device"], m["pid"]) == ("loaded", None, w.pid)
    w = workers(d, "clip", device="cuda", joined=False)  # the second one waits
    w.wait_for("has a worker already")


@pytest.mark.slice
def test_registers_on_the_gpu(wharf, workers):
    d = wharf(config())
    w = workers(d, "clip", device="cuda")
    d.until_model("clip", device="gpu0", used_bytes=500 * MIB)
    assert (d.model("clip")["pid"], used(d)) == (w.pid, 500 * MIB)
    # It may have been seen as a stranger's before it registered, and foreign bytes fall slowly.
    wait_for_bytes(d, own=500 * MIB, foreign=0, used=500 * MIB)


@pytest.mark.slice
def test_moves_to_cuda_and_back(wharf, workers):
    d = wharf(config())
    w = workers(d, "clip")
    assert used(d) == 0
    for _ in range(2):
        assert d.ok(move(d, "clip", "cuda")).json()["device"] == "gpu0"
        assert used(d) == 500 * MIB
        d.until_model("clip", used_bytes=500 * MIB)
        assert d.ok(move(d, "clip", "cpu")).json()["device"] is None
        assert used(d) == 0
    assert w.log.count("told to move") == 4
    assert '"POST /wharf/workers/' not in d.stderr, "tokens are nobody else's business"
    # A GPU's name means the place that holds it.
    assert d.ok(move(d, "clip", "gpu0")).json()["device"] == "gpu0"


@pytest.mark.slice
def test_embeddings_are_the_same_after_a_move(wharf, workers):
    d = wharf(config())
    workers(d, "clip")
    texts = ("a", "two words", "a much longer text about harbours", "é ü")
    before = [embedding(d, "clip", t) for t in texts]
    assert len(set(before)) == len(texts)
    for device in ("cuda", "cpu", "cuda"):
        d.ok(move(d, "clip", device))
        assert [embedding(d, "clip", t) for t in texts] == before


@pytest.mark.slice
def test_a_check_that_fails_keeps_it_where_it_is(wharf, workers):
    d = wharf(config())
    workers(d, "clip", "--bad-check")
    events = d.events()
    before = embedding(d, "clip")
    answer = move(d, "clip", "cuda")
    assert (answer.status, answer.error["code"]) == (502, "operation_failed")
    events.wait_for("op_failed", model="clip")
    assert (place(d, "clip"), d.state_of("clip"), used(d)) == (None, "loaded", 0)
    assert embedding(d, "clip") == before
    assert "another embedding" in d.stderr


@pytest.mark.slice
def test_waits_for_min_free(wharf, workers):
    d = wharf(config({"big": demo("big", vram="11.5GiB")}))
    workers(d, "clip")
    events = d.events()
    d.load("big")
    set_mode(d, "auto")
    answer = move(d, "clip", "cuda")
    assert answer.status == 503  # 512 MiB are left, which would be enough for it
    assert answer.message == ("model clip: there is not the room that it wants on that device; on cuda "
                              "1GiB has to be free (minFree); gpu0 has 512MiB of 12GiB free")
    assert place(d, "clip") is None
    d.ok(d.post("/wharf/models/big/unload"))
    events.wait_for("device_changed", model="clip", device="gpu0")
    assert place(d, "clip") == "gpu0"


@pytest.mark.slice
def test_yields_before_a_load(wharf, workers):
    d = wharf(config({"small": demo("small", vram="1GiB")}))
    w = workers(d, "clip", device="cuda")
    events = d.events()
    d.load("small")
    order = events.catch_up().order("device_changed", "model_loading", "model_loaded")
    assert order == [("device_changed", "clip"), ("model_loading", "small"), ("model_loaded", "small")]
    assert place(d, "clip") is None and "told to move cpu" in w.log
    d.ok(embed(d, "clip"))


@pytest.mark.slice
def test_yield_need_stays_where_there_is_room(wharf, workers):
    models = {"clip": clip(**{"yield": "need"}), "small": demo("small", vram="1GiB"), **BIG,
              "whole": demo("whole", vram="12GiB")}
    d = wharf({"gpus": [GPU], "models": models, "routing": QUICK})
    workers(d, "clip", device="cuda")
    d.load("small")
    assert place(d, "clip") == "gpu0"
    d.load("whole")
    assert (place(d, "clip"), d.state_of("clip")) == (None, "loaded")


@pytest.mark.slice
def test_leaves_and_its_bytes_go(wharf, workers):
    d = wharf(config())
    w = workers(d, "clip", device="cuda")
    d.until_model("clip", used_bytes=500 * MIB)
    events = d.events()
    w.stop()
    events.wait_for("model_unloaded", model="clip")
    events.wait_for("settled", model="clip")
    wait_for_bytes(d, own=0, foreign=0, used=0)
    assert d.state_of("clip") == "unloaded"


@pytest.mark.slice
def test_takes_its_leave(wharf):
    d = wharf(config())
    w = Raw(d, model="clip", device="cpu")
    d.until_model("clip", state="loaded")
    d.ok(d.ask("DELETE", f"/wharf/workers/{w.token}"))
    d.until_model("clip", state="unloaded")
    assert d.ask("DELETE", f"/wharf/workers/{w.token}").status == 404
    assert d.post(f"/wharf/workers/{w.token}", {"id": 1, "ok": False}).status == 404


@pytest.mark.slice
def test_vanishes_mid_move(wharf, workers):
    d = wharf(config())
    workers(d, "clip", "--vanish-on-move")
    events = d.events()
    assert move(d, "clip", "cuda").status in (502, 503)
    events.wait_for("model_unloaded", model="clip")
    d.until_model("clip", state="unloaded", settling=False)
    # Another takes its place.
    workers(d, "clip")
    d.ok(embed(d, "clip"))


@pytest.mark.slice
def test_hangs_mid_move_is_dropped(wharf, workers):
    d = wharf(config(models={"clip": clip(healthCheckTimeout=1)}))
    w = workers(d, "clip", "--hang-on-move")
    events = d.events()
    assert move(d, "clip", "cuda").status in (502, 503)
    events.wait_for("model_unloaded", model="clip")
    w.wait_for("the connection has ended").wait_for("dropped a moment ago")
    # It comes back, as it was, once it may.
    w.joined(2)
    d.until_model("clip", state="loaded", device=None)
    d.ok(embed(d, "clip"))


@pytest.mark.slice
def test_lies_about_a_move(wharf, workers):
    """It says that it has left the GPU, which shows that it has not: it is not believed."""
    d = wharf(config(BIG))
    w = workers(d, "clip", "--lie-on-move", device="cuda")
    d.until_model("clip", used_bytes=500 * MIB)
    answer = move(d, "clip", "cpu")
    assert (answer.status, answer.error["code"]) == (502, "operation_failed")
    assert (place(d, "clip"), d.state_of("clip"), used(d)) == ("gpu0", "loaded", 500 * MIB)
    assert "said that it has moved, but still uses 500MiB on gpu0" in d.stderr
    # Where its memory is needed, it has to go altogether.
    d.load("big")
    assert w.log.count("told to unload") == 1 and d.state_of("clip") == "unloaded"


@pytest.mark.slice
def test_joins_again(wharf, workers):
    """A request that found no worker, and the pause after it, end with one that comes."""
    d = wharf(config())
    w = workers(d, "clip")
    w.kill()
    d.until_model("clip", state="unloaded")
    for _ in range(3):
        assert embed(d, "clip").status == 503
    assert d.state_of("clip") == "error"
    workers(d, "clip")
    d.until_model("clip", state="loaded")
    d.ok(embed(d, "clip"))


def test_joins_a_daemon_that_comes_later(wharf, workers, tmp_path):
    path = tmp_path / "sock"
    d = wharf(config(), listen=["127.0.0.1:0", f"unix:{path}"])
    w = workers(d, "clip", over="unix")
    d.stop()
    w.wait_for("told to bye").wait_for("not registered")
    d.start()
    w.joined(2)
    d.until_model("clip", state="loaded", device=None)
    d.ok(embed(d, "clip"))


@pytest.mark.slice
def test_second_worker_is_refused(wharf):
    d = wharf(config(BIG))
    w = Raw(d, model="clip", device="cpu")
    other = Raw(d, model="clip", device="cpu")
    assert (other.answer.status, other.answer.error["code"]) == (409, "conflict")
    assert Raw(d, model="nobody").answer.status == 404
    assert Raw(d, model="big").answer.status == 409  # a process's
    w.close()
    d.until_model("clip", state="unloaded")
    assert Raw(d, model="clip", device="cpu").answer.status == 200


@pytest.mark.slice
@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_over_tcp_and_unix(wharf, workers, tmp_path, over):
    """The kernel says whose process it is; over TCP, the worker does."""
    d = wharf(config(), listen=["127.0.0.1:0", f"unix:{tmp_path}/sock"])
    w = workers(d, "clip", over=over)
    m = d.model("clip")
    assert (m["state"], m["pid"]) == ("loaded", w.pid)
    d.ok(move(d, "clip", "cuda"))
    d.until_model("clip", used_bytes=500 * MIB)


@pytest.mark.slice
@pytest.mark.parametrize("listen, says, gets", [("unix", 1, "own"), ("tcp", "own", "own"),
                                                ("tcp", 0x7ffffff0, None), ("tcp", None, None)])
def test_whose_process_it_is(wharf, tmp_path, listen, says, gets):
    d = wharf(config(), listen=f"unix:{tmp_path}/sock" if listen == "unix" else "127.0.0.1:0")
    pid = {"own": os.getpid(), None: None}
    Raw(d, model="clip", device="cpu", pid=pid.get(says, says))
    d.until_model("clip", state="loaded", pid=pid[gets])


@pytest.mark.slice
@pytest.mark.parametrize("proxy, ok", [
    ("http://127.0.0.1:9", True), ("http://localhost:9", True), ("http://[::1]:9", True),
    ("unix:/tmp/none", True), ("http://10.0.0.1:9", False), ("http://example.com", False),
    ("http://0.0.0.0:9", False), ("ftp://127.0.0.1", False), ("http://127.0.0.1.example.com", False)])
def test_foreign_proxy_is_refused(wharf, proxy, ok):
    d = wharf(config())
    w = Raw(d, model="clip", device="cpu", proxy=proxy)
    assert w.answer.status == (200 if ok else 400), w.answer
    if not ok:
        assert ("on this machine" in w.answer.message) == proxy.startswith("http"), w.answer


@pytest.mark.slice
def test_no_request_while_it_moves(wharf, workers):
    d = wharf(config())
    events = d.events()
    workers(d, "clip", "--move-time", "400ms")
    moving = Later(move, d, "clip", "cuda")
    events.wait_for("moving", model="clip")
    asked = Later(embedding, d, "clip")
    until(lambda: d.model("clip")["waiting"] == 1 or asked.done, "the request, which waits")
    assert d.model("clip")["state"] == "moving" and not asked.done
    d.ok(moving.result())
    asked.result()
    assert events.order("device_changed") == [("device_changed", "clip")]


@pytest.mark.slice
def test_no_worker_is_said(wharf):
    d = wharf(config())
    answer = embed(d, "clip")
    assert (answer.status, answer.error["code"]) == (503, "backend_down")
    assert "no worker has registered for it" in answer.message
    answer = d.post("/wharf/models/clip/load")
    assert answer.status == 503 and "no worker has registered for it" in answer.text


@pytest.mark.slice
def test_a_worker_without_an_address(wharf, workers):
    d = wharf(config())
    workers(d, "clip", "--no-proxy")
    answer = embed(d, "clip")
    assert (answer.status, answer.error["code"]) == (501, "not_supported")
    assert "named no address" in answer.message
    assert d.ok(move(d, "clip", "cuda")).json()["device"] == "gpu0"


@pytest.mark.slice
def test_no_gpu_is_cpu_only(wharf, workers):
    d = wharf({"models": {"clip": clip()}, "modes": MODES})
    workers(d, "clip")
    assert move(d, "clip", "cuda").status in (400, 501)
    set_mode(d, "auto")
    assert (d.state_of("clip"), place(d, "clip")) == ("loaded", None)
    d.ok(embed(d, "clip"))
    assert d.ok(d.post("/wharf/models/clip/unload")).json()["state"] == "unloaded"
    d.ok(embed(d, "clip"))


@pytest.mark.slice
def test_loads_when_it_is_asked_for(wharf, workers):
    d = wharf(config())
    w = workers(d, "clip", device="none")
    assert d.state_of("clip") == "unloaded"
    vector = embedding(d, "clip")
    assert (place(d, "clip"), used(d)) == ("gpu0", 500 * MIB)  # the first of its devices
    d.ok(d.post("/wharf/models/clip/unload"))
    assert (d.state_of("clip"), used(d)) == ("unloaded", 0)
    assert embedding(d, "clip") == vector
    assert w.log.count("told to load cuda") == 2


@pytest.mark.slice
def test_a_device_that_it_cannot_use(wharf, workers):
    d = wharf(config())
    w = workers(d, "clip", "--devices", "cpu")
    answer = move(d, "clip", "cuda")
    assert (answer.status, answer.error["code"]) == (502, "operation_failed")
    assert "told to move" not in w.log and d.state_of("clip") == "loaded"


@pytest.mark.slice
def test_modes_move_it(wharf, workers):
    d = wharf(config())
    workers(d, "clip")
    events = d.events()
    for mode, where in (("auto", "gpu0"), ("rec", None), ("auto", "gpu0")):
        set_mode(d, mode)
        events.wait_for("mode_reached", mode=mode)
        assert place(d, "clip") == where


# ---------------------------------------------------------------- the protocol, line by line


@pytest.mark.slice
def test_what_an_order_says(wharf):
    d = wharf(config())
    w = Raw(d, model="clip", devices=["cuda", "cpu"], device="cpu")
    moving = Later(move, d, "clip", "cuda")
    order = w.line()
    assert order == {"id": order["id"], "do": "move", "device": "cuda",
                     "gpus": [{"name": "gpu0", "uuid": order["gpus"][0]["uuid"]}],
                     "env": {"WHARF_SIM_FOLDER": str(d.state / "sim" / "0")}}
    bad = [({}, 400), ({"id": order["id"]}, 400), ({"id": order["id"], "ok": "yes"}, 400),
           ({"id": order["id"] + 1, "ok": True, "checked": True, "device": "cuda"}, 409),
           ({"id": order["id"], "ok": True, "device": "cuda"}, 400),  # not checked
           ({"id": order["id"], "ok": True, "checked": True, "device": "cpu"}, 400),
           ({"id": order["id"], "ok": True, "checked": True, "device": "moon"}, 400),
           ({"id": order["id"], "ok": True, "checked": True, "device": "cuda", "bytes": "1"}, 400)]
    for body, status in bad:
        assert d.post(f"/wharf/workers/{w.token}", body).status == status, body
    assert d.state_of("clip") == "moving"
    d.ok(w.reply(order, device="cuda", bytes=300 * MIB))
    assert d.ok(moving.result()).json()["device"] == "gpu0"
    assert w.reply(order, device="cuda").status == 409  # which is over


@pytest.mark.slice
@pytest.mark.parametrize("device, state, where", [
    ("cpu", "loaded", None),    # it stayed
    ("cuda", "unloading", "gpu0"),  # it is there, but its check failed: it has to go
    (None, "unloaded", None),   # it lost the model
])
def test_where_it_is_after_a_failure(wharf, device, state, where):
    d = wharf(config())
    w = Raw(d, model="clip", device="cpu")
    moving = Later(move, d, "clip", "cuda")
    d.ok(w.reply(w.line(), ok=False, device=device, error="no such thing"))
    moving.result()
    d.until_model("clip", state=state, device=where)
    assert "no such thing" in d.stderr
    if state == "unloading":
        order = w.line()
        assert order["do"] == "unload"
        d.ok(w.reply(order, device=None))
        d.until_model("clip", state="unloaded")


@pytest.mark.slice
@pytest.mark.parametrize("found, outcome", [("cuda", "gpu0"), ("cpu", None)])
def test_asked_where_it_is(wharf, found, outcome):
    """A move that takes too long: who still answers is not dropped."""
    d = wharf(config(models={"clip": clip(healthCheckTimeout=1)}))
    w = Raw(d, model="clip", device="cpu")
    moving = Later(move, d, "clip", "cuda")
    first, then = w.line(), w.line()
    assert (first["do"], then["do"]) == ("move", "where")
    assert w.reply(first, device="cuda").status == 409
    d.ok(w.reply(then, device=found))
    assert moving.result().status == (200 if outcome else 502)
    assert (d.state_of("clip"), place(d, "clip")) == ("loaded", outcome)


@pytest.mark.slice
def test_a_load_that_takes_too_long_is_undone(wharf):
    d = wharf(config(models={"clip": clip(healthCheckTimeout=1)}))
    w = Raw(d, model="clip")
    asked = Later(d.post, "/wharf/models/clip/load")
    first, then = w.line(), w.line()
    assert (first["do"], then["do"]) == ("load", "unload")
    d.ok(w.reply(then, device=None))
    assert asked.result().status == 503
    assert d.state_of("clip") == "error"


def test_memory_that_nobody_can_measure(wharf, workers):
    """Without its process's number, what it says of itself is believed, as far as there is so much."""
    d = wharf(config({"big": demo("big", vram="11GiB")}))
    d.load("big")
    d.until_model("big", used_bytes=11 * 1024 * MIB)
    w = Raw(d, model="clip", device="cuda", bytes=400 * MIB)
    d.until_model("clip", state="loaded", device="gpu0", used_bytes=0)
    process = subprocess.Popen([DEMO, "--port", "0", "--vram", "300MiB", "--gpu-folder",
                                d.state / "sim" / "0"], stdin=subprocess.DEVNULL)
    try:
        d.until_model("clip", used_bytes=300 * MIB)
        wait_for_bytes(d, foreign=0, used=(11 * 1024 + 300) * MIB)
    finally:
        process.kill()
        process.wait()
    w.close()


def test_a_device_that_is_read_too_late(wharf):
    """What it says of its move is believed when nobody can see; what is seen later is of no move, and
    does not take the place of what is waited for then."""
    d = wharf(config(models={"clip": clip(unloadTimeout="1s")}))
    folder = d.state / "sim" / "0"
    process = subprocess.Popen([DEMO, "--port", "0", "--vram", "300MiB", "--gpu-folder", folder],
                               stdin=subprocess.DEVNULL)
    try:
        w = Raw(d, model="clip", device="cuda", pid=process.pid)
        d.until_model("clip", used_bytes=300 * MIB)
        with open(folder / "999999999", "w") as claim:
            fcntl.lockf(claim, fcntl.LOCK_EX)
            claim.write("nonsense")
            claim.flush()
            moving = Later(move, d, "clip", "cpu")
            d.ok(w.reply(w.line(), device="cpu"))
            d.ok(moving.result())
            leaving = Later(d.post, "/wharf/models/clip/unload")
            assert [w.line()["do"] for _ in range(2)] == ["unload", "where"]
        process.kill()
        leaving.result(5 * SECONDS)
        assert w.line()["do"] == "bye"
        assert "still uses" not in d.stderr
    finally:
        process.kill()
        process.wait()


def test_one_that_has_started_the_daemon(wharf):
    """All that the daemon starts is below it too, and is not its for that."""
    big = demo("vlm", vram="11GiB")
    below = shlex.join(["/bin/sh", "-c", f"{big['cmd']}; true"]).replace("'${PORT}'", "${PORT}")
    d = wharf(config({"vlm": {**big, "cmd": below}}))
    Raw(d, model="clip", device="cpu", pid=os.getpid())
    d.until_model("clip", state="loaded")
    d.load("vlm")
    d.until_model("vlm", used_bytes=11 * 1024 * MIB)
    assert not d.model("clip")["used_bytes"] and place(d, "clip") is None


@pytest.mark.slice
def test_removed_from_the_configuration(wharf, workers):
    d = wharf(config(BIG))
    w = workers(d, "clip")
    d.reload(config(BIG, models=BIG, modes={}))
    w.wait_for("told to unload").wait_for("told to bye").wait_for("not registered")
    d.reload(config(BIG))
    w.joined(2)
    d.ok(embed(d, "clip"))


@pytest.mark.slice
def test_configured_anew(wharf, workers):
    """What it said of itself was about other devices: it registers again."""
    d = wharf(config())
    w = workers(d, "clip")
    d.reload(config(models={"clip": clip(vram="600MiB")}))
    assert "told to bye" not in w.log, "its place has not changed"
    d.reload(config(models={"clip": {"backend": "worker", "devices": {"cpu": {}, "cuda": {"vram": "1GiB"}}}}))
    w.wait_for("told to bye").joined(2)
    until(lambda: embed(d, "clip").status == 200, "the worker")


@pytest.mark.slice
def test_keys_are_needed(wharf):
    d = wharf(config(apiKeys=["secret"]))
    assert Raw(d, model="clip").answer.status == 401


def test_the_daemon_ends_while_a_worker_is_there(wharf, workers):
    d = wharf(config())
    w = workers(d, "clip", device="cuda")
    d.until_model("clip", used_bytes=500 * MIB)
    d.stop()
    w.wait_for("told to bye")
    assert used(d) == 500 * MIB, "what it holds is its own"


# ---------------------------------------------------------------- by hand, and the examples


@pytest.mark.slice
def test_wharf_move(wharf, workers):
    d = wharf(config())
    workers(d, "clip")
    assert d.cli("move", "clip", "cuda", check=0).stdout == "clip: loaded on gpu0\n"
    assert d.cli("move", "clip", "cpu", check=0).stdout == "clip: loaded\n"
    assert json.loads(d.cli("move", "clip", "cuda", "--json", check=0).stdout)["device"] == "gpu0"
    run = d.cli("move", "clip", "moon", check=2)
    assert 'has no place called "moon"' in run.stderr
    assert "MODEL DEVICE is missing" in d.cli("move", "clip", check=2).stderr
    assert "it takes MODEL DEVICE" in d.cli("move", "clip", "cpu", "now", check=2).stderr


@pytest.mark.slice
def test_the_example_is_accepted(wharf, workers):
    example = ROOT / "examples/recording.yaml"
    run = subprocess.run([str(WHARF), "check", str(example)], capture_output=True, text=True,
                         timeout=SECONDS)
    assert run.returncode == 0 and "warning" not in run.stderr, run
    d = wharf(example.read_text())
    workers(d, "clip")
    events = d.events()
    set_mode(d, "autopilot")
    events.wait_for("device_changed", model="clip", device="gpu0")
    set_mode(d, "recording")
    until(lambda: place(d, "clip") is None, "the CPU")


@pytest.mark.slice
def test_the_worker_in_python(wharf):
    """examples/worker.py, which uses nothing but Python's own library."""
    d = wharf(config())
    process = subprocess.Popen(["/usr/bin/env", "python3", str(ROOT / "examples/worker.py"), d.url, "clip"],
                               stdin=subprocess.DEVNULL)
    try:
        d.until_model("clip", state="loaded", pid=process.pid)
        before = embedding(d, "clip")
        assert d.ok(move(d, "clip", "cuda")).json()["device"] == "gpu0"
        assert embedding(d, "clip") == before
        d.ok(d.post("/wharf/models/clip/unload"))
        assert embedding(d, "clip") == before
    finally:
        process.kill()
        process.wait()
    d.until_model("clip", state="unloaded")
