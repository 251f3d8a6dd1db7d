"""Every command's --json: stdout is JSON and nothing else, whether it does what it is told or not."""

import json
import subprocess

import pytest

from leases import Lease, gpu
from wharf_harness import SECONDS, WHARF, demo, free_port

# Why a command has none.
WITHOUT = {"completion": "what it prints is a shell's", "top": "it is a picture; status, queue and mode have what is in it", "serve": "what it prints is its log", "llama-swap": "its flags and its output are llama-swap's"}

# How each is told to do something that it can do, and something that it cannot; {…} from the daemon.
DOES = {
    "check": ["check", "{config}"], "status": ["status"], "ps": ["ps"], "load": ["load", "m"],
    "unload": ["unload", "m"], "suspend": ["suspend", "s"], "resume": None, "move": ["move", "v", "b"],
    "pin": ["pin", "m"], "mode": ["mode"], "queue": ["queue"], "plan": ["plan", "m"], "lease": ["lease"],
    "run": ["run", "--vram", "1GiB", "true"], "submit": ["submit", "--vram", "1GiB", "true"],
    "jobs": ["jobs"], "why": ["why", "m"], "history": ["history"], "devices": ["devices"], "logs": ["logs"],
    "events": ["events", "--since", "0", "--count", "1"],
    "simulate": ["simulate", "-c", "{config}", "--generate", "every:period=1s,rows=3,seconds=1"],
    "report": ["report"],
    "upgrade": ["upgrade"], "help": ["help"], "init": ["init", "--models", "/usr/share", "{new}"], "version": ["version"]}
FAILS = {
    "check": ["check", "/no/such/file"], "load": ["load", "no"], "unload": ["unload", "no"],
    "suspend": ["suspend", "m"], "resume": ["resume", "m"], "move": ["move", "m", "nowhere"],
    "pin": ["pin", "no"], "mode": ["mode", "no"], "plan": ["plan", "--gate", "no"],
    "lease": ["lease", "end", "no"], "run": ["run", "--vram", "1GiB", "--class", "no", "true"],
    "submit": ["submit", "--gate", "no", "true"], "jobs": ["jobs", "wait", "99"], "why": ["why", "no"], "history": ["history", "no"],
    "logs": ["logs", "no"], "simulate": ["simulate", "-c", "/no/such/file"], "help": ["help", "no"],
    "init": ["init", "--models", "/no/such/folder"],
    "report": ["report", "--requests", "/no/such/file", "--swaps", "/dev/null"]}


def table():
    run = subprocess.run([str(WHARF), "help", "--json"], capture_output=True, text=True, timeout=SECONDS)
    assert (run.returncode, run.stderr) == (0, "")
    return {c["name"]: c for c in json.loads(run.stdout)["commands"]}


TABLE = table() if WHARF.is_file() else {}
JSON = sorted(set(TABLE) - set(WITHOUT))


def lines(text):
    """What each of them is."""
    found = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(x, (dict, list)) for x in found), text
    return found


def config():
    return {"gpus": [gpu()], "gates": {"mlx": {"limit": 1}}, "models": {"m": demo("m", vram="1GiB")}}


def test_the_table_is_whole():
    assert set(TABLE) == set(JSON) | set(WITHOUT)
    for name, c in TABLE.items():
        options = {o["name"] for o in c["options"]}
        assert ("json" in options) == (name not in WITHOUT), name
        assert "help" in options and ("url" in options) == c["asks_daemon"]
        assert c["summary"] and c["description"] and c["usage"].startswith(f"usage: wharf {name}")
    assert set(DOES) == set(JSON)
    one = subprocess.run([str(WHARF), "help", "load", "--json"], capture_output=True, text=True)
    assert json.loads(one.stdout) == TABLE["load"]


