"""wharf.compat's resource manager beyond the seed's tests: failures, servers that are away, idleness,
no GPU, Ollama itself."""

import asyncio
import json
import threading
from unittest.mock import AsyncMock, MagicMock

import pytest

from wharf.compat.gpu_resource_manager import (CLIPManager, ExecutionMode, GPUResourceConfig,
                                               GPUResourceManager, ModelState, OllamaManager,
                                               VRAMInfo, VRAMMonitor)
from wharf.compat._readings import MIB, Reading


def info(used=500, total=12000):
    return VRAMInfo(total, used, total - used, "Test GPU", 0)


class Ollama:
    """Says yes, and counts."""

    def __init__(self):
        self.calls, self.there, self.loads, self.loaded = [], True, [], False

    def is_available(self):
        return self.there

    def load_model(self):
        self.calls.append("load")
        good = self.loads.pop(0) if self.loads else True
        if isinstance(good, Exception):
            raise good
        return good

    def unload_model(self):
        self.calls.append("unload")
        return self.loads.pop(0) if self.loads else True

    def is_model_loaded(self):
        return self.loaded


@pytest.fixture
def make():
    def start(readings=None, **config):
        GPUResourceManager.reset_instance()
        m = GPUResourceManager(GPUResourceConfig(max_load_retries=0, **config))
        m._ollama_manager = Ollama()
        m._vram_monitor = MagicMock(get_vram_info=MagicMock(
            **(readings or {"return_value": info()})))
        return m
    yield start
    GPUResourceManager.reset_instance()


async def test_a_load_that_fails_is_told_and_another_one_tried(make):
    m = make()
    events = []
    m.on_resource_changed(lambda e: events.append(e.event_type))
    m._ollama_manager.loads = [False, RuntimeError("no such model")]
    assert await m.ensure_vlm_loaded() is False
    assert m.get_vlm_state() == ModelState.ERROR
    assert await m.ensure_vlm_loaded() is False
    assert await m.ensure_vlm_loaded() is True
    assert m._ollama_manager.calls == ["load"] * 3
    assert events == ["load_failed", "load_failed", "model_loaded"]


async def test_ollama_is_away(make, caplog):
    m = make()
    m._ollama_manager.there = False
    assert await m.ensure_vlm_loaded() is False
    assert "Ollama does not answer" in caplog.text
    status = m.get_status()
    assert (status.degraded_mode, status.degraded_reason) == (True, "Ollama does not answer")
    assert await m.migrate_clip_to_gpu() is True, "that is none of Ollama's business"
    m._ollama_manager.there = True
    assert await m.ensure_vlm_loaded() is True
    assert m.get_status().degraded_mode is False


async def test_who_asks_for_the_status_finds_out_that_it_is_back(make, monkeypatch):
    m = make()
    m._ollama_manager.there = False
    assert await m.ensure_vlm_loaded() is False
    m._ollama_manager.there = True
    assert m.get_status().degraded_mode is True, "it is looked for every 30 s"
    monkeypatch.setattr("wharf.compat.gpu_resource_manager.RETRY_S", 0)
    assert m.get_status().degraded_mode is False


async def test_an_unload_that_fails_is_looked_into(make):
    m = make()
    await m.ensure_vlm_loaded()
    m._ollama_manager.loads, m._ollama_manager.loaded = [False], True
    assert await m.ensure_vlm_unloaded() is False
    assert m.get_vlm_state() == ModelState.ERROR
    assert await m.ensure_vlm_unloaded() is True, "it was there still, and went now"
    assert m._ollama_manager.calls == ["load", "unload", "unload"]


async def test_without_a_gpu(make, caplog):
    m = make({"return_value": None})
    assert await m.ensure_vlm_loaded() is True
    assert await m.migrate_clip_to_gpu() is False and "there is no GPU" in caplog.text
    assert await m.set_execution_mode(ExecutionMode.AUTOPILOT) is True
    assert (m.get_clip_device(), m.is_vlm_loaded()) == ("cpu", False)
    assert m.get_status().degraded_reason == "no GPU: models stay on the cpu"
    m._vram_monitor = MagicMock(get_vram_info=MagicMock(return_value=info()))
    assert await m.migrate_clip_to_gpu() is True and m.get_clip_device() == "cuda"


async def test_clip_needs_room(make, caplog):
    m = make({"return_value": info(used=11200)})
    assert await m.migrate_clip_to_gpu() is False
    assert "800 of 12000 MB of Test GPU are free" in caplog.text
    assert m.get_clip_device() == "cpu"


async def test_clip_does_not_push_the_vlm_out(make):
    m = make({"return_value": info(total=11500)})
    assert await m.ensure_vlm_loaded() is True
    assert await m.migrate_clip_to_gpu() is False
    assert m.is_vlm_loaded() and m._ollama_manager.calls == ["load"]


