"""The first seed's tests of a GPU resource manager, under their own names, against wharf.compat: what
they reach into and inject, and what has to come of it."""

import asyncio
from unittest.mock import AsyncMock, MagicMock

import pytest

from wharf.compat.gpu_resource_manager import (ExecutionMode, GPUResourceConfig, GPUResourceManager,
                                               ModelState, VRAMInfo)

hypothesis = pytest.importorskip("hypothesis", reason="no Hypothesis: tools/venv installs it")
from hypothesis import given, settings, strategies as st  # noqa: E402

BEFORE, AFTER = (12000, 10500, 1500, "Test GPU", 50), (12000, 500, 11500, "Test GPU", 0)


@pytest.fixture
def ollama():
    return MagicMock(load_model=AsyncMock(return_value=True), unload_model=AsyncMock(return_value=True),
                     is_model_loaded=AsyncMock(return_value=False),
                     is_available=MagicMock(return_value=True))


@pytest.fixture
def monitor():
    info = VRAMInfo(total_mb=12000, used_mb=500, free_mb=11500, gpu_name="Test GPU",
                    gpu_utilization_percent=0)
    return MagicMock(get_vram_info=MagicMock(return_value=info),
                     is_gpu_available=MagicMock(return_value=True))


@pytest.fixture
def clip():
    return MagicMock(migrate_to_device=AsyncMock(return_value=True),
                     get_current_device=MagicMock(return_value="cpu"))


@pytest.fixture
def manager(ollama, monitor, clip):
    GPUResourceManager.reset_instance()
    m = GPUResourceManager(GPUResourceConfig(
        ollama_endpoint="http://localhost:11434", vlm_model="test-model:latest",
        idle_timeout_seconds=1, load_timeout_seconds=5, unload_timeout_seconds=2, max_load_retries=2))
    m._ollama_manager, m._vram_monitor, m._clip_manager = ollama, monitor, clip
    yield m
    GPUResourceManager.reset_instance()


@pytest.fixture
def alone():
    """alone(config) → a manager with nothing injected."""
    GPUResourceManager.reset_instance()
    yield GPUResourceManager
    GPUResourceManager.reset_instance()


@pytest.mark.asyncio
async def test_ensure_vlm_loaded_returns_when_loaded(manager, ollama):
    assert manager.get_vlm_state() == ModelState.UNLOADED
    assert await manager.ensure_vlm_loaded() is True
    assert manager.is_vlm_loaded() is True and manager.get_vlm_state() == ModelState.LOADED
    ollama.load_model.assert_awaited_once_with()


@pytest.mark.asyncio
async def test_ensure_vlm_loaded_already_loaded(manager, ollama):
    manager._vlm_state = ModelState.LOADED
    assert await manager.ensure_vlm_loaded() is True
    assert manager.is_vlm_loaded() is True
    ollama.load_model.assert_not_called()


@pytest.mark.asyncio
async def test_ensure_vlm_unloaded_returns_when_unloaded(manager, ollama):
    manager._vlm_state = ModelState.LOADED
    assert await manager.ensure_vlm_unloaded() is True
    assert manager.is_vlm_loaded() is False and manager.get_vlm_state() == ModelState.UNLOADED
    ollama.unload_model.assert_awaited_once_with()


@pytest.mark.asyncio
async def test_ensure_vlm_unloaded_already_unloaded(manager, ollama):
    manager._vlm_state = ModelState.UNLOADED
    assert await manager.ensure_vlm_unloaded() is True
    assert manager.is_vlm_loaded() is False
    ollama.unload_model.assert_not_called()


@given(st.sampled_from(["cpu", "cuda"]))
@settings(max_examples=100, deadline=None)
def test_get_clip_device_returns_valid_value(device):
    GPUResourceManager.reset_instance()
    m = GPUResourceManager(GPUResourceConfig())
    m._clip_device = device
    assert m.get_clip_device() == device
    GPUResourceManager.reset_instance()


def test_get_clip_device_default_is_cpu(alone):
    m = alone(GPUResourceConfig())
    assert m.get_clip_device() == "cpu" and m.get_execution_mode() == ExecutionMode.IDLE


@pytest.mark.asyncio
async def test_vram_decreases_on_vlm_unload(manager, ollama):
    manager._vlm_state = ModelState.LOADED
    readings = MagicMock(side_effect=[VRAMInfo(*BEFORE), VRAMInfo(*AFTER)])
    manager._vram_monitor.get_vram_info = readings
    events = []
    manager.on_resource_changed(events.append)
    assert await manager.ensure_vlm_unloaded() is True
    assert manager.is_vlm_loaded() is False
    [unloaded] = [e for e in events if e.event_type == "model_unloaded"]
    assert unloaded.details == {"model": "test-model:latest", "vram_before_mb": 10500,
                                "vram_after_mb": 500, "freed_mb": 10000}
    assert readings.call_count == 2


def test_get_status_returns_complete_status(manager):
    status = manager.get_status()
    assert status.execution_mode in ExecutionMode and status.vlm_state in ModelState
    assert (status.vlm_model, status.clip_device) == ("test-model:latest", "cpu")
    assert status.vram == VRAMInfo(*AFTER) and status.idle_timeout_seconds == 1
    assert (status.degraded_mode, status.degraded_reason) == (False, None)


