"""llama-swap's rules about where requests go and what is passed on (3.9): the part about models."""

import json
import socket
import threading

import pytest

from wharf_harness import Upstream, chat_body, demo, free_port, serve_requests

CHAT = "/v1/chat/completions"


def echo(peer, line, headers, body):
    peer.answer(json.dumps({"line": line, "headers": headers, "body": body.decode()}))


def seen(daemon, model="m", path=CHAT, headers=None):
    return daemon.ok(daemon.post(path, chat_body(model), headers)).json()


# The proxy, with PORT for the server's port; the request line that it gets for POST CHAT, and for
# GET /upstream/m/x?y=z.
BASES = [
    ("http://127.0.0.1:PORT", CHAT, "/x?y=z"),
    ("http://127.0.0.1:PORT/", CHAT, "/x?y=z"),
    ("http://127.0.0.1:PORT/base", "/base" + CHAT, "/base/x?y=z"),
    ("http://127.0.0.1:PORT/base/", "/base" + CHAT, "/base/x?y=z"),
    ("http://127.0.0.1:PORT/a/b?k=v", "/a/b" + CHAT + "?k=v", "/a/b/x?k=v&y=z"),
    ("http://127.0.0.1:PORT?k=v&l=w", CHAT + "?k=v&l=w", "/x?k=v&l=w&y=z"),
    ("http://localhost:PORT", CHAT, "/x?y=z"),
    ("http://127.1:PORT", CHAT, "/x?y=z"),  # not an address to inet_pton: it is looked up
]


@pytest.mark.parametrize("proxy, chat, other", BASES, ids=[b[0] for b in BASES])
def test_the_base_of_the_proxy(wharf, upstream, proxy, chat, other):
    up = upstream(serve_requests(echo))
    d = wharf({"models": {"m": up.model(proxy=proxy.replace("PORT", str(up.port)))}})
    assert seen(d)["line"] == f"POST {chat} HTTP/1.1"
    assert d.ok(d.get("/upstream/m/x?y=z")).json()["line"] == f"GET {other} HTTP/1.1"


def test_the_base_is_part_of_the_check(wharf, upstream):
    lines = []

    def answer(peer, line, headers, body):
        lines.append(line)
        peer.answer("{}")

    up = upstream(serve_requests(answer))
    d = wharf({"models": {"m": up.model(proxy=f"http://127.0.0.1:{up.port}/b?k=v",
                                        checkEndpoint="/health?full=1")}})
    d.ok(d.chat("m"))
    assert lines[0] == "GET /b/health?full=1&k=v HTTP/1.1"


class UnixUpstream(Upstream):
    def __init__(self, script, path):
        self.script, self.peers, self.errors, self.closing = script, [], [], False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()


def test_a_unix_socket(wharf, tmp_path):
    up = UnixUpstream(serve_requests(echo), tmp_path / "m.sock")
    d = wharf({"models": {"m": {"cmd": "sleep 3600", "proxy": f"unix:{tmp_path}/m.sock",
                                "checkEndpoint": "/health"}}})
    assert seen(d)["line"] == f"POST {CHAT} HTTP/1.1"
    assert len(up.peers) == 2, "one for the check, and one that requests share"
    seen(d)
    assert len(up.peers) == 2
    up.close()


@pytest.mark.slice
def test_the_second_address_of_localhost(wharf):
    listener = socket.socket(socket.AF_INET6)
    try:
        listener.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    listener.listen()
    up = Upstream.__new__(Upstream)
    up.script, up.peers, up.errors, up.closing = serve_requests(echo), [], [], False
    up.listener, up.port = listener, listener.getsockname()[1]
    threading.Thread(target=up._accept, daemon=True).start()
    d = wharf({"models": {"m": up.model(proxy=f"http://localhost:{up.port}",
                                        checkEndpoint="/health")}})
    assert seen(d, headers={"Connection": "close"})["line"] == f"POST {CHAT} HTTP/1.1"
    up.close()


def test_all_addresses_refuse(wharf):
    d = wharf({"models": {"m": {"cmd": "sleep 3600", "checkEndpoint": "none",
                                "proxy": f"http://localhost:{free_port()}"}}})
    answer = d.chat("m")
    assert answer.status == 502 and "refused" in answer.message, answer


@pytest.mark.valgrind
def test_a_name_that_nobody_knows(wharf):
    d = wharf({"models": {"m": {"cmd": "sleep 3600", "proxy": "http://no-such-host.invalid:1",
                                "checkEndpoint": "none", "timeouts": {"connect": 5}},
                          "other": demo("other")}})
    answer = d.chat("m")
    assert answer.status in (502, 504), answer
    d.ok(d.chat("other"))


def test_what_the_client_says_is_passed_on(wharf, upstream):
    up = upstream(serve_requests(echo))
    d = wharf({"models": {"m": up.model()}})
    got = seen(d, headers={"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https",
                           "Authorization": "Bearer mine", "X-Wharf-Class": "normal"})["headers"]
    assert got["host"] == d.address[0] + ":" + str(d.address[1])
    assert got["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
    assert got["x-forwarded-proto"] == "https"
    assert got["authorization"] == "Bearer mine"
    assert "x-wharf-class" not in got and "user-agent" not in got
