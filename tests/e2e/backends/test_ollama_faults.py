"""What an Ollama server does wrong, or not at all, and what wharf makes of it."""

import signal

import pytest

from backend_harness import GIB, backends, device, until_device
from wharf_harness import SLOWNESS, Later, demo, until

pytestmark = pytest.mark.slice


def degradations(d):
    return [(x["what"], x["name"], x["models"]) for x in d.get("/wharf/status").json()["degradations"]]


# ---------------------------------------------------------------- it is not there


def test_down_at_start_degrades_and_recovers(wharf, world):
    server = world.server
    server.down()
    d = wharf(world.config({**world.config()["models"], "p": demo("p", vram="1GiB")},
                           modes={"m": {"big": "loaded"}}))
    until(lambda: degradations(d), "what is not there")
    (told,) = d.get("/wharf/status").json()["degradations"]
    assert (told["what"], told["name"], told["models"]) == ("backend", server.url, ["big", "small"])
    assert told["reason"] == f"ollama at {server.url} does not answer: connection refused"
    assert backends(d)[0]["reason"] == told["reason"] and not backends(d)[0]["up"]
    # Its operations fail at once, with the reason; whatever else there is goes on.
    answer = d.chat("big")
    assert (answer.status, answer.error["code"]) == (503, "backend_down")
    assert answer.header("Retry-After")
    retry = world.config()["backendRetry"]
    assert answer.message == (
        f"model big: {told['reason']}; it is asked again each {retry} (backendRetry)")
    assert d.post("/wharf/models/big/load").status == 503
    # A mode that cannot be reached for that says so, not that there is no room.
    assert d.ask("PUT", "/wharf/mode", b'{"mode":"m"}').status == 200
    assert [(x["model"], x["why"]) for x in d.get("/wharf/mode").json()["models"]] == [
        ("big", told["reason"])]
    plan = d.ok(d.post("/wharf/plan", {"model": "big"})).json()
    assert (plan["verdict"], plan["why"], plan["seconds"]) == ("blocked", told["reason"], None)
    assert d.model("big")["backend_reason"] == told["reason"]
    assert d.model("p")["backend_reason"] is None
    assert f"big: {told['reason']}" in d.cli("ps", check=0).stdout.splitlines()
    d.ok(d.chat("p"))
    events = d.events()
    server.load("small")
    server.up()
    events.wait_for("recovered", what="backend", name=server.url)
    assert degradations(d) == [] and backends(d)[0]["up"]
    assert d.model("big")["backend_reason"] is None
    d.until_model("small", state="loaded")
    d.ok(d.chat("big"))


def test_a_retry_that_is_long_is_waited_for(wharf, world):
    """Nobody asks a server that is down before backendRetry is over."""
    world.server.down()
    d = wharf(world.config(backendRetry="1h"))
    assert d.chat("big").status == 503
    world.server.up()
    assert d.chat("big").status == 503
    assert world.server.calls() == []


def test_down_while_loaded_keeps_the_bytes(wharf, world):
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB"), "p": demo("p", vram="7GiB")}))
    events = d.events()
    d.load("big")
    server.down()  # its runners stay
    events.wait_for("degraded", what="backend")
    assert d.chat("big").status == 503
    # There is no room, and nobody can be told to make any.
    assert d.chat("p", headers={"X-Wharf-Wait": "0"}).status == 503
    assert device(d)["own_bytes"] == 6 * GIB
    server.up()
    events.wait_for("recovered", what="backend")
    d.ok(d.chat("big"))
    assert len(server.calls("/api/generate")) == 1  # it had been there all the time
    d.ok(d.chat("p"))


def test_a_request_finds_nobody(wharf, world):
    """The server is down, and the model not broken: nobody tries to unload it."""
    server = world.server
    d = wharf(world.config(backendRetry="100ms"))
    events = d.events()
    d.load("big")
    server.down()
    assert d.chat("big").status in (502, 503)
    events.wait_for("degraded", what="backend")
    server.up()
    events.wait_for("recovered", what="backend")
    d.ok(d.chat("big"))
    assert events.count("model_unloading") == 0
    assert len(server.calls("/api/generate")) == 1


def test_killed_while_loaded(wharf, world):
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB"), "p": demo("p", vram="7GiB")}))
    events = d.events()
    d.load("big")
    server.kill()
    events.wait_for("degraded", what="backend")
    until(lambda: device(d)["used_bytes"] == 0, "its runners' end")
    server.start()
    events.wait_for("recovered", what="backend")
    events.wait_for("model_unloaded", model="big")
    d.ok(d.chat("p"))
    d.ok(d.chat("big"))


