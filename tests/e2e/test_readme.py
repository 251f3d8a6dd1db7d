"""The README's examples do what it says. A comment above each `sh` block says how it is run."""

import os
import re
import shutil
import subprocess

import pytest

from wharf_harness import BUILD, ROOT, SECONDS, WHARF

README = (ROOT / "README.md").read_text()
URL = "http://127.0.0.1:8080"
HOW = ("run with a daemon", "run alone", "not run")


def sh_blocks():
    """(how, script) of each block."""
    return re.findall(r"(?:<!-- ([^\n]*) -->\n)?```sh\n(.*?)```", README, re.S)


def scripts(how):
    return [script for said, script in sh_blocks() if said.startswith(how)]


def yaml_block():
    found = re.findall(r"```yaml\n(.*?)```", README, re.S)
    assert len(found) == 1
    return found[0]


def run(script, folder, url=URL):
    """The script as it stands there, but for the daemon's address and the build folder."""
    if "curl" in script and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    script = script.replace(URL, url).replace("build/wharf", str(WHARF))
    env = dict(os.environ, WHARF_URL=url, HOME=str(folder))
    env.pop("WHARF_KEY", None)
    done = subprocess.run(["bash", "-euc", "set -o pipefail\n" + script], cwd=folder, env=env,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=3 * SECONDS)
    assert done.returncode == 0, done
    return done.stdout


def test_each_block_says_how_it_is_run():
    assert sh_blocks()
    for how, script in sh_blocks():
        assert how.startswith(HOW), f"no comment says how this is run:\n{script}"
        assert not how.startswith("not run") or len(how) > len("not run: "), script


def test_blocks_that_stand_alone(tmp_path):
    said = "".join(run(script, tmp_path) for script in scripts("run alone"))
    assert "wharf.yaml is written" in said and "wharf.yaml: ok" in said


def test_the_example_is_a_configuration_without_warnings(tmp_path):
    (tmp_path / "wharf.yaml").write_text(yaml_block())
    done = subprocess.run([str(WHARF), "check", "wharf.yaml"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")


def test_blocks_with_the_demo_running(wharf, tmp_path):
    path = f"{BUILD}{os.pathsep}{os.environ['PATH']}"
    daemon = wharf((ROOT / "examples/demo.yaml").read_text(), env={"PATH": path})
    for script in scripts("run with a daemon"):
        said = run(script, tmp_path, daemon.url)
        assert '"role":"assistant"' in said.replace(" ", "")
        assert "coder-32b: loaded" in said and "all models: unloaded" in said
        assert "model_loading model=llama-8b" in said


def test_the_commands_it_lists_are_those_there_are():
    told = set(re.findall(r"`wharf (\w+)", README.split("| command |")[1].split("\n\n")[0]))
    done = subprocess.run([str(WHARF), "help"], capture_output=True, text=True, timeout=SECONDS)
    listed = done.stdout.split("Commands:\n")[1].split("\n\n")[0]
    assert told == set(re.findall(r"^  (\w+) ", listed, re.M))


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_the_files_that_it_names_are_there(name):
    text = (ROOT / name).read_text()
    missing = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not (ROOT / link).exists()]
    sources = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src").rglob("*.*")}
    for words in re.findall(r"`([^`<\n]+)`", text):  # <uv.h> is not ours
        for word in re.findall(r"[\w/.-]+\.(?:c|h|def)\b", words):
            word = word.removeprefix("src/")
            known = (ROOT / word).exists() or any(("/" + s).endswith("/" + word) for s in sources)
            if not known and "NAME" not in word:
                missing.append(word)
    assert not missing
