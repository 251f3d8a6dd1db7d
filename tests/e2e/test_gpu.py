"""GPUs of the machine: found, read by a process of its own, counted by `fit`, and lost again."""

import os
import re
import signal

import pytest

from fake_gpus import GIB, UUIDS, FakeGpus, descriptors
from wharf_harness import Later, demo, is_alive, until, wait_exit


@pytest.fixture
def gpus(tmp_path):
    return lambda count=1, **options: FakeGpus(tmp_path, count, **options)


def model(name, vram, **keys):
    """Whose memory, if any, is what the script of the GPU says."""
    return demo(name, **({"vram": vram} if vram else {}), **keys) | {
        "cmd": re.sub(r" --vram \S+", "", demo(name)["cmd"])}


def config(sizes, **keys):
    return {"models": {name: model(name, f"{size}GiB") for name, size in sizes.items()}, **keys}


def devices(d):
    return d.ok(d.get("/wharf/devices")).json()["devices"]


def device(d, **wanted):
    """The first device, once it is so."""
    def right():
        found = devices(d)
        return found and all(found[0][k] == v for k, v in wanted.items()) and found[0]
    return until(right, f"a device with {wanted}; is {devices(d)}")


def degraded(d):
    return d.ok(d.get("/wharf/status")).json()["degraded"]


def degradations(d):
    return [(x["what"], x["name"], x["models"]) for x in d.get("/wharf/status").json()["degradations"]]


def loaded(d):
    return "".join(sorted(m["id"] for m in d.get("/wharf/models").json()["models"]
                          if m["state"] == "loaded"))


def environment(d, name):
    with open(f"/proc/{d.model(name)['pid']}/environ") as f:
        return dict(e.split("=", 1) for e in f.read().split("\0") if "=" in e)


# ---------------------------------------------------------------- what is read


