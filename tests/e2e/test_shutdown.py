"""The end: SIGTERM at every moment; exit 0, all models gone, clients told."""

import os
import signal
import socket

import pytest

from wharf_harness import (SECONDS, Connection, Later, chat_body, demo, models, until)


@pytest.mark.valgrind
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle(wharf, number):
    d = wharf(models("a"))
    d.load("a")
    d.signal(number)
    assert d.wait() == 0
    assert not d.tree()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(d.address)


def test_ready_says_so(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "50ms", "--tokens", "20")}})
    until(lambda: d.get("/ready").status == 200, "the end of the start")
    d.load("m")
    other = d.connect()
    assert other.ask("GET", "/ready").text == "OK"
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
    stream = c.sse(c.head())
    next(stream)
    d.signal(signal.SIGTERM)
    until(lambda: "stopping" in d.stderr, "the signal to arrive")
    answer = other.ask("GET", "/ready")
    assert (answer.status, answer.text) == (503, "stopping"), answer
    assert [e["data"] for e in stream][-1] == "[DONE]"
    assert d.wait() == 0


@pytest.mark.slice
@pytest.mark.parametrize("flag", [("--load-time", "60s"), ("--never-ready",), ("--hang-health",),
                                  ("--load-time", "60s", "--ignore-sigterm")])
def test_during_a_load(wharf, containment, flag):
    d = wharf({"models": {"m": demo("m", *flag, unloadTimeout=1)}}, **containment)
    call = Later(d.chat, "m")
    d.until_model("m", state="loading", waiting=1)
    until(lambda: d.engines("m"), "the engine's process")
    d.stop()
    answer = call.result()
    assert (answer.status, answer.error["code"]) == (503, "shutting_down"), answer


def test_a_running_stream_may_end(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "50ms", "--tokens", "10")}})
    d.load("m")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
    head = c.head()
    stream = c.sse(head)
    next(stream)
    d.signal(signal.SIGTERM)
    data = [e["data"] for e in stream]
    assert data[-1] == "[DONE]" and head.complete
    assert d.wait() == 0


def test_a_stream_that_does_not_end_is_cut_visibly(wharf):
    d = wharf({"timeouts": {"shutdown": "300ms"},
               "models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60")}})
    d.load("m")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
    head = c.head()
    stream = c.sse(head)
    next(stream)
    d.stop()
    with pytest.raises(ConnectionError):
        list(stream)
    assert not head.complete


@pytest.mark.slice
def test_a_second_signal_hurries(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "600")}})
    d.load("m")
    events = d.events()
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
    head = c.head()
    next(c.sse(head))
    d.signal(signal.SIGTERM)
    with pytest.raises(AssertionError, match="did not end"):
        d.wait(0.5)
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert events is not None and not d.tree()


def test_waiting_requests_are_told(wharf):
    d = wharf({"timeouts": {"shutdown": "300ms"},
               "models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60", concurrencyLimit=1)}})
    d.load("m")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
    c.head()
    waiting = [Later(d.chat, "m") for _ in range(3)]
    d.until_model("m", waiting=3)
    d.stop()
    for call in waiting:
        answer = call.result()
        assert (answer.status, answer.error["code"]) == (503, "shutting_down")


def test_followers_are_let_go(wharf):
    d = wharf(models("m"))
    events = d.events()
    d.load("m")
    with Connection(d.address) as c:
        c.request("GET", "/logs/stream").head()
        d.stop()
    until(lambda: events.ended, "the end of the event stream")


def test_idle_connections_do_not_hold_it_up(wharf):
    d = wharf(models("m"))
    idle = [d.connect() for _ in range(10)]
    for c in idle[:5]:
        assert c.ask("GET", "/health").status == 200
    idle[9].send(b"GET /health HT")
    d.stop()
    for c in idle:
        assert c.is_closed()


def test_during_an_unload(wharf, containment):
    d = wharf({"models": {"m": demo("m", "--ignore-sigterm", unloadTimeout=1)}}, **containment)
    d.load("m")
    unload = Later(d.post, "/wharf/models/m/unload")
    d.until_model("m", state="unloading")
    d.stop()
    try:
        unload.result()
    except ConnectionError:
        pass
    assert not d.tree()


@pytest.mark.slice
def test_many_models(wharf, containment):
    names = [f"m{i}" for i in range(8)]
    d = wharf({"models": {n: demo(n, "--fork-grandchildren", "1", unloadTimeout=1) for n in names},
               "groups": {"g": {"swap": False, "members": names}}}, **containment)
    for n in names:
        d.load(n)
    until(lambda: len(d.tree()) == 16, "eight engines and their grandchildren")
    d.stop()


def test_sigkill_of_an_engine_meanwhile(wharf):
    d = wharf({"models": {"m": demo("m", "--ignore-sigterm", unloadTimeout=30)}})
    pid = d.load("m")["pid"]
    d.signal(signal.SIGTERM)
    with pytest.raises(AssertionError, match="did not end"):
        d.wait(0.3)
    os.kill(pid, signal.SIGKILL)
    assert d.wait(SECONDS) == 0


def test_start_after_stop_on_the_same_state(wharf):
    d = wharf(models("m"))
    for _ in range(3):
        d.load("m")
        d.stop()
        d.start()
    d.ok(d.chat("m"))
    assert "left over" not in d.stderr
