"""Orders to what runs a model, and calls that wharf makes itself."""

import pytest

from wharf_harness import demo

GPUS = [{"sim": {"name": "left", "memory": "4GiB"}}, {"sim": {"name": "right", "memory": "4GiB"}}]
MODES = {"a": {"m": "left"}, "b": {"m": "right"}}


@pytest.mark.slice
@pytest.mark.parametrize("how", ["query", "body"])
def test_a_move_names_its_place(wharf, how):
    d = wharf({"models": {"m": demo("m", vram="1GiB")}, "gpus": GPUS, "modes": MODES})
    d.load("m")

    def move(name):
        if how == "query":
            return d.post(f"/wharf/models/m/move?device={name}")
        return d.post("/wharf/models/m/move", {"device": name})

    answer = move("middle")
    assert (answer.status, answer.error["code"]) == (400, "invalid_request")
    for name in ("middle", "gpu", "left", "right"):
        assert f'"{name}"' in answer.message, answer
    # A process cannot be moved, wherever to.
    for name in ("gpu", "left", "right"):
        assert move(name).status == 501
    assert d.state_of("m") == "loaded"


def test_a_move_to_nowhere(wharf):
    d = wharf({"models": {"m": demo("m", vram="0")}, "gpus": GPUS})
    d.load("m")
    answer = d.post("/wharf/models/m/move?device=gpu&wait=0")
    assert answer.status == 400 and "no place called" in answer.message
    for body in ('{"device": 3}', '{"device": ""}', "[]", "{"):
        answer = d.post("/wharf/models/m/move", body)
        assert answer.status == 400, (body, answer)
    assert d.post("/wharf/models/m/move", {}).status == 501
    assert d.post("/wharf/models/m/move?wait=0").status == 202