def test_dies_mid_load(wharf, world):
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB"), "p": demo("p", vram="7GiB")}))
    events = d.events()
    server.die_mid_load()
    answer = d.chat("big")
    assert (answer.status, answer.error["code"]) == (503, "backend_down")
    events.wait_for("degraded", what="backend")
    d.until_model("big", state="unloaded")
    until_device(d, "its bytes are free", used_bytes=0)
    server.process.wait()
    server.start()
    events.wait_for("recovered", what="backend")
    until_device(d, "nothing is kept for it", own_bytes=0, settling_bytes=0, foreign_bytes=0)
    d.ok(d.chat("p"))
    d.ok(d.chat("big"))


def test_the_end_of_a_daemon_whose_server_is_down(wharf, world):
    d = wharf(world.config())
    events = d.events()
    d.load("big")
    world.server.down()
    events.wait_for("degraded", what="backend")
    d.stop()


def test_what_answers_is_no_ollama(wharf, world, upstream):
    def script(peer, number):
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")

    d = wharf(world.config({"m": {"backend": "ollama", "endpoint": f"http://127.0.0.1:{upstream(script).port}"}}))
    assert until(lambda: backends(d)[0]["reason"], "the reason").endswith("is no ollama: its /api/ps is no list")
    assert d.chat("m").status == 503


# ---------------------------------------------------------------- it is slow


QUICK = {"healthCheckTimeout": "1.5s", "unloadTimeout": "0.5s", "maxLoadRetries": 0}


def test_slow_by_60_s(wharf, world):
    """Nothing is answered in time: it is down, and whoever waits is told."""
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB", **QUICK), "p": demo("p", vram="1GiB")}))
    events = d.events()
    d.load("big")
    server.slow(60)
    told = events.wait_for("degraded", what="backend")["details"]
    assert told["reason"].startswith(f"ollama at {server.url} does not answer: "), told
    assert d.chat("big").status == 503
    d.ok(d.chat("p"))
    server.behave()
    events.wait_for("recovered", what="backend")
    d.ok(d.chat("big"))


def test_a_load_that_is_slow_by_60_s(wharf, world):
    """The load is given up, tried again as often as is asked, and then an error; nothing is left."""
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB", **{**QUICK, "maxLoadRetries": 1})}))
    events = d.events()
    server.slow(60, only="load")
    answer = d.chat("big")
    assert (answer.status, answer.error["code"]) == (503, "load_timeout"), answer
    assert events.count("model_loading", model="big") == 2
    events.wait_for("load_failed", model="big", reason="it did not become ready in time")
    assert server.loaded() == {} and device(d)["own_bytes"] == 0
    assert degradations(d) == []
    calls = [c["body"]["keep_alive"] for c in server.calls("/api/generate")]
    assert calls[:4] == [-1, 0, -1, 0], calls
    server.behave()
    assert d.state_of("big") == "error"
    d.load("big")


def test_a_load_that_is_called_off_is_no_failure(wharf, world):
    server = world.server
    d = wharf(world.config())
    events = d.events()
    server.slow(60, only="load")
    call = Later(d.post, "/wharf/models/big/load")
    events.wait_for("model_loading", model="big")
    d.ok(d.post("/wharf/models/big/unload"))
    assert call.result().error["code"] == "model_unloaded"
    assert " big its load was called off" in d.stderr and "load failed" not in d.stderr, d.stderr
    server.behave()


def test_an_unload_that_is_slow(wharf, world):
    """Ollama takes its time: the model is stuck, and is noticed when it goes."""
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB", **QUICK)}))
    events = d.events()
    d.load("big")
    server.lie_about_unloads("list")
    assert d.post("/wharf/models/big/unload").status == 503
    assert d.state_of("big") == "stuck"
    server.behave()
    events.wait_for("model_unloaded", model="big")
    assert server.loaded() == {}
    d.ok(d.chat("big"))


@pytest.mark.slow
def test_the_usual_limits(wharf, world):
    """As they are unless something is said: two lists of 5 s that do not come."""
    server = world.server
    d = wharf(world.config())
    d.load("big")
    events = d.events()
    server.slow(60)
    started = events.wait_for("degraded", seconds=20 * SLOWNESS, what="backend")
    assert "timed out" in started["details"]["reason"], started


# ---------------------------------------------------------------- it lies


