"""WebSockets that do not count as requests (section 3.11 of llama-swap's behaviour, its
compat.ignoreWebsockets); test_websocket.py has those that do."""

import os
import signal

import pytest

from test_websocket import TEXT, WebSocket
from wharf_harness import Connection, demo, until

IGNORED = {"compat": {"ignoreWebsockets": True}}


def echoes(ws):
    ws.send(b"hello")
    return ws.receive() == (TEXT, b"hello")


@pytest.mark.slice
@pytest.mark.parametrize("path", ["/upstream/m/ws", "/props?model=m"])
def test_it_loads_nothing(wharf, path):
    d = wharf({"models": {"m": demo("m", **IGNORED)}})
    c = d.connect()
    c.request("GET", path, headers={"Connection": "Upgrade", "Upgrade": "WebSocket"})
    answer = c.answer()
    assert (answer.status, answer.error["code"]) == (409, "conflict"), answer
    assert answer.message == "model m is not loaded; ignored websocket requests cannot start it"
    assert d.state_of("m") == "unloaded"


def test_comfyuis_are_ignored_unasked(wharf):
    d = wharf({"models": {"comfyui_auto": demo("comfyui_auto")}})
    assert WebSocket(d, "/comfyui/ws").answer.status == 409
    d.load("comfyui_auto")
    assert echoes(WebSocket(d, "/comfyui/ws"))
    assert d.model("comfyui_auto")["in_flight"] == 0


@pytest.mark.slice
@pytest.mark.valgrind
def test_it_takes_no_slot_and_holds_nothing_up(wharf):
    d = wharf({"models": {"m": demo("m", concurrencyLimit=1, **IGNORED), "n": demo("n")}})
    d.load("m")
    sockets = [WebSocket(d) for _ in range(3)]
    assert all(echoes(ws) for ws in sockets)
    assert d.model("m")["in_flight"] == 0
    d.ok(d.chat("m"))
    d.ok(d.chat("n"))  # m has to leave for it
    assert d.state_of("m") == "unloaded"
    assert all(ws.c.is_closed() for ws in sockets)


def test_it_does_not_keep_the_model(wharf):
    d = wharf({"models": {"m": demo("m", ttl=1, **IGNORED)}})
    events = d.events()
    d.load("m")
    ws = WebSocket(d)
    assert echoes(ws)
    events.wait_for("idle_unload", model="m")
    assert ws.c.is_closed()


@pytest.mark.slice
def test_a_server_that_outlives_its_model(wharf, tmp_path):
    """cmdStop may leave whom the socket goes to alone: it is ended all the same."""
    other = wharf({"models": {"m": demo("m")}})
    other.load("m")
    port = other.model("m")["port"]
    d = wharf({"models": {"m": {"cmd": "sleep 3600", "checkEndpoint": "none", **IGNORED,
                                "proxy": f"http://127.0.0.1:{port}"}}})
    d.load("m")
    ws = WebSocket(d)
    assert echoes(ws)
    d.ok(d.post("/api/models/unload/m"))
    assert ws.c.is_closed()
    assert WebSocket(d).answer.status == 409


def test_a_server_that_dies(wharf):
    d = wharf({"models": {"m": demo("m", **IGNORED)}})
    d.load("m")
    ws = WebSocket(d)
    assert echoes(ws)
    pid, = d.engines("m")
    os.kill(pid, signal.SIGKILL)
    assert ws.c.is_closed()
    d.until_model("m", state="unloaded")
    d.ok(d.chat("m"))


def test_other_upgrades_count(wharf):
    d = wharf({"models": {"m": demo("m", **IGNORED)}})
    c = d.connect()
    c.request("GET", "/upstream/m/x", headers={"Connection": "Upgrade", "Upgrade": "custom"})
    c.answer()
    assert d.state_of("m") == "loaded"


def test_shutdown_with_one_open(wharf):
    d = wharf({"models": {"m": demo("m", **IGNORED)}})
    d.load("m")
    ws = WebSocket(d)
    assert echoes(ws)
    d.stop()
    assert ws.c.is_closed()


def refuses(d):
    try:
        Connection(d.address).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was in the backlog of the listener that closed
    return False


def test_shutdown_waits_for_one_that_counts(wharf):
    """As for any request: to its end, or as long as timeouts.shutdown says."""
    d = wharf({"models": {"m": demo("m")}})
    d.load("m")
    ws = WebSocket(d)
    assert echoes(ws)
    d.signal(signal.SIGTERM)
    until(lambda: refuses(d), "the listener is closed")
    assert echoes(ws)
    ws.c.close()
    assert d.wait() == 0
