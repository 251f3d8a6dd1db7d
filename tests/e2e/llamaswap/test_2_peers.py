"""llama-swap's rules about peers (2.14, 3.9) at run time; those about their configuration are in
test_2_names.py."""

import json
import signal
import socket

import pytest

from test_websocket import WebSocket
from wharf_harness import (SECONDS, SSE_HEAD, Later, chat_body, content, demo, free_port,
                           serve_requests, until)

CHAT = "/v1/chat/completions"


def echo(peer, line, headers, body):
    peer.answer(json.dumps({"line": line, "headers": headers, "body": body.decode()}))


def peer_of(port, *models, **keys):
    return {"proxy": f"http://127.0.0.1:{port}", "models": list(models), **keys}


def seen(daemon, model, headers=None, path=CHAT):
    return daemon.ok(daemon.post(path, chat_body(model), headers)).json()


@pytest.mark.slice
@pytest.mark.valgrind
def test_a_peer_that_is_a_wharf(wharf):
    far = wharf({"models": {"r": demo("r")}})
    near = wharf({"models": {"m": demo("m")}, "peers": {"p": peer_of(far.address[1], "r")}})
    for name in ("r", "p/r"):
        assert near.ok(near.chat(name)).json()["model"] == "r"
        assert content(near.ok(near.chat(name, stream=True)))
    assert near.ok(near.chat("m")).json()["model"] == "m"
    assert near.ok(near.get("/upstream/p/r/v1/models")).json()["data"]


def test_names(wharf, upstream):
    up, other = upstream(serve_requests(echo)), upstream(serve_requests(echo))
    d = wharf({"models": {"m": demo("m")},
               "peers": {"p": peer_of(up.port, "r", "m", "q/x", "both"),
                         "q": peer_of(other.port, "x", "both")}})
    assert json.loads(seen(d, "p/r")["body"])["model"] == "r"
    assert json.loads(seen(d, "r")["body"])["model"] == "r"
    assert d.ok(d.chat("m")).json()["model"] == "m", "models of this machine come first"
    assert json.loads(seen(d, "p/m")["body"])["model"] == "m"
    body = json.loads(seen(d, "q/x")["body"])
    assert body["model"] == "x" and len(other.peers) == 1, "PEER/MODEL comes before a bare name"
    assert d.chat("both").status == 404
    assert d.chat("p/nobody").status == 404
    assert d.chat("p").status == 404


def test_the_rest_of_the_body_is_untouched(wharf, upstream):
    up = upstream(serve_requests(echo))
    d = wharf({"peers": {"p": peer_of(up.port, "r")}})
    body = '{ "a" : 1.50,"model":"p/r" ,"b":"\\u00e9" }'
    got = d.ok(d.post(CHAT, body, {"Content-Type": "application/json"})).json()["body"]
    assert got == body.replace("p/r", "r")


def test_filters(wharf, upstream):
    up = upstream(serve_requests(echo))
    d = wharf({"peers": {"p": peer_of(up.port, "r", filters={
        "stripParams": "top_k", "setParams": {"seed": 7}, "setParamsByID": {"p/r": {"n": 2}}})}})
    for name, by_id in [("r", {}), ("p/r", {"n": 2})]:
        got = json.loads(d.ok(d.chat(name, top_k=5)).json()["body"])
        assert got == {**chat_body("r"), "seed": 7, **by_id}


def test_its_name_in_the_query(wharf, upstream):
    up = upstream(serve_requests(echo))
    d = wharf({"peers": {"p": peer_of(up.port, "r")}})
    assert d.ok(d.get("/props?a=b&model=p/r")).json()["line"] == "GET /props?a=b&model=r HTTP/1.1"


