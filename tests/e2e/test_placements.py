"""Processes with several places: each its own command and devices, and moves from one to another by a
successor."""

import os
import pathlib
import shlex
import signal
import threading

import pytest

from wharf_harness import DEMO, SECONDS, Later, content, demo, is_alive, until

GIB = 1024 ** 3
GPUS = [{"sim": {"name": "left", "memory": "8GiB"}, "sample": "20ms"},
        {"sim": {"name": "right", "memory": "8GiB"}, "sample": "20ms"}]


def command(name, *flags):
    return shlex.join([str(DEMO), "--port", "PORT", "--name", name, *flags]).replace(
        "PORT", "${PORT}", 1)


def placed(cuda=(), cpu=(), **keys):
    """A model with a command for each of its devices, which answers with where it is."""
    return {"proxy": "http://127.0.0.1:${PORT}", "cmd": command("on-any"),
            "devices": {"cuda": {"vram": "2GiB", "cmd": command("on-cuda", "--vram", "2GiB", *cuda)},
                        "cpu": {"cmd": command("on-cpu", *cpu)}}, **keys}


def config(model=None, **keys):
    return {"gpus": GPUS[:1], "models": {"m": model or placed()}, **keys}


def move(d, device, name="m"):
    return d.post(f"/wharf/models/{name}/move?device={device}")


def served_by(d):
    return d.ok(d.get("/upstream/m/v1/models")).json()["data"][0]["id"]


def env_of(pid):
    pairs = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(p.split("=", 1) for p in pairs if "=" in p)


@pytest.mark.slice
def test_events_name_the_place_that_it_came_to(wharf):
    """Also once the configuration has other places, or calls that one otherwise."""
    d = wharf(config())
    d.load("m")
    d.ok(move(d, "cpu"))
    events = d.events()
    d.reload(config(demo("m", vram="1GiB")))
    assert events.wait_for("model_unloading", model="m")["details"]["placement"] == "cpu"
    assert events.wait_for("model_unloaded", model="m")["details"]["placement"] == "cpu"
    d.load("m")
    assert events.wait_for("model_loaded", model="m")["details"]["placement"] == "gpu"
    d.reload(config())
    assert events.wait_for("model_unloaded", model="m")["details"]["placement"] == "gpu"


@pytest.mark.slice
def test_each_place_has_its_command(wharf):
    d = wharf(config())
    d.load("m")
    assert served_by(d) == "on-cuda"
    first = d.model("m")
    assert first["device"] == "left"
    assert d.ok(move(d, "cpu")).json()["device"] is None
    assert served_by(d) == "on-cpu"
    second = d.model("m")
    assert not is_alive(first["pid"]) and second["pid"] != first["pid"]
    assert d.tree() == [second["pid"]]
    [device] = d.get("/wharf/status").json()["devices"]
    until(lambda: d.model("m")["settling"] is False, "the memory")
    assert d.ok(move(d, "cuda")).json()["device"] == "left"
    assert served_by(d) == "on-cuda"
    d.ok(d.post("/wharf/models/m/unload"))
    assert d.tree() == []


@pytest.mark.slice
def test_a_process_moves_without_a_gap(wharf):
    """Requests that come all the time: none fails, whichever of the two serves it."""
    d = wharf(config(placed(cuda=["--load-time", "200ms"], cpu=["--load-time", "200ms"])))
    d.load("m")
    stop, answers = threading.Event(), []

    def ask():
        while not stop.is_set():
            answers.append(d.chat("m"))

    asking = [Later(ask) for _ in range(3)]
    try:
        for device in ("cpu", "cuda", "cpu"):
            d.ok(move(d, device))
            seen = len(answers)
            until(lambda n=seen: len(answers) > n + 3, "answers from there")
    finally:
        stop.set()
        for a in asking:
            a.result()
    assert {a.status for a in answers} == {200}, [a for a in answers if a.status != 200][:3]
    assert all(content(a) for a in answers)


@pytest.mark.parametrize("flags", [
    pytest.param(["--crash-on-load=3"], marks=pytest.mark.slice),
    pytest.param(["--never-ready"], marks=[pytest.mark.slow, pytest.mark.timeout(120)])])
def test_a_move_that_fails_keeps_serving(wharf, flags):
    """A successor that ends, or that is not ready in time, leaves the one that is there."""
    d = wharf(config(placed(cpu=flags), healthCheckTimeout=15))  # the least that there is
    d.load("m")
    before = d.model("m")
    events = d.events()
    answer = d.post("/wharf/models/m/move?device=cpu", seconds=15 + 2 * SECONDS)
    assert (answer.status, answer.error["code"]) == (502, "operation_failed"), answer
    events.wait_for("op_failed", model="m")
    after = d.model("m")
    assert (after["state"], after["device"], after["pid"]) == ("loaded", "left", before["pid"])
    assert served_by(d) == "on-cuda" and d.tree() == [before["pid"]]
    d.ok(d.chat("m"))


