"""Which device to use, how full it is, and whether another job fits: at most three at once, within
0.8 of the GPU's memory, by the leases of libwharf."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .._broker import Broker, Device, Held
from .._errors import Error, NoRoom, Timeout
from . import _readings
from ._readings import MIB, Reading, Source

log = logging.getLogger(__name__)

SETTLE_S = 2.0  # what a job has just given back is waited for so long
_CUDA = "cuda"


class ResourcesExhausted(Error, RuntimeError):
    """No slot or not enough memory for the job."""


class GPUManager:
    """Jobs on one device. Memory is in MiB where a name says mb, and in estimated_vram.

    device: "auto", "cuda", "cuda:1", "cpu". sources: where figures come from, instead of torch, the
    daemon and nvidia-smi. On the cpu the number of jobs alone is limited."""

    def __init__(self, device: str = "auto", max_concurrent_jobs: int = 3,
                 memory_limit: float = 0.8, sources: Optional[Sequence[Source]] = None) -> None:
        if not 0 < memory_limit <= 1:
            raise ValueError(f"memory_limit {memory_limit}: a share of the memory, above 0, at most 1")
        self.max_concurrent_jobs, self.memory_limit = max_concurrent_jobs, memory_limit
        self._source, self._index, first = self._select(device, sources)
        self.device = "cpu" if first is None else device if ":" in device else _CUDA
        self._jobs: Dict[str, Held] = {}
        self._lock = threading.Lock()
        self._processed = self._failed = 0
        devices = [] if first is None else [Device(_CUDA, first.total_bytes, limit=memory_limit)]
        self._broker = Broker(devices=devices, gates={"jobs": max_concurrent_jobs},
                              sample=self._used if devices else None)

    @staticmethod
    def _select(device: str, sources: Optional[Sequence[Source]]
                ) -> Tuple[Optional[Source], int, Optional[Reading]]:
        kind, _, number = device.partition(":")
        if kind not in ("auto", _CUDA, "cpu") or (number and not number.isdigit()):
            raise ValueError(f"device {device!r}: auto, cuda, cuda:N or cpu")
        if kind == "cpu":
            return None, 0, None
        source, found = _readings.read(sources)
        index = int(number or 0)
        if index < len(found):
            return source, index, found[index]
        log.warning("no GPU for device %r: falling back to the cpu", device)
        return None, 0, None

    def _reading(self) -> Optional[Reading]:
        found = (self._source() if self._source else None) or []
        return found[self._index] if self._index < len(found) else None

    def _used(self, _: str) -> Optional[int]:
        reading = self._reading()
        return reading.used_bytes if reading else None

    # -- jobs

    def _lease(self, estimated_vram: int) -> Held:
        if estimated_vram < 0:
            raise ValueError(f"estimated_vram {estimated_vram}")
        on_gpu = self._source is not None
        if on_gpu:
            self._broker.sample()  # others may have taken or left memory
        settling = on_gpu and self._broker.device(_CUDA).settling > 0
        return self._broker.lease(estimated_vram * MIB if on_gpu else 0, gates=["jobs"],
                                  timeout=SETTLE_S if settling else 0)

    def can_process_job(self, estimated_vram: int = 0) -> bool:
        """Whether a job with so many MiB would be let in now."""
        with self._lock:
            try:
                self._lease(estimated_vram).leave()
            except (Timeout, NoRoom):
                return False
            return True

    def allocate_job(self, job_id: str, estimated_vram: int = 0) -> bool:
        """Lets a job in, until cleanup_after_job. Raises ResourcesExhausted where there is no room."""
        with self._lock:
            if job_id in self._jobs:
                raise ValueError(f"job {job_id!r} is running")
            try:
                self._jobs[job_id] = self._lease(estimated_vram)
            except (Timeout, NoRoom) as e:
                raise ResourcesExhausted(
                    f"no room for job {job_id!r} with {estimated_vram} MiB: {e}; "
                    f"{len(self._jobs)} of {self.max_concurrent_jobs} jobs run") from e
        return True

    def cleanup_after_job(self, job_id: Optional[str] = None) -> None:
        """The job has ended; without one, all have. One that is not known is no harm."""
        with self._lock:
            ended = list(self._jobs) if job_id is None else [j for j in [job_id] if j in self._jobs]
            held: List[Held] = [self._jobs.pop(j) for j in ended]
            self._processed += len(ended)
        gc.collect()
        if self._source is not None:
            _readings.empty_cache()
        for h in held:
            h.leave()

    def release_job(self, job_id: str) -> None:
        """As cleanup_after_job."""
        self.cleanup_after_job(job_id)

    @contextlib.contextmanager
    def managed_generation(self, job_id: str, required_memory_mb: int = 0) -> Iterator["GPUManager"]:
        """A job for as long as the block lasts, whatever becomes of it."""
        self.allocate_job(job_id, required_memory_mb)
        try:
            yield self
        except BaseException:
            with self._lock:
                self._failed += 1
            raise
        finally:
            self.cleanup_after_job(job_id)

    # -- figures

    def get_utilization(self) -> Optional[float]:
        """In percent; None: not known."""
        reading = self._reading()
        return reading.utilisation_percent if reading else None

    def get_memory_info(self) -> Dict[str, Any]:
        """In MiB: total, used (by everybody), free, allocated and reserved (by this process where
        torch counts them, else by everybody), leased to jobs, available to another one. On the cpu
        all are 0."""
        reading = self._reading()
        if reading is None:
            return dict.fromkeys(("total", "used", "free", "allocated", "reserved", "max_allocated",
                                  "leased", "available"), 0)
        self._broker.sample()
        view = self._broker.device(_CUDA)
        used = view.used if reading.used_bytes is None else reading.used_bytes
        allocated = used if reading.allocated_bytes is None else reading.allocated_bytes
        reserved = allocated if reading.reserved_bytes is None else reading.reserved_bytes
        peak = allocated if reading.peak_bytes is None else reading.peak_bytes
        amounts = {"total": reading.total_bytes, "used": used, "free": reading.total_bytes - used,
                   "allocated": allocated, "reserved": reserved, "max_allocated": peak,
                   "leased": view.leased, "available": view.free}
        return {name: amount // MIB for name, amount in amounts.items()}

    def get_gpu_stats(self) -> Dict[str, Any]:
        """The device, its memory in MiB, and the jobs. None: not known."""
        reading, memory = self._reading(), self.get_memory_info()
        with self._lock:
            active, processed, failed = list(self._jobs), self._processed, self._failed
        total = memory["total"]
        return {
            "device": self.device,
            "device_name": reading.name if reading else "cpu",
            "cuda_available": reading is not None,
            "device_count": len((self._source() if self._source else None) or []),
            "total_memory": total,
            "allocated_memory": memory["allocated"],
            "reserved_memory": memory["reserved"],
            "max_memory": memory["max_allocated"],
            "free_memory": memory["free"],
            "memory_utilization": 100 * memory["used"] / total if total else 0.0,
            "utilization": reading.utilisation_percent if reading else None,
            "memory_limit": self.memory_limit,
            "active_jobs": len(active),
            "active_job_ids": active,
            "max_concurrent_jobs": self.max_concurrent_jobs,
            "total_jobs_processed": processed,
            "failed_jobs": failed,
        }

    def close(self) -> None:
        """Ends the threads behind it; jobs are forgotten."""
        self.cleanup_after_job()
        self._broker.close()


class GPUMemoryManager(GPUManager):
    """An older name, by which programs may still ask for the same manager."""


_manager: Optional[GPUManager] = None
_manager_lock = threading.Lock()


def get_gpu_manager(device: str = "auto", max_concurrent_jobs: int = 3,
                    memory_limit: float = 0.8) -> GPUManager:
    """The one of this process; the first call makes it, and later ones get it as it is."""
    global _manager
    with _manager_lock:
        if _manager is None:
            _manager = GPUManager(device, max_concurrent_jobs, memory_limit)
        return _manager
