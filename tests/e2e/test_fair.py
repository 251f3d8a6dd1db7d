"""Who is served next: the scheduler fair, classes, patience, and what a request says of them."""

import threading

import pytest

from leases import Lease
from wharf_harness import Later, SECONDS, SLOWNESS, chat_body, demo, models, serve_requests, together, until


def gpu(memory="10GiB", **keys):
    return {"sim": {"name": "sim", "memory": memory}, "sample": "20ms", **keys}


def rivals(wait="1s", resident="100ms", delay="5ms", **keys):
    """Two models of which one fits."""
    return {"gpus": [gpu()], "classes": {"normal": {"maxWait": wait}},
            "routing": {"scheduler": {"settings": {"fair": {"minResident": resident,
                                                            "maxServe": "1s"}}}},
            "models": {n: demo(n, "--token-delay", delay, vram="8GiB", **keys) for n in "ab"}}


def busy(d, name, headers=None):
    """A client that holds the model with an answer that takes until it is closed."""
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body(name, stream=True), headers)
    head = c.head()
    assert head.status == 200
    next(c.sse(head))
    return c


def slow(name, **keys):
    return demo(name, "--token-delay", "100ms", "--tokens", "600", **keys)


def code(answer):
    return answer.json()["error"]["code"]


def test_fair_is_the_default(wharf):
    d = wharf(models("a"))
    assert d.get("/wharf/status").json()["scheduler"] == "fair"


@pytest.mark.slice
def test_one_request_behind_a_steady_stream(wharf):
    """Four clients keep A busy without a gap; B comes in within maxWait and what a swap takes."""
    d = wharf(rivals(wait="500ms"))
    d.load("a")
    events = d.events()
    stop = threading.Event()
    served = []

    def stream(n):  # of different lengths, so that they do not all end at once
        while not stop.is_set():
            served.append(d.ok(d.chat("a", "word " * n)))

    clients = [Later(stream, n) for n in (3, 10, 17, 29)]
    d.until_model("a", in_flight=4)
    try:
        d.ok(d.chat("b", seconds=SECONDS))
        before = len(served)
        d.until_model("a", state="loaded")
    finally:
        stop.set()
    for c in clients:
        c.result()
    assert before > 0 and len(served) > before, "A is served before B and after it"
    waited = events.wait_for("granted", model="b")["details"]["seconds"]
    # maxWait, what was running (maxServe), and one load of an engine that takes no time.
    assert waited <= 0.5 + 1 + 1 * SLOWNESS, f"B waited for {waited} s"
    whys = [x for x in d.get("/wharf/decisions?model=b").json()["decisions"]
            if x["type"] == "evict" and x["for_model"] == "b"]
    assert [x["model"] for x in whys] == ["a"]


def test_the_same_under_fifo_waits_for_a_gap(wharf):
    """The contrast: nothing makes A yield."""
    config = rivals(wait="100ms")
    config["routing"]["scheduler"] = {"use": "fifo"}
    config["models"]["a"] = slow("a", vram="8GiB")
    d = wharf(config)
    hold = busy(d, "a")
    later = Later(d.chat, "b")
    d.until_model("b", waiting=1)
    assert d.ok(d.chat("a", headers={"X-Wharf-Wait": "0"}, max_tokens=1))
    assert not later.done
    hold.close()
    d.ok(later.result())


def test_an_overdue_waiter_closes_the_gate(wharf):
    config = rivals(wait="50ms")
    config["models"]["a"] = slow("a", vram="8GiB")
    d = wharf(config)
    hold = busy(d, "a")
    first = Later(d.chat, "b")
    d.until_model("b", waiting=1)

    def refused():
        answer = d.chat("a", headers={"X-Wharf-Wait": "0"}, max_tokens=1)
        return answer.status == 503 and code(answer) == "busy"

    until(refused, "the gate to close")
    hold.close()
    d.ok(first.result())