def test_headers(wharf, upstream):
    up = upstream(serve_requests(echo))
    d = wharf({"peers": {"p": peer_of(up.port, "r"),
                         "k": peer_of(up.port, "s", apiKey="sk-far")}})
    sent = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Host": "h", "Forwarded": "for=10.0.0.1",
            "Authorization": "Bearer mine", "x-api-key": "mine too", "X-Other": "o",
            "X-Wharf-Class": "normal"}
    got = seen(d, "r", sent)["headers"]
    assert got["host"] == f"127.0.0.1:{up.port}"
    assert not [n for n in got if "forwarded" in n or n.startswith("x-wharf")], got
    assert got["authorization"] == "Bearer mine" and got["x-api-key"] == "mine too"
    assert got["x-other"] == "o"
    got = seen(d, "s", sent)["headers"]
    assert got["authorization"] == "Bearer sk-far" and got["x-api-key"] == "sk-far"


def test_event_streams_are_not_held_back(wharf, upstream):
    up = upstream(serve_requests(lambda peer, *_: peer.answer("data: 1\n\n", kind="text/event-stream")))
    d = wharf({"peers": {"p": peer_of(up.port, "r")}})
    assert d.ok(d.chat("r", stream=True)).header("X-Accel-Buffering") == "no"


def test_a_key_of_this_server_stays_here(wharf, upstream):
    up = upstream(serve_requests(echo))
    d = wharf({"apiKeys": ["near"], "peers": {"p": peer_of(up.port, "r")}})
    assert d.chat("r").status == 401
    got = seen(d, "r", {"Authorization": "Bearer near"})["headers"]
    assert "authorization" not in got and "x-api-key" not in got


def test_its_key_is_in_no_log(wharf, upstream):
    up = upstream(serve_requests(echo))
    d = wharf({"logLevel": "debug", "peers": {"p": peer_of(up.port, "r", apiKey="sk-secret-7")}})
    seen(d, "r")
    d.post("/v1/chat/completions", "no json", {"Content-Type": "application/json"})
    assert "sk-secret-7" not in d.stderr


def test_a_key_that_would_be_a_header_of_its_own(wharf, tmp_path):
    d = wharf({})
    bad = tmp_path / "bad.yaml"
    bad.write_text(json.dumps({"peers": {"p": peer_of(1, "r", apiKey="a\r\nX-B: c")}}))
    run = d.cli("check", str(bad))
    assert run.returncode == 2 and "a character that no header may have" in run.stdout + run.stderr


def test_connections_are_kept(wharf, upstream):
    up = upstream(serve_requests(echo))
    d = wharf({"peers": {"p": peer_of(up.port, "r")}})
    for _ in range(3):
        seen(d, "r")
    assert len(up.peers) == 1


FAILURES = [
    ("closed", lambda peer: peer.close(), 502, "upstream_closed"),
    ("malformed", lambda peer: peer.send("nonsense\r\n\r\n"), 502, "upstream_invalid"),
    ("silent", lambda peer: peer.is_closed(), 504, "upstream_timeout"),
]


@pytest.mark.parametrize("how, act, status, code", FAILURES, ids=[f[0] for f in FAILURES])
def test_it_fails(wharf, upstream, how, act, status, code):
    def script(peer, _):
        peer.request()
        act(peer)

    d = wharf({"peers": {"p": peer_of(upstream(script).port, "r", timeouts={"responseHeader": 1})}})
    answer = d.chat("r")
    assert (answer.status, answer.error["code"]) == (status, code), answer
    assert answer.message.startswith("peer proxy error: p: "), answer


@pytest.mark.valgrind
def test_it_is_not_there(wharf):
    d = wharf({"peers": {"p": peer_of(free_port(), "r"),
                         "n": {"proxy": "http://no-such-host.invalid", "models": ["s"]}}})
    answer = d.chat("r")
    assert (answer.status, answer.error["code"]) == (502, "upstream_refused"), answer
    answer = d.chat("s")
    assert (answer.status, answer.error["code"]) == (502, "upstream_error"), answer


def test_its_errors_pass(wharf, upstream):
    up = upstream(serve_requests(lambda peer, *_: peer.answer('{"error":1}', 429,
                                                              extra="Retry-After: 9\r\n")))
    d = wharf({"peers": {"p": peer_of(up.port, "r")}})
    answer = d.chat("r")
    assert (answer.status, answer.text, answer.header("Retry-After")) == (429, '{"error":1}', "9")


