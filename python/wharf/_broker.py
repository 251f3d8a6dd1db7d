"""wharf's decisions inside this process: models that come, go and move between devices, modes, and
memory lent to jobs, by the daemon's own code."""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import errno
import inspect
import logging
import threading
import weakref
from ctypes import POINTER, byref, c_char_p, c_void_p
from functools import partial
from typing import (Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple)

from . import _lib, _waits
from ._errors import Closed, NotFound, Timeout, error_of
from ._units import BACKGROUND, NORMAL, Seconds, Size, nanoseconds, seconds, size
from ._waits import Cancel

log = logging.getLogger("wharf")


class Device(NamedTuple):
    """A GPU. limit: no more than this share of it is given out."""

    name: str
    total: Size
    reserve: Size = 0
    limit: float = 1.0


class Place(NamedTuple):
    """Where a model may sit: a device or "cpu". bytes: what it takes there; 0: not known, so that it
    has the device to itself. free_min: it is moved there only where so much is free."""

    device: str
    bytes: Size = 0
    free_min: Size = 0


class Model(NamedTuple):
    """A model, the place that is liked best first. yields: it goes to the cpu before anything else is
    loaded onto its device. slots: how many are served at once."""

    name: str
    places: Sequence[Place]
    movable: bool = False
    yields: bool = False
    pinned: bool = False
    slots: int = 1
    retries: int = 0
    ttl: Optional[Seconds] = None
    load_timeout: Seconds = 30
    unload_timeout: Seconds = 5


class BrokerEvent(NamedTuple):
    """What happens, by the names of the daemon's events."""

    type: str
    model: Optional[str]
    device: Optional[str]
    why: str
    bytes: int
    duration_s: float


class ModelView(NamedTuple):
    """How a model stands. device: "cpu" too; None: it is not loaded."""

    state: str
    why: str
    device: Optional[str]
    running: int
    waiting: int
    bytes: int
    idle_s: Optional[float]


class DeviceView(NamedTuple):
    """How full a device is, in bytes; free: what could be given out now."""

    total: int
    used: int
    own: int
    leased: int
    foreign: int
    settling: int
    free: int


class Held:
    """What a lease or an entry was given; `leave` gives it back."""

    def __init__(self, broker: "Broker", id: int, device: Optional[str]) -> None:
        self._broker, self._id, self.device = broker, id, device

    def leave(self) -> None:
        """A second time, nothing."""
        self._broker._leave(self._id)

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()


class _Order:
    """An order in C's words, with what its pointers point to."""

    def __init__(self, kind: int, *, model: Optional[str] = None, mode: Optional[str] = None,
                 wharf_class: int = 0, device: Optional[str] = None, bytes: int = 0,
                 gates: Sequence[str] = (), timeout: Optional[Seconds] = None) -> None:
        self._gates = (c_char_p * len(gates))(*(g.encode() for g in gates))
        self.order = _lib.Order(kind, _text(model), _text(mode), wharf_class, _text(device), bytes,
                                self._gates, len(gates), nanoseconds(timeout))
        self.answer = _lib.Answer()


def _text(value: Optional[str]) -> Optional[bytes]:
    return None if value is None else value.encode()