@given(st.sampled_from(list(ExecutionMode)))
@settings(max_examples=100, deadline=None)
def test_get_status_reflects_execution_mode(mode):
    GPUResourceManager.reset_instance()
    m = GPUResourceManager(GPUResourceConfig())
    m._execution_mode = mode
    m._vram_monitor = MagicMock(get_vram_info=MagicMock(return_value=None))
    status = m.get_status()
    assert status.execution_mode == mode
    assert status.degraded_mode is True and "no GPU" in status.degraded_reason
    GPUResourceManager.reset_instance()


@pytest.mark.asyncio
async def test_clip_produces_valid_embeddings_after_migration(manager, clip):
    assert await manager.migrate_clip_to_gpu() is True
    assert manager.get_clip_device() == "cuda"
    clip.migrate_to_device.assert_awaited_once_with("cuda")
    assert await manager.migrate_clip_to_cpu() is True
    assert manager.get_clip_device() == "cpu"
    clip.migrate_to_device.assert_called_with("cpu")


@pytest.mark.asyncio
async def test_autopilot_mode_unloads_vlm(manager, ollama):
    manager._execution_mode = ExecutionMode.RECORDING
    manager._vlm_state = ModelState.LOADED
    await manager.set_execution_mode(ExecutionMode.AUTOPILOT)
    assert manager.get_execution_mode() == ExecutionMode.AUTOPILOT
    assert manager.is_vlm_loaded() is False
    ollama.unload_model.assert_awaited_once_with()


@pytest.mark.asyncio
async def test_recording_mode_loads_vlm(manager, ollama):
    manager._execution_mode = ExecutionMode.AUTOPILOT
    manager._vlm_state = ModelState.UNLOADED
    await manager.set_execution_mode(ExecutionMode.RECORDING)
    assert manager.get_execution_mode() == ExecutionMode.RECORDING
    assert manager.is_vlm_loaded() is True
    ollama.load_model.assert_awaited_once_with()


@pytest.mark.asyncio
async def test_clip_migrates_to_gpu_in_autopilot(manager, clip):
    manager._execution_mode = ExecutionMode.RECORDING
    manager._vlm_state = ModelState.LOADED
    manager._clip_device = "cpu"
    await manager.set_execution_mode(ExecutionMode.AUTOPILOT)
    assert manager.get_execution_mode() == ExecutionMode.AUTOPILOT
    assert manager.get_clip_device() == "cuda"
    clip.migrate_to_device.assert_awaited_once_with("cuda")


@pytest.mark.asyncio
async def test_clip_migrates_to_cpu_before_vlm_loads(manager, ollama, clip):
    manager._execution_mode = ExecutionMode.AUTOPILOT
    manager._vlm_state = ModelState.UNLOADED
    manager._clip_device = "cuda"
    order = []

    async def migrate(device):
        order.append(f"clip_to_{device}")
        return True

    async def load():
        order.append("vlm_load")
        return True

    clip.migrate_to_device, ollama.load_model = migrate, load
    await manager.set_execution_mode(ExecutionMode.RECORDING)
    assert order == ["clip_to_cpu", "vlm_load"]


def test_idle_timeout_uses_configured_value(alone):
    m = alone(GPUResourceConfig(idle_timeout_seconds=120))
    assert m._config.idle_timeout_seconds == 120
    assert m.get_status().idle_timeout_seconds == 120


@pytest.mark.asyncio
async def test_vlm_request_updates_last_request_time(manager):
    assert manager._last_vlm_request is None
    await manager.ensure_vlm_loaded()
    first = manager._last_vlm_request
    assert first is not None
    await manager.ensure_vlm_loaded()
    assert manager._last_vlm_request >= first


@pytest.mark.asyncio
async def test_vlm_loads_on_demand_when_unloaded(manager, ollama):
    """In autopilot, which wants it gone, too; and it stays for whoever wants it."""
    await manager.set_execution_mode(ExecutionMode.AUTOPILOT)
    assert await manager.ensure_vlm_loaded() is True
    assert manager.is_vlm_loaded() is True
    ollama.load_model.assert_awaited_once_with()


@pytest.mark.asyncio
async def test_concurrent_operations_processed_sequentially(manager, ollama):
    order, loading = [], asyncio.Event()
    go_on = asyncio.Event()

    async def load():
        order.append("load_start")
        loading.set()
        await go_on.wait()
        order.append("load_end")
        return True

    async def unload():
        order.append("unload_start")
        await asyncio.sleep(0)
        order.append("unload_end")
        return True

    ollama.load_model, ollama.unload_model = load, unload
    manager._vlm_state = ModelState.UNLOADED
    tasks = [asyncio.create_task(manager.ensure_vlm_loaded())]
    await loading.wait()
    assert manager.get_vlm_state() == ModelState.LOADING
    tasks.append(asyncio.create_task(manager.ensure_vlm_unloaded()))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*tasks)
    assert order[:2] == ["load_start", "load_end"]
    for start, end in zip(order[::2], order[1::2]):
        assert end == start.replace("start", "end")
