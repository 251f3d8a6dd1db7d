"""GET /api/metrics/activity and /stats, and /api/inflight (llama-swap's 3.16)."""

import json
import time

import pytest

from wharf_harness import Later, demo, held, models, serve_requests, until


def activity(daemon, query=""):
    return daemon.ok(daemon.get("/api/metrics/activity" + query)).json()


@pytest.fixture
def filled(wharf, upstream):
    """Five requests, to b, a, a, b, a, with 1 to 5 tokens of output."""
    count = iter(range(1, 100))

    def answer(peer, *_):
        n = next(count)
        peer.answer(json.dumps({"timings": {"prompt_n": 10 - n, "predicted_n": n, "predicted_per_second": n}}))

    server = upstream(serve_requests(answer))
    d = wharf({"models": {"a": server.model(aliases=["alias"]), "b": server.model()},
               "routing": {"router": {"settings": {"groups": {"g": {"members": ["a", "b"], "swap": False}}}}}})
    for model in "baaba":
        d.ok(d.chat(model))
    return d


def ids(daemon, query):
    return [row["id"] for row in activity(daemon, query)["data"]]


def test_activity(filled):
    d = filled
    page = activity(d)
    assert {k: v for k, v in page.items() if k != "data"} == {
        "page": 1, "limit": 25, "total": 5, "total_pages": 1}
    row = page["data"][0]
    assert set(row) == {"id", "timestamp", "model", "req_path", "resp_content_type", "resp_status_code", "tokens",
                        "duration_ms", "has_capture", "metadata", "waited_ms", "ended"}
    assert row["tokens"] == {"cache_tokens": -1, "draft_tokens": -1, "draft_acc_tokens": -1, "input_tokens": 5,
                             "output_tokens": 5, "prompt_per_second": -1, "tokens_per_second": 5}
    age = time.time() - time.mktime(time.strptime(row["timestamp"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone
    assert abs(age) < 60
    for query, want in [
            ("", [5, 4, 3, 2, 1]), ("?order=asc", [1, 2, 3, 4, 5]),
            ("?limit=2", [5, 4]), ("?limit=2&page=3", [1]), ("?limit=2&page=4", []),
            ("?model=a", [5, 3, 2]), ("?model=alias", [5, 3, 2]), ("?model=a&model=b", [5, 4, 3, 2, 1]),
            ("?model=nobody", []), ("?model=", [5, 4, 3, 2, 1]),
            ("?min_id=2&max_id=3", [3, 2]), ("?sort=prompt&order=asc", [5, 4, 3, 2, 1]),
            ("?sort=model", [4, 1, 5, 3, 2]), ("?sort=model&order=asc", [2, 3, 5, 1, 4]),
            ("?start=2001-01-01T00:00:00Z", [5, 4, 3, 2, 1]), ("?start=0001-01-01T00:00:00Z", [5, 4, 3, 2, 1]), ("?end=2001-01-01T00:00:00.5%2B02:00", []),
            ("?end=9999-01-01T00:00:00-07:00", [5, 4, 3, 2, 1])]:
        assert ids(d, query) == want, query
    for sort in """id time model req_path resp_status_code resp_content_type cached prompt generated drafted
                   prompt_speed gen_speed duration""".split():
        assert len(ids(d, f"?sort={sort}")) == 5


@pytest.mark.parametrize("query, message", [
    ("limit=x", "invalid limit"), ("limit=0", "limit must be between 1 and 999"),
    ("limit=1000", "limit must be between 1 and 999"), ("page=0", "page must be >= 1"),
    ("sort=x", "invalid sort column"), ("order=up", "order must be asc or desc"),
    ("start=today", "invalid 'start' timestamp, use RFC3339 format"),
    ("start=2026-01-01", "invalid 'start' timestamp, use RFC3339 format"),
    ("start=2026-13-01T00:00:00Z", "invalid 'start' timestamp, use RFC3339 format"),
    ("end=2026-01-01T00:00:00", "invalid 'end' timestamp, use RFC3339 format"),
    ("end=2026-01-01T00:00:00+02:00", "invalid 'end' timestamp, use RFC3339 format"),
    ("start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "start must be before end"),
    ("min_id=0", "min_id must be >= 1"), ("max_id=-3", "max_id must be >= 1"),
    ("min_id=3&max_id=2", "min_id must be <= max_id")])
def test_activity_refused(wharf, query, message):
    answer = wharf(models()).get("/api/metrics/activity?" + query)
    assert (answer.status, answer.message) == (400, message)


def test_stats(filled):
    d = filled
    s = d.ok(d.get("/api/metrics/stats")).json()
    assert (s["total_requests"], s["total_input_tokens"], s["total_output_tokens"], s["total_cache_tokens"]) == (
        5, 35, 15, 0)
    assert s["prompt_histogram"] is None
    assert s["gen_histogram"] == {"bins": [1, 1, 1, 1, 1], "min": 1, "max": 5, "binSize": 0.8,
                                  "p50": 3, "p95": 4.8, "p99": 4.96}
    s = d.ok(d.get("/api/metrics/stats?model=b")).json()
    assert s["total_requests"] == 2 and s["gen_histogram"]["p50"] == 2.5
    s = d.ok(d.get("/api/metrics/stats?model=nobody")).json()
    assert s == {"total_requests": 0, "total_input_tokens": 0, "total_output_tokens": 0, "total_cache_tokens": 0,
                 "prompt_histogram": None, "gen_histogram": None}


def inflight(daemon):
    return daemon.ok(daemon.get("/api/inflight")).json()["requests"]


@pytest.fixture
def waiting(wharf, tmp_path):
    """A daemon, a request that waits for its model, and the file that lets the model begin."""
    flag = tmp_path / "go"
    d = wharf({"models": {"m": held(demo("m"), flag)}})
    later = Later(d.chat, "m", headers={"X-Forwarded-For": "10.0.0.9, 10.0.0.1", "X-Api-Key": "k"})
    [request] = until(lambda: inflight(d), "the request in flight")
    return d, later, request, flag


def test_inflight(waiting):
    d, later, request, flag = waiting
    assert request["id"] == "1" and request["model"] == "m" and request["method"] == "POST"
    assert request["req_path"] == "/v1/chat/completions" and request["remote_ip"] == "10.0.0.9"
    assert request["req_headers"]["X-Api-Key"] == "[REDACTED]"
    assert request["resp_bytes"] == 0 and request["elapsed_ms"] >= 0
    flag.touch()
    d.ok(later.result())
    assert inflight(d) == []
    [row] = activity(d)["data"]
    assert 0 <= row["waited_ms"] <= row["duration_ms"]


def test_cancel_while_waiting(waiting):
    d, later, request, flag = waiting
    assert d.ok(d.post(f"/api/inflight/{request['id']}/cancel")).json() == {"msg": "ok"}
    answer = later.result()
    assert (answer.status, answer.error["code"]) == (499, "cancelled")
    assert inflight(d) == []
    assert activity(d)["data"][0]["resp_status_code"] == 499
    flag.touch()
    d.ok(d.chat("m"))


def test_cancel_a_stream(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "20ms")}})
    with d.connect() as c:
        c.request("POST", "/v1/chat/completions", json.dumps(
            {"model": "m", "stream": True, "max_tokens": 100000, "messages": [{"role": "user", "content": "x"}]}
        ).encode(), {"Content-Type": "application/json"})
        answer = c.head()
        assert answer.status == 200
        [request] = inflight(d)
        d.ok(d.post(f"/api/inflight/{request['id']}/cancel"))
        with pytest.raises(ConnectionError):
            for _ in c.pieces(answer):
                pass
    assert activity(d)["data"][0]["ended"] == "cut"


@pytest.mark.parametrize("path", ["/api/inflight/1/cancel", "/api/inflight/x/cancel", "/api/inflight//cancel"])
def test_cancel_nothing(wharf, path):
    answer = wharf(models()).post(path)
    assert (answer.status, answer.message) == (404, "inflight request not found")


def test_cancel_from_another_site(waiting):
    d, later, request, flag = waiting
    assert d.post(f"/api/inflight/{request['id']}/cancel", headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    flag.touch()
    d.ok(later.result())
