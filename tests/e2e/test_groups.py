"""Which models may be loaded together: swap, exclusive, persistent, as llama-swap means them."""

import pytest

from wharf_harness import models, together


def grouped(names, **groups):
    return {**models(*names), "groups": groups}


def loaded(d):
    return {m["id"] for m in d.get("/wharf/models").json()["models"] if m["state"] == "loaded"}


# Each case: groups, the models that are asked for in turn, and what is loaded after each.
CASES = {
    "no groups: one at a time": (
        {}, "a b c a", ["a", "b", "c", "a"]),
    "a group without swap keeps all": (
        {"g": {"swap": False, "members": ["a", "b", "c"]}}, "a b c", ["a", "ab", "abc"]),
    "a group with swap keeps one": (
        {"g": {"members": ["a", "b"]}}, "a b", ["a", "b"]),
    "an exclusive group ends others": (
        {"g": {"swap": False, "members": ["a", "b"]}, "h": {"members": ["c"]}},
        "a b c a", ["a", "ab", "c", "a"]),
    "one that is not exclusive leaves others alone": (
        {"g": {"members": ["a"]}, "h": {"exclusive": False, "members": ["b", "c"]}},
        "a b c", ["a", "ab", "ac"]),
    "and is ended by an exclusive one": (
        {"g": {"members": ["a"]}, "h": {"exclusive": False, "members": ["b"]}},
        "b a", ["b", "a"]),
    "a persistent group stays": (
        {"p": {"persistent": True, "exclusive": False, "members": ["a"]}, "h": {"members": ["b"]}},
        "a b c", ["a", "ab", "ac"]),
    "a persistent group still swaps within": (
        {"p": {"persistent": True, "exclusive": False, "members": ["a", "b"]}}, "a b c", ["a", "b", "bc"]),
    "models in no group are a group": (
        {"g": {"exclusive": False, "swap": False, "members": ["c"]}}, "a c b", ["a", "ac", "b"]),
}


@pytest.mark.parametrize("place", ["groups", "routing"])
@pytest.mark.parametrize("name", CASES)
def test_who_is_loaded(wharf, name, place):
    groups, asked, expected = CASES[name]
    config = models("a", "b", "c")
    if groups and place == "groups":
        config["groups"] = groups
    elif groups:
        config["routing"] = {"router": {"use": "group", "settings": {"groups": groups}}}
    d = wharf(config)
    for model, left in zip(asked.split(), expected):
        d.ok(d.chat(model))
        assert loaded(d) == set(left), f"after {model}"


@pytest.mark.slice
def test_side_by_side_models_are_served_at_once(wharf):
    d = wharf(grouped("abcd", g={"swap": False, "members": list("abcd")}))
    events = d.events()
    together(16, lambda i: d.ok(d.chat("abcd"[i % 4])))
    assert loaded(d) == set("abcd")
    events.catch_up()
    assert events.count("model_loading") == 4 and not events.all("evicted")


def test_two_swapping_groups_that_tolerate_each_other(wharf):
    d = wharf(grouped("abcd", g={"exclusive": False, "members": ["a", "b"]},
                      h={"exclusive": False, "members": ["c", "d"]}))
    for model, left in (("a", "a"), ("c", "ac"), ("b", "bc"), ("d", "bd"), ("a", "ad")):
        d.ok(d.chat(model))
        assert loaded(d) == set(left)


def test_an_eviction_says_why(wharf):
    d = wharf(models("a", "b"))
    events = d.events()
    d.ok(d.chat("a"))
    d.ok(d.chat("b"))
    evicted = events.wait_for("evicted", model="a")
    assert evicted["details"]["for_model"] == "b" and evicted["details"]["reason"]