@pytest.mark.slice
def test_what_is_done(wharf, tmp_path):
    d = wharf(config())
    d.env["XDG_STATE_HOME"] = str(tmp_path / "jobs")
    # Elsewhere: these want an engine that sleeps, several places, or another program.
    for name in set(JSON) - {"suspend", "resume", "move", "upgrade"}:
        words = [w.replace("{config}", str(d.config_path)).replace("{new}", str(tmp_path / "new.yaml"))
                 for w in DOES[name]]
        run = d.cli(words[0], "--json", *words[1:], check=0)
        if name == "run":
            assert run.stdout == "" and [x["state"] for x in lines(run.stderr)] == ["granted", "ended"]
        else:
            assert len(lines(run.stdout)) == 1 or name in ("logs", "events", "history"), run
            assert run.stderr == ""


@pytest.mark.slice
def test_what_fails(wharf, tmp_path):
    d = wharf(config())
    d.env["XDG_STATE_HOME"] = str(tmp_path / "jobs")
    for name, words in FAILS.items():
        plain = d.cli(*words)
        run = d.cli(words[0], "--json", *words[1:], check=plain.returncode)
        assert run.returncode != 0, name
        if name == "check":
            assert lines(run.stdout)[0]["ok"] is False
            continue
        where, empty = (run.stderr, run.stdout) if name == "run" else (run.stdout, "")
        error = lines(where)[-1]["error"]
        assert len(lines(where)) == 1 and empty == "" and error["code"] and error["message"], run
        if name != "run":
            assert run.stderr == plain.stderr and "wharf: " in plain.stderr


@pytest.mark.parametrize("name", JSON)
def test_wrong_words(name):
    run = subprocess.run([str(WHARF), name, "--no-such-option", "--json"], capture_output=True, text=True,
                         timeout=SECONDS)
    out = run.stderr if name == "run" else run.stdout
    assert run.returncode == 2 and lines(out)[0]["error"]["code"] == "usage", run
    assert run.stdout == "" or name != "run"


@pytest.mark.parametrize("name", [n for n in JSON if TABLE[n]["asks_daemon"] and n not in ("jobs", "resume")])
def test_nobody_there(name):
    words = [w.replace("{config}", "x") for w in DOES[name]]
    run = subprocess.run([str(WHARF), words[0], "--url", f"http://127.0.0.1:{free_port()}", "--json", *words[1:]],
                         capture_output=True, text=True, timeout=SECONDS)
    out = run.stderr if name == "run" else run.stdout
    assert run.returncode == 69 and lines(out)[0]["error"]["code"] == "unreachable", run


def test_an_unknown_command():
    run = subprocess.run([str(WHARF), "laod", "--json"], capture_output=True, text=True, timeout=SECONDS)
    assert run.returncode == 2 and "'load'" in lines(run.stdout)[0]["error"]["message"], run


def test_what_belongs_to_the_command_of_run():
    """--json behind the command is the command's own."""
    run = subprocess.run([str(WHARF), "run", "true", "--json"], capture_output=True, text=True, timeout=SECONDS)
    assert run.returncode == 2 and run.stderr.startswith("wharf: run: --vram SIZE is missing"), run


def test_run_tells_no_secret(wharf):
    d = wharf(config())
    hold = Lease(d, gates=["mlx"], name="first")
    run = subprocess.Popen([str(WHARF), "run", "--gate", "mlx", "--json", "--", "sh", "-c", "echo out; exit 3"],
                           env=dict(d.env, WHARF_URL=d.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)
    first = json.loads(run.stderr.readline())
    assert (first["state"], first["for"]) == ("waiting", "a slot of gate mlx (1 of 1 taken: first)")
    hold.close()
    out, err = run.communicate(timeout=SECONDS)
    told = lines(err)
    assert run.returncode == 3 and out == "out\n"
    assert [x["state"] for x in told][-2:] == ["granted", "ended"] and told[-1]["exit"] == 3
    assert not any("token" in x or "environment" in x for x in [first, *told])


def test_logs_line_by_line(wharf):
    d = wharf(config())
    d.load("m")
    told = lines(d.cli("logs", "m", "--json", check=0).stdout)
    assert all(set(x) == {"model", "line"} and x["model"] == "m" for x in told)
    assert "\n".join(x["line"] for x in told) + "\n" == d.cli("logs", "m", check=0).stdout
