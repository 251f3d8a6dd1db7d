"""`wharf top` on a terminal, at 80x24 and 200x60; tables that fit one; bars on what takes a while."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from leases import Lease, gpu
from tmux import Tmux, plain
from wharf_harness import SECONDS, WHARF, Later, demo, free_port, held, until

CUT = "an-organisation/a"
LONG = "an-organisation/a-model-with-a-long-name-14b-instruct-q4"
KEYS = "l load u unload s suspend w wake m move p pin M mode / filter Tab ? help q quit"


def config(**keys):
    engine = demo("mover")
    return {"gpus": [gpu("Sim 24G", "24GiB"), gpu("Sim 12G", "12GiB")],
            "modes": {"work": {"small": "loaded"}},
            "models": {"small": demo("small", vram="8GiB", ttl=600, aliases=["tiny"]),
                       LONG: demo("long", vram="14GiB"), "big": demo("big", vram="30GiB"),
                       "mover": {**engine, "devices": {"Sim 12G": {"vram": "4GiB"}, "cpu": {}}}, **keys}}


def top(d, tmp_path, width=80, height=24, words="", env=None):
    return Tmux(tmp_path, f"{WHARF} top {words}", width, height, {"WHARF_URL": d.url, **(env or {})})


def version():
    run = subprocess.run([str(WHARF), "version", "--json"], capture_output=True, text=True, timeout=SECONDS)
    return json.loads(run.stdout)["version"]




def waiting_world(wharf):
    """A daemon that stands still: with a model, a lease, and one that waits for what the lease has."""
    c = config()
    c["models"]["big"] = demo("big", vram="22GiB")
    d = wharf(c)
    d.load("small")
    lease = Lease(d, vram="4GiB", name="train", devices=["Sim 24G"])
    lease.until("granted")
    d.connect().request("POST", "/v1/chat/completions", {"model": "big", "messages": []})
    d.until_model("big", waiting=1)
    return d, lease


def rows(lines):
    """What is filled of a screen, in words: bars of any length are one character."""
    text = [plain(re.sub(r"([█▓▒░·═#.+])\1+", r"\1", line), version()) for line in lines]
    return [line for line in text if line]


@pytest.mark.parametrize("width, height", [(80, 24), (200, 60)])
def test_the_screen(wharf, tmp_path, width, height):
    d, lease = waiting_world(wharf)
    with top(d, tmp_path, width, height) as t:
        # It is drawn from above: with the queue's row, all of it is there.
        lines = t.until(lambda now: len(now) > 14 and now[14].startswith("big "))
        assert len(lines) == height and all(len(line) <= width for line in lines)
        head, message, keys = lines[0], lines[-2], lines[-1]
        assert (message, keys) == ("", KEYS)
        assert head.startswith(f"wharf {version()}   mode idle   1 of 4 loaded   0 running   1 waiting")
        assert len(head) == width and head.endswith(" serving")
        at = {line.split()[0]: i for i, line in enumerate(lines) if line.split()}
        assert at["DEVICES"] == 1 and at["Sim"] == 4 and at["MODEL"] == 7 and at["QUEUE"] == 13
        # The bars: pieces as wide as their share, labels within them, numbers behind.
        bar = lines[2][15:width - 22]
        pieces = bar.strip("│").split("│")
        assert bar[0] == bar[-1] == "│" and len(bar) == width - 37, bar
        assert [p.split()[0] for p in pieces] == ["small", "train" if width > 80 else "▓" * 6, "free"], bar
        inner = len(bar) - 2
        assert [abs(len(p) + (i > 0) - inner * share / 24) <= 1
                for i, (p, share) in enumerate(zip(pieces, (8, 4, 12)))] == [True] * 3, bar
        assert lines[2].endswith("│ 8GiB of 24GiB") and lines[3].split() == "small 8GiB train 4GiB free 12GiB".split()
        # The tables: all columns, ids cut at 80 and whole at 200, each number in one piece.
        table = [re.split(r" {2,}", plain(line)) for line in lines[7:12]]
        name = CUT if width == 80 else LONG
        assert table[0] == ["MODEL", "STATE", "PLACE", "SIZE", "RUN", "WAIT", "IDLE", "LOAD"]
        assert table[1][0].startswith(name) and table[1][0].endswith("…") == (width == 80)
        assert table[1][1:] == ["unloaded", "-", "14GiB", "0", "0", "-", "-"]
        assert table[2] == ["big", "unloaded", "-", "22GiB", "0", "1", "-", "-"]
        assert table[3] == ["mover", "unloaded", "-", "4GiB", "0", "0", "-", "-"]
        assert table[4] == ["small", "loaded", "Sim 24G", "8GiB", "0", "0", "TIME left", "TIME"]
        queue = [re.split(r" {2,}", plain(line)) for line in lines[13:15]]
        assert queue[0] == ["QUEUE", "CLASS", "PLACE", "AGE", "ESTIMATE", "WAITS FOR"]
        assert queue[1][:4] == ["big", "normal", "1", "TIME"] and "22GiB" in queue[1][-1], queue
        # Time goes on by itself.
        t.until(lambda now: now[14] != lines[14] and now[14].startswith("big"))
        # It is as it would be drawn without a terminal, once; but for times.
        lease.close()
        d.until_model("big", state="loaded")
        t.until("big 22GiB")
        t.type("q")
        assert t.ended() == 0


@pytest.mark.slice
def test_keys(wharf, tmp_path):
    slow = demo("slow", "--token-delay", "1s", "--tokens", "60", vram="1GiB")
    d = wharf(config(slow=slow))
    with top(d, tmp_path) as t:
        t.until("nobody waits")
        t.type("End", "l")
        lines = t.until("small: loaded on Sim 24G")
        assert lines[-2] == "small: loaded on Sim 24G" and d.state_of("small") == "loaded"
        t.type("p")
        t.until("small: loaded on Sim 24G, pinned")
        t.until("loaded (pinned)")
        t.type("p")
        t.until(lambda now: "pinned" not in "\n".join(now))
        # What cannot be is said in the daemon's words.
        t.type("s")
        t.until("cannot suspend 'small': ")
        t.type("u")
        t.until("small: unloaded")
        # Where it is to go is asked.
        t.type("k", "k", "l")
        t.until("mover: loaded on Sim 12G")
        t.type("m")
        t.until("move mover where?")
        t.type("j", "Enter")
        t.until("mover: loaded")
        d.until_model("mover", placement="cpu", state="loaded")
        # Another mode; what it wants comes.
        t.type("M")
        t.until("set which mode?")
        t.type("2")
        t.until("mode work")
        d.until_model("small", state="loaded")
        # A filter, by name or alias; what is selected is what is shown.
        t.type("/", "t", "i", "n", "y", "Enter")
        t.until(lambda now: "small" in "".join(now) and "mover" not in "".join(now[6:-2]))
        t.type("l")
        t.until("small: loaded on Sim 24G")
        t.type("Escape")
        t.until("mover")
        # What would end requests is asked about first, and not done without an answer.
        c = d.connect()
        c.request("POST", "/v1/chat/completions", {"model": "slow", "messages": [], "stream": True})
        d.until_model("slow", in_flight=1)
        t.until("1 running")
        t.type("End", "k", "U")
        t.until("1 requests run there and 0 wait for it: all are ended")
        t.type("n")
        t.until(lambda now: "all are ended" not in "\n".join(now))
        assert d.model("slow")["in_flight"] == 1
        t.type("U", "y")
        t.until("slow: unloaded")
        # Sections, and help.
        t.type("Tab", "Tab", "l")
        t.until("no model is selected here")
        t.type("?")
        t.until("any key: back")
        t.type("x", "q")
        assert t.ended() == 0


def test_resize(wharf, tmp_path):
    d = wharf(config())
    with top(d, tmp_path) as t:
        t.until(CUT)
        t.resize(200, 60)
        lines = t.until(LONG)
        assert lines[-1] == KEYS and len(lines) == 60
        t.resize(79, 24)
        assert t.until("79x24: wharf top needs 80x24")[1:] == [""] * 23
        t.resize(80, 24)
        lines = t.until(CUT)
        assert lines[-1] == KEYS and all(len(line) <= 80 for line in lines)


def test_the_daemon_goes_and_comes_back(wharf, tmp_path):
    d = wharf(config(), listen=f"127.0.0.1:{free_port()}")
    with top(d, tmp_path) as t:
        t.until("nobody waits")
        d.stop()
        lines = t.until("no daemon, trying again: ")
        assert any(line.startswith("small") for line in lines), "what was known stays"
        d.start()
        t.until(lambda now: now[0].endswith("serving") and "trying" not in now[-2])
        t.type("End", "l")
        t.until("small: loaded on Sim 24G")
        t.type("q")
        assert t.ended() == 0


@pytest.mark.parametrize("words, env, coloured", [("", {}, True), ("--no-color", {}, False), ("", {"NO_COLOR": "1"}, False)],
                         ids=["colours", "option", "variable"])
def test_colours(wharf, tmp_path, words, env, coloured):
    d = wharf(config())
    d.load("small")
    with top(d, tmp_path, words=words, env=env) as t:
        text = "\n".join(t.until("small", "-e"))
        text = "\n".join(t.until("8GiB of 24GiB", "-e"))
        assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]m", text)) == coloured, repr(text)


def test_without_utf8(wharf, tmp_path):
    d = wharf(config())
    d.load("small")
    with top(d, tmp_path, env={"LC_ALL": "C"}) as t:
        lines = t.until("8GiB of 24GiB")
        assert all(line.isascii() for line in lines), lines
        assert "| small ###" in lines[2] and "| free ..." in lines[2]
        assert any(line.startswith("an-organisation/") and "..." in line for line in lines)


@pytest.mark.parametrize("end", ["quit", "TERM", "HUP", "Ctrl-C", "lost terminal"])
def test_the_terminal_is_given_back(wharf, tmp_path, end):
    d = wharf(config())
    before, after = tmp_path / "before", tmp_path / "after"
    command = f"stty -a > {before}; printf 'the line above\\n'; {WHARF} top; code=$?; stty -a > {after}; (exit $code)"
    with Tmux(tmp_path, command, 80, 24, {"WHARF_URL": d.url}) as t:
        t.until("nobody waits")
        assert "the line above" not in "\n".join(t.screen()), "it has a screen of its own"
        pid = t.process("top")
        if end == "lost terminal":
            t.run("respawn-pane", "-k", "-t", "t", "cat")
            until(lambda: not os.path.exists(f"/proc/{pid}"), "its end")
            return
        if end in ("TERM", "HUP"):
            os.kill(pid, getattr(signal, f"SIG{end}"))
        else:
            t.type("q" if end == "quit" else "C-c")
        status = t.ended()
        assert status == {"quit": 0, "TERM": 128 + signal.SIGTERM, "HUP": 128 + signal.SIGHUP, "Ctrl-C": 130}[end]
        assert t.until("the line above")[0] == "the line above"
        assert before.read_text() == after.read_text()
        cursor = t.run("display-message", "-p", "-t", "t", "#{cursor_flag} #{alternate_on}").strip()
        assert cursor == "1 0", "the cursor is seen again, on the first screen"


def test_suspend_and_foreground(wharf, tmp_path):
    d = wharf(config())
    with Tmux(tmp_path, "bash --norc --noprofile -i", 80, 24, {"WHARF_URL": d.url, "PS1": "ready> "}) as t:
        t.until("ready>")
        t.type(f"{WHARF} top", "Enter")
        t.until("nobody waits")
        t.type("C-z")
        lines = t.until("Stopped")
        assert "QUEUE" not in "\n".join(lines)
        t.type("fg", "Enter")
        assert t.until("nobody waits")[-1] == KEYS
        t.type("q")
        t.until(lambda now: "QUEUE" not in "\n".join(now) and "ready>" in "\n".join(now))


def test_once(wharf, tmp_path):
    d, lease = waiting_world(wharf)
    env = {**d.env, "WHARF_URL": d.url, "LC_ALL": "C.UTF-8"}
    env.pop("COLUMNS", None), env.pop("LINES", None)
    run = lambda *words, **more: subprocess.run([str(WHARF), "top", *words], env={**env, **more}, timeout=SECONDS,
                                                stdin=subprocess.DEVNULL, capture_output=True, text=True)
    for words in (["--once"], []):
        done = run(*words)
        lines = done.stdout.splitlines()
        assert (done.returncode, done.stderr, len(lines)) == (0, "", 24) and lines[-1] == KEYS
        assert lines[0].endswith("serving") and "\x1b" not in done.stdout
    wide = run("--once", COLUMNS="200", LINES="60").stdout.splitlines()
    assert len(wide) == 60 and any(line.startswith(LONG + " ") for line in wide)
    small = run("--once", COLUMNS="60", LINES="10").stdout
    assert small.splitlines()[0] == "60x10: wharf top needs 80x24"
    plain_text = run("--once", LC_ALL="C").stdout
    assert plain_text.isascii() and "| small ##" in plain_text
    # Where there is no daemon, that is said once.
    done = run("--once", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 69 and done.stdout == "" and "Connection refused" in done.stderr
    # A terminal that cannot move its cursor is written to as a file is.
    with Tmux(tmp_path, f"TERM=dumb {WHARF} top", 80, 40, {"WHARF_URL": d.url, "LINES": "24"}) as t:
        assert t.ended() == 0 and KEYS in t.until(KEYS)
    lease.close()


def test_tables_fit(wharf, tmp_path):
    """Nothing is wrapped by the terminal, and no number is broken."""
    d, lease = waiting_world(wharf)
    commands = ["ps", "devices", "queue", f"why {LONG}", "why", "lease", "status", "mode"]
    for width in (60, 80):
        for words in commands:
            with Tmux(tmp_path, f"{WHARF} {words}", width, 50, {"WHARF_URL": d.url}) as t:
                assert t.ended() == 0
                # tmux knows which lines it has broken itself: joined, there would be fewer.
                apart, joined = t.screen(), [line.rstrip() for line in t.screen("-J")]
                assert apart == joined and any(apart), (words, apart)
                if words == "ps":
                    assert any("14GiB" in line and "…" in line for line in apart), apart
                if words == "devices" and width == 60:
                    assert "no room for SETTLING, RESERVED, PEAK; --json has all" in apart, apart
    # All of it where there is no terminal.
    text = d.cli("ps", check=0).stdout
    assert LONG in text and "…" not in text
    assert "PEAK" in d.cli("devices", check=0).stdout
    lease.close()


# ---------------------------------------------------------------- bars


@pytest.mark.slice
def test_a_load_is_shown(wharf, tmp_path):
    flag = tmp_path / "go"
    d = wharf(config(slow=held(demo("slow", vram="2GiB"), flag)))
    with Tmux(tmp_path, f"{WHARF} load slow; {WHARF} unload slow", 80, 24, {"WHARF_URL": d.url}) as t:
        t.until(lambda now: now[0].startswith("slow: ") and "loading, " in now[0])
        flag.touch()
        assert t.ended() == 0
        assert [line for line in t.screen() if line] == ["slow: loaded on Sim 24G", "slow: unloaded"]
    # It is known by then how long that takes: a bar. Ctrl-C takes it away.
    flag.unlink()
    with Tmux(tmp_path, f"{WHARF} load slow", 80, 24, {"WHARF_URL": d.url}) as t:
        t.until(lambda now: re.match(r"slow: █.* \d+% loading, .* of about ", now[0]))
        t.type("C-c")
        t.ended()
        lines = t.until("no longer waiting")
        assert lines[0].removeprefix("^C").startswith("wharf: no longer waiting to load 'slow'"), lines[:3]
    flag.touch()


def test_plain_lines_without_a_terminal(wharf, tmp_path):
    flag = tmp_path / "go"
    d = wharf(config(slow=held(demo("slow", vram="2GiB"), flag)))
    env = {**d.env, "WHARF_URL": d.url}
    p = subprocess.Popen([str(WHARF), "load", "slow"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = p.stderr.readline()
    flag.touch()
    out, rest = p.communicate(timeout=SECONDS)
    assert re.fullmatch(r"wharf: slow: loading, \d+(\.\d+)?m?s\n", first), first
    assert (p.returncode, out, rest) == (0, "slow: loaded on Sim 24G\n", "")
    # With --json there is nothing but JSON.
    d.ok(d.post("/wharf/models/slow/unload"))
    flag.unlink()
    p = subprocess.Popen([str(WHARF), "load", "slow", "--json"], env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    d.until_model("slow", state="loading")
    time_s = until(lambda: d.model("slow")["operation"]["since_s"] > 1.5, "a while")
    flag.touch()
    out, rest = p.communicate(timeout=SECONDS)
    assert time_s and json.loads(out)["state"] == "loaded" and rest == ""


def test_a_mode_is_waited_for(wharf, tmp_path):
    flag = tmp_path / "go"
    c = config(slow=held(demo("slow", vram="2GiB"), flag))
    c["modes"] = {"work": {"slow": "loaded", "small": "loaded"}}
    d = wharf(c)
    with Tmux(tmp_path, f"{WHARF} mode work --wait", 80, 24, {"WHARF_URL": d.url}) as t:
        t.until("1 of 2 models; slow is loading")
        flag.touch()
        assert t.ended() == 0
        assert [line for line in t.screen() if line] == ["mode work"]


def test_a_lease_is_waited_for(wharf, tmp_path):
    d = wharf(config())
    lease = Lease(d, vram="23GiB", name="first", devices=["Sim 24G"])
    lease.until("granted")
    command = f"{WHARF} run --vram 20GiB --device 'Sim 24G' echo it runs"
    with Tmux(tmp_path, command, 80, 24, {"WHARF_URL": d.url}) as t:
        lines = t.until(lambda now: re.match(r"wharf: .*waiting, position 1", now[0]))
        lines = t.until(lambda now: re.match(r"wharf: [-/\\|] [0-9]+s waiting, position 1|wharf: [█▉▊▋▌▍▎▏ ]* \d+% waiting", now[0]))
        assert lines[1] == ""
        lease.close()
        assert t.ended() == 0
        assert [line for line in t.screen() if line] == ["it runs"]
