"""`wharf check`, and what a reload does to a running daemon."""

import json
import re
import signal
import subprocess

import pytest

from wharf_harness import (ROOT, WHARF, Connection, Later, chat_body, check_config, content, demo,
                           held, is_alive, models, until)

GOOD = {
    "empty": "",
    "one model": "models:\n  a:\n    cmd: serve --port ${PORT}\n",
    "all of llama-swap's keys of this step": """
healthCheckTimeout: 60
startPort: 9000
logLevel: debug
globalTTL: 60
macros:
  bin: /usr/bin/serve
  base: "${bin} --port ${PORT}"
models:
  "qwen:7b":
    cmd: |
      # a comment
      ${base} \\
      --name '${MODEL_ID}'
    proxy: http://127.0.0.1:${PORT}
    env: ["A=b"]
    checkEndpoint: /healthz
    ttl: 30
    aliases: [qwen, q]
    unlisted: true
    useModelName: inner
    concurrencyLimit: 4
    name: Qwen
    description: text
    macros: {bin: /opt/serve}
  b: {cmd: "x --port ${PORT}", checkEndpoint: none}
groups:
  g: {swap: false, exclusive: false, persistent: true, members: ["qwen:7b"]}
hooks: {on_startup: {preload: [q]}}
apiKeys: [one]
""",
    "routing": """
models: {a: {cmd: "x --port ${PORT}", vram: 10.5GiB}}
gpus: [{sim: {name: S, memory: 24GiB}, reserve: 1GiB, limit: 0.95}]
routing:
  router: {use: fit}
  scheduler: {use: serial}
listen: ["127.0.0.1:0", "unix:/tmp/x"]
""",
    "all of wharf's keys of this step": """
onExit: stop
gpus: [{sim: {name: S, memory: 24GiB}}, {sim: {name: T, memory: 24GiB}}]
host: {suspendBudget: 32GiB}
classes: {foreground: {maxWait: 30s}, normal: {maxWait: 2m}, background: {maxWait: never}}
gates: {mlx: {limit: 1}, io: {limit: 4, maxWait: 5m}}
modes: {recording: {vlm: loaded, clip: S}, autopilot: {vlm: unloaded, c: 1}}
startMode: recording
routing: {scheduler: {use: fair, settings: {fair: {minResident: 10s, maxServe: 10m}}}}
models:
  vlm: {cmd: 'x ${PORT}', vram: 30GiB, gpuCount: 2, maxLoadRetries: 3, pin: true}
  clip: {cmd: 'x ${PORT}', vram: 500MiB, class: background, maxQueue: 5, aliases: [c]}
""",
    "matrix": """
models: {a: &m {cmd: 'x ${PORT}'}, b: *m, 'c:7b': *m}
matrix:
  vars: {c: 'c:7b'}
  evict_costs: {a: 5, c: 2}
  sets: {one: a | b, two: +one & c}
""",
    "anchors": """
defs: &d {ttl: 5, checkEndpoint: none}
models:
  a: {<<: *d, cmd: 'x ${PORT}'}
""",
}

