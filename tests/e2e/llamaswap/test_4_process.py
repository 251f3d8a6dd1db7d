"""Keys of a model at work (behaviour 2.7, 2.8) and the life of its process (4.2 to 4.6), as far as
tests of all of wharf do not say it."""

import datetime
import os
import threading

import pytest

from wharf_harness import DEMO, SECONDS, chat_body, command_line, demo, held, is_alive, until

# What loads and cannot be started: the model, and what its clients are told.
CANNOT_START = {
    "no cmd": ({"proxy": "http://127.0.0.1:9"}, "cmd"),
    "a cmd of comments": ({"cmd": "# nothing\n", "proxy": "http://127.0.0.1:9"}, "cmd"),
    "an empty proxy": ({"cmd": "sleep 3600", "proxy": ""}, "proxy"),
    "a program that is not there": ({"cmd": "no-such-program ${PORT}"}, "no-such-program"),
}


@pytest.mark.parametrize("name", CANNOT_START)
def test_what_cannot_be_started(wharf, name):
    model, clue = CANNOT_START[name]
    d = wharf({"models": {"m": model, "n": demo("n")}})
    answer = d.chat("m")
    assert (answer.status, answer.error["code"]) == (502, "load_failed"), answer
    assert clue in answer.message, answer.message
    d.ok(d.chat("n"))


def test_the_program_is_looked_for_in_the_path(wharf, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "engine-of-mine").symlink_to(DEMO)
    d = wharf({"models": {"m": {"cmd": "engine-of-mine --port ${PORT} --name m"}}},
              env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    assert command_line(d.load("m")["pid"])[0] == "engine-of-mine"


def test_cmd_stop_is_split_as_cmd_is(wharf, tmp_path):
    note = tmp_path / "a note"
    d = wharf({"models": {"m": demo("m", env=["WHERE=here"], cmdStop=(
        "# first a comment\n"
        "/bin/sh -c \\\n"
        "  'echo \"$WHERE $1\" >\"$2\"; kill -TERM $1' sh ${PID} '%s'\n" % note))}})
    pid = d.load("m")["pid"]
    d.ok(d.post("/wharf/models/m/unload"))
    assert note.read_text() == f"here {pid}\n"


def test_a_cmd_stop_that_does_not_end(wharf, tmp_path):
    """The model is killed when its time is over, and the command with it."""
    note = tmp_path / "pid"
    d = wharf({"models": {"m": demo("m", unloadTimeout=1, cmdStop=(
        f"/bin/sh -c 'echo $$ >{note}; exec sleep 3600' ${{PID}}"))}})
    pid = d.load("m")["pid"]
    d.ok(d.post("/wharf/models/m/unload"))
    assert not is_alive(pid)
    until(lambda: not is_alive(int(note.read_text())), "the end of the command")


def time_of(event):
    return datetime.datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_model_whose_client_left_stays_for_its_ttl(wharf, tmp_path):
    """It counts from when the model became ready, not from its last use long ago."""
    flag = tmp_path / "flag"
    d = wharf({"models": {"m": held(demo("m", ttl=2), flag)}})
    events = d.events()
    with d.connect() as c:
        c.request("POST", "/v1/chat/completions", chat_body("m"))
        events.wait_for("model_loading", model="m")
    d.until_model("m", waiting=0)
    flag.touch()
    loaded = events.wait_for("model_loaded", model="m")
    left = events.wait_for("idle_unload", model="m")
    assert time_of(left) - time_of(loaded) >= datetime.timedelta(seconds=1.9)


def test_output_of_both_kinds_is_one_log(wharf):
    d = wharf({"models": {"m": {"cmd": "/bin/sh -c 'echo out; echo err >&2; pwd; exec %s'" % demo("m")["cmd"]}}})
    pid = d.load("m")["pid"]
    assert os.readlink(f"/proc/{pid}/cwd") == os.getcwd()
    text = d.ok(d.get("/logs/stream/m?no-follow")).text
    assert text.startswith(f"out\nerr\n{os.getcwd()}\n")


def test_kept_connections_end_with_their_model(wharf, upstream):
    """By itself an idle one would stay for 4 s."""
    ended = threading.Event()

    def script(peer, _):
        peer.request()
        peer.answer("{}")
        if peer.is_closed():
            ended.set()

    d = wharf({"models": {"m": upstream(script).model()}})
    d.ok(d.chat("m"))
    assert not ended.is_set()
    d.ok(d.post("/wharf/models/m/unload"))
    assert ended.wait(min(SECONDS, 2))