@pytest.mark.slice
def test_one_that_ends_while_it_moves(wharf):
    d = wharf(config(placed(cpu=["--load-time", "60s"])))
    d.load("m")
    events = d.events()
    pid = d.model("m")["pid"]
    moving = Later(move, d, "cpu")
    events.wait_for("moving", model="m")
    until(lambda: len(d.tree()) == 2, "the successor")
    os.kill(pid, signal.SIGKILL)
    assert moving.result().status in (502, 503)
    until(lambda: d.state_of("m") == "unloaded" and not d.tree(), "the end of both")
    d.load("m")
    assert served_by(d) == "on-cuda"


@pytest.mark.slice
def test_one_that_will_not_go(wharf):
    """The one that was replaced is killed after its time; requests wait, as in any move."""
    d = wharf(config(placed(cuda=["--ignore-sigterm"], unloadTimeout=1)))
    d.load("m")
    pid = d.model("m")["pid"]
    assert d.ok(move(d, "cpu")).json()["device"] is None
    assert not is_alive(pid) and served_by(d) == "on-cpu"


def test_the_daemon_ends_in_the_middle_of_a_move(wharf):
    d = wharf(config(placed(cpu=["--load-time", "60s"]), healthCheckTimeout=15))
    d.load("m")
    events = d.events()
    moving = Later(move, d, "cpu")
    events.wait_for("moving", model="m")
    until(lambda: len(d.tree()) == 2, "the successor")
    d.stop()
    assert moving.result().status == 503


@pytest.mark.slice
def test_yields_and_goes_to_the_cpu(wharf):
    models = {"m": placed(**{"yield": "always"}), "big": demo("big", vram="7GiB")}
    d = wharf({"gpus": GPUS[:1], "models": models})
    d.load("m")
    d.load("big")
    assert (served_by(d), d.model("m")["device"]) == ("on-cpu", None)
    [device] = d.get("/wharf/status").json()["devices"]
    assert device["foreign_bytes"] == 0


@pytest.mark.slice
def test_devices_in_the_environment(wharf):
    model = {"proxy": "http://127.0.0.1:${PORT}", "cmd": command("m"),
             "devices": {"left": {"vram": "1GiB"}, "right": {"vram": "1GiB"}, "cpu": {}}}
    d = wharf({"gpus": GPUS, "models": {"m": model}})
    d.load("m")
    for device, number in (("left", 0), ("right", 1), ("cpu", None), ("left", 0)):
        if d.model("m")["device"] != device:
            d.ok(move(d, device))
        env = env_of(d.model("m")["pid"])
        if number is None:
            assert "WHARF_SIM_FOLDER" not in env
            assert env["CUDA_VISIBLE_DEVICES"] == env["HIP_VISIBLE_DEVICES"] == "-1"
        else:
            assert env["WHARF_SIM_FOLDER"] == str(d.state / "sim" / str(number))
            assert env.get("CUDA_VISIBLE_DEVICES") != "-1"


@pytest.mark.slice
def test_both_are_its_own_while_it_moves(wharf):
    """What the successor uses is no stranger's, and both are charged."""
    model = {"proxy": "http://127.0.0.1:${PORT}", "cmd": command("m", "--vram", "3GiB", "--load-time", "1s"),
             "devices": {"left": {"vram": "3GiB"}, "right": {"vram": "3GiB"}}}
    d = wharf({"gpus": GPUS, "models": {"m": model}})
    d.load("m")
    moving = Later(move, d, "right")

    def devices():
        return [(x["used_bytes"], x["own_bytes"], x["foreign_bytes"])
                for x in d.get("/wharf/status").json()["devices"]]

    both = (3 * GIB, 3 * GIB, 0)
    seen = []
    until(lambda: seen.append(devices()) or seen[-1] == [both, both], "the memory of both")
    assert all(foreign == 0 for look in seen for _, _, foreign in look), seen
    d.ok(moving.result())
    until(lambda: devices() == [(0, 0, 0), both], "the one that stays")


@pytest.mark.slice
def test_without_a_plan_by_bytes_the_first_place_holds(wharf):
    d = wharf({"models": {"m": placed()}})
    d.load("m")
    assert served_by(d) == "on-cuda"
    assert move(d, "cpu").status in (400, 501)
