"""The daemon's events as they happen, through restarts of the connection."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, AsyncIterator, Dict, Iterator, NamedTuple, Optional

from ._errors import DaemonError, Unreachable
from ._http import Address, Answer, AsyncAnswer, Request, error_in

SILENCE_S = 45.0  # a comment comes every 15 seconds
RETRY_S = 1.0


class Event(NamedTuple):
    """One public event; docs/http.md lists the types and their details."""

    id: int
    time: str
    type: str
    details: Dict[str, Any]


class Lines:
    """Makes events of the lines of an event stream, and knows where to go on."""

    def __init__(self, since: Optional[int]) -> None:
        self.last_id = since
        self._data = ""

    def request(self) -> Request:
        """What asks for all that comes behind the last one."""
        headers = {"Accept": "text/event-stream"}
        if self.last_id is not None:
            headers["Last-Event-ID"] = str(self.last_id)
        return Request("GET", "/wharf/events", headers=headers, timeout=SILENCE_S)

    def begin(self) -> None:
        """Another connection: half an event of the last one is none."""
        self._data = ""

    def take(self, line: bytes) -> Optional[Event]:
        """The event that ends with this line, if one does."""
        text = line.decode(errors="replace")
        name, _, value = text.partition(":")
        if name == "data":
            self._data += value[1:] if value.startswith(" ") else value
        if text or not self._data:
            return None
        data, self._data = json.loads(self._data), ""
        if "id" in data:
            self.last_id = int(data["id"])
        return Event(int(data.get("id", -1)), data.get("time", ""), data.get("type", ""),
                     data.get("details", {}))


class EventStream:
    """An iterator over events, without an end; `close()` ends it, also from another thread."""

    def __init__(self, address: Address, key: Optional[str], since: Optional[int],
                 reconnect: bool) -> None:
        self._address, self._key, self._reconnect = address, key, reconnect
        self._lines = Lines(since)
        self._closed = threading.Event()
        self._answer: Optional[Answer] = None
        self._events = self._follow()
        self._connect()  # so that nothing from now on is missed

    def _connect(self) -> None:
        self._lines.begin()
        answer = Answer(self._address, self._lines.request(), self._key)
        if answer.status != 200:
            raise error_in(answer.status, answer.read(), answer.header("Retry-After"))
        self._answer = answer
        if self._closed.is_set():
            answer.stop()

    def _follow(self) -> Iterator[Event]:
        while not self._closed.is_set():
            try:
                if self._answer is None:
                    self._connect()
                assert self._answer is not None
                for line in self._answer.lines():
                    event = self._lines.take(line)
                    if event:
                        yield event
                why: Exception = Unreachable(f"{self._address}: the events have ended")
            except (Unreachable, DaemonError) as e:
                why = e
            self._drop()
            if not self._reconnect and not self._closed.is_set():
                raise why
            self._closed.wait(RETRY_S)

    def _drop(self) -> None:
        if self._answer:
            self._answer.stop()
            self._answer.close()
            self._answer = None

    @property
    def last_id(self) -> Optional[int]:
        """Of the last event: what `since=` takes."""
        return self._lines.last_id

    def __iter__(self) -> "EventStream":
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """Whoever iterates is at the end."""
        self._closed.set()
        answer = self._answer
        if answer:
            answer.stop()

    def __enter__(self) -> "EventStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncEventStream:
    """The same for an event loop, for `async for`. It begins with what comes after `async with`, or
    after the first step."""

    def __init__(self, address: Address, key: Optional[str], since: Optional[int],
                 reconnect: bool) -> None:
        self._address, self._key, self._reconnect = address, key, reconnect
        self._lines = Lines(since)
        self._answer: Optional[AsyncAnswer] = None
        self._closed = False
        self._events = self._follow()

    async def _connect(self) -> None:
        self._lines.begin()
        answer = await AsyncAnswer.of(self._address, self._lines.request(), self._key)
        if answer.status != 200:
            raise error_in(answer.status, await answer.read(), answer.header("Retry-After"))
        self._answer = answer

    async def _follow(self) -> AsyncIterator[Event]:
        first = self._answer is None
        while not self._closed:
            try:
                if self._answer is None:
                    await self._connect()
                    first = False
                assert self._answer is not None
                async for line in self._answer.lines():
                    event = self._lines.take(line)
                    if event:
                        yield event
                why: Exception = Unreachable(f"{self._address}: the events have ended")
            except (Unreachable, DaemonError) as e:
                why = e
            self._drop()
            if self._closed:
                return
            if first or not self._reconnect:
                raise why
            await asyncio.sleep(RETRY_S)

    def _drop(self) -> None:
        if self._answer:
            self._answer.stop()
            self._answer = None

    @property
    def last_id(self) -> Optional[int]:
        """Of the last event: what `since=` takes."""
        return self._lines.last_id

    def __aiter__(self) -> "AsyncEventStream":
        return self

    async def __anext__(self) -> Event:
        return await self._events.__anext__()

    def close(self) -> None:
        """Whoever iterates is at the end."""
        self._closed = True
        self._drop()

    async def __aenter__(self) -> "AsyncEventStream":
        if self._answer is None:
            await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
