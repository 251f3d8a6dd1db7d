"""A gate of limit 1 in front of an engine that serves one request at a time:

    async with acquire_mlx_gate(Priority.FOREGROUND): ...

Foreground goes first, first come first served within a priority; nobody inside is interrupted, and a
waiter that was cancelled is skipped."""

from __future__ import annotations

import enum
import logging
import time
from typing import Optional

from .._gate import Gate

log = logging.getLogger(__name__)

STARVING_S = 300.0


class Priority(enum.IntEnum):
    """Lower goes first."""

    FOREGROUND = 0
    BACKGROUND = 100


DEFAULT_PRIORITY = Priority.BACKGROUND  # who says nothing does not stand in the way of who does

_gate: Optional[Gate] = None


def _reset_for_test() -> None:
    """A gate that nobody is in, whatever became of those who were in the last one."""
    global _gate
    _gate = None


def _the_gate() -> Gate:
    global _gate
    if _gate is None:
        _gate = Gate(1)
    return _gate


class _Stay:
    """One time inside. It leaves the gate that it came into, even if there is another one by then."""

    __slots__ = ("_priority", "_gate")

    def __init__(self, priority: int) -> None:
        self._priority, self._gate = priority, _the_gate()

    async def __aenter__(self) -> None:
        if self._gate.try_acquire(self._priority):
            return
        began = time.monotonic()
        await self._gate.acquire_async(self._priority)
        waited_s = time.monotonic() - began
        if waited_s > STARVING_S and self._priority == Priority.BACKGROUND:
            log.warning("a background request has waited %.0f s for the gate", waited_s)

    async def __aexit__(self, *_: object) -> None:
        self._gate.release()


def acquire_mlx_gate(priority: Priority = DEFAULT_PRIORITY) -> _Stay:
    """For `async with`: the engine is this block's alone."""
    return _Stay(Priority(priority))


def get_mlx_gate() -> _Stay:
    """As acquire_mlx_gate() without a priority, for callers from before there was one."""
    return _Stay(DEFAULT_PRIORITY)
