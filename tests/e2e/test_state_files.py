"""What wharf finds in its state folder at the start: files that others may open are closed, those that
others may have made are refused, and it writes through no link."""

import os
import pathlib
import shutil
import stat
import subprocess

import pytest

from wharf_harness import SECONDS, demo, models, until

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
NOBODY = 65534


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def stopped(wharf):
    """A daemon that has left files of all kinds behind."""
    d = wharf(models("m"))
    d.ok(d.chat("m"))
    d.stop()
    return d


def refusal(d):
    """What it says when it does not start."""
    before = len(d.stderr)
    d.start(wait=False)
    assert d.process.wait(SECONDS) == 1, d.stderr
    d.stopped_on_purpose = True
    lines = [line for line in d.stderr[before:].splitlines() if "cannot start: " in line]
    assert len(lines) == 1, d.stderr
    return lines[0]


@pytest.mark.slice
def test_what_others_could_open_is_closed(stopped):
    d = stopped
    lax = [d.state / name for name in ("lock", "records", "instance-id", "wharf.sqlite", "logs/m.log")]
    for path in lax:
        path.chmod(0o664)
    for folder in (d.state, d.state / "logs"):
        folder.chmod(0o775)
    d.start()
    for path in lax:
        assert mode(path) == 0o600, path
        assert f"others could open {path} (mode 0664)" in d.stderr
    for folder in (d.state, d.state / "logs"):
        assert mode(folder) == 0o755 and f"others could write in {folder} (mode 0775)" in d.stderr
    d.ok(d.chat("m"))
    assert mode(d.state / "listen") == 0o600
    d.stop()
    before = len(d.stderr)
    d.start()
    assert "others" not in d.stderr[before:]


def test_a_folder_for_everybody_is_not_wharfs(stopped):
    stopped.state.chmod(0o1777)
    assert "is a folder for several users (mode 1777)" in refusal(stopped)
    assert mode(stopped.state) == 0o777 | stat.S_ISVTX, "nor is it changed"


@AS_ROOT
@pytest.mark.parametrize("name", [".", "logs", "instance-id", "records", "wharf.sqlite", "logs/m.log", "lock"])
def test_what_belongs_to_another_user_is_refused(stopped, name):
    path = stopped.state / name
    os.chown(path, NOBODY, NOBODY)
    line = refusal(stopped)
    assert f"{path} belongs to user {NOBODY}" in line
    os.chown(path, 0, 0)


@pytest.mark.slice
@pytest.mark.parametrize("name", ["instance-id", "records", "wharf.sqlite", "logs/m.log", "lock", "listen.new"])
def test_nothing_is_written_through_a_link(stopped, tmp_path, name):
    """What it leads to could be anybody's."""
    precious, path = tmp_path / "precious", stopped.state / name
    precious.write_text("precious")
    path.unlink(missing_ok=True)
    path.symlink_to(precious)
    assert f"{path} is a symbolic link" in refusal(stopped)
    assert precious.read_text() == "precious"


def test_a_link_that_comes_later_is_not_written_through(wharf, tmp_path):
    d = wharf(models("m"))
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (d.state / "logs" / "m.log").symlink_to(precious)
    d.ok(d.chat("m"))  # without a log
    assert d.get("/logs/stream/m?no-follow").status == 500
    assert precious.read_text() == "precious"
    d.stop()


def test_the_folder_of_logs_may_be_elsewhere(stopped, tmp_path):
    shutil.move(stopped.state / "logs", tmp_path / "elsewhere")
    (stopped.state / "logs").symlink_to(tmp_path / "elsewhere")
    stopped.start()
    stopped.ok(stopped.chat("m"))
    assert (tmp_path / "elsewhere" / "m.log").stat().st_size


def test_a_folder_above_that_others_may_write_is_told(wharf, tmp_path):
    above = tmp_path / "daemon1"
    d = wharf(models("m"))
    assert "in which the state directory is" not in d.stderr
    d.stop()
    above.chmod(0o777)
    d.start()
    assert f"{above}, in which the state directory is, can be written by every user" in d.stderr
    above.chmod(0o755)


@AS_ROOT
def test_a_volume_of_roots_that_all_may_write_is_told(tmp_path):
    """As containers are given, in which nobody else is."""
    from wharf_harness import WHARF
    folder = pathlib.Path(f"/tmp/wharf-volume-{os.getpid()}")
    folder.mkdir()
    folder.chmod(0o777)
    config = folder / "wharf.yaml"
    config.write_text("{}")
    with open(tmp_path / "stderr", "wb") as err:
        p = subprocess.Popen([WHARF, "serve", "--config", config, "--state", folder, "--listen", "127.0.0.1:0"],
                             user=NOBODY, group=NOBODY, extra_groups=[], stdin=subprocess.DEVNULL, stderr=err, cwd="/",
                             env={"WHARF_CGROUP": "off", "WHARF_NVML": "no-such-library.so",
                                  "WHARF_GPU_ROOT": str(folder)})
    try:
        until(lambda: (folder / "listen").exists(), "the start")
        text = (tmp_path / "stderr").read_text()
        assert f"other users may write in {folder} (mode 0777)" in text
    finally:
        p.terminate()
        p.wait(SECONDS)
        shutil.rmtree(folder)


# ---------------------------------------------------------------- unix sockets


def test_a_socket_where_everybody_may_write_is_told(wharf, tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    d = wharf({"models": {"m": demo("m")}}, listen=["127.0.0.1:0", f"unix:{folder}/s"])
    assert f"every user may write in {folder}" in d.stderr
    assert mode(folder / "s") == 0o600
    d.stop()
    folder.chmod(0o1777)
    before = len(d.stderr)
    d.start()
    assert "every user may write" not in d.stderr[before:]


def test_a_history_that_others_may_read_is_told(wharf, tmp_path):
    """It may be meant so: another program reads it too."""
    path = tmp_path / "history.sqlite"
    d = wharf({"store": {"path": str(path)}, **models("m")})
    assert mode(path) == 0o600 and "other users" not in d.stderr
    d.stop()
    path.chmod(0o644)
    d.start()
    assert f"{path} can be read by other users (mode 0644)" in d.stderr and mode(path) == 0o644
    d.stop()
    path.chmod(0o622)
    d.start()
    assert f"{path} can be changed by other users (mode 0622" in d.stderr
