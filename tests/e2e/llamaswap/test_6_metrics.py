"""What llama-swap records of each request (6.1, 6.2) and where it keeps that (6.4)."""

import json
import signal
import sqlite3

import pytest

from wharf_harness import demo, held, models, serve_requests, together, until

TIMINGS = {"prompt_n": 11, "predicted_n": 3, "prompt_per_second": 5.5, "predicted_per_second": 7.25,
           "cache_n": 2, "prompt_ms": 40000, "predicted_ms": 50000}


def rows(daemon, query=""):
    return daemon.ok(daemon.get("/api/metrics/activity?order=asc&" + query)).json()["data"]


def swaps(row):
    """Of its metadata, what llama-swap has there too."""
    return {k: v for k, v in row.get("metadata", {}).items() if k in ("fifo_priority", "selector")}


def tokens(row):
    t = row["tokens"]
    return t["input_tokens"], t["output_tokens"], t["cache_tokens"]


@pytest.fixture
def scripted(wharf, upstream):
    """(daemon, script): each request to m is answered with script["body"] and so on."""
    script = {"seen": []}

    def answer(peer, line, headers, body):
        script["seen"].append((line, headers, body))
        peer.answer(script["body"], script.get("status", 200), script.get("kind", "application/json"),
                    script.get("extra", ""))

    return wharf({"models": {"m": upstream(serve_requests(answer)).model(aliases=["org/m"])}}), script


BODIES = [
    ("OpenAI", {"body": json.dumps({"usage": {"prompt_tokens": 4, "completion_tokens": 5}})}, (4, 5, -1)),
    ("Anthropic", {"body": json.dumps({"usage": {"input_tokens": 4, "output_tokens": 5,
                                                 "cache_read_input_tokens": 1}})}, (4, 5, 1)),
    ("llama.cpp", {"body": json.dumps({"timings": TIMINGS})}, (11, 3, 2)),
    ("SSE", {"body": 'data: {"usage":{"prompt_tokens":4,"completion_tokens":5}}\n\ndata: [DONE]\n\n',
             "kind": "text/event-stream"}, (4, 5, -1)),
    ("empty", {"body": ""}, (0, 0, 0)),
    ("no JSON", {"body": "text", "kind": "text/plain"}, (0, 0, 0)),
]


@pytest.mark.parametrize("what, answer, counts", BODIES, ids=[b[0] for b in BODIES])
def test_tokens(scripted, what, answer, counts):
    d, script = scripted
    script.update(answer)
    assert d.ok(d.chat("m")).body.decode() == answer["body"], "the answer is not the upstream's"
    [row] = rows(d)
    assert tokens(row) == counts
    assert row["resp_content_type"] == answer.get("kind", "application/json")
    assert (row["resp_status_code"], row["model"], row["ended"]) == (200, "m", "done")


def test_engine_time_counts_when_longer(scripted):
    d, script = scripted
    script["body"] = json.dumps({"timings": TIMINGS})
    d.ok(d.chat("m"))
    [row] = rows(d)
    assert row["duration_ms"] == 90000
    assert row["tokens"]["prompt_per_second"] == 5.5 and row["tokens"]["tokens_per_second"] == 7.25


def test_identity_is_asked_for(scripted):
    d, script = scripted
    script["body"] = "{}"
    d.chat("m", headers={"Accept-Encoding": "gzip, br"})
    assert script["seen"][-1][1]["accept-encoding"] == "identity"
    d.get("/upstream/m/page", {"Accept-Encoding": "gzip, br"})
    assert script["seen"][-1][1]["accept-encoding"] == "gzip, br", "nothing is read from this answer"


def test_encoded_all_the_same(scripted):
    d, script = scripted
    script.update(body=b"\x1f\x8b", extra="Content-Encoding: gzip\r\n")
    assert d.ok(d.chat("m")).body == b"\x1f\x8b"
    [row] = rows(d)
    assert tokens(row) == (0, 0, 0) and "encoded" in row["error_msg"]


ERRORS = [
    ({"error": {"message": "no luck"}}, "no luck"),
    ({"error": "busy"}, "busy"),
    ({"message": "m"}, "m"),
    ({"detail": "d"}, "d"),
    ({"detail": "x" * 600}, "x" * 500 + "..."),
    ({}, "500 Internal Server Error"),
]


