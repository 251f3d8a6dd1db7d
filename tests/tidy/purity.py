"""The core decides and does nothing else: linked with base/pure, it may need these names only.

It is compiled plainly for this, since hardening and sanitizers bring names of their own."""

import pathlib
import subprocess
import tempfile

ALLOWED = {
    "memchr", "memcmp", "memcpy", "memmove", "memset", "strchr", "strcmp", "strcspn", "strlen",
    "strncmp", "strnlen", "strrchr", "strspn", "strstr",
    "check_failed",  # the hook behind must()
}
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-fno-pic", "-fno-pie", "-fno-stack-protector",
         "-U_FORTIFY_SOURCE"]


def foreign_names(sources, include_root):
    """What the linked sources need and is not allowed."""
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for i, source in enumerate(sources):
            objects.append("%s/%d.o" % (folder, i))
            subprocess.run(["gcc", *FLAGS, "-I", str(include_root), "-c", str(source), "-o", objects[-1]],
                           check=True)
        linked = folder + "/core"
        subprocess.run(["ld", "-r", "-o", linked, *objects], check=True)
        names = subprocess.run(["nm", "-u", "-P", linked], check=True, capture_output=True, text=True)
    return sorted({line.split()[0] for line in names.stdout.splitlines()} - ALLOWED)


def check(root: pathlib.Path, build: pathlib.Path):
    sources = sorted((root / "src/core").rglob("*.c")) + sorted((root / "src/base/pure").glob("*.c"))
    return ["the core needs '%s'" % name
            for name in foreign_names(sources, build / "src" / "inc" / "core")]
