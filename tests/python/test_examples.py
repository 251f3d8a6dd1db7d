"""The examples do what they say, the documents' Python too, and the package can be built."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import wharf
from wharf_harness import demo, until  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "python"
CLIP = {"backend": "worker", "devices": {"cuda": {"vram": "500MiB"}, "cpu": {}}}
CONFIG = {"gpus": [{"sim": {"name": "gpu0", "memory": "12GiB"}, "sample": "20ms"}],
          "gates": {"mlx": {"limit": 1}}, "models": {"clip": CLIP, "vlm": demo("vlm", vram="6GiB")},
          "modes": {"recording": {"vlm": "loaded", "clip": "cpu"},
                    "autopilot": {"vlm": "unloaded", "clip": "cuda"}}}


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT / "python"), "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(*command, **more):
    done = subprocess.run([sys.executable, *map(str, command)], env=environment(**more), text=True,
                          capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done
    return done.stdout


def test_gate(daemon):
    want = ["the first is served", "foreground is served",
            *(f"background {i} is served" for i in range(3))]
    assert run(EXAMPLES / "gate.py").splitlines() == want
    lines = run(EXAMPLES / "gate.py", "mlx", WHARF_URL=daemon(CONFIG).url).splitlines()
    assert lines[:2] == want[:2] and sorted(lines) == sorted(want)


def test_lease(daemon):
    d = daemon(CONFIG)
    script = "import os; print(os.environ['WHARF_LEASE'].count(':'))"
    assert run(EXAMPLES / "lease.py", "6GiB", sys.executable, "-c", script, WHARF_URL=d.url) == "1\n"


def test_worker(daemon):
    d = daemon(CONFIG)
    process = subprocess.Popen([sys.executable, str(EXAMPLES / "worker.py"), "clip"],
                               env=environment(WHARF_URL=d.url), stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL)
    try:
        c = wharf.Client(d.url)
        until(lambda: c.model("clip")["state"] == "loaded", "it has registered")
        assert c.move("clip", "cuda")["device"] == "gpu0"
        assert process.stdout.readline() == "told to go to cuda\n"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def test_resource_manager():
    lines = run(EXAMPLES / "resource_manager.py").splitlines()
    assert lines == [
        "mode autopilot", "move clip to cuda",
        "mode recording", "move clip to cpu", "load vlm on cuda",
        "mode autopilot", "unload vlm", "move clip to cuda",
        "move clip to cpu", "load vlm on cuda", "vlm is loaded",
        "unload vlm", "a job has 4 GiB of cuda"]


def blocks():
    """(how, code) of each block of Python in the document."""
    text = (ROOT / "docs" / "python.md").read_text()
    return re.findall(r"(?:<!-- ([^\n]*) -->\n)?```python\n(.*?)```", text, re.S)


def test_each_block_says_how_it_is_run():
    assert len(blocks()) > 10
    for how, code in blocks():
        assert how in ("run", "run with a daemon", "before"), code
        compile(code, "docs/python.md", "exec", flags=0x2000)  # await outside of functions


@pytest.mark.parametrize("how,code", [b for b in blocks() if b[0].startswith("run")],
                         ids=lambda text: text.split("\n")[0][:30])
def test_the_documents_python(daemon, how, code):
    url = daemon(CONFIG).url if how == "run with a daemon" else "unix:/no/daemon"
    if re.search(r"^\s*(await|async)\b", code, re.M):
        code = "async def main():\n" + re.sub(r"^(?=.)", "    ", code, flags=re.M) + \
            "\nimport asyncio\nasyncio.run(main())\n"
    run("-c", code, WHARF_URL=url)


def test_a_wheel(tmp_path):
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 70:
        pytest.importorskip("wheel")
    # A copy, so that nothing is left beside the sources.
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copytree(ROOT / "python", copy / "python", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "meson.build", copy)
    run("-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-q", "-w", tmp_path,
        copy / "python")
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name == f"wharf-{wharf.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {p.relative_to(ROOT / "python").as_posix()
               for p in (ROOT / "python" / "wharf").rglob("*.py")}
    assert sources | {"wharf/py.typed"} <= names


def test_the_version_is_the_librarys():
    text = (ROOT / "meson.build").read_text()
    assert f"version: '{wharf.__version__}'" in text


def test_it_needs_nothing_but_pythons_own_library():
    """Nor does importing it, without its compat, need what that looks for."""
    code = ("import sys; before = set(sys.modules); import wharf.compat; "
            "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))")
    names = set(run("-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r}); {code}").split())
    assert names - {"wharf"} <= set(getattr(sys, "stdlib_module_names", names))
