"""Engines that fail: what the client sees, and that the daemon goes on."""

import os
import signal
import threading

import pytest

from wharf_harness import (SECONDS, SSE_HEAD, Connection, chat_body, content, demo, free_port, models,
                           serve_requests)

CHAT = "/v1/chat/completions"


def one_answer(data):
    def script(peer, _):
        peer.request()
        peer.send(data)
    return script


@pytest.mark.valgrind
def test_refused(wharf):
    port = free_port()
    d = wharf({"models": {"m": {"cmd": "sleep 3600", "checkEndpoint": "none",
                                "proxy": f"http://127.0.0.1:{port}"}}})
    answer = d.chat("m")
    assert answer.status == 502, answer
    assert answer.error["code"] in ("upstream_refused", "load_failed") and answer.message
    d.until_model("m", in_flight=0, waiting=0)


@pytest.mark.slice
@pytest.mark.parametrize("how", ["close", "reset"])
def test_closed_before_an_answer(wharf, upstream, how):
    def script(peer, _):
        peer.request()
        getattr(peer, how)()

    d = wharf({"models": {"m": upstream(script).model()}})
    answer = d.chat("m")
    assert answer.status == 502, answer
    assert answer.error["code"] in ("upstream_closed", "upstream_error") and answer.message
    assert d.state_of("m") == "loaded"


MALFORMED_HEADS = {
    "no HTTP": b"hello there\r\n\r\n",
    "bad status": b"HTTP/1.1 two hundred\r\n\r\n",
    "status 99": b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nnothing\r\n\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nServer : x\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "NUL": b"HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 0\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                         b"0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 2_000_000,
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED_HEADS)
def test_malformed_answer(wharf, upstream, name):
    u = upstream(one_answer(MALFORMED_HEADS[name]))
    d = wharf({"models": {"m": u.model()}})
    answer = d.chat("m")
    assert (answer.status, answer.error["code"]) == (502, "upstream_invalid"), answer
    assert d.get("/health").status == 200
    assert len(u.peers) == 1, "an answer that came is not asked for again"


def test_malformed_answer_of_the_demo_engine(wharf):
    d = wharf({"models": {"m": demo("m", "--bad-head", checkEndpoint="/health")}})
    answer = d.chat("m")
    assert (answer.status, answer.error["code"]) == (502, "upstream_invalid"), answer


@pytest.mark.parametrize("option", ["content-length", "close, Content-Length"])
def test_connection_does_not_take_the_length_away(wharf, upstream, option):
    """An answer without its length would go on to the end of the connection, into the next one."""
    def answer(peer, *_):
        peer.send(f"HTTP/1.1 200 OK\r\nConnection: {option}\r\nContent-Length: 3\r\n\r\nabc")

    d = wharf({"models": {"m": upstream(serve_requests(answer)).model()}})
    with Connection(d.address) as c:
        for _ in range(2):
            got = c.ask("POST", CHAT, chat_body("m"))
            assert (got.header("content-length"), got.text) == ("3", "abc")


def test_connection_does_not_take_the_host_away(wharf, upstream):
    seen = []

    def answer(peer, line, headers, body):
        seen.append(headers)
        peer.answer("ok")

    d = wharf({"models": {"m": upstream(serve_requests(answer)).model()}})
    d.ok(d.chat("m", headers={"Connection": "host, content-length, x-mine", "X-Mine": "1"}))
    assert seen[0]["host"] and seen[0]["content-length"] and "x-mine" not in seen[0]


CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    "mid-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nonly this",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\n",
    "no last CRLF": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n0\r\n",
}


@pytest.mark.slice
@pytest.mark.parametrize("name", CUT)
def test_a_truncated_answer_looks_truncated(wharf, upstream, name):
    d = wharf({"models": {"m": upstream(one_answer(CUT[name])).model()}})
    with Connection(d.address) as c:
        answer = c.ask("POST", CHAT, chat_body("m"))
        assert answer.status == 200
        assert answer.body == b"only this"
        assert not answer.complete, "the client cannot tell that something is missing"
        assert c.is_closed()
    d.until_model("m", in_flight=0)


