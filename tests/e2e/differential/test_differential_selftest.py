"""The suite itself: between wharf and wharf it finds nothing, and what is planted it finds."""

import copy
import re
from functools import partial

import pytest

import differences
from cases import CASES, CONFIGS, Case
from compare import MISSING, Finding, Got, compare, run
from sides import LlamaSwap, Pairs, Wharf, link_wharf
from wharf_harness import ROOT

PAGE = ROOT / "docs/llama-swap.md"


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """Started in both ways in which the suite starts programs."""
    link = link_wharf(tmp_path_factory.mktemp("program") / "bin")
    with Pairs(tmp_path_factory.mktemp("alike"), partial(LlamaSwap, link), Wharf) as pairs:
        yield pairs


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_wharf_is_no_different_from_wharf(alike, case):
    assert run(alike, case) == []


def plant(config):
    config = copy.deepcopy(config)
    if "a" in config["models"] and "b" in config["models"]:
        config["models"]["a"]["aliases"] = []
        config["models"]["b"]["cmd"] += " --tokens 4"
        config["models"]["renamed"]["useModelName"] = "outer"
    else:
        config["apiKeys"] = ["another-key"]
    return config


# Each row: what is asked, and where the planted differences have to show, and nowhere else.
PLANTED = {
    "models": ["1 json /data/0/meta/llamaswap/aliases"],
    "chat": [],
    "chat by an alias": ["1 status", "1 json /choices", "1 json /created", "1 json /error",
                         "1 json /id", "1 json /model", "1 json /object", "1 json /src",
                         "1 json /timings", "1 json /usage"],
    "another name upstream": ["1 json /body", "1 json /body_fnv1a"],
    "chat of another model": ["1 json /choices/0/message/content",
                              "1 json /usage/completion_tokens", "1 json /usage/total_tokens",
                              "2 json /running/0/cmd"],
    "no key": [],
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    with Pairs(tmp_path_factory.mktemp("planted"), Wharf, Wharf, plant) as pairs:
        yield pairs


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(planted, name):
    [case] = [c for c in CASES if c.name == name]
    assert [f.place for f in run(planted, case)] == PLANTED[name]


def test_a_key_that_is_planted_is_found(planted):
    [case] = [c for c in CASES if c.name == "a key"]
    assert [f.place for f in run(planted, case) if f.place.endswith("status")] == [
        "1 status", "2 status", "3 status"]


def got(**keys):
    return Got(**{"status": 200, "headers": {}, "kind": "text", "body": "", **keys})


# Each row: two answers, and what is found.
COMPARED = {
    "nothing": (got(), got(), []),
    "status": (got(), got(status=404), [("1 status", 200, 404)]),
    "a header that is missing": (got(headers={"Allow": "GET"}), got(),
                                 [("1 header Allow", "GET", None)]),
    "kind": (got(), got(kind="json", body={}), [("1 kind", "text", "json")]),
    "text": (got(body="a"), got(body="b"), [("1 text ", "a", "b")]),
    "a null is not nothing": (got(kind="json", body={"a": None, "b": 0}),
                              got(kind="json", body={"b": 0}),
                              [("1 json /a", None, MISSING)]),
    "a number is no boolean": (got(kind="json", body={"b": 0}),
                               got(kind="json", body={"b": False}), [("1 json /b", 0, False)]),
    "an event more": (got(kind="events", body=[[None, "x"]]),
                      got(kind="events", body=[[None, "x"], [None, "[DONE]"]]),
                      [("1 events ", [[None, "x"]], [[None, "x"], [None, "[DONE]"]])]),
    "within an event": (got(kind="events", body=[["e", {"a": [1]}]]),
                        got(kind="events", body=[["e", {"a": [2]}]]),
                        [("1 events /0/1/a/0", 1, 2)]),
}


@pytest.mark.parametrize("name", COMPARED)
def test_compared(name):
    left, right, found = COMPARED[name]
    assert compare(Case("c", []), 1, left, right) == [Finding("c", *f) for f in found]


def test_every_known_difference_is_of_a_case():
    names = {c.name for c in CASES}
    for known in differences.KNOWN:
        assert set(known.cases) <= names, known
        assert re.compile(known.places)


def test_a_case_has_a_name_of_its_own():
    assert len({c.name for c in CASES}) == len(CASES)
    assert {c.config for c in CASES} == set(CONFIGS)


@pytest.mark.skipif(not PAGE.is_file(), reason="there is no docs/llama-swap.md")
def test_every_known_difference_is_told():
    text = PAGE.read_text()
    told = re.search(r"^## Differences$(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
    headings = set(re.findall(r"^### (.+)$", told, re.M))
    assert {known.heading for known in differences.KNOWN} - headings == set()
