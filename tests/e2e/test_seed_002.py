"""The second seed's tests of a GPU manager, its monitoring half, under their own names: what it asked of
an object in the process, these ask of the daemon. Its jobs are leases, and tested where those are."""

import os
import re

import pytest

from fake_gpus import UUIDS, FakeGpus
from wharf_harness import demo, until

GIB, MIB = 1024 ** 3, 1024 ** 2


@pytest.fixture
def gpus(tmp_path):
    return lambda count=1: FakeGpus(tmp_path, count)


def config(name="m", vram="4GiB", **keys):
    return {"models": {name: demo(name) | {"vram": vram}}, **keys}


def status(d):
    return d.ok(d.get("/wharf/status")).json()


def devices(d):
    return d.ok(d.get("/wharf/devices")).json()["devices"]


def first(d, **wanted):
    """The first device, once it is there and so."""
    return until(lambda: next((x for x in devices(d)[:1] if x["present"] and
                               all(x[k] == v for k, v in wanted.items())), None), f"a device with {wanted}")


# ---------------------------------------------------------------- initialization and configuration


def test_gpu_manager_initialization(wharf, gpus):
    """It says what it will do and with what."""
    d = wharf(config(), env=gpus().env())
    first(d)
    s = status(d)
    assert (s["state"], s["planner"], s["degraded"]) == ("serving", "fit", None)
    assert s["jobs"] == {"active": 0, "waiting": 0, "processed": 0, "failed": 0, "cancelled": 0}
    assert [x["name"] for x in s["devices"]] == ["NVIDIA Fake"]


def test_cuda_availability_check(wharf, gpus):
    with_one = wharf(config(), env=gpus().env())
    assert first(with_one)["maker"] == "NVIDIA"
    without = wharf(config(gpus="cuda"))
    until(lambda: status(without)["degraded_mode"], "what is lacking")
    assert devices(without) == [] and "no GPU" in status(without)["degraded"]


@pytest.mark.slice
@pytest.mark.parametrize("found", [True, False])
def test_device_selection_auto(wharf, gpus, found):
    """The GPU where there is one, else the CPU."""
    fake = gpus()
    d = wharf(config(gpus="auto"), env=fake.env() if found else {})
    d.ok(d.chat("m"))
    assert d.model("m")["devices"] == (["NVIDIA Fake"] if found else [])
    assert status(d)["planner"] == ("fit" if found else "group")


def test_device_selection_cuda(wharf, gpus):
    d = wharf(config(gpus="cuda"), env=gpus().env())
    d.ok(d.chat("m"))
    assert d.model("m")["device"] == "NVIDIA Fake" and not status(d)["degraded_mode"]


def test_device_selection_cpu(wharf, gpus):
    """Nothing of a GPU is even looked at, and models are told that there is none."""
    fake = gpus()
    d = wharf(config(gpus="cpu"), env=fake.env())
    d.ok(d.chat("m"))
    assert devices(d) == [] and not status(d)["degraded_mode"] and not fake.readings()
    with open(f"/proc/{d.model('m')['pid']}/environ") as f:
        assert "\0CUDA_VISIBLE_DEVICES=-1\0" in "\0" + f.read()


# ---------------------------------------------------------------- statistics and monitoring


@pytest.mark.slice
def test_get_gpu_stats(wharf, gpus):
    """Allocated, reserved, free, total, peak, utilisation, name, active jobs, totals processed and failed."""
    fake = gpus()
    fake.set(_0_util=37)
    d = wharf(config(), env=fake.env())
    d.ok(d.chat("m"))
    assert d.chat("m", headers={"X-Wharf-Wait": "soon"}).status == 400
    assert d.post("/v1/chat/completions", {"model": "m", "messages": [], "stream": "x" * 10}).status == 200
    fake.use(0, {d.model("m")["pid"]: 3 * GIB})
    device = first(d, used_bytes=3 * GIB)
    assert {k: device[k] for k in ("name", "total_bytes", "own_bytes", "reserved_bytes", "free_bytes", "peak_bytes",
                                   "utilisation_percent")} == {
        "name": "NVIDIA Fake", "total_bytes": 24 * GIB, "own_bytes": 4 * GIB, "reserved_bytes": GIB // 2,
        "free_bytes": 20.5 * GIB, "peak_bytes": 3 * GIB, "utilisation_percent": 37}
    jobs = status(d)["jobs"]
    assert (jobs["active"], jobs["processed"]) == (0, 2)


def test_gpu_memory_info(wharf, gpus):
    fake = gpus()
    d = wharf(config(), env=fake.env())
    device = first(d)
    assert device["used_bytes"] + device["free_bytes"] + device["reserved_bytes"] == device["total_bytes"]
    fake.use(0, {os.getpid(): 6 * GIB})
    device = first(d, used_bytes=6 * GIB)
    assert device["used_bytes"] + device["free_bytes"] + device["reserved_bytes"] == device["total_bytes"]
    assert device["foreign_bytes"] == 6 * GIB


def test_gpu_utilization_tracking(wharf, gpus):
    fake = gpus()
    d = wharf(config(), env=fake.env())
    assert first(d)["utilisation_percent"] is None, "not known is not 0"
    for percent in (0, 55, 100):
        fake.set(_0_util=percent)
        assert first(d, utilisation_percent=percent)["utilisation_percent"] == percent


