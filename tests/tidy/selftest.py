#!/usr/bin/env python3
"""Shows each rule of tidy.py code that breaks it and code that keeps it: a rule must be able to
fail. Prints one TAP case for each example. Needs a configured build.

    tests/tidy/selftest.py [--build DIR]
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import textwrap

sys.dont_write_bytecode = True
import purity  # noqa: E402
import tidy  # noqa: E402


def body(lines):
    return "static int f(int a)\n{\n" + "    a++;\n" * (lines - 4) + "    return a;\n}\n"


def nested(depth):
    return "void f(void)\n{\n" + "if (1) {\n" * depth + "}\n" * depth + "}\n"


LONG = tidy.FUNCTION_LINES_MAX
SEVEN = "int a, int b, int c, int d, int e, int f, int g"

# Rule, file, text, what the complaint must say (None: no complaint).
EXAMPLES = [
    ("function_length", "src/core/a.c", body(LONG + 1), "src/core/a.c:1: f has 71 lines"),
    ("function_length", "src/core/a.c", body(LONG), None),
    ("function_length", "src/core/a.c", "#define M \\\n {\n" + body(LONG + 1), "a.c:3: f has 71"),
    ("function_length", "src/core/a.c", "/* { */ char b[] = \"{\";\n" + body(LONG + 1), "a.c:2: f"),
    ("function_length", "src/core/a.c", "static struct s t[] = {\n" + "{1},\n" * 99 + "};\n", None),
    ("function_length", "src/core/a.c", body(40) * 3, None),
    ("nesting", "src/core/a.c", nested(5), "5 nesting"),
    ("nesting", "src/core/a.c", nested(4), None),
    ("nesting", "src/core/a.c", "void f(void)\n{\n    struct s x = {{{{{1}}}}};\n}\n", None),
    ("parameters", "src/core/a.c", "int f(" + SEVEN + ")\n{\n}\n", "7 parameters"),
    ("parameters", "src/core/a.c", "int f(int a, int (*b)(" + SEVEN + "))\n{\n}\n", None),
    ("file_length", "src/core/a.c", "int a;\n" * 901, "901 lines"),
    ("file_length", "src/core/a.c", "int a;\n" * 900, None),
    ("header_length", "src/core/a.h", "int a;\n" * 151, "151 lines"),
    ("main_length", "src/cli/main.c", "int a;\n" * 101, "101 lines"),
    ("main_length", "src/cli/other.c", "int a;\n" * 101, None),
    ("banned_words", "src/cli/a.c", "void f(void)\n{\n    strcpy(a, b);\n}\n", "a.c:3: 'strcpy'"),
    ("banned_words", "src/cli/a.c", "int a = atoi (b);\n", "'atoi'"),
    ("banned_words", "src/cli/a.c", "sleep(1);\n", "'sleep'"),
    ("banned_words", "src/cli/a.c", "nanosleep(&a, 0); snprintf(a, b, c); free(a);\n", None),
    ("banned_words", "src/cli/a.c", "/* never strcpy(a, b) */ char a[] = \"strcpy(\";\n", None),
    ("banned_words", "src/core/a.c", "static double a;\n", "'double'"),
    ("banned_words", "src/http/a.c", "static double a;\n", None),
    ("banned_words", "src/core/a.c", "p = malloc(1);\n", "'malloc'"),
    ("banned_words", "src/core/a.c", "t = time(NULL);\n", "'time'"),
    ("banned_words", "src/base/pure/a.c", "log_info(0, \"x\");\n", "'log_info'"),
    ("loop_library_only_in_server", "src/api/a.c", "#include <uv.h>\n", "src/api/a.c:1"),
    ("loop_library_only_in_server", "src/api/a.c", "#include \"uv.h\"\n", "src/api/a.c:1"),
    ("loop_library_only_in_server", "src/server/a.c", "#include <uv.h>\n", None),
    ("no_notes_to_self", "src/api/a.c", "int a; /* TODO: later */\n", "TODO"),
    ("no_notes_to_self", "tests/unit/a.c", "int a; // FIXME\n", "FIXME"),
    ("no_notes_to_self", "src/api/a.c", "char a[] = \"TODO\";\n", None),
    ("opening_comments", "src/api/a.h", "#ifndef A_H\n", "begin with '/* a.h:'"),
    ("opening_comments", "src/api/a.h", "/* a.h: words. */\n", None),
    ("white_space", "src/api/a.c", "int a; \n", "src/api/a.c:1"),
    ("white_space", "src/api/a.c", "\nint\ta;\n", "src/api/a.c:2"),
    ("include_directions", "src/core/a.c", "#include \"../server/b.h\"\n", "'..'"),
    ("include_directions", "src/core/a.c", "#include \"core/b.h\"\n", None),
    ("headers_compile_alone", "src/core/a.h", "size_t f(void);\n", "unknown type name"),
    ("headers_compile_alone", "src/core/a.h", "#include \"server/b.h\"\n", "server/b.h: No such file"),
    ("headers_compile_alone", "src/core/a.h", "#include <stddef.h>\nsize_t f(void);\n", None),
    ("every_file_is_built", "src/core/forgotten.c", "int a;\n", "src/core/forgotten.c"),
    ("every_file_is_built", "src/core/built.c", "int a;\n", None),
    ("fuzz_targets_are_whole", "tests/fuzz/fuzz_new.c", "int a;\n", "fuzz_new.c: no inputs"),
    ("fuzz_targets_are_whole", "tests/fuzz/fuzz_new.c", "int a;\n", "README.md: no row for new"),
    ("fuzz_targets_are_whole", "tests/fuzz/fuzz_canary.c", "int a;\n", None),
    ("fuzz_targets_are_whole", "tests/fuzz/fuzz_old.c", "int a;\n", None),
    ("fuzz_targets_are_whole", "tests/fuzz/fuzz_twin.c", "/* The input is that of fuzz_old.c. */\n",
     "no row for twin"),
    ("fuzz_targets_are_whole", "tests/fuzz/corpus/gone/a", "x", "tests/fuzz/corpus/gone: no such"),
    ("fuzz_targets_are_whole", "tests/fuzz/dict/gone.dict", "x", "tests/fuzz/dict/gone.dict: no such"),
]

PURITY_EXAMPLES = [
    ("#include <time.h>\nlong f(void) { return time(0); }\n", ["time"]),
    ("#include <stdlib.h>\nvoid *f(void) { return malloc(9); }\n", ["malloc"]),
    ("#include <stdio.h>\nvoid f(void) { printf(\"%d\", 1); }\n", ["printf"]),
    ("#include <string.h>\nvoid f(char *p, const char *q) { memcpy(p, q, strlen(q)); }\n", []),
]


def build_stand_in(root):
    """A source tree with a build folder: the include folders of two libraries, one file that is built."""
    for folder in ("src/core", "src/server", "src/base/pure", "include", "tests/fuzz/corpus/old",
                   "build/src/inc/core/base", "build/src/inc/server"):
        (root / folder).mkdir(parents=True)
    (root / "src/server/b.h").write_text("/* b.h: exists. */\n")
    (root / "tests/fuzz/README.md").write_text("| `old` | a |\n")
    (root / "tests/fuzz/corpus/old/input").write_text("a")
    (root / "tests/fuzz/fuzz_old.c").write_text("int a;\n")
    (root / "src/meson.build").write_text(
        "includes = {\n  'core': ['core', 'base/pure'],\n  'server': ['server'],\n}\n")
    for folder in ("core/core", "core/base/pure", "server/server"):
        (root / "build/src/inc" / folder).symlink_to(root / "src" / folder.split("/", 1)[1])
    (root / "build/compile_commands.json").write_text(json.dumps(
        [{"directory": str(root / "build"), "file": "../" + path}
         for path in ("src/core/built.c", "tests/fuzz/fuzz_old.c")]))


def run_example(rule, path, text, want):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        build_stand_in(root)
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        found = getattr(tidy, "check_" + rule)(tidy.Tree(root, root / "build"))
    if want is None:
        return not found, found
    return any(want in line for line in found), found


def run_purity(text, want, real_build):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "a.c"
        file.write_text(text)
        found = purity.foreign_names([file], real_build / "src" / "inc" / "core")
    return found == want, found


def wrong_link_is_found():
    """A folder too many among a library's includes."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        build_stand_in(root)
        (root / "build/src/inc/core/server").symlink_to(root / "src/server")
        found = tidy.check_include_directions(tidy.Tree(root, root / "build"))
    return any("holds" in line for line in found), found


