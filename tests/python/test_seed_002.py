"""The second seed's tests of a GPU manager, under their own names, against wharf.compat. Its GPU is a
source of readings that the test sets; what torch itself is asked there, stands here as what the manager
makes of it."""

import concurrent.futures
import sys
import threading
import types

import pytest

from wharf.compat import _readings, gpu_manager
from wharf.compat._readings import MIB, Reading
from wharf.compat.gpu_manager import (GPUManager, GPUMemoryManager, ResourcesExhausted,
                                      get_gpu_manager)

TOTAL_MB = 24576


class Gpu:
    """A source of readings of one or more pretended GPUs."""

    def __init__(self, count=1):
        self.count, self.used_mb, self.percent, self.own = count, 0, 37.0, {}

    def __call__(self):
        own = {k: v * MIB for k, v in self.own.items()}
        return [Reading(i, f"Test GPU {i}", TOTAL_MB * MIB, self.used_mb * MIB, self.percent,
                        f"GPU-{i}", **own) for i in range(self.count)]


@pytest.fixture
def gpu():
    return Gpu()


@pytest.fixture
def make():
    """make(gpu, **options) → a manager that looks there."""
    made = []

    def start(source=None, **options):
        made.append(GPUManager(sources=[source] if source else [lambda: []], **options))
        return made[-1]

    yield start
    for m in made:
        m.close()


@pytest.fixture
def manager(make, gpu):
    return make(gpu)


@pytest.fixture
def the_one(monkeypatch, gpu):
    """get_gpu_manager of a process that has asked for none yet."""
    monkeypatch.setattr(gpu_manager, "_manager", None)
    monkeypatch.setattr(_readings, "SOURCES", (gpu,))
    yield get_gpu_manager
    get_gpu_manager().close()


