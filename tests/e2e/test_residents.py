"""Orders to what runs a model: what cannot be carried out is said, refused, and harms nobody. And what
is told of what is not there."""

import pytest

from wharf_harness import ROOT, demo, free_port, models, until

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


def degradations(d):
    return [(x["what"], x["name"], x["models"]) for x in
            d.get("/wharf/status").json()["degradations"]]


@pytest.mark.slice
def test_a_device_that_cannot_be_read_is_told(wharf):
    gpus = [{"sim": {"name": "left", "memory": "4GiB"}, "sample": "50ms"},
            {"sim": {"name": "right", "memory": "4GiB"}, "sample": "50ms"}]
    d = wharf({"models": {"m": demo("m", vram="1GiB", gpus=["left"]), "n": demo("n", vram="1GiB")},
               "gpus": gpus})
    status = d.get("/wharf/status").json()
    assert status["degraded"] is None and status["degradations"] == []
    events = d.events()
    folder = d.state / "sim" / "0"
    away = folder.rename(d.state / "away")
    told = events.wait_for("degraded")["details"]
    assert (told["what"], told["name"], told["models"]) == ("gpu", "left", ["m", "n"])
    status = d.get("/wharf/status").json()
    assert status["degraded"] == told["reason"] == status["degradations"][0]["reason"]
    assert degradations(d) == [("gpu", "left", ["m", "n"])]
    assert status["degradations"][0]["since_s"] >= 0
    away.rename(folder)
    told = events.wait_for("recovered")["details"]
    assert (told["what"], told["name"]) == ("gpu", "left")
    assert d.get("/wharf/status").json()["degraded"] is None and degradations(d) == []
    assert events.count("degraded") == 1, events.summary()


def test_a_store_that_cannot_be_opened_is_told(wharf, tmp_path):
    def config(path):
        return {**models("m"), "store": {"path": str(path)}}

    d = wharf(models("m"))
    events = d.events()
    (tmp_path / "other").write_text("no database" * 1000)
    d.reload(config(tmp_path / "other"))
    told = events.wait_for("degraded")["details"]
    assert (told["what"], told["name"], told["models"]) == ("store", "history", [])
    assert degradations(d) == [("store", "history", [])]
    # Whatever is degraded, what needs it not goes on.
    d.ok(d.chat("m"))
    d.reload(config(tmp_path / "history"))
    events.wait_for("recovered", what="store")
    assert degradations(d) == []


# ---------------------------------------------------------------- what nobody is there for


GPU = {"sim": {"name": "sim", "memory": "10GiB"}, "sample": "20ms"}


@pytest.mark.slice
def test_a_mode_that_wants_them_harms_nobody(wharf):
    d = wharf({"gpus": [GPU], "modes": {"on": {"w": "cpu", "o": "loaded", "p": "loaded"}},
               "models": {"w": {"backend": "worker", "devices": {"cuda": {"vram": "1GiB"}, "cpu": {}}},
                          "o": {"backend": "ollama", "vram": "6GiB", "maxLoadRetries": 0,
                                "endpoint": f"http://127.0.0.1:{free_port()}"},
                          "p": demo("p", vram="6GiB")}})
    events = d.events()
    assert d.ok(d.ask("PUT", "/wharf/mode", b'{"mode": "on"}')).json()["modes"]["on"]["w"] == "cpu"
    events.wait_for("load_failed", model="w")
    until(lambda: d.model("p")["state"] == "loaded", "the model that can be loaded")
    d.ok(d.chat("p"))
    # Nobody is there for it.
    assert d.state_of("o") == "unloaded" and degradations(d)[0][2] == ["o"]


@pytest.mark.slice
def test_a_process_that_moves(wharf):
    """A victim is moved, and comes back."""
    d = wharf({"gpus": [GPU],
               "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}},
               "models": {"moves": demo("moves", vram=None,
                                        devices={"cuda": {"vram": "6GiB"}, "cpu": {}}),
                          "stays": demo("stays", vram="6GiB")}})
    d.ok(d.chat("stays"))
    d.ok(d.chat("moves"))
    assert (d.model("moves")["device"], d.state_of("stays")) == ("sim", "unloaded")
    d.ok(d.chat("stays"))
    assert (d.model("moves")["device"], d.state_of("moves")) == (None, "loaded")
    d.ok(d.chat("moves"))
