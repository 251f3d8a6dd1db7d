"""libwharf's client against a daemon with a simulated GPU, by the example that docs/libwharf.md shows
and by the library itself."""

import ctypes
import os
import pathlib
import subprocess

import pytest

from leases import gpu, listed
from wharf_harness import SECONDS, WHARF, demo, until

BUILD = pathlib.Path(WHARF).parent
GIB = 1024 ** 3
SANITIZED = "-asan" in str(BUILD)


def example(*arguments):
    return subprocess.run([BUILD / "examples/c/example_client", *map(str, arguments)], capture_output=True,
                          text=True, timeout=3 * SECONDS)


def config(**keys):
    return {"gpus": [gpu()], "models": {"m": demo("m", vram="4GiB")}, "gates": {"mlx": {"limit": 1}}, **keys}


    return "http://127.0.0.1:%d" % d.port


@pytest.mark.slice
def test_the_example(wharf):
    d = wharf(config())
    done = example(d.url, "m", 2 * GIB)
    assert done.returncode == 0, done.stderr
    assert '"state":"loaded"' in done.stdout.replace(" ", "")
    assert done.stdout.splitlines()[-1] == "works on gpu0"
    until(lambda: not listed(d), "no lease left")


def test_what_cannot_be_had(wharf):
    d = wharf(config())
    unknown = example(d.url, "nobody")
    assert unknown.returncode == 1 and "nobody" in unknown.stderr
    large = example(d.url, "m", 100 * GIB)
    assert large.returncode == 1 and large.stderr.startswith("lease: ")
    nowhere = example("unix:/nowhere/at/all", "m")
    assert nowhere.returncode == 1 and "cannot reach wharf" in nowhere.stderr


class Limits(ctypes.Structure):
    _fields_ = [("timeout_ns", ctypes.c_int64), ("cancel", ctypes.c_void_p)]


class Options(ctypes.Structure):
    _fields_ = [("url", ctypes.c_char_p), ("key", ctypes.c_char_p)]


@pytest.mark.skipif(SANITIZED, reason="Python loads no sanitized library")
def test_a_gate_through_the_daemon(wharf):
    d = wharf(config())
    lib = ctypes.CDLL(str(BUILD / "libwharf.so"))
    lib.wharf_client_new.restype = ctypes.c_void_p
    client = ctypes.c_void_p(lib.wharf_client_new(ctypes.byref(Options(d.url.encode(), None))))

    def enter(seconds):
        lease = ctypes.c_void_p()
        rc = lib.wharf_client_gate(client, b"mlx", 0, ctypes.byref(Limits(int(seconds * 1e9), None)),
                                   ctypes.byref(lease))
        return rc, lease

    rc, lease = enter(SECONDS)
    assert rc == 0
    assert [x["state"] for x in listed(d)] == ["granted"]
    assert os.strerror(-enter(0.05)[0]) == "Connection timed out"
    assert os.strerror(-enter(0)[0]) == "Connection timed out"
    assert lib.wharf_lease_end(lease, None) == 0
    rc, lease = enter(SECONDS)
    assert rc == 0 and lib.wharf_lease_end(lease, None) == 0
    lib.wharf_client_free(client)
