#!/usr/bin/env python3
"""That tools/analyze finds what it is there for, and looks again at what has changed, and at nothing
else; and that what is switched off has a reason. Prints TAP."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD = '#include "limit.h"\nint good(int n);\nint good(int n)\n{\n    return n < LIMIT ? n : LIMIT;\n}\n'
NULL = "int bad(const int *p);\nint bad(const int *p)\n{\n    if (p)\n        return 0;\n    return *p;\n}\n"
BOUNDS = "int bad(void);\nint bad(void)\n{\n    int items[4] = {0};\n    items[4] = 1;\n    return items[0];\n}\n"
BROKEN = '#include "no-such-file.h"\n'


class Tree:
    """A tree of its own, with the settings of this one."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder).resolve()
        for name in ("src", "tools", "build"):
            (self.root / name).mkdir()
        for name in (".clang-tidy", "tools/cppcheck.cfg", "tools/cppcheck.txt"):
            shutil.copy(ROOT / name, self.root / name)
        self.write("limit.h", "#define LIMIT 4\n")

    def write(self, name, text):
        (self.root / "src" / name).write_text(text)
        files = sorted(f.name for f in (self.root / "src").glob("*.c"))
        (self.root / "build/compile_commands.json").write_text(json.dumps(
            [{"directory": str(self.root / "build"), "file": f"../src/{f}",
              "command": f"cc -I../src -std=c11 -MD -MQ {f}.o -MF {f}.d -o {f}.o -c ../src/{f}"} for f in files]))

    def analyze(self):
        """(status, what is printed of each file, how many were looked at anew)."""
        done = subprocess.run([ROOT / "tools/analyze", "--root", self.root, "--build", self.root / "build"],
                              capture_output=True, text=True, timeout=300)
        told = {}
        for line in done.stdout.splitlines():
            case = re.match(r"(?:not )?ok \d+ - src/(\S+)", line)
            if case:
                text = told[case.group(1)] = [line]
            elif line.startswith("# src/"):
                text.append(line)
        anew = re.search(r"(\d+) looked at anew", done.stdout)
        return done.returncode, told, int(anew.group(1)) if anew else done.stderr


def finds(tree, text, what):
    tree.write("a.c", text)
    status, told, _ = tree.analyze()
    assert status == 1 and told["a.c"][0].startswith("not ok"), told
    assert any(what in line for line in told["a.c"]), told


def test_clang_tidy_finds(tree):
    finds(tree, NULL, "clang-analyzer-core.NullDereference")


def test_cppcheck_finds(tree):
    finds(tree, BOUNDS, "[arrayIndexOutOfBounds]")


def test_what_cannot_be_looked_at_is_not_clean(tree):
    finds(tree, BROKEN, "could not be analyzed")


def test_only_what_has_changed_is_looked_at(tree):
    tree.write("a.c", GOOD)
    tree.write("b.c", GOOD.replace("good", "other").replace('"limit.h"', "<limits.h>").replace("LIMIT", "INT_MAX"))
    status, told, anew = tree.analyze()
    assert (status, sorted(told), anew) == (0, ["a.c", "b.c"], 2), (status, told, anew)
    assert tree.analyze()[2] == 0
    tree.write("limit.h", "#define LIMIT 5\n")
    assert tree.analyze()[2] == 1
    tree.write("a.c", NULL)
    assert tree.analyze()[::2] == (1, 1)
    assert tree.analyze()[::2] == (1, 0), "a finding is kept too"
    settings = tree.root / ".clang-tidy"
    settings.write_text(settings.read_text() + "# other\n")
    assert tree.analyze()[::2] == (1, 2)


def test_what_is_known_is_not_told_again(tree):
    finds(tree, BOUNDS, "[arrayIndexOutOfBounds]")
    known = tree.root / "tools/analyze-known.txt"
    known.write_text("# A reason.\nsrc/b.c arrayIndexOutOfBounds: of another file\n")
    assert tree.analyze()[0] == 1
    known.write_text("src/a.c arrayIndexOutOfBounds: a reason\n")
    assert tree.analyze()[0] == 0


def test_what_is_switched_off_has_a_reason(tree):
    settings = (ROOT / ".clang-tidy").read_text()
    comments, checks = settings.split("Checks:")
    off = re.findall(r"^\s*-([a-z][\w.-]+)", checks.split("HeaderFilterRegex")[0], re.M)
    assert off and [c for c in off if not re.search(r"^# %s: \S" % re.escape(c), comments, re.M)] == []
    lines = (ROOT / "tools/cppcheck.txt").read_text().splitlines()
    bare = [line for before, line in zip([""] + lines, lines) if not line.startswith("//") and
            not before.startswith("//")]
    assert bare == []
    known = (ROOT / "tools/analyze-known.txt").read_text().splitlines()
    assert [k for k in known if not k.startswith("#") and not re.match(r"src/\S+ \S+: \w+ \w+", k)] == []
    places = [(f, line) for f in (ROOT / "src").rglob("*.[ch]") for line in f.read_text().splitlines()
              if "NOLINT" in line or "cppcheck-suppress" in line]
    assert [p for p in places if not re.search(r"(NOLINT\w*(\([\w.,-]+\))?|cppcheck-suppress \w+): \w+ \w+", p[1])] == []


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    print("1..%d" % len(tests))
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(Tree(folder))
                print("ok %d - %s" % (number, name))
            except AssertionError as e:
                failed += 1
                print("not ok %d - %s\n# %s" % (number, name, str(e).replace("\n", "\n# ")))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
