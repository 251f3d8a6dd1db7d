"""The two programs that are compared: each runs the same configuration, on ports of its own, and is
started with llama-swap's own flags."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess

from cases import CONFIGS
from wharf_harness import (SECONDS, WHARF, Connection, Daemon, is_alive, processes_with, reserve_ports,
                           until)


def link_wharf(folder):
    """wharf under llama-swap's name."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    link = folder / "llama-swap"
    link.symlink_to(WHARF)
    return link


class Wharf:
    """wharf under that name; what every daemon of the tests has to keep to, it keeps to."""

    def __init__(self, folder, config):
        link = link_wharf(folder)
        self.daemon = Daemon(folder, config,
                             command=[str(link), "-config", str(link.parent / "wharf.yaml")])
        self.address, self.start_port = self.daemon.address, self.daemon.start_port

    def finish(self):
        self.daemon.finish()


class LlamaSwap:
    """The program at that path, of which nothing is known but llama-swap's flags."""

    def __init__(self, program, folder, config):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True)
        self.start_port, self.ports = reserve_ports()
        # The last of the ports that are reserved; models take the first.
        self.address = ("127.0.0.1", self.start_port + 19)
        path = folder / "config.yaml"
        # JSON is YAML. `state` is wharf's own, for when that is the program, and else ignored.
        path.write_text(json.dumps({"startPort": self.start_port, "state": str(folder / "state"),
                                    **config}))
        self.log = open(folder / "log", "wb")
        self.mark = f"WHARF_TEST_ID=differential-{self.start_port}"
        self.process = subprocess.Popen(
            [str(program), "-config", str(path), "-listen", "%s:%d" % self.address],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, "WHARF_TEST_ID": self.mark.partition("=")[2], "WHARF_CGROUP": "off"})
        try:
            until(self.is_up, "llama-swap that answers", 3 * SECONDS)
        except AssertionError:
            self.end()
            raise

    def is_up(self):
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()[-2000:]
        with contextlib.suppress(OSError), Connection(self.address) as c:
            return c.ask("GET", "/health").status == 200
        return False

    def finish(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(4 * SECONDS)
        finally:
            text = self.end()
        assert status == 0, f"exit status {status}: {text[-2000:]}"

    def end(self):
        """Ends what is left of it, and returns what it has logged."""
        for pid in [p for p in processes_with(self.mark) if is_alive(p) and p != os.getpid()]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        self.log.close()
        self.ports.close()
        return pathlib.Path(self.log.name).read_text(errors="replace")


class Pairs:
    """Both sides, a pair for each configuration, started when it is first needed."""

    def __init__(self, folder, left, right, change=lambda config: config):
        """change(config) is what the right side gets."""
        self.folder, self.programs, self.change, self.running = folder, (left, right), change, {}

    def pair(self, name):
        if name not in self.running:
            config = CONFIGS[name]
            sides = []
            self.running[name] = sides
            for where, program, given in (("left", self.programs[0], config),
                                          ("right", self.programs[1], self.change(config))):
                sides.append(program(self.folder / f"{name}-{where}", given))
        return self.running[name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        problems = []
        for sides in self.running.values():
            for side in sides:
                try:
                    side.finish()
                except (AssertionError, OSError, subprocess.SubprocessError) as e:
                    problems.append(str(e))
        assert not problems, "\n".join(problems)