def _said(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else value.decode()


class Broker:
    """Models, modes, gates and devices of this program.

    modes: {"recording": {"vlm": "loaded", "clip": "cpu"}}; a wish is "loaded", "unloaded" or one of
    the model's places. gates: {"jobs": 3}. load(model, device), unload(model), move(model, device)
    do it, on threads of the broker, or as coroutine functions in the event loop that was last seen
    to order something; they raise, or return False, where it did not work (MemoryError: out of
    device memory). sample(device) returns the bytes in use there by whomever, or None. event(e) is
    told what happens, in order.

    Each order blocks until it is done; the one whose name ends in _async is awaited instead.
    `close` it at the end, or use `with`."""

    def __init__(self, *, devices: Sequence[Device] = (), models: Sequence[Model] = (),
                 modes: Optional[Mapping[str, Mapping[str, str]]] = None,
                 gates: Optional[Mapping[str, int]] = None,
                 load: Optional[Callable[[str, str], Any]] = None,
                 unload: Optional[Callable[[str], Any]] = None,
                 move: Optional[Callable[[str, str], Any]] = None,
                 sample: Optional[Callable[[str], Optional[int]]] = None,
                 event: Optional[Callable[[BrokerEvent], None]] = None) -> None:
        self._do_load, self._do_unload, self._do_move = load, unload, move
        self._do_sample, self._do_event = sample, event
        self._loop: Optional["weakref.ref[asyncio.AbstractEventLoop]"] = None
        self._calls, self._closed = 0, False
        self._changed = threading.Condition()
        self._cancel = Cancel()
        options, self._kept = self._setup(devices, models, modes or {}, gates or {})
        self._broker = _lib.broker_new(byref(options))
        if not self._broker:
            raise error_of(-ctypes.get_errno(), "a name twice or unknown, a number out of bounds, "
                                                "or models without load and unload")
        _open.add(self)

    # -- setup

    def _setup(self, devices: Sequence[Device], models: Sequence[Model],
               modes: Mapping[str, Mapping[str, str]],
               gates: Mapping[str, int]) -> Tuple[Any, List[Any]]:
        c_devices = [_lib.DeviceSetup(d.name.encode(), size(d.total), size(d.reserve),
                                      round(d.limit * 1000) if d.limit < 1 else 0) for d in devices]
        c_models, places = [], []
        for m in models:
            p = _array(_lib.PlacementSetup, [_lib.PlacementSetup(
                x.device.encode(), size(x.bytes), size(x.free_min)) for x in m.places])
            places.append(p)
            c_models.append(_lib.ModelSetup(
                m.name.encode(), p, len(m.places), m.movable, m.yields, m.pinned, m.slots, m.retries,
                max(1, nanoseconds(m.ttl)) if m.ttl is not None else 0, nanoseconds(m.load_timeout),
                nanoseconds(m.unload_timeout)))
        c_modes, wishes = [], []
        for name, wanted in modes.items():
            w = _array(_lib.WishSetup, [_lib.WishSetup(
                model.encode(), wish == "unloaded",
                None if wish in ("loaded", "unloaded") else wish.encode())
                for model, wish in wanted.items()])
            wishes.append(w)
            c_modes.append(_lib.ModeSetup(name.encode(), w, len(wanted)))
        c_gates = [_lib.GateSetup(name.encode(), limit) for name, limit in gates.items()]
        arrays = [_array(t, items) for t, items in ((_lib.DeviceSetup, c_devices),
                                                    (_lib.ModelSetup, c_models),
                                                    (_lib.ModeSetup, c_modes),
                                                    (_lib.GateSetup, c_gates))]
        flat = [x for a, n in zip(arrays, (c_devices, c_models, c_modes, c_gates))
                for x in (a, len(n))]
        ops = self._ops()
        return _lib.BrokerOptions(*flat, ops, None), [ops, arrays, places, wishes]

    def _ops(self) -> Any:
        me = weakref.ref(self)  # the library's threads do not keep it alive

        def with_self(work: Callable[..., int]) -> Callable[..., int]:
            def call(_: Any, *arguments: Any) -> int:
                broker = me()
                return work(broker, *arguments) if broker else -errno.EIO
            return call

        def place(work: Optional[Callable[..., Any]]) -> Any:
            return _lib.LoadOp(with_self(lambda b, model, device: b._carry_out(
                work, model.decode(), device.decode()))) if work else _lib.LoadOp()

        def leave(work: Optional[Callable[..., Any]]) -> Any:
            return _lib.UnloadOp(with_self(lambda b, model: b._carry_out(
                work, model.decode()))) if work else _lib.UnloadOp()

        sample = _lib.SampleOp(with_self(Broker._sample_op)) if self._do_sample else _lib.SampleOp()
        event = _lib.EventOp(with_self(Broker._event_op)) if self._do_event else _lib.EventOp()
        return _lib.BrokerOps(place(self._do_load), leave(self._do_unload), place(self._do_move), sample, event)

    # -- what the library calls, on its threads

    def _carry_out(self, work: Callable[..., Any], *arguments: str) -> int:
        try:
            result = self.finish(work(*arguments))
            return -errno.EIO if result is False else 0
        except MemoryError:
            return -errno.ENOMEM
        except BaseException as e:  # nothing may leave it: the caller is C
            log.warning("%s%r failed: %r", getattr(work, "__name__", "op"), arguments, e)
            return -errno.EIO

    def finish(self, result: Any) -> Any:
        """What an awaitable comes to: run in the loop that last ordered something, while that runs."""
        if not inspect.isawaitable(result):
            return result

        async def run() -> Any:
            return await result

        loop = self._loop() if self._loop else None
        if loop is None or not loop.is_running():
            return asyncio.run(run())
        future = asyncio.run_coroutine_threadsafe(run(), loop)
        over = threading.Event()
        future.add_done_callback(lambda _: over.set())
        while not over.wait(0.2):
            if not loop.is_running():  # it ended under it, and answers no more
                future.cancel()
                raise Closed("the event loop has ended")
        return future.result()

    def _sample_op(self, device: bytes, ret_used: Any) -> int:
        try:
            used = self._do_sample(device.decode()) if self._do_sample else None
        except Exception as e:
            log.warning("sample of %s failed: %r", device.decode(), e)
            used = None
        if used is None:
            return -errno.EIO
        ret_used[0] = max(0, int(used))
        return 0

    def _event_op(self, e: Any) -> int:
        told = e[0]
        event = BrokerEvent(told.type.decode(), _said(told.model), _said(told.device),
                            _said(told.why) or "", told.bytes, told.duration_ns / 1e9)
        try:
            if self._do_event:
                self._do_event(event)
        except Exception:
            log.exception("event %s", event)
        return 0

    # -- orders

    def _begin(self) -> None:
        with self._changed:
            if self._closed:
                raise Closed("the broker is closed")
            self._calls += 1

    def _end(self) -> None:
        with self._changed:
            self._calls -= 1
            self._changed.notify_all()

    def _do(self, o: _Order, cancel: Optional[Cancel]) -> "_lib.Answer":
        self._begin()
        try:
            rc = _waits.block(lambda c: _lib.broker_do(self._broker, byref(o.order), c,
                                                       byref(o.answer)),
                              cancel or self._cancel_of_call(), lambda: self._give_back(o))
        finally:
            self._end()
        return self._checked(o, rc)

    def _cancel_of_call(self) -> Cancel:
        # On the main thread Ctrl-C sets it, which must not end the calls of others.
        main = threading.current_thread() is threading.main_thread()
        return Cancel() if main else self._cancel

    async def _do_async(self, o: _Order) -> "_lib.Answer":
        self._begin()
        try:
            await self._await(o)
        finally:
            self._end()
        return self._checked(o, o.answer.rc)

    def use_running_loop(self) -> None:
        """Coroutines of load and the others run in it from now on, as they do after an order."""
        self._loop = weakref.ref(asyncio.get_running_loop())

    async def _await(self, o: _Order) -> None:
        hub, handle = _waits.hub(), c_void_p()
        loop = asyncio.get_running_loop()
        self.use_running_loop()
        number = hub.number()
        rc = _lib.broker_begin(self._broker, byref(o.order), byref(o.answer), hub.inbox, number,
                               byref(handle))
        if rc != 0:
            raise error_of(rc, _said(o.answer.why) or "")
        wait = _waits.Wait(loop.create_future(), partial(_lib.call_cancel, handle),
                           lambda: self._give_back(o), self)
        await hub.wait(number, wait, None, Timeout())

    def _give_back(self, o: _Order) -> None:
        if o.answer.rc == 0 and o.answer.id:
            self._leave(o.answer.id)

    @staticmethod
    def _checked(o: _Order, rc: int) -> "_lib.Answer":
        if rc != 0:
            raise error_of(rc, _said(o.answer.why) or "")
        return o.answer

    def load(self, model: str, timeout: Optional[Seconds] = None,
             cancel: Optional[Cancel] = None) -> None:
        """Until it is loaded."""
        self._do(_Order(_lib.LOAD, model=model, timeout=timeout), cancel)

    async def load_async(self, model: str, timeout: Optional[Seconds] = None) -> None:
        """Until it is loaded."""
        await self._do_async(_Order(_lib.LOAD, model=model, timeout=timeout))

    def unload(self, model: str, timeout: Optional[Seconds] = None,
               cancel: Optional[Cancel] = None) -> None:
        """Until it is gone; what it serves is finished first."""
        self._do(_Order(_lib.UNLOAD, model=model, timeout=timeout), cancel)

    async def unload_async(self, model: str, timeout: Optional[Seconds] = None) -> None:
        """Until it is gone; what it serves is finished first."""
        await self._do_async(_Order(_lib.UNLOAD, model=model, timeout=timeout))

    def move(self, model: str, device: str, timeout: Optional[Seconds] = None,
             cancel: Optional[Cancel] = None) -> None:
        """Until it sits there."""
        self._do(_Order(_lib.MOVE, model=model, device=device, timeout=timeout), cancel)

    async def move_async(self, model: str, device: str, timeout: Optional[Seconds] = None) -> None:
        """Until it sits there."""
        await self._do_async(_Order(_lib.MOVE, model=model, device=device, timeout=timeout))

    def set_mode(self, mode: Optional[str], timeout: Optional[Seconds] = None,
                 cancel: Optional[Cancel] = None) -> None:
        """Until each of its wishes is met, or cannot be, which raises Failed. None: no mode."""
        self._do(_Order(_lib.MODE, mode=mode, timeout=timeout), cancel)

    async def set_mode_async(self, mode: Optional[str], timeout: Optional[Seconds] = None) -> None:
        """Until each of its wishes is met, or cannot be, which raises Failed. None: no mode."""
        await self._do_async(_Order(_lib.MODE, mode=mode, timeout=timeout))

    def enter(self, model: str, wharf_class: int = NORMAL, timeout: Optional[Seconds] = None,
              cancel: Optional[Cancel] = None) -> Held:
        """Until it is loaded and has a slot: `with broker.enter("vlm"): ...`."""
        o = _Order(_lib.ENTER, model=model, wharf_class=wharf_class, timeout=timeout)
        return self._held(self._do(o, cancel))

    async def enter_async(self, model: str, wharf_class: int = NORMAL,
                          timeout: Optional[Seconds] = None) -> Held:
        """Until it is loaded and has a slot: `with await broker.enter_async("vlm"): ...`."""
        o = _Order(_lib.ENTER, model=model, wharf_class=wharf_class, timeout=timeout)
        return self._held(await self._do_async(o))

    def lease(self, bytes: Size = 0, *, device: Optional[str] = None, gates: Sequence[str] = (),
              wharf_class: int = BACKGROUND, timeout: Optional[Seconds] = None,
              cancel: Optional[Cancel] = None) -> Held:
        """Until all of it is free: bytes on a device, and a slot of each of the gates."""
        o = _Order(_lib.LEASE, wharf_class=wharf_class, device=device, bytes=size(bytes),
                   gates=gates, timeout=timeout)
        return self._held(self._do(o, cancel))

    async def lease_async(self, bytes: Size = 0, *, device: Optional[str] = None,
                          gates: Sequence[str] = (), wharf_class: int = BACKGROUND,
                          timeout: Optional[Seconds] = None) -> Held:
        """Until all of it is free: bytes on a device, and a slot of each of the gates."""
        o = _Order(_lib.LEASE, wharf_class=wharf_class, device=device, bytes=size(bytes),
                   gates=gates, timeout=timeout)
        return self._held(await self._do_async(o))

    def _held(self, answer: "_lib.Answer") -> Held:
        return Held(self, answer.id, _said(answer.device))

    def _leave(self, id: int) -> None:
        with self._changed:
            if self._closed:
                return
            self._calls += 1
        _lib.broker_leave(self._broker, id)
        self._end()

    def found(self, model: str, device: Optional[str]) -> None:
        """What this program has found out for itself: the model is loaded there already, or, with
        None, it has gone. Nothing is called for it."""
        self._begin()
        try:
            rc = _lib.broker_found(self._broker, model.encode(), _text(device))
        finally:
            self._end()
        if rc != 0:
            raise error_of(rc, f"{model} on {device}")

    # -- what there is to see

    def _view(self, function: Any, name: str, view: Any) -> Any:
        self._begin()
        try:
            if function(self._broker, name.encode(), byref(view)) != 0:
                raise NotFound(name)
        finally:
            self._end()
        return view

    def model(self, model: str) -> ModelView:
        """How it stands now."""
        v = self._view(_lib.broker_view_model, model, _lib.ModelView())
        idle_s = None if v.idle_ns == 2 ** 64 - 1 else v.idle_ns / 1e9
        return ModelView(v.state.decode(), _said(v.why) or "",
                         "cpu" if v.on_cpu else _said(v.device), v.running, v.waiting, v.bytes,
                         idle_s)

    def device(self, device: str) -> DeviceView:
        """How full it is now."""
        v = self._view(_lib.broker_view_device, device, _lib.DeviceView())
        return DeviceView(v.total_bytes, v.used_bytes, v.own_bytes, v.leased_bytes, v.foreign_bytes,
                          v.settling_bytes, v.free_bytes)

    @property
    def mode(self) -> Optional[str]:
        """None: none is set."""
        self._begin()
        try:
            return _said(_lib.broker_mode(self._broker))
        finally:
            self._end()

    def sample(self) -> None:
        """Has the devices sampled, and waits for that: what changed behind its back is known then."""
        self._begin()
        try:
            _lib.broker_refresh(self._broker, -1)
        finally:
            self._end()

    def close(self) -> None:
        """Whoever waits gets `Closed` or `Cancelled`; what is being loaded or moved is waited for,
        and models stay as they are. Never on the thread of an event loop that it loads in."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
        self._cancel.set()
        _waits.end_waits_for(self)
        with self._changed:
            self._changed.wait_for(lambda: self._calls == 0)
        _lib.broker_free(self._broker)
        _open.discard(self)

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _array(kind: Any, items: Sequence[Any]) -> Any:
    return (kind * len(items))(*items)


# Their threads call into Python, and have to end before it does.
_open: "set[Broker]" = set()


@atexit.register
def _close_all() -> None:
    for broker in list(_open):
        broker.close()

