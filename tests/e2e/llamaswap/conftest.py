"""Fixtures of the suite that mirrors llama-swap's behaviour; README.md says which file is about what."""

import pytest

from wharf_harness import Daemon


@pytest.fixture(scope="module")
def swap(request, tmp_path_factory):
    """One daemon for the whole file, with the file's CONFIG: for tests that only ask."""
    daemon = Daemon(tmp_path_factory.mktemp("swap"), request.module.CONFIG)
    yield daemon
    daemon.finish()


@pytest.fixture(autouse=True)
def shared_daemon_in_reports(request):
    """A failed test shows what the shared daemon had logged, as it does with those of its own."""
    if "swap" in request.fixturenames:
        request.node.daemons = [request.getfixturevalue("swap")]
