"""Everything that the first two seeds name as going wrong, while a movable model on the CPU is asked
without a pause: none of it may keep it from answering. What comes of each fault for its own model is
in test_ollama_faults.py, test_worker.py and test_gpu.py."""

import json

import pytest

from fake_gpus import FakeGpus, GIB
from seed import VLM_BYTES, clip_is_served
from wharf_harness import Later, demo, until
from workers import clip, move

pytestmark = pytest.mark.slice


def degraded(d, what):
    return [x for x in d.get("/wharf/status").json()["degradations"] if x["what"] == what]


# ---------------------------------------------------------------- the Ollama server


def test_ollama_down_at_start(wharf, workers, worlds):
    world = worlds(models={"m": {"vram": VLM_BYTES}})
    world.server.down()
    d = wharf(world.config({"vlm": world.server.model("m", vram=str(VLM_BYTES)), "clip": clip()}))
    events = d.events()
    workers(d, "clip", folder=world.gpu)
    with clip_is_served(d):
        status = until(lambda: (s := d.get("/wharf/status").json())["degraded_mode"] and s, "the reason")
        assert "does not answer" in status["degraded"]
        # The operations say no, with a reason, and the log has a line.
        for path in ("load", "unload"):
            answer = d.post(f"/wharf/models/vlm/{path}")
            assert (answer.status, d.state_of("vlm")) == ((503 if path == "load" else 200), "unloaded"), answer
        assert d.chat("vlm").error["code"] == "backend_down"
        assert "does not answer" in d.stderr
        world.server.up()
        events.wait_for("recovered", what="backend")
        d.load("vlm")


def test_ollama_dies_mid_load(seed):
    with clip_is_served(seed.d):
        seed.server.die_mid_load()
        assert seed.ensure_vlm_loaded().status == 503
        seed.events.wait_for("degraded", what="backend")
        assert degraded(seed.d, "backend")[0]["models"] == ["vlm"]


@pytest.mark.parametrize("how", ["list", "bytes"])
def test_ollama_answers_but_keeps_the_memory(seed, how):
    seed.d.reload({**seed.config, "models": {**seed.config["models"], "other": demo("other", vram="6GiB")}})
    seed.d.ok(seed.ensure_vlm_loaded())
    with clip_is_served(seed.d):
        seed.server.lie_about_unloads(how)
        seed.ensure_vlm_unloaded()
        if how == "list":
            assert seed.get_vlm_state() == "stuck"
        else:
            assert seed.get_vlm_state() == "unloaded"
            until(lambda: seed.get_vram_info()["foreign_bytes"] >= VLM_BYTES, "what nobody has given back", 60)
        # Nobody else is put where memory is not free.
        assert seed.d.chat("other", headers={"X-Wharf-Wait": "0"}).status == 503
        assert seed.d.state_of("other") == "unloaded"


@pytest.mark.parametrize("what", [None, "load"])
def test_ollama_is_slow(make, what):
    seed = make(healthCheckTimeout="1s", unloadTimeout="0.5s", maxLoadRetries=0)
    with clip_is_served(seed.d):
        seed.server.slow(60, only=what)
        answer = seed.ensure_vlm_loaded()
        assert answer.status == 503, answer
        if what is None:
            seed.events.wait_for("degraded", what="backend")
        else:
            seed.events.wait_for("load_failed", model="vlm")


# ---------------------------------------------------------------- the GPU


@pytest.mark.parametrize("fault", ["missing", "hangs", "loses a device"])
def test_nvml(wharf, workers, tmp_path, fault):
    gpus = FakeGpus(tmp_path)
    env = gpus.env() if fault != "missing" else gpus.env(WHARF_NVML="libwharf-no-such.so.1")
    d = wharf({"gpus": "auto", "models": {"clip": clip(), "p": demo("p")}}, env=env)
    workers(d, "clip", vram="0")
    with clip_is_served(d):
        if fault == "hangs":
            gpus.set(hang="nvmlDeviceGetMemoryInfo_v2")
            until(lambda: degraded(d, "gpu"), "what hangs", 60)
            assert d.model("clip")["placement"] == "cpu"
        elif fault == "loses a device":
            gpus.set(_0_lost=1)
            until(lambda: not d.get("/wharf/devices").json()["devices"][0]["present"], "the loss", 60)
            assert move(d, "clip", "cuda").status == 503
        else:
            assert move(d, "clip", "cuda").status == 400, "it is on the CPU alone"
            assert '"cpu"' in move(d, "clip", "cuda").message
        if fault != "loses a device":  # p may sit there alone
            d.ok(d.chat("p"))


def test_a_stranger_takes_6_gib(seed):
    with clip_is_served(seed.d):
        seed.server.stranger("somebody-elses", 6 * GIB)
        until(lambda: seed.get_vram_info()["foreign_bytes"] == 6 * GIB, "the stranger's memory")
        assert seed.d.chat("vlm", headers={"X-Wharf-Wait": "0"}).status == 503
        plan = seed.d.ok(seed.d.post("/wharf/plan", {"model": "vlm"})).json()
        assert (plan["verdict"], plan["why"]) == ("blocked", "others on the device hold the room")
        assert plan["room"] == [{"device": "sim", "total_bytes": 12 * GIB, "room_bytes": 6 * GIB}]
        waiting = Later(seed.ensure_vlm_loaded)
        seed.events.wait_for("blocked", model="vlm", reason=plan["why"])
        seed.server.evict("somebody-elses")
        seed.d.ok(waiting.result())


# ---------------------------------------------------------------- another worker


@pytest.mark.parametrize("fault, flag", [("lies", "--lie-on-move"), ("hangs", "--hang-on-move"),
                                         ("vanishes", "--vanish-on-move"), ("fails", "--bad-check")])
def test_a_worker_mid_move(wharf, workers, fault, flag):
    d = wharf({"gpus": [{"sim": {"name": "gpu0", "memory": "12GiB"}, "sample": "20ms"}],
               "models": {"clip": clip(), "bad": clip(healthCheckTimeout="1s", unloadTimeout="1s")}})
    workers(d, "clip")
    workers(d, "bad", flag, device="cuda")
    with clip_is_served(d):
        answer = Later(move, d, "bad", "cpu").result(60)
        assert answer.status >= 500, answer
        assert json.loads(answer.text)["error"]["message"]
    d.ok(move(d, "clip", "cuda"))
    with clip_is_served(d):
        pass
