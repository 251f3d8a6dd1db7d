"""Captured requests and answers (llama-swap's 6.3, and GET /api/captures of 3.16)."""

import base64
import json

import pytest

from wharf_harness import serve_requests


@pytest.fixture
def scripted(wharf, upstream):
    script = {"body": '{"ok":1}', "status": 200, "extra": ""}

    def answer(peer, *_):
        peer.answer(script["body"], script["status"], extra=script["extra"])

    def start(**config):
        server = upstream(serve_requests(answer))
        return wharf({"models": {"m": server.model(useModelName="inner")}, **config})

    return start, script


def capture(daemon, number):
    return daemon.ok(daemon.get(f"/api/captures/{number}")).json()


def text(body):
    return None if body is None else base64.b64decode(body).decode()


def has_capture(daemon):
    data = daemon.ok(daemon.get("/api/metrics/activity?order=asc")).json()["data"]
    return [row["has_capture"] for row in data]


def test_both_sides(scripted):
    start, script = scripted
    d = start()
    script["extra"] = "X-Answer: yes\r\nSet-Cookie: a=b\r\n"
    d.chat("m", headers={"X-Api-Key": "k1", "Cookie": "c", "authorization": "Bearer k2", "x-odd-NAME": "v"})
    c = capture(d, 1)
    assert c["id"] == 1 and c["req_path"] == "/v1/chat/completions"
    assert json.loads(text(c["req_body"]))["model"] == "inner", "the request is the rewritten one"
    assert text(c["resp_body"]) == '{"ok":1}'
    sent = c["req_headers"]
    assert sent["X-Odd-Name"] == "v" and sent["Content-Type"] == "application/json"
    assert {sent[n] for n in ("X-Api-Key", "Cookie", "Authorization")} == {"[REDACTED]"}
    assert c["resp_headers"]["X-Answer"] == "yes" and c["resp_headers"]["Set-Cookie"] == "[REDACTED]"
    assert has_capture(d) == [True]


@pytest.mark.parametrize("name", ["Api-Key", "X-Goog-Api-Key", "Xi-Api-Key", "X-Amz-Security-Token",
                                  "Cf-Access-Client-Secret", "Ocp-Apim-Subscription-Key"])
def test_keys_of_other_vendors(scripted, name):
    start, script = scripted
    d = start()
    script["extra"] = f"{name}: sk-answer\r\n"
    d.chat("m", headers={name: "sk-request", "X-Tokenizer": "v", "X-Ratelimit-Remaining-Tokens": "9"})
    c = capture(d, 1)
    assert c["req_headers"][name] == c["resp_headers"][name] == "[REDACTED]"
    assert (c["req_headers"]["X-Tokenizer"], c["req_headers"]["X-Ratelimit-Remaining-Tokens"]) == ("v", "9")


MASKS = [
    ("/v1/chat/completions", True, True),
    ("/v1/audio/speech", True, False),
    ("/v1/images/generations", True, False),
    ("/sdapi/v1/txt2img", True, False),
    ("/v1/audio/voices", False, True),
    ("/v1/audio/transcriptions", False, True),
    ("/v1/images/edits", False, False),
    ("/sdapi/v1/img2img", False, False),
]


def test_masks(scripted):
    start, _ = scripted
    d = start()
    for number, (path, request, answer) in enumerate(MASKS, 1):
        d.ok(d.post(path, b'{"model":"m"}', {"Content-Type": "application/json"}))
        c = capture(d, number)
        assert (c["req_path"], c["req_body"] is not None, c["resp_body"] is not None) == (path, request, answer)


def test_failed_answers_have_no_body(scripted):
    start, script = scripted
    d = start()
    script["status"] = 500
    d.chat("m")
    c = capture(d, 1)
    assert c["req_body"] and c["resp_body"] is None


def test_the_oldest_leave(scripted):
    start, script = scripted
    d = start(captureBuffer=1)
    script["body"] = json.dumps("x" * 400_000)
    for _ in range(4):
        d.ok(d.chat("m"))
    kept = has_capture(d)
    assert kept == sorted(kept) and not kept[0] and kept[-1]
    script["body"] = json.dumps("x" * 1_200_000)
    d.ok(d.chat("m"))
    assert not has_capture(d)[-1], "more than there is room for at all"
    assert d.get("/api/captures/1").status == 404


def test_none_wanted(scripted):
    start, _ = scripted
    d = start(captureBuffer=0)
    d.ok(d.chat("m"))
    assert has_capture(d) == [False]


def test_a_smaller_bound_after_a_reload(scripted):
    start, _ = scripted
    d = start()
    d.ok(d.chat("m"))
    config = json.loads(d.config_path.read_text())
    d.reload({**config, "captureBuffer": 0})
    assert has_capture(d) == [False]
    d.ok(d.chat("m"))
    assert has_capture(d) == [False, False]


@pytest.mark.parametrize("number, status, message", [
    ("x", 400, "invalid capture ID"), ("-1", 400, "invalid capture ID"), ("7", 404, "capture not found")])
def test_none_of_that_number(scripted, number, status, message):
    start, _ = scripted
    answer = start().get(f"/api/captures/{number}")
    assert (answer.status, answer.message) == (status, message)
