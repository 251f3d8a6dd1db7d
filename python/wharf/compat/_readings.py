"""Where figures about GPUs come from: a table of sources, asked in order until one knows.

torch, where it is imported or can be, decides alone: what it does not see, this process cannot use."""

from __future__ import annotations

import csv
import importlib
import io
import shutil
import subprocess
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

from .._client import Client
from .._errors import DaemonError, Unreachable

MIB = 1024 ** 2
NVIDIA_SMI_SECONDS_MAX = 5
_FIELDS = "index,name,uuid,memory.total,memory.used,utilization.gpu"


class Reading(NamedTuple):
    """One GPU. None: not known. allocated, reserved, peak: of this process, as torch counts them."""

    index: int
    name: str
    total_bytes: int
    used_bytes: Optional[int] = None
    utilisation_percent: Optional[float] = None
    uuid: Optional[str] = None
    allocated_bytes: Optional[int] = None
    reserved_bytes: Optional[int] = None
    peak_bytes: Optional[int] = None


# None: this source does not know; an empty list: there is no GPU.
Source = Callable[[], Optional[List[Reading]]]


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


def from_torch() -> Optional[List[Reading]]:
    """What this process could use."""
    torch = _torch()
    if torch is None:
        return None
    cuda = torch.cuda
    if not cuda.is_available():
        return []
    return [_torch_reading(cuda, i) for i in range(cuda.device_count())]


def _torch_reading(cuda: Any, index: int) -> Reading:
    properties = cuda.get_device_properties(index)
    free, total = cuda.mem_get_info(index)
    try:
        percent: Optional[float] = float(cuda.utilization(index))
    except Exception:  # it needs NVML's package
        percent = None
    return Reading(index, str(properties.name), int(total), int(total) - int(free), percent, None,
                   int(cuda.memory_allocated(index)), int(cuda.memory_reserved(index)),
                   int(cuda.max_memory_allocated(index)))


def from_daemon() -> Optional[List[Reading]]:
    """What wharf reads, where a daemon runs."""
    try:
        devices = Client().call("GET", "/wharf/devices", timeout=2)["devices"]
    except (DaemonError, Unreachable, KeyError, TypeError, ValueError):
        return None
    return [Reading(d["index"], d["name"], d["total_bytes"], d.get("used_bytes"),
                    d.get("utilisation_percent"), d.get("uuid"))
            for d in devices if d.get("present") and d.get("total_bytes")] or None


def from_nvidia_smi() -> Optional[List[Reading]]:
    """What NVIDIA's tool prints."""
    program = shutil.which("nvidia-smi")
    if not program:
        return None
    try:
        done = subprocess.run([program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"],
                              capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS_MAX,
                              stdin=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    rows = csv.reader(io.StringIO(done.stdout), skipinitialspace=True)
    return [r for r in map(_smi_reading, rows) if r]


def _number(text: str) -> Optional[float]:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None


def _smi_reading(row: Sequence[str]) -> Optional[Reading]:
    if len(row) != len(_FIELDS.split(",")) or not row[0].isdigit():
        return None
    index, name, uuid, total, used, percent = row
    total_mib, used_mib = _number(total), _number(used)
    if not total_mib:
        return None
    return Reading(int(index), name, int(total_mib) * MIB,
                   None if used_mib is None else int(used_mib) * MIB, _number(percent), uuid)


SOURCES: Tuple[Source, ...] = (from_torch, from_daemon, from_nvidia_smi)


def read(sources: Optional[Sequence[Source]] = None) -> Tuple[Optional[Source], List[Reading]]:
    """The first source that knows, and what it says; without one: (None, [])."""
    for source in SOURCES if sources is None else sources:
        found = source()
        if found is not None:
            return source, found
    return None, []


def empty_cache() -> None:
    """torch gives back what it keeps without need."""
    torch = _torch()
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
