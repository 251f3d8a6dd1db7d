"""Fixtures of the tests of models that others hold."""

import os
import subprocess
import sys

import pytest

from backend_harness import Fake, Real, World
from seed import VLM_BYTES, Seed
from test_tls import authority, certificate  # noqa: F401
from workers import workers  # noqa: F401


@pytest.fixture
def worlds(tmp_path):
    """worlds(**options of Ollama) → a World."""
    made = []

    def make(**options):
        made.append(World(tmp_path / f"world{len(made)}", **options))
        return made[-1]

    yield make
    for w in made:
        w.close()


@pytest.fixture
def world(worlds):
    return worlds()


@pytest.fixture(params=["fake", "real"])
def either(request):
    """A scripted server, or the real one that the environment names."""
    if request.param == "real" and "WHARF_OLLAMA" not in os.environ:
        pytest.skip("WHARF_OLLAMA is not set")
    server = Real() if request.param == "real" else Fake(request.getfixturevalue("world"))
    yield server
    server.close()


@pytest.fixture
def make(wharf, worlds, workers):  # noqa: F811
    """make(**keys of the VLM) → a Seed whose Ollama is scripted."""
    def it(**vlm):
        world = worlds(models={"test-model:latest": {"vram": VLM_BYTES}})
        return Seed(wharf, workers, world, world.server, "test-model:latest", True, **vlm)
    return it


@pytest.fixture
def seed(make):
    return make()


@pytest.fixture
def both(request, wharf, worlds, workers, either):  # noqa: F811
    """A Seed whose Ollama is scripted, or the real one."""
    world = worlds(models={either.name: {"vram": VLM_BYTES}})
    scripted = request.node.callspec.params["either"] == "fake"
    return Seed(wharf, workers, world, world.server if scripted else either, either.name, scripted)


FORWARD = """
import socket, sys, threading

def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), __import__("os")._exit(0)), daemon=True).start()
while True:
    a = server.accept()[0]
    b = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    for pair in ((a, b), (b, a)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""


@pytest.fixture
def forwarder():
    """forwarder(port) → the URL of a process that passes on what comes, and is nobody's parent."""
    started = []

    def start(port):
        started.append(subprocess.Popen([sys.executable, "-c", FORWARD, str(port)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return f"http://127.0.0.1:{int(started[-1].stdout.readline())}"

    yield start
    for p in started:
        p.stdin.close()
        p.wait()
        p.stdout.close()
