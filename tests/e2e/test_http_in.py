"""HTTP/1.1 on the clients' side: framing, keep-alive, pipelining, limits, listeners."""

import json
import socket

import pytest

from wharf_harness import Connection, Daemon, chat_body, demo, models

CHAT = "/v1/chat/completions"


@pytest.fixture
def echo(wharf):
    d = wharf(models("m"))
    d.load("m")
    return d


@pytest.mark.valgrind
def test_keep_alive(echo):
    with Connection(echo.address) as c:
        for i in range(5):
            assert c.ask("GET", f"/upstream/m/n{i}").json()["path"] == f"/n{i}"
        assert c.ask("GET", "/no/such/path").status == 404
        assert c.ask("POST", "/v1/chat/completions", {"model": "nobody"}).status == 404
        assert c.ask("GET", "/health").status == 200


@pytest.mark.valgrind
def test_pipelined_requests_are_answered_in_order(echo):
    with Connection(echo.address) as c:
        requests = b"".join(
            b"GET /upstream/m/p%d HTTP/1.1\r\nHost: x\r\n\r\n" % i if i % 3 else
            b"POST /upstream/m/p%d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nbody%d" % (i, i)
            for i in range(9))
        c.send(requests)
        for i in range(9):
            got = c.answer().json()
            assert got["path"] == f"/p{i}"
            assert got["body_bytes"] == (0 if i % 3 else 5)


