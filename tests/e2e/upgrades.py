"""Another program in the daemon's place, for tests:

    upgrade(d)            asks for it over HTTP, and has its answer: from, to, running
    drainers(d)           processes of earlier programs that finish what those had begun
    Stream(d, "m")        a streamed chat of which the test reads event by event
"""

import contextlib
import json
import os
import pathlib

from wharf_harness import SECONDS, chat_body, is_alive, until

NAME = "wharf-drainer"


def upgrade(d, headers=None):
    answer = d.ask("POST", "/wharf/upgrade", b"", headers, seconds=3 * SECONDS)
    assert answer.status == 200, f"{answer}\n{d.stderr[-3000:]}"
    assert d.process.poll() is None, "the process itself goes on"
    return answer.json()


def name_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def drainers(d):
    return [pid for pid in d.everything() if name_of(pid) == NAME]


def until_drained(d):
    """All have ended, and been reaped."""
    until(lambda: not drainers(d), "the end of what earlier programs had begun")
    until(lambda: not zombies(d), "the end of the ended")


def zombies(d):
    found = []
    for pid in pathlib.Path(f"/proc/{d.pid}/task/{d.pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if not is_alive(int(pid)):
                found.append(int(pid))
    return found


def descriptors(pid):
    """What each open one is: {number: target}."""
    found = {}
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found[int(entry)] = os.readlink(f"/proc/{pid}/fd/{entry}")
    return found


def kinds(pid):
    """Descriptors without the numbers that differ from one to another of a kind, nor the processes
    that it happens to look at."""
    return sorted(t.partition(":[")[0] for t in descriptors(pid).values() if not t.startswith("/proc"))


class Stream:
    """A streamed chat; each event's data as it comes, and all bytes of the answer's body."""

    def __init__(self, d, model, text="hello", connection=None, headers=None, **keys):
        self.connection = connection or d.connect(seconds=3 * SECONDS)
        self.connection.request("POST", "/v1/chat/completions", chat_body(model, text, stream=True, **keys), headers)
        self.answer = None
        self.text = ""

    def head(self):
        self.answer = self.connection.head()
        assert self.answer.status == 200, self.answer
        self.events = self.connection.sse(self.answer)
        return self

    def next(self):
        """The text of the next event that has one."""
        for event in self.events:
            if event.get("data", "[DONE]") == "[DONE]":
                continue
            word = (json.loads(event["data"]).get("choices") or [{"delta": {}}])[0]["delta"].get("content")
            if word:
                self.text += word
                return word
        return None

    def rest(self):
        """To its proper end: the whole text."""
        if self.answer is None:
            self.head()
        while self.next() is not None:
            pass
        assert self.answer.complete
        return self.text
