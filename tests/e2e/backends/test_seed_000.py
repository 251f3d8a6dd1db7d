"""The tests of the first seed document, under their own names: there with parts that are pretended,
here with the daemon, a server that speaks Ollama's API (a real one too, with WHARF_OLLAMA), a worker
and a simulated GPU. docs/seeds.md has the table."""

import pytest

from seed import CLIP_BYTES, GIB
from wharf_harness import Later, content, until
from workers import embedding

pytestmark = pytest.mark.slice


# ---------------------------------------------------------------- ensure_vlm_loaded blocks


def test_ensure_vlm_loaded_returns_when_loaded(both):
    assert both.ensure_vlm_loaded().json()["state"] == "loaded"
    assert both.is_held() and both.get_vlm_state() == "loaded"


def test_ensure_vlm_loaded_already_loaded(seed):
    seed.ensure_vlm_loaded()
    seed.server.forget()
    assert seed.ensure_vlm_loaded().json()["state"] == "loaded"
    assert seed.calls() == [] and seed.is_held()


# ---------------------------------------------------------------- ensure_vlm_unloaded blocks


def test_ensure_vlm_unloaded_returns_when_unloaded(both):
    both.ensure_vlm_loaded()
    assert both.ensure_vlm_unloaded().json()["state"] == "unloaded"
    assert not both.is_held() and both.get_vlm_state() == "unloaded"


def test_ensure_vlm_unloaded_already_unloaded(seed):
    assert seed.ensure_vlm_unloaded().json()["state"] == "unloaded"
    assert seed.calls() == []


# ---------------------------------------------------------------- where CLIP is


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_get_clip_device_returns_valid_value(seed, device):
    assert seed.migrate_clip(device).json()["placement"] == device
    assert seed.get_clip_device() == device
    assert seed.used() == (CLIP_BYTES if device == "cuda" else 0)


def test_get_clip_device_default_is_cpu(seed):
    assert seed.get_clip_device() == "cpu" and seed.get_execution_mode() == "idle"
    assert seed.used() == 0


# ---------------------------------------------------------------- memory


def test_vram_decreases_on_vlm_unload(seed):
    seed.ensure_vlm_loaded()
    before = until(lambda: (v := seed.get_vram_info())["used_bytes"] and v, "a reading of it")
    seed.ensure_vlm_unloaded()
    # Answered once the memory is free, by wharf's word and by the GPU's own.
    assert seed.used() == 0
    after = seed.get_vram_info()
    assert before["used_bytes"] - after["used_bytes"] >= 8 * GIB
    assert after["free_bytes"] - before["free_bytes"] >= 8 * GIB
    (told,) = seed.events.catch_up().all("model_unloaded", model="vlm")
    assert told["details"]["vram"][0]["before_bytes"] >= 8 * GIB
    assert seed.events.wait_for("settled", model="vlm")["details"]["vram"][0]["after_bytes"] == 0


# ---------------------------------------------------------------- status


def test_get_status_returns_complete_status(both):
    """Each member of the seed's GPUResourceStatus, by the name that it has here."""
    status = both.d.ok(both.d.get("/wharf/status")).json()
    model = {m["id"]: m for m in status["model_list"]}
    (gpu,) = status["devices"]
    assert status["mode"] in ("idle", "recording", "autopilot")             # execution_mode
    assert model["vlm"]["state"] in ("unloaded", "loading", "loaded", "unloading", "error")  # vlm_state
    assert model["vlm"]["backend_model"] == both.name                       # vlm_model
    assert model["clip"]["placement"] in ("cpu", "cuda")                    # clip_device
    assert gpu["total_bytes"] == 12 * GIB                                   # vram.total_mb
    assert gpu["used_bytes"] + gpu["free_bytes"] == 12 * GIB                # vram.used_mb, free_mb
    assert gpu["name"] == "sim"                                             # vram.gpu_name
    assert gpu["utilisation_percent"] is None  # vram.gpu_utilization_percent: a simulated GPU has none
    assert model["vlm"]["ttl_s"] == 300                                     # idle_timeout_seconds
    assert model["vlm"]["last_used"] is None                                # last_vlm_request
    assert status["degraded_mode"] is False                                 # degraded_mode
    assert status["degraded"] is None                                       # degraded_reason


@pytest.mark.parametrize("mode", ["idle", "recording", "autopilot"])
def test_get_status_reflects_execution_mode(seed, mode):
    seed.d.ok(seed.set_execution_mode(mode))
    assert seed.get_execution_mode() == mode


# ---------------------------------------------------------------- CLIP's embeddings


