"""What is configured, but not carried out yet: it is said, refused, and harms nobody."""

import pytest

from wharf_harness import ROOT, demo, until

GPU = {"sim": {"name": "sim", "memory": "10GiB"}, "sample": "20ms"}


@pytest.mark.slice
def test_what_cannot_be_served_is_said_and_refused(wharf):
    d = wharf((ROOT / "examples/recording.yaml").read_text())
    for model, backend in (("vlm", "ollama"), ("clip", "worker")):
        said = f"backend: {backend} is configured, but this version of wharf serves processes only"
        assert d.stderr.count(f"{said}: requests for it are answered with 501") == 1
        for _ in range(2):
            answer = d.chat(model)
            assert answer.status == 501
            assert answer.json()["error"]["code"] == "not_supported" and said in answer.text
    assert d.ask("POST", "/wharf/models/clip/load", b"").status == 501
    assert said in d.model("clip")["error"]


@pytest.mark.slice
def test_a_mode_that_wants_them_harms_nobody(wharf):
    d = wharf({"gpus": [GPU], "modes": {"on": {"w": "cpu", "o": "loaded", "p": "loaded"}},
               "models": {"w": {"backend": "worker", "devices": {"cuda": {"vram": "1GiB"}, "cpu": {}}},
                          "o": {"backend": "ollama", "vram": "6GiB", "maxLoadRetries": 0},
                          "p": demo("p", vram="6GiB")}})
    events = d.events()
    assert d.ok(d.ask("PUT", "/wharf/mode", b'{"mode": "on"}')).json()["modes"]["on"]["w"] == "cpu"
    events.wait_for("load_failed", model="o")
    until(lambda: d.model("p")["state"] == "loaded", "the model that can be loaded")
    d.ok(d.chat("p"))


@pytest.mark.slice
def test_a_process_that_cannot_be_moved_or_suspended(wharf):
    """A victim of either kind is unloaded instead, and comes back."""
    d = wharf({"gpus": [GPU], "host": {"suspendBudget": "20GiB"},
               "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}},
               "models": {"moves": demo("moves", vram=None,
                                        devices={"cuda": {"vram": "6GiB"}, "cpu": {}}),
                          "sleeps": demo("sleeps", vram="6GiB", suspend="vllm")}})
    log = d.stderr
    assert "devices: a process is loaded on one of them, but cannot be moved yet" in log
    assert "suspend: vllm cannot be carried out yet: it is unloaded instead" in log
    d.ok(d.chat("sleeps"))
    assert d.ask("POST", "/wharf/models/sleeps/suspend", b"").status == 502
    assert d.model("sleeps")["state"] == "loaded"
    d.ok(d.chat("moves"))
    d.ok(d.chat("sleeps"))
    d.ok(d.chat("moves"))