class TestGPUManagerUnit:
    def test_gpu_manager_initialization(self, manager):
        assert manager.device == "cuda"
        assert (manager.max_concurrent_jobs, manager.memory_limit) == (3, 0.8)

    def test_gpu_manager_singleton(self, the_one):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: the_one(), range(32)))
        assert found == {the_one()}

    def test_cuda_availability_check(self, manager, make):
        assert manager.get_gpu_stats()["cuda_available"] is True
        assert make().get_gpu_stats()["cuda_available"] is False

    def test_device_selection_auto(self, make, gpu):
        assert make(gpu, device="auto").device == "cuda"
        assert make(device="auto").device == "cpu"

    def test_device_selection_cuda(self, make):
        assert make(Gpu(), device="cuda").device == "cuda"
        second = make(Gpu(2), device="cuda:1")
        assert second.device == "cuda:1"
        assert second.get_gpu_stats()["device_name"] == "Test GPU 1"
        with pytest.raises(ValueError):
            make(Gpu(), device="tpu")

    def test_device_selection_cpu(self, make):
        def never():
            raise AssertionError("nobody is asked about GPUs")
        assert make(never, device="cpu").device == "cpu"

    def test_get_gpu_stats(self, manager, gpu):
        gpu.used_mb = 6144
        with manager.managed_generation("a", 1000):
            stats = manager.get_gpu_stats()
        assert {k: stats[k] for k in ("device", "device_name", "total_memory", "free_memory",
                                      "memory_utilization", "active_jobs", "active_job_ids",
                                      "max_concurrent_jobs", "memory_limit")} == {
            "device": "cuda", "device_name": "Test GPU 0", "total_memory": TOTAL_MB,
            "free_memory": TOTAL_MB - 6144, "memory_utilization": 25.0, "active_jobs": 1,
            "active_job_ids": ["a"], "max_concurrent_jobs": 3, "memory_limit": 0.8}

    def test_gpu_memory_info(self, manager, gpu):
        gpu.used_mb = 1000
        info = manager.get_memory_info()
        assert (info["total"], info["used"], info["free"]) == (TOTAL_MB, 1000, TOTAL_MB - 1000)
        assert info["used"] == info["allocated"]

    @pytest.mark.parametrize("percent", [0.0, 37.0, 100.0, None])
    def test_gpu_utilization_tracking(self, manager, gpu, percent):
        gpu.percent = percent
        assert manager.get_utilization() == percent

    def test_multiple_device_support(self, make):
        assert make(Gpu(4)).get_gpu_stats()["device_count"] == 4
        assert make(Gpu(2), device="cuda:2").device == "cpu"

    def test_device_properties(self, manager):
        stats = manager.get_gpu_stats()
        assert stats["total_memory"] == TOTAL_MB and stats["device_name"]

    def test_memory_allocation(self, manager, gpu):
        gpu.own = {"allocated_bytes": 100}
        assert manager.get_memory_info()["allocated"] == 100
        gpu.own = {"allocated_bytes": 300}
        assert manager.get_memory_info()["allocated"] == 300

    def test_max_memory_tracking(self, manager, gpu):
        gpu.own = {"allocated_bytes": 100, "peak_bytes": 700}
        assert manager.get_gpu_stats()["max_memory"] == 700

    def test_memory_reserved(self, manager, gpu):
        gpu.own = {"allocated_bytes": 100, "reserved_bytes": 400}
        assert manager.get_memory_info()["reserved"] == 400

    def test_can_process_job(self, manager):
        assert manager.can_process_job(estimated_vram=1000) is True
        assert manager.get_gpu_stats()["active_jobs"] == 0, "it was a question"

    def test_allocate_job(self, manager):
        assert manager.allocate_job("test_job_001", 1000) is True
        with pytest.raises(ValueError):
            manager.allocate_job("test_job_001")
        manager.allocate_job("no estimate")
        assert manager.get_memory_info()["leased"] == 1000

    def test_cleanup_after_job(self, manager):
        manager.cleanup_after_job()
        manager.cleanup_after_job("never seen")
        manager.allocate_job("a", 1000)
        manager.allocate_job("b", 1000)
        manager.cleanup_after_job("a")
        assert manager.get_gpu_stats()["active_job_ids"] == ["b"]
        manager.cleanup_after_job()
        stats = manager.get_gpu_stats()
        assert (stats["active_jobs"], stats["total_jobs_processed"]) == (0, 2)

    def test_memory_cleanup(self, manager, monkeypatch):
        emptied = []
        cuda = types.SimpleNamespace(is_available=lambda: True, empty_cache=lambda: emptied.append(1))
        monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
        with manager.managed_generation("a"):
            assert emptied == []
        assert emptied == [1]

    def test_concurrent_job_limit(self, manager):
        for i in range(3):
            manager.allocate_job(f"job{i}")
        assert manager.can_process_job(0) is False
        with pytest.raises(ResourcesExhausted, match="3 of 3 jobs"):
            manager.allocate_job("job3")
        manager.cleanup_after_job("job1")
        assert manager.allocate_job("job3")

    @pytest.mark.parametrize("memory_mb", [100, 1000, 5000, 10000])
    def test_can_allocate_various_sizes(self, manager, gpu, memory_mb):
        assert manager.can_process_job(estimated_vram=memory_mb) is True
        gpu.used_mb = 15000  # of somebody else; 0.8 of it all leave 4660
        assert manager.can_process_job(estimated_vram=memory_mb) is (memory_mb <= 1000)

    def test_managed_generation_context(self, manager):
        with manager.managed_generation("test_job", required_memory_mb=100):
            assert manager.get_gpu_stats()["active_job_ids"] == ["test_job"]
            assert manager.get_memory_info()["leased"] == 100
        with pytest.raises(ZeroDivisionError):
            with manager.managed_generation("test_job", required_memory_mb=100):
                1 / 0
        stats = manager.get_gpu_stats()
        assert (stats["active_jobs"], stats["total_jobs_processed"], stats["failed_jobs"]) == (0, 2, 1)

    @pytest.mark.parametrize("limit,mb,fits", [(0.8, 19660, True), (0.8, 19661, False),
                                               (0.5, 12288, True), (0.5, 12289, False),
                                               (1.0, TOTAL_MB, True), (1.0, TOTAL_MB + 1, False)])
    def test_memory_limit_enforcement(self, make, gpu, limit, mb, fits):
        assert make(gpu, memory_limit=limit).can_process_job(mb) is fits

    def test_cache_info(self, manager, gpu):
        """Of what a job has given back, nothing is kept from the next."""
        for i in range(4):
            with manager.managed_generation(f"job{i}", 15000):
                assert manager.get_memory_info()["available"] < 5000

    def test_device_synchronization(self, manager):
        """Many threads, and at the end nobody is inside."""
        most, lock, inside = [0], threading.Lock(), []

        def job(i):
            try:
                with manager.managed_generation(f"job{i}", 1000):
                    with lock:
                        inside.append(i)
                        most[0] = max(most[0], len(inside))
                    with lock:
                        inside.remove(i)
            except ResourcesExhausted:
                pass

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(job, range(64)))
        assert 1 <= most[0] <= 3
        assert manager.get_gpu_stats()["active_jobs"] == 0
        assert manager.get_memory_info()["leased"] == 0

    def test_gpu_name_detection(self, manager):
        assert manager.get_gpu_stats()["device_name"] == "Test GPU 0"

    def test_error_handling_no_gpu(self, monkeypatch):
        """What torch does not see, this process cannot use, whatever other tools say."""
        cuda = types.SimpleNamespace(is_available=lambda: False)
        monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
        m = GPUManager(sources=[_readings.from_torch, Gpu()])
        assert m.device == "cpu"
        m.close()

    def test_fallback_to_cpu(self, make, caplog):
        m = make(device="cuda")
        assert m.device == "cpu" and "falling back" in caplog.text
        assert m.get_utilization() is None
        assert set(m.get_memory_info().values()) == {0}
        assert m.can_process_job(10 ** 6) is True, "only the number of jobs is limited there"
        for i in range(3):
            m.allocate_job(f"job{i}", 10 ** 6)
        assert m.can_process_job(0) is False


