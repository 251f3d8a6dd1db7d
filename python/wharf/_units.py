"""Amounts of memory and of time as people write them, and classes."""

from __future__ import annotations

import enum
import re
from typing import Optional, Union

Size = Union[int, str]
Seconds = Union[int, float, str]


class Class(enum.IntEnum):
    """Who waits for whom; lower goes first. The numbers are those of libwharf."""

    FOREGROUND = 0
    NORMAL = 50
    BACKGROUND = 100

    @property
    def word(self) -> str:
        """As the daemon calls it."""
        return self.name.lower()


FOREGROUND, NORMAL, BACKGROUND = Class.FOREGROUND, Class.NORMAL, Class.BACKGROUND

_SIZES = {"": 1, "B": 1, "KB": 10 ** 3, "MB": 10 ** 6, "GB": 10 ** 9, "TB": 10 ** 12,
          "KIB": 2 ** 10, "MIB": 2 ** 20, "GIB": 2 ** 30, "TIB": 2 ** 40}
_TIMES = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def size(value: Size) -> int:
    """Bytes of 6442450944, "6GiB" or "500 MB"."""
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{value} bytes")
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
    if not match or match[2].upper() not in _SIZES:
        raise ValueError(f"{value!r} is no amount of memory: 6GiB, 500MiB or a number of bytes is")
    whole, _, part = match[1].partition(".")
    unit = _SIZES[match[2].upper()]
    return int(whole) * unit + (int(part) * unit // 10 ** len(part) if part else 0)


def seconds(value: Seconds) -> float:
    """Seconds of 30, 0.5, "30s", "10m" or "500ms"."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"{value} seconds")
        return float(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|)\s*", value)
    if not match:
        raise ValueError(f"{value!r} is no time: 30s, 10m or a number of seconds is")
    return float(match[1]) * _TIMES[match[2]]


def nanoseconds(timeout: Optional[Seconds]) -> int:
    """As libwharf takes timeouts: None waits for ever."""
    return -1 if timeout is None else round(seconds(timeout) * 1e9)
