"""The serial scheduler: exact arrival order, one request at a time, all others evicted first."""

import pytest

from wharf_harness import Connection, Later, chat_body, content, demo, models

SERIAL = {"routing": {"scheduler": {"use": "serial"}}}


def queue_up_behind(d, names):
    """Sends a request for each, in this order for certain; returns their connections."""
    connections = []
    for i, name in enumerate(names):
        c = d.connect()
        c.request("POST", "/v1/chat/completions", chat_body(name, f"n{i}"))
        connections.append(c)
        d.until_model(name, waiting=names[:i + 1].count(name))
    return connections


@pytest.mark.slice
@pytest.mark.parametrize("order", ["abab", "aabb", "abcabc", "abba"])
def test_strict_order(wharf, order):
    """Each load below is told by an event; their order must be that of arrival, without batching."""
    d = wharf({**SERIAL, "models": {**models("a", "b", "c")["models"],
                                    "gate": demo("gate", "--token-delay", "1s", "--tokens", "60")}})
    d.load("gate")
    first = d.connect()
    first.request("POST", "/v1/chat/completions", chat_body("gate", stream=True))
    first.head()
    d.until_model("gate", in_flight=1)
    events = d.events()
    connections = queue_up_behind(d, order)
    first.close()  # now the queue moves
    for i, c in enumerate(connections):
        answer = c.answer()
        assert answer.status == 200 and content(answer) == f"demo-model {order[i]} says: n{i}"
    swaps = [m for i, m in enumerate(order) if i == 0 or order[i - 1] != m]
    assert [m for _, m in events.catch_up().order("model_loading")] == swaps


def test_one_at_a_time_even_for_one_model(wharf):
    d = wharf({**SERIAL, "models": {"a": demo("a", "--token-delay", "10ms", concurrencyLimit=8)}})
    d.load("a")
    calls = [Later(d.chat, "a") for _ in range(8)]
    while not all(c.done for c in calls):
        assert d.model("a")["in_flight"] <= 1
    for c in calls:
        d.ok(c.result())


def test_no_two_models_together_whatever_the_groups_say(wharf):
    d = wharf({**SERIAL, **models("a", "b"), "groups": {"g": {"swap": False, "members": ["a", "b"]}}})
    for name in "abab":
        d.ok(d.chat(name))
        assert len(d.engines()) == 1


def test_a_waiter_that_leaves_is_skipped(wharf):
    d = wharf({**SERIAL, "models": {**models("b", "c")["models"],
                                    "a": demo("a", "--token-delay", "1s", "--tokens", "60")}})
    d.load("a")
    first = d.connect()
    first.request("POST", "/v1/chat/completions", chat_body("a", stream=True))
    first.head()
    events = d.events()
    b, c = queue_up_behind(d, "bc")
    b.close()
    d.until_model("b", waiting=0)
    first.close()
    assert c.answer().status == 200
    assert [m for _, m in events.catch_up().order("model_loading")] == ["c"]


def test_a_failed_load_moves_on(wharf):
    d = wharf({**SERIAL, "models": {"bad": demo("bad", "--crash-on-load=1"), "good": demo("good")}})
    bad = Later(d.chat, "bad")
    assert d.chat("good").status == 200
    assert bad.result().status == 502


def test_status_says_serial(wharf):
    d = wharf({**SERIAL, **models("a")})
    assert d.get("/wharf/status").json()["scheduler"] == "serial"
    with Connection(d.address) as c:
        assert c.ask("POST", "/v1/chat/completions", chat_body("a")).status == 200