class TestGPUManagerIntegration:
    def test_gpu_manager_with_batch_processor(self, the_one):
        """Jobs of a batch take their turns: who finds no room tries again when one has ended."""
        m, done = the_one(), []
        waiting = [f"batch{i}" for i in range(7)]
        running = []
        while waiting or running:
            while waiting and m.can_process_job(6000):
                running.append(waiting.pop(0))
                m.allocate_job(running[-1], 6000)
            assert len(running) == 3 or not waiting
            done.append(running.pop(0))
            m.cleanup_after_job(done[-1])
        assert len(done) == 7 and m.get_gpu_stats()["total_jobs_processed"] == 7

    def test_gpu_manager_with_hunyuan(self, the_one):
        """An application's part asks for the manager by itself, and gets the same."""
        class Processor:
            def __init__(self):
                self.manager = get_gpu_manager()
                self.device = self.manager.device

        p = Processor()
        assert p.manager is the_one() and p.device == "cuda"

    def test_memory_tracking_during_operation(self, the_one, gpu):
        before = the_one().get_memory_info()
        gpu.used_mb += 4000
        after = the_one().get_memory_info()
        assert after["used"] - before["used"] == 4000
        assert before["available"] - after["available"] == 4000

    def test_multi_job_scenario(self, the_one):
        m = the_one()
        for i, fits in enumerate([True, True, False]):
            assert m.can_process_job(estimated_vram=8000) is fits
            if fits:
                m.allocate_job(f"job{i}", 8000)
        assert m.can_process_job(estimated_vram=1000) is True

    def test_resource_exhaustion_handling(self, the_one):
        m = the_one()
        assert m.can_process_job(estimated_vram=1000000) is False
        with pytest.raises(ResourcesExhausted):
            with m.managed_generation("huge", 1000000):
                raise AssertionError("it was let in")
        assert m.get_gpu_stats()["failed_jobs"] == 0 and m.can_process_job(1000) is True


def test_the_older_name():
    m = GPUMemoryManager(sources=[Gpu()])
    assert m.can_process_job(1000)
    m.close()
