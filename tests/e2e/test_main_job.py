"""The main job: model A, then B; A's server is started, streams, and is swapped out for B's."""

import threading

import pytest

from wharf_harness import (SECONDS, SSE_HEAD, Later, chat_body, content, demo, is_alive, models,
                           together)


def answer_of(name, text="hello"):
    return f"demo-model {name} says: {text}"


@pytest.mark.valgrind
@pytest.mark.parametrize("stream", [False, True])
def test_a_then_b(wharf, stream):
    d = wharf(models("a", "b"))
    events = d.events()
    assert content(d.ok(d.chat("a", stream=stream))) == answer_of("a")
    a = d.model("a")
    assert (a["state"], d.state_of("b")) == ("loaded", "unloaded")
    assert d.engines("a") == [a["pid"]]
    assert content(d.ok(d.chat("b", stream=stream))) == answer_of("b")
    assert (d.state_of("a"), d.state_of("b")) == ("unloaded", "loaded")
    assert not is_alive(a["pid"])
    assert d.engines() == [d.model("b")["pid"]]
    events.wait_for("model_loaded", model="b")
    order = events.order("model_loading", "model_loaded", "model_unloaded")
    assert order == [("model_loading", "a"), ("model_loaded", "a"), ("model_unloaded", "a"),
                     ("model_loading", "b"), ("model_loaded", "b")]
    assert events.count("evicted", model="a") == 1


@pytest.mark.valgrind
def test_back_to_the_first(wharf):
    d = wharf(models("a", "b"))
    pids = []
    for name in "abaab":
        d.ok(d.chat(name))
        pids.append(d.model(name)["pid"])
    a1, b1, a2, a3, b2 = pids
    assert a2 == a3, "a model that is loaded is not loaded again"
    assert len({a1, b1, a2, b2}) == 4


@pytest.mark.slice
@pytest.mark.parametrize("load_time", ["0", "300ms"])
def test_fifty_first_requests_start_one_process(wharf, load_time):
    d = wharf({"models": {"a": demo("a", "--load-time", load_time)}})
    events = d.events()
    answers = together(50, lambda i: d.chat("a", f"request {i}"))
    for i, answer in enumerate(answers):
        assert content(d.ok(answer)) == answer_of("a", f"request {i}")
    assert len(d.engines()) == 1
    assert events.catch_up().count("model_loading") == 1
    assert d.model("a")["in_flight"] == d.model("a")["waiting"] == 0


@pytest.mark.threads
@pytest.mark.slice
def test_mixed_requests_over_two_models(wharf):
    d = wharf(models("a", "b"))
    events = d.events()

    def client(i):
        for j in range(20):
            name = "ab"[(i + j // 2) % 2]
            stream = j % 3 == 0
            text = f"client {i} request {j}"
            answer = d.chat(name, text, stream=stream)
            assert content(d.ok(answer)) == answer_of(name, text)
        return 20

    assert sum(together(10, client)) == 200
    events.catch_up()
    loads, unloads = events.count("model_loaded"), events.count("model_unloaded")
    # One model at a time: what was loaded has left again, but for the last one.
    assert loads == unloads + 1
    assert loads >= 2
    assert len(d.engines()) == 1
    residents = set()
    for kind, name in events.order("model_loading", "model_unloaded"):
        (residents.add if kind == "model_loading" else residents.discard)(name)
        assert len(residents) <= 1, "two models at once, and room for one"


def test_a_swap_waits_for_what_is_streaming(wharf, upstream):
    go = threading.Event()

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        peer.chunk("data: 1\n\n")
        assert go.wait(SECONDS)
        peer.chunk("data: [DONE]\n\n")
        peer.send("0\r\n\r\n")
        peer.is_closed()

    d = wharf({"models": {"a": upstream(script).model(), "b": demo("b")}})
    d.load("a")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("a", stream=True))
    head = c.head()
    events = c.sse(head)
    next(events)
    b = Later(d.chat, "b")
    d.until_model("b", waiting=1)
    assert d.state_of("a") == "loaded"
    go.set()
    assert "[DONE]" in [e["data"] for e in events] and head.complete
    assert content(d.ok(b.result())) == answer_of("b")
    assert d.state_of("a") == "unloaded"


def test_requests_for_the_same_model_share_a_swap(wharf):
    d = wharf(models("a", "b"))
    d.load("a")
    events = d.events()
    answers = together(20, lambda i: d.chat("ab"[i % 2], f"n{i}"))
    assert all(content(d.ok(x)) == answer_of("ab"[i % 2], f"n{i}") for i, x in enumerate(answers))
    assert events.catch_up().count("model_loading") <= 4, "ten requests a model, and yet many swaps"


def test_an_alias_reaches_the_same_process(wharf):
    d = wharf({"models": {"a": demo("a", aliases=["first", "erster"])}})
    pids = {d.ok(d.chat(n)) and d.model("a")["pid"] for n in ("a", "first", "erster")}
    assert len(pids) == 1


def test_concurrency_limit(wharf):
    d = wharf({"models": {"a": demo("a", "--token-delay", "20ms", concurrencyLimit=2)}})
    d.load("a")
    calls = [Later(d.chat, "a") for _ in range(6)]
    seen = []
    while not all(c.done for c in calls):
        m = d.model("a")
        seen.append(m["in_flight"])
        assert m["in_flight"] <= 2, m
    assert max(seen) >= 1
    for c in calls:
        d.ok(c.result())


def test_explicit_load_and_unload(wharf):
    d = wharf(models("a"))
    loaded = d.load("a")
    assert (loaded["id"], loaded["state"]) == ("a", "loaded")
    assert d.engines("a") == [loaded["pid"]]
    assert d.load("a")["pid"] == loaded["pid"]
    answer = d.ok(d.post("/wharf/models/a/unload")).json()
    assert (answer["id"], answer["state"], answer["pid"]) == ("a", "unloaded", None)
    assert not d.tree()
    assert d.ok(d.post("/wharf/models/a/unload")).json()["state"] == "unloaded"


def test_unload_drains_what_runs(wharf):
    d = wharf({"models": {"a": demo("a", "--token-delay", "50ms", "--tokens", "8")}})
    d.load("a")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("a", stream=True))
    head = c.head()
    stream = c.sse(head)
    next(stream)
    unload = Later(d.post, "/wharf/models/a/unload")
    assert "[DONE]" in [e["data"] for e in stream] and head.complete
    assert d.ok(unload.result()).json()["state"] == "unloaded"


def test_forced_unload_cuts_what_runs(wharf):
    d = wharf({"models": {"a": demo("a", "--token-delay", "1s", "--tokens", "60")}})
    d.load("a")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("a", stream=True))
    head = c.head()
    stream = c.sse(head)
    next(stream)
    assert d.ok(d.post("/wharf/models/a/unload?force=1")).json()["state"] == "unloaded"
    with pytest.raises(ConnectionError):
        for _ in stream:
            pass
    assert not head.complete
