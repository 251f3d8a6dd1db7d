"""llama-swap's command line (behaviour 1.1), by its name and by `wharf serve`."""

import os
import re
import socket
import subprocess

import pytest

from wharf_harness import ROOT, SECONDS, WHARF, demo, models, until

CONFIG = "models:\n  m:\n    cmd: x --port ${PORT}\n"


@pytest.fixture
def link(tmp_path):
    path = tmp_path / "bin" / "llama-swap"
    path.parent.mkdir()
    path.symlink_to(WHARF)
    return path


def run(*words, cwd=None, env=None):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=SECONDS,
                          stdin=subprocess.DEVNULL, cwd=cwd, env={**os.environ, **(env or {})})


# ---------------------------------------------------------------- 1.1 flags

# Each row: arguments; the status of llama-swap; the status of wharf serve; what stderr says.
REFUSED = {
    "no flag at all": ([], 1, 2, "--config FILE is missing"),
    "positional arguments are no configuration":
        (["config.yaml"], 1, 2, "--config FILE is missing|unexpected 'config.yaml'"),
    "a flag behind a positional argument": (["x", "-config", "config.yaml"], 1, 2,
                                            "--config FILE is missing|unexpected 'x'"),
    "unknown flag": (["-bogus"], 2, 2, "unknown option '-bogus'"),
    "unknown flag, near": (["-confg", "x"], 2, 2, "did you mean '-config'"),
    "letters in a row": (["-cx"], 2, 2, "unknown option '-cx'"),
    "three dashes": (["---config", "x"], 2, 2, "unknown option '---config'"),
    "value forgotten": (["-config"], 2, 2, "--config needs a value"),
    "value forgotten before a flag": (["-config", "-watch-config"], 2, 2, "--config needs a value"),
    "bad bool": (["-watch-config=maybe"], 2, 2, "neither true nor false"),
    "bad listen": (["-config", "config.yaml", "-listen", "here"], 1, 2, "neither HOST:PORT nor"),
    "only a certificate": (["-config", "config.yaml", "-tls-cert-file", "c"], 1, 2,
                           "--tls-key-file is missing"),
    "only a key": (["-config", "config.yaml", "-tls-key-file=k"], 1, 2,
                   "--tls-cert-file is missing"),
    "no such file": (["-config", "none.yaml"], 1, 2, r"none\.yaml: error: cannot be opened"),
    "a file with errors": (["-config", "bad.yaml"], 1, 2, r"bad\.yaml:1:12: error: "),
    "no such folder": (["-config-dir", "none"], 1, 2, "none: error: the folder cannot be read"),
    "an empty folder": (["-config-dir", "empty"], 1, 2, "empty: error: no configuration is here"),
    "a file that is in the folder": (["-config", "dir/a.yaml", "-config-dir", "dir"], 1, 2,
                                     "is in this folder and named besides"),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "bad.yaml").write_text("startPort: zero\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "a.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize("name", REFUSED)
def test_refused(link, folder, name):
    words, as_link, as_serve, message = REFUSED[name]
    for command, status in [([link], as_link), ([WHARF, "serve"], as_serve)]:
        done = run(*command, *words, cwd=folder)
        assert (done.returncode, done.stdout) == (status, ""), done
        assert re.search(message, done.stderr), done.stderr


# In order: llama-swap looks at -version before it looks for a configuration.
@pytest.mark.parametrize("words", [["-version"], ["--version"], ["-version=true"],
                                   ["-listen", "nonsense", "-version"]])
def test_version(link, words):
    for command in [[link], [WHARF, "serve"]]:
        done = run(*command, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"version: \S+ \(\S+\), built at \S+\n", done.stdout)


@pytest.mark.parametrize("word", ["-h", "-help", "--help"])
def test_help(link, word):
    for command in [[link], [WHARF, "serve"]]:
        done = run(*command, word)
        assert (done.returncode, done.stderr) == (0, "")
        for flag in "config config-dir listen tls-cert-file tls-key-file watch-config version".split():
            assert f"--{flag}" in done.stdout


@pytest.mark.parametrize("words", [["ps", "-json"], ["check", "-print", "x"], ["events", "-count=3"]])
def test_one_dash_elsewhere_says_that_two_are_needed(words):
    done = run(WHARF, *words)
    assert done.returncode == 2
    assert "needs two dashes: --" in done.stderr


# What is accepted, and with it the configuration: "CONFIG" and "DIR" stand for paths.
ACCEPTED = {
    "one dash": ["-config", "CONFIG", "-listen", "127.0.0.1:0"],
    "two dashes": ["--config", "CONFIG", "--listen", "127.0.0.1:0"],
    "equals": ["-config=CONFIG", "--listen=127.0.0.1:0"],
    "bools with values": ["-watch-config=true", "-version=false", "-config", "CONFIG",
                          "-listen", "127.0.0.1:0"],
    "the folder alone": ["-config-dir", "DIR", "-listen", "127.0.0.1:0"],
    "both": ["-config", "CONFIG", "-config-dir", "DIR", "-listen", "127.0.0.1:0"],
}
LINK_ONLY = {
    "the last one counts": ["-listen", "127.0.0.1:1", "-config", "none", "-config", "CONFIG",
                            "-listen", "127.0.0.1:0"],
    "empty values are none": ["-config", "CONFIG", "-config-dir", "", "-state=",
                              "-tls-cert-file=", "-tls-key-file=", "-listen", "127.0.0.1:0"],
    "what follows is ignored": ["-config", "CONFIG", "-listen", "127.0.0.1:0", "more", "-bogus"],
}


@pytest.mark.parametrize("called,name", [("serve", n) for n in ACCEPTED] +
                         [("link", n) for n in [*ACCEPTED, *LINK_ONLY]])
def test_accepted(wharf, link, tmp_path, called, name):
    places = {"CONFIG": str(tmp_path / "daemon1" / "wharf.yaml"), "DIR": str(tmp_path / "dir")}
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "b.yml").write_text("models: {n: {cmd: 'x ${PORT}'}}\n")
    words = {**ACCEPTED, **LINK_ONLY}[name]
    for place, path in places.items():
        words = [w.replace(place, path) for w in words]
    program = [str(link)] if called == "link" else [str(WHARF), "serve"]
    # The harness puts its own options last, behind what Go would ignore.
    if name == "what follows is ignored":
        words = ["-state", str(tmp_path / "daemon1" / "state"), *words]
    d = wharf(models("m"), command=[*program, *words], listen=None)
    ids = [m["id"] for m in d.get("/v1/models").json()["data"]]
    assert ids == {"the folder alone": ["n"], "both": ["m", "n"]}.get(name, ["m"])
    assert d.address[1] != 1
    assert ("watching the configuration" in d.stderr) == (name == "bools with values")


