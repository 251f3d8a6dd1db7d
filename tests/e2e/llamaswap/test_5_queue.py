"""The queue and what comes in next (behaviour 5.2 to 5.6), and what llama-swap's single loop makes
others wait for."""

import os
import signal
import threading

import pytest

from wharf_harness import SECONDS, SSE_HEAD, Later, chat_body, content, demo, until

FIFO = {"scheduler": {"use": "fifo"}}


class Busy:
    """A model's server that answers one request when it is told to, and all others at once."""

    def __init__(self, upstream):
        self.go = threading.Event()
        self.held = False

        def script(peer, _):
            while True:
                peer.request()
                if not self.held:
                    self.held = True
                    peer.send(SSE_HEAD)
                    peer.chunk("data: 1\n\n")
                    assert self.go.wait(SECONDS)
                    peer.chunk("data: [DONE]\n\n")
                    peer.send("0\r\n\r\n")
                else:
                    peer.answer('{"ok":true}')

        self.model = upstream(script).model()

    def begin(self, d, name):
        c = d.connect()
        c.request("POST", "/v1/chat/completions", chat_body(name, stream=True))
        assert c.head().status == 200
        return c


# Rule: priorities, who asks while a is busy, and in which order their models are loaded then.
ORDERS = {
    "equal: in order of arrival": ({}, "bcd", "bcd"),
    "the higher goes first": ({"d": 5, "c": 1}, "bcd", "dcb"),
    "0 where none is given": ({"b": -1}, "bcd", "cdb"),
    "who waits for one model shares its load": ({}, "bcbdcb", "bcd"),
    "also by an alias": ({"dee": 5}, "bcd", "dbc"),
}


@pytest.mark.parametrize("rule", ORDERS)
def test_order(wharf, upstream, rule):
    priority, asked, loaded = ORDERS[rule]
    busy = Busy(upstream)
    d = wharf({"models": {"a": busy.model, "b": demo("b"), "c": demo("c"), "d": demo("d", aliases=["dee"])},
               "routing": {"scheduler": {"use": "fifo", "settings": {"fifo": {"priority": priority}}}}})
    events = d.events()
    busy.begin(d, "a")
    calls = []
    for name in asked:
        calls.append(Later(d.chat, name))
        d.until_model(name, waiting=asked[:len(calls)].count(name))
    busy.go.set()
    for name, call in zip(asked, calls):
        assert content(d.ok(call.result())).startswith(f"demo-model {name} ")
    events.catch_up()
    assert "".join(m for _, m in events.order("model_loading")) == "a" + loaded


def test_a_ready_model_overtakes_the_queue(wharf, upstream):
    """With fifo; fair closes it to newcomers once somebody is overdue."""
    busy = Busy(upstream)
    d = wharf({"models": {"a": busy.model, "b": demo("b")}, "routing": FIFO})
    busy.begin(d, "a")
    waits = Later(d.chat, "b")
    d.until_model("b", waiting=1)
    d.ok(d.chat("a"))
    assert not waits.done
    busy.go.set()
    d.ok(waits.result())


def test_a_failed_load_brings_nobody_back(wharf):
    d = wharf({"models": {"a": demo("a"), "b": demo("b", "--crash-on-load=1")}})
    d.load("a")
    assert d.chat("b").status == 502
    assert d.state_of("a") == "unloaded" and not d.engines()


def stubborn(name):
    """It stays until it is killed."""
    return demo(name, "--ignore-sigterm", unloadTimeout=3600)


@pytest.mark.slice
def test_others_are_served_while_a_model_stops_slowly(wharf):
    d = wharf({"models": {"slow": stubborn("slow"), "a": demo("a"), "b": demo("b")},
               "groups": {"g": {"swap": False, "members": ["slow", "a", "b"]}}})
    pid = d.load("slow")["pid"]
    d.load("a")
    events = d.events()
    unload = Later(d.post, "/api/models/unload/slow")
    events.wait_for("model_unloading", model="slow")
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))  # it has to be loaded first
    assert not unload.done
    os.kill(pid, signal.SIGKILL)
    d.ok(unload.result())


def test_a_ready_model_does_not_wait_for_a_neighbour(wharf, upstream):
    """Its group is exclusive, and b came in beside it since b's is not: no reason to wait for b, nor
    to end it, while both are there."""
    busy = Busy(upstream)
    d = wharf({"models": {"a": demo("a"), "b": busy.model},
               "groups": {"x": {"members": ["a"]}, "y": {"exclusive": False, "members": ["b"]}}})
    d.load("a")
    stream = busy.begin(d, "b")
    d.ok(d.chat("a"))
    assert (d.state_of("a"), d.state_of("b")) == ("loaded", "loaded")
    busy.go.set()
    assert "[DONE]" in until(lambda: (stream.fill() or b"[DONE]" in stream.buffer) and
                             stream.buffer.decode(), "the end of the stream")


def test_an_unload_calls_off_the_swap(wharf):
    """While the model that makes room is still leaving: what was called off does not come in later."""
    d = wharf({"models": {"a": stubborn("a"), "b": demo("b")}})
    pid = d.load("a")["pid"]
    events = d.events()
    waits = Later(d.chat, "b")
    events.wait_for("model_unloading", model="a")
    d.ok(d.post("/api/models/unload/b"))
    answer = waits.result()
    assert (answer.status, answer.error["code"]) == (503, "model_unloaded")
    os.kill(pid, signal.SIGKILL)
    events.wait_for("model_unloaded", model="a")
    assert events.catch_up().count("model_loading") == 0
    d.ok(d.chat("b"))


def test_a_victim_leaves_within_its_own_time(wharf):
    """unloadTimeout, not healthCheckTimeout, which is 120 s here."""
    d = wharf({"models": {"a": demo("a", "--ignore-sigterm", unloadTimeout=1), "b": demo("b")}})
    d.load("a")
    events = d.events()
    d.ok(d.chat("b"))
    assert 1 <= events.wait_for("model_unloaded", model="a")["details"]["seconds"] < 60


def test_who_waits_is_not_told_429(wharf):
    """Where llama-swap refuses the eleventh request; maxQueue is what bounds those who wait."""
    d = wharf({"models": {"m": demo("m", concurrencyLimit=1)}})
    events = d.events()
    calls = [Later(d.chat, "m") for _ in range(30)]
    for call in calls:
        d.ok(call.result())
    assert events.catch_up().count("model_loading") == 1
