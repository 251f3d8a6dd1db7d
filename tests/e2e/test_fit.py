"""By bytes: a simulated GPU, the least recently used leaves, what can never fit is refused."""

import threading

import pytest

from wharf_harness import SECONDS, Later, demo, together

GIB = 1024 ** 3


def gpu(memory="10GiB", **keys):
    return {"sim": {"name": "sim", "memory": memory}, "sample": "20ms", **keys}


def config(sizes, gpus=None, **keys):
    return {"gpus": gpus or [gpu()], **keys,
            "models": {name: demo(name, vram=f"{size}GiB") for name, size in sizes.items()}}


def loaded(d):
    return "".join(sorted(m["id"] for m in d.get("/wharf/models").json()["models"]
                          if m["state"] == "loaded"))


@pytest.mark.valgrind
def test_what_fits_stays(wharf):
    d = wharf(config({"a": 3, "b": 3, "c": 3}))
    for name, left in (("a", "a"), ("b", "ab"), ("c", "abc"), ("a", "abc")):
        d.ok(d.chat(name))
        assert loaded(d) == left
    [device] = d.get("/wharf/status").json()["devices"]
    assert (device["total_bytes"], device["own_bytes"]) == (10 * GIB, 9 * GIB)
    assert d.model("a")["footprint_bytes"] == 3 * GIB


@pytest.mark.slice
@pytest.mark.parametrize("sizes, asked, expected", [
    ({"a": 4, "b": 4, "c": 4}, "abcab", ["a", "ab", "bc", "ac", "ab"]),
    ({"a": 4, "b": 4, "c": 4}, "abac", ["a", "ab", "ab", "ac"]),
    ({"a": 3, "b": 3, "c": 3, "d": 9}, "abcd", ["a", "ab", "abc", "d"]),
    ({"a": 3, "b": 3, "c": 3, "d": 4}, "abcad", ["a", "ab", "abc", "abc", "acd"]),
    ({"a": 10, "b": 10}, "aba", ["a", "b", "a"]),
])
def test_the_least_recently_used_leaves(wharf, sizes, asked, expected):
    d = wharf(config(sizes))
    for name, left in zip(asked, expected):
        d.ok(d.chat(name))
        assert loaded(d) == left, f"after {name}"


def test_what_is_quick_to_load_leaves(wharf):
    """The older one took long to load, so the newer one leaves."""
    d = wharf({"gpus": [gpu()], "models": {
        "a": demo("a", "--load-time", "2500ms", vram="4GiB"),
        "b": demo("b", vram="4GiB"), "c": demo("c", vram="4GiB")}})
    for name in "abc":
        d.ok(d.chat(name))
    assert loaded(d) == "ac"


def test_it_never_overcommits(wharf):
    """The engines claim what they were given; one that exceeds the GPU dies of it and is told."""
    sizes = {"a": 4, "b": 3, "c": 5, "d": 6, "e": 2}
    d = wharf(config(sizes))
    events = d.events()

    def client(i):
        for j in range(8):
            d.ok(d.chat("abcde"[(i * 3 + j * 2) % 5]))

    together(6, client)
    events.catch_up()
    assert not events.all("load_failed")
    assert not events.all("oom")


def test_an_eviction_says_for_whom(wharf):
    d = wharf(config({"a": 6, "b": 6}))
    events = d.events()
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    evicted = events.wait_for("evicted", model="a")["details"]
    assert evicted["for_model"] == "b" and evicted["reason"] == "it costs least to lose"


@pytest.mark.slice
def test_what_can_never_fit_is_refused_with_numbers(wharf):
    d = wharf(config({"huge": 11, "a": 3}))
    d.ok(d.chat("a"))
    answer = d.chat("huge")
    assert (answer.status, answer.error["code"]) == (507, "insufficient_memory"), answer
    for part in ("huge", "11", "10", "sim"):
        assert part in answer.message, answer.message
    assert "GiB" in answer.message
    assert loaded(d) == "a", "nothing left for what cannot come in"
    assert d.post("/wharf/models/huge/load").status == 507


@pytest.mark.parametrize("limits, fits", [
    ({"reserve": "2GiB"}, False), ({"reserve": "1GiB"}, True), ({"limit": 0.8}, False),
    ({"limit": "90%"}, True)])
def test_reserve_and_limit(wharf, limits, fits):
    d = wharf(config({"a": 9}, [gpu(**limits)]))
    assert d.chat("a").status == (200 if fits else 507)


def test_a_busy_model_stays(wharf, upstream):
    go = threading.Event()

    def script(peer, _):
        peer.request()
        assert go.wait(SECONDS)
        peer.answer()
        peer.is_closed()

    d = wharf({"gpus": [gpu()], "models": {"a": upstream(script).model(vram="6GiB"),
                                           "b": demo("b", vram="6GiB")}})
    d.load("a")
    a = Later(d.chat, "a")
    d.until_model("a", in_flight=1)
    b = Later(d.chat, "b")
    d.until_model("b", waiting=1)
    assert not b.done and d.state_of("a") == "loaded"
    go.set()
    d.ok(a.result())
    d.ok(b.result())
    assert loaded(d) == "b"


def test_two_devices(wharf):
    d = wharf(config({"a": 8, "b": 8, "c": 8}, [
        {"sim": {"name": "left", "memory": "10GiB"}, "sample": "20ms"},
        {"sim": {"name": "right", "memory": "10GiB"}, "sample": "20ms"}]))
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    assert loaded(d) == "ab"
    assert {d.model("a")["device"], d.model("b")["device"]} == {"left", "right"}
    d.ok(d.chat("c"))
    assert loaded(d) == "bc"


def test_models_bound_to_a_device(wharf):
    c = config({"a": 8, "b": 8}, [
        {"sim": {"name": "left", "memory": "10GiB"}, "sample": "20ms"},
        {"sim": {"name": "right", "memory": "10GiB"}, "sample": "20ms"}])
    for m in c["models"].values():
        m["gpus"] = ["right"]
    d = wharf(c)
    d.ok(d.chat("a"))
    assert d.model("a")["device"] == "right"
    d.ok(d.chat("b"))
    assert loaded(d) == "b"


def test_without_vram_or_gpus_it_is_one_at_a_time(wharf):
    d = wharf({"models": {"a": demo("a"), "b": demo("b")}})
    assert d.get("/wharf/status").json()["planner"] == "group"
    assert "planner=group" in d.stderr


def test_the_choice_of_the_planner_is_logged(wharf):
    d = wharf(config({"a": 1}))
    assert d.get("/wharf/status").json()["planner"] == "fit"
    assert "planner=fit (" in d.stderr


def test_memory_is_seen_free_before_it_is_given_again(wharf):
    """An engine that holds its memory for a while after it was told to go is waited for."""
    d = wharf({"gpus": [gpu()], "models": {
        "a": demo("a", "--stop-time", "400ms", vram="7GiB"), "b": demo("b", vram="7GiB")}})
    events = d.events()
    for name in "abab":
        d.ok(d.chat(name))
    assert not events.catch_up().all("load_failed")