def stale_docs_are_found(real_build):
    """A new row in a table that the documents do not have."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        for name in ("docs", "src", "tools"):
            shutil.copytree(tidy.ROOT / name, root / name)
        (root / "tests").mkdir()
        with open(root / "src/base/pure/errors.def", "a") as file:
            file.write('ERROR(NEW, "new_error", "invalid_request", 418, 0, "new")\n')
        found = tidy.check_docs_follow_the_tables(tidy.Tree(root, real_build))
    return any("docs/http.md" in line for line in found), found


def cases(real_build):
    for rule, path, text, want in EXAMPLES:
        yield "%s %s" % (rule, "refuses" if want else "accepts"), text, run_example(
            rule, path, text, want)
    for text, want in PURITY_EXAMPLES:
        yield "purity %s" % ("refuses" if want else "accepts"), text, run_purity(text, want, real_build)
    yield "include_directions refuses a link too many", "", wrong_link_is_found()
    yield "docs_follow_the_tables refuses stale ones", "", stale_docs_are_found(real_build)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--build", default=str(tidy.ROOT / "build"))
    build = pathlib.Path(arguments.parse_args().build).resolve()
    failed, number = 0, 0
    for number, (name, text, (ok, found)) in enumerate(cases(build), 1):
        failed += not ok
        print("%s %d - %s" % ("ok" if ok else "not ok", number, name))
        if not ok:
            print(textwrap.indent("%s\n=> %s" % (text[:400], found), "# "))
    print("1..%d" % number)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
