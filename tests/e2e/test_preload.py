"""hooks.on_startup.preload."""

import pytest

from wharf_harness import demo, models, until


def preload(*names):
    return {"hooks": {"on_startup": {"preload": list(names)}}}


@pytest.mark.slice
def test_preload(wharf):
    d = wharf({**models("a", "b"), **preload("b")})
    until(lambda: d.state_of("b") == "loaded", "the preloaded model")
    assert d.state_of("a") == "unloaded"
    d.ok(d.chat("b"))
    assert d.stderr.count("model_loaded") == 1


def test_by_alias(wharf):
    d = wharf({"models": {"a": demo("a", aliases=["first"])}, **preload("first")})
    until(lambda: d.state_of("a") == "loaded", "the preloaded model")


def test_several_side_by_side(wharf):
    d = wharf({**models("a", "b", "c"), **preload("a", "b"),
               "groups": {"g": {"swap": False, "members": ["a", "b", "c"]}}})
    until(lambda: (d.state_of("a"), d.state_of("b")) == ("loaded", "loaded"), "both")
    assert d.state_of("c") == "unloaded"


def test_in_order_where_one_swaps_out_the_other(wharf):
    d = wharf({**models("a", "b"), **preload("a", "b")})
    until(lambda: d.state_of("b") == "loaded", "the last one")
    assert d.state_of("a") == "unloaded"
    log = d.stderr
    assert log.index("a model_loaded") < log.index("b model_loaded")


def test_a_failing_one_does_not_stop_the_others(wharf):
    d = wharf({"models": {"bad": demo("bad", "--crash-on-load=1"), "good": demo("good")},
               **preload("bad", "good")})
    until(lambda: d.state_of("good") == "loaded", "the one that can be loaded")
    assert d.get("/health").status == 200
