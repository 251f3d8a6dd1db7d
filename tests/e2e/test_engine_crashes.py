"""An engine crashes at each stage of its life, again and again: every client gets an answer, whole or
visibly cut, and the next request works.

WHARF_ENGINE_CRASHES: how many of each stage; 2 by default."""

import os
import shlex
import signal

import pytest

from wharf_harness import DEMO, Later, chat_body, content, is_alive, until

CRASHES = int(os.environ.get("WHARF_ENGINE_CRASHES", 2))


class Engine:
    """A model whose engine has, once, the fault that was asked for: flags of the demo model, or an end
    before there is an engine at all."""

    def __init__(self, wharf, tmp_path, **keys):
        self.fault = tmp_path / "fault"
        script = (f'fault="$(cat {self.fault} 2>/dev/null)"; rm -f {self.fault}; '
                  'case "$fault" in exit*) $fault;; esac; '
                  f'exec {shlex.quote(str(DEMO))} --port ${{PORT}} --name m --token-delay 5ms $fault')
        self.d = wharf({"gpus": [{"sim": {"name": "g", "memory": "8GiB"}, "sample": "20ms"}],
                        "models": {"m": {"cmd": shlex.join(["/bin/sh", "-c", script]), "vram": "4GiB",
                                         "proxy": "http://127.0.0.1:${PORT}", "maxLoadRetries": 3, **keys}}})

    def ask(self, stream=False):
        """A request's answer, and whether it was whole."""
        with self.d.connect() as c:
            c.request("POST", "/v1/chat/completions", chat_body("m", stream=stream, max_tokens=30))
            answer = c.answer()
        return answer

    def ask_both(self):
        return [Later(self.ask), Later(self.ask, True)]

    def works(self):
        """Once the crash has been seen, a matter of a millisecond; before that, one may meet what is left
        of the engine's socket, and is told so (502, to be tried again)."""
        until(lambda: (pid := self.pid()) is None or is_alive(pid), "the crash to be seen")
        assert content(self.d.ok(self.d.chat("m"))).startswith("demo-model m ")

    def pid(self):
        return self.d.model("m")["pid"]

    def unload(self):
        self.d.ok(self.d.post("/wharf/models/m/unload"))


def check(answers, statuses):
    """Each is an answer: whole and of one of these statuses, or one that began well and was visibly cut."""
    for later in answers:
        answer = later.result()
        whole = answer.complete and (answer.status in statuses)
        cut = answer.status == 200 and not answer.complete
        assert whole or cut, answer
        if answer.status != 200:
            assert answer.error["code"] and answer.error["message"], answer


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), "its end")


def spawn(e):
    """Its program ends before it is one."""
    e.unload()
    e.fault.write_text("exit 3")
    check(e.ask_both(), {200})  # it is tried again, while they wait


def load(e):
    e.unload()
    e.fault.write_text("--crash-on-load --load-time 20ms")
    check(e.ask_both(), {200})


def ready(e):
    """It serves nobody: whoever comes next finds nobody there."""
    e.works()
    kill(e.pid())
    check(e.ask_both(), {200})


def first_byte(e):
    """It has taken requests and answered nothing."""
    e.unload()
    e.fault.write_text("--hang")
    e.d.load("m")
    answers = e.ask_both()
    until(lambda: e.d.model("m")["in_flight"] >= 1, "a request at the engine")
    kill(e.pid())
    check(answers, {200, 502})


def mid_stream(e):
    e.unload()
    e.fault.write_text("--crash-after-tokens 3")
    answers = e.ask_both()
    check(answers, {200, 502})


def unload(e):
    e.unload()
    e.fault.write_text("--slow-stop 60s")
    e.d.load("m")
    pid = e.pid()
    leaving = Later(e.d.post, "/wharf/models/m/unload")
    e.d.until_model("m", state="unloading")
    answers = e.ask_both()
    kill(pid)
    assert leaving.result().status == 200
    check(answers, {200})


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stage", [spawn, load, ready, first_byte, mid_stream, unload],
                         ids=lambda s: s.__name__)
def test_every_client_gets_an_answer(wharf, tmp_path, stage):
    e = Engine(wharf, tmp_path)
    e.works()
    for _ in range(CRASHES):
        stage(e)
        e.works()
    devices = e.d.get("/wharf/devices").json()["devices"]
    assert devices[0]["foreign_bytes"] == 0
    assert len(e.d.engines()) == 1
    print(f"{stage.__name__}: {CRASHES} crashes")
