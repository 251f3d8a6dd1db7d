"""Modes of a program with a large model in Ollama (the VLM) and a small one that moves between GPU
and CPU (CLIP): recording wants the VLM, autopilot wants CLIP on the GPU.

What happens, and in which order, a broker of libwharf decides; this says what there is, carries out
what is decided, and tells of it."""

from __future__ import annotations

import asyncio
import collections
import enum
import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Awaitable, Callable, Deque, Dict, List, Optional, Tuple

from .._broker import Broker, BrokerEvent, Device, Held, Model, Place
from .._errors import Error, Failed, NoRoom, NotFound
from .._http import Request, ask, parse
from . import _readings
from ._readings import MIB

log = logging.getLogger(__name__)

VLM, CLIP = "vlm", "clip"
CPU, CUDA = "cpu", "cuda"
READING_FRESH_S = 1.0
RETRY_S = 30.0  # how often a server that was away is looked for, by whoever asks for the status
VRAM_CHANGED_MB = 100


class ExecutionMode(str, enum.Enum):
    """What the program is doing."""

    IDLE = "idle"
    RECORDING = "recording"
    AUTOPILOT = "autopilot"


class ModelState(str, enum.Enum):
    """Of the VLM."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    UNLOADING = "unloading"
    ERROR = "error"


@dataclass
class VRAMInfo:
    """One reading of the GPU."""

    total_mb: int
    used_mb: int
    free_mb: int
    gpu_name: str
    gpu_utilization_percent: int


@dataclass
class GPUResourceConfig:
    """What there is. vlm_vram_mb, clip_vram_mb: what they take of the GPU; a VLM that is said to take
    more than there is has the GPU to itself, and Ollama keeps the rest on the CPU."""

    ollama_endpoint: str = "http://localhost:11434"
    vlm_model: str = "qwen3-vl:8b"
    clip_model: str = "ViT-B-32"
    idle_timeout_seconds: int = 300
    vram_threshold_for_clip_gpu_mb: int = 1024
    max_load_retries: int = 3
    load_timeout_seconds: int = 30
    unload_timeout_seconds: int = 5
    vlm_vram_mb: int = 10752
    clip_vram_mb: int = 500


@dataclass
class GPUResourceStatus:
    """How it all stands. vram: None without a GPU."""

    execution_mode: ExecutionMode
    vlm_state: ModelState
    vlm_model: str
    clip_device: str
    vram: Optional[VRAMInfo]
    idle_timeout_seconds: int
    last_vlm_request: Optional[datetime]
    degraded_mode: bool
    degraded_reason: Optional[str]


@dataclass
class ResourceChangedEvent:
    """model_loaded, model_unloaded, device_changed, vram_changed, load_failed."""

    timestamp: datetime
    event_type: str
    details: Dict[str, Any] = field(default_factory=dict)


class OllamaManager:
    """Models of an Ollama server. Calls block; without a model they are about the one it was made for."""

    def __init__(self, endpoint: str = "http://localhost:11434", model: Optional[str] = None,
                 timeout_s: float = 30) -> None:
        self._address, self._model, self._timeout_s = parse(endpoint), model, timeout_s

    def _ask(self, method: str, path: str, body: Any = None, timeout: Optional[float] = None) -> Any:
        return ask(self._address, Request(method, path, body, timeout=timeout or self._timeout_s), None)

    def _keep(self, model: Optional[str], keep_alive: Any) -> bool:
        self._ask("POST", "/api/generate", {"model": model or self._model, "keep_alive": keep_alive,
                                            "stream": False})
        return True

    def load_model(self, model: Optional[str] = None, keep_alive: Any = -1) -> bool:
        """Until it is loaded; by itself Ollama does not unload it, since its time is counted here."""
        return self._keep(model, keep_alive)

    def unload_model(self, model: Optional[str] = None) -> bool:
        """Until it is gone."""
        return self._keep(model, 0)

    def list_loaded_models(self) -> List[str]:
        """By their names."""
        return [m["name"] for m in self._ask("GET", "/api/ps")["models"]]

    def is_model_loaded(self, model: Optional[str] = None) -> bool:
        """Whether Ollama says so."""
        return (model or self._model) in self.list_loaded_models()

    def is_available(self) -> bool:
        """Whether the server answers."""
        try:
            self._ask("GET", "/api/version", timeout=2)
        except Error:
            return False
        return True


class CLIPManager:
    """The movable model. Give it one with a `to(device)`, such as a torch module, or a function that
    makes it for a device; without either it only remembers where the model is to be."""

    def __init__(self, model_name: str = "ViT-B-32", model: Any = None,
                 build: Optional[Callable[[str], Any]] = None) -> None:
        self.model_name, self._model, self._build = model_name, model, build
        self._device = CPU

    def get_current_device(self) -> str:
        """cpu or cuda."""
        return self._device

    def migrate_to_device(self, device: str) -> bool:
        """Takes the model there."""
        if self._model is not None and hasattr(self._model, "to"):
            self._model = self._model.to(device)
        elif self._build:
            self._model = self._build(device)
        self._device = device
        return True

    def get_model(self) -> Any:
        """None: it has none."""
        return self._model

    def reinitialize_pipeline(self) -> None:
        """Makes the model anew where it is."""
        if self._build:
            self._model = self._build(self._device)


class VRAMMonitor:
    """Readings of one GPU: of torch, the daemon or nvidia-smi, whichever knows."""

    def __init__(self, index: int = 0, sources: Any = None) -> None:
        self._index, self._sources = index, sources

    def get_vram_info(self) -> Optional[VRAMInfo]:
        """None: there is no GPU, or nobody knows."""
        _, found = _readings.read(self._sources)
        if self._index >= len(found) or found[self._index].used_bytes is None:
            return None
        r = found[self._index]
        total, used = r.total_bytes // MIB, (r.used_bytes or 0) // MIB
        return VRAMInfo(total, used, total - used, r.name, round(r.utilisation_percent or 0))

    def get_available_vram_mb(self) -> int:
        """0 without a GPU."""
        info = self.get_vram_info()
        return info.free_mb if info else 0

    def is_gpu_available(self) -> bool:
        """Whether there is one."""
        return self.get_vram_info() is not None


_STATES = {"unloaded": ModelState.UNLOADED, "loading": ModelState.LOADING,
           "loaded": ModelState.LOADED, "moving": ModelState.LOADED,
           "unloading": ModelState.UNLOADING}


class GPUResourceManager:
    """One for the whole process: `GPUResourceManager(config)` makes it, and later calls get it.

    `_ollama_manager`, `_clip_manager` and `_vram_monitor` may be replaced; what is called of them may
    be plain or a coroutine function. What is done takes place on threads of the broker, or, of
    coroutine functions, in the event loop that asked for it."""

    _instance: Optional["GPUResourceManager"] = None
    _instance_lock = threading.Lock()

    def __new__(cls, config: Optional[GPUResourceConfig] = None) -> "GPUResourceManager":
        with cls._instance_lock:
            if cls._instance is None:
                cls._instance = super().__new__(cls)
            return cls._instance

    def __init__(self, config: Optional[GPUResourceConfig] = None) -> None:
        if hasattr(self, "_config"):
            if config is not None and config != self._config:
                log.warning("there is a GPUResourceManager already; reset_instance() ends it")
            return
        self._config = config or GPUResourceConfig()
        self._ollama_manager: Any = OllamaManager(
            self._config.ollama_endpoint, self._config.vlm_model, self._config.load_timeout_seconds)
        self._clip_manager: Any = CLIPManager(self._config.clip_model)
        self._monitor: Any = VRAMMonitor()
        self._last_vlm_request: Optional[datetime] = None
        self._mode = ExecutionMode.IDLE
        self._broker: Optional[Broker] = None
        self._broker_lock = threading.Lock()
        self._has_gpu = False
        self._found: Dict[str, Optional[str]] = {VLM: None, CLIP: CPU}  # until there is a broker
        self._reading: Tuple[float, Optional[VRAMInfo]] = (float("-inf"), None)
        self._told_mb: Optional[int] = None
        self._away_since: Optional[float] = None  # Ollama; looked for again since
        self._events: Deque[Tuple[List[Callable[..., Any]], Tuple[Any, ...]]] = collections.deque()
        self._on_resource: List[Callable[..., Any]] = []
        self._on_mode: List[Callable[..., Any]] = []
        self._on_idle: List[Callable[..., Any]] = []
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._in_use: Optional[Tuple[Held, Optional[threading.Timer]]] = None

    @classmethod
    def get_instance(cls, config: Optional[GPUResourceConfig] = None) -> "GPUResourceManager":
        """The one of this process."""
        return cls(config)

    @classmethod
    def reset_instance(cls) -> None:
        """Ends it; the next one begins anew."""
        with cls._instance_lock:
            instance, cls._instance = cls._instance, None
        if instance:
            instance.shutdown()

    def shutdown(self) -> None:
        """Ends the threads behind it; the models stay as they are."""
        self._end_use()
        with self._broker_lock:
            broker, self._broker = self._broker, None
        if not broker:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            broker.close()
        else:  # it waits for what may run in this loop
            threading.Thread(target=broker.close).start()

    # -- the broker, from when it is needed: only then it is sure who reads the GPU

    def _started(self) -> Broker:
        with self._broker_lock:
            if self._broker is None:
                self._broker = self._start()
            return self._broker

    def _start(self) -> Broker:
        c, info = self._config, self._read()
        self._has_gpu = info is not None
        devices = [Device(CUDA, info.total_mb * MIB)] if info else []
        vlm_bytes = c.vlm_vram_mb * MIB if info and c.vlm_vram_mb < info.total_mb else 0
        vlm = Place(CUDA, vlm_bytes) if info else Place(CPU)
        clip = [Place(CUDA, c.clip_vram_mb * MIB, c.vram_threshold_for_clip_gpu_mb * MIB)] \
            if info else []
        if not info:
            log.warning("no GPU: models stay on the cpu")
        broker = Broker(
            devices=devices,
            models=[Model(VLM, [vlm], slots=1024, retries=c.max_load_retries,
                          ttl=c.idle_timeout_seconds or None, load_timeout=c.load_timeout_seconds,
                          unload_timeout=c.unload_timeout_seconds),
                    Model(CLIP, [*clip, Place(CPU)], movable=True, yields=True,
                          load_timeout=c.load_timeout_seconds)],
            modes={"recording": {VLM: "loaded", CLIP: CPU},
                   "autopilot": {VLM: "unloaded", CLIP: CUDA if info else CPU}},
            load=self._load_op, unload=self._unload_op, move=self._move_op, sample=self._sample_op,
            event=self._broker_event)
        for model, device in self._found.items():
            if device and not info:
                device = CPU
            broker.found(model, device)
        return broker

    def _place_of(self, model: str) -> Optional[str]:
        """None: not loaded."""
        broker = self._broker
        if broker is None:
            return self._found[model]
        view = broker.model(model)
        return view.device if view.state in ("loaded", "moving") else None

    def _say(self, model: str, device: Optional[str]) -> None:
        self._found[model] = device
        if self._broker:
            self._broker.found(model, device if self._has_gpu or not device else CPU)

    # -- what others reach into

    @property
    def _vram_monitor(self) -> Any:
        return self._monitor

    @_vram_monitor.setter
    def _vram_monitor(self, monitor: Any) -> None:
        if self._broker and not self._has_gpu:  # there may be a GPU after all
            self._found = {model: self._place_of(model) for model in (VLM, CLIP)}
            self.shutdown()
        self._monitor, self._reading = monitor, (float("-inf"), None)

    @property
    def _vlm_state(self) -> ModelState:
        if self._broker is None:
            return ModelState.LOADED if self._found[VLM] else ModelState.UNLOADED
        return _STATES.get(self._broker.model(VLM).state, ModelState.ERROR)

    @_vlm_state.setter
    def _vlm_state(self, state: ModelState) -> None:
        if state not in (ModelState.LOADED, ModelState.UNLOADED):
            raise ValueError(f"{state}: that it is loaded or unloaded can be said")
        self._say(VLM, CUDA if state == ModelState.LOADED else None)

    @property
    def _clip_device(self) -> str:
        return self._place_of(CLIP) or CPU

    @_clip_device.setter
    def _clip_device(self, device: str) -> None:
        self._say(CLIP, device)

    @property
    def _execution_mode(self) -> ExecutionMode:
        return self._mode

    @_execution_mode.setter
    def _execution_mode(self, mode: ExecutionMode) -> None:
        self._mode = ExecutionMode(mode)

    # -- what the broker has done, on its threads

    def _finish(self, result: Any) -> Any:
        broker = self._broker
        if broker is None:  # it was shut down under what it had begun
            if asyncio.iscoroutine(result):
                result.close()
            raise Failed("the manager was shut down")
        return broker.finish(result)

    def _load_op(self, model: str, device: str) -> bool:
        if model == CLIP:
            return self._migrate(device)
        try:
            if not self._is_available():
                raise Failed("Ollama does not answer")
            loaded = self._finish(self._ollama_manager.load_model()) is not False
        except BaseException as e:
            self._put("load_failed", model=self._config.vlm_model, error=str(e))
            raise
        self._put("model_loaded" if loaded else "load_failed", model=self._config.vlm_model)
        return loaded

    def _unload_op(self, model: str) -> bool:
        before = self._reading[1]
        if self._finish(self._ollama_manager.unload_model()) is False:
            return False
        after = self._read()
        details: Dict[str, Any] = {"model": self._config.vlm_model}
        if before and after:
            details.update(vram_before_mb=before.used_mb, vram_after_mb=after.used_mb,
                           freed_mb=before.used_mb - after.used_mb)
        self._put("model_unloaded", **details)
        return True

    def _move_op(self, _: str, device: str) -> bool:
        return self._migrate(device)

    def _migrate(self, device: str) -> bool:
        if self._finish(self._clip_manager.migrate_to_device(device)) is False:
            return False
        self._put("device_changed", model=self._config.clip_model, device=device)
        return True

    def _sample_op(self, _: str) -> Optional[int]:
        at, info = self._reading
        if time.monotonic() - at > READING_FRESH_S:
            info = self._read()
        return info.used_mb * MIB if info else None

    def _read(self) -> Optional[VRAMInfo]:
        try:
            info = self._monitor.get_vram_info()
        except Exception as e:
            log.warning("the GPU cannot be read: %r", e)
            info = None
        self._reading = (time.monotonic(), info)
        if info and (self._told_mb is None or abs(info.used_mb - self._told_mb) >= VRAM_CHANGED_MB):
            if self._told_mb is not None:
                self._put("vram_changed", before_mb=self._told_mb, used_mb=info.used_mb,
                          free_mb=info.free_mb, total_mb=info.total_mb)
            self._told_mb = info.used_mb
        return info

    def _is_available(self) -> bool:
        asked = getattr(self._ollama_manager, "is_available", None)
        answer = asked() if asked else True
        there = (self._finish(answer) if asyncio.iscoroutine(answer) else answer) is not False
        self._away_since = None if there else time.monotonic()
        return there

    # -- events

    def on_resource_changed(self, callback: Callable[[ResourceChangedEvent], Any]) -> None:
        """callback(event), in the event loop that asked for something last, while it runs."""
        self._on_resource.append(callback)

    def on_mode_changed(self, callback: Callable[[ExecutionMode, ExecutionMode], Any]) -> None:
        """callback(before, now)."""
        self._on_mode.append(callback)

    def on_idle_unload(self, callback: Callable[[ResourceChangedEvent], Any]) -> None:
        """callback(event), when the VLM was unloaded for idleness."""
        self._on_idle.append(callback)

    def _put(self, event_type: str, **details: Any) -> None:
        event = ResourceChangedEvent(datetime.now(), event_type, details)
        self._events.append((self._on_resource, (event,)))

    def _put_idle(self) -> None:
        event = ResourceChangedEvent(datetime.now(), "idle_unload",
                                     {"model": self._config.vlm_model})
        self._events.append((self._on_idle, (event,)))

    def _broker_event(self, e: BrokerEvent) -> None:
        if e.type == "idle_unload" and e.model == VLM:
            self._put_idle()
        loop = self._loop
        if loop is not None and loop.is_running():
            try:
                loop.call_soon_threadsafe(self._tell)
                return
            except RuntimeError:
                pass  # it has ended just now
        self._tell()

    def _tell(self) -> None:
        """What happened, in order; each of it once, whoever comes first."""
        while True:
            try:
                callbacks, arguments = self._events.popleft()
            except IndexError:
                return
            for callback in list(callbacks):
                try:
                    callback(*arguments)
                except Exception:
                    log.exception("a callback failed")

    # -- orders

    async def _order(self, what: str, order: Callable[[Broker], Awaitable[Any]]) -> bool:
        self._loop = asyncio.get_running_loop()
        try:
            broker = self._started()
            broker.use_running_loop()
            await order(broker)
        except (Error, OSError) as e:
            log.warning("%s: %s; %s", what, e, self._words())
            return False
        finally:
            self._tell()
        return True

    def _words(self) -> str:
        info = self._reading[1]
        return f"{info.free_mb} of {info.total_mb} MB of {info.gpu_name} are free" if info else "no GPU"

    async def _well(self, broker: Broker) -> None:
        """One that could not be unloaded is looked for."""
        if broker.model(VLM).state == "stuck":
            loaded = self._ollama_manager.is_model_loaded()
            if asyncio.iscoroutine(loaded):
                loaded = await loaded
            self._say(VLM, CUDA if loaded else None)

    async def ensure_vlm_loaded(self) -> bool:
        """Returns once it is loaded: True; False: it cannot be, and the log says why."""
        self._last_vlm_request = datetime.now()

        async def order(broker: Broker) -> None:
            await self._well(broker)
            if broker.model(VLM).state != "loaded":
                await self._look()
                if not await asyncio.get_running_loop().run_in_executor(None, self._is_available):
                    raise Failed("Ollama does not answer")
                if broker.model(VLM).state == "error":
                    await broker.load_async(VLM)  # an order ends the pause after failures
            self._use(await broker.enter_async(VLM))

        return await self._order("the VLM is not loaded", order)

    def _use(self, held: Held) -> None:
        """Nobody says when he has done with the VLM. While no mode wants it gone, its ttl counts from
        now; in autopilot it is in use until the same time is over."""
        if self._mode != ExecutionMode.AUTOPILOT:
            held.leave()
            return
        self._end_use()
        timeout_s = self._config.idle_timeout_seconds
        timer = threading.Timer(timeout_s, self._idle, (held,)) if timeout_s else None
        self._in_use = (held, timer)
        if timer:
            timer.daemon = True
            timer.start()

    def _end_use(self) -> None:
        in_use, self._in_use = self._in_use, None
        if in_use:
            held, timer = in_use
            if timer:
                timer.cancel()
            held.leave()

    def _idle(self, held: Held) -> None:
        """On the timer's thread."""
        in_use = self._in_use
        if in_use and in_use[0] is held:
            self._put_idle()
            self._end_use()

    async def ensure_vlm_unloaded(self) -> bool:
        """Returns once it is gone: True; False: it cannot be, and the log says why."""
        async def order(broker: Broker) -> None:
            self._end_use()
            await self._well(broker)
            if broker.model(VLM).state != "unloaded":
                await self._look()
                await broker.unload_async(VLM)

        return await self._order("the VLM is not unloaded", order)

    async def _look(self) -> None:
        """A reading from before, unless there is one."""
        if time.monotonic() - self._reading[0] > READING_FRESH_S:
            await asyncio.get_running_loop().run_in_executor(None, self._read)

    def is_vlm_loaded(self) -> bool:
        """Whether it can be used now."""
        return self._vlm_state == ModelState.LOADED

    def get_vlm_state(self) -> ModelState:
        """Of the VLM."""
        return self._vlm_state

    def get_clip_device(self) -> str:
        """cpu or cuda."""
        return self._clip_device

    async def migrate_clip_to_gpu(self) -> bool:
        """False: there is no GPU, or not enough of it is free; the VLM does not leave for it."""
        async def order(broker: Broker) -> None:
            if not self._has_gpu:
                raise NotFound("there is no GPU")
            await self._look()
            await asyncio.get_running_loop().run_in_executor(None, broker.sample)
            if broker.model(CLIP).device != CUDA and broker.device(CUDA).free < self._clip_needs():
                raise NoRoom("too little is free: unload the VLM first")
            await broker.move_async(CLIP, CUDA)

        return await self._order("CLIP stays on the cpu", order)

    def _clip_needs(self) -> int:
        c = self._config
        return max(c.clip_vram_mb, c.vram_threshold_for_clip_gpu_mb) * MIB

    async def migrate_clip_to_cpu(self) -> bool:
        """False: it could not be moved."""
        return await self._order("CLIP stays on the GPU", lambda b: b.move_async(CLIP, CPU))

    def set_execution_mode(self, mode: ExecutionMode) -> "Awaitable[bool]":
        """Begins at once; awaited, it returns when all that the mode wants is so: True; False: not all
        of it can be had, and the log says why. Without an event loop it blocks."""
        wanted = ExecutionMode(mode)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return _Done(asyncio.run(self._set_mode(wanted)))
        return loop.create_task(self._set_mode(wanted))

    async def _set_mode(self, mode: ExecutionMode) -> bool:
        before, self._mode = self._mode, mode
        self._end_use()
        if before != mode:
            self._events.append((self._on_mode, (before, mode)))
        name = None if mode == ExecutionMode.IDLE else mode.value

        async def order(broker: Broker) -> None:
            await self._well(broker)
            await self._look()
            await broker.set_mode_async(name)

        return await self._order(f"mode {mode.value}", order)

    def get_execution_mode(self) -> ExecutionMode:
        """The one that was set last."""
        return self._mode

    # -- how it stands

    def get_vram_usage(self) -> Optional[VRAMInfo]:
        """A new reading; None without a GPU."""
        return self._read()

    def _degraded(self, vram: Optional[VRAMInfo]) -> Optional[str]:
        reasons = [] if vram else ["no GPU: models stay on the cpu"]
        if self._away_since is not None and time.monotonic() - self._away_since > RETRY_S:
            self._is_available()
        if self._away_since is not None:
            reasons.append("Ollama does not answer")
        return "; ".join(reasons) or None

    def get_status(self) -> GPUResourceStatus:
        """All of it at once."""
        vram = self._read()
        reason = self._degraded(vram)
        return GPUResourceStatus(
            self._mode, self._vlm_state, self._config.vlm_model, self._clip_device, vram,
            self._config.idle_timeout_seconds, self._last_vlm_request, reason is not None, reason)


class _Done:
    """An awaitable of what is known already."""

    def __init__(self, result: bool) -> None:
        self._result = result

    def __await__(self) -> Any:
        return self._result
        yield  # a generator, as `await` wants it
