"""The commands against a real daemon. (test_cli.py has them against a scripted one.)"""

import json
import subprocess

import pytest

from wharf_harness import SECONDS, WHARF, Later, chat_body, demo, free_port, models, until


def test_ps(wharf):
    d = wharf({"models": {"a": demo("a", vram="1GiB"), "b": demo("b", vram="2GiB")},
               "gpus": [{"sim": {"name": "s", "memory": "8GiB"}}]})
    pid = d.load("a")["pid"]
    run = d.cli("ps", check=0)
    row = {line.split()[0]: line for line in run.stdout.splitlines() if line.split()}
    assert "loaded" in row["a"] and "unloaded" in row["b"]
    got = json.loads(d.cli("ps", "--json", check=0).stdout)
    assert {m["id"]: m["state"] for m in got["models"]} == {"a": "loaded", "b": "unloaded"}
    assert got["models"][0]["pid"] == pid


@pytest.mark.slice
def test_load_and_unload(wharf):
    d = wharf(models("a", "b"))
    run = d.cli("load", "a", check=0)
    assert "a: loaded" in run.stdout and d.state_of("a") == "loaded"
    got = json.loads(d.cli("load", "b", "--json", check=0).stdout)
    assert (got["id"], got["state"]) == ("b", "loaded")
    assert d.state_of("a") == "unloaded"
    assert "b: unloaded" in d.cli("unload", "b", check=0).stdout
    d.load("a")
    d.cli("unload", "--all", check=0)
    assert d.state_of("a") == "unloaded" and not d.tree()


def test_load_that_fails(wharf):
    d = wharf({"models": {"bad": demo("bad", "--crash-on-load=4")}})
    run = d.cli("load", "bad")
    assert run.returncode not in (0, 2) and "failed to load the model" in run.stderr, run
    told = d.cli("why", "bad", check=0).stdout.splitlines()
    assert told[0] == "bad is in error: it failed to load"
    began, failed, status, *log = [line for line in told if line[:1].isdigit() or line.startswith("    ")]
    assert began.endswith("bad began to load: commanded") and failed.endswith("bad failed to load: it failed to load")
    assert status == "    its process exited with status 4; its log ends with:"
    assert "failed to load the model" in log[-1], log


def test_unknown_model(wharf):
    d = wharf(models("alpha"))
    run = d.cli("load", "alpah")
    assert run.returncode == 2 and "alpha" in run.stderr, run
    run = d.cli("logs", "alpah", check=2)
    assert run.stderr == 'wharf: cannot read the logs: no model is called "alpah"; the nearest names are alpha\n', run


def test_unload_waits_and_force_does_not(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60")}})
    d.load("m")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
    c.head()
    patient = Later(d.cli, "unload", "m")
    # The stream's connection, the command's, and the one that asks.
    until(lambda: d.get("/wharf/status").json()["connections"] >= 3, "the command to connect")
    assert not patient.done and d.model("m")["in_flight"] == 1
    d.cli("unload", "m", "--force", check=0)
    patient.result()
    assert d.state_of("m") == "unloaded"


def test_events(wharf):
    d = wharf(models("m"))
    d.load("m")
    run = d.cli("events", "--json", "--since", "0", "--count", "2", check=0)
    assert [json.loads(line)["type"] for line in run.stdout.splitlines()] == \
        ["model_loading", "model_loaded"]


def test_logs(wharf):
    d = wharf(models("m"))
    d.load("m")
    assert "model_loaded" in d.cli("logs", check=0).stdout
    assert "listening on" in d.cli("logs", "m", check=0).stdout


def test_key(wharf):
    d = wharf({"apiKeys": ["sesame"], **models("m")})
    refused = d.cli("ps")
    assert refused.returncode not in (0, 2) and refused.stderr
    d.cli("ps", key="sesame", check=0)
    d.cli("ps", "--key", "sesame", check=0)


def test_url_option_and_unix_socket(wharf, tmp_path):
    path = tmp_path / "s"
    d = wharf(models("m"), listen=["127.0.0.1:0", f"unix:{path}"])
    for url in (d.url, f"unix:{path}"):
        run = subprocess.run([str(WHARF), "ps", "--url", url], capture_output=True, text=True,
                             timeout=SECONDS)
        assert run.returncode == 0 and run.stdout.splitlines()[1].split()[0] == "m", run


def test_nobody_there():
    run = subprocess.run([str(WHARF), "ps", "--url", f"http://127.0.0.1:{free_port()}"],
                         capture_output=True, text=True, timeout=SECONDS)
    assert run.returncode == 69 and run.stderr


@pytest.mark.parametrize("args, status", [
    (["version"], 0), (["help"], 0), (["help", "load"], 0), (["serve", "--help"], 0),
    (["laod", "m"], 2), ([], 2), (["load"], 2), (["ps", "--no-such-option"], 2), (["serve"], 2)])
def test_exit_statuses(args, status):
    run = subprocess.run([str(WHARF), *args], capture_output=True, text=True, timeout=SECONDS,
                         stdin=subprocess.DEVNULL)
    assert run.returncode == status, run
    assert (run.stdout if status == 0 else run.stderr).strip()
    if args == ["laod", "m"]:
        assert "load" in run.stderr