@pytest.mark.parametrize("header, expected", [
    ({"X-Wharf-Class": "foreground"}, "foreground"),
    ({"X-Wharf-Class": "background"}, "background"),
    ({}, "normal"),
])
def test_classes_in_the_queue(wharf, header, expected):
    config = rivals(wait="2m", resident="0s")
    config["models"]["a"] = slow("a", vram="8GiB")
    d = wharf(config)
    hold = busy(d, "a")
    later = Later(d.chat, "b", headers=header)
    d.until_model("b", waiting=1)
    queue = d.get("/wharf/queue").json()
    assert (queue["waiting"], queue["running"]) == (1, 1)
    [r] = queue["requests"]
    assert (r["model"], r["class"], r["position"], r["overdue"]) == ("b", expected, 1, False)
    assert r["since_s"] >= 0 and r["estimate_s"] >= 1 and r["deadline_s"] > 0
    hold.close()
    d.ok(later.result())
    assert d.get("/wharf/queue").json()["requests"] == []


def test_a_models_own_class(wharf):
    d = wharf({"models": {"a": slow("a", concurrencyLimit=1, **{"class": "background"})}})
    assert d.model("a")["class"] == "background"
    hold = busy(d, "a")
    later = Later(d.chat, "a", max_tokens=1)
    ahead = Later(d.chat, "a", headers={"X-Wharf-Class": "foreground"}, max_tokens=1)
    d.until_model("a", waiting=2)
    requests = d.get("/wharf/queue").json()["requests"]
    assert sorted((r["class"], r["position"]) for r in requests) == [("background", 2),
                                                                    ("foreground", 1)]
    hold.close()
    d.ok(later.result())
    d.ok(ahead.result())


KEYS = [{"key": "k-plain", "name": "plain"}, {"key": "k-low", "class": "background"},
        {"key": "k-capped", "maxClass": "normal"}, {"key": "k-short", "wait": 0.2}, {"key": "k-now", "wait": 0}]


@pytest.mark.parametrize("key, asked, model, expected", [
    ("k-flat", None, "background", "background"),
    ("k-plain", None, "background", "background"),
    ("k-plain", "foreground", "normal", "foreground"),
    ("k-low", None, "foreground", "background"),
    ("k-low", "normal", "normal", "normal"),
    ("k-capped", "foreground", "normal", "normal"),
    ("k-capped", None, "foreground", "normal"),
    ("k-capped", "background", "foreground", "background"),
])
def test_the_class_of_a_key(wharf, key, asked, model, expected):
    d = wharf({"apiKeys": ["k-flat"], "keys": KEYS,
               "models": {"a": slow("a", concurrencyLimit=1, **{"class": model})}})
    auth = {"Authorization": "Bearer " + key}
    hold = busy(d, "a", auth)
    later = Later(d.chat, "a", headers={**auth, **({"X-Wharf-Class": asked} if asked else {})}, max_tokens=1)
    [r] = until(lambda: d.get("/wharf/queue", auth).json()["requests"], "one that waits")
    assert r["class"] == expected
    hold.close()
    d.ok(later.result())


@pytest.mark.parametrize("key, asked, expected", [
    ("k-short", None, "wait_expired"), ("k-short", "300", "wait_expired"), ("k-short", "0", "busy"),
    ("k-now", None, "busy"), ("k-now", "300", "busy"), ("k-plain", "0", "busy")])
def test_the_patience_of_a_key(wharf, key, asked, expected):
    d = wharf({"keys": KEYS, "models": {"a": slow("a", concurrencyLimit=1)}})
    auth = {"x-api-key": key}
    busy(d, "a", {"x-api-key": "k-plain"})
    answer = d.chat("a", headers={**auth, **({"X-Wharf-Wait": asked} if asked else {})})
    assert (answer.status, code(answer)) == (503, expected)