def test_errors_of_the_model(scripted):
    d, script = scripted
    for body, message in ERRORS:
        script.update(body=json.dumps(body), status=500)
        assert d.chat("m").status == 500
        assert rows(d)[-1]["error_msg"] == message
    assert {r["resp_status_code"] for r in rows(d)} == {500}


def test_which_requests(scripted):
    d, script = scripted
    script["body"] = json.dumps({"usage": {"prompt_tokens": 1}})
    body = b'{"model":"org/m"}'
    kind = {"Content-Type": "application/json"}
    d.ok(d.post("/v1/completions", body, kind))
    d.ok(d.post("/upstream/org/m/v1/embeddings", body, kind))
    d.ok(d.post("/v/rerank", body, kind))
    d.post("/upstream/m/slots/1", body, kind)
    d.get("/upstream/m/v1/models")
    d.get("/v1/models")
    assert [(r["model"], r["req_path"]) for r in rows(d)] == [
        ("m", "/v1/completions"), ("m", "/v1/embeddings"), ("m", "/rerank")]


def test_wharfs_own_errors(wharf):
    d = wharf({**models("m"), "apiKeys": ["secret"]})
    key = {"Authorization": "Bearer secret"}
    assert d.chat("nobody", headers=key).status == 404
    assert d.chat("nobody").status == 401
    [row] = d.ok(d.get("/api/metrics/activity", key)).json()["data"]
    assert row["resp_status_code"] == 404 and "nobody" in row["error_msg"]
    assert row["waited_ms"] == -1


def test_priority_is_noted(wharf):
    d = wharf({**models("m"), "routing": {"scheduler": {"use": "fifo",
                                                        "settings": {"fifo": {"priority": {"m": 7}}}}}})
    d.ok(d.chat("m"))
    assert swaps(rows(d)[0]) == {"fifo_priority": "7"}


def test_the_selector_is_noted(wharf, upstream):
    """The model is the one that it chose, here or at a peer."""
    up = upstream(serve_requests(lambda peer, *_: peer.answer("{}")))
    d = wharf({**models("m"), "peers": {"p": {"proxy": f"http://127.0.0.1:{up.port}", "models": ["r"]}},
               "selectors": {'s "1"': {"strategy": "pin", "targets": ["m"]},
                             "far": {"strategy": "pin", "targets": ["r"]}}})
    for name in ('s "1"', "far", "r"):
        d.ok(d.chat(name))
    assert [(r["model"], swaps(r)) for r in rows(d)] == [
        ("m", {"fifo_priority": "0", "selector": 's "1"'}), ("p/r", {"selector": "far"}), ("p/r", {})]


def test_a_client_that_leaves(wharf, tmp_path):
    flag = tmp_path / "go"
    d = wharf({"models": {"m": held(demo("m"), flag)}})
    with d.connect() as c:
        c.request("POST", "/v1/chat/completions", b'{"model":"m"}', {"Content-Type": "application/json"})
        until(lambda: d.get("/api/inflight").json()["requests"], "the request in flight")
    row = until(lambda: rows(d), "a row")[0]
    assert (row["resp_status_code"], tokens(row), row["ended"]) == (200, (0, 0, 0), "gone")
    flag.touch()


def test_streams_of_the_demo_model(wharf):
    d = wharf(models("m"))
    d.ok(d.chat("m", "a b c", stream=True, stream_options={"include_usage": True}))
    [row] = rows(d)
    assert row["tokens"]["output_tokens"] > 0 and row["tokens"]["tokens_per_second"] > 0


def test_rows_in_memory_are_bounded(wharf):
    d = wharf({**models("m"), "metricsMaxInMemory": 3})
    for _ in range(5):
        d.ok(d.chat("m"))
    assert [r["id"] for r in rows(d)] == [3, 4, 5]
    d.ok(d.chat("m"))
    d.reload({**models("m"), "metricsMaxInMemory": 2})
    d.ok(d.chat("m"))
    assert [r["id"] for r in rows(d)] == [6, 7]


