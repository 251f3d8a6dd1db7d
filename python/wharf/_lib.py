"""libwharf by ctypes: its structures and functions, as include/wharf declares them.

`quick` has those that never block, called without giving up the interpreter; `lib` those that may.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
from ctypes import (CFUNCTYPE, POINTER, Structure, c_bool, c_char_p, c_int, c_int64, c_uint32,
                    c_uint64, c_void_p)
from typing import Any, List, Tuple

NAME = "libwharf.so.0"


def _places() -> List[str]:
    """Where the library may be, the likeliest first."""
    here = pathlib.Path(__file__).resolve().parent
    given = os.environ.get("WHARF_LIBRARY")
    if given:
        return [given]
    files = [here / NAME, here.parents[1] / "build" / "libwharf.so"]
    return [str(f) for f in files if f.exists()] + [NAME]


def _load() -> Tuple[Any, Any]:
    tried = []
    for place in _places():
        try:
            return ctypes.CDLL(place, use_errno=True), ctypes.PyDLL(place)
        except OSError as e:
            tried.append(str(e))
    raise ImportError("libwharf was not found: run `make` in the checkout, install it, or say "
                      "where it is by WHARF_LIBRARY; tried: " + "; ".join(tried))


lib, quick = _load()

FOREVER = -1


class GateOptions(Structure):
    _fields_ = [("limit", c_uint32), ("foreground_wait_ns_max", c_uint64),
                ("normal_wait_ns_max", c_uint64), ("background_wait_ns_max", c_uint64)]


class GateStats(Structure):
    _fields_ = [("limit", c_uint32), ("inside", c_uint32), ("foreground_waiting", c_uint32),
                ("normal_waiting", c_uint32), ("background_waiting", c_uint32),
                ("entered", c_uint64), ("waited", c_uint64), ("cancelled", c_uint64),
                ("wait_ns", c_uint64), ("wait_ns_max", c_uint64), ("starved", c_uint64)]


class DeviceSetup(Structure):
    _fields_ = [("name", c_char_p), ("total_bytes", c_uint64), ("reserve_bytes", c_uint64),
                ("limit_permille", c_uint32)]


class PlacementSetup(Structure):
    _fields_ = [("device", c_char_p), ("bytes", c_uint64), ("free_bytes_min", c_uint64)]


class ModelSetup(Structure):
    _fields_ = [("name", c_char_p), ("placements", POINTER(PlacementSetup)),
                ("placement_count", c_uint32), ("movable", c_bool), ("yields", c_bool),
                ("pinned", c_bool), ("slots_max", c_uint32), ("load_retries_max", c_uint32),
                ("ttl_ns", c_uint64), ("load_ns_max", c_uint64), ("unload_ns_max", c_uint64)]


class WishSetup(Structure):
    _fields_ = [("model", c_char_p), ("unloaded", c_bool), ("device", c_char_p)]


class ModeSetup(Structure):
    _fields_ = [("name", c_char_p), ("wishes", POINTER(WishSetup)), ("wish_count", c_uint32)]


class GateSetup(Structure):
    _fields_ = [("name", c_char_p), ("limit", c_uint32)]


class EventOf(Structure):
    _fields_ = [("type", c_char_p), ("model", c_char_p), ("device", c_char_p), ("why", c_char_p),
                ("bytes", c_uint64), ("duration_ns", c_uint64)]


LoadOp = CFUNCTYPE(c_int, c_void_p, c_char_p, c_char_p)
UnloadOp = CFUNCTYPE(c_int, c_void_p, c_char_p)
SampleOp = CFUNCTYPE(c_int, c_void_p, c_char_p, POINTER(c_uint64))
EventOp = CFUNCTYPE(None, c_void_p, POINTER(EventOf))


class BrokerOps(Structure):
    _fields_ = [("load", LoadOp), ("unload", UnloadOp), ("move", LoadOp), ("sample", SampleOp),
                ("event", EventOp)]


class BrokerOptions(Structure):
    _fields_ = [("devices", POINTER(DeviceSetup)), ("device_count", c_uint32),
                ("models", POINTER(ModelSetup)), ("model_count", c_uint32),
                ("modes", POINTER(ModeSetup)), ("mode_count", c_uint32),
                ("gates", POINTER(GateSetup)), ("gate_count", c_uint32),
                ("ops", BrokerOps), ("arg", c_void_p)]


LOAD, UNLOAD, MOVE, MODE, ENTER, LEASE = range(6)


class Order(Structure):
    _fields_ = [("kind", c_int), ("model", c_char_p), ("mode", c_char_p), ("wharf_class", c_int),
                ("device", c_char_p), ("bytes", c_uint64), ("gates", POINTER(c_char_p)),
                ("gate_count", c_uint32), ("timeout_ns", c_int64)]


class Answer(Structure):
    _fields_ = [("rc", c_int), ("why", c_char_p), ("device", c_char_p), ("id", c_uint64)]


class ModelView(Structure):
    _fields_ = [("state", c_char_p), ("why", c_char_p), ("device", c_char_p), ("on_cpu", c_bool),
                ("running", c_uint32), ("waiting", c_uint32), ("bytes", c_uint64),
                ("idle_ns", c_uint64)]


class DeviceView(Structure):
    _fields_ = [("total_bytes", c_uint64), ("used_bytes", c_uint64), ("own_bytes", c_uint64),
                ("leased_bytes", c_uint64), ("foreign_bytes", c_uint64),
                ("settling_bytes", c_uint64), ("free_bytes", c_uint64)]


# name: (result, arguments, whether it may block)
_FUNCTIONS = {
    "version": (c_char_p, [], False),
    "cancel_new": (c_void_p, [], False),
    "cancel_set": (None, [c_void_p], True),
    "cancel_free": (None, [c_void_p], False),
    "inbox_new": (c_void_p, [], False),
    "inbox_fd": (c_int, [c_void_p], False),
    "inbox_next": (c_bool, [c_void_p, POINTER(c_void_p)], False),
    "inbox_free": (None, [c_void_p], False),
    "gate_new": (c_void_p, [POINTER(GateOptions)], True),
    "gate_free": (None, [c_void_p], False),
    "gate_acquire": (c_int, [c_void_p, c_int, c_int64, c_void_p], True),
    "gate_release": (c_int, [c_void_p], False),
    "gate_begin": (c_int, [c_void_p, c_int, c_void_p, c_void_p, POINTER(c_void_p)], False),
    "gate_cancel": (None, [c_void_p], False),
    "gate_close": (None, [c_void_p], False),
    "gate_stats": (None, [c_void_p, POINTER(GateStats)], False),
    "broker_new": (c_void_p, [POINTER(BrokerOptions)], True),
    "broker_free": (None, [c_void_p], True),
    "broker_do": (c_int, [c_void_p, POINTER(Order), c_void_p, POINTER(Answer)], True),
    "broker_begin": (c_int, [c_void_p, POINTER(Order), POINTER(Answer), c_void_p, c_void_p,
                             POINTER(c_void_p)], True),
    "call_cancel": (None, [c_void_p], True),
    "broker_leave": (None, [c_void_p, c_uint64], True),
    "broker_found": (c_int, [c_void_p, c_char_p, c_char_p], True),
    "broker_view_model": (c_int, [c_void_p, c_char_p, POINTER(ModelView)], True),
    "broker_view_device": (c_int, [c_void_p, c_char_p, POINTER(DeviceView)], True),
    "broker_mode": (c_char_p, [c_void_p], True),
    "broker_refresh": (c_int, [c_void_p, c_int64], True),
}


def function(name: str, blocks: bool) -> Any:
    """One of libwharf's functions; blocks: other threads of Python run meanwhile."""
    result, arguments, _ = _FUNCTIONS[name]
    found = getattr(lib if blocks else quick, "wharf_" + name)
    found.restype, found.argtypes = result, arguments
    return found


def __getattr__(name: str) -> Any:  # for type checkers: the functions are set below
    raise AttributeError(name)


for _name, (_, _, _blocks) in _FUNCTIONS.items():
    globals()[_name] = function(_name, _blocks)

# With a timeout of 0 it does not wait, and it is called for each that comes in.
gate_try = function("gate_acquire", False)
