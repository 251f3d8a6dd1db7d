"""Engines that sleep: memory is given back and taken again, and every way in which that can fail.

The engines are fakes/engines.py, which behave and misbehave as the real ones do."""

import json
import os
import pathlib
import signal
import sys
import urllib.request

import pytest

import metrics
from wharf_harness import SECONDS, Later, check_config, content, demo, until

GIB = 1 << 30
FAKE = pathlib.Path(__file__).parent / "fakes" / "engines.py"
KEY = "secret-admin-key"
ENGINES = ["vllm", "sglang", "comfyui", "a1111", "tabby", "http"]
SUSPENDS = {
    "tabby": {"tabby": {"model": 'a "b"', "adminKey": KEY}},
    "http": {"http": {"suspend": {"method": "PUT", "path": "/doze?deep=1"},
                      "resume": {"path": "/rouse", "body": '{"now": true}'},
                      "check": {"path": "/state", "member": "engine.mode", "value": "dozing"}}},
}
# Who sleeps and who wakes, by the paths of the calls.
ASLEEP = {"vllm": ["/sleep?level=1"], "sglang": ["/release_memory_occupation"], "comfyui": ["/free"],
          "a1111": ["/sdapi/v1/unload-checkpoint"], "tabby": ["/v1/model/unload"],
          "http": ["/doze?deep=1"]}
AWAKE = {"vllm": ["/wake_up"], "sglang": ["/resume_memory_occupation"], "comfyui": [],
         "a1111": ["/sdapi/v1/reload-checkpoint"], "tabby": ["/v1/model/load"], "http": ["/rouse"]}
QUESTIONS = ("/is_sleeping", "/queue", "/v1/model", "/state")


class World:
    """A daemon with a simulated GPU of 10 GiB, and engines on it."""

    def __init__(self, wharf, tmp_path, models, budget="100GiB", **keys):
        self.logs = {name: tmp_path / f"{name}.log" for name in models}
        self.d = wharf(self.config(models, budget, **keys))
        self.events = self.d.events()

    def config(self, models, budget="100GiB", **keys):
        return {"gpus": [{"sim": {"name": "sim", "memory": "10GiB"}, "sample": "50ms"}],
                "host": {"suspendBudget": budget}, "unloadTimeout": "20s",
                "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}},
                "models": {name: self.model(name, **m) if isinstance(m, dict) and "engine" in m else m
                           for name, m in models.items()}, **keys}

    def model(self, name, engine, fault="none", vram=6, suspend=None, **keys):
        words = [sys.executable, str(FAKE), "--engine", engine, "--port", "${PORT}", "--vram",
                 str(vram * GIB), "--fault", fault, "--log", str(self.logs[name])]
        return {"cmd": " ".join(words), "proxy": "http://127.0.0.1:${PORT}", "vram": f"{vram}GiB",
                "suspend": suspend or SUSPENDS.get(engine, engine), **keys}

    def calls(self, name="s"):
        """What it was asked so far, but for its health."""
        return [json.loads(line) for line in self.logs[name].read_text().splitlines()]

    def paths(self, name="s"):
        """The same without questions and chats."""
        return [c["path"] for c in self.calls(name)
                if c["path"] not in (*QUESTIONS, "/v1/chat/completions", "/fake/wake", "/fake/go")]

    def suspend(self, name="s", status=200):
        answer = self.d.post(f"/wharf/models/{name}/suspend", seconds=3 * SECONDS)
        assert answer.status == status, answer
        return answer

    def chat(self, name="s"):
        answer = self.d.ok(self.d.chat(name, seconds=3 * SECONDS))
        return content(answer)

    def count(self, type_, **details):
        """Of what has happened so far, also of what is still on its way to us."""
        return self.events.catch_up().count(type_, **details)

    def order(self, *types):
        return self.events.catch_up().order(*types)

    def own_bytes(self):
        [device] = self.d.get("/wharf/status").json()["devices"]
        return device["own_bytes"]


@pytest.fixture
def world(wharf, tmp_path):
    return lambda models, **keys: World(wharf, tmp_path, models, **keys)


