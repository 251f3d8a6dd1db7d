"""Every route of llama-swap (3.6) is one of wharf's: who asks there is answered by it, or by a model."""

import pytest

from wharf_harness import demo

CONFIG = {"models": {"m": demo("m", aliases=["org/m"]), "comfyui_auto": demo("comfyui_auto")},
          "groups": {"g": {"swap": False, "members": ["m", "comfyui_auto"]}},
          "profiles": {"p": {"pins": {"x": "m"}}}}

WITH_BODY = """
    /v1/chat/completions /v1/responses /v1/completions /v1/messages /v1/messages/count_tokens
    /v1/embeddings /reranking /rerank /v1/rerank /v1/reranking /infill /completion /v1/audio/speech
    /v1/audio/voices /v1/images/generations /sdapi/v1/txt2img /sdapi/v1/img2img
    /audioapi/v1/tasks/run /v/chat/completions /v/responses /v/completions /v/messages
    /v/messages/count_tokens /v/embeddings /v/rerank /v/reranking /v1/audio/transcriptions
    /v1/images/edits""".split()
WITH_QUERY = ["/v1/audio/voices", "/sdapi/v1/loras", "/props"]

# Method, path, status; with a key configured, whether it is asked for.
OWN = [
    ("GET", "/v1/models", 200, True), ("GET", "/models", 200, True), ("GET", "/running", 200, True),
    ("GET", "/unload", 200, True), ("GET", "/logs", 200, True), ("GET", "/logs/stream", 200, True),
    ("GET", "/logs/stream/proxy", 200, True), ("GET", "/logs/stream/upstream", 200, True),
    ("GET", "/logs/stream/org/m?no-follow", 200, True), ("GET", "/health", 200, False),
    ("GET", "/wol-health", 200, False), ("GET", "/", 200, False), ("GET", "/favicon.ico", 204, False),
    ("GET", "/upstream", 302, False), ("POST", "/api/models/unload", 200, True),
    ("POST", "/api/models/unload/org/m", 200, True), ("GET", "/api/profiles", 200, True),
    ("PUT", "/api/profiles/active", 200, True), ("POST", "/api/inflight/1/cancel", 404, True),
    ("GET", "/api/events", 200, True), ("GET", "/api/metrics/activity", 200, True),
    ("GET", "/api/metrics/stats", 200, True), ("GET", "/api/performance", 200, True),
    ("GET", "/api/version", 200, True), ("GET", "/api/captures/999999", 404, True),
]
ANY = ["/upstream/m/x", "/comfyui/", "/comfyui/x"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def head_of(d, method, path, headers=None):
    """Some of these answers have no end."""
    c = d.connect()
    c.request(method, path, {"name": "p"} if method == "PUT" and path.startswith("/api") else None, headers)
    answer = c.head()
    c.close()
    return answer


@pytest.mark.parametrize("path", WITH_BODY)
def test_with_a_body(swap, path):
    answer = swap.post(path, {"model": "nobody"})
    assert answer.status == 404 and "nobody" in answer.text
    assert swap.get(path).status == (400 if path in WITH_QUERY else 405)


@pytest.mark.parametrize("path", WITH_QUERY)
def test_with_a_query(swap, path):
    answer = swap.get(path + "?model=nobody")
    assert answer.status == 404 and "nobody" in answer.text
    assert swap.get(path).error["code"] == "model_required"


@pytest.mark.parametrize("method, path, status, _", OWN)
def test_own(swap, method, path, status, _):
    answer = head_of(swap, method, path)
    assert answer.status == status
    if path.startswith(("/api", "/v1", "/models", "/running")) and path not in (
            "/api/events", "/api/models/unload/org/m"):
        assert answer.header("Content-Type").startswith("application/json")


@pytest.mark.parametrize("method", METHODS)
def test_any_method(swap, method):
    swap.load("comfyui_auto")
    for path in ANY:
        assert head_of(swap, method, path).status == 200


def test_which_ask_for_a_key(wharf):
    d = wharf({**CONFIG, "apiKeys": ["k"]})
    for method, path, status, asks in OWN:
        assert head_of(d, method, path).status == (401 if asks else status), path
    for path in WITH_BODY:
        assert d.post(path, {"model": "m"}).status == 401
    for path in ANY:
        assert head_of(d, "GET", path).status == 401
    assert d.ask("OPTIONS", "/running").status == 204
