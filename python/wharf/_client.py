"""The daemon's API: `Client` blocks, `AsyncClient` is awaited; both have the same calls."""

from __future__ import annotations

import os
import urllib.parse
from typing import Any, Dict, List, Optional

from . import _http, _lease
from ._events import AsyncEventStream, EventStream
from ._http import Request
from ._lease import Lease
from ._units import BACKGROUND, Class, Seconds, Size, seconds, size

Json = Dict[str, Any]


def _of_model(model: str, what: str = "") -> str:
    return "/wharf/models/" + urllib.parse.quote(model, safe="") + what


def _operate(model: str, what: str, body: Any, wait: bool, timeout: Optional[Seconds]) -> Request:
    return Request("POST", _of_model(model, what) + ("" if wait else "?wait=0"), body,
                   timeout=None if timeout is None else seconds(timeout))


def _unload(model: str, force: bool, timeout: Optional[Seconds]) -> Request:
    return _operate(model, "/unload" + ("?force=1" if force else ""), None, True, timeout)


def _set_mode(mode: str, wait: bool, timeout: Optional[Seconds]) -> Request:
    query = "?wait=1" if wait else ""
    if wait and timeout is not None:
        query += f"&timeout={seconds(timeout):g}"
    return Request("PUT", "/wharf/mode" + query, {"mode": mode})


def _plan(model: Optional[str], vram: Optional[Size], gpus: int, wharf_class: Optional[int]) -> Request:
    if (model is None) == (vram is None):
        raise ValueError("a plan is of a model or of a lease (vram=)")
    body: Json = {"model": model} if model is not None else \
        {"lease": {"vram": size(vram or 0), "gpus": gpus}}
    if wharf_class is not None:
        body["class"] = Class(wharf_class).word
    return Request("POST", "/wharf/plan", body)


class _Base:
    """Where the daemon is, and what belongs to both forms alike."""

    def __init__(self, url: Optional[str] = None, key: Optional[str] = None) -> None:
        """url: "http://HOST:PORT" or "unix:/PATH"; else as the command line finds it: $WHARF_URL,
        /run/wharf/wharf.sock, $XDG_RUNTIME_DIR/wharf/wharf.sock, http://127.0.0.1:8080. key: the API
        key; else $WHARF_KEY."""
        self.address = _http.parse(url) if url else _http.default_address()
        self.key = key or os.environ.get("WHARF_KEY")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    def lease(self, vram: Optional[Size] = None, **terms: Any) -> Lease:
        """Memory and gate slots of this daemon; see `wharf.lease`."""
        return _lease.make(self.address, self.key, vram, **terms)

    def gate(self, name: str, /, wharf_class: int = BACKGROUND,
             timeout: Optional[Seconds] = None, **terms: Any) -> Lease:
        """A slot of one of this daemon's gates; see `wharf.gate`."""
        return self.lease(gates=[name], wharf_class=wharf_class, timeout=timeout, **terms)


class Client(_Base):
    """Talks to a daemon, blocking. Calls raise DaemonError where it refuses, Unreachable where none
    answers. It keeps no connection, and any threads may share it."""

    def call(self, method: str, path: str, body: Any = None,
             timeout: Optional[Seconds] = None) -> Any:
        """Any call of docs/http.md, for what has no method here."""
        limit_s = None if timeout is None else seconds(timeout)
        return self._ask(Request(method, path, body, timeout=limit_s))

    def _ask(self, request: Request) -> Any:
        return _http.ask(self.address, request, self.key)

    def status(self) -> Json:
        """All that is known, at once."""
        return self._ask(Request("GET", "/wharf/status"))

    def models(self) -> List[Json]:
        """Each model with its state and place."""
        return self._ask(Request("GET", "/wharf/models"))["models"]

    def model(self, model: str) -> Json:
        """One of them."""
        return self._ask(Request("GET", _of_model(model)))

    def devices(self) -> List[Json]:
        """Each device with its bytes."""
        return self._ask(Request("GET", "/wharf/devices"))["devices"]

    def queue(self) -> Json:
        """Who waits for what."""
        return self._ask(Request("GET", "/wharf/queue"))

    def decisions(self, model: Optional[str] = None) -> List[Json]:
        """Why models came, left and were refused."""
        query = "?" + urllib.parse.urlencode({"model": model}) if model else ""
        return self._ask(Request("GET", "/wharf/decisions" + query))["decisions"]

    def plan(self, model: Optional[str] = None, *, vram: Optional[Size] = None, gpus: int = 1,
             wharf_class: Optional[int] = None) -> Json:
        """What would happen if a model, or memory for a job, were wanted now."""
        return self._ask(_plan(model, vram, gpus, wharf_class))

    def ensure_loaded(self, model: str, timeout: Optional[Seconds] = None) -> Json:
        """Returns once it is loaded, with what is known of it then."""
        return self._ask(_operate(model, "/load", None, True, timeout))

    def ensure_unloaded(self, model: str, timeout: Optional[Seconds] = None, *,
                        force: bool = False) -> Json:
        """Returns once it is gone; what it serves is finished first, but for force."""
        return self._ask(_unload(model, force, timeout))

    def move(self, model: str, device: str, timeout: Optional[Seconds] = None) -> Json:
        """Returns once it sits there: "cuda", "cpu", a GPU's name."""
        return self._ask(_operate(model, "/move", {"device": device}, True, timeout))

    def suspend(self, model: str, timeout: Optional[Seconds] = None) -> Json:
        """Returns once it sleeps."""
        return self._ask(_operate(model, "/suspend", None, True, timeout))

    def resume(self, model: str, timeout: Optional[Seconds] = None) -> Json:
        """Returns once it is awake."""
        return self._ask(_operate(model, "/resume", None, True, timeout))

    def pin(self, model: str, pinned: bool = True) -> Json:
        """It is not made to leave for others, or may be again."""
        return self._ask(_operate(model, "/pin" if pinned else "/unpin", None, True, None))

    def mode(self) -> Json:
        """The mode, whether it is reached, and those that there are."""
        return self._ask(Request("GET", "/wharf/mode"))

    def set_mode(self, mode: str, wait: bool = True, timeout: Optional[Seconds] = None) -> Json:
        """Sets it; wait: returns once every model is as it wants. Raises DaemonError with the code
        `mode_not_reached` when one cannot be, and the others go on."""
        return self._ask(_set_mode(mode, wait, timeout))

    def leases(self) -> List[Json]:
        """Those that wait or are granted."""
        return self._ask(Request("GET", "/wharf/leases"))["leases"]

    def events(self, since: Optional[int] = None, *, reconnect: bool = True) -> EventStream:
        """What happens from now on, or behind the event with the id `since`, as an endless iterator.
        After a break it goes on behind the last event that came; `reconnect=False` raises
        Unreachable instead. An event of type `gap` says that some are not kept any more."""
        return EventStream(self.address, self.key, since, reconnect)