@pytest.mark.parametrize("stream", [False, True])
def test_truncated_by_the_demo_engine(wharf, stream):
    d = wharf({"models": {"m": demo("m", "--truncate")}})
    answer = d.chat("m", stream=stream)
    assert answer.status == 200 and not answer.complete


def test_an_answer_until_close_is_whole(wharf, upstream):
    data = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it"
    d = wharf({"models": {"m": upstream(one_answer(data)).model()}})
    answer = d.chat("m")
    assert (answer.status, answer.body, answer.complete) == (200, b"all of it", True)


def test_an_interim_answer_is_not_the_answer(wharf, upstream):
    data = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal")
    d = wharf({"models": {"m": upstream(one_answer(data)).model()}})
    with Connection(d.address) as c:
        c.request("POST", CHAT, chat_body("m"))
        answer = c.head()
        while answer.status < 200:
            answer = c.head()
        assert answer.status == 200 and b"".join(c.pieces(answer)) == b"real"


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(wharf, upstream, status):
    def answer(peer, *_):
        peer.send(f"HTTP/1.1 {status} Nothing\r\nETag: \"1\"\r\n\r\n")

    d = wharf({"models": {"m": upstream(serve_requests(answer)).model()}})
    with Connection(d.address) as c:
        for _ in range(2):
            got = c.ask("GET", "/upstream/m/x")
            assert (got.status, got.body, got.header("ETag")) == (status, b"", '"1"')
        assert c.ask("GET", "/health").status == 200


@pytest.mark.slice
def test_hang_meets_the_response_header_timeout(wharf):
    d = wharf({"models": {"m": demo("m", "--hang", timeouts={"responseHeader": 1})}})
    answer = d.chat("m")
    assert (answer.status, answer.error["code"]) == (504, "upstream_timeout"), answer
    d.until_model("m", in_flight=0)


def test_a_stream_may_pause_longer_than_the_header_timeout(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1200ms", "--tokens", "1",
                                    timeouts={"responseHeader": 1})}})
    d.load("m")
    assert content(d.ok(d.chat("m", stream=True))) == "demo-model"


# ---------------------------------------------------------------- stale connections


@pytest.mark.valgrind
def test_a_stale_connection_is_retried_once(wharf, upstream):
    """The kept connection dies as the second request arrives on it: sent again on a fresh one."""
    def script(peer, number):
        line, headers, body = peer.request()
        peer.answer(f'{{"connection":{number}}}')
        if number == 1:
            peer.request()  # read, and never answered
            peer.close()
        else:
            peer.is_closed()

    u = upstream(script)
    d = wharf({"models": {"m": u.model()}})
    assert d.ok(d.chat("m")).json() == {"connection": 1}
    assert d.ok(d.chat("m")).json() == {"connection": 2}
    assert len(u.peers) == 2


def test_a_fresh_connection_is_not_retried(wharf, upstream):
    def script(peer, _):
        peer.request()

    u = upstream(script)
    d = wharf({"models": {"m": u.model()}})
    assert d.chat("m").status == 502
    assert len(u.peers) == 1


def test_a_retry_is_made_once_only(wharf, upstream):
    def script(peer, number):
        peer.request()
        if number == 1:
            peer.answer()
            peer.request()

    u = upstream(script)
    d = wharf({"models": {"m": u.model()}})
    d.ok(d.chat("m"))
    assert d.chat("m").status == 502
    assert len(u.peers) == 2


def test_no_retry_once_an_answer_has_begun(wharf, upstream):
    def script(peer, number):
        peer.request()
        peer.answer()
        peer.request()
        peer.send("HTTP/1.1 200 OK\r\nContent-Len")

    u = upstream(script)
    d = wharf({"models": {"m": u.model()}})
    d.ok(d.chat("m"))
    assert d.chat("m").status == 502
    assert len(u.peers) == 1


