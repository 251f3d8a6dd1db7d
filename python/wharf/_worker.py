"""A worker: this program holds a model, and the daemon says on which device (docs/worker.md)."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import threading
from typing import Any, Callable, Dict, Optional, Sequence, Union

from . import _http
from ._errors import DaemonError, Unreachable
from ._http import Answer, AsyncAnswer, Request, error_in
from ._units import Size, size

log = logging.getLogger("wharf")

SILENCE_S = 45.0  # a ping comes every 15 seconds
RETRY_S = 1.0
_FOR_GOOD = (400, 401, 404, 501)  # another try would be answered the same


class Worker:
    """Registers a movable model, and does what it is told until it is stopped.

        clip = Clip()
        with wharf.Worker("clip", to_device=clip.to): ...            # on threads of its own
        async with wharf.Worker("clip", to_device=clip.to): ...      # in the event loop

    to_device(device) takes the model to "cuda" or "cpu", loads it there first where it is not
    loaded, and with None gives all of it up; it raises where that does not work, and may be a
    coroutine function. check(), if given, is called after it: whether the model still computes on
    its new device what it did before; where it does not, the model is taken back. Without a check
    it is to_device that vouches for it.

    device: where it is at first; None: not loaded. devices: where it can be; None: all that the
    configuration names. proxy: where its requests go, "http://127.0.0.1:PORT" or "unix:/PATH".
    bytes: what it uses on each GPU, where the daemon cannot see that itself."""

    def __init__(self, model: str, to_device: Callable[[Optional[str]], Any], *,
                 check: Optional[Callable[[], Any]] = None, device: Optional[str] = "cpu",
                 devices: Optional[Sequence[str]] = None, proxy: Optional[str] = None,
                 bytes: Optional[Size] = None, url: Optional[str] = None,
                 key: Optional[str] = None) -> None:
        self.model, self.device, self.error = model, device, None  # type: str, Optional[str], Optional[Exception]
        self._to_device, self._check = to_device, check
        terms = {"devices": list(devices) if devices is not None else None, "proxy": proxy,
                 "bytes": None if bytes is None else size(bytes)}
        self._terms: Dict[str, Any] = {k: v for k, v in terms.items() if v is not None}
        self._address = _http.parse(url) if url else _http.default_address()
        self._key = key or os.environ.get("WHARF_KEY")
        self._token: Optional[str] = None
        self._answer: Union[Answer, AsyncAnswer, None] = None
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread: Optional[threading.Thread] = None
        self._task: Optional["asyncio.Task[None]"] = None

    @property
    def registered(self) -> bool:
        """The daemon knows of it just now."""
        return self._token is not None

    # -- what both forms say

    def _join(self) -> Request:
        body = {"model": self.model, "device": self.device, "pid": os.getpid(), **self._terms}
        return Request("POST", "/wharf/workers", body, timeout=SILENCE_S)

    def _reply(self, order: Dict[str, Any], error: Optional[str]) -> Request:
        body = {"id": order["id"], "ok": error is None, "checked": error is None,
                "device": self.device}
        if error is not None:
            body["error"] = error
        if "bytes" in self._terms and self.device not in (None, "cpu"):
            body["bytes"] = self._terms["bytes"]
        return Request("POST", f"/wharf/workers/{self._token}", body, timeout=SILENCE_S)

    def _set_token(self, token: Optional[str]) -> None:
        with self._changed:
            self._token = token
            self._changed.notify_all()

    def _refused(self, error: DaemonError) -> bool:
        """Whether for good."""
        log.warning("worker for %s is not registered: %s", self.model, error)
        self.error = error
        return error.status in _FOR_GOOD

    def _understand(self, line: bytes) -> Dict[str, Any]:
        said = json.loads(line) if line else {}
        if "worker" in said:
            self.error = None
            self._set_token(said["worker"])
            log.info("worker for %s registered", self.model)
        if said.get("do") == "bye":
            log.info("worker for %s: the daemon ends it: %s", self.model, said.get("why"))
        return said

    async def _carry_out(self, order: Dict[str, Any]) -> Optional[str]:
        """Does it; None, or why it could not be done. `device` is where the model is then."""
        before, wanted = self.device, order.get("device") if order["do"] != "unload" else None
        try:
            await self._take_to(wanted)
            if wanted is None or await self._right():
                return None
            await self._take_to(before)
            return "the model computes something else there"
        except Exception as e:
            log.exception("worker for %s: %s", self.model, order)
            return str(e) or type(e).__name__

    async def _take_to(self, device: Optional[str]) -> None:
        await self._call(self._to_device, device)
        self.device = device

    async def _right(self) -> bool:
        return self._check is None or bool(await self._call(self._check))

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Plain functions run on another thread, so that orders are heard meanwhile."""
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(None, lambda: function(*arguments))
        return await result if inspect.isawaitable(result) else result

    # -- for event loops; the plain form runs a loop on a thread of its own

    async def run_async(self) -> None:
        """Until `stop`, or until the daemon refuses it for good, which raises DaemonError."""
        while not self._stopping.is_set():
            try:
                await self._serve()
            except (Unreachable, ValueError) as e:
                log.info("worker for %s: %s", self.model, e)
                self.error = e
            except DaemonError as e:
                if self._refused(e):
                    raise
            finally:
                self._set_token(None)
            if not self._stopping.is_set():
                await asyncio.sleep(RETRY_S)  # the daemon may be starting, or has dropped it

    async def _serve(self) -> None:
        answer = self._answer = await AsyncAnswer.of(self._address, self._join(), self._key)
        orders: "asyncio.Queue[Dict[str, Any]]" = asyncio.Queue()
        worker = asyncio.get_running_loop().create_task(self._follow(orders))
        try:
            if answer.status != 200:
                raise error_in(answer.status, await answer.read(), None)
            async for line in answer.lines():
                said = self._understand(line)
                if said.get("do") == "where":
                    await self._say(self._reply(said, None))
                elif "id" in said:
                    orders.put_nowait(said)
        finally:
            worker.cancel()
            answer.stop()

    async def _follow(self, orders: "asyncio.Queue[Dict[str, Any]]") -> None:
        while True:
            order = await orders.get()
            error = await self._carry_out(order)
            await self._say(self._reply(order, error))

    async def _say(self, reply: Request) -> None:
        try:
            await _http.ask_async(self._address, reply, self._key)
        except (DaemonError, Unreachable) as e:
            log.info("worker for %s: %s", self.model, e)  # a later order has taken its place

    async def __aenter__(self) -> "Worker":
        self._stopping.clear()
        self._task = asyncio.get_running_loop().create_task(self.run_async())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- plain

    def run(self) -> None:
        """Until `stop` from another thread, or until the daemon refuses it for good."""
        asyncio.run(self._run_until_stopped())

    async def _run_until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self.run_async())
        if self._stopping.is_set():
            self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise

    def start(self) -> "Worker":
        """On a thread of its own."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run_quietly, daemon=True,
                                        name=f"wharf worker {self.model}")
        self._thread.start()
        return self

    def _run_quietly(self) -> None:
        try:
            self.run()
        except DaemonError:
            pass  # `error` has it, and it is logged
        finally:
            with self._changed:
                self._changed.notify_all()

    def wait_registered(self, timeout: Optional[float] = None) -> bool:
        """Until the daemon knows of it; False: not in time. Raises what it was refused with."""
        with self._changed:
            over = lambda: self._token or not (self._thread and self._thread.is_alive())  # noqa: E731
            self._changed.wait_for(lambda: bool(over()), timeout)
            if self._token:
                return True
        if isinstance(self.error, DaemonError) and self.error.status in _FOR_GOOD:
            raise self.error
        return False

    def stop(self) -> None:
        """The model stays as it is; the daemon counts it as unloaded."""
        self._stopping.set()
        loop, task = getattr(self, "_loop", None), self._task
        if loop and task and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                pass  # it has just ended by itself
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> "Worker":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