@pytest.mark.slice
def test_what_is_known_is_shown(wharf, gpus):
    fake = gpus(2)
    fake.set(_0_util=5, _0_mem_util=2, _0_temp=41, _0_power=25123, _0_limit=450000, _0_fan=30)
    d = wharf(config({"a": 1}), env=fake.env())
    first, second = until(lambda: devices(d), "the GPUs")
    assert {k: first[k] for k in ("index", "name", "model", "maker", "uuid", "pci", "driver", "driver_version")} == {
        "index": 0, "name": "NVIDIA Fake", "model": "NVIDIA Fake", "maker": "NVIDIA", "uuid": UUIDS[0],
        "pci": "0000:01:00.0", "driver": "nvidia", "driver_version": "580.95.05"}
    assert second["name"] == "NVIDIA Fake #2"
    assert {k: first[k] for k in ("total_bytes", "free_bytes", "used_bytes", "reserved_bytes", "peak_bytes")} == {
        "total_bytes": 24 * GIB, "free_bytes": 23 * GIB, "used_bytes": GIB // 2,
        "reserved_bytes": GIB // 2, "peak_bytes": GIB // 2}
    assert (first["utilisation_percent"], first["memory_utilisation_percent"], first["temperature_c"]) == (5, 2, 41)
    assert (first["power_w"], first["power_limit_w"], first["fan_percent"]) == (25.123, 450, 30)
    # What is not known is not 0.
    for member in ("utilisation_percent", "temperature_c", "memory_temperature_c", "power_w", "fan_percent"):
        assert second[member] is None, member
    assert first["degraded"] is None and degraded(d) is None
    assert first["foreign_bytes"] == GIB // 2 and first["room_bytes"] == 23 * GIB


def test_llama_swaps_faces_show_the_same_reading(wharf, gpus):
    fake = gpus(1)
    fake.set(_0_util=5, _0_mem_util=2, _0_temp=41, _0_power=25123, _0_limit=450000, _0_fan=30)
    d = wharf(config({"a": 1}, performance={"every": "5s"}), env=fake.env())
    until(lambda: "llamaswap_gpu_power" in d.get("/metrics").text, "the GPU in the metrics")
    text = d.get("/metrics").text
    labels = f'{{id="0",name="NVIDIA Fake",uuid="{UUIDS[0]}"}}'
    for name, value in (("temperature_celsius", "41"), ("util_percent", "5"), ("memory_util_percent", "2"),
                        ("memory_used_bytes", str(GIB // 2)), ("memory_total_bytes", str(24 * GIB)),
                        ("fan_speed_percent", "30"), ("power_draw_watts", "25.12")):
        assert f"\nllamaswap_gpu_{name}{labels} {value}\n" in text, name
    assert "gpu_vram_temperature" not in text, "what is not known has no sample"
    [accelerator] = until(lambda: d.get("/api/hardware").json()["accelerators"], "the accelerator")
    assert accelerator == {
        "index": 0, "kind": "gpu", "vendor": "NVIDIA", "model": "NVIDIA Fake", "architecture": "",
        "memory": {"kind": "dedicated", "capacity_bytes": 24 * GIB},
        "driver": {"name": "nvidia", "version": "580.95.05"}, "power_limit_watts": 450}


def test_performance_keeps_readings(wharf, gpus):
    fake = gpus(1)
    fake.set(_0_temp=41)
    d = wharf(config({"a": 1}, performance={"every": "5s"}), env=fake.env())
    rows = until(lambda: d.ok(d.get("/api/performance")).json()["gpu_stats"], "a row")
    row = {k: v for k, v in rows[0].items() if k != "timestamp"}
    assert row == {"id": 0, "name": "NVIDIA Fake", "uuid": UUIDS[0], "temp_c": 41, "vram_temp_c": None,
                   "gpu_util_pct": None, "mem_util_pct": None, "mem_used_mb": 512, "mem_total_mb": 24576,
                   "fan_speed_pct": None, "power_draw_w": None}


def test_the_command_line(wharf, gpus):
    fake = gpus(1)
    fake.set(_0_util=5, _0_temp=41, _0_power=25123)
    d = wharf(config({"a": 1}), env=fake.env())
    until(lambda: devices(d), "the GPU")
    text = d.cli("devices", check=0).stdout
    for part in ("24GiB", "512MiB", "5%", "41 C", "25 W", "nvidia 580.95.05", UUIDS[0], "0000:01:00.0"):
        assert part in text, text


def test_an_old_driver(wharf, gpus):
    fake = gpus(1, library="libnvidia-ml-old.so.1")
    d = wharf(config({"a": 1}), env=fake.env())
    first = device(d, present=True)
    assert (first["used_bytes"], first["reserved_bytes"]) == (GIB, None)


# ---------------------------------------------------------------- whose it is


@pytest.mark.threads
@pytest.mark.slice
def test_bytes_are_attributed(wharf, gpus):
    fake = gpus(1)
    d = wharf(config({"a": 4}), env=fake.env())
    d.ok(d.chat("a"))
    pid = d.model("a")["pid"]
    fake.use(0, {pid: 3 * GIB, os.getpid(): 2 * GIB})
    found = device(d, used_bytes=5 * GIB)
    assert sorted((p["pid"], p["bytes"], p["model"]) for p in found["processes"]) == sorted(
        [(pid, 3 * GIB, "a"), (os.getpid(), 2 * GIB, None)])
    assert (found["own_bytes"], found["foreign_bytes"]) == (4 * GIB, 2 * GIB)
    assert (d.model("a")["used_bytes"], d.model("a")["peak_bytes"]) == (3 * GIB, 3 * GIB)
    fake.use(0, {pid: GIB})
    device(d, used_bytes=GIB)
    until(lambda: d.model("a")["used_bytes"] == GIB, "the model's share")
    assert (d.model("a")["peak_bytes"], device(d)["peak_bytes"]) == (3 * GIB, 5 * GIB)
    until(lambda: device(d)["foreign_bytes"] == 0, "the stranger's end")


def test_processes_below_a_model_are_its_own(wharf, gpus, containment):
    fake = gpus(1)
    c = config({"a": 4})
    c["models"]["a"]["cmd"] += " --fork-grandchildren 1"
    d = wharf(c, env=fake.env(), **containment)
    d.ok(d.chat("a"))
    child = until(lambda: [p for p in d.tree() if p != d.model("a")["pid"]], "the model's child")[0]
    fake.use(0, {child: 3 * GIB})
    found = device(d, used_bytes=3 * GIB)
    assert found["processes"] == [{"pid": child, "name": "wharf-demo-mode", "bytes": 3 * GIB, "model": "a",
                                   "lease": None, "lease_name": None}]
    assert d.model("a")["used_bytes"] == 3 * GIB


def test_whose_a_process_is_is_not_forgotten(wharf, gpus):
    """Nor kept beyond its model: the next one's process is another."""
    fake = gpus(1)
    d = wharf(config({"a": 4, "b": 4}, gpus=[{"sample": "20ms"}]), env=fake.env())
    d.ok(d.chat("a"))
    first = d.model("a")["pid"]
    fake.use(0, {first: 3 * GIB, os.getpid(): GIB})
    until(lambda: d.model("a")["used_bytes"] == 3 * GIB, "the model's share")
    count = len(fake.readings())
    until(lambda: len(fake.readings()) > count + 25, "many readings more")
    found = device(d, used_bytes=4 * GIB)
    assert sorted((p["pid"], p["model"]) for p in found["processes"]) == sorted(
        [(first, "a"), (os.getpid(), None)])
    d.ok(d.post("/wharf/models/a/unload"))
    d.ok(d.chat("b"))
    second = d.model("b")["pid"]
    fake.use(0, {second: 2 * GIB, os.getpid(): GIB})
    until(lambda: d.model("b")["used_bytes"] == 2 * GIB, "the other one's share")
    assert d.model("a")["used_bytes"] is None


def test_a_model_is_in_the_way_of_nobody_when_a_stranger_has_the_memory(wharf, gpus):
    fake = gpus(1)
    fake.use(0, {os.getpid(): 20 * GIB})
    d = wharf(config({"a": 8}), env=fake.env())
    device(d, foreign_bytes=20 * GIB)
    answer = d.chat("a", headers={"X-Wharf-Wait": "0"})
    assert answer.status == 503, answer
    fake.use(0, {})
    d.ok(d.chat("a"))


@pytest.mark.slice
def test_ids_of_another_namespace_say_nothing(wharf, gpus):
    """As in a container: the driver's numbers are the host's."""
    fake = gpus(1)
    fake.namespace(4026532999)
    d = wharf(config({"a": 8, "b": 8, "c": 12}), env=fake.env())
    for name in "abc":
        d.ok(d.chat(name))
        fake.use(0, {99999: 8 * GIB})
    found = device(d, used_bytes=8 * GIB)
    assert found["processes"] is None and "container" in found["processes_unknown"]
    assert d.model("c")["used_bytes"] is None and d.model("c")["peak_bytes"] is None
    assert "container" in d.cli("devices", check=0).stdout
    assert "whose memory it is on that GPU is not known" in d.stderr


# ---------------------------------------------------------------- fit


@pytest.mark.slice
def test_fit_counts_the_bytes_of_real_gpus(wharf, gpus):
    fake = gpus(2)
    d = wharf(config({"a": 15, "b": 15, "c": 15, "huge": 30}), env=fake.env())
    events = d.events()
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    assert loaded(d) == "ab"
    assert {d.model("a")["device"], d.model("b")["device"]} == {"NVIDIA Fake", "NVIDIA Fake #2"}
    d.ok(d.chat("c"))
    assert loaded(d) == "bc"
    events.wait_for("evicted", model="a")
    answer = d.chat("huge")
    assert (answer.status, answer.error["code"]) == (507, "insufficient_memory")
    assert "23.5" in answer.message, answer.message  # without what the driver keeps
    assert d.get("/wharf/status").json()["planner"] == "fit"


def test_bytes_that_have_not_come_back_are_not_given_out(wharf, gpus):
    """The process has gone, and the driver still counts its memory."""
    fake = gpus(1)
    d = wharf(config({"a": 15, "b": 15}), env=fake.env())
    events = d.events()
    d.ok(d.chat("a"))
    pid = d.model("a")["pid"]
    fake.use(0, {pid: 15 * GIB})
    until(lambda: d.model("a")["used_bytes"] == 15 * GIB, "the reading")
    fake.use(0, {}, foreign=15 * GIB)  # nobody's any more
    unload = Later(d.post, "/wharf/models/a/unload")
    events.wait_for("model_unloaded", model="a")
    assert device(d)["settling_bytes"] == 15 * GIB and not unload.done
    fake.use(0, {})
    events.wait_for("settled", model="a")
    assert unload.result().json()["settling"] is False
    d.ok(d.chat("b"))


def test_a_model_is_told_where_it_sits(wharf, gpus):
    fake = gpus(2)
    c = config({"a": 15, "b": 15, "wide": 30})
    c["models"]["wide"]["gpuCount"] = 2
    c["models"]["own"] = model("own", "1GiB", env=["CUDA_VISIBLE_DEVICES=7"])
    d = wharf(c, env=fake.env())
    seen = set()
    for name in "ab":
        d.ok(d.chat(name))
        seen.add(environment(d, name)["CUDA_VISIBLE_DEVICES"])
        assert environment(d, name)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert "HIP_VISIBLE_DEVICES" not in environment(d, name)
    assert seen == set(UUIDS[:2])
    d.ok(d.chat("wide"))
    assert environment(d, "wide")["CUDA_VISIBLE_DEVICES"] == ",".join(UUIDS[:2])
    d.ok(d.chat("own"))
    assert environment(d, "own")["CUDA_VISIBLE_DEVICES"] == "7", "the model's own env wins"


@pytest.mark.parametrize("name", ["1", UUIDS[1], UUIDS[1][:12].lower(), "0000:02:00.0", "00000000:02:00.0", "02:00.0"])
def test_a_device_is_named(wharf, gpus, name):
    fake = gpus(3)
    d = wharf(config({"a": 1}, gpus=[{"device": name, "reserve": "2GiB", "limit": 0.5}]), env=fake.env())
    found = device(d, present=True)
    assert len(devices(d)) == 1 and found["uuid"] == UUIDS[1]
    # Of half of what the driver leaves, what is in use and the reserve are not handed out.
    assert abs(found["room_bytes"] - (11.75 - 0.5 - 2) * GIB) < 1000
    d.ok(d.chat("a"))
    assert environment(d, "a")["CUDA_VISIBLE_DEVICES"] == UUIDS[1]


def test_models_bound_to_a_device_by_number_and_uuid(wharf, gpus):
    fake = gpus(2)
    c = config({"a": 1, "b": 1})
    c["models"]["a"]["gpus"], c["models"]["b"]["gpus"] = ["1"], [UUIDS[0]]
    d = wharf(c, env=fake.env())
    for name, uuid in (("a", UUIDS[1]), ("b", UUIDS[0])):
        d.ok(d.chat(name))
        assert environment(d, name)["CUDA_VISIBLE_DEVICES"] == uuid


def test_others_fill_up_the_list(wharf, gpus):
    fake = gpus(3)
    d = wharf(config({"a": 1}, gpus=[{}, {"device": "0"}, {"sim": {"memory": "1GiB"}}, {"device": "9"}]),
              env=fake.env())
    device(d, present=True)
    assert [x["uuid"] for x in devices(d)] == [UUIDS[1], UUIDS[0], None, None]
    assert devices(d)[3]["degraded"] == "no such GPU was found" and not devices(d)[3]["present"]


def test_a_plain_configuration_is_not_changed_by_gpus(wharf, gpus):
    """As llama-swap: one model at a time, and nothing is told to its server."""
    fake = gpus(2)
    d = wharf({"models": {"a": model("a", None), "b": model("b", None)}}, env=fake.env())
    until(lambda: len(devices(d)) == 2, "both GPUs")
    d.ok(d.chat("a"))
    assert "CUDA_VISIBLE_DEVICES" not in environment(d, "a")
    d.ok(d.chat("b"))
    assert loaded(d) == "b" and d.get("/wharf/status").json()["planner"] == "group"


def test_reload_keeps_the_gpus(wharf, gpus):
    fake = gpus(2)
    c = config({"a": 15, "b": 15})
    d = wharf(c, env=fake.env())
    d.ok(d.chat("a"))
    d.reload({**config({"a": 15, "b": 15, "c": 1})})
    d.ok(d.chat("b"))
    assert loaded(d) == "ab" and [x["uuid"] for x in devices(d)] == UUIDS[:2]
    d.reload({**c, "gpus": [{"device": "0"}]})
    assert "a change of gpus takes effect at the next start" in d.stderr
    assert [x["uuid"] for x in devices(d)] == UUIDS[:2] and loaded(d) == "ab"


# ---------------------------------------------------------------- none


@pytest.mark.slice
def test_without_a_gpu_models_run_all_the_same(wharf):
    d = wharf({"models": {"a": model("a", None)}})
    until(lambda: "no GPU: no NVIDIA driver" in d.stderr, "what was found")
    d.ok(d.chat("a"))
    assert degraded(d) is None and devices(d) == []
    assert d.stderr.count("no GPU") == 1
    until(lambda: not d.probes(), "the probe's end")


def test_without_a_gpu_fit_gives_way_to_group(wharf):
    d = wharf(config({"a": 8, "b": 8}))
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    status = d.get("/wharf/status").json()
    assert loaded(d) == "b" and status["planner"] == "group" and "no GPU" in status["degraded"]
    assert "planner=group holds" in d.stderr
    assert "no GPU" in d.cli("devices", check=0).stdout


def test_no_gpu_is_wanted(wharf, gpus):
    fake = gpus(1)
    d = wharf(config({"a": 8}, gpus="cpu"), env=fake.env())
    d.ok(d.chat("a"))
    env = environment(d, "a")
    assert (env["CUDA_VISIBLE_DEVICES"], env["HIP_VISIBLE_DEVICES"]) == ("-1", "-1")
    assert devices(d) == [] and degraded(d) is None and not fake.readings()
    assert "no GPU is used" in d.stderr


def test_only_nvidias_are_wanted(wharf):
    d = wharf({"models": {"a": model("a", None)}, "gpus": "cuda"})
    until(lambda: degraded(d), "what is lacking")
    assert "no GPU" in degraded(d)
    d.ok(d.chat("a"))


@pytest.mark.parametrize("init, why", [(9, "not loaded"), (18, "restart of the machine"), (999, "999")])
def test_a_driver_that_is_not_ready_is_looked_for_again(wharf, gpus, init, why):
    fake = gpus(1)
    fake.set(init=init)
    d = wharf(config({"a": 8, "b": 8}), env=fake.env())
    events = d.events()
    d.ok(d.chat("a"))
    assert why in degraded(d) and d.get("/wharf/status").json()["planner"] == "group"
    fake.set(init=None)
    events.wait_for("recovered")
    assert d.get("/wharf/status").json()["planner"] == "fit" and degraded(d) is None
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    assert loaded(d) == "ab"


# ---------------------------------------------------------------- trouble


@pytest.mark.slice
@pytest.mark.parametrize("call", ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetComputeRunningProcesses_v3",
                                  "nvmlDeviceGetUtilizationRates", "nvmlEventSetWait_v2"])
def test_a_driver_that_hangs_stops_nobody(wharf, gpus, call):
    fake = gpus(1)
    d = wharf(config({"a": 4}), env=fake.env())
    events = d.events()
    d.ok(d.chat("a"))
    old = until(d.probes, "the probe")[0]
    fake.set(hang=call)
    told = events.wait_for("degraded")["details"]
    reason = told["reason"]
    assert "has not answered" in reason and reason in degraded(d)
    # Once, and of all GPUs of the machine.
    assert (told["what"], told["name"], told["models"]) == ("gpu", None, ["a"])
    assert degradations(d) == [("gpu", None, ["a"])]
    for member in ("used_bytes", "free_bytes", "foreign_bytes", "utilisation_percent", "processes"):
        assert devices(d)[0][member] is None, member
    assert devices(d)[0]["total_bytes"] == 23.5 * GIB and devices(d)[0]["degraded"] == degraded(d)
    d.ok(d.chat("a"))
    wait_exit(old)
    fake.set(hang=None, _0_temp=77)
    assert events.wait_for("recovered")["details"]["name"] is None
    assert device(d, temperature_c=77)["used_bytes"] == GIB // 2 and degraded(d) is None
    assert degradations(d) == []
    assert "llamaswap_gpu_memory_used" in d.get("/metrics").text


@pytest.mark.slice
def test_a_driver_that_hangs_at_the_start(wharf, gpus):
    """Nobody waits for ever: the daemon goes on without GPUs, and takes them when they come."""
    fake = gpus(1)
    fake.set(hang="nvmlInit_v2")
    d = wharf(config({"a": 8, "b": 8}), env=fake.env())
    events = d.events()
    d.ok(d.chat("a"))
    assert "has not answered" in degraded(d)
    assert d.get("/wharf/status").json()["planner"] == "group"
    fake.set(hang=None)
    events.wait_for("recovered")
    d.ok(d.chat("b"))
    assert d.get("/wharf/status").json()["planner"] == "fit" and loaded(d) == "ab"


def test_requests_wait_for_the_first_answer(wharf, gpus):
    """Under `fit` nothing is decided before the GPUs are known: drivers that sleep wake up slowly."""
    fake = gpus(1)
    fake.set(init_ms=400)
    d = wharf(config({"a": 8, "b": 8}), env=fake.env())
    assert devices(d) == []
    d.ok(d.chat("a"))
    assert d.model("a")["device"] == "NVIDIA Fake"


def test_the_daemon_ends_while_a_driver_hangs(wharf, gpus):
    fake = gpus(1)
    fake.set(hang="nvmlDeviceGetMemoryInfo_v2")
    d = wharf(config({"a": 8}), env=fake.env(WHARF_GPU_HURRY="1"))
    until(d.probes, "the probe")
    d.stop()


@pytest.mark.slice
def test_a_probe_that_dies_is_replaced(wharf, gpus):
    fake = gpus(1)
    d = wharf(config({"a": 4}), env=fake.env())
    events = d.events()
    device(d, present=True)
    for _ in range(3):
        events.catch_up()
        pid = until(d.probes, "a probe")[0]
        os.kill(pid, signal.SIGKILL)
        reason = events.wait_for("degraded")["details"]["reason"]
        assert "ended with signal 9" in reason
        events.wait_for("recovered")
        assert until(d.probes, "another probe") != [pid]


def test_the_probe_has_nothing_of_the_daemons(wharf, gpus):
    fake = gpus(1)
    d = wharf(config({"a": 4}), env=fake.env())
    device(d, present=True)
    [pid] = until(d.probes, "the probe")
    held = descriptors(pid)
    assert set(held) <= {0, 1, 2} and held[0].startswith("socket:"), held
    assert "/dev/null" in held[1] and "/dev/null" in held[2]
    d.kill()
    wait_exit(pid)


def test_a_probe_ends_with_a_killed_daemon_inside_a_driver(wharf, gpus):
    fake = gpus(1)
    fake.set(hang="nvmlDeviceGetMemoryInfo_v2")
    d = wharf(config({"a": 4}), env=fake.env(WHARF_GPU_HURRY="1"))
    [pid] = until(d.probes, "the probe")
    until(fake.readings, "the driver's call")
    assert is_alive(pid)
    d.kill()
    wait_exit(pid)


@pytest.mark.slice
def test_a_gpu_that_is_lost(wharf, gpus):
    fake = gpus(2)
    d = wharf(config({"a": 15, "b": 15}), env=fake.env())
    events = d.events()
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    fake.set(_1_lost=1)
    lost = events.wait_for("device_lost")["details"]
    assert lost["device"] == "NVIDIA Fake #2" and "lost" in lost["reason"]
    first, second = devices(d)
    assert first["present"] and first["degraded"] is None and first["used_bytes"] is not None
    assert not second["present"] and "lost" in second["degraded"] and second["used_bytes"] is None
    assert "lost" in degraded(d) and degradations(d) == [("gpu", "NVIDIA Fake #2", ["a", "b"])]
    fake.set(_1_lost=None)
    events.wait_for("recovered", name="NVIDIA Fake #2")
    assert devices(d)[1]["present"] and degraded(d) is None


def test_a_gpu_that_the_driver_forgets(wharf, gpus):
    fake = gpus(2)
    d = wharf(config({"a": 15}), env=fake.env())
    events = d.events()
    until(lambda: len(devices(d)) == 2, "both GPUs")
    fake.set(count=1)
    os.kill(until(d.probes, "the probe")[0], signal.SIGKILL)
    assert "knows it no more" in events.wait_for("device_lost")["details"]["reason"]


def test_a_gpu_that_comes_later(wharf, gpus):
    fake = gpus(2)
    fake.set(count=1)
    d = wharf(config({"a": 15, "b": 15}), env=fake.env())
    device(d, present=True)
    fake.set(count=2)
    os.kill(until(d.probes, "the probe")[0], signal.SIGKILL)
    until(lambda: len(devices(d)) == 2 and devices(d)[1]["present"], "the second GPU")
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    assert loaded(d) == "ab"


def test_a_listed_gpu_that_comes_later(wharf, gpus):
    """It has no name before, and is told by its place in the list; then all is well with that."""
    fake = gpus(2)
    fake.set(count=1)
    c = config({"a": 1, "b": 1}, gpus=[{"device": "0"}, {"device": UUIDS[1]}])
    c["models"]["a"]["gpus"] = ["0"]
    d = wharf(c, env=fake.env())
    events = d.events()
    d.ok(d.chat("a"))
    assert degradations(d) == [("gpu", "gpus[1]", ["b"])] and degraded(d) == "no such GPU was found"
    fake.set(count=2)
    os.kill(until(d.probes, "the probe")[0], signal.SIGKILL)
    events.wait_for("recovered", name="gpus[1]")
    until(lambda: degradations(d) == [], "all to be well")
    d.ok(d.chat("b"))
    assert d.model("b")["device"] in ("NVIDIA Fake", "NVIDIA Fake #2")


def test_critical_errors_are_told(wharf, gpus):
    fake = gpus(1)
    d = wharf(config({"a": 4}), env=fake.env())
    events = d.events()
    device(d, present=True)
    fake.set(_0_xids=1, _0_xid=79)
    assert events.wait_for("device_error")["details"] == {"device": "NVIDIA Fake", "xid": 79}
    assert "critical error xid=79" in d.stderr


# ---------------------------------------------------------------- how often


def gaps(times):
    return [b - a for a, b in zip(times, times[1:])]


def test_readings_are_quick_around_loads_and_slow_otherwise(wharf, gpus):
    fake = gpus(1)
    d = wharf(config({"a": 4}), env=fake.env(WHARF_GPU_HURRY="1"))
    device(d, present=True)
    # The first one waits for the library as well.
    until(lambda: len(fake.readings()) >= 4, "three readings in peace")
    assert min(gaps(fake.readings()[1:4])) > 500
    before = len(fake.readings())
    d.load("a")
    until(lambda: len(fake.readings()) >= before + 6, "readings after the load")
    assert min(gaps(fake.readings()[before:])) < 400


def test_the_configuration_says_how_often(wharf, gpus):
    fake = gpus(1)
    d = wharf(config({"a": 4}, gpus=[{"sample": "30ms"}]), env=fake.env(WHARF_GPU_HURRY="1"))
    device(d, present=True)
    until(lambda: len(fake.readings()) >= 8, "readings")
    assert min(gaps(fake.readings())) < 400
    d.reload(config({"a": 4}, gpus=[{"sample": "1h"}]))
    count = len(fake.readings())
    d.load("a")
    until(lambda: len(fake.readings()) > count, "a reading that the core has asked for")


# ---------------------------------------------------------------- other makers


def amd(fake, pci, **files):
    files = {"vendor": "0x1002", "mem_info_vram_total": 16 * GIB, "mem_info_vram_used": GIB,
             "product_name": "Radeon Fake", **files}
    for name, value in files.items():
        fake.put(f"sys/devices/{pci}/{name}", f"{value}\n")
    fake.link(f"sys/devices/{pci}/driver", "/sys/bus/pci/drivers/amdgpu")
    card = len(list((fake.root / "sys/class/drm").glob("card*"))) if (fake.root / "sys/class/drm").exists() else 0
    fake.link(f"sys/class/drm/card{card}/device", f"../../../devices/{pci}")


@pytest.mark.slice
def test_amds(wharf, gpus):
    fake = gpus(0)
    amd(fake, "0000:03:00.0", gpu_busy_percent=12)
    amd(fake, "0000:43:00.0")
    d = wharf(config({"a": 12, "b": 12, "c": 12}), env=fake.env(WHARF_NVML="no-such-library.so"))
    found = device(d, present=True)
    assert (found["maker"], found["model"], found["driver"]) == ("AMD", "Radeon Fake", "amdgpu")
    assert (found["total_bytes"], found["used_bytes"], found["utilisation_percent"]) == (16 * GIB, GIB, 12)
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    assert {environment(d, m)["HIP_VISIBLE_DEVICES"] for m in "ab"} == {"0", "1"}
    assert "CUDA_VISIBLE_DEVICES" not in environment(d, "a")
    where = d.model("a")["device"]
    pci = next(x["pci"] for x in devices(d) if x["name"] == where)
    pid = d.model("a")["pid"]
    fake.link(f"proc/{pid}/fd/5", "/dev/dri/renderD128")
    fake.put(f"proc/{pid}/fdinfo/5", f"drm-driver: amdgpu\ndrm-pdev: {pci}\ndrm-client-id: 1\n"
                                     "drm-memory-vram: 7340032 KiB\n")
    until(lambda: d.model("a")["used_bytes"] == 7 * GIB, "the model's share")
    d.ok(d.chat("c"))
    assert loaded(d) == "bc"


def test_one_makers_are_used_without_a_list(wharf, gpus):
    fake = gpus(1)
    amd(fake, "0000:43:00.0")
    d = wharf(config({"a": 1}), env=fake.env())
    device(d, present=True)
    assert [x["maker"] for x in devices(d)] == ["NVIDIA"]
    assert len(d.get("/api/hardware").json()["accelerators"]) == 2
    assert "used only if gpus lists it" in d.stderr


def test_a_list_may_mix_them(wharf, gpus):
    fake = gpus(1)
    amd(fake, "0000:43:00.0")
    d = wharf(config({"a": 1}, gpus=[{"device": "0000:43:00.0"}, {}]), env=fake.env())
    device(d, present=True)
    assert [x["maker"] for x in devices(d)] == ["AMD", "NVIDIA"]


def test_memory_that_is_the_machines(wharf, gpus):
    fake = gpus(1)
    fake.set(_0_name="NVIDIA GB10", _0_total=None, _0_free=None, _0_reserved=None)
    d = wharf(config({"a": 0.1}), env=fake.env())
    found = device(d, present=True)
    assert found["unified"] and found["total_bytes"] == 1000000 * 1024 and found["free_bytes"] == 400000 * 1024
    d.ok(d.chat("a"))