@pytest.mark.parametrize("where", ["list", "bytes"])
def test_200_without_freeing_is_stuck(wharf, world, where):
    """Nobody is loaded over what is said to be free."""
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="7GiB", **QUICK),
                            "p": demo("p", vram="7GiB")}))
    events = d.events()
    d.load("big")
    server.lie_about_unloads(where)
    answer = d.post("/wharf/models/big/unload")
    if where == "list":
        assert answer.status == 503 and d.state_of("big") == "stuck"
        assert device(d)["own_bytes"] == 7 * GIB
    else:
        # The core waits for what nobody sees coming free, and then it is somebody's.
        assert d.ok(answer).json()["state"] == "unloaded"
        until_device(d, "somebody's", foreign_bytes=6 * GIB, own_bytes=0)
    assert d.chat("p", headers={"X-Wharf-Wait": "0"}).status == 503
    server.behave()
    if where == "list":
        events.wait_for("model_unloaded", model="big")
    until_device(d, "free at last", used_bytes=0, foreign_bytes=0, own_bytes=0)
    d.ok(d.chat("p"))


def test_200_without_loading_fails(wharf, world):
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB", maxLoadRetries=0)}))
    server.lie_about_loads()
    answer = d.chat("big")
    assert answer.status == 502 and "answered that it was loaded, but it is not" in answer.message
    assert d.state_of("big") == "error" and device(d)["own_bytes"] == 0


def test_retries_then_error(wharf, world):
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB", maxLoadRetries=1)}))
    events = d.events()
    server.fail_loads(500, "the runner has crashed")
    answer = d.chat("big")
    assert answer.status == 502 and "answered 500: the runner has crashed" in answer.message
    assert len(server.calls("/api/generate")) == 2
    told = events.wait_for("load_failed", model="big")["details"]
    assert "the runner has crashed" in told["error"]
    model = d.model("big")
    assert model["state"] == "error" and "the runner has crashed" in model["error"]
    server.behave()
    d.load("big")


def test_model_not_pulled_is_said(wharf, world):
    d = wharf(world.config({"m": world.server.model("nowhere:7b", maxLoadRetries=0)}))
    answer = d.chat("m")
    assert answer.status == 502
    assert "has no model nowhere:7b; ollama pull nowhere:7b" in answer.message


def test_out_of_memory_is_known_as_such(wharf, world):
    world.server.stranger("theirs", 8 * GIB)
    d = wharf(world.config({"big": world.server.model("big:8b", vram="1GiB", maxLoadRetries=0)}))
    events = d.events()
    answer = d.chat("big")
    assert answer.status >= 500
    events.wait_for("oom", model="big")
    events.wait_for("load_failed", model="big", reason="it ran out of device memory")


@pytest.mark.parametrize("said", [
    "CUDA error: out of memory",
    "llama runner process has terminated: error loading model: unable to allocate CUDA0 buffer"])
def test_it_says_that_memory_is_short(wharf, world, said):
    world.server.fail_loads(500, said)
    d = wharf(world.config({"big": world.server.model("big:8b", vram="1GiB", maxLoadRetries=0)}))
    events = d.events()
    assert d.chat("big").status >= 500
    events.wait_for("oom", model="big")


def test_what_it_says_is_one_line_of_the_log(wharf, world):
    world.server.fail_loads(500, "no\n2026-01-01 info  wharf all is well\x1b[2J")
    d = wharf(world.config({"big": world.server.model("big:8b", vram="1GiB", maxLoadRetries=0)}))
    answer = d.chat("big")
    assert answer.status == 502 and "no\n2026" in answer.message
    lines = d.stderr.splitlines()
    assert [line for line in lines if "load failed" in line and "all is well" in line]
    assert not [line for line in lines if line.startswith("2026-01-01") or "\x1b" in line]


def test_cut_off_in_the_middle(wharf, world):
    """An answer that is cut says nothing of what became of it: the list does."""
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB", maxLoadRetries=0)}))
    server.cut("/api/generate")
    assert d.chat("big").status == 502
    assert degradations(d) == [] and d.state_of("big") == "error"
    d.load("big")
    server.cut("/api/ps")
    until(lambda: len(server.calls("/api/ps")) > 3, "further lists")
    d.until_model("big", state="loaded")


# ---------------------------------------------------------------- the daemon leaves meanwhile


@pytest.mark.parametrize("how", ["load", "unload"])
def test_the_end_of_a_daemon_whose_server_is_slow(wharf, world, how):
    server = world.server
    d = wharf(world.config({"big": server.model("big:8b", vram="6GiB", **QUICK)}))
    if how == "unload":
        d.load("big")
    server.slow(60, only=how)
    if how == "load":
        loading = Later(d.post, "/wharf/models/big/load")
        server.wait_call("/api/generate")
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    d.stopped_on_purpose = True
    if how == "load":
        loading.result()
        assert server.loaded() == {}
