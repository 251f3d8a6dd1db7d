"""What the tests of models that others hold are made of: a simulated GPU and Ollama servers on it.

With WHARF_OLLAMA=URL (and WHARF_OLLAMA_MODEL=NAME of one that was pulled there, qwen3:0.6b unless
given) the tests in which nothing is scripted run against that server too; nothing else should use it
meanwhile."""

import json
import os
import urllib.request

from fakes.ollama import GIB, Ollama
from wharf_harness import SECONDS, until


TOTAL = 12 * GIB
MODELS = {"big:8b": {"vram": 6 * GIB}, "small": {"vram": 2 * GIB},
          "embedder": {"vram": GIB, "embeds": True}}


class World:
    """A simulated GPU, and an Ollama server on it."""

    def __init__(self, folder, **options):
        self.gpu = folder / "gpu"
        self.gpu.mkdir(parents=True)
        (self.gpu / "capacity").write_text(f"{TOTAL}\n")
        (self.gpu / "lock").touch()
        self.folder, self.options, self.started = folder, options, []
        self.server = self.serve(**options)

    def serve(self, models=None, **options):
        name = f"ollama{len(self.started) + 1}"
        self.started.append(Ollama(self.folder / name, self.gpu, models or MODELS, **options))
        return self.started[-1]

    def config(self, models=None, **keys):
        """big and small are models of it; sampled often, so that tests are quick."""
        if models is None:
            models = {"big": self.server.model("big:8b", vram="6GiB"),
                      "small": self.server.model("small", vram="2GiB")}
        return {"gpus": [{"sim": {"name": "sim", "memory": f"{TOTAL}", "folder": str(self.gpu)},
                          "sample": "50ms"}],
                "backendRetry": "200ms",
                "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}},
                "models": models, **keys}

    def used(self):
        """What the processes that live hold, by the GPU's own folder."""
        return sum(int(p.read_text() or 0) for p in self.gpu.iterdir()
                   if p.name.isdigit() and os.path.exists(f"/proc/{p.name}"))

    def close(self):
        for o in self.started:
            if o.process.poll() is None:
                o.close()


def device(d):
    return d.ok(d.get("/wharf/devices")).json()["devices"][0]


def backends(d):
    return d.ok(d.get("/wharf/status")).json()["backends"]


def until_device(d, what, **wanted):
    def right():
        v = device(d)
        return v if all(v[k] == x for k, x in wanted.items()) else None
    return until(right, f"{what}: {wanted}; is {device(d)}")


class Real:
    """A real Ollama server. What it takes of this machine's memory is nobody's here."""

    def __init__(self):
        self.url = os.environ["WHARF_OLLAMA"].rstrip("/")
        self.name = os.environ.get("WHARF_OLLAMA_MODEL", "qwen3:0.6b")

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=10 * SECONDS) as answer:
            return json.load(answer)

    def loaded(self):
        return [m["model"] for m in self.ask("/api/ps")["models"]]

    def load(self):
        self.ask("/api/generate", {"model": self.name, "stream": False})

    def evict(self):
        self.ask("/api/generate", {"model": self.name, "keep_alive": 0, "stream": False})
        until(lambda: self.name not in self.loaded(), "the real server's end of the model", 10 * SECONDS)

    def config(self, **keys):
        return {"backendRetry": "200ms",
                "models": {"m": {"backend": "ollama", "endpoint": self.url, "model": self.name,
                                 "healthCheckTimeout": 120, "unloadTimeout": 30, **keys}}}

    def close(self):
        self.evict()


class Fake(Real):
    """The same, scripted, for the tests that are the same for both."""

    def __init__(self, world):
        self.url, self.name = world.server.url, "big:8b"

    def close(self):
        pass
