"""What bash, zsh and fish offer for a line: one table of cases, which each of them has to fulfil on its
own terms."""

import json
import os
import socket
import subprocess
import time

import pytest

from shells import SHELLS, BareBash
from wharf_harness import BUILD, ROOT, SECONDS, SLOWNESS, WHARF, demo, until

# Every character that a shell has a use for. What completion does with it must not run it.
ODD = "a'b\"c $(touch pwned)`touch pwned`;&|<>*?[!]{}#~\\z"
MODELS = ["qwen", "org/llama:7b", "org/llama:8b", "my model", ODD, "über:groß"]

CONFIG = {
    "gpus": [{"sim": {"name": "left", "memory": "8GiB"}}, {"sim": {"name": "right", "memory": "8GiB"}}],
    "gates": {"mlx": {"limit": 2}, "disk io": {"limit": 1}},
    "modes": {"recording": {"qwen": "unloaded"}},
}


def config():
    models = {name: demo("m", vram="1GiB") for name in MODELS}
    engine = models["my model"].pop("cmd")
    del models["my model"]["vram"]
    models["my model"]["devices"] = {"left": {"vram": "1GiB", "cmd": engine}, "cpu": {"cmd": engine}}
    return {**CONFIG, "models": models}


CASES = [
    # Commands, and what they do not take.
    ("wharf", "lo", ["load", "logs"]),
    ("wharf", "qqq", []),
    ("wharf help", "su", ["submit", "suspend"]),
    ("wharf completion", "", ["bash", "fish", "zsh"]),
    ("wharf version", "x", []),
    # Options: those that there are, and that were not given yet.
    ("wharf queue", "", ["--help", "--json", "--key", "--url"]),
    ("wharf queue --json", "--", ["--help", "--key", "--url"]),
    ("wharf run", "--qq", []),
    ("wharf run --gate x", "--ga", ["--gate"]),
    ("wharf serve", "-watch", ["-watch-config"]),
    ("wharf run --vram", "--cl", []),
    # Words that are listed.
    ("wharf jobs", "", ["cancel", "logs", "wait"]),
    ("wharf lease", "h", ["hold"]),
    ("wharf run --class", "", ["background", "foreground", "normal"]),
    ("wharf plan", "--class=b", ["--class=background"]),
    ("wharf serve", "-watch-config=t", ["-watch-config=true"]),
    # Files.
    ("wharf check", "my", ["my file.yaml"]),
    ("wharf check", r"my\ f", ["my file.yaml"]),
    ("wharf serve --config", "my", ["my file.yaml"]),
    ("wharf serve", "--config=my", ["--config=my file.yaml"]),
    ("wharf check --config-dir", "m", ["models.d"]),
    ("wharf check", "--config-dir=m", ["--config-dir=models.d"]),
    # What the daemon has.
    ("wharf load", "", sorted(MODELS)),
    ("wharf load", "q", ["qwen"]),
    ("wharf load", "org/llama:7", ["org/llama:7b"]),
    ("wharf load", "'org/llama:7", ["org/llama:7b"]),
    ("wharf load", r"my\ m", ["my model"]),
    ("wharf load", "'my m", ["my model"]),
    ("wharf load", '"my m', ["my model"]),
    ("wharf load", "a", [ODD]),
    ("wharf load", "'a", [ODD]),
    ("wharf load", "ü", ["über:groß"]),
    ("wharf load qwen", "q", []),
    ("wharf --url x load", "q", []),
    ("wharf load --url http://127.0.0.1:1", "q", []),
    (r"wharf move my\ model", "", ["cpu", "left"]),
    ("wharf move qwen", "", []),
    ("wharf mode", "", ["idle", "recording"]),
    ("wharf run --device", "", ["left", "right"]),
    ("wharf run --gate", "", ["disk io", "mlx"]),
    ("wharf run", "--gate=d", ["--gate=disk io"]),
    ("wharf lease hold --gate", "m", ["mlx"]),
    ("wharf lease list", "", []),
    ("wharf jobs cancel", "", ["12", "7"]),
    # A command of one's own: files, its own completion, and no option of wharf's.
    ("wharf run --vram 1GiB --", "wharf-de", ["wharf-demo-model"]),
    ("wharf run --gate=mlx --wait=3 -- wharf load", "q", ["qwen"]),
    ("wharf submit --gate mlx wharf load", "my", ["my model"]),
    ("wharf run --gate mlx -- wharf serve", "--config=my", ["--config=my file.yaml"]),
    ("wharf run --gate mlx -- wharf check", "m", ["models.d", "my file.yaml"]),
]


def lease(d):
    answer = d.post("/wharf/leases", {"gates": ["mlx"], "ttl": "10m", "name": "train"})
    assert answer.status == 201, answer
    return answer.json()["lease"].partition(":")[0]


@pytest.fixture
def environment(tmp_path):
    """Of a person with two jobs on record."""
    for number, name in (("7", "train"), ("12", "evaluate")):
        folder = tmp_path / "xdg" / "wharf" / "jobs" / number
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps({"id": int(number), "state": "ended", "name": name}))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WHARF_", "XDG_", "LC_"))}
    return {**env, "PATH": f"{BUILD}:{env['PATH']}", "HOME": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8",
            "XDG_STATE_HOME": str(tmp_path / "xdg")}


