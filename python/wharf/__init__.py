"""wharf from Python: gates, leases, models and modes, in this process and through the daemon.

In this process, by libwharf: `Gate` (an order among those who wait) and `Broker` (models, modes and
memory of one program). Through the daemon, whom several programs share: `gate` and `lease`,
`Client` and `AsyncClient`, `Worker`. Which one is meant is always said: `wharf.gate("mlx")` is the
daemon's gate of that name, `wharf.Gate(1)` one of this process alone.

`wharf.compat` has interfaces of older programs. docs/python.md has examples of it all.
"""

from typing import Any as _Any
from typing import Optional as _Optional

from . import _lib
from ._broker import (Broker, BrokerEvent, Device, DeviceView, Held, Model, ModelView, Place)
from ._client import AsyncClient, Client
from ._errors import (Cancelled, Closed, DaemonError, Error, Failed, LeaseError, LeaseTimeout, NoRoom,
                      NotFound, Timeout, Unreachable)
from ._events import AsyncEventStream, Event, EventStream
from ._gate import Gate, GateStats, Hold
from ._lease import Lease
from ._units import BACKGROUND, FOREGROUND, NORMAL, Class, Seconds, Size
from ._waits import Cancel
from ._worker import Worker

__version__: str = _lib.version().decode()


def lease(vram: _Optional[Size] = None, *, url: _Optional[str] = None, key: _Optional[str] = None,
          **terms: _Any) -> Lease:
    """Memory of the daemon's GPUs, for `with` or `async with`: `with wharf.lease("6GiB") as l: ...`.

    vram ("6GiB", or bytes) on each of `gpus` (1) of `devices` (any), and a slot of each of `gates`;
    all of it at once, or nothing. wharf_class: who waits for whom, BACKGROUND at first. timeout: of
    the wait; 0 takes it only if it is free now. ttl: not held by the connection, but for so long
    after the last renewal, which goes by itself. run: it will be over within this. revocable: it may
    be asked back, with `grace` to do so. name: for people. on_wait(lease), on_revoke(lease): told
    how it stands. url, key: of the daemon; see Client.

    Raises LeaseTimeout, LeaseError (with the daemon's status and code) or Unreachable."""
    return Client(url, key).lease(vram, **terms)


def gate(name: str, /, wharf_class: int = BACKGROUND, timeout: _Optional[Seconds] = None, *,
         url: _Optional[str] = None, key: _Optional[str] = None, **terms: _Any) -> Lease:
    """A slot of one of the daemon's gates, for `with` or `async with`:
    `async with wharf.gate("mlx", wharf.FOREGROUND): ...`. It is a lease of that gate; with `vram=`
    it takes memory along. A gate within one process is `wharf.Gate`."""
    return Client(url, key).gate(name, wharf_class, timeout, **terms)


__all__ = [
    "AsyncClient", "AsyncEventStream", "BACKGROUND", "Broker", "BrokerEvent", "Cancel", "Cancelled",
    "Class", "Client", "Closed", "DaemonError", "Device", "DeviceView", "Error", "Event",
    "EventStream", "FOREGROUND", "Failed", "Gate", "GateStats", "Held", "Hold", "Lease",
    "LeaseError", "LeaseTimeout", "Model", "ModelView", "NORMAL", "NoRoom", "NotFound", "Place",
    "Timeout", "Unreachable", "Worker", "gate", "lease",
]