def test_pipelined_local_and_proxied(echo):
    with Connection(echo.address) as c:
        c.send(b"GET /upstream/m/one HTTP/1.1\r\nHost: x\r\n\r\n"
               b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
               b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
               b"GET /upstream/m/two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
               b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.answer().json()["path"] == "/one"
        assert c.answer().body == b"OK"
        assert c.answer().status == 404
        assert c.answer().json()["path"] == "/two"
        assert c.is_closed(), "after Connection: close nothing more is answered"


@pytest.mark.slice
def test_a_request_in_single_bytes(echo):
    with Connection(echo.address) as c:
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = (b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
                b"5\r\n{\"mod\r\n1b;x=y\r\nel\":\"m\",\"input\":\"some text\"\r\n1\r\n}\r\n"
                b"0\r\nT: v\r\n\r\n")
        for byte in data:
            c.send(bytes([byte]))
        answer = c.answer()
        assert answer.status == 200, answer
        assert len(answer.json()["data"][0]["embedding"]) == 16


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 1_000_000])
def test_request_bodies_arrive_whole(echo, framing, size):
    body = bytes(i % 251 for i in range(size))
    fnv = 0xcbf29ce484222325
    for byte in body:
        fnv = ((fnv ^ byte) * 0x100000001b3) & (2 ** 64 - 1)
    with Connection(echo.address) as c:
        if framing == "length":
            c.request("POST", "/upstream/m/in", body)
        else:
            c.send(b"POST /upstream/m/in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, size, 40000):
                piece = body[at:at + 40000]
                c.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            c.send(b"0\r\n\r\n")
        got = c.answer().json()
        assert (got["body_bytes"], got["body_fnv1a"]) == (size, f"{fnv:016x}")


@pytest.mark.parametrize("path, body", [
    (CHAT, chat_body("m")), ("/upstream/m/echo", {"any": "thing"})])
def test_expect_100_continue(echo, path, body):
    data = json.dumps(body).encode()
    with Connection(echo.address) as c:
        c.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n")
        assert c.head().status == 100
        assert c.send(data).answer().status == 200


def test_expect_100_continue_whose_body_comes_at_once(echo):
    data = json.dumps(chat_body("m")).encode()
    with Connection(echo.address) as c:
        c.send(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nContent-Type: application/json"
               b"\r\nExpect: 100-continue\r\n\r\n%b" % (CHAT.encode(), len(data), data))
        assert c.answer().status == 200
        assert c.ask("GET", "/health").status == 200


def test_expect_something_else(echo):
    with Connection(echo.address) as c:
        c.send(b"POST /upstream/m/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: wonders\r\n\r\n")
        assert c.answer().status == 417


@pytest.mark.parametrize("connection, stays", [(None, False), ("keep-alive", True)])
def test_http_10(echo, connection, stays):
    with Connection(echo.address) as c:
        extra = f"Connection: {connection}\r\n" if connection else ""
        c.send(f"GET /upstream/m/old HTTP/1.0\r\nHost: x\r\n{extra}\r\n")
        answer = c.answer()
        assert answer.status == 200 and answer.json()["path"] == "/old"
        assert not answer.header("Transfer-Encoding")
        if stays:
            assert c.ask("GET", "/health").status == 200
        else:
            assert c.is_closed()


def test_http_10_gets_streams_without_chunks(echo):
    data = json.dumps(chat_body("m", stream=True)).encode()
    with Connection(echo.address) as c:
        c.send(b"POST %b HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d"
               b"\r\n\r\n%b" % (CHAT.encode(), len(data), data))
        answer = c.answer()
        assert answer.status == 200 and not answer.header("Transfer-Encoding")
        assert answer.body.startswith(b"data: ") and answer.body.endswith(b"data: [DONE]\n\n")
        assert c.is_closed()


# Each of these could be read differently by another parser; none may reach a model.
MALFORMED = {
    "bare LF": b"GET /health HTTP/1.1\nHost: x\n\n",
    "bare CR": b"GET /health HTTP/1.1\rHost: x\r\r",
    "CR in a value": b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
    "NUL in a value": b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    "folded line": b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "space before colon": b"GET /health HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    "no colon": b"GET /health HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n",
    "empty name": b"GET /health HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\nA: b\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "bad host": b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n",
    "length and coding": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                   b"Content-Length: 3\r\n\r\nabc",
    "list of lengths": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    "signed length": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "negative length": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n",
    "length overflow": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n"
                       b"Content-Length: 18446744073709551617\r\n\r\n",
    "hex length": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
    "gzip, chunked": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n"
                     b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding with HTTP/1.0": b"POST /v1/embeddings HTTP/1.0\r\nHost: x\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size sign": b"POST /upstream/m/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                       b"+3\r\nabc\r\n0\r\n\r\n",
    "chunk size 0x": b"POST /upstream/m/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size overflow": b"POST /upstream/m/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
                           b"\r\n\r\n10000000000000000003\r\nabc\r\n0\r\n\r\n",
    "chunk without CRLF": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
                          b"\r\n\r\n3\r\n{\"aXX0\r\n\r\n",
    "chunk line LF": b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
                     b"\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "two spaces": b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /health\r\nHost: x\r\n\r\n",
    "lower-case version": b"GET /health http/1.1\r\nHost: x\r\n\r\n",
    "bad method": b"GE{T /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "control in target": b"GET /hea\x01lth HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 and more of that kind\r\n\r\n",
}


@pytest.fixture(scope="module")
def malformed_target(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("malformed"), models("m"))
    d.load("m")
    yield d
    d.finish()


@pytest.mark.valgrind
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http_gets_400_and_the_connection_is_closed(malformed_target, name):
    d = malformed_target
    with Connection(d.address) as c:
        c.send(MALFORMED[name] + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = c.answer()
        assert answer.status == 400, answer
        assert answer.error["code"] == "invalid_http" and answer.message
        assert answer.header("Connection") == "close"
        assert c.is_closed(), "what followed was answered: a smuggled request"
    assert d.get("/health").status == 200


def test_other_versions(echo):
    with Connection(echo.address) as c:
        answer = c.send(b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n").answer()
        assert answer.status == 505 and c.is_closed()


def test_head_too_large(echo):
    with Connection(echo.address) as c:
        c.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        try:
            for i in range(4096):
                c.send(b"X-%d: %b\r\n" % (i, b"y" * 60))
        except ConnectionError:
            pass
        answer = c.answer()
        assert answer.status == 431 and answer.error["code"] == "head_too_large"
        assert c.is_closed()


@pytest.mark.parametrize("limit, first", [
    pytest.param("head", b"GET /health HT", id="head"),
    pytest.param("body", b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{\"a",
                 id="body"),
    pytest.param("body", b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                         b"3\r\n{\"", id="chunks"),
])
def test_timeouts(wharf, limit, first):
    d = wharf({"timeouts": {"head": "30s", "body": "30s", "idle": "30s", limit: "200ms"}})
    with Connection(d.address) as c:
        answer = c.send(first).answer()
        assert (answer.status, answer.error["code"]) == (408, "request_timeout")
        assert c.is_closed()


def test_a_connection_without_a_request_is_closed(wharf):
    d = wharf({"timeouts": {"head": "200ms", "idle": "200ms"}})
    with Connection(d.address) as c:
        assert c.is_closed() or (c.answer().status == 408 and c.is_closed())


def test_idle_timeout(wharf):
    d = wharf({"timeouts": {"idle": "200ms"}})
    with Connection(d.address) as c:
        assert c.ask("GET", "/health").status == 200
        assert c.is_closed()


def test_a_slow_head_that_keeps_coming_still_times_out(wharf):
    """The head's limit is for the whole head: bytes in between do not prolong it."""
    d = wharf({"timeouts": {"head": "300ms"}})
    with Connection(d.address) as c:
        c.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        c.sock.settimeout(0.05)
        for i in range(200):
            try:
                c.send(b"X-%d: y\r\n" % i)
                c.fill()
            except TimeoutError:
                continue
            except ConnectionError:
                break
            break
        else:
            pytest.fail("the head took ten seconds, and its limit is 300 ms")


def test_waiting_for_a_model_is_no_idleness(wharf):
    d = wharf({"timeouts": {"head": "200ms", "body": "200ms", "idle": "200ms", "write": "200ms"},
               "models": {"m": demo("m", "--load-time", "1s")}})
    assert d.chat("m").status == 200


@pytest.mark.parametrize("path, status", [
    ("/health", 200), ("/wharf/models", 200), ("/upstream/m/big?bytes=1000", 200), ("/nowhere", 404)])
def test_head_requests_have_no_body(echo, path, status):
    with Connection(echo.address) as c:
        answer = c.ask("HEAD", path)
        assert (answer.status, answer.body) == (status, b"")
        if path.startswith("/upstream/m/big"):
            assert answer.header("Content-Length") == "1000"
        assert c.ask("GET", "/health").body == b"OK"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/upstream/m/x", "/anything", "/wharf/models"])
def test_options_is_answered_for_browsers(wharf, path):
    d = wharf(models("m"))
    answer = d.ask("OPTIONS", path, headers={
        "Origin": "http://page.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-wharf-class, b@d"})
    assert answer.status == 204 and answer.body == b""
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert answer.header("Access-Control-Allow-Methods") == "GET, POST, PUT, PATCH, DELETE, OPTIONS"
    assert answer.header("Access-Control-Allow-Headers") == "content-type, x-wharf-class"
    assert answer.header("Access-Control-Max-Age") == "86400"
    assert d.state_of("m") == "unloaded"


def test_options_without_a_list(wharf):
    answer = wharf(models("m")).ask("OPTIONS", "/v1/models")
    assert answer.header("Access-Control-Allow-Headers") == \
        "Content-Type, Authorization, Accept, X-Requested-With"


@pytest.mark.parametrize("method, path", [
    ("GET", "/v1/chat/completions"), ("DELETE", "/wharf/models"), ("POST", "/health"),
    ("PUT", "/running")])
def test_wrong_method(wharf, method, path):
    answer = wharf(models("m")).ask(method, path)
    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")


@pytest.mark.slice
def test_unix_socket(wharf, tmp_path):
    path = str(tmp_path / "s")
    wharf(models("m"), listen=["127.0.0.1:0", f"unix:{path}"])
    with Connection(path) as c:
        assert c.ask("POST", CHAT, chat_body("m")).status == 200
        assert c.ask("GET", "/running").json()["running"][0]["model"] == "m"


def test_a_file_that_is_no_socket_stays(wharf, tmp_path):
    """Left-over sockets are removed. A connection to any other file is refused just as one to those."""
    path = tmp_path / "notes"
    path.write_text("mine")
    d = wharf(models("m"), listen=[f"unix:{path}"], wait=False)
    assert d.wait() == 1 and "cannot listen" in d.stderr
    d.stopped_on_purpose = True
    assert path.read_text() == "mine"


def test_listen_in_the_configuration(wharf, tmp_path):
    path = str(tmp_path / "s")
    d = wharf({"listen": ["127.0.0.1:0", f"unix:{path}"], **models("m")}, listen=None)
    assert d.get("/health").status == 200
    with Connection(path) as c:
        assert c.ask("GET", "/health").status == 200
