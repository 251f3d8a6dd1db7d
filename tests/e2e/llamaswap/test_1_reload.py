"""Reloads (behaviour 1.3 and 1.4): SIGHUP, -watch-config on a file, on a folder, and on modelsDir.

Each change is waited for by its event. That nothing comes of a change is seen by making another one
behind it: it would have come first."""

import json
import os
import signal

import pytest

from wharf_harness import DEMO, Later, chat_body, content, demo, models

TEMPLATE = f'{DEMO} --port ${{PORT}} --name "${{MODEL_FILE}}"'


@pytest.fixture
def watched(wharf):
    def start(config, *args, **options):
        return wharf(config, args=["-watch-config", *args], **options)

    return start


def ids(daemon):
    return [m["id"] for m in daemon.get("/v1/models").json()["data"]]


def text(*names):
    return json.dumps(models(*names))


# ---------------------------------------------------------------- one file


def write_in_place(path, content):
    path.write_text(content)


def rename_over(path, content):
    """As most editors do, and the harness."""
    new = path.with_name("new~")
    new.write_text(content)
    new.rename(path)


def backup_and_write(path, content):
    """As others do: for a moment there is no file."""
    path.rename(path.with_name("backup~"))
    path.write_text(content)


def in_steps(path, content):
    """What stands there in between is broken, and must not be read."""
    with open(path, "w") as f:
        for i in range(0, len(content), 40):
            f.write(content[i:i + 40])
            f.flush()


@pytest.mark.parametrize("write", [write_in_place, rename_over, backup_and_write, in_steps])
def test_a_file_that_changes_is_read(watched, write):
    d = watched(models("a"))
    events = d.events()
    for names in (["a", "b"], ["a"], ["a", "c"]):
        write(d.config_path, text(*names))
        events.wait_for("config_reloaded")
        assert ids(d) == names
    assert events.count("config_rejected") == 0
    assert events.count("config_reloaded") == 3


@pytest.mark.slice
def test_an_unchanged_model_keeps_its_process(watched):
    d = watched(models("a"))
    pid = d.load("a")["pid"]
    events = d.events()
    config = {"startPort": d.start_port, **models("a", "b")}
    rename_over(d.config_path, json.dumps(config))
    events.wait_for("config_reloaded")
    assert ids(d) == ["a", "b"] and d.model("a")["pid"] == pid


@pytest.mark.slice
def test_a_bad_file_changes_nothing_and_says_so(watched):
    d = watched(models("a"))
    pid = d.load("a")["pid"]
    events = d.events()
    rename_over(d.config_path, "models:\n  a: {ttl: never}\n")
    events.wait_for("config_rejected")
    assert "wharf.yaml:2:12: error: " in d.stderr
    assert "the old one stays in force" in d.stderr
    assert d.model("a")["pid"] == pid
    d.ok(d.chat("a"))
    rename_over(d.config_path, text("a", "b"))
    events.wait_for("config_reloaded")
    assert events.count("config_rejected") == 1  # it is not read again and again
    assert ids(d) == ["a", "b"]


def test_a_stream_survives(watched):
    d = watched({"models": {"a": demo("a", "--token-delay", "20ms")}})
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("a", "x", stream=True, max_tokens=40))
    head = c.head()
    pieces = c.pieces(head)
    head.body = next(pieces)
    events = d.events()
    rename_over(d.config_path, json.dumps({"startPort": d.start_port, "models": {
        "a": demo("a", "--token-delay", "20ms"), "b": demo("b")}}))
    events.wait_for("config_reloaded")
    head.body += b"".join(pieces)
    assert head.complete and content(head)


def test_a_file_that_goes_is_no_change_until_it_is_back(watched):
    d = watched(models("a"))
    events = d.events()
    d.config_path.unlink()
    d.signal(signal.SIGHUP)  # this one does look, and finds nothing
    events.wait_for("config_rejected")
    d.config_path.write_text(text("a", "b"))
    events.wait_for("config_reloaded")
    assert ids(d) == ["a", "b"] and events.count("config_rejected") == 1


def test_a_link_that_is_turned(watched, tmp_path):
    """As Kubernetes changes a ConfigMap: the folder of the file sees no event of the file."""
    d = watched(models("a"))
    for name, names in [("one", ["a"]), ("two", ["a", "b"]), ("three", ["c"])]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text(*names))
    events = d.events()
    (tmp_path / "data").symlink_to(tmp_path / "one")
    d.config_path.unlink()
    d.config_path.symlink_to(tmp_path / "data" / "config.yaml")
    events.wait_for("config_reloaded")
    for name, names in [("two", ["a", "b"]), ("three", ["c"])]:
        (tmp_path / "new").symlink_to(tmp_path / name)
        (tmp_path / "new").rename(tmp_path / "data")
        events.wait_for("config_reloaded")
        assert ids(d) == names


def test_a_reload_by_signal_is_not_done_twice(watched):
    d = watched(models("a"))
    events = d.events()
    for names in (["a", "b"], ["a", "c"]):
        rename_over(d.config_path, text(*names))
        d.signal(signal.SIGHUP)
        events.wait_for("config_reloaded")
        assert ids(d) == names
    rename_over(d.config_path, text("d"))
    events.wait_for("config_reloaded")
    assert ids(d) == ["d"] and events.count("config_reloaded") == 3


def test_without_the_flag_only_a_signal_reloads(wharf):
    d = wharf(models("a"))
    events = d.events()
    rename_over(d.config_path, text("a", "b"))
    assert ids(d) == ["a"] and "watching" not in d.stderr
    d.signal(signal.SIGHUP)
    events.wait_for("config_reloaded")
    assert ids(d) == ["a", "b"] and events.count("config_reloaded") == 1