# Each: a text, and what its report must hold: (line, words) for every error.
BAD = {
    "not YAML": ("models: [\n", [(None, "")]),
    "no mapping": ("- a\n", [(1, "")]),
    "duplicate key": ("startPort: 1\nstartPort: 2\n", [(2, "startPort")]),
    "wrong type": ("startPort: soon\n", [(1, "startPort")]),
    "below range": ("startPort: 0\n", [(1, "startPort")]),
    "negative ttl": ("models:\n  a:\n    cmd: x ${PORT}\n    ttl: -5\n", [(4, "ttl")]),
    "duplicate alias": ("models:\n  a: {cmd: 'x ${PORT}', aliases: [z]}\n"
                        "  b: {cmd: 'x ${PORT}', aliases: [z]}\n",
                        [(3, "z")]),
    "unknown macro": ("models:\n  a:\n    cmd: ${nothing} --port ${PORT}\n", [(3, "nothing")]),
    "port in proxy only": ("models:\n  a:\n    cmd: serve\n    proxy: http://127.0.0.1:${PORT}\n",
                           [(None, "PORT")]),
    "unset environment": ("models:\n  a:\n    cmd: ${env.WHARF_SURELY_UNSET}\n",
                          [(3, "WHARF_SURELY_UNSET")]),
    "bad proxy": ("models:\n  a:\n    cmd: x ${PORT}\n    proxy: 'ftp://x'\n", [(4, "proxy")]),
    "member of nothing": ("models:\n  a: {cmd: 'x ${PORT}'}\n"
                          "groups:\n  g:\n    members: [b]\n", [(5, "b")]),
    "member twice": ("models:\n  a: {cmd: 'x ${PORT}'}\n"
                     "groups:\n  g: {members: [a]}\n  h: {members: [a]}\n",
                     [(5, "a")]),
    "both places": ("models:\n  a: {cmd: 'x ${PORT}'}\ngroups: {g: {members: [a]}}\n"
                    "routing: {router: {use: group}}\n", [(None, "routing")]),
    "unknown scheduler": ("routing:\n  scheduler:\n    use: fastest\n", [(3, "fastest")]),
    "empty key": ("apiKeys: ['']\n", [(1, "apiKeys")]),
    "key with a space": ("apiKeys: ['a b']\n", [(1, "apiKeys")]),
    "bad size": ("models:\n  a:\n    cmd: x ${PORT}\n    vram: 10 bananas\n", [(4, "vram")]),
    "bad listen": ("listen: nowhere\n", [(1, "listen")]),
    "matrix with an unknown model": ("models:\n  a: {cmd: 'x ${PORT}'}\nmatrix:\n  sets:\n"
                                     "    s: a & b\n", [(5, 'set "s": unknown var or model "b"')]),
    "matrix that would not end": ("models:\n" + "".join(f"  m{i}: {{cmd: 'x ${{PORT}}'}}\n"
                                                         for i in range(60)) +
                                  "matrix: {sets: {s: " +
                                  " & ".join(f"(m{i} | m{i + 1})" for i in range(0, 60, 2)) + "}}\n",
                                  [(62, "expands to more than 4096")]),
    "both matrix and groups": ("models:\n  a: {cmd: 'x ${PORT}'}\ngroups: {g: {members: [a]}}\n"
                               "matrix: {sets: {s: a}}\n", [(4, "matrix")]),
    "unknown model in a mode": ("models:\n  a: {cmd: 'x ${PORT}'}\nmodes:\n  x: {b: loaded}\n",
                                [(4, "unknown model 'b'")]),
    "unknown wish": ("models:\n  a: {cmd: 'x ${PORT}'}\nmodes:\n  x:\n    a: cpu\n",
                     [(5, "loaded, unloaded")]),
    "unknown mode": ("modes: {night: {}}\nstartMode: nihgt\n", [(2, "did you mean 'night'")]),
    "unknown class": ("models:\n  a:\n    cmd: x ${PORT}\n    class: high\n", [(4, "foreground")]),
    "gate without room": ("gates:\n  g: {limit: 0}\n", [(2, "limit")]),
    "bad wait": ("classes: {normal: {maxWait: 30}}\n", [(1, "maxWait")]),
    "unknown event": ("hooks:\n  on:\n    loaded: x\n", [(3, "model_loaded")]),
    "gpu too small": ("gpus:\n  - sim: {name: a, memory: 1}\n", [(2, "memory")]),
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name, tmp_path):
    status, text = check_config(GOOD[name], tmp_path)
    assert status == 0, text
    assert "error" not in text


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_the_examples_have_no_warnings(path, tmp_path):
    status, text = check_config(path.read_text(), tmp_path)
    assert status == 0 and "warning" not in text, text


@pytest.mark.parametrize("name", BAD)
def test_bad(name, tmp_path):
    text, expected = BAD[name]
    status, report = check_config(text, tmp_path)
    assert status == 2, report
    errors = re.findall(r"^FILE:(\d+):(\d+): error: (.+)$", report, re.M)
    assert len(errors) == len(expected), report
    for (line, column, message), (want_line, words) in zip(errors, expected):
        assert want_line in (None, int(line)), report
        assert int(column) >= 1 and words in message, report


