"""A gate in this process: how many may be inside at once, and in which order others come in."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from ctypes import byref, c_void_p
from functools import partial
from typing import Any, NamedTuple, Optional

from . import _lib, _waits
from ._errors import Timeout, error_of
from ._units import BACKGROUND, Class, Seconds, nanoseconds, seconds
from ._waits import Cancel

_ETIMEDOUT, _EINPROGRESS = -110, -115


class GateStats(NamedTuple):
    """What a gate has seen; times are seconds, of those who waited and came in."""

    limit: int
    inside: int
    foreground_waiting: int
    normal_waiting: int
    background_waiting: int
    entered: int
    waited: int
    cancelled: int
    wait_s: float
    wait_s_max: float
    starved: int

    @property
    def waiting(self) -> int:
        """Of all classes."""
        return self.foreground_waiting + self.normal_waiting + self.background_waiting


class Hold:
    """One stay inside a gate, for `with` and for `async with`."""

    __slots__ = ("_gate", "_class", "_timeout")

    def __init__(self, gate: "Gate", wharf_class: int, timeout: Optional[Seconds]) -> None:
        self._gate, self._class, self._timeout = gate, wharf_class, timeout

    def __enter__(self) -> "Hold":
        self._gate.acquire(self._class, self._timeout)
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.release()

    async def __aenter__(self) -> "Hold":
        gate = self._gate
        if gate._try(gate._gate, self._class, 0, None) != 0:
            await gate._wait(self._class, self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gate.release()


class _Handle:
    """The library's gate, which lives until nobody waits any more: of a loop that is dropped with
    waits in it, Python may end the gate before them."""

    __slots__ = ("_gate", "_waits", "_dropped")

    def __init__(self, gate: int) -> None:
        self._gate, self._waits, self._dropped = gate, 0, False

    def begun(self) -> None:
        self._waits += 1

    def ended(self) -> None:
        self._waits -= 1
        if self._dropped and self._waits == 0:
            _lib.gate_free(self._gate)

    def cancel(self, wait: c_void_p) -> None:
        _lib.gate_cancel(wait)
        self.ended()

    def __del__(self) -> None:
        self._dropped = True
        # At the end of the process threads may still be in it, and its memory goes anyway.
        if self._waits == 0 and not sys.is_finalizing():
            _lib.gate_free(self._gate)


class Gate:
    """Foreground goes before normal, normal before background, and within a class whoever came
    first; nobody inside is put out. The rules are those of the daemon's gates, by the same code.

        gate = wharf.Gate(1)
        async with gate.hold(wharf.FOREGROUND): ...
        with gate: ...                        # as background, from any thread

    Threads and event loops may share a gate. While nobody waits, to come in is one atomic operation
    and allocates nothing. `max_wait` gives classes a bound: whoever has waited for longer goes
    before all who have not."""

    def __init__(self, limit: int = 1, *, max_wait: Optional["dict[Class, Seconds]"] = None) -> None:
        bounds = {Class(c): nanoseconds(s) for c, s in (max_wait or {}).items()}
        options = _lib.GateOptions(limit, *(bounds.get(c, 0) for c in Class)) \
            if 0 <= limit <= 0xffffffff else _lib.GateOptions(0)
        self._gate = _lib.gate_new(byref(options))
        if not self._gate:
            raise error_of(-ctypes.get_errno(), f"a gate cannot have limit {limit}")
        self._try, self._leave = _lib.gate_try, _lib.gate_release
        self._handle = _Handle(self._gate)

    def hold(self, wharf_class: int = BACKGROUND, timeout: Optional[Seconds] = None) -> Hold:
        """For `with` or `async with`: inside for as long as the block lasts."""
        return Hold(self, wharf_class, timeout)

    def acquire(self, wharf_class: int = BACKGROUND, timeout: Optional[Seconds] = None,
                cancel: Optional[Cancel] = None) -> None:
        """Comes in, waiting if it has to; never on the thread of an event loop.

        Raises `Timeout`, `Cancelled` or `Closed`."""
        rc = self._try(self._gate, wharf_class, 0, None)
        timeout_ns = nanoseconds(timeout)
        if rc == _ETIMEDOUT and timeout_ns != 0:
            rc = _waits.block(lambda c: _lib.gate_acquire(self._gate, wharf_class, timeout_ns, c),
                              cancel, self.release)
        if rc != 0:
            raise error_of(rc)

    async def acquire_async(self, wharf_class: int = BACKGROUND,
                            timeout: Optional[Seconds] = None) -> None:
        """The same in an event loop; to cancel the task is to leave the queue."""
        if self._try(self._gate, wharf_class, 0, None) != 0:
            await self._wait(wharf_class, timeout)

    def try_acquire(self, wharf_class: int = BACKGROUND) -> bool:
        """Comes in only if there is room at once, and nobody waits."""
        rc = self._try(self._gate, wharf_class, 0, None)
        if rc not in (0, _ETIMEDOUT):
            raise error_of(rc)
        return rc == 0

    def release(self) -> None:
        """One that is inside leaves, on any thread, and the next comes in."""
        if self._leave(self._gate) != 0:
            raise RuntimeError("nobody is inside the gate")

    async def _wait(self, wharf_class: int, timeout: Optional[Seconds]) -> None:
        hub, handle = _waits.hub(), c_void_p()
        number = hub.number()
        limit_s = None if timeout is None else seconds(timeout)
        rc = _lib.gate_begin(self._gate, wharf_class, hub.inbox, number, byref(handle))
        if rc == 0:
            return
        if rc != _EINPROGRESS:
            raise error_of(rc)
        self._handle.begun()
        cancel = partial(self._handle.cancel, handle)
        if limit_s == 0:
            cancel()
            raise Timeout("there is no room, or others wait")
        future = asyncio.get_running_loop().create_future()
        wait = _waits.Wait(future, cancel, self.release, self, self._handle.ended)
        await hub.wait(number, wait, limit_s, Timeout("the time was over first"))

    def close(self) -> None:
        """Whoever waits, or comes later, gets `Closed`; who is inside leaves as ever."""
        _lib.gate_close(self._gate)
        _waits.end_waits_for(self)

    @property
    def stats(self) -> GateStats:
        """What it has seen so far, and who is there now."""
        s = _lib.GateStats()
        _lib.gate_stats(self._gate, byref(s))
        fields: "dict[str, Any]" = {name: getattr(s, name) for name, _ in s._fields_}
        fields["wait_s"] = fields.pop("wait_ns") / 1e9
        fields["wait_s_max"] = fields.pop("wait_ns_max") / 1e9
        return GateStats(**fields)

    def __enter__(self) -> "Gate":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    async def __aenter__(self) -> "Gate":
        if self._try(self._gate, BACKGROUND, 0, None) != 0:
            await self._wait(BACKGROUND, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()
