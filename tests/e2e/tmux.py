"""A terminal for tests, of any size: tmux, which draws what a program writes as a person would see it.

    with Tmux(folder, "wharf top", 80, 24, env) as t:
        t.until("QUEUE"); t.type("j", "l"); t.screen(); t.resize(200, 60); t.is_over()"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import uuid

from wharf_harness import SECONDS, until


class Shown:
    """What a terminal shows, when that is to be told."""

    def __init__(self, terminal, wanted):
        self.terminal, self.wanted = terminal, wanted

    def __str__(self):
        return f"{self.wanted} on the screen:\n" + "\n".join(self.terminal.screen())


class Tmux:
    def __init__(self, folder, command, width, height, env=None):
        program = shutil.which("tmux")
        assert program, "tmux is not installed: tools/deps test"
        self.folder = pathlib.Path(folder)
        self.name = f"wharf-{uuid.uuid4().hex}"
        self.status_path = self.folder / f"{self.name}.status"
        # What a test's processes are found by at its end is the daemon's, not this one's.
        self.env = {k: v for k, v in {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}.items()
                    if v is not None and k not in ("WHARF_TEST_ID", "TMUX", "COLUMNS", "LINES")}
        self.tmux = [program, "-L", self.name, "-f", "/dev/null", "-u"]
        # Ctrl-C is for the command: the shell lives on to say how that ended.
        script = f"trap : INT; {command}; echo $? > {shlex.quote(str(self.status_path))}; exec cat"
        self.run("new-session", "-d", "-s", "t", "-x", width, "-y", height, "sh", "-c", script)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("kill-server")

    def run(self, *words):
        done = subprocess.run([*self.tmux, *map(str, words)], env=self.env, capture_output=True, text=True,
                              timeout=SECONDS)
        assert done.returncode == 0, done
        return done.stdout

    def screen(self, *flags):
        """Its lines, without spaces at their ends."""
        return [line.rstrip() for line in self.run("capture-pane", "-p", "-t", "t", *flags).split("\n")[:-1]]

    def until(self, wanted, *flags):
        """The screen, once that text, or what a function looks for in it, is there."""
        def look():
            lines = self.screen(*flags)
            found = wanted(lines) if callable(wanted) else wanted in "\n".join(lines)
            return lines if found else None
        return until(look, Shown(self, repr(wanted)))

    def type(self, *keys):
        for key in keys:
            self.run("send-keys", "-t", "t", key)

    def resize(self, width, height):
        self.run("resize-window", "-t", "t", "-x", width, "-y", height)

    def is_over(self):
        """With which status, or None."""
        text = self.status_path.read_text().strip() if self.status_path.exists() else ""
        return int(text) if text else None

    def ended(self):
        until(lambda: self.is_over() is not None, Shown(self, "its end"))
        return self.is_over()

    def process(self, word):
        """The id of the program of that name in it."""
        pane = self.run("display-message", "-p", "-t", "t", "#{pane_pid}").strip()

        def look():
            children = pathlib.Path(f"/proc/{pane}/task/{pane}/children").read_text().split()
            named = [int(p) for p in children if word in pathlib.Path(f"/proc/{p}/cmdline").read_text()]
            return named[0] if named else None
        return until(look, f"{word} in the terminal")


def plain(line, version=None):
    """A line in which nothing depends on the clock: times, and how many spaces stand beside them."""
    line = re.sub(r"\b(\d+h)?(\d+m)?\d+(\.\d+)?m?s\b", "TIME", line)
    return re.sub(r" {2,}", "  ", line.replace(version, "VERSION") if version else line)
