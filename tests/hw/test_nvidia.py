"""Readings of a real NVIDIA GPU against what nvidia-smi says, and a real allocation's owner."""

import ctypes
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from wharf_harness import Daemon, until  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30
TAKEN = 768 * MIB
# Nothing of the tests' own machine without GPUs.
REAL = {"WHARF_NVML": None, "WHARF_GPU_ROOT": None}


def smi(*fields):
    """A row a GPU, by PCI address."""
    run = subprocess.run(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"],
                         capture_output=True, text=True, timeout=60)
    return [[v.strip() for v in line.split(",")] for line in run.stdout.splitlines()] if run.returncode == 0 else []


def has_gpu():
    if not shutil.which("nvidia-smi"):
        return False
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return bool(smi("uuid"))


pytestmark = pytest.mark.skipif(not has_gpu(), reason="no NVIDIA GPU")


@pytest.fixture
def daemon(tmp_path):
    started = []

    def start(config):
        started.append(Daemon(tmp_path / "daemon", config, env=REAL))
        return started[-1]

    yield start
    for d in started:
        d.finish()


def devices(d):
    return d.ok(d.get("/wharf/devices")).json()["devices"]


def model(vram):
    return {"cmd": f"{sys.executable} {HERE / 'cuda_model.py'} ${{PORT}} {TAKEN}",
            "checkEndpoint": "/", "vram": vram}


def test_readings_are_those_of_nvidia_smi(daemon):
    d = daemon({"models": {"a": model("1GiB")}})
    wanted = smi("uuid", "name", "driver_version", "memory.total", "temperature.gpu")
    found = until(lambda: devices(d), "the GPUs")
    assert [x["uuid"] for x in found] == [row[0] for row in wanted][:8]
    for x, row in zip(found, wanted):
        assert (x["model"], x["driver_version"]) == (row[1], row[2])
        if row[3].isdigit():
            assert abs(x["total_bytes"] - int(row[3]) * MIB) <= MIB
        else:
            assert x["unified"]
        if row[4].isdigit():
            assert abs(x["temperature_c"] - int(row[4])) <= 10
        assert x["free_bytes"] <= x["total_bytes"] and x["degraded"] is None
        if x["reserved_bytes"] is not None:
            assert x["used_bytes"] + x["free_bytes"] + x["reserved_bytes"] == x["total_bytes"]


def test_a_real_allocation_is_the_models(daemon):
    d = daemon({"models": {"a": model("2GiB")}})
    found = until(lambda: devices(d), "the GPUs")
    if any(x["processes"] is None for x in found):
        pytest.skip(f"processes cannot be told: {found[0]['processes_unknown']}")
    before = {x["uuid"]: x["free_bytes"] for x in found}
    d.load("a")
    where = d.model("a")["device"]
    used = until(lambda: (d.model("a")["used_bytes"] or 0) >= TAKEN and d.model("a")["used_bytes"],
                 "the model's memory")
    assert used < TAKEN + 2 * GIB, "its context comes on top"
    gpu = next(x for x in devices(d) if x["name"] == where)
    pid = d.model("a")["pid"]
    assert [p["model"] for p in gpu["processes"] if p["pid"] == pid] == ["a"]
    assert before[gpu["uuid"]] - gpu["free_bytes"] >= TAKEN
    d.ok(d.post("/wharf/models/a/unload"))
    until(lambda: next(x for x in devices(d) if x["name"] == where)["free_bytes"]
          >= before[gpu["uuid"]] - 256 * MIB, "the memory to be free again")
