"""2.12 and 3.7: which model a name finds, wherever the name stands."""

import urllib.parse

import pytest

from wharf_harness import demo

CONFIG = {
    "models": {
        "plain": demo("plain", aliases=["other", "with/slash", "Case"],
                      filters={"setParamsByID": {"${MODEL_ID}:high": {"effort": "high"}}}),
        "team/deep": demo("team/deep"),
        "team": demo("team"),
        "case": demo("case"),
    },
    "groups": {"all": {"swap": False, "members": ["plain", "team/deep", "team", "case"]}},
}

# Rule: the name, and the model that it finds.
FOUND = {
    "an id": ("plain", "plain"),
    "an alias": ("other", "plain"),
    "an alias with a slash": ("with/slash", "plain"),
    "a name of setParamsByID": ("plain:high", "plain"),
    "an id with a slash": ("team/deep", "team/deep"),
    "the beginning of another id": ("team", "team"),
    "case counts": ("Case", "plain"),
    "case counts, the other way round": ("case", "case"),
}
UNKNOWN = ["PLAIN", "plain:low", "plai", "plain ", "team/", "/team", "deep"]


def ask(d, place, name):
    """Where each engine says in its answer who it is."""
    if place == "body":
        return d.post("/v1/chat/completions", {"model": name, "messages": []})
    if place == "query":
        return d.get("/props?model=" + urllib.parse.quote(name, safe=""))
    return d.get(f"/upstream/{name}/props")


@pytest.mark.parametrize("place", ["body", "query", "path"])
@pytest.mark.parametrize("rule", FOUND)
def test_what_a_name_finds(swap, place, rule):
    name, model = FOUND[rule]
    answer = ask(swap, place, name)
    assert answer.status == 200, answer
    said = (answer.json()["choices"][0]["message"]["content"].split()[1] if place == "body"
            else answer.json()["model_path"])
    assert said == model


@pytest.mark.parametrize("place", ["body", "query"])
@pytest.mark.parametrize("name", UNKNOWN)
def test_names_that_find_nothing(swap, place, name):
    answer = ask(swap, place, name)
    assert (answer.status, answer.json()["error"]["code"]) == (404, "model_not_found")