def other(vram="6GiB"):
    return demo("m", vram=vram)


# ---------------------------------------------------------------- as it should be


@pytest.mark.slice
@pytest.mark.parametrize("engine", ENGINES)
def test_sleeps_and_wakes(world, engine):
    """A victim sleeps, which frees its memory for another, and a request wakes it."""
    w = world({"s": {"engine": engine}, "m": other()})
    assert w.chat() == "well"
    pid = w.d.model("s")["pid"]
    w.d.ok(w.d.chat("m"))
    assert w.d.state_of("s") == "suspended"
    assert w.paths() == ASLEEP[engine]
    w.events.wait_for("suspended", model="s")
    assert w.d.model("s")["pid"] == pid
    assert w.chat() == "well"
    assert w.paths() == ASLEEP[engine] + AWAKE[engine]
    w.events.wait_for("resumed", model="s")
    assert w.d.model("s")["pid"] == pid, "it is the same process"
    assert w.count("model_loaded", model="s") == 1
    until(lambda: w.d.model("s")["used_bytes"] == 6 * GIB, "all of its memory")


def test_residue_is_measured(world):
    w = world({"s": {"engine": "sglang"}})
    w.chat()
    w.suspend()
    assert w.events.wait_for("suspended", model="s")["details"]["bytes"] == GIB // 2
    until(lambda: w.own_bytes() == GIB // 2, "only the residue is counted")
    assert w.d.model("s")["used_bytes"] == GIB // 2


@pytest.mark.slice
def test_level_2_reloads_weights(world):
    w = world({"s": {"engine": "vllm", "suspend": {"vllm": {"level": 2}}}})
    w.chat()
    w.suspend()
    assert w.chat() == "well", "its weights were read again before its cache came back"
    assert w.paths() == ["/sleep?level=2", "/wake_up?tags=weights", "/collective_rpc",
                         "/wake_up?tags=kv_cache"]


def test_it_wakes_as_it_was_sent_to_sleep(world):
    """A reload that says another way does not change how it is to be woken from this sleep."""
    models = {"s": {"engine": "vllm", "suspend": {"vllm": {"level": 2}}}}
    w = world(models)
    w.chat()
    w.suspend()
    models["s"]["suspend"] = "vllm"
    w.d.reload(w.config(models))
    assert w.chat() == "well"
    w.suspend()
    assert w.chat() == "well"
    assert w.paths()[4:] == ["/sleep?level=1", "/wake_up"]


@pytest.mark.slice
def test_suspend_by_command(world):
    w = world({"s": {"engine": "http"}})
    answer = w.d.post("/wharf/models/s/suspend")
    assert answer.status == 501
    assert answer.message == "model s: it is unloaded, and only what is loaded can be sent to sleep"
    w.chat()
    assert w.suspend().json()["state"] == "suspended"
    assert w.suspend().json()["state"] == "suspended"
    answer = w.d.ok(w.d.post("/wharf/models/s/resume")).json()
    assert answer["state"] == "loaded"
    answer = w.d.post("/wharf/models/s/resume")
    assert answer.status == 501
    assert answer.message == "model s: it is loaded, and only what sleeps can be woken"
    assert w.paths() == ASLEEP["http"] + AWAKE["http"]


@pytest.mark.slice
def test_the_command_line(world):
    w = world({"s": {"engine": "http"}})
    w.d.cli("load", "s", check=0)
    assert w.d.cli("suspend", "s", check=0).stdout == "s: suspended\n"
    assert "suspended" in w.d.cli("ps", check=0).stdout
    assert w.d.cli("resume", "s", check=0).stdout == "s: loaded on sim\n"
    run = w.d.cli("resume", "s", check=1)
    assert "only what sleeps can be woken" in run.stderr
    assert json.loads(w.d.cli("suspend", "s", "--json", check=0).stdout)["state"] == "suspended"


def test_drains_first(world):
    """What it is serving is finished before it is told to sleep, and what comes then wakes it."""
    w = world({"s": {"engine": "http", "fault": "slow_chat"}, "m": other()})
    first = Later(w.chat)
    until(lambda: w.logs["s"].exists() and w.calls(), "a chat that is being served")
    suspend = Later(w.suspend)
    assert w.paths() == [] and not first.done
    second = Later(w.chat)
    w.d.until_model("s", waiting=1)
    port = w.d.model("s")["port"]
    urllib.request.urlopen(f"http://127.0.0.1:{port}/fake/go", timeout=SECONDS).close()
    assert first.result() == "well"
    assert second.result() == "well"
    suspend.result()
    assert w.paths() == [*ASLEEP["http"], *AWAKE["http"]]


@pytest.mark.slice
def test_a_reload_takes_its_sleep_away_while_it_drains(world):
    """There is no way to send it to sleep any more when its turn comes: it stays as it is."""
    models = {"s": {"engine": "http", "fault": "slow_chat"}}
    w = world(models)
    first = Later(w.chat)
    until(lambda: w.logs["s"].exists() and w.calls(), "a chat that is being served")
    assert w.d.post("/wharf/models/s/suspend?wait=0").status == 202
    second = Later(w.chat)
    w.d.until_model("s", waiting=1)
    models["s"]["suspend"] = "none"
    w.d.reload(w.config(models))
    port = w.d.model("s")["port"]
    urllib.request.urlopen(f"http://127.0.0.1:{port}/fake/go", timeout=SECONDS).close()
    assert (first.result(), second.result()) == ("well", "well")
    assert w.paths() == [] and w.count("suspended") == 0


@pytest.mark.slice
def test_requests_wait_while_it_falls_asleep(world):
    """They do not reach it: it has been told to sleep. Then they wake it."""
    w = world({"s": {"engine": "vllm", "fault": "slow_sleep"}})
    w.chat()
    suspend = Later(w.suspend)
    until(lambda: w.paths() == ASLEEP["vllm"], "that it was told to sleep")
    assert w.d.state_of("s") == "suspending"
    chats = [Later(w.chat) for _ in range(3)]
    w.d.until_model("s", waiting=3)
    port = w.d.model("s")["port"]
    urllib.request.urlopen(f"http://127.0.0.1:{port}/fake/go", timeout=SECONDS).close()
    suspend.result()
    assert [c.result() for c in chats] == ["well"] * 3
    assert w.order("suspended", "resumed") == [("suspended", "s"), ("resumed", "s")]


@pytest.mark.slice
def test_budget_of_the_host(world):
    """Two sleepers are more than there is host memory for: the second is unloaded instead."""
    w = world({"s": {"engine": "vllm"}, "r": {"engine": "sglang"}, "m": other()}, budget="10GiB")
    w.chat("s")
    w.chat("r")
    assert w.d.state_of("s") == "suspended"
    w.d.ok(w.d.chat("m"))
    assert (w.d.state_of("s"), w.d.state_of("r")) == ("suspended", "unloaded")
    assert w.paths("r") == []
    # A model that wakes gives its share of the budget back.
    w.chat("s")
    w.d.post("/wharf/models/m/unload")
    w.chat("r")
    assert (w.d.state_of("s"), w.d.state_of("r")) == ("suspended", "loaded")


def test_a_command_beyond_the_budget(world):
    w = world({"s": {"engine": "vllm"}}, budget="5GiB")
    w.chat()
    assert w.suspend(status=503).message == (
        "model s: while it sleeps it counts with 6GiB of host memory, and host.suspendBudget, 5GiB, "
        "has not so much left")
    assert (w.d.state_of("s"), w.paths()) == ("loaded", [])


def test_two_sleepers_within_the_budget(world):
    w = world({"s": {"engine": "vllm"}, "r": {"engine": "sglang"}, "m": other()}, budget="12GiB")
    for _ in range(2):
        w.chat("s")
        w.chat("r")
        w.d.ok(w.d.chat("m"))
        assert (w.d.state_of("s"), w.d.state_of("r")) == ("suspended", "suspended")
    assert w.count("model_loaded", model="s") == 1
    assert w.count("model_loaded", model="r") == 1


@pytest.mark.slice
def test_what_wharf_asks_is_nobodys_traffic(world):
    w = world({"s": {"engine": "tabby"}})
    for _ in range(2):
        w.chat()
        w.suspend()
    rows = w.d.get("/api/metrics/activity?order=asc").json()["data"]
    assert [(r["model"], r["req_path"]) for r in rows] == [("s", "/v1/chat/completions")] * 2


@pytest.mark.slice
def test_the_admin_key_is_a_secret(world):
    """It is sent, and is nowhere to be read."""
    w = world({"s": {"engine": "tabby"}, "t": {"engine": "tabby", "fault": "refuses"}})
    w.chat()
    w.suspend()
    w.chat("t")
    w.suspend("t", 502)
    assert {c["key"] for c in w.calls() if c["path"] != "/v1/chat/completions"} == {f"Bearer {KEY}"}
    texts = [w.d.stderr, json.dumps(w.events.summary()), w.d.cli("check", "--print",
             str(w.d.config_path)).stdout]
    for path in ("/wharf/status", "/wharf/models", "/wharf/why?model=s", "/api/metrics/activity"):
        texts.append(w.d.get(path).text)
    assert "adminKey" in texts[2]
    assert not any(KEY in text for text in texts)


def test_a_wrong_key_is_told(world):
    suspend = {"tabby": {"model": 'a "b"', "adminKey": "wrong"}}
    w = world({"s": {"engine": "tabby", "suspend": suspend}})
    w.chat()
    assert "POST /v1/model/unload was answered with 401" in w.suspend(status=502).message
    assert w.chat() == "well"


# ---------------------------------------------------------------- as it should not be


@pytest.mark.slice
@pytest.mark.parametrize("engine", ENGINES)
def test_404_is_said_and_unloaded(world, engine):
    """The feature is not enabled: a sentence says so, and the model is unloaded as others are."""
    w = world({"s": {"engine": engine, "fault": "absent"}, "m": other()})
    w.chat()
    w.d.ok(w.d.chat("m"))
    assert w.d.state_of("s") == "unloaded"
    failed = w.events.wait_for("op_failed", model="s")["details"]["error"]
    assert "was answered with 404: its engine does not know that call" in failed
    assert {"vllm": "VLLM_SERVER_DEV_MODE=1", "sglang": "--enable-memory-saver",
            "a1111": "--api"}.get(engine, "") in failed
    assert failed in w.d.stderr
    # It is not tried again.
    asked = len(w.paths())
    w.chat()
    w.d.ok(w.d.chat("m"))
    assert len(w.paths()) == asked and w.d.state_of("s") == "unloaded"


def test_404_by_command_changes_nothing(world):
    w = world({"s": {"engine": "vllm", "fault": "absent"}})
    w.chat()
    answer = w.suspend(status=502)
    assert "--enable-sleep-mode" in answer.message and answer.error["code"] == "operation_failed"
    assert w.d.state_of("s") == "loaded" and w.chat() == "well"
    assert w.count("model_loaded", model="s") == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sleep_that_fails_leaves_it_serving(world, engine):
    w = world({"s": {"engine": engine, "fault": "refuses"}})
    w.chat()
    assert "was answered with 500" in w.suspend(status=502).message
    assert w.d.state_of("s") == "loaded" and w.chat() == "well"
    assert w.count("model_loaded", model="s") == 1


@pytest.mark.parametrize("engine", ["vllm", "tabby", "http"])
def test_one_that_says_that_it_does_not_sleep(world, engine):
    w = world({"s": {"engine": engine, "fault": "deaf"}}, unloadTimeout="2s")
    w.chat()
    assert "says that it does not sleep" in w.suspend(status=502).message
    assert w.chat() == "well"


@pytest.mark.slice
@pytest.mark.parametrize("fault", ["keeps", "half"])
@pytest.mark.parametrize("engine", ["vllm", "comfyui"])
def test_too_little_freed_is_stopped(world, engine, fault):
    """It sleeps, by what it says; what is measured decides, and it is unloaded after all."""
    w = world({"s": {"engine": engine, "fault": fault}, "m": other("8GiB")}, unloadTimeout="4s")
    w.chat()
    w.d.ok(w.d.chat("m", seconds=3 * SECONDS))
    left = {"keeps": 6, "half": 3}[fault]
    assert w.events.wait_for("suspended", model="s")["details"]["bytes"] == left * GIB
    w.events.wait_for("evicted", model="s")
    w.events.wait_for("model_unloaded", model="s")
    assert w.events.wait_for("model_loaded", model="m")
    if fault == "keeps":
        assert "it sleeps, but uses 6GiB of its 6GiB still" in w.d.stderr


@pytest.mark.slice
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_hanging_sleep_is_killed(world, engine):
    w = world({"s": {"engine": engine, "fault": "hangs_on_sleep"}, "m": other()}, unloadTimeout="1s")
    w.chat()
    pid = w.d.model("s")["pid"]
    w.d.ok(w.d.chat("m", seconds=3 * SECONDS))
    assert w.d.state_of("s") == "unloaded"
    assert not pathlib.Path(f"/proc/{pid}").exists()
    assert w.count("suspended") == 0
    assert "suspend: its engine did not answer: it is ended" in w.d.stderr
    assert w.chat() == "well", "and it is loaded anew when it is wanted"


@pytest.mark.slow
def test_hanging_wake_is_killed(world):
    w = world({"s": {"engine": "vllm", "fault": "hangs_on_wake"}}, healthCheckTimeout="15s")
    w.chat()
    w.suspend()
    pid = w.d.model("s")["pid"]
    answer = w.d.chat("s", seconds=60)
    assert content(w.d.ok(answer)) == "well", "by a fresh process"
    assert w.d.model("s")["pid"] != pid
    assert w.count("model_loaded", model="s") == 2 and w.count("resumed") == 0


def test_one_that_sleeps_for_another_is_an_eviction(world):
    """And its waking a reload: swapping by sleep can thrash, too."""
    w = world({"s": {"engine": "vllm"}, "m": demo("m", vram="6GiB")})
    for name in ("s", "m", "s"):
        w.d.ok(w.d.chat(name, seconds=3 * SECONDS))
    m = metrics.read(w.d)
    assert m.value("wharf_model_resumes_total", model="s") == 1
    assert m.value("wharf_model_evictions_total", model="s") == m.value("wharf_model_evictions_total", model="m") == 1
    assert m.value("wharf_model_reloads_total", model="s") == 1 and m.value("wharf_reload_ratio") == 0.3333


@pytest.mark.slice
@pytest.mark.parametrize("fault", ["oom_on_wake", "stays_asleep", "dies_on_wake"])
@pytest.mark.parametrize("engine", ["vllm", "sglang", "a1111", "tabby", "http"])
def test_wake_out_of_memory_loads_anew(world, engine, fault):
    """Whoever waits for it is served by a fresh process, whatever is left of the old one."""
    w = world({"s": {"engine": engine, "fault": fault}})
    w.chat()
    w.suspend()
    pid = w.d.model("s")["pid"]
    assert w.chat() == "well"
    assert w.d.model("s")["pid"] != pid and not pathlib.Path(f"/proc/{pid}").exists()
    assert w.count("model_loaded", model="s") == 2
    assert w.count("load_failed") == 0
    until(lambda: w.own_bytes() == 6 * GIB, "that it is counted once")


@pytest.mark.slice
def test_dies_asleep(world):
    w = world({"s": {"engine": "vllm"}})
    w.chat()
    w.suspend()
    os.kill(w.d.model("s")["pid"], signal.SIGKILL)
    w.events.wait_for("model_unloaded", model="s")
    assert w.d.state_of("s") == "unloaded"
    until(lambda: w.own_bytes() == 0, "that its memory is free")
    assert w.chat() == "well"


def test_it_dies_while_it_falls_asleep(world):
    w = world({"s": {"engine": "vllm", "fault": "slow_sleep"}})
    w.chat()
    suspend = Later(w.d.post, "/wharf/models/s/suspend")
    until(lambda: w.paths(), "that it was told to sleep")
    os.kill(w.d.model("s")["pid"], signal.SIGKILL)
    assert suspend.result().status == 502
    assert w.d.state_of("s") == "unloaded"
    assert w.chat() == "well"


@pytest.mark.slice
def test_wakes_by_itself(world):
    """Its memory is counted as its own again, it gives way to others, and a request finds it."""
    w = world({"s": {"engine": "vllm"}, "m": other()})
    w.chat()
    w.suspend()
    until(lambda: w.own_bytes() == GIB // 2, "that it sleeps")
    port = w.d.model("s")["port"]
    urllib.request.urlopen(f"http://127.0.0.1:{port}/fake/wake", timeout=SECONDS).close()
    until(lambda: w.own_bytes() == 6 * GIB, "that it is seen to be awake")
    [device] = w.d.get("/wharf/status").json()["devices"]
    assert device["foreign_bytes"] == 0
    assert w.chat() == "well"
    w.suspend()
    urllib.request.urlopen(f"http://127.0.0.1:{port}/fake/wake", timeout=SECONDS).close()
    until(lambda: w.own_bytes() == 6 * GIB, "that it is seen to be awake")
    w.d.ok(w.d.chat("m"))
    assert w.d.state_of("s") == "unloaded", "what sleeps no more has to go altogether"


def test_a_busy_engine_is_left_alone(world):
    """ComfyUI takes prompts and answers at once: it may be at work though no request is open."""
    w = world({"s": {"engine": "comfyui", "fault": "busy"}}, unloadTimeout="1s")
    w.chat()
    answer = w.suspend(status=502)
    assert "still at work, by what GET /queue says" in answer.message
    assert w.paths() == [] and w.d.state_of("s") == "loaded"


def test_a_sleep_that_is_never_answered_is_told(world):
    w = world({"s": {"engine": "vllm", "fault": "hangs_on_sleep"}}, unloadTimeout="1s")
    w.chat()
    assert "its engine did not answer" in w.suspend(status=502).message
    assert w.d.state_of("s") == "unloaded"


def test_an_unload_wins_over_a_sleep(world):
    w = world({"s": {"engine": "vllm", "fault": "hangs_on_sleep"}})
    w.chat()
    suspend = Later(w.d.post, "/wharf/models/s/suspend", seconds=3 * SECONDS)
    until(lambda: w.paths(), "that it was told to sleep")
    assert w.d.ok(w.d.post("/wharf/models/s/unload?force=1")).json()["state"] == "unloaded"
    assert suspend.result().status in (502, 409, 503)


@pytest.mark.slice
@pytest.mark.parametrize("fault", ["none", "hangs_on_sleep", "hangs_on_wake"])
def test_the_daemons_end(world, fault):
    """Whoever sleeps, or is on the way there or back, is ended with the daemon."""
    w = world({"s": {"engine": "vllm", "fault": fault}}, unloadTimeout="1s")
    w.chat()
    w.d.post("/wharf/models/s/suspend?wait=0")
    until(lambda: w.paths(), "that it was told to sleep")
    if fault == "hangs_on_wake":
        w.events.wait_for("suspended", model="s")
        w.d.post("/wharf/models/s/resume?wait=0")
        until(lambda: len(w.paths()) == 2, "that it was woken")
    w.d.stop()


def test_without_a_gpu(world):
    """Where no memory is planned nor measured, what the engine says is all there is."""
    w = world({"s": {"engine": "vllm"}, "c": {"engine": "comfyui"}}, gpus=[])
    for name in "sc":
        w.chat(name)
        w.suspend(name)
        assert w.chat(name) == "well"


def test_what_has_no_effect_is_warned_of(tmp_path):
    def check(**keys):
        return check_config({"gpus": [{"sim": {"name": "g", "memory": "4GiB"}}],
                             "models": {"m": {"cmd": "x ${PORT}", "vram": "1GiB", "suspend": "vllm"}},
                             **keys}, tmp_path)

    assert "suspend" not in check(host={"suspendBudget": "1GiB"})[1]
    assert "has no effect, since host.suspendBudget is 0" in check()[1]
    assert "has an effect by command alone" in check(
        host={"suspendBudget": "1GiB"}, routing={"router": {"use": "group"}})[1]
