"""What can go wrong, and the numbers by which libwharf says so."""

from __future__ import annotations

import errno
from typing import Optional


class Error(Exception):
    """Any failure that this package tells of."""


class Timeout(Error, TimeoutError):
    """The time was over first; with a timeout of 0: there was no room at once."""


class Cancelled(Error):
    """A wait was ended by a `Cancel` or by the end of what it waited for."""


class Closed(Error):
    """The gate or broker is closed."""


class NotFound(Error, LookupError):
    """There is no such model, mode, device, gate or lease."""


class NoRoom(Error, MemoryError):
    """It can never fit, or cannot now and nothing will change that."""


class Failed(Error):
    """It was tried and did not work; the text says why."""


class Unreachable(Error, ConnectionError):
    """No daemon answers at the address, or it went away."""


class DaemonError(Error):
    """The daemon has refused: its status, its code (docs/http.md lists them) and its words."""

    def __init__(self, status: int, code: str, message: str,
                 retry_after_s: Optional[float] = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.message} ({self.status} {self.code})"


class LeaseError(DaemonError):
    """A lease was refused, or ended while it was waited for."""


class LeaseTimeout(LeaseError, Timeout):
    """The lease's wait was over before it was granted."""


_BY_NUMBER = {
    errno.ETIMEDOUT: Timeout,
    errno.ECANCELED: Cancelled,
    errno.ESHUTDOWN: Closed,
    errno.ENOENT: NotFound,
    errno.ENOSPC: NoRoom,
    errno.EIO: Failed,
}


def error_of(rc: int, why: str = "") -> Exception:
    """The exception for what a function of libwharf returned."""
    kind = _BY_NUMBER.get(-rc)
    if kind:
        return kind(why or errno.errorcode[-rc])
    if rc == -errno.EINVAL:
        return ValueError(why or "it makes no sense")
    if rc == -errno.ENOMEM:
        return MemoryError(why)
    return OSError(-rc, why or errno.errorcode.get(-rc, str(rc)))
