"""Idle models leave after their ttl; busy ones do not."""

import datetime

import pytest

from wharf_harness import Connection, chat_body, demo, models


def time_of(event):
    return datetime.datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S.%fZ")


def test_the_time_left_is_told(wharf):
    d = wharf({"models": {"m": demo("m", ttl=100)}})
    d.ok(d.chat("m"))
    assert 0 < d.model("m")["idle_unload_s"] <= 100


@pytest.mark.slice
@pytest.mark.parametrize("where", ["model", "global"])
def test_idle_unload(wharf, where):
    config = {"models": {"m": demo("m", ttl=1)}} if where == "model" else \
        {"globalTTL": 1, **models("m")}
    d = wharf(config)
    events = d.events()
    d.ok(d.chat("m"))
    events.wait_for("idle_unload", model="m")
    gone = events.wait_for("model_unloaded", model="m")
    assert gone["details"]["reason"] == "idle for its ttl"
    assert not d.tree()
    d.ok(d.chat("m"))


def test_the_models_own_ttl_wins(wharf):
    d = wharf({"globalTTL": 1, "models": {"m": demo("m", ttl=0), "n": demo("n")},
               "groups": {"g": {"swap": False, "members": ["m", "n"]}}})
    events = d.events()
    d.ok(d.chat("m"))
    d.ok(d.chat("n"))
    events.wait_for("model_unloaded", model="n")
    assert d.state_of("m") == "loaded" and d.model("m")["idle_unload_s"] is None


def test_it_counts_from_the_end_of_the_last_request(wharf):
    """A stream longer than the ttl is not cut, and the ttl begins when it ends."""
    d = wharf({"models": {"m": demo("m", "--token-delay", "300ms", "--tokens", "5", ttl=1)}})
    events = d.events()
    with Connection(d.address) as c:
        c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
        head = c.head()
        data = [e["data"] for e in c.sse(head)]
        assert data[-1] == "[DONE]" and head.complete
    loaded = time_of(events.wait_for("model_loaded", model="m"))
    left = time_of(events.wait_for("idle_unload", model="m"))
    assert left - loaded > datetime.timedelta(seconds=5 * 0.3 + 1 - 0.1)


def test_an_explicit_load_also_ends(wharf):
    d = wharf({"models": {"m": demo("m", ttl="300ms")}})
    events = d.events()
    d.load("m")
    events.wait_for("idle_unload", model="m")


def test_no_ttl_is_never(wharf):
    d = wharf(models("m"))
    d.load("m")
    assert d.model("m")["idle_unload_s"] is None