def test_clip_produces_valid_embeddings_after_migration(seed):
    at_first = embedding(seed.d, "clip")
    for device in ("cuda", "cpu", "cuda"):
        seed.d.ok(seed.migrate_clip(device))
        assert seed.get_clip_device() == device
        assert embedding(seed.d, "clip") == at_first


# ---------------------------------------------------------------- modes


def test_autopilot_mode_unloads_vlm(both):
    both.d.ok(both.set_execution_mode("recording"))
    assert both.is_held()
    both.d.ok(both.set_execution_mode("autopilot"))
    assert both.get_execution_mode() == "autopilot" and both.get_vlm_state() == "unloaded"
    assert not both.is_held()
    if both.scripted:
        assert both.calls()[-1] == "unload"


def test_recording_mode_loads_vlm(both):
    both.d.ok(both.set_execution_mode("autopilot"))
    assert not both.is_held()
    both.d.ok(both.set_execution_mode("recording"))
    assert both.get_execution_mode() == "recording" and both.get_vlm_state() == "loaded"
    assert both.is_held()


def test_clip_migrates_to_gpu_in_autopilot(seed):
    seed.d.ok(seed.set_execution_mode("recording"))
    assert seed.get_clip_device() == "cpu"
    seed.d.ok(seed.set_execution_mode("autopilot"))
    assert seed.get_clip_device() == "cuda"
    assert seed.clip.log.count("told to move cuda") == 1


def test_clip_migrates_to_cpu_before_vlm_loads(seed):
    seed.d.ok(seed.set_execution_mode("autopilot"))
    seed.server.forget()
    seed.d.ok(seed.set_execution_mode("recording"))
    names = seed.events.catch_up().order("device_changed", "model_loading")
    moved, loading = ("device_changed", "clip"), ("model_loading", "vlm")
    last = len(names) - 1 - names[::-1].index(moved)
    assert last < names.index(loading), names
    assert seed.clip.log.count("told to move cpu") == 1 and seed.calls() == ["load"]


# ---------------------------------------------------------------- idleness


@pytest.mark.parametrize("seconds", [1, 120])
def test_idle_timeout_uses_configured_value(make, seconds):
    seed = make(ttl=seconds)
    assert seed.d.model("vlm")["ttl_s"] == seconds
    seed.ensure_vlm_loaded()
    if seconds > 1:
        assert 0 < seed.d.model("vlm")["idle_unload_s"] <= seconds
        return
    told = seed.events.wait_for("idle_unload", model="vlm")
    seed.events.wait_for("model_unloaded", model="vlm")
    (loaded,) = seed.events.all("model_loaded", model="vlm")
    assert not seed.is_held()
    assert told["time"] > loaded["time"]


def test_vlm_request_updates_last_request_time(seed):
    assert seed.d.model("vlm")["last_used"] is None
    seed.ensure_vlm_loaded()
    first = seed.d.model("vlm")
    assert first["last_used"] is not None
    seed.d.ok(seed.d.chat("vlm"))
    later = seed.d.model("vlm")
    assert later["last_used"] >= first["last_used"] and later["last_used_s"] <= first["last_used_s"] + 60


def test_vlm_loads_on_demand_when_unloaded(both):
    assert not both.is_held()
    assert content(both.d.ok(both.d.chat("vlm", seconds=120)))
    assert both.is_held() and both.get_vlm_state() == "loaded"


# ---------------------------------------------------------------- one after the other


def test_concurrent_operations_processed_sequentially(seed):
    """Ten at once, of both kinds: what is done of it is done one after the other, whatever order
    they come in, and the end is what one of the last wanted."""
    ops = [Later(seed.ensure_vlm_unloaded if i % 2 else seed.ensure_vlm_loaded) for i in range(10)]
    answers = [op.result() for op in ops]
    assert {a.status for a in answers} <= {200, 409, 503}, answers
    state = until(lambda: (s := seed.get_vlm_state()) in ("loaded", "unloaded") and s, "the end of it")
    assert seed.is_held() == (state == "loaded")
    steps = {"model_loading", "model_loaded", "model_unloading", "model_unloaded"}
    seen = [step for step, model in seed.events.catch_up().order(*steps) if model == "vlm"]
    assert seen[0] == "model_loading"
    follows = {"model_loading": {"model_loaded", "model_unloaded", "model_unloading"},
               "model_loaded": {"model_unloading"}, "model_unloading": {"model_unloaded"},
               "model_unloaded": {"model_loading"}}
    for a, b in zip(seen, seen[1:]):
        assert b in follows[a], seen