class AsyncClient(_Base):
    """`Client` for event loops: its calls are awaited, and nothing blocks."""

    async def call(self, method: str, path: str, body: Any = None,
                   timeout: Optional[Seconds] = None) -> Any:
        """Any call of docs/http.md, for what has no method here."""
        limit_s = None if timeout is None else seconds(timeout)
        return await self._ask(Request(method, path, body, timeout=limit_s))

    async def _ask(self, request: Request) -> Any:
        return await _http.ask_async(self.address, request, self.key)

    async def status(self) -> Json:
        """All that is known, at once."""
        return await self._ask(Request("GET", "/wharf/status"))

    async def models(self) -> List[Json]:
        """Each model with its state and place."""
        return (await self._ask(Request("GET", "/wharf/models")))["models"]

    async def model(self, model: str) -> Json:
        """One of them."""
        return await self._ask(Request("GET", _of_model(model)))

    async def devices(self) -> List[Json]:
        """Each device with its bytes."""
        return (await self._ask(Request("GET", "/wharf/devices")))["devices"]

    async def queue(self) -> Json:
        """Who waits for what."""
        return await self._ask(Request("GET", "/wharf/queue"))

    async def decisions(self, model: Optional[str] = None) -> List[Json]:
        """Why models came, left and were refused."""
        query = "?" + urllib.parse.urlencode({"model": model}) if model else ""
        return (await self._ask(Request("GET", "/wharf/decisions" + query)))["decisions"]

    async def plan(self, model: Optional[str] = None, *, vram: Optional[Size] = None, gpus: int = 1,
                   wharf_class: Optional[int] = None) -> Json:
        """What would happen if a model, or memory for a job, were wanted now."""
        return await self._ask(_plan(model, vram, gpus, wharf_class))

    async def ensure_loaded(self, model: str, timeout: Optional[Seconds] = None) -> Json:
        """Returns once it is loaded, with what is known of it then."""
        return await self._ask(_operate(model, "/load", None, True, timeout))

    async def ensure_unloaded(self, model: str, timeout: Optional[Seconds] = None, *,
                              force: bool = False) -> Json:
        """Returns once it is gone; what it serves is finished first, but for force."""
        return await self._ask(_unload(model, force, timeout))

    async def move(self, model: str, device: str, timeout: Optional[Seconds] = None) -> Json:
        """Returns once it sits there: "cuda", "cpu", a GPU's name."""
        return await self._ask(_operate(model, "/move", {"device": device}, True, timeout))

    async def suspend(self, model: str, timeout: Optional[Seconds] = None) -> Json:
        """Returns once it sleeps."""
        return await self._ask(_operate(model, "/suspend", None, True, timeout))

    async def resume(self, model: str, timeout: Optional[Seconds] = None) -> Json:
        """Returns once it is awake."""
        return await self._ask(_operate(model, "/resume", None, True, timeout))

    async def pin(self, model: str, pinned: bool = True) -> Json:
        """It is not made to leave for others, or may be again."""
        return await self._ask(_operate(model, "/pin" if pinned else "/unpin", None, True, None))

    async def mode(self) -> Json:
        """The mode, whether it is reached, and those that there are."""
        return await self._ask(Request("GET", "/wharf/mode"))

    async def set_mode(self, mode: str, wait: bool = True,
                       timeout: Optional[Seconds] = None) -> Json:
        """Sets it; wait: returns once every model is as it wants. Raises DaemonError with the code
        `mode_not_reached` when one cannot be, and the others go on."""
        return await self._ask(_set_mode(mode, wait, timeout))

    async def leases(self) -> List[Json]:
        """Those that wait or are granted."""
        return (await self._ask(Request("GET", "/wharf/leases")))["leases"]

    def events(self, since: Optional[int] = None, *, reconnect: bool = True) -> AsyncEventStream:
        """What happens, for `async for`; see Client.events. It begins with the first step, or with
        `async with`."""
        return AsyncEventStream(self.address, self.key, since, reconnect)
