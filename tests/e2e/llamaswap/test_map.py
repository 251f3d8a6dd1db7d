"""The table of README.md is true to the tests that there are."""

import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
E2E, TESTS = HERE.parent, HERE.parent.parent
UNIT, GOLDEN, BENCH = TESTS / "unit", TESTS / "golden", TESTS.parent / "bench"
STATES = {"done", "partly", "not yet", "other"}


def rows():
    text = (HERE / "README.md").read_text()
    return [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in text.splitlines() if re.match(r"\| \d", line)]


def exists(name):
    """Whether there is a test of that name, as README.md names them, golden/STORY or bench/PROGRAM."""
    if name.startswith("golden/"):
        return (GOLDEN / f"{name[7:]}.txt").is_file()
    if name.startswith("bench/"):
        return (BENCH / f"{name[6:]}.c").is_file()
    file, test = name.split("::")
    if file.startswith("unit/"):
        path, pattern = UNIT / f"test_{file[5:]}.c", rf"^static void test_{test}\("
    else:
        folder, _, stem = file.rpartition("/")
        path, pattern = E2E / folder / f"test_{stem}.py", rf"^def test_{test}\("
    return path.is_file() and re.search(pattern, path.read_text(), re.M) is not None


def test_every_test_that_is_named_exists():
    named = [name for row in rows() for name in re.findall(r"`([\w/]+::\w+)`", row[3])]
    assert named
    assert [name for name in named if not exists(name)] == []


def test_states():
    for section, _, state, tests in rows():
        assert state in STATES, section
        assert bool(tests) == (state != "not yet"), section


def test_every_file_of_this_folder_is_named():
    text = (HERE / "README.md").read_text()
    assert [p.name for p in sorted(HERE.glob("test_[0-9]*.py"))
            if f"`llamaswap/{p.stem[5:]}::" not in text] == []