# ---------------------------------------------------------------- the name


def outputs(program, tmp_path, listen, text=CONFIG):
    """(stdout, stderr) of a daemon from its start to its end."""
    config, state = tmp_path / "c.yaml", tmp_path / "state"
    config.write_text(text)
    with open(tmp_path / "out", "w+") as out, open(tmp_path / "err", "w+") as err:
        process = subprocess.Popen([*map(str, program), "-config", config, "-listen", listen,
                                    "-state", state], stdout=out, stderr=err,
                                   stdin=subprocess.DEVNULL,
                                   env={**os.environ, "WHARF_CGROUP": "off"})
        try:
            until(lambda: (state / "listen").exists(), "the file listen")
        finally:
            process.terminate()
            assert process.wait(SECONDS) == 0
        return [(tmp_path / name).read_text() for name in ("out", "err")]


def test_it_warns_of_all_interfaces(link, tmp_path):
    """Where llama-swap has an informational line."""
    log, _ = outputs([link], tmp_path, ":0")
    assert re.search(r"warn .*listening on \S+, which other machines can reach", log)


# Whose log goes where: by the name, by logToStdout: stdout, stderr, or nowhere.
@pytest.mark.parametrize("called,to_stdout,where", [
    ("llama-swap", None, "out"), ("llama-swap", "proxy", "out"), ("llama-swap", "both", "out"),
    ("llama-swap", "upstream", None), ("llama-swap", "none", None),
    ("serve", None, "err"), ("serve", "proxy", "out"), ("serve", "both", "out"),
    ("serve", "upstream", None), ("serve", "none", None),
])
def test_where_the_log_goes(link, tmp_path, called, to_stdout, where):
    program = [link] if called == "llama-swap" else [WHARF, "serve"]
    setting = f"logToStdout: {to_stdout}\n" if to_stdout else ""
    out, err = outputs(program, tmp_path, "127.0.0.1:0", CONFIG + setting)
    assert ("listening on" in out, "listening on" in err) == (where == "out", where == "err")
    assert (out == "") == (where != "out") and (err == "") == (where != "err")