async def test_modes_without_await_and_their_events(make):
    m = make()
    modes, changes = [], []
    m.on_mode_changed(lambda before, now: modes.append((before.value, now.value)))
    m.on_resource_changed(lambda e: changes.append((e.event_type, e.details.get("device"))))
    m._clip_device = "cuda"
    task = m.set_execution_mode("recording")  # begun, and waited for later
    assert await task is True
    assert await m.set_execution_mode(ExecutionMode.IDLE) is True
    assert modes == [("idle", "recording"), ("recording", "idle")]
    assert changes == [("device_changed", "cpu"), ("model_loaded", None)]


def test_modes_without_a_loop(make):
    m = make()
    assert asyncio.run(asyncio.wait_for(_await(m.set_execution_mode("recording")), 1)) is True
    assert m.is_vlm_loaded()


async def _await(awaitable):
    return await awaitable


@pytest.mark.parametrize("mode", ["idle", "autopilot"])
async def test_idle_unload(make, mode):
    m = make(idle_timeout_seconds=1)
    told, went = [], threading.Event()
    m.on_idle_unload(lambda e: told.append(e.details["model"]))
    m.on_resource_changed(lambda e: went.set() if e.event_type == "model_unloaded" else None)
    await m.set_execution_mode(mode)
    assert await m.ensure_vlm_loaded() is True
    assert m.is_vlm_loaded()
    await asyncio.get_running_loop().run_in_executor(None, went.wait, 10)
    while not told:
        await asyncio.sleep(0)
    assert told == ["qwen3-vl:8b"] and not m.is_vlm_loaded()


async def test_coroutines_run_in_the_loop_that_asked(make):
    m, loops = make(), []

    async def load():
        loops.append(asyncio.get_running_loop())
        return True

    m._ollama_manager = MagicMock(load_model=load, unload_model=AsyncMock(return_value=True))
    assert await m.ensure_vlm_loaded() is True
    assert loops == [asyncio.get_running_loop()]


async def test_a_load_that_takes_too_long(make):
    m = make(load_timeout_seconds=1)
    go_on = asyncio.Event()

    async def load():
        await go_on.wait()
        return True

    m._ollama_manager.load_model = load
    assert await m.ensure_vlm_loaded() is False
    assert not m.is_vlm_loaded()
    go_on.set()
    while not m.is_vlm_loaded():  # it has come in all the same, and that is known
        await asyncio.sleep(0)


def test_one_for_the_process(make, caplog):
    m = make()
    assert GPUResourceManager() is m and GPUResourceManager.get_instance() is m
    GPUResourceManager(GPUResourceConfig(vlm_model="another"))
    assert "already" in caplog.text and m._config.vlm_model == "qwen3-vl:8b"
    GPUResourceManager.reset_instance()
    assert GPUResourceManager() is not m


def test_states_that_cannot_be_said(make):
    with pytest.raises(ValueError):
        make()._vlm_state = ModelState.LOADING


def test_ollama_itself(server):
    asked, loaded = [], []

    def script(peer, _):
        line, _, body = peer.request()
        asked.append((line, json.loads(body) if body else None))
        if "/api/generate" in line:
            loaded[:] = [] if asked[-1][1]["keep_alive"] == 0 else ["vlm:8b"]
        if "/api/ps" in line:
            peer.answer(json.dumps({"models": [{"name": n} for n in loaded]}))
        else:
            peer.answer(json.dumps({"done": True}))

    o = OllamaManager(f"http://127.0.0.1:{server(script).port}", "vlm:8b")
    assert o.is_available() and not o.is_model_loaded()
    assert o.load_model() and o.is_model_loaded()
    assert o.unload_model() and o.list_loaded_models() == []
    assert asked[2] == ("POST /api/generate HTTP/1.1",
                        {"model": "vlm:8b", "keep_alive": -1, "stream": False})
    assert not OllamaManager("http://127.0.0.1:9", "vlm:8b").is_available()


def test_the_monitor_and_clip_themselves():
    monitor = VRAMMonitor(sources=[lambda: None, lambda: [Reading(0, "G", 8000 * MIB, 3000 * MIB, 12.4)]])
    assert monitor.get_vram_info() == VRAMInfo(8000, 3000, 5000, "G", 12)
    assert (monitor.get_available_vram_mb(), monitor.is_gpu_available()) == (5000, True)
    assert VRAMMonitor(sources=[lambda: []]).get_vram_info() is None
    model = MagicMock()
    clip = CLIPManager(model=model)
    assert clip.get_current_device() == "cpu" and clip.migrate_to_device("cuda")
    model.to.assert_called_once_with("cuda")
    assert clip.get_model() is model.to.return_value and clip.get_current_device() == "cuda"
    built = CLIPManager(build=lambda device: f"clip on {device}")
    built.migrate_to_device("cuda")
    assert built.get_model() == "clip on cuda"
