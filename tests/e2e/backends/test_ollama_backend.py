"""Models that an Ollama server holds."""

from backend_harness import device


def test_loads_serves_and_unloads(wharf, world):
    d = wharf(world.config())
    d.load("big")
    assert world.server.loaded()["big:8b"]["expires"] is None
    assert d.ok(d.chat("big")).json()["model"] == "big:8b"
    print(device(d))
