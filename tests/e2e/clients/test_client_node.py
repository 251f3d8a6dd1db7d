"""The official clients for Node.js make their usual calls: a script each, whose tests are tests here.

tools/node installs the clients."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from wharf_harness import ROOT, SECONDS

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ROOT / "build/node"
SCRIPTS = ["openai", "anthropic"]


def names(script):
    return re.findall(r'^test\("([^"]+)"', (HERE / f"{script}.mjs").read_text(), re.M)


def why_not():
    if shutil.which("node") is None:
        return "there is no Node.js (Debian: nodejs)"
    if not (PACKAGES / "stamp").is_file():
        return "the npm packages are not installed: tools/node does that, and says why it cannot"
    return ""


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module")
def outcomes(daemon):
    """{script: {test: what went wrong, or ""}}, and what the scripts printed."""
    found = {}
    for script in SCRIPTS:
        env = {**os.environ, "WHARF_URL": daemon.url, "WHARF_KEY": daemon.key,
               "WHARF_NODE": str(PACKAGES)}
        run = subprocess.run(["node", "--test-reporter=tap", str(HERE / f"{script}.mjs")], env=env,
                             stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=5 * SECONDS)
        results = re.split(r"^(?=(?:not )?ok \d+ - )", run.stdout, flags=re.M)[1:]
        found[script] = {
            re.match(r"(?:not )?ok \d+ - (.*)", r)[1]: r if r.startswith("not ") else ""
            for r in results}
        found[script][None] = run.stdout + run.stderr
    return found


@pytest.mark.parametrize("script, name", [(s, n) for s in SCRIPTS for n in names(s)])
def test_calls(outcomes, script, name):
    assert name in outcomes[script], outcomes[script][None]
    assert not outcomes[script][name], outcomes[script][name]
