"""docs/seeds.md is true to the tests that there are, and leaves out none of the seeds' own."""

import re

from wharf_harness import ROOT

TESTS = ROOT / "tests"
TEXT = (ROOT / "docs" / "seeds.md").read_text()
NAMED = re.findall(r"`([\w/.]+::\w+)`", TEXT)
# Their names are those of the seeds, one for one.
COUNTERPARTS = ("e2e/backends/test_seed_000.py", "e2e/test_seed_002.py", "lib/test_seed_002.c")


def named_in(file):
    pattern = r"^static void (test_\w+)\(" if file.endswith(".c") else r"^ *(?:async )?def (test_\w+)\("
    path = TESTS / file
    return re.findall(pattern, path.read_text(), re.M) if path.is_file() else []


def test_every_test_that_is_named_exists():
    assert len(NAMED) > 100
    assert [name for name in NAMED if name.split("::")[1] not in named_in(name.split("::")[0])] == []


def test_every_story_that_is_named_exists():
    stories = re.findall(r"`golden/(\w+)`", TEXT)
    assert stories
    assert [s for s in stories if not (TESTS / "golden" / f"{s}.txt").is_file()] == []


def test_no_counterpart_is_left_out():
    for file in COUNTERPARTS:
        assert named_in(file)
        for test in named_in(file):
            assert f"| `{test}` |" in TEXT and f"{file}::{test}" in NAMED, (file, test)
    for path in (TESTS / "golden").glob("TestSerial_*.txt"):
        assert f"| `{path.stem}` |" in TEXT, path.stem
    for test in named_in("property/test_seed_properties.py"):
        assert f"property/test_seed_properties.py::{test}" in NAMED, test