@pytest.mark.parametrize("called,address", [("llama-swap", r"(\[::\]|0\.0\.0\.0|):8080"),
                                            ("serve", r"127\.0\.0\.1:8080")])
def test_where_it_listens_by_default(link, folder, called, address):
    """The port is taken, by us or by somebody else, so that it says which one it wanted."""
    program = [link] if called == "llama-swap" else [WHARF, "serve"]
    takers = []
    for family, host in [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]:
        s = socket.socket(family)
        takers.append(s)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            s.bind((host, 8080))
            s.listen()
        except OSError:
            pass
    try:
        done = run(*program, "-config", "config.yaml", "-state", "state", cwd=folder,
                   env={"WHARF_CGROUP": "off"})
    finally:
        for s in takers:
            s.close()
    assert done.returncode == 1
    assert re.search(rf"cannot start: cannot listen on {address}: address already in use",
                     done.stderr), done


def test_the_configurations_own_address_holds(wharf, link, tmp_path):
    d = wharf({**models("m"), "listen": ["127.0.0.1:0"]}, listen=None,
              command=[str(link), "-config", str(tmp_path / "daemon1" / "wharf.yaml")])
    assert d.addresses[0].startswith("127.0.0.1:")


def test_it_serves(wharf, link, tmp_path):
    d = wharf({"models": {"m": demo("m")}},
              command=[str(link), "-config", str(tmp_path / "daemon1" / "wharf.yaml")])
    d.ok(d.chat("m"))
    told = d.get("/api/version").json()
    assert run(link, "-version").stdout == \
        f"version: {told['version']} ({told['commit']}), built at {told['build_date']}\n"


# ---------------------------------------------------------------- the link


def install_link(bin_folder):
    return run(ROOT / "tools" / "install-link", "bin",
               env={"MESON_INSTALL_DESTDIR_PREFIX": str(bin_folder.parent)})


def test_the_link_is_installed(tmp_path):
    (tmp_path / "bin").mkdir()
    for _ in range(2):
        done = install_link(tmp_path / "bin")
        assert (done.returncode, done.stderr) == (0, "")
        assert os.readlink(tmp_path / "bin" / "llama-swap") == "wharf"


@pytest.mark.parametrize("what", ["a program", "a link elsewhere", "a dangling link"])
def test_what_is_there_stays(tmp_path, what):
    (tmp_path / "bin").mkdir()
    there = tmp_path / "bin" / "llama-swap"
    if what == "a program":
        there.write_text("the real one")
    else:
        there.symlink_to("/bin/sh" if what == "a link elsewhere" else "/nowhere")
    def look():
        st = os.lstat(there)  # the time at which it was read may change
        return st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns

    before = look()
    done = install_link(tmp_path / "bin")
    assert done.returncode == 0 and "left alone" in done.stderr
    assert look() == before