def test_multiple_device_support(wharf, gpus):
    d = wharf(config(), env=gpus(4).env())
    first(d)
    assert [(x["index"], x["uuid"]) for x in devices(d)] == list(enumerate(UUIDS[:4]))
    assert len({x["name"] for x in devices(d)}) == 4, "each has a name of its own"


def test_device_properties(wharf, gpus):
    d = wharf(config(), env=gpus().env())
    device = first(d)
    assert {k: device[k] for k in ("uuid", "pci", "driver", "driver_version", "unified", "mig")} == {
        "uuid": UUIDS[0], "pci": "0000:01:00.0", "driver": "nvidia", "driver_version": "580.95.05",
        "unified": False, "mig": False}


def test_max_memory_tracking(wharf, gpus):
    """A peak stays when what it was of has gone: of the device, and of the model."""
    fake = gpus()
    d = wharf(config(), env=fake.env())
    d.ok(d.chat("m"))
    for used, peak in ((2, 2), (5, 5), (1, 5)):
        fake.use(0, {d.model("m")["pid"]: used * GIB})
        assert first(d, used_bytes=used * GIB)["peak_bytes"] == peak * GIB
        assert d.model("m")["peak_bytes"] == peak * GIB


def test_memory_reserved(wharf, gpus):
    """What the driver keeps is nobody's: neither used nor free, and not handed out."""
    fake = gpus()
    fake.set(_0_reserved=2 * GIB)
    fake.use(0, {}, reserved=2 * GIB)
    d = wharf(config(), env=fake.env())
    device = first(d, reserved_bytes=2 * GIB)
    assert (device["used_bytes"], device["free_bytes"], device["room_bytes"]) == (0, 22 * GIB, 22 * GIB)


def test_gpu_name_detection(wharf, gpus):
    fake = gpus()
    fake.set(_0_name="NVIDIA GeForce RTX 4090")
    d = wharf(config(), env=fake.env())
    assert (first(d)["name"], first(d)["model"]) == ("NVIDIA GeForce RTX 4090",) * 2
    assert "NVIDIA GeForce RTX 4090: 512MiB of 24GiB used" in d.cli("status", check=0).stdout


# ---------------------------------------------------------------- limits and errors


@pytest.mark.parametrize("vram, status_code", [("9GiB", 200), ("10GiB", 507)])
def test_memory_limit_enforcement(wharf, vram, status_code):
    """The seed's limit is 0.8 of the device."""
    d = wharf(config(vram=vram, gpus=[{"sim": {"name": "sim", "memory": "12GiB"}, "limit": 0.8}]))
    answer = d.chat("m")
    assert answer.status == status_code
    if status_code == 507:
        assert "9.6GiB" in answer.message, answer.message


def test_error_handling_no_gpu(wharf):
    """Where one was asked for, it is said; requests are served all the same."""
    d = wharf(config(gpus="cuda"))
    until(lambda: status(d)["degraded_mode"], "what is lacking")
    s = status(d)
    assert s["degradations"][0]["what"] == "gpu" and "no GPU" in s["degraded"]
    assert re.search(r"warn +degraded .*no GPU", d.stderr)
    d.ok(d.chat("m"))


def test_fallback_to_cpu(wharf):
    """A model with both is loaded on the CPU where there is no GPU."""
    d = wharf({"models": {"m": {**demo("m"), "devices": {"cuda": {"vram": "4GiB"}, "cpu": {}}}}})
    d.ok(d.chat("m"))
    m = d.model("m")
    assert m["state"] == "loaded" and m["device"] is None and m["devices"] == []


# ---------------------------------------------------------------- together


def test_memory_tracking_during_operation(wharf):
    """Used grows with what is loaded and falls with what leaves, as events tell too."""
    d = wharf({"gpus": [{"sim": {"name": "sim", "memory": "12GiB"}, "sample": "20ms"}],
               "models": {n: demo(n, vram="4GiB") for n in "ab"}})
    events = d.events()
    for name, used in (("a", 4), ("b", 8)):
        d.load(name)
        first(d, used_bytes=used * GIB, own_bytes=used * GIB)
    d.ok(d.post("/wharf/models/a/unload"))
    device = first(d, used_bytes=4 * GIB, own_bytes=4 * GIB)
    assert device["peak_bytes"] == 8 * GIB and device["room_bytes"] == 8 * GIB
    changes = [e["details"]["delta_bytes"] for e in events.catch_up().all("vram_changed")]
    assert sum(changes) == 4 * GIB and min(changes) < 0 < max(changes)


@pytest.mark.slice
def test_resource_exhaustion_handling(wharf, gpus):
    """A stranger has it all: said with numbers, nobody is loaded over it, and it is served when it is free."""
    fake = gpus()
    fake.use(0, {os.getpid(): 23 * GIB})
    d = wharf(config(), env=fake.env())
    first(d, foreign_bytes=23 * GIB)
    answer = d.chat("m", headers={"X-Wharf-Wait": "0"})
    assert answer.status == 503 and d.state_of("m") == "unloaded"
    plan = d.ok(d.post("/wharf/plan", {"model": "m"})).json()
    assert (plan["verdict"], plan["why"]) == ("blocked", "others on the device hold the room")
    assert status(d)["jobs"]["failed"] == 1
    fake.use(0, {})
    d.ok(d.chat("m"))
    assert status(d)["jobs"]["processed"] == 1
