"""How Python waits on libwharf: one inbox for each event loop, and blocking calls that Ctrl-C ends."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import weakref
from ctypes import byref, c_void_p
from typing import Any, Callable, Dict, List, Optional

from . import _lib
from ._errors import Closed


class Cancel:
    """Ends blocking calls from another thread: give it to any number of them, and `set()` it."""

    def __init__(self) -> None:
        self._cancel = _lib.cancel_new()
        if not self._cancel:
            raise MemoryError
        # At the end of the process brokers may still need it, and its memory goes anyway.
        weakref.finalize(self, _lib.cancel_free, self._cancel).atexit = False

    def set(self) -> None:
        """Every call that it was given to ends with `Cancelled` where it would wait, later ones too."""
        _lib.cancel_set(self._cancel)


class Wait:
    """One that an event loop has under way. `cancel` ends it in the library while the inbox has not
    told of it; `told` is called when it has."""

    __slots__ = ("future", "cancel", "told", "give_back", "owner")

    def __init__(self, future: "asyncio.Future[None]", cancel: Callable[[], None],
                 give_back: Callable[[], None], owner: Any,
                 told: Callable[[], None] = lambda: None) -> None:
        self.future, self.cancel, self.told = future, cancel, told
        self.give_back, self.owner = give_back, owner


class Hub:
    """The inbox of one event loop. Only that loop's thread uses it, but for `end_for`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self.inbox = _lib.inbox_new()
        if not self.inbox:
            raise OSError("no inbox: too many open files?")
        self._waits: Dict[int, Wait] = {}
        self._numbers = itertools.count(1)
        self._arg = c_void_p()
        # Whoever closes a loop without asking need not have it read any more.
        loop.add_reader(_lib.inbox_fd(self.inbox), Hub._read, weakref.ref(self))

    def __del__(self) -> None:
        if not getattr(self, "inbox", None) or sys.is_finalizing():
            return
        waits, self._waits = self._waits, {}  # their tasks, which end as well, find nothing to do
        for wait in waits.values():
            wait.cancel()
        _lib.inbox_free(self.inbox)

    def number(self) -> int:
        """What the next wait is begun with."""
        return next(self._numbers)

    async def wait(self, number: int, wait: Wait, timeout: Optional[float], late: Exception) -> None:
        """Until the inbox tells of it. Whatever ends it before, nothing is kept."""
        self._waits[number] = wait
        timer = None
        if timeout is not None:
            timer = wait.future.get_loop().call_later(timeout, self._expire, number, late)
        try:
            await wait.future
        except BaseException:
            if self._waits.pop(number, None):
                wait.cancel()
            elif _succeeded(wait.future):
                wait.give_back()  # granted and cancelled in one turn of the loop
            raise
        finally:
            if timer:
                timer.cancel()

    def _expire(self, number: int, late: Exception) -> None:
        wait = self._waits.pop(number, None)
        if not wait:
            return
        wait.cancel()
        if not wait.future.done():
            wait.future.set_exception(late)

    @staticmethod
    def _read(hub_ref: "weakref.ref[Hub]") -> None:
        hub = hub_ref()
        if hub:
            hub._take_all()

    def _take_all(self) -> None:
        while _lib.inbox_next(self.inbox, byref(self._arg)):
            wait = self._waits.pop(self._arg.value or 0)
            wait.told()
            if wait.future.done():
                wait.give_back()  # its task was cancelled; the next one need not wait for that
            else:
                wait.future.set_result(None)

    def end_for(self, owner: Any) -> "threading.Event":
        """Ends the waits of one that is being closed; set when that is done. From any thread."""
        done = threading.Event()
        loop = self._loop()
        if loop is None or not loop.is_running() or loop is _running_loop():
            self._end_for(owner, done)
        else:
            loop.call_soon_threadsafe(self._end_for, owner, done)
        return done

    def _end_for(self, owner: Any, done: "threading.Event") -> None:
        for number in [n for n, w in self._waits.items() if w.owner is owner]:
            self._expire(number, Closed("it was closed"))
        done.set()


def _succeeded(future: "asyncio.Future[None]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _running_loop() -> Optional[asyncio.AbstractEventLoop]:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_hubs: "weakref.WeakSet[Hub]" = weakref.WeakSet()
_hubs_lock = threading.Lock()


def hub() -> Hub:
    """That of the running loop, which keeps it: so both go together, whatever waits in it."""
    loop = asyncio.get_running_loop()
    found = getattr(loop, "_wharf_hub", None)
    if found is None:
        found = Hub(loop)
        setattr(loop, "_wharf_hub", found)
        with _hubs_lock:
            _hubs.add(found)
    return found


def end_waits_for(owner: Any) -> None:
    """In every loop; returns when there are none any more."""
    with _hubs_lock:
        hubs = list(_hubs)
    for done in [h.end_for(owner) for h in hubs]:
        done.wait()


def block(call: Callable[[Any], int], cancel: Optional[Cancel], give_back: Callable[[], None]) -> int:
    """call(cancel) on this thread; on the main thread, which Python's signals have to reach, on
    another one, so that Ctrl-C ends the wait."""
    if threading.current_thread() is not threading.main_thread():
        return call(cancel._cancel if cancel else None)
    own, done, results = cancel or Cancel(), threading.Event(), []  # type: Cancel, Any, List[int]

    def work() -> None:
        results.append(call(own._cancel))
        done.set()

    threading.Thread(target=work, daemon=True).start()
    try:
        # Not join(), which, interrupted, may take a running thread for one that has ended.
        done.wait()
    except BaseException:
        own.set()
        done.wait()
        if results == [0]:
            give_back()
        raise
    return results[0]
