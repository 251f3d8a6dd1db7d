"""Real shells that are asked what may come next on a line: each gets the keys that a person would
press, or the shell's own command for it, and says which words the line would then end with.

complete(before, typed, alone) is asked at the end of a line whose last word is `typed`. It returns the words
that may take its place: without quotes, as a program would get them. alone: there is one at most, and the key
is Tab."""

import os
import pathlib
import pty
import shutil
import signal
import subprocess
import threading

from wharf_harness import SECONDS, until

BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"


def needed(program):
    """Its path. Debian's package of that name is one that tools/deps installs for the tests."""
    path = shutil.which(program)
    assert path, f"{program} is not installed: tools/deps test"
    return path


class Terminal:
    """A shell on a terminal of its own. It puts what it was asked for into files."""

    def __init__(self, command, env, folder):
        self.folder = pathlib.Path(folder)
        self.count = 0
        self.shown = b""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execve(command[0], command, env)
        self.pid = pid
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # its end: the other side is closed
                return
            if not data:
                return
            self.shown += data

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def take(self):
        """The next of its answers, which are numbered."""
        path = self.folder / f"answer.{self.count}"
        self.count += 1
        until(path.exists, lambda: f"an answer; the terminal shows {self.shown.decode(errors='replace')[-2000:]}")
        return path.read_bytes()

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.reader.join(SECONDS)
        os.close(self.fd)


class OnTerminal:
    """What bash and zsh have in common: Ctrl-X a puts all that there is on the line, Ctrl-X d says the
    words of the line, separated by NULs, and empties it."""

    def __init__(self, command, setup, env, folder):
        folder.mkdir()
        self.folder = folder
        (folder / "setup").write_text(setup)
        self.terminal = Terminal(command, env, folder)
        self.terminal.type(" . ./setup\r")
        self.terminal.take()

    def complete(self, before, typed, alone):
        kept = len(self.words(before))
        if not alone:
            return self.words(f"{before} {typed}\x18a")[kept:]
        plain, after = self.words(f"{before} {typed}"), self.words(f"{before} {typed}\t")
        return [] if after == plain else after[kept:]

    def words(self, keys):
        """Those of the line that comes of the keys."""
        self.terminal.type(f"{keys}\x18d")
        return self.terminal.take().decode().split("\0")[:-1]

    def close(self):
        self.terminal.close()


SAY = """
number=0
say() { printf '%s\\0' "$@" > new && mv new answer.$number; number=$((number + 1)); }
"""


class Bash(OnTerminal):
    name = "bash"
    package = BASH_COMPLETION

    def __init__(self, env, folder):
        bash = needed("bash")
        assert os.path.exists(self.package), "bash-completion is not installed: tools/deps test"
        super().__init__([bash, "--noprofile", "--norc", "-i"], SAY + f"""
            HISTFILE=
            . {self.package}
            . <(wharf completion bash)
            dump() {{ local words; eval "words=($READLINE_LINE)"; READLINE_LINE=; say "${{words[@]}}"; }}
            bind '"\\C-xa": insert-completions'
            bind -x '"\\C-xd": dump'
            say ready
            """, env, folder)


class BareBash(Bash):
    """Without the package that knows how other programs' words are completed."""
    package = os.devnull


class Zsh(OnTerminal):
    name = "zsh"

    def __init__(self, env, folder):
        super().__init__([needed("zsh"), "-f", "-i"], SAY + """
            unsetopt zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste
            autoload -Uz compinit && compinit -u -D
            . <(wharf completion zsh)
            insert_all() { compstate[insert]=all }
            complete_all() { comppostfuncs=(insert_all); _main_complete }
            zle -C complete-all complete-word complete_all
            dump() { say "${(@Q)${(z)BUFFER}}"; BUFFER= }
            zle -N dump
            bindkey '^Xa' complete-all
            bindkey '^Xd' dump
            say ready
            """, env, folder)


class Fish:
    name = "fish"

    def __init__(self, env, folder):
        folder.mkdir()
        self.folder, self.env, self.fish = folder, env, needed("fish")

    def complete(self, before, typed, alone):
        run = subprocess.run(
            [self.fish, "--no-config", "-c", "wharf completion fish | source; complete -C $argv[1]",
             f"{before} {typed}"],
            env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=SECONDS)
        assert (run.returncode, run.stderr) == (0, ""), run
        return [found.split("\t")[0] for found in run.stdout.splitlines()]

    def close(self):
        pass


SHELLS = [Bash, Zsh, Fish]
