"""What browsers let pages of other sites do (section 3.4 of llama-swap's behaviour)."""

import json

import pytest

from wharf_harness import SSE_HEAD, Daemon, chat_body, content, demo, serve_requests

PAGE = {"Origin": "http://page.example:8000"}
CHAT = "/v1/chat/completions"
DEFAULT = "Content-Type, Authorization, Accept, X-Requested-With"


@pytest.fixture(scope="module")
def d(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("d"), {"models": {
        "m": demo("m", sendLoadingState=True), "broken": {"cmd": "false",
                                                          "proxy": "http://127.0.0.1:9"}}})
    yield d
    d.finish()


@pytest.mark.slice
@pytest.mark.parametrize("path", [CHAT, "/upstream/m/x", "/comfyui/", "/nothing", "/wharf/status"])
@pytest.mark.parametrize("asked, allowed", [
    (None, DEFAULT), ("", DEFAULT), ("x-api-key", "x-api-key"), ("a, B ,c d,,é,f", "a, B, f")])
def test_preflight(d, path, asked, allowed):
    headers = {"Access-Control-Request-Headers": asked.encode().decode("latin-1")} \
        if asked is not None else {}
    answer = d.ask("OPTIONS", path, headers={**PAGE, **headers})
    assert answer.status == 204 and answer.body == b""
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert answer.header("Access-Control-Allow-Methods") == "GET, POST, PUT, PATCH, DELETE, OPTIONS"
    assert answer.header("Access-Control-Allow-Headers") == allowed
    assert answer.header("Access-Control-Max-Age") == "86400"


def allowed_for_the_page(answer):
    assert answer.header("Access-Control-Allow-Credentials") is None
    return answer.header("Access-Control-Allow-Origin") == PAGE["Origin"]


@pytest.mark.slice
def test_answers_of_models_and_errors(d):
    assert allowed_for_the_page(d.get("/v1/models", PAGE))
    for stream in (True, False):
        answer = d.ok(d.chat("m", headers=PAGE, stream=stream))
        assert allowed_for_the_page(answer) and content(answer)
        assert answer.header("Vary") == "Origin"
    for answer in (d.chat("broken", headers=PAGE), d.chat("nobody", headers=PAGE),
                   d.get("/upstream/nobody/x", PAGE), d.get("/props?model=nobody", PAGE),
                   d.get("/upstream/m", PAGE)):
        assert answer.status in (301, 404, 502) and allowed_for_the_page(answer), answer
    answer = d.chat("broken", headers=PAGE)
    assert answer.header("Access-Control-Expose-Headers").startswith("Retry-After, X-Should-Retry, ")


@pytest.mark.parametrize("path", ["/wharf/status", "/running", "/logs", "/nothing", "/health"])
def test_wharfs_own_paths(d, path):
    assert d.get(path, PAGE).header("Access-Control-Allow-Origin") is None


def test_without_a_page(d):
    answer = d.chat("m")
    assert not [n for n, _ in answer.headers if n.lower().startswith(("access-control", "vary"))]


@pytest.mark.slice
def test_what_the_server_says_goes_through(wharf, upstream):
    u = upstream(serve_requests(lambda peer, *_: peer.answer(
        extra="Access-Control-Allow-Origin: https://other.example\r\n")))
    answer = wharf({"models": {"m": u.model()}}).chat("m", headers=PAGE)
    assert answer.header("Access-Control-Allow-Origin") == "https://other.example"
    assert answer.header("Vary") is None


def test_a_page_without_the_key(wharf):
    d = wharf({"apiKeys": ["k"], "models": {"m": demo("m")}})
    answer = d.chat("m", headers=PAGE)
    assert answer.status == 401 and allowed_for_the_page(answer)
    assert d.get("/running", PAGE).header("Access-Control-Allow-Origin") is None


@pytest.mark.valgrind
def test_heads_that_are_as_long_as_they_can_be(wharf, upstream):
    """The client's Origin does not add to the answer's head without bound."""
    def serve(peer, *_):
        fields = "".join(f"X-{i}: {'x' * 1000}\r\n" for i in range(31))
        peer.send(SSE_HEAD[:-2] + fields + "\r\n")
        peer.chunk("data: [DONE]\n\n")
        peer.send("0\r\n\r\n")
    d = wharf({"models": {"m": upstream(serve_requests(serve)).model()}})
    for n, echoed in ((490, True), (600, False), (30000, False)):
        origin = "http://" + "o" * n
        answer = d.ok(d.post(CHAT, json.dumps(chat_body("m")), {"Origin": origin}))
        assert (answer.header("Access-Control-Allow-Origin") == origin) == echoed
        assert answer.header("X-30") == "x" * 1000
