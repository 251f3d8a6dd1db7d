"""llama-swap's readings of the machine (3.16, 3.18, 6.5): /api/performance, /api/hardware, /metrics."""

import datetime
import json
import os
import re

import pytest

from wharf_harness import until

CONFIG = {"models": {}, "gpus": [{"sim": {"name": 'gpu "0"', "memory": "8GiB"}, "sample": "50ms"}]}
SYSTEM = ["timestamp", "cpu_util_per_core", "mem_total_mb", "mem_used_mb", "mem_free_mb", "swap_total_mb",
          "swap_used_mb", "load_avg_1", "load_avg_5", "load_avg_15", "net_io"]
DEVICE = ["timestamp", "id", "name", "uuid", "temp_c", "vram_temp_c", "gpu_util_pct", "mem_util_pct", "mem_used_mb",
          "mem_total_mb", "fan_speed_pct", "power_draw_w"]
GAUGES = ["cpu_util_percent", "memory_total_bytes", "memory_used_bytes", "memory_free_bytes", "swap_total_bytes",
          "swap_used_bytes", "load_average", "gpu_memory_used_bytes", "gpu_memory_total_bytes"]


def measured(d, path="/api/performance"):
    """The readings, once there is one."""
    return until(lambda: (a := d.ok(d.get(path)).json())["sys_stats"] and a, "a reading")


def when(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", text)
    return datetime.datetime.fromisoformat(text[:26] + "+00:00")


def test_system(wharf):
    d = wharf(CONFIG)
    answer = measured(d)
    assert list(answer) == ["enabled", "gpu_stats", "sys_stats"] and answer["enabled"] is True
    row = answer["sys_stats"][0]
    assert list(row) == SYSTEM
    assert abs((datetime.datetime.now(datetime.timezone.utc) - when(row["timestamp"])).total_seconds()) < 60
    assert len(row["cpu_util_per_core"]) == os.sysconf("SC_NPROCESSORS_ONLN")
    assert all(0 <= core <= 100 for core in row["cpu_util_per_core"])
    assert 0 < row["mem_used_mb"] < row["mem_total_mb"]
    assert all(row["load_avg_%d" % n] >= 0 for n in (1, 5, 15))
    assert all(list(net) == ["name", "bytes_recv", "bytes_sent"] and net["name"] != "lo" for net in row["net_io"])


def test_devices(wharf):
    d = wharf(CONFIG)
    until(lambda: d.ok(d.get("/wharf/devices")).json()["devices"][0]["sampled_s"] is not None, "a sample")
    d.write_config({**CONFIG, "performance": {"every": "6s"}})  # measures at once
    d.events().catch_up()
    rows = until(lambda: measured(d)["gpu_stats"], "a reading of the device")
    assert list(rows[0]) == DEVICE
    assert (rows[0]["id"], rows[0]["name"]) == (0, 'gpu "0"')
    assert (rows[0]["mem_used_mb"], rows[0]["mem_total_mb"]) == (0, 8192)
    assert rows[0]["temp_c"] is None and rows[0]["power_draw_w"] is None


def test_no_devices(wharf):
    assert measured(wharf({"models": {}}))["gpu_stats"] is None


def test_after(wharf):
    d = wharf(CONFIG)
    at = measured(d)["sys_stats"][0]["timestamp"]
    empty = d.ok(d.get("/api/performance?after=" + at)).json()
    assert empty == {"enabled": True, "gpu_stats": None, "sys_stats": None}
    before = (when(at) - datetime.timedelta(seconds=1)).isoformat().replace("+00:00", "%2B00:00")
    assert d.ok(d.get("/api/performance?after=" + before)).json()["sys_stats"]


@pytest.mark.parametrize("after", ["yesterday", "2026-03-04", "12", "2026-02-30T00:00:00Z"])
def test_after_what(wharf, after):
    answer = wharf({"models": {}}).get("/api/performance?after=" + after)
    assert answer.status == 400
    assert answer.message == "invalid 'after' timestamp, use RFC3339 format"


def test_disabled(wharf):
    d = wharf({"models": {}, "performance": {"disabled": True}})
    answer = d.get("/api/performance")
    assert (answer.status, answer.json()) == (503, {"enabled": False})
    answer = d.get("/metrics")
    assert answer.status == 503 and answer.text.startswith("# ") and answer.text.count("\n") == 1
    d.write_config({"models": {}})
    d.events().catch_up()
    measured(d)
    d.write_config({"models": {}, "performance": {"disabled": True}})
    d.signal(1)
    until(lambda: d.get("/api/performance").status == 503, "the reload")


def test_hardware(wharf):
    d = wharf({**CONFIG, "performance": {"disabled": True}})
    until(lambda: d.get("/api/hardware").status == 200, "the look at the machine")
    h = d.ok(d.get("/api/hardware")).json()
    assert list(h) == ["schema_version", "captured_at", "capture", "architecture", "operating_system", "environment",
                       "cpu", "memory", "accelerators"]
    assert h["schema_version"] == 1 and when(h["captured_at"])
    assert h["capture"]["scope"] == "inference_host" and h["capture"]["method"] == "detected"
    assert h["architecture"]["raw_name"] == os.uname().machine
    assert h["operating_system"]["family"] == "linux"
    assert h["operating_system"]["kernel"] == os.uname().release
    assert h["environment"]["kind"] in ("native", "container", "virtual_machine", "wsl")
    assert h["cpu"]["logical_thread_count"] == os.sysconf("SC_NPROCESSORS_ONLN")
    assert h["memory"]["capacity_bytes"] > 0
    last = h["accelerators"][-1]
    assert (last["index"], last["kind"], last["vendor"], last["model"]) == \
        (len(h["accelerators"]) - 1, "gpu", "simulated", 'gpu "0"')
    assert last["memory"] == {"kind": "dedicated", "capacity_bytes": 8 << 30}


@pytest.mark.slice
def test_metrics(wharf):
    d = wharf(CONFIG)
    measured(d)
    until(lambda: "gpu_memory_used" in d.ok(d.get("/metrics")).text, "a sample of the device")
    answer = d.ok(d.get("/metrics"))
    assert answer.header("Content-Type").startswith("text/plain; version=0.0.4")
    kinds, samples = {}, {}
    for line in answer.text.splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            kinds[name] = kind
        elif not line.startswith("#"):
            match = re.fullmatch(r'(\w+)((?:\{(?:\w+="(?:[^"\\\n]|\\.)*",?)+\})?) (\d+(?:\.\d+)?)', line)
            assert match, line
            samples[match[1] + match[2]] = float(match[3])
    for name in GAUGES:
        assert kinds["llamaswap_" + name] == "gauge"
    assert kinds.get("llamaswap_network_bytes_total", "counter") == "counter"
    assert answer.text.count("# HELP") == len(kinds)
    theirs = {name for name in kinds if name.startswith("llamaswap_")}
    assert {s.split("{")[0] for s in samples if s.startswith("llamaswap_")} == theirs
    assert samples['llamaswap_gpu_memory_total_bytes{id="0",name="gpu \\"0\\""}'] == 8 << 30
    assert 'llamaswap_cpu_util_percent{core="0"}' in samples
    assert {'llamaswap_load_average{interval="%s"}' % i for i in ("1m", "5m", "15m")} <= set(samples)


def test_it_is_json(wharf):
    """Names of devices and of the system may hold any character."""
    d = wharf(CONFIG)
    measured(d)
    for path in ("/api/performance", "/api/hardware"):
        assert d.get(path).header("Content-Type") == "application/json"
        json.loads(d.get(path).body)