def test_every_error_at_once(tmp_path):
    text = ("startPort: zero\n"
            "models:\n"
            "  a:\n"
            "    cmd: x ${PORT}\n"
            "    ttl: [1]\n"
            "    concurrencyLimit: many\n"
            "  b:\n"
            "    cmd: ${missing}\n"
            "apiKeys: [\"a b\"]\n")
    status, report = check_config(text, tmp_path)
    lines = [int(n) for n in re.findall(r"^FILE:(\d+):\d+: error: ", report, re.M)]
    assert status == 2 and sorted(lines) == [1, 5, 6, 8, 9], report
    assert lines == sorted(lines), "not in the order of the file"


@pytest.mark.parametrize("text, line, column, nearest", [
    ("modells: {}\n", 1, 1, "models"),
    ("models:\n  a:\n    cmd: x ${PORT}\n    aliasses: [b]\n", 4, 5, "aliases"),
    ("models:\n  a:\n    cmd: x ${PORT}\n    timeouts: {conect: 3}\n", 4, 16, "connect"),
])
def test_an_unknown_key_is_a_warning_with_the_nearest_name(tmp_path, text, line, column, nearest):
    status, report = check_config(text, tmp_path)
    assert status == 0, report
    assert re.search(rf"^FILE:{line}:{column}: warning: .*{nearest}", report, re.M), report


def test_a_missing_file(tmp_path):
    run = subprocess.run([str(WHARF), "check", str(tmp_path / "none.yaml")], capture_output=True,
                         text=True)
    assert run.returncode == 2 and "none.yaml" in run.stderr


def test_serve_with_a_broken_file_prints_all_and_ends(wharf):
    d = wharf("startPort: zero\nhealthCheckTimeout: soon\n", wait=False)
    assert d.wait() == 2
    d.stopped_on_purpose = True
    assert len(re.findall(r"wharf\.yaml:\d+:\d+: error: ", d.stderr)) == 2


# ---------------------------------------------------------------- reload


@pytest.mark.slice
def test_a_broken_file_keeps_the_old_configuration(wharf):
    d = wharf(models("a"))
    pid = d.load("a")["pid"]
    d.reload("models:\n  a:\n    cmd: ${nothing}\n  b: {ttl: never}\n", event="config_rejected")
    assert "wharf.yaml:3:" in d.stderr and "wharf.yaml:4:" in d.stderr
    assert d.model("a")["pid"] == pid
    d.ok(d.chat("a"))
    assert d.get("/wharf/models/b").status == 404
    d.reload(models("a", "b"))
    d.ok(d.chat("b"))


@pytest.mark.slice
def test_an_unchanged_model_keeps_its_process_and_a_changed_one_is_restarted(wharf):
    names = ["same", "changed", "policy", "removed"]
    groups = {"groups": {"g": {"swap": False, "members": names}}}
    d = wharf({**models(*names), **groups})
    before = {n: d.load(n)["pid"] for n in names}
    events = d.events()
    d.reload({"models": {"same": demo("same"), "changed": demo("changed", "--token-delay", "1ms"),
                         "policy": demo("policy", aliases=["p"], ttl=3600), "new": demo("new")},
              "groups": {"g": {"swap": False, "members": ["same", "changed", "policy", "new"]}}})
    events.wait_for("model_unloaded", model="removed")
    events.wait_for("model_unloaded", model="changed")
    assert d.model("same")["pid"] == before["same"]
    assert d.model("policy")["pid"] == before["policy"] and d.model("p")["id"] == "policy"
    assert not is_alive(before["removed"]) and not is_alive(before["changed"])
    assert d.get("/wharf/models/removed").status == 404
    assert content(d.ok(d.chat("changed"))).startswith("demo-model changed")
    assert d.model("changed")["pid"] != before["changed"]
    d.ok(d.chat("new"))
    assert [m["id"] for m in d.get("/v1/models").json()["data"]] == \
        ["changed", "new", "policy", "same"]


POLICIES = {
    "classes": {"normal": {"maxWait": "5s"}}, "gates": {"g": {"limit": 2}},
    "modes": {"night": {"m": "unloaded"}}, "host": {"suspendBudget": "1GiB"},
    "routing": {"router": {"use": "matrix", "settings": {"matrix": {"sets": {"s": "m & n"}}}},
                "scheduler": {"use": "fair", "settings": {"fair": {"minResident": "1s"}}}},
}