def test_foreground_is_served_first(wharf):
    d = wharf({"models": {"a": slow("a", concurrencyLimit=1)}})
    hold = busy(d, "a")
    events = d.events()
    waiting = []
    for i, name in enumerate(("background", "normal", "foreground")):
        waiting.append(Later(d.chat, "a", headers={"X-Wharf-Class": name}, max_tokens=1))
        d.until_model("a", waiting=i + 1)
    hold.close()
    for w in waiting:
        d.ok(w.result())
    granted = [e["details"]["seconds"] for e in events.catch_up().all("granted")]
    assert len(granted) == 3 and granted[0] <= granted[1] <= granted[2], \
        "who came last, foreground, had waited least when it was served first"


@pytest.mark.parametrize("headers", [
    {"X-Wharf-Class": "urgent"}, {"X-Wharf-Class": "Foreground"}, {"X-Wharf-Class": ""},
    {"X-Wharf-Wait": "soon"}, {"X-Wharf-Wait": "-1"}, {"X-Wharf-Wait": "1.2.3"},
    {"X-Wharf-Wait": "10s"}, {"X-Wharf-Wait": "1e3"}, {"X-Wharf-Wait": "9" * 31},
])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_headers_that_cannot_be_understood(wharf, headers, path):
    d = wharf(models("a"))
    answer = d.post(path, chat_body("a"), headers)
    assert answer.status == 400 and code(answer) == "invalid_header"
    assert ("type" in answer.json()) == (path == "/v1/messages")
    assert d.state_of("a") == "unloaded"


def test_fail_fast(wharf):
    d = wharf({"models": {"a": slow("a", concurrencyLimit=1), "b": demo("b")}})
    answer = d.chat("a", headers={"X-Wharf-Wait": "0"})
    assert (answer.status, code(answer)) == (503, "busy")
    assert int(answer.header("Retry-After")) >= 1
    assert d.state_of("a") == "unloaded", "one that does not wait brings nothing in"
    d.load("b")
    d.ok(d.chat("b", headers={"X-Wharf-Wait": "0"}))
    d.load("a")
    hold = busy(d, "a", {"X-Wharf-Wait": "0"})
    assert d.chat("a", headers={"X-Wharf-Wait": "0.000"}).status == 503
    hold.close()


def test_patience(wharf):
    d = wharf({"models": {"a": slow("a", concurrencyLimit=1)}})
    hold = busy(d, "a")
    answer = d.chat("a", headers={"X-Wharf-Wait": "0.05"})
    assert (answer.status, code(answer)) == (503, "wait_expired")
    assert int(answer.header("Retry-After")) >= 1
    patient = Later(d.chat, "a", headers={"X-Wharf-Wait": "60"}, max_tokens=1)
    d.until_model("a", waiting=1)
    hold.close()
    d.ok(patient.result())
    [refused] = [x for x in d.get("/wharf/decisions?model=a").json()["decisions"]
                 if x["type"] == "refused"]
    assert refused["reason"] == "it waited longer than allowed" and refused["estimate_s"] >= 1


def test_the_headers_stay_here(wharf, upstream):
    seen = []

    def answer(peer, line, headers, body):
        seen.append(headers)
        peer.answer()

    d = wharf({"gates": {"mlx": {}}, "models": {"a": upstream(serve_requests(answer)).model()}})
    lease = Lease(d, gates=["mlx"])
    d.ok(d.chat("a", headers={"X-Wharf-Class": "background", "x-wharf-wait": "30",
                              "X-Wharf-Lease": lease.mark, "X-Other": "kept"}))
    [headers] = seen
    assert headers["x-other"] == "kept"
    assert not [name for name in headers if name.startswith("x-wharf")]


def test_a_full_queue_is_told_once(wharf):
    d = wharf({"models": {"a": slow("a", concurrencyLimit=1, maxQueue=0)}})
    d.load("a")
    hold = busy(d, "a")
    for _ in range(5):
        answer = d.chat("a")
        assert (answer.status, code(answer)) == (429, "queue_full")
        assert int(answer.header("Retry-After")) >= 1
    last = d.get("/wharf/decisions").json()["decisions"][-1]
    assert (last["type"], last["model"], last["count"]) == ("refused", "a", 5)
    hold.close()


