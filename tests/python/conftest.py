"""What the tests of the Python package need: the package of this checkout, coroutine tests without a
plugin, and daemons and scripted servers of the end-to-end tests."""

import asyncio
import inspect
import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WHARF_BUILD_DIR", ROOT / "build"))
if "WHARF_BUILD_DIR" in os.environ:
    os.environ.setdefault("WHARF_LIBRARY", str(BUILD / "libwharf.so"))
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests" / "e2e")]

from wharf_harness import Daemon, Upstream  # noqa: E402

TEST_SECONDS_MAX = 60


def pytest_configure(config):
    config.addinivalue_line("markers", "asyncio: a coroutine; each has an event loop of its own")


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.timeout(TEST_SECONDS_MAX))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{n: pyfuncitem.funcargs[n] for n in names}))
    return True


@pytest.fixture(autouse=True)
def nobody_elses_daemon(monkeypatch, tmp_path):
    """Neither a daemon nor a key of whoever runs the tests."""
    monkeypatch.setenv("WHARF_URL", f"unix:{tmp_path}/no-daemon.sock")
    monkeypatch.delenv("WHARF_KEY", raising=False)


@pytest.fixture
def daemon(tmp_path):
    """daemon(config, **options) → a running Daemon, examined at its end."""
    started = []

    def start(config, **options):
        folder = tmp_path / f"daemon{len(started)}"
        folder.mkdir()
        started.append(Daemon(folder, config, **options))
        return started[-1]

    yield start
    for d in started:
        d.finish()


@pytest.fixture
def server():
    """server(script) → a scripted Upstream: script(peer) for each connection."""
    started = []

    def start(script):
        started.append(Upstream(script))
        return started[-1]

    yield start
    for u in started:
        u.close()
