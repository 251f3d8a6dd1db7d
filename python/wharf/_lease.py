"""Memory and gate slots that the daemon lends: held by a connection, or by a ttl that is renewed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Union

from ._errors import DaemonError, LeaseError, LeaseTimeout, Unreachable
from ._http import Address, Answer, AsyncAnswer, Request, ask, ask_async, error_in
from ._units import BACKGROUND, Class, Seconds, Size, seconds, size

log = logging.getLogger("wharf")

SILENCE_S = 45.0  # a ping comes every 15 seconds
GRACE_S = 30.0  # for so long a daemon that was started again keeps what it had granted
RETRY_S = 0.5


class Terms(NamedTuple):
    """What a lease asks for: the body of its request."""

    body: Dict[str, Any]
    ttl_s: Optional[float]


def terms(*, vram: Optional[Size], gpus: Optional[int], devices: Optional[Sequence[str]],
          gates: Sequence[str], wharf_class: int, timeout: Optional[Seconds], ttl: Optional[Seconds],
          run: Optional[Seconds], revocable: bool, grace: Optional[Seconds],
          name: Optional[str]) -> Terms:
    """Checked as far as the daemon need not be asked."""
    if vram is None and not gates:
        raise ValueError("a lease is of memory (vram=), of gates (gates=), or of both")
    optional = {
        "name": name,
        "vram": None if vram is None else size(vram),
        "gpus": gpus,
        "devices": list(devices) if devices else None,
        "gates": list(gates) or None,
        "wait": None if timeout is None else seconds(timeout),
        "ttl": None if ttl is None else seconds(ttl),
        "run": None if run is None else seconds(run),
        "revocable": revocable or None,
        "grace": None if grace is None else seconds(grace),
    }
    body = {k: v for k, v in optional.items() if v is not None}
    return Terms({**body, "class": Class(wharf_class).word, "pid": os.getpid()}, body.get("ttl"))


class Lease:
    """A lease, for `with` and for `async with`: held for as long as the block lasts.

        with wharf.lease(vram="6GiB") as l:
            subprocess.run(command, env={**os.environ, **l.environment})

    While it waits, `position`, `estimate_s` and `waits_for` say how it stands, and `on_wait(lease)`
    is called when that changes. When it has to be given back, `on_revoke(lease)` is called once, with
    `reason` and `grace_s`; `revoked` is true from then on, and `ended` once it is over, whoever
    ended it. Both are called on the lease's own thread, or in its event loop."""

    def __init__(self, address: Address, key: Optional[str], asked: Terms,
                 on_wait: Optional[Callable[["Lease"], Any]] = None,
                 on_revoke: Optional[Callable[["Lease"], Any]] = None) -> None:
        self._address, self._key, self._terms = address, key, asked
        self._on_wait, self._on_revoke = on_wait, on_revoke
        self._reset()

    def _reset(self) -> None:
        self.id: Optional[str] = None
        self._token = ""
        self.state = "new"  # waiting, granted, revoked, ended
        self.position: Optional[int] = None
        self.estimate_s: Optional[float] = None
        self.waits_for: Optional[str] = None
        self.devices: List[Dict[str, Any]] = []
        self.environment: Dict[str, str] = {}
        self.waited_s: Optional[float] = None
        self.reason: Optional[str] = None
        self.grace_s: Optional[float] = None
        self._answer: Union[Answer, AsyncAnswer, None] = None
        self._reader: Union[threading.Thread, "asyncio.Task[None]", None] = None
        self._left = threading.Event()

    # -- what there is to see

    @property
    def headers(self) -> Dict[str, str]:
        """For requests that run under this lease."""
        return {"X-Wharf-Lease": f"{self.id}:{self._token}"}

    @property
    def revoked(self) -> bool:
        """It has to be given back, or is lost."""
        return self.state in ("revoked", "ended")

    @property
    def ended(self) -> bool:
        """It is over: left, revoked and its grace spent, or the daemon gone for too long."""
        return self.state == "ended"

    def __repr__(self) -> str:
        return f"<Lease {self.id} {self.state}>"  # never its token

    # -- what the daemon says

    def _take(self, line: bytes) -> None:
        """One line of the held answer."""
        if not line:
            return
        said = json.loads(line)
        if "lease" in said:
            self.id, self._token = str(said["lease"]), said.get("token") or self._token
        state = said.get("state")
        if state == "waiting":
            self._set(said, "position", "estimate_s")
            self.state, self.waits_for = state, said.get("for")
            if self._on_wait:
                self._on_wait(self)
        elif state == "granted":
            self._granted(said)
        elif state == "revoked":
            self._set(said, "reason", "grace_s")
            self._revoke()
        elif state == "ended":
            self._set(said, "reason")
            self._end()
        elif state == "refused":
            self.state, error = "ended", said.get("error", {})
            code, message = str(error.get("code")), str(error.get("message"))
            kind = LeaseTimeout if code == "wait_expired" else LeaseError
            raise kind(error.get("status", 503), code, message)

    def _set(self, said: Dict[str, Any], *names: str) -> None:
        for name in names:
            setattr(self, name, said.get(name))

    def _granted(self, said: Dict[str, Any]) -> None:
        first = self.state != "granted" and not self.revoked
        self.devices = said.get("devices") or []
        self.environment = {k: str(v) for k, v in (said.get("environment") or {}).items()
                            if v is not None}
        if first:
            self.state = "granted"
            self._set(said, "waited_s")

    def _revoke(self) -> None:
        told, self.state = self.revoked, "revoked"
        if self._on_revoke and not told:
            try:
                self._on_revoke(self)
            except Exception:
                log.exception("on_revoke of lease %s", self.id)

    def _renewed(self, said: Any) -> None:
        """What a renewal answers: one that is asked back lasts for its grace, renewed or not."""
        if isinstance(said, dict) and said.get("state") == "revoked" and not self.revoked:
            self.reason, self.grace_s = said.get("reason"), said.get("expires_s")
            self._revoke()

    def _end(self) -> None:
        if not self._left.is_set() and self.state in ("granted", "revoked"):
            self._revoke()
        self.state = "ended"

    def _lost(self, why: Exception) -> None:
        self.reason = f"lost: {why}"
        self._end()

    def _request(self) -> Request:
        # One that is not held is answered when it is granted, however long that takes.
        silence = None if self._terms.ttl_s is not None else SILENCE_S
        return Request("POST", "/wharf/leases", self._terms.body, timeout=silence)

    def _again(self) -> Request:
        return Request("POST", f"/wharf/leases/{self.id}", {"token": self._token}, timeout=SILENCE_S)

    def _renewal(self) -> Request:
        return Request("PUT", f"/wharf/leases/{self.id}", {"token": self._token}, timeout=10)

    def _goodbye(self) -> Request:
        return Request("DELETE", f"/wharf/leases/{self.id}",
                       headers={"X-Wharf-Lease-Token": self._token}, timeout=10)

    def _refusal(self, e: DaemonError) -> DaemonError:
        kind = LeaseTimeout if e.code == "wait_expired" else LeaseError
        return kind(e.status, e.code, e.message, e.retry_after_s)

    def _begin(self) -> None:
        if self.state not in ("new", "ended"):
            raise RuntimeError(f"{self!r} is in use")
        self._reset()

    # -- plain

    def acquire(self) -> "Lease":
        """Waits until it is granted. Raises LeaseTimeout, LeaseError or Unreachable."""
        self._begin()
        answer = Answer(self._address, self._request(), self._key)
        self._answer = answer
        try:
            if answer.status >= 300:
                raise self._refusal(error_in(answer.status, answer.read(),
                                             answer.header("Retry-After")))
            if self._terms.ttl_s is not None:
                self._take(answer.read())
            else:
                self._wait(answer)
        except BaseException:
            self.state = "ended"
            answer.stop()
            answer.close()
            raise
        follow = self._renew if self._terms.ttl_s is not None else self._follow
        self._reader = threading.Thread(target=follow, name=f"wharf lease {self.id}", daemon=True)
        self._reader.start()
        return self

    def _wait(self, answer: Answer) -> None:
        self._lines = answer.lines()
        for line in self._lines:
            self._take(line)
            if self.state == "granted":
                return
            if self.ended:
                break
        raise LeaseError(503, "ended", self.reason or "the daemon went away")

    def _follow(self) -> None:
        """On its own thread: what is said of it while it lasts."""
        while not self._left.is_set() and not self.ended:
            try:
                for line in self._lines:
                    self._take(line)
                why: Exception = Unreachable(f"{self._address}: the connection ended")
            except (Unreachable, DaemonError, ValueError) as e:
                why = e
            if not self._left.is_set() and not self.ended:
                self._come_back(why)
        self._close_answer()

    def _close_answer(self) -> None:
        if isinstance(self._answer, Answer):
            self._answer.stop()
            self._answer.close()

    def _come_back(self, why: Exception) -> None:
        """The daemon may have been started again, and know the lease still."""
        end = time.monotonic() + GRACE_S
        while time.monotonic() < end and not self._left.wait(RETRY_S):
            try:
                answer = Answer(self._address, self._again(), self._key)
            except Unreachable:
                continue
            if answer.status == 200:
                self._close_answer()
                self._answer, self._lines = answer, answer.lines()
                if self._left.is_set():
                    answer.stop()
                return
            error = error_in(answer.status, answer.read(), None)
            if answer.status < 500:
                why = error
                break
        if not self._left.is_set():
            self._lost(why)

    def _renew(self) -> None:
        """On its own thread, three times within its ttl."""
        ttl_s = self._terms.ttl_s or 0
        renewed = time.monotonic()
        while not self._left.wait(ttl_s / 3):
            try:
                self._renewed(ask(self._address, self._renewal(), self._key))
                renewed = time.monotonic()
            except (Unreachable, DaemonError) as e:
                refused = isinstance(e, DaemonError) and e.status < 500
                if refused or time.monotonic() - renewed > ttl_s + GRACE_S:
                    self._lost(e)
                    return

    def release(self) -> None:
        """Gives it back; a second time, nothing."""
        if self.state == "new":
            return
        self._left.set()
        if isinstance(self._answer, Answer):
            self._answer.stop()  # of one that is held, this is the end
        if self._terms.ttl_s is not None and not self.ended:
            try:
                ask(self._address, self._goodbye(), self._key)
            except (Unreachable, DaemonError) as e:
                log.warning("lease %s was not given back, and lapses: %s", self.id, e)
        self.state = "ended"
        reader = self._reader
        if isinstance(reader, threading.Thread) and reader is not threading.current_thread():
            reader.join()

    def __enter__(self) -> "Lease":
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    # -- for event loops

    async def acquire_async(self) -> "Lease":
        """The same in an event loop; to cancel the task is to leave the queue."""
        self._begin()
        try:
            answer = self._answer = await AsyncAnswer.of(self._address, self._request(), self._key)
            if answer.status >= 300:
                raise self._refusal(error_in(answer.status, await answer.read(),
                                             answer.header("Retry-After")))
            if self._terms.ttl_s is not None:
                self._take(await answer.read())
            else:
                await self._wait_async(answer)
        except BaseException:
            self.state = "ended"
            if isinstance(self._answer, AsyncAnswer):
                self._answer.stop()
            raise
        follow = self._renew_async if self._terms.ttl_s is not None else self._follow_async
        self._reader = asyncio.get_running_loop().create_task(follow())
        return self

    async def _wait_async(self, answer: AsyncAnswer) -> None:
        self._async_lines = answer.lines()
        async for line in self._async_lines:
            self._take(line)
            if self.state == "granted":
                return
            if self.ended:
                break
        raise LeaseError(503, "ended", self.reason or "the daemon went away")

    async def _follow_async(self) -> None:
        while not self._left.is_set() and not self.ended:
            try:
                async for line in self._async_lines:
                    self._take(line)
                why: Exception = Unreachable(f"{self._address}: the connection ended")
            except (Unreachable, DaemonError, ValueError) as e:
                why = e
            if not self._left.is_set() and not self.ended:
                await self._come_back_async(why)

    async def _come_back_async(self, why: Exception) -> None:
        end = time.monotonic() + GRACE_S
        while time.monotonic() < end:
            await asyncio.sleep(RETRY_S)
            try:
                answer = await AsyncAnswer.of(self._address, self._again(), self._key)
            except Unreachable:
                continue
            if answer.status == 200:
                self._answer, self._async_lines = answer, answer.lines()
                return
            error = error_in(answer.status, await answer.read(), None)
            if answer.status < 500:
                why = error
                break
        self._lost(why)

    async def _renew_async(self) -> None:
        ttl_s = self._terms.ttl_s or 0
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(ttl_s / 3)
            try:
                self._renewed(await ask_async(self._address, self._renewal(), self._key))
                renewed = time.monotonic()
            except (Unreachable, DaemonError) as e:
                refused = isinstance(e, DaemonError) and e.status < 500
                if refused or time.monotonic() - renewed > ttl_s + GRACE_S:
                    self._lost(e)
                    return

    async def release_async(self) -> None:
        """Gives it back; a second time, nothing."""
        if self.state == "new":
            return
        self._left.set()
        if isinstance(self._reader, asyncio.Task):
            self._reader.cancel()
        if isinstance(self._answer, AsyncAnswer):
            self._answer.stop()
        ended, self.state = self.ended, "ended"
        if self._terms.ttl_s is not None and not ended:
            try:
                await ask_async(self._address, self._goodbye(), self._key)
            except (Unreachable, DaemonError) as e:
                log.warning("lease %s was not given back, and lapses: %s", self.id, e)

    async def __aenter__(self) -> "Lease":
        return await self.acquire_async()

    async def __aexit__(self, *_: object) -> None:
        await self.release_async()


def make(address: Address, key: Optional[str], vram: Optional[Size] = None, *,
         gpus: Optional[int] = None, devices: Optional[Sequence[str]] = None,
         gates: Sequence[str] = (), wharf_class: int = BACKGROUND,
         timeout: Optional[Seconds] = None, ttl: Optional[Seconds] = None,
         run: Optional[Seconds] = None, revocable: bool = False, grace: Optional[Seconds] = None,
         name: Optional[str] = None, on_wait: Optional[Callable[[Lease], Any]] = None,
         on_revoke: Optional[Callable[[Lease], Any]] = None) -> Lease:
    """See `wharf.lease`."""
    asked = terms(vram=vram, gpus=gpus, devices=devices, gates=gates, wharf_class=wharf_class,
                  timeout=timeout, ttl=ttl, run=run, revocable=revocable, grace=grace, name=name)
    return Lease(address, key, asked, on_wait, on_revoke)


