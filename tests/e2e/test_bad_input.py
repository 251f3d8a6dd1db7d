"""Bad requests: a status, a code, and a sentence that helps."""

import json
import re

import pytest

from wharf_harness import Connection, Daemon, Later, chat_body, demo, models

JSON = {"Content-Type": "application/json"}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("target"), {"models": {
        "llama-8b": demo("llama-8b", aliases=["llama-small"]), "qwen-14b": demo("qwen-14b"),
        "whisper": demo("whisper")}})
    yield d
    d.finish()


@pytest.mark.slice
@pytest.mark.parametrize("asked, nearest", [
    ("llama-8", "llama-8b"), ("Llama-8B", "llama-8b"), ("qwen14b", "qwen-14b"), ("wisper", "whisper"),
    ("llama-smal", "llama-small")])
def test_unknown_model(target, asked, nearest):
    for answer in (target.chat(asked), target.get(f"/props?model={asked}"),
                   target.get(f"/upstream/{asked}/x"), target.get(f"/wharf/models/{asked}"),
                   target.post(f"/wharf/models/{asked}/load")):
        assert answer.status == 404, answer
        assert answer.error["code"] == "model_not_found"
        assert nearest in answer.message and asked in answer.message, answer.message


def test_a_try_again_is_offered_or_declined(target):
    def said(answer):
        return answer.header("Retry-After"), answer.header("X-Should-Retry")
    assert said(target.chat("nobody")) == (None, "false")
    assert said(target.get("/nowhere")) == (None, "false")
    with target.connect() as c:
        assert said(c.send("no HTTP\r\n\r\n").answer()) == (None, "false")
    later, declined = said(target.chat("whisper", headers={"X-Wharf-Wait": "0"}))
    assert int(later) >= 1 and declined is None
    assert said(target.chat("whisper")) == (None, None)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v/messages"])
@pytest.mark.parametrize("body, status, kind", [
    (b'{"model":"nobody"}', 404, "not_found_error"), (b"{}", 400, "invalid_request_error"),
    (b"{", 400, "invalid_request_error")])
def test_anthropics_shape(target, path, body, status, kind):
    answer = target.post(path, body, JSON)
    assert answer.status == status
    got = answer.json()
    assert got["type"] == "error" and got["error"]["type"] == kind and got["error"]["message"]


def test_openais_shape(target):
    got = target.post(CHAT, b"{}", JSON).json()["error"]
    assert set(got) >= {"message", "type", "param", "code"} and got["param"] is None


@pytest.mark.parametrize("body", [
    b"{}", b'{"messages":[]}', b'{"model":null}', b'{"model":""}', b'{"model":7}', b'{"model":["m"]}',
    b'{"Model":"whisper"}', b"[]", b'["model","whisper"]', b'"whisper"', b"7", b"null"])
def test_no_model(target, body):
    answer = target.post(CHAT, body, JSON)
    assert answer.status == 400, answer
    assert answer.error["type"] == "invalid_request_error" and answer.message


def test_empty_body(target):
    for headers in (JSON, {}):
        answer = target.post(CHAT, b"", headers)
        assert answer.status == 400, answer
    assert target.get("/props").status == 400
    assert target.get("/props?model=").status == 400


@pytest.mark.slice
@pytest.mark.parametrize("body, offset", [
    (b'{"model":"whisper"', 18), (b'{"model":"whisper",}', 19), (b'{"model" "whisper"}', 9),
    (b"{'model':'whisper'}", 1), (b'{"model":"whisper"} x', 20), (b'{"a":01,"model":"whisper"}', 6),
    (b'{"a":tru,"model":"whisper"}', 8), (b'{"a":"\x01","model":"whisper"}', 6),
    (b'{"a":"\\x","model":"whisper"}', 7), (b'{"a":[1,2,"model":"whisper"}', 17),
    (b'{"a":"\xff","model":"whisper"}', 6), (b'\xef\xbb\xbf{"model":"whisper"}', 0),
    (b'{"a":NaN,"model":"whisper"}', 5), (b'{"a":1.,"model":"whisper"}', 7)])
def test_malformed_json(target, body, offset):
    answer = target.post(CHAT, body, JSON)
    assert (answer.status, answer.error["code"]) == (400, "invalid_json"), answer
    assert f"offset {offset}" in answer.message, answer.message


def test_deep_nesting_is_no_way_to_end_it(target):
    for body in (b"[" * 1_000_000, b'{"a":' * 300_000):
        answer = target.post(CHAT, body, JSON)
        assert answer.status == 400, answer
    assert target.get("/health").status == 200


