"""Errors that wharf answers itself (section 3.5 of llama-swap's behaviour): status, type and code of
each, what Accept has to do with it, and when a retry is worth it."""

import json

import pytest

from wharf_harness import Daemon, Later, chat_body, demo, free_port

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}
KEY = {"Authorization": "Bearer k"}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("target"), {"apiKeys": ["k"], "models": {
        "m": demo("m"), "broken": {"cmd": "false", "proxy": "http://127.0.0.1:9"},
        "refuses": {"cmd": "sleep 3600", "checkEndpoint": "none",
                    "proxy": f"http://127.0.0.1:{free_port()}"}}})
    yield d
    d.finish()


def ask(d, method, path, body=None, headers=None):
    return d.ask(method, path, body, {**KEY, **(headers or {})})


# situation: request, then status, type, wharf's code, llama-swap's code
TABLE = {
    "malformed body": (("POST", CHAT, b"{", JSON), 400, "invalid_request_error", "invalid_json",
                       "bad_request"),
    "no model": (("POST", CHAT, b"{}", JSON), 400, "invalid_request_error", "model_required",
                 "bad_request"),
    "no key": (("POST", CHAT, b"{}", {"Authorization": "Bearer x"}), 401, "authentication_error",
               "unauthorized", "unauthorized"),
    "unknown model": (("POST", CHAT, b'{"model":"x"}', JSON), 404, "invalid_request_error",
                      "model_not_found", "not_found"),
    "unknown model in the path": (("GET", "/upstream/x/y"), 404, "invalid_request_error",
                                  "model_not_found", "not_found"),
    "unknown path": (("GET", "/nothing"), 404, "invalid_request_error", "not_found", "not_found"),
    "wrong method": (("PUT", "/v1/models"), 405, "invalid_request_error", "method_not_allowed",
                     "invalid_request"),
    "another site": (("GET", "/unload", None, {"Sec-Fetch-Site": "cross-site"}), 403,
                     "authentication_error", "cross_site", "forbidden"),
    "encoded body": (("POST", CHAT, b"x", {"Content-Encoding": "gzip"}), 415,
                     "invalid_request_error", "encoded_body", "invalid_request"),
    "not supported": (("POST", "/wharf/models/m/suspend"), 501, "server_error", "not_supported",
                      "internal_error"),
    "failed load": (("POST", CHAT, b'{"model":"broken"}', JSON), 502, "server_error", "load_failed",
                    "bad_gateway"),
    "no connection": (("POST", CHAT, b'{"model":"refuses"}', JSON), 502, "server_error",
                      "upstream_refused", "bad_gateway"),
    "not at once": (("POST", CHAT, b'{"model":"m"}', {**JSON, "X-Wharf-Wait": "0"}), 503,
                    "server_error", "busy", "service_unavailable"),
}
WORTH_A_RETRY = {429, 502, 503, 504}


@pytest.mark.slice
@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
def test_envelope(target, row):
    request, status, type_, code, theirs = row
    answer = ask(target, *request)
    assert answer.status == status, answer
    assert answer.header("Content-Type") == "application/json"
    got = answer.json()
    assert got["src"] == "llama-swap"
    error = got["error"]
    assert (error["type"], error["code"], error["llama_swap_code"]) == (type_, code, theirs), error
    assert error["param"] is None and error["message"]
    again = answer.header("Retry-After")
    assert (again is not None) == (status in WORTH_A_RETRY), answer
    assert again is None or int(again) == error["retry_after"] >= 1


def test_wrong_method_names_the_right_ones(target):
    answer = ask(target, "PUT", "/v1/models")
    assert answer.header("Allow") == "GET, HEAD"


def test_the_key_that_browsers_ask_for(target):
    answer = target.get("/v1/models")
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == 'Basic realm="llama-swap"'


def test_anthropics_paths_keep_their_shape(target):
    got = ask(target, "POST", "/v1/messages", b'{"model":"x"}', JSON).json()
    assert (got["type"], got["src"]) == ("error", "llama-swap")
    assert got["error"]["type"] == "not_found_error"
    assert (got["error"]["code"], got["error"]["llama_swap_code"]) == ("model_not_found", "not_found")


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ACCEPT = {
    "nothing": ("", "application/json"),
    "anything": ("*/*", "application/json"),
    "JSON": ("application/json", "application/json"),
    "axios": ("application/json, text/plain, */*", "application/json"),
    "an event stream": ("text/event-stream", "application/json"),
    "text": ("text/plain", "text/plain; charset=utf-8"),
    "text before a page": ("text/html, text/plain", "text/plain; charset=utf-8"),
    "browser": (BROWSER, "text/html; charset=utf-8"),
}


@pytest.mark.slice
@pytest.mark.parametrize("accept, kind", ACCEPT.values(), ids=ACCEPT.keys())
@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_what_is_accepted(target, path, accept, kind):
    answer = ask(target, "POST", path, b'{"model":"<b>&\\"x"}',
                 {**JSON, **({"Accept": accept} if accept else {})})
    assert (answer.status, answer.header("Content-Type")) == (404, kind), answer
    if kind == "application/json":
        assert '<b>&' in answer.message
    elif kind.startswith("text/plain"):
        assert answer.text.startswith("llama-swap: no model is called "), answer
    else:
        assert answer.text.startswith("<html><body><h1>llama-swap</h1><p>no model is called ")
        assert answer.text.endswith("</p></body></html>")
        assert "&lt;b&gt;&amp;" in answer.text and "<b>" not in answer.text


def test_a_429_is_json_and_tells_the_estimate(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60", concurrencyLimit=1,
                                    maxQueue=1)}})
    d.load("m")
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True))
    c.head()
    waiting = d.connect().request("POST", CHAT, chat_body("m"))
    d.until_model("m", in_flight=1, waiting=1)
    answer = d.chat("m", headers={"Accept": "text/html"})
    assert (answer.status, answer.header("Content-Type")) == (429, "application/json"), answer
    error = answer.error
    assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
    assert error["llama_swap_code"] == "concurrency_limit"
    assert int(answer.header("Retry-After")) == error["retry_after"] >= 1
    c.close()
    waiting.close()
    d.until_model("m", waiting=0)
    d.ok(d.post("/wharf/models/m/unload?force=1"))


def test_waiters_of_an_unloaded_model(wharf, tmp_path):
    """An unload ends what waits, as an error that says so."""
    flag = tmp_path / "never"
    d = wharf({"models": {"m": {"cmd": f"sh -c 'until test -e {flag}; do sleep 0.1; done'",
                                "proxy": "http://127.0.0.1:1"}}})
    waiter = Later(d.chat, "m")
    d.until_model("m", waiting=1)
    d.ok(d.post("/api/models/unload/m"))
    answer = waiter.result()
    assert (answer.status, answer.error["code"]) == (503, "model_unloaded"), answer
    assert answer.error["llama_swap_code"] == "service_unavailable"
    assert int(answer.header("Retry-After")) >= 1
    assert json.loads(answer.body)["src"] == "llama-swap"
