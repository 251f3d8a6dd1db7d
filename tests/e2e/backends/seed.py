"""The machine of the first two seed documents: a GPU of 12 GiB that a vision model of 10.5 GiB in an
Ollama server (`vlm`) and a CLIP of 500 MiB, a worker (`clip`), share; the modes idle, recording and
autopilot; timeouts of 5 s to load and 2 s to unload, two retries.

With WHARF_OLLAMA the vision model is one of a real server's. What that takes of a real GPU is not
looked at: it is counted with 10.5 GiB on the simulated one, where CLIP is."""

import contextlib
import json
import threading
import time

from backend_harness import GIB, device
from wharf_harness import SLOWNESS, Later, until
from workers import embed

MIB = 1 << 20
VLM_BYTES, CLIP_BYTES = 10752 * MIB, 500 * MIB
MODES = {"recording": {"vlm": "loaded", "clip": "cpu"},
         "autopilot": {"vlm": "unloaded", "clip": "cuda"}}
SERVED_S = 2 * SLOWNESS


class Seed:
    def __init__(self, wharf, workers, world, server, name, scripted, **vlm):
        self.world, self.server, self.name, self.scripted = world, server, name, scripted
        keys = {"backend": "ollama", "endpoint": server.url, "model": name, "vram": str(VLM_BYTES),
                "maxLoadRetries": 2, "healthCheckTimeout": 5 if scripted else 120, "unloadTimeout": 2,
                "ttl": 300, **vlm}
        clip = {"backend": "worker", "devices": {"cuda": {"vram": "500MiB"}, "cpu": {}}}
        self.config = world.config({"vlm": keys, "clip": clip}, modes=MODES)
        self.d = wharf(self.config)
        self.events = self.d.events()
        self.clip = workers(self.d, "clip", folder=world.gpu)

    # The seed's own verbs, through the API.

    def set_execution_mode(self, mode):
        return self.d.ask("PUT", "/wharf/mode?wait=1", json.dumps({"mode": mode}).encode(), seconds=60)

    def get_execution_mode(self):
        return self.d.get("/wharf/status").json()["mode"]

    def ensure_vlm_loaded(self):
        return self.d.post("/wharf/models/vlm/load", seconds=60)

    def ensure_vlm_unloaded(self):
        return self.d.post("/wharf/models/vlm/unload", seconds=60)

    def get_vlm_state(self):
        return self.d.state_of("vlm")

    def get_clip_device(self):
        return self.d.model("clip")["placement"]

    def migrate_clip(self, where):
        return self.d.post(f"/wharf/models/clip/move?device={where}")

    def get_vram_info(self):
        return device(self.d)

    # What is true, whatever wharf says.

    def is_held(self):
        """By the server's own word."""
        return self.name in self.server.loaded()

    def calls(self):
        """What the scripted server was told to do with the model: "load" and "unload"."""
        return ["unload" if c["body"].get("keep_alive") == 0 else "load"
                for c in self.server.calls("/api/generate")]

    def used(self):
        """Bytes, by the GPU's own folder."""
        return self.world.used()


@contextlib.contextmanager
def clip_is_served(d, name="clip"):
    """Asks it for embeddings, one after the other, as long as the body takes: each is answered, at
    once and with the same."""
    done, trouble, answers = threading.Event(), [], []

    def ask():
        while not done.is_set():
            began = time.monotonic()
            answer = embed(d, name)
            took = time.monotonic() - began
            if answer.status != 200 or took > SERVED_S:
                trouble.append(f"{answer} after {took:.1f} s")
            else:
                answers.append(answer.json()["data"][0]["embedding"])

    asking = Later(ask)
    try:
        until(lambda: answers or trouble, "the first embedding")
        yield
        before = len(answers)
        until(lambda: len(answers) > before or trouble, "one more embedding")
    finally:
        done.set()
        asking.result()
    assert trouble == []
    assert len(set(answers)) == 1


__all__ = ["CLIP_BYTES", "GIB", "MIB", "VLM_BYTES", "Seed", "clip_is_served"]
