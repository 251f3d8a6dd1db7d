"""What the dashboard asks of the daemon beside what others ask: its files, the configuration with the place
of each value, a check that applies nothing, who was where, and events that are gathered."""

import gzip
import json
import re
import time

import pytest

from wharf_harness import BUILD, demo, until

SIM = {"sim": {"name": "Sim 8G", "memory": "8GiB"}, "sample": "20ms"}
HAS_PAGE = b"assets/index-" in (BUILD / "wharf").read_bytes()


def config(**more):
    return {"gpus": [SIM], "models": {"a": demo("a", vram="6GiB"), "b": demo("b", vram="6GiB")}, **more}


@pytest.mark.slice
def test_files_of_the_page(wharf):
    d = wharf(config())
    answer = d.get("/ui")
    assert (answer.status, answer.header("Location")) == (307, "ui/")
    answer = d.get("/ui/")
    if not HAS_PAGE:
        assert answer.status == 404 and "built without its page" in answer.message
        assert d.get("/", headers={"Accept": "text/html"}).status == 200
        return
    assert (answer.status, answer.header("Content-Encoding")) == (200, "gzip")
    assert answer.header("Cache-Control") == "no-cache"
    policy = answer.header("Content-Security-Policy")
    assert "unsafe" not in policy and policy.startswith("default-src 'none'")
    page = gzip.decompress(answer.body).decode()
    # Nothing absolute, nothing of others, nothing inline.
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert links and all(link.startswith("./assets/") for link in links)
    assert not re.search(r"<script[^>]*>[^<]|<style| style=", page)
    again = d.get("/ui/", headers={"If-None-Match": f'"x", {answer.header("ETag")}'})
    assert (again.status, again.body) == (304, b"")
    assert d.get("/ui/" + links[0][2:]).header("Cache-Control").endswith("immutable")
    assert d.ask("HEAD", "/ui/").status == 200
    assert d.get("/ui/nothing.js").status == d.get("/ui/../wharf").status == 404
    answer = d.get("/", headers={"Accept": "text/html"})
    assert (answer.status, answer.header("Location")) == (307, "ui/")
    assert d.get("/").status == 200


@pytest.mark.slice
def test_config_with_places(wharf):
    d = wharf("""\
# The first
# three lines
# say nothing.
groups:
  pair: {swap: false, members: [a]}
models:
  a:
    cmd: x --port ${PORT} --api-key hush-hush
    ttl: 5m
""")
    lines = d.get("/wharf/config").json()["lines"]
    found = {line["text"].strip(): line for line in lines}
    assert found["ttl: 300s"]["line"] == 9 and found["ttl: 300s"]["file"] == str(d.config_path)
    assert found['"pair":']["line"] == 5  # where it is written, and not where it is printed
    assert found["maxConnections: 8192"] == {"text": "maxConnections: 8192", "file": None, "line": None}
    assert not any("hush" in line["text"] for line in lines)


@pytest.mark.slice
def test_a_check_applies_nothing_and_tells_no_secret(wharf):
    d = wharf(config(), env={"WORD": "swordfish-1", "SECONDS_OF_IT": "90"})

    def check(text):
        answer = d.post("/wharf/config/check", {"text": text})
        assert answer.status == 200, answer
        return answer.json()

    before = d.get("/wharf/models").body
    good = check("models:\n  x:\n    cmd: x --port ${PORT}\n    ttl: ${env.SECONDS_OF_IT}\n")
    assert (good["ok"], good["models"], good["messages"]) == (True, 1, [])
    bad = check("models:\n  x: {cmd: 'x --port ${PORT}', ttl: '${env.WORD}', tt: 1}\n")
    assert not bad["ok"] and (bad["errors"], bad["warnings"]) == (1, 1)
    assert any(m.startswith("text:2:") and "did you mean 'ttl'" in m for m in bad["messages"])
    assert "swordfish" not in json.dumps(bad) and "env-WORD" in json.dumps(bad)
    assert "not set" in check("models: {x: {cmd: '${env.NOWHERE}'}}")["messages"][0]
    assert d.get("/wharf/models").body == before
    assert d.post("/wharf/config/check", {"txt": ""}).status == 400
    assert d.post("/wharf/config/check", {}).status == 400


@pytest.mark.slice
def test_who_was_where(wharf):
    d = wharf(config())
    began = time.time() * 1000
    d.chat("a")
    d.chat("b")
    timeline = d.get("/wharf/timeline").json()
    assert timeline["devices"] == ["Sim 8G"] and began <= timeline["now_ms"]
    states = [(c["model"], c["state"]) for c in timeline["changes"]]
    assert states[:2] == [("a", "loading"), ("a", "loaded")] and states[-1] == ("b", "loaded")
    assert states.index(("a", "unloaded")) < states.index(("b", "loading"))
    at = [c["time_ms"] for c in timeline["changes"]]
    assert at == sorted(at) and began - 1000 <= at[0] <= timeline["now_ms"]
    assert timeline["changes"][-1]["devices"] == ["Sim 8G"] and timeline["changes"][-1]["bytes"] == 6 << 30
    since = d.get(f"/wharf/timeline?since={at[1]}").json()["changes"]
    assert since == [c for c in timeline["changes"] if c["time_ms"] > at[1]]
    sample = until(lambda: d.get("/wharf/timeline").json()["samples"], "a sample")[0]
    assert set(sample) == {"time_ms", "waiting", "in_flight", "devices"} and len(sample["devices"]) == 1


@pytest.mark.slice
def test_candidates_and_parts_of_a_request(wharf):
    d = wharf(config(keys=[{"key": "k-1234567", "name": "ci", "class": "background"}]))
    key = {"Authorization": "Bearer k-1234567"}
    for model in "ab":
        assert d.chat(model, headers=key).status == 200
    decisions = d.get("/wharf/decisions", headers=key).json()["decisions"]
    evicted = next(x for x in decisions if x["type"] == "evict")
    assert [c["model"] for c in evicted["candidates"]] == ["a"]
    assert evicted["candidates"][0]["reload_s"] > 0 and not evicted["candidates"][0]["pinned"]
    assert 0 < evicted["candidates"][0]["next_percent"] < 100
    assert all(x["candidates"] == [] for x in decisions if x["type"] != "evict")
    row = until(lambda: d.get("/api/metrics/activity", headers=key).json()["data"], "a row")[0]
    its = row["metadata"]
    assert (its["class"], its["key"]) == ("background", "ci")
    assert 0 < int(its["loading_ms"]) <= row["waited_ms"] <= int(its["first_ms"]) <= row["duration_ms"] + 1


@pytest.mark.slice
def test_events_are_gathered(wharf):
    d = wharf(config(modes={"one": {}, "two": {}}))
    with d.connect() as c:
        c.request("GET", "/wharf/events?every=300")
        c.head()
        began = time.monotonic()
        for n in range(4):
            assert d.ask("PUT", "/wharf/mode", {"mode": ["one", "two"][n % 2]}).status == 200
        while c.buffer.count(b"event: mode_changed") < 4:
            c.fill()
        assert time.monotonic() - began >= 0.25