def test_store(wharf, tmp_path):
    path = tmp_path / "activity.db"
    d = wharf({**models("m"), "store": {"path": str(path)}, "metricsMaxInMemory": 1})
    d.ok(d.chat("m"))
    d.ok(d.chat("m"))
    d.stop()
    d.start()
    d.ok(d.chat("m"))
    assert [r["id"] for r in rows(d)] == [1, 2, 3]
    with sqlite3.connect(path) as db:
        assert db.execute("select count(*), min(model_id) from activity").fetchone() == (3, "m")
        assert db.execute("select max(version_id) from goose_db_version").fetchone() == (1,)
        assert db.execute("pragma journal_mode").fetchone() == ("wal",)


def test_a_store_that_moves(wharf, tmp_path):
    config = models("m")
    d = wharf({**config, "store": {"path": str(tmp_path / "a.db")}})
    d.ok(d.chat("m"))
    d.reload({**config, "store": {"path": str(tmp_path / "b.db")}})
    assert rows(d) == []
    d.ok(d.chat("m"))
    assert [r["id"] for r in rows(d)] == [2]
    d.reload({**config, "store": {"path": str(tmp_path / "a.db")}})
    assert [r["id"] for r in rows(d)] == [1]


def test_no_row_is_lost_at_the_end(wharf, tmp_path):
    path = tmp_path / "activity.db"
    d = wharf({**models("m"), "store": {"path": str(path)}})
    d.load("m")
    together(50, lambda i: [d.ok(d.chat("m")) for _ in range(10)])
    d.stop()
    with sqlite3.connect(path) as db:
        assert db.execute("select count(*), count(distinct id), max(id) from activity").fetchone() == (500, 500, 500)


@pytest.mark.slice
def test_a_store_that_is_locked_holds_nothing_up(wharf, tmp_path):
    """Nor does it cost a row, as long as there is room for those that wait."""
    path = tmp_path / "activity.db"
    d = wharf({**models("m"), "store": {"path": str(path)}})
    d.ok(d.chat("m"))
    assert len(rows(d)) == 1
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("begin immediate")
    d.ok(d.chat("m"))
    until(lambda: "the store is locked by somebody else" in d.stderr, "the warning")
    d.ok(d.chat("m"))
    assert len(rows(d)) == 1, "what was there can be read meanwhile"
    assert d.ok(d.get("/api/metrics/stats")).json()["total_requests"] == 1
    db.execute("commit")
    until(lambda: [r["id"] for r in rows(d)] == [1, 2, 3], "the rows that waited")
    assert "lost rows" not in d.stderr
    db.execute("begin immediate")
    d.ok(d.chat("m"))
    d.signal(signal.SIGTERM)
    until(lambda: d.stderr.count("stopping"), "the end's beginning")
    db.execute("commit")
    assert d.wait() == 0
    assert db.execute("select count(*) from activity").fetchone() == (4,)
    db.close()


def test_a_store_that_cannot_be_written_is_told(wharf, tmp_path):
    """As when the disk is full: rows are lost, requests are not."""
    path = tmp_path / "activity.db"
    d = wharf({**models("m"), "store": {"path": str(path)}})
    d.ok(d.chat("m"))
    assert len(rows(d)) == 1
    with sqlite3.connect(path) as db:
        db.execute("create trigger full before insert on activity begin select raise(abort, 'full'); end")
    d.ok(d.chat("m"))
    until(lambda: "the history lost rows" in d.stderr and "rows=1" in d.stderr, "the warning")
    with sqlite3.connect(path) as db:
        db.execute("drop trigger full")
    d.ok(d.chat("m"))
    assert [r["id"] for r in rows(d)] == [1, 3]


def test_a_store_that_cannot_be_opened(wharf, tmp_path):
    noise = tmp_path / "noise.db"
    noise.write_text("no database " * 20)
    d = wharf(models("m"))
    d.ok(d.chat("m"))
    d.reload({**models("m"), "store": {"path": str(noise)}})
    until(lambda: "the history stays where it was" in d.stderr, "the warning")
    assert len(rows(d)) == 1
    d.stop()
    d.start(wait=False)
    assert d.wait() == 1 and "file is not a database" in d.stderr
    d.stopped_on_purpose = True