def test_waiting_limits_are_reloaded(wharf):
    d = wharf(rivals(wait="1h"))
    d.load("a")
    config = rivals(wait="1h")
    config["models"]["a"] = slow("a", vram="8GiB")
    d.reload(config)
    hold = busy(d, "a")
    later = Later(d.chat, "b")
    d.until_model("b", waiting=1)
    [r] = d.get("/wharf/queue").json()["requests"]
    assert r["deadline_s"] > 3000
    config["classes"]["normal"]["maxWait"] = "never"
    d.reload(config)
    [r] = d.get("/wharf/queue").json()["requests"]
    assert r["deadline_s"] is None
    config["classes"]["normal"]["maxWait"] = "10ms"
    d.reload(config)
    until(lambda: d.get("/wharf/queue").json()["requests"][0]["overdue"], "it to be overdue")
    hold.close()
    d.ok(later.result())


def test_retries_that_waiters_live_through(wharf, tmp_path):
    """The engine dies twice at its start; whoever waits is served by the third."""
    count = tmp_path / "count"
    script = tmp_path / "engine"
    script.write_text(f"""#!/bin/sh
echo >> {count}
test $(wc -l < {count}) -ge 3 || exit 7
exec "$@"
""")
    script.chmod(0o755)
    a = demo("a", maxLoadRetries=2, unloadTimeout=5)
    a["cmd"] = f"{script} {a['cmd']}"
    d = wharf({"models": {"a": a}})
    d.ok(d.chat("a", seconds=3 * SECONDS))
    assert len(count.read_text()) == 3
    failed = [x for x in d.get("/wharf/decisions?model=a").json()["decisions"]
              if x["type"] == "load_failed"]
    assert len(failed) == 2


def test_without_retries_the_first_failure_is_told(wharf):
    d = wharf({"models": {"a": demo("a", "--crash-on-load=7")}})
    answer = d.chat("a")
    assert (answer.status, code(answer)) == (502, "load_failed")


@pytest.mark.parametrize("on_abort", ["cancel", "drain"])
def test_clients_that_leave(wharf, upstream, on_abort):
    told, go, ended = threading.Event(), threading.Event(), []

    def answer(peer, line, headers, body):
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
        peer.send(b"x" * 100000)
        told.set()
        assert go.wait(SECONDS)
        try:
            peer.send(b"y" * 100000)
            peer.send(b"z" * 100000)
            peer.request()
            ended.append("next request")
        except ConnectionError:
            ended.append("gone")
            raise
    d = wharf({"models": {"a": upstream(answer_all(answer)).model(onAbort=on_abort)}})
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("a"))
    c.head()
    assert told.wait(SECONDS)
    c.close()
    if on_abort == "drain":
        assert d.model("a")["in_flight"] == 1
        go.set()
    d.until_model("a", in_flight=0)
    go.set()
    if on_abort == "drain":
        d.chat("a", seconds=1)
        assert ended and ended[0] == "next request", "the connection was fit for another"
    else:
        until(lambda: ended, "the upstream to see the end")
        assert ended[0] == "gone"


def answer_all(answer):
    def script(peer, _):
        answer(peer, *peer.request())
    return script


def test_drained_before_the_answer_begins(wharf, upstream):
    asked, go = threading.Event(), threading.Event()

    def answer(peer, line, headers, body):
        asked.set()
        assert go.wait(SECONDS)
        peer.answer(b"{}")

    d = wharf({"models": {"a": upstream(serve_requests(answer)).model(onAbort="drain")}})
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("a"))
    assert asked.wait(SECONDS)
    c.close()
    together(2, lambda _: d.get("/health"))
    assert d.model("a")["in_flight"] == 1
    go.set()
    d.until_model("a", in_flight=0)


def test_drained_when_the_daemon_ends(wharf):
    """A client has left, its answer has no end in sight: the daemon ends all the same."""
    d = wharf({"models": {"a": slow("a", onAbort="drain")}, "timeouts": {"shutdown": "100ms"}})
    busy(d, "a").close()
    assert d.model("a")["in_flight"] == 1
    d.stop()