def test_policies_change_in_place_and_the_number_of_gpus_does_not(wharf):
    d = wharf(models("m", "n"))
    assert re.search(r"scheduler=fair \(it is the default\)", d.stderr)
    pid = d.load("m")["pid"]
    policy = {"class": "background", "pin": True, "maxQueue": 3, "maxLoadRetries": 2}
    d.reload({"models": {"m": demo("m", **policy), "n": demo("n")}, **POLICIES})
    assert d.model("m")["pid"] == pid
    d.ok(d.chat("m"))
    assert d.model("m")["pid"] == pid
    d.reload({"models": {"m": demo("m", **policy, gpuCount=2), "n": demo("n")}, **POLICIES})
    d.ok(d.chat("m"))
    assert d.model("m")["pid"] != pid


def test_a_broken_matrix_keeps_the_old_one(wharf):
    config = {**models("m", "n"), "matrix": {"sets": {"s": "m & n"}}}
    d = wharf(config)
    assert d.get("/wharf/status").json()["scheduler"] == "fair"
    pid = d.load("m")["pid"]
    d.reload({**config, "matrix": {"sets": {"s": "m & x"}}}, event="config_rejected")
    assert 'set "s": unknown var or model "x"' in d.stderr
    d.reload({**config, "startMode": "none"}, event="config_rejected")
    d.ok(d.chat("m"))
    assert d.model("m")["pid"] == pid
    d.reload({**config, "matrix": {"sets": {"s": "m | n"}}})
    d.ok(d.chat("n"))


@pytest.mark.parametrize("change", ["same", "restart", "remove"])
def test_a_stream_survives_a_reload(wharf, change):
    slow = ("--token-delay", "50ms", "--tokens", "10")
    d = wharf({"models": {"m": demo("m", *slow), "n": demo("n")}})
    d.load("m")
    with Connection(d.address) as c:
        c.request("POST", "/v1/chat/completions", chat_body("m", stream=True))
        head = c.head()
        stream = c.sse(head)
        next(stream)
        after = {"same": {"m": demo("m", *slow), "n": demo("n", ttl=9)},
                 "restart": {"m": demo("m", "--tokens", "3"), "n": demo("n")},
                 "remove": {"n": demo("n")}}[change]
        d.reload({"models": after})
        data = [e["data"] for e in stream]
        assert data[-1] == "[DONE]" and head.complete
    if change == "restart":
        assert content(d.ok(d.chat("m"))) == "demo-model m says:"
    elif change == "remove":
        assert d.chat("m").status == 404
        until(lambda: not d.tree(), "the removed model's end")


def test_a_waiting_request_survives_a_reload(wharf, tmp_path):
    m = held(demo("m"), tmp_path / "flag")
    d = wharf({"models": {"m": m}})
    call = Later(d.chat, "m")
    d.until_model("m", state="loading", waiting=1)
    d.reload({"models": {"m": m, "other": demo("other")}})
    assert d.model("m")["waiting"] == 1
    (tmp_path / "flag").touch()
    d.ok(call.result())


def test_many_reloads(wharf):
    d = wharf(models("a"))
    pid = d.load("a")["pid"]
    events = d.events()
    for i in range(20):
        d.write_config({"models": {"a": demo("a"), f"extra{i}": demo("x")}})
        d.signal(signal.SIGHUP)
        events.wait_for("config_reloaded")
        d.ok(d.chat("a", f"n{i}"))
    assert d.model("a")["pid"] == pid
    assert [m["id"] for m in d.get("/wharf/models").json()["models"]] == ["a", "extra19"]


def test_an_unreadable_file_is_a_broken_file(wharf):
    d = wharf(models("a"))
    events = d.events()
    d.config_path.unlink()
    d.signal(signal.SIGHUP)
    events.wait_for("config_rejected")
    d.ok(d.chat("a"))


def test_new_limits_take_effect(wharf):
    d = wharf({"maxBody": "1MiB", **models("a")})
    body = json.dumps({"model": "a", "input": "x" * 100_000}).encode()
    head = {"Content-Type": "application/json"}
    d.ok(d.post("/v1/embeddings", body, head))
    d.reload({"maxBody": "64KiB", **models("a")})
    assert d.post("/v1/embeddings", body, head).status == 413
