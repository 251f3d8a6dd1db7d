"""Several files (behaviour 2.16), as `wharf check` tells of them. Each rule on its own is a row of
tests/unit/test_config_sources.c; here is what the command line adds."""

import subprocess

import pytest

from wharf_harness import SECONDS, WHARF, demo, models

A = "models: {a: {cmd: 'x ${PORT}'}}\n"
B = "models: {b: {cmd: '${server} ${PORT}'}}\n"

# Each row: the files; the arguments of `wharf check`; status; what is printed.
CASES = {
    "a file and a folder": ({"z.yaml": "macros: {server: serve}\n", "d/a.yaml": A, "d/b.yml": B},
                            ["z.yaml", "--config-dir", "d"], 0, "z.yaml: ok, 2 models\n"),
    "a folder": ({"d/a.yaml": A}, ["--config-dir=d"], 0, "d: ok, 1 model\n"),
    "neither": ({}, [], 2, "wharf: check: FILE is missing, as in `wharf check wharf.yaml`, or "
                           "--config-dir DIR\n"),
    "nothing in the folder": ({"d/x": ""}, ["--config-dir", "d"], 2,
                              "d: error: no configuration is here: the folder has no *.yml or "
                              "*.yaml\nwharf: 1 error in the configuration\n"),
    "errors in both": ({"z.yaml": "startPort: x\n", "d/a.yaml": "\nspool: x\n"},
                       ["z.yaml", "--config-dir", "d"], 2,
                       "z.yaml:1:12: error: startPort must be a whole number, not a text\n"
                       "d/a.yaml:2:8: error: spool must be a size such as 512MiB or 10.5GiB, not "
                       "'x'\n"
                       "wharf: 2 errors in the configuration\n"),
    "a model in two": ({"z.yaml": A, "d/a.yaml": A}, ["z.yaml", "--config-dir", "d"], 2,
                       "d/a.yaml:1:10: error: duplicate 'a' in models: it stands in z.yaml, line 1 "
                       "already\nwharf: 1 error in the configuration\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_check(tmp_path, name):
    files, words, status, printed = CASES[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    done = subprocess.run([str(WHARF), "check", *words], cwd=tmp_path, capture_output=True,
                          text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout + done.stderr) == (status, printed)


def test_macros_of_one_file_serve_in_another(wharf, tmp_path):
    (tmp_path / "d").mkdir()
    command, _, name = demo("m")["cmd"].rpartition(" ")
    (tmp_path / "d" / "macros.yaml").write_text(f'macros:\n  server: "{command}"\n')
    (tmp_path / "d" / "models.yaml").write_text(
        f"models:\n  m: {{cmd: '${{server}} {name}', proxy: 'http://127.0.0.1:${{PORT}}'}}\n")
    d = wharf(models("other"), args=["--config-dir", str(tmp_path / "d")])
    d.ok(d.chat("m"))
    d.ok(d.chat("other"))