@pytest.mark.slice
def test_what_outlives_a_reload(wharf):
    """The history, captures, logs, the requests in flight, the active profile, and who waits."""
    config = {"models": {"a": demo("a"), "slow": demo("slow", "--token-delay", "50ms", "--tokens", "40"),
                         "b": demo("b", "--load-time", "300ms")},
              "groups": {"g": {"swap": False, "members": ["a", "slow", "b"]}},
              "profiles": {"p": {"pins": {"x": "a"}}}}
    d = wharf(config)
    d.ok(d.ask("PUT", "/api/profiles/active", {"name": "p"}))
    d.ok(d.chat("x"))
    d.load("slow")
    c = d.connect()
    c.request("POST", "/v1/chat/completions", chat_body("slow", stream=True))
    head = c.head()
    events = d.events()
    waits = Later(d.chat, "b")
    events.wait_for("model_loading", model="b")
    config["models"]["new"] = demo("new")
    d.write_config(config)
    d.signal(signal.SIGHUP)
    events.wait_for("config_reloaded")
    assert [r["model"] for r in d.get("/api/inflight").json()["requests"]][0] == "slow"
    assert d.get("/api/profiles").json()["active"] == "p"
    row = d.get("/api/metrics/activity?order=asc").json()["data"][0]
    assert (row["model"], row["has_capture"]) == ("a", True)
    assert d.ok(d.get(f"/api/captures/{row['id']}")).json()["req_path"] == "/v1/chat/completions"
    assert "listening on" in d.get("/logs/stream/a?no-follow").text
    head.body = b"".join(c.pieces(head))
    assert head.complete and content(head)
    d.ok(waits.result())
    d.ok(d.chat("new"))


def test_the_end_does_not_wait_for_the_watch(watched):
    d = watched(models("a"))
    rename_over(d.config_path, text("a", "b"))  # perhaps it is about to be read
    d.stop()


# ---------------------------------------------------------------- a folder


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "conf.d"
    path.mkdir()
    (path / "a.yaml").write_text(text("a"))
    return path


@pytest.mark.slice
def test_files_of_a_folder_come_change_and_go(watched, folder):
    d = watched(models("z"), "-config-dir", str(folder))
    events = d.events()
    assert ids(d) == ["a", "z"]
    steps = [
        (lambda: (folder / "b.yml").write_text(text("b")), ["a", "b", "z"]),
        (lambda: rename_over(folder / "b.yml", text("c")), ["a", "c", "z"]),
        (lambda: (folder / "b.yml").unlink(), ["a", "z"]),
        (lambda: (folder / "a.yaml").rename(folder / "a.off"), None),  # the last one: silent
        (lambda: (folder / "d.yaml").write_text(text("d")), ["d", "z"]),
    ]
    for change, expected in steps:
        change()
        if expected:
            events.wait_for("config_reloaded")
            assert ids(d) == expected
    assert events.count("config_reloaded") == len(steps) - 1
    assert events.count("config_rejected") == 0


def test_a_conflict_changes_nothing(watched, folder):
    d = watched(models("z"), "-config-dir", str(folder))
    events = d.events()
    (folder / "b.yaml").write_text('{"models":\n {"a": {"cmd": "x ${PORT}"}}}\n')
    events.wait_for("config_rejected")
    assert f"{folder}/b.yaml:2:3: error: duplicate 'a' in models" in d.stderr
    assert ids(d) == ["a", "z"]
    d.ok(d.chat("a"))


def test_a_folder_that_is_replaced(watched, folder):
    """Then nothing tells of changes in it any more: the regular look finds them."""
    d = watched(models("z"), "-config-dir", str(folder))
    events = d.events()
    folder.rename(folder.with_name("old"))
    folder.mkdir()
    (folder / "b.yaml").write_text(text("b"))
    events.wait_for("config_reloaded")
    assert ids(d) == ["b", "z"]
    (folder / "c.yaml").write_text(text("c"))
    events.wait_for("config_reloaded")
    assert ids(d) == ["b", "c", "z"]


# ---------------------------------------------------------------- modelsDir


@pytest.fixture
def gguf(tmp_path):
    path = tmp_path / "gguf"
    path.mkdir()
    (path / "a.gguf").touch()
    return path


def from_folder(path, **keys):
    return {"modelsDir": str(path), "modelTemplate": {"cmd": TEMPLATE, **keys}}


def test_models_of_a_folder_are_found_again_on_reload(wharf, gguf):
    d = wharf(from_folder(gguf))
    assert ids(d) == ["a"]
    (gguf / "my model-00001-of-00002.gguf").touch()
    (gguf / "my model-00002-of-00002.gguf").touch()
    events = d.events().catch_up()
    assert ids(d) == ["a", "my model"]
    for name, file in [("a", "a.gguf"), ("my model", "my model-00001-of-00002.gguf")]:
        assert content(d.ok(d.chat(name))).startswith(f"demo-model {gguf}/{file}")
    (gguf / "a.gguf").unlink()
    events.catch_up()
    assert ids(d) == ["my model"]


def test_models_of_a_folder_are_watched(watched, gguf):
    d = watched(models("z"))
    events = d.events()
    config = {"startPort": d.start_port, **models("z"), **from_folder(gguf)}
    rename_over(d.config_path, json.dumps(config))
    events.wait_for("config_reloaded")
    (gguf / "b.gguf.part").touch()
    os.rename(gguf / "b.gguf.part", gguf / "b.gguf")
    events.wait_for("config_reloaded")
    assert ids(d) == ["a", "b", "z"]
    (gguf / "a.gguf").unlink()
    (gguf / "b.gguf").unlink()
    events.wait_for("config_reloaded")
    assert ids(d) == ["z"]