@pytest.mark.parametrize("body", [
    b'{"model":"whisper","model":"qwen-14b"}', b'{"model":"whisper","x":1,"model":"whisper"}',
    b'{"model":"whisper","mod\\u0065l":"qwen-14b"}'])
def test_two_models(target, body):
    answer = target.post(CHAT, body, JSON)
    assert (answer.status, answer.error["code"]) == (400, "model_ambiguous"), answer


def test_two_models_elsewhere(target):
    assert target.get("/props?model=whisper&model=qwen-14b").error["code"] == "model_ambiguous"
    part = b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n%b\r\n"
    body = part % b"whisper" + part % b"qwen-14b" + b"--B--\r\n"
    answer = target.post("/v1/audio/transcriptions", body,
                         {"Content-Type": "multipart/form-data; boundary=B"})
    assert (answer.status, answer.error["code"]) == (400, "model_ambiguous"), answer


@pytest.mark.valgrind
@pytest.mark.parametrize("body, kind", [
    (b"no boundary in here", "multipart/form-data; boundary=B"),
    (b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n",
     "multipart/form-data; boundary=B"),
    (b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--B--\r\n",
     "multipart/form-data"),
    (b"--B\r\nno header\r\n\r\nwhisper\r\n--B--\r\n", "multipart/form-data; boundary=B"),
])
def test_malformed_forms(target, body, kind):
    answer = target.post("/v1/audio/transcriptions", body, {"Content-Type": kind})
    assert answer.status == 400, answer
    assert answer.error["code"] == "invalid_form"
    assert int(re.search(r"byte offset (\d+)", answer.message)[1]) <= len(body), answer.message


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
def test_encoded_bodies(target, coding):
    answer = target.post(CHAT, b"\x1f\x8b...", {**JSON, "Content-Encoding": coding})
    assert (answer.status, answer.error["code"]) == (415, "encoded_body")


@pytest.mark.valgrind
def test_a_full_queue(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60", concurrencyLimit=1,
                                    maxQueue=2)}})
    d.load("m")
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True))
    c.head()
    waiting = [d.connect().request("POST", CHAT, chat_body("m")) for _ in range(2)]
    d.until_model("m", in_flight=1, waiting=2)
    answer = d.chat("m")
    assert (answer.status, answer.error["code"]) == (429, "queue_full"), answer
    assert answer.error["type"] == "rate_limit_error"
    assert int(answer.header("Retry-After")) >= 1
    waiting[0].close()
    d.until_model("m", waiting=1)
    fourth = Later(d.chat, "m")
    d.until_model("m", waiting=2)
    c.close()
    waiting[1].close()
    d.until_model("m", waiting=0)
    d.ok(d.post("/wharf/models/m/unload?force=1"))
    assert not fourth.result().complete or fourth.result().status >= 500


def test_a_queue_of_none(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60", concurrencyLimit=1,
                                    maxQueue=0)}})
    d.load("m")
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True))
    assert c.head().status == 200
    assert d.chat("m").status == 429


def test_unknown_operation(target):
    assert target.post("/wharf/models/whisper/dance").status == 404
    assert target.post("/wharf/models/nobody/load").error["code"] == "model_not_found"


@pytest.mark.parametrize("path", [
    "/upstream/%zz/x", "/upstream/%00/x", "/props?model=%zz", "/wharf/models/%2e%2e%2f", "/%2e%2e/etc",
    "/v1/models/../../x", "/logs/stream/..%2f..%2fetc%2fpasswd"])
def test_odd_paths(target, path):
    answer = target.get(path)
    assert answer.status in (400, 404), answer
    assert answer.error["message"]


def test_a_body_where_none_is_expected(target):
    with Connection(target.address) as c:
        assert c.ask("GET", "/health", b"x" * 1000).status == 200
        assert c.ask("GET", "/wharf/models", b"GET /unload HTTP/1.1\r\n\r\n").status == 200
        assert c.ask("GET", "/health").status == 200


def test_model_names_are_escaped_in_messages(target):
    name = "a\"b\\c\n\x1b[31m</script>"
    answer = target.post(CHAT, json.dumps({"model": name}).encode(), JSON)
    assert answer.status == 404
    assert "\x1b" not in target.stderr
    json.loads(answer.body)


def test_unusual_content_types(target):
    body = json.dumps(chat_body("whisper")).encode()
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/problem+json"):
        answer = target.post(CHAT, body, {"Content-Type": kind})
        assert answer.status == 200, (kind, answer)


def test_headers_of_models_are_no_way_around(wharf):
    """The name in the body counts, not one that a header or the query suggests."""
    d = wharf(models("a", "b"))
    answer = d.post(CHAT + "?model=b", chat_body("a"), {"X-Model": "b"})
    assert answer.json()["model"] == "a"
    assert d.state_of("b") == "unloaded"