def test_a_cut_answer_is_seen(wharf, upstream):
    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        peer.chunk("data: 1\n\n")
        peer.close()

    d = wharf({"peers": {"p": peer_of(upstream(script).port, "r")}})
    answer = d.chat("r", stream=True)
    assert answer.status == 200 and not answer.complete


def test_a_client_that_leaves_is_told_on(wharf, upstream):
    gone = []

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        gone.append(peer.is_closed())

    d = wharf({"peers": {"p": peer_of(upstream(script).port, "r")}})
    c = d.connect().request("POST", CHAT, chat_body("r", stream=True))
    c.head()
    c.close()
    until(lambda: gone, "the peer's connection is closed")
    assert gone == [True]


def test_a_websocket(wharf):
    far = wharf({"models": {"r": demo("r")}})
    near = wharf({"peers": {"p": peer_of(far.address[1], "r")}})
    ws = WebSocket(near, "/upstream/p/r/upstream/r/ws")
    ws.send(b"over two")
    assert ws.receive() == (1, b"over two")
    ws.c.close()


def test_the_shutdown_waits(wharf, upstream):
    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        peer.chunk("data: 1\n\n")
        go.recv(1)
        peer.chunk("data: 2\n\n")
        peer.send("0\r\n\r\n")

    go, say = socket.socketpair()
    d = wharf({"peers": {"p": peer_of(upstream(script).port, "r")}})
    c = d.connect().request("POST", CHAT, chat_body("r", stream=True))
    answer = c.head()
    pieces = c.pieces(answer)
    assert next(pieces) == b"data: 1\n\n"
    d.signal(signal.SIGTERM)
    until(lambda: "stopping" in d.stderr, "the shutdown")
    say.send(b"!")
    assert b"".join(pieces) == b"data: 2\n\n" and answer.complete
    assert d.wait() == 0


def test_the_shutdown_does_not_wait_for_ever(wharf, upstream):
    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        peer.is_closed()

    d = wharf({"timeouts": {"shutdown": "1s"},
               "peers": {"p": peer_of(upstream(script).port, "r")}})
    c = d.connect().request("POST", CHAT, chat_body("r", stream=True))
    answer = c.head()
    d.signal(signal.SIGTERM)
    list_of = Later(lambda: list(c.pieces(answer)))
    assert d.wait(2 * SECONDS) == 0
    with pytest.raises(ConnectionError):
        list_of.result()
    assert not answer.complete


def test_a_reload(wharf, upstream):
    first, second = upstream(serve_requests(echo)), upstream(serve_requests(echo))
    d = wharf({"peers": {"p": peer_of(first.port, "r")}})
    seen(d, "r")
    d.reload({"peers": {"p": peer_of(second.port, "r")}})
    seen(d, "r")
    assert (len(first.peers), len(second.peers)) == (1, 1)
    d.reload({})
    assert d.chat("r").status == 404


def test_spillover_to_a_peer_and_back(wharf, upstream):
    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        peer.chunk("data: 1\n\n")
        peer.is_closed()

    def ask():
        c = d.connect().request("POST", CHAT, chat_body("s", stream=True))
        assert c.head().status == 200
        return c

    up = upstream(script)
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60")},
               "peers": {"p": peer_of(up.port, "r")},
               "selectors": {"s": {"strategy": "spillover", "targets": ["p/r", "m"]}}})
    first = ask()
    assert len(up.peers) == 1 and d.state_of("m") == "unloaded", "the peer is the first"
    ask()
    assert d.model("m")["in_flight"] == 1, "the peer is busy"
    first.close()
    until(lambda: not d.ok(d.get("/api/inflight")).json()["requests"][1:], "the first has ended")
    ask()
    assert len(up.peers) == 2 and d.model("m")["in_flight"] == 1
    rows = d.ok(d.get("/api/metrics/activity")).json()["data"]
    assert [r["model"] for r in rows] == ["p/r"]
