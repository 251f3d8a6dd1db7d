#!/usr/bin/env python3
"""The rules of the house as tests: prints one TAP case for each. Needs a configured build.

    tests/tidy/tidy.py [--build DIR]
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
import csource  # noqa: E402
import purity  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 900
HEADER_LINES_MAX = 150
MAIN_LINES_MAX = 100
NESTING_MAX = 4
PARAMETERS_MAX = 6

# What must not be called or named, where, and what to do about it.
BANNED = [
    (r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\(", "", "unbounded: use struct buf"),
    (r"\b(atoi|atol|atof)\s*\(", "", "cannot fail: parse strictly"),
    (r"\b(sleep|usleep)\s*\(", "", "wait on an event"),
    (r"\balloca\s*\(", "", "unbounded stack"),
    (r"\b(float|double)\b", "src/core/ src/base/pure/", "integers only, so that replays agree"),
    (r"\b(malloc|calloc|realloc|free|alloc_\w+)\s*\(", "src/core/ src/base/pure/", "the caller's memory"),
    (r"\b(printf|fprintf|puts|log_\w+)\s*\(", "src/core/ src/base/pure/", "effects, not output"),
    (r"\b(time|clock|gettimeofday|clock_gettime|rand|random)\s*\(", "src/core/ src/base/pure/",
     "time and chance come in with events"),
]


def walk(root, *suffixes):
    for folder in ("src", "include", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


class Tree:
    """The C files, read once."""

    def __init__(self, root, build=None):
        self.root, self.build = root, build
        self.text = {p.relative_to(root).as_posix(): p.read_text(errors="replace")
                     for p in walk(root, ".c", ".h", ".def")}
        self.functions = {path: csource.functions(text) for path, text in self.text.items()
                          if not path.endswith(".def")}

    def sources(self, folder="src/", suffixes=(".c", ".h", ".def")):
        return {p: t for p, t in self.text.items() if p.startswith(folder) and p.endswith(suffixes)}


def place(path, text, offset):
    return "%s:%d" % (path, text.count("\n", 0, offset) + 1)


def too_long(tree, suffixes, limit, pick=lambda path: True):
    return ["%s: %d lines, more than %d" % (path, text.count("\n"), limit)
            for path, text in tree.text.items()
            if path.endswith(suffixes) and pick(path) and text.count("\n") > limit]


def measure(tree, field, limit):
    return ["%s:%d: %s has %d %s, more than %d" % (path, f.line, f.name, getattr(f, field), field, limit)
            for path, found in tree.functions.items() for f in found if getattr(f, field) > limit]


def check_function_length(tree):
    return measure(tree, "lines", FUNCTION_LINES_MAX)


def check_nesting(tree):
    return measure(tree, "nesting", NESTING_MAX)


def check_parameters(tree):
    return measure(tree, "parameters", PARAMETERS_MAX)


def check_file_length(tree):
    return too_long(tree, (".c", ".def"), FILE_LINES_MAX)


def check_header_length(tree):
    return too_long(tree, ".h", HEADER_LINES_MAX)


def check_main_length(tree):
    return too_long(tree, "/main.c", MAIN_LINES_MAX)


def check_banned_words(tree):
    found = []
    for path, text in tree.sources().items():
        plain = csource.code(text)
        for pattern, folders, instead in BANNED:
            if folders and not path.startswith(tuple(folders.split())):
                continue
            found += ["%s: '%s': %s" % (place(path, text, m.start()), m.group().rstrip(" ("), instead)
                      for m in re.finditer(pattern, plain)]
    return found


def check_loop_library_only_in_server(tree):
    return ["%s: uv.h belongs to src/server" % place(path, text, m.start())
            for path, text in tree.sources().items() if not path.startswith("src/server/")
            for m in re.finditer(r"#\s*include\s*[<\"]uv", csource.code(text, literals=True))]


def check_no_notes_to_self(tree):
    return ["%s: %s" % (place(path, text, m.start()), m.group())
            for path, text in tree.text.items()
            for m in re.finditer(r"\b(TODO|FIXME|XXX)\b", csource.comments(text))]


def check_opening_comments(tree):
    return ["%s: does not begin with '/* %s:'" % (path, pathlib.Path(path).name)
            for path, text in tree.sources(suffixes=(".h", ".def")).items()
            if not text.startswith("/* %s:" % pathlib.Path(path).name)]


def check_white_space(tree):
    return ["%s: a tab, or white space at the end of a line" % place(path, text, m.start())
            for path, text in tree.text.items() for m in re.finditer(r"\t|[ \t]+$", text, re.M)]


def check_include_directions(tree):
    """The build enforces them with its link folders: no way around those, and nothing extra in."""
    found = ["%s: an include with '..'" % place(path, text, m.start())
             for path, text in tree.sources().items()
             for m in re.finditer(r"#\s*include\s*\"[^\"]*\.\.", csource.code(text, literals=True))]
    table = re.search(r"^includes = \{(.*?)^\}", (tree.root / "src/meson.build").read_text(), re.S | re.M)
    for library, folders in re.findall(r"'(\w+)': \[([^\]]*)\]", table.group(1)):
        want = set(re.findall(r"'([^']+)'", folders))
        root = tree.build / "src" / "inc" / library
        have = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_symlink()}
        if have != want:
            found.append("%s: holds %s, not %s" % (root, sorted(have), sorted(want)))
    return found


def compiles(include_root, header):
    run = subprocess.run(
        ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
         "-I", str(include_root), "-include", header, "-x", "c", "/dev/null"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    errors = [line for line in run.stderr.split("\n") if " error: " in line]
    return run.returncode == 0, "".join(errors[:1])


def library_of(path):
    folder = path.split("/")[1]
    return "pure" if path.startswith("src/base/pure/") else folder


def check_headers_compile_alone(tree):
    headers = list(tree.sources(suffixes=".h"))

    def try_one(path):
        header = path.split("/", 1)[1]
        ok, message = compiles(tree.build / "src" / "inc" / library_of(path), header)
        return [] if ok else ["%s: %s" % (path, message)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for lines in pool.map(try_one, headers) for line in lines]


def check_every_file_is_built(tree):
    commands = json.loads((tree.build / "compile_commands.json").read_text())
    built = {os.path.relpath(os.path.join(c["directory"], c["file"]), tree.root) for c in commands}
    return ["%s: in no meson.build" % path for path in tree.text
            if path.endswith(".c") and path not in built]


def check_core_is_pure(tree):
    return purity.check(tree.root, tree.build)


def check_fuzz_targets_are_whole(tree):
    """Each has inputs and a row in README; no inputs or dictionary are left of one that is gone."""
    folder, found = tree.root / "tests/fuzz", []
    targets = {re.search(r"fuzz_(\w+)\.c$", path).group(1): text for path, text in tree.text.items()
               if re.match(r"tests/fuzz/fuzz_\w+\.c$", path)}
    canary = {"canary"}  # it has nothing to find but what is planted in it
    readme = (folder / "README.md").read_text() if targets else ""
    for name in sorted(set(targets) - canary):
        same = re.search(r"The input is that of fuzz_(\w+)\.c", targets[name])
        inputs = folder / "corpus" / (same.group(1) if same else name)
        if not inputs.is_dir() or not any(inputs.iterdir()):
            found.append("tests/fuzz/fuzz_%s.c: no inputs in %s" % (name, inputs.relative_to(tree.root)))
        if "| `%s` |" % name not in readme:
            found.append("tests/fuzz/README.md: no row for %s" % name)
    for path in [*folder.glob("corpus/*"), *folder.glob("dict/*.dict")]:
        if path.stem not in set(targets) - canary:
            found.append("%s: no such target" % path.relative_to(tree.root))
    return found


class Skip(Exception):
    pass


def check_format(tree):
    run = subprocess.run([tree.root / "tools/fmt"], capture_output=True, text=True)
    if run.returncode == 77:
        raise Skip(run.stdout.strip())
    errors = [line for line in run.stderr.split("\n") if ": error: " in line]
    files = sorted({line.split(":")[0] for line in errors})
    return ["%s: run 'make fmt'" % path for path in files] if run.returncode else []


def check_docs_follow_the_tables(tree):
    run = subprocess.run([tree.root / "tools/gen-docs", "--check", "--build", tree.build],
                         capture_output=True, text=True)
    return (run.stdout + run.stderr).splitlines() if run.returncode else []


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--build", default=str(ROOT / "build"))
    tree = Tree(ROOT, pathlib.Path(arguments.parse_args().build).resolve())
    failed = 0
    print("1..%d" % len(CHECKS))
    for number, check in enumerate(CHECKS, 1):
        name = check.__name__.replace("check_", "", 1)
        try:
            found = check(tree)
        except Skip as reason:
            print("ok %d - %s # SKIP %s" % (number, name, reason))
            continue
        failed += bool(found)
        print("%s %d - %s" % ("not ok" if found else "ok", number, name))
        for line in found:
            print("# " + line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