@pytest.mark.parametrize("answers", [1, 3])
def test_an_engine_that_drops_kept_connections_unannounced(wharf, answers):
    d = wharf({"models": {"m": demo("m", "--close-after", answers)}})
    for i in range(50):
        assert content(d.ok(d.chat("m", f"n{i}"))).endswith(f"n{i}")


def test_a_connection_that_speaks_unasked_is_not_used(wharf, upstream):
    """Bytes that come on an idle connection would be read as the next client's answer."""
    spoken = threading.Event()

    def script(peer, number):
        peer.request()
        peer.answer(f'{{"connection":{number}}}'.encode())
        if number == 1:
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npoisoned!")
            spoken.set()
        peer.is_closed()

    u = upstream(script)
    d = wharf({"models": {"m": u.model()}})
    assert d.ok(d.chat("m")).json() == {"connection": 1}
    assert spoken.wait(SECONDS)
    answer = d.chat("m")
    assert b"poisoned" not in answer.body
    assert answer.status == 200 and answer.json() == {"connection": 2}, answer


# ---------------------------------------------------------------- crashes


@pytest.mark.slice
def test_a_crash_in_mid_stream(wharf):
    d = wharf({"models": {"m": demo("m", "--crash-after-tokens", "3", "--token-delay", "10ms")}})
    events = d.events()
    with Connection(d.address) as c:
        c.request("POST", CHAT, chat_body("m", stream=True))
        head = c.head()
        got = []
        with pytest.raises(ConnectionError):
            for event in c.sse(head):
                got.append(event["data"])
        assert got and "[DONE]" not in got and not head.complete
        assert c.is_closed()
    events.wait_for("model_unloaded", model="m")
    d.until_model("m", state="unloaded", in_flight=0, pid=None)


def test_a_crash_before_the_answer(wharf):
    d = wharf({"models": {"m": demo("m", "--crash-after-tokens", "3")}})
    answer = d.chat("m")
    assert answer.status == 502, answer
    assert answer.error["code"].startswith("upstream_")


def test_others_waiting_for_a_crashed_model_are_served_by_its_successor(wharf, upstream):
    """The second request waits for the only slot when the process ends under the first.

    The server here outlives its process, so that the second request cannot meet a dying socket."""
    def script(peer, number):
        peer.request()
        if number > 1:
            peer.answer('{"from":"the successor"}')
            return
        peer.send(SSE_HEAD)
        peer.chunk("data: 1\n\n")
        peer.is_closed()

    d = wharf({"models": {"m": upstream(script).model(concurrencyLimit=1)}})
    events = d.events()
    pid = d.load("m")["pid"]
    first = d.connect()
    first.request("POST", CHAT, chat_body("m", stream=True))
    assert first.head().status == 200
    second = d.connect()
    second.request("POST", CHAT, chat_body("m"))
    d.until_model("m", in_flight=1, waiting=1)
    os.kill(pid, signal.SIGKILL)
    events.wait_for("model_unloaded", model="m")
    first.close()
    answer = second.answer()
    assert answer.status == 200 and answer.json() == {"from": "the successor"}, answer
    assert d.model("m")["pid"] not in (None, pid)


def test_answers_of_the_engine_itself_are_passed_on(wharf):
    d = wharf(models("m"))
    for status in (400, 404, 429, 500, 503):
        answer = d.get(f"/upstream/m/x?status={status}")
        assert answer.status == status and answer.json()["path"] == "/x"


def test_upstream_by_name(wharf):
    d = wharf({"models": {"m": demo("m") | {"proxy": "http://localhost:${PORT}"}}})
    d.ok(d.chat("m"))


def test_sse_error_status(wharf, upstream):
    data = (SSE_HEAD.replace("200 OK", "500 Oops") + "b\r\ndata: oops\n\r\n0\r\n\r\n").encode()
    d = wharf({"models": {"m": upstream(one_answer(data)).model()}})
    answer = d.chat("m", stream=True)
    assert (answer.status, answer.body, answer.complete) == (500, b"data: oops\n", True)