@pytest.mark.parametrize("kind", SHELLS, ids=lambda kind: kind.name)
def test_completion(wharf, environment, tmp_path, kind):
    d = wharf(config())
    mark = lease(d)
    shell = kind({**environment, "WHARF_URL": d.url}, tmp_path / "shell")
    (shell.folder / "my file.yaml").write_text("")
    (shell.folder / "models.d").mkdir()
    wrong = []
    try:
        for before, typed, expected in [*CASES, ("wharf lease end", mark[:1], [mark + ":"])]:
            found = None
            # On a machine that is busy, the daemon's answer may come too late.
            for _ in range(20):
                found = sorted(word.rstrip("/") for word in shell.complete(before, typed, len(expected) < 2))
                if found == expected or not expected:
                    break
            if found != expected:
                wrong.append((before, typed, found, expected))
    finally:
        shell.close()
    assert not wrong
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("kind", SHELLS, ids=lambda kind: kind.name)
def test_without_a_daemon(environment, tmp_path, kind):
    shell = kind({**environment, "WHARF_URL": "http://127.0.0.1:1"}, tmp_path / "shell")
    try:
        assert shell.complete("wharf load", "q", True) == []
        assert shell.complete("wharf", "lo", False) == ["load", "logs"]
    finally:
        shell.close()


def test_bash_alone(environment, tmp_path):
    shell = BareBash({**environment, "WHARF_URL": "http://127.0.0.1:1"}, tmp_path / "shell")
    (shell.folder / "my file.yaml").write_text("")
    try:
        assert shell.complete("wharf run --gate mlx --", "wharf-de", True) == ["wharf-demo-model"]
        assert shell.complete("wharf run --gate=mlx -- cat", "my", True) == ["my file.yaml"]
        assert shell.complete("wharf run --gate mlx -- cat 'a b'", "my", True) == ["my file.yaml"]
        assert shell.complete("wharf plan", "--class=b", True) == ["--class=background"]
    finally:
        shell.close()


def complete(*words, url="http://127.0.0.1:1", **more):
    env = {**os.environ, "WHARF_URL": url, **more}
    run = subprocess.run([str(WHARF), "__complete", *words], env=env, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=SECONDS)
    assert run.stderr == ""
    return run


@pytest.mark.slice
@pytest.mark.parametrize("words, out", [
    (["zsh", "jobs", "c"], "word\tlogs\nword\tcancel\nword\twait\n"),
    (["fish", "check", ""], "file\n"),
    (["zsh", "check", "--config-dir", ""], "folder\n"),
    (["zsh", "run", "--gate", "x", "--", "ls", "-"], "command\t4\n"),
    (["fish", "run", "ls", ""], "command\t1\n"),
    (["bash", " :=", "wharf run --gate x -- ls 'a b"], "command\tls 'a b\n"),
    (["bash", " :=", "wharf jobs c"], "word\tcancel\n"),
    (["bash", " :=", "wharf pl"], "word\tplan\n"),
    (["bash", " :=", "wharf"], ""),
    (["bash", " :=", ""], ""),
    (["bash", " :=", "wharf load --nonsense --url"], ""),
    (["bash", " :=", "wharf load q"], ""),
    (["zsh", "load", "--url=ftp://x", ""], ""),
])
def test_what_a_shell_is_told(words, out):
    run = complete(*words)
    assert (run.returncode, run.stdout) == (0, out)


@pytest.mark.parametrize("words", [[], ["zsh"], ["bash"], ["bash", " "], ["tcsh", "x"]])
def test_no_question(words):
    run = complete(*words)
    assert (run.returncode, run.stdout) == (2, "")


@pytest.mark.slice
def test_names_that_would_break_the_lines(wharf):
    d = wharf({"models": {"good": demo("m")}})
    assert complete("zsh", "load", "", url=d.url).stdout == "word\tgood\tunloaded\n"
    # What no configuration has, a stranger may answer.
    body = json.dumps({"models": [{"id": "a\nword\tb"}, {"id": 7}, {}, "plain", {"id": "c", "state": "x\ty"}]})
    with socket.create_server(("127.0.0.1", 0)) as server:
        env = {**os.environ, "WHARF_URL": "http://127.0.0.1:%d" % server.getsockname()[1]}
        process = subprocess.Popen([str(WHARF), "__complete", "zsh", "load", ""], env=env, text=True,
                                   stdout=subprocess.PIPE)
        connection, _ = server.accept()
        with connection:
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body.encode())
            assert process.communicate(timeout=SECONDS)[0] == "word\tplain\nword\tc\n"


def test_a_daemon_that_does_not_answer():
    """Is given up; a person waits for the key."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = "http://127.0.0.1:%d" % silent.getsockname()[1]

        def ask():
            started = time.monotonic()
            run = complete("zsh", "load", "", url=url)
            assert (run.returncode, run.stdout) == (0, "")
            return time.monotonic() - started
        until(lambda: ask() < 0.3 * SLOWNESS, "an end within 0.3 s")


@pytest.mark.slice
@pytest.mark.parametrize("shell, name", [("bash", "wharf.bash"), ("zsh", "_wharf"), ("fish", "wharf.fish")])
def test_the_scripts(shell, name):
    run = subprocess.run([str(WHARF), "completion", shell], capture_output=True, text=True, timeout=SECONDS)
    assert (run.returncode, run.stdout) == (0, (ROOT / "src/cli/shell" / name).read_text())
