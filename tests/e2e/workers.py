"""Demo workers for tests: `wharf-demo-model --worker`, which holds an embedding function, registers
with a daemon, and moves when it is told to.

    from workers import GPU, clip, workers      # workers is a fixture: import it, take it as argument

    def test_it(wharf, workers):
        d = wharf({"gpus": [GPU], "models": {"clip": clip()}})
        w = workers(d, "clip")                  # registered, on the CPU, before this returns
        w = workers(d, "clip", "--move-time", "1s", device="cuda", over="unix", joined=False)
        w.stop(); w.kill(); w.pid; w.log
        w.wait_for("told to move cuda")         # a line of what it prints

It claims memory (500 MiB, or vram=) on the simulated GPU while it sits there, has its own flags
(`wharf-demo-model --help`), registers again 100 ms after its connection ended, and is ended with the
test. `embedding(d, "clip", text)` is the vector as raw bytes, to be compared bit by bit; `place(d,
"clip")` the name of the GPU that the daemon believes it on, or None for the host.
"""

import json
import subprocess

import pytest

from wharf_harness import DEMO, until

MIB = 1024 ** 2
GPU = {"sim": {"name": "gpu0", "memory": "12GiB"}, "sample": "20ms"}


def clip(vram="500MiB", least="1GiB", **keys):
    """A model for a worker with two places."""
    return {"backend": "worker", "devices": {"cuda": {"vram": vram, "minFree": least}, "cpu": {}}, **keys}


class Worker:
    def __init__(self, daemon, name, *flags, vram="500MiB", device="cpu", over="tcp", folder=0):
        every = [*daemon.addresses, *([daemon.listen] if isinstance(daemon.listen, str) else daemon.listen)]
        address = next(a for a in every if a.startswith("unix:") == (over == "unix"))
        url = address if over == "unix" else f"http://{address}"
        self.daemon, self.name = daemon, name
        self.path = daemon.folder / f"worker-{name}-{id(self)}.txt"
        command = [str(DEMO), "--port", "0", "--worker", url, "--name", name, "--vram", vram,
                   "--device", device, "--gpu-folder", str(daemon.state / "sim" / str(folder)),
                   *map(str, flags)]
        env = {k: v for k, v in daemon.env.items() if k != "WHARF_TEST_ID"}  # it is not the daemon's
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out)
        self.pid = self.process.pid

    @property
    def log(self):
        return self.path.read_text(errors="replace")

    def wait_for(self, text, times=1):
        until(lambda: self.log.count(text) >= times, f"'{text}' of the worker")
        return self

    def joined(self, times=1):
        return self.wait_for("worker: registered", times)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def workers():
    """workers(daemon, name, *flags, vram=, device=, over="tcp"|"unix", joined=True) → Worker."""
    started = []

    def start(daemon, name, *flags, joined=True, **keys):
        started.append(Worker(daemon, name, *flags, **keys))
        return started[-1].joined() if joined else started[-1]

    yield start
    for w in started:
        w.kill()


def move(d, name, device, **query):
    tail = "".join(f"&{k}={v}" for k, v in query.items())
    return d.post(f"/wharf/models/{name}/move?device={device}{tail}")


def embed(d, name, text="a harbour at night"):
    return d.post("/v1/embeddings", {"model": name, "input": text, "encoding_format": "base64"})


def embedding(d, name, text="a harbour at night"):
    return d.ok(embed(d, name, text)).json()["data"][0]["embedding"]


def place(d, name):
    return d.model(name)["device"]


def used(d):
    """What the simulated GPU's first folder has in use, by its own word."""
    total = 0
    for path in (d.state / "sim" / "0").iterdir():
        if path.name.isdigit():
            total += int(path.read_text() or 0)
    return total


class Raw:
    """A worker of which the test writes every line."""

    def __init__(self, d, **terms):
        self.d, self.connection = d, d.connect()
        self.connection.request("POST", "/wharf/workers", terms)
        self.answer = self.connection.head()
        if self.answer.status == 200:
            assert self.answer.header("Content-Type") == "application/x-ndjson"
            self.pieces, self.rest = self.connection.pieces(self.answer), b""
            self.token = self.line()["worker"]
        else:
            self.answer.body = b"".join(self.connection.pieces(self.answer))

    def line(self):
        while b"\n" not in self.rest:
            self.rest += next(self.pieces)
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def reply(self, order, ok=True, **keys):
        body = {"id": order["id"], "ok": ok, "checked": ok, **keys}
        return self.d.post(f"/wharf/workers/{self.token}", body)

    def close(self):
        self.connection.close()
