"""Fixtures of the end-to-end tests; what they hand out is in wharf_harness.py."""

import itertools
import re

import pytest

import wharf_harness
from wharf_harness import Cgroup, Daemon, Upstream

TEST_SECONDS_MAX = 60


def pytest_configure(config):
    config.addinivalue_line("markers", "slice: representative cases for the run under sanitizers")
    config.addinivalue_line("markers", "threads: cases in which the daemon's threads meet, for ThreadSanitizer")
    config.addinivalue_line("markers", "valgrind: the few cases that also run under valgrind")
    config.addinivalue_line("markers", "tells(types): brings about public events of these types")
    config.addinivalue_line("markers", "faults: the system fails underneath, in as many ways as WHARF_FAULTS=all has")
    config.addinivalue_line("markers", "slow: takes longer than ten seconds")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("valgrind"):
            item.add_marker(pytest.mark.slice)
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS_MAX * wharf_harness.SLOWNESS))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the daemon had logged by then."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for daemon in getattr(item, "daemons", []):
            report.sections.append(("stderr of the daemon", daemon.stderr[-6000:]))


def pytest_terminal_summary(terminalreporter):
    passed = [r.nodeid for r in terminalreporter.stats.get("passed", [])]
    ways = {way: sum(1 for n in passed if re.search(rf"\[([^]]*-)?{way}(-[^]]*)?\]", n))
            for way in ("cgroup", "marks")}
    if any(ways.values()):
        terminalreporter.write_line(
            f"processes contained by a cgroup: {ways['cgroup']} passed; "
            f"by process marks: {ways['marks']} passed")


@pytest.fixture(scope="session")
def cgroup2(tmp_path_factory):
    mount = Cgroup(tmp_path_factory.mktemp("cgroup") / "mount")
    yield mount
    mount.close()


@pytest.fixture
def wharf(request, tmp_path):
    """wharf(config, **options) → a running Daemon, which is stopped and examined at the end."""
    if "containment" in request.fixturenames:
        request.getfixturevalue("containment")  # so that it outlives the daemons
    started = request.node.daemons = []
    numbers = itertools.count(1)

    def start(config, **options):
        folder = tmp_path / f"daemon{next(numbers)}"
        folder.mkdir()
        daemon = Daemon.__new__(Daemon)
        try:
            daemon.__init__(folder, config, **options)
        finally:
            if hasattr(daemon, "process"):
                started.append(daemon)
        return daemon

    yield start
    problems = []
    for daemon in started:
        try:
            daemon.finish()
        except AssertionError as e:
            problems.append(str(e))
    assert not problems, "\n".join(problems)


@pytest.fixture(params=["cgroup", "marks"])
def containment(request, cgroup2):
    """Options for a daemon that contains its models' processes one way or the other."""
    if request.param == "marks":
        yield {"cgroup": "off"}
        return
    if cgroup2.why_not:
        pytest.skip(cgroup2.why_not)
    folder = cgroup2.folder()
    yield {"cgroup": folder}
    cgroup2.remove(folder)


@pytest.fixture
def upstream():
    """upstream(script) → a scripted Upstream."""
    started = []

    def start(script):
        started.append(Upstream(script))
        return started[-1]

    yield start
    for u in started:
        u.close()
