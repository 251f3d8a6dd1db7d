#!/usr/bin/env python3
"""What programs that were built against libwharf rely on: the names that it exports, and the sizes of
structs and the places of their fields on a 64-bit machine. Compares them with libwharf.abi beside
this file, and prints TAP; --write writes that file.

Headers are compiled alone, as C11 and as C++17, without a warning."""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parents[1] / "include"
HEADERS = sorted(h.relative_to(INCLUDE).as_posix() for h in (INCLUDE / "wharf").glob("*.h"))
RECORD = HERE / "libwharf.abi"


def exported(command):
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in out.splitlines() if len(line.split()) == 3]
    return sorted(name.partition("@")[0] for _, kind, name in rows if kind != "A")


def structs():
    """{name: [field, …]} of all that headers define in full."""
    found = {}
    for header in HEADERS:
        text = re.sub(r"/\*.*?\*/", "", (INCLUDE / header).read_text(), flags=re.S)
        for name, body in re.findall(r"^struct (\w+) \{(.*?)^\};", text, flags=re.S | re.M):
            found[name] = []
            for declaration in body.split(";"):
                pointers = re.findall(r"\(\*(\w+)\)\(", declaration)
                names = re.findall(r"(\w+)\s*(?:,|$)", declaration.strip())
                found[name] += pointers or names
    return found


def measure(compiler):
    """Lines that say each struct's size, and where each field is."""
    code = ["#include <stddef.h>", "#include <stdio.h>", "#include <wharf/wharf.h>", "int main(void) {"]
    for name, fields in sorted(structs().items()):
        code.append(f'printf("struct {name} %zu:", sizeof(struct {name}));')
        code += [f'printf(" {f} %zu", offsetof(struct {name}, {f}));' for f in fields]
        code.append('puts("");')
    code.append("return 0; }")
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "probe.c"), pathlib.Path(folder, "probe")
        source.write_text("\n".join(code))
        subprocess.run([compiler, "-std=c11", "-I", INCLUDE, source, "-o", program], check=True)
        return subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()


def compile_alone(compiler, header, *options):
    code = f"#include <{header}>\n#include <{header}>\n"
    done = subprocess.run([compiler, *options, "-I", INCLUDE, "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                           "-fsyntax-only", "-"], input=code, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


class Report:
    def __init__(self):
        self.count = self.failed = 0

    def say(self, name, problem, skip=""):
        self.count += 1
        self.failed += bool(problem)
        print(f"{'not ok' if problem else 'ok'} {self.count} - {name}{' # SKIP ' + skip if skip else ''}")
        for line in str(problem).splitlines() if problem else ():
            print(f"# {line}")


def difference(wanted, found):
    return "\n".join([f"gone or changed: {x}" for x in wanted if x not in found] +
                     [f"not recorded: {x}" for x in found if x not in wanted])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", required=True)
    parser.add_argument("--archive", required=True)
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--write", action="store_true")
    a = parser.parse_args()
    names = exported(["nm", "-D", "--defined-only", a.shared])
    found = [f"function {n}" for n in names] + measure(a.compiler)
    if a.write:
        RECORD.write_text("".join(line + "\n" for line in found))
        return 0
    report = Report()
    report.say("names and structs are those of libwharf.abi",
               difference(RECORD.read_text().splitlines(), found)
               + ("\ntests/lib/abi.py --write records them" if RECORD.read_text().splitlines() != found else ""))
    report.say("the static library shows the same names",
               difference(names, exported(["nm", "-g", "--defined-only", a.archive])))
    declared = {n for h in HEADERS
                for n in re.findall(r"WHARF_API [^;]*?(\bwharf_\w+)\(", (INCLUDE / h).read_text())}
    report.say("each name stands in a header", difference(sorted(declared), names))
    cxx = shutil.which("c++")
    for header in HEADERS:
        report.say(f"{header} alone, as C11", compile_alone(a.compiler, header, "-x", "c", "-std=c11"))
        report.say(f"{header} alone, as C++17",
                   compile_alone(cxx, header, "-x", "c++", "-std=c++17") if cxx else "",
                   "" if cxx else "there is no C++ compiler")
    print(f"1..{report.count}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
