"""Lists of models, their coming and going, and the listener of Ollama's API alone."""

import datetime
import json
import os
import re
import socket
import subprocess

import pytest

from wharf_harness import WHARF, Connection, chat_body, check_config, demo, free_port, held, models, until

DETAILS = {"parent_model": "", "format": "", "family": "", "families": [], "parameter_size": "", "quantization_level": ""}


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def names(answer):
    return [m["name"] for m in answer.json()["models"]]


@pytest.fixture
def told(wharf):
    return wharf({
        "models": {
            "plain": demo("plain"),
            "org/full:8b": demo("full", ttl=3600, aliases=["short"], capabilities={
                "in": ["text", "image"], "out": ["text"], "tools": True, "context": 4096}, metadata={
                    "family": "llama", "format": "gguf", "parameter_size": "8B", "quantization_level": "Q4_K_M",
                    "capabilities": ["thinking"], "model_info": {"general.basename": "x"}}),
            "vectors": demo("vectors", metadata={"capabilities": ["embedding"]}),
            "hidden": demo("hidden", unlisted=True)},
        "selectors": {"any": {"strategy": "pin", "targets": ["plain"]}},
        "peers": {"far": {"proxy": "http://127.0.0.1:9", "models": ["theirs"]}},
        "groups": {"all": {"swap": False, "members": ["plain", "org/full:8b"]}}})


@pytest.mark.slice
def test_tags(told):
    answer = told.ok(told.get("/api/tags"))
    found = {m["name"]: m for m in answer.json()["models"]}
    assert set(found) == {"plain:latest", "org/full:8b", "vectors:latest", "far/theirs:latest", "any:latest"}
    for name, m in found.items():
        assert m["model"] == name and re.fullmatch(r"[0-9a-f]{64}", m["digest"]) and m["size"] == 0
        assert at(m["modified_at"])
    assert len({m["digest"] for m in found.values()}) == len(found)
    assert found["plain:latest"]["details"] == DETAILS
    assert found["org/full:8b"]["details"] == DETAILS | {
        "format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "8B", "quantization_level": "Q4_K_M"}


def test_digests_are_of_the_definition(wharf):
    d = wharf(models("a", "b"))

    def digests():
        return {m["name"]: m["digest"] for m in d.get("/api/tags").json()["models"]}

    before = digests()
    d.reload({"models": {"a": demo("a"), "b": demo("b", "--tokens", 3)}})
    after = digests()
    assert after["a:latest"] == before["a:latest"] and after["b:latest"] != before["b:latest"]


def test_aliases_where_they_are_listed(wharf):
    d = wharf({**models("a", aliases=["b", "c:1"]), "includeAliasesInList": True})
    assert names(d.get("/api/tags")) == ["a:latest", "b:latest", "c:1"]


@pytest.mark.slice
def test_show(told):
    for name in ("org/full:8b", "short", "short:latest"):
        for key in ("model", "name"):
            got = told.ok(told.post("/api/show", {key: name})).json()
            assert got["capabilities"] == ["completion", "tools", "vision", "thinking"]
            assert got["model_info"] == {"general.basename": "x", "general.architecture": "llama", "llama.context_length": 4096}
            assert got["details"]["parameter_size"] == "8B"
            assert (got["template"], got["parameters"], got["modelfile"], got["license"]) == ("", "", "", "")
    got = told.post("/api/show", {"model": "plain:latest"}).json()
    assert (got["capabilities"], got["model_info"], got["details"]) == (["completion"], {}, DETAILS)
    assert told.post("/api/show", {"model": "vectors"}).json()["capabilities"] == ["embedding"]
    assert told.post("/api/show", {"model": "far/theirs:latest"}).json()["capabilities"] == ["completion"]
    assert told.post("/api/show", {"model": "any"}).json()["capabilities"] == ["completion"]
    assert told.post("/api/show", {"model": "hidden"}).status == 200
    assert told.post("/api/show", {"model": "nope"}).status == 404
    assert told.post("/api/show", {}).json() == {"error": '"name" is missing'}


@pytest.mark.slice
def test_ps(told):
    assert told.get("/api/ps").json() == {"models": []}
    told.load("plain")
    told.load("org/full:8b")
    running = {m["name"]: m for m in told.get("/api/ps").json()["models"]}
    assert set(running) == {"org/full:8b", "plain:latest"}
    full = running["org/full:8b"]
    left = (at(full["expires_at"]) - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert 3590 < left <= 3600 and full["context_length"] == 4096 and full["size_vram"] == 0
    assert at(running["plain:latest"]["expires_at"]).year > 2200
    assert {m["digest"] for m in running.values()} <= {m["digest"] for m in told.get("/api/tags").json()["models"]}


def test_ps_says_what_is_counted(wharf):
    d = wharf({**models("a", vram="3GiB"), "gpus": [{"sim": {"memory": "8GiB"}}]})
    assert d.get("/api/tags").json()["models"][0]["size"] == 3 << 30
    d.load("a")
    (one,) = d.get("/api/ps").json()["models"]
    assert (one["size"], one["size_vram"]) == (3 << 30, 3 << 30)


# ---------------------------------------------------------------- coming and going

EMPTY = [("generate", {}, {"response": ""}), ("generate", {"prompt": "", "stream": False}, {"response": ""}),
         ("chat", {}, {"message": {"role": "assistant", "content": ""}}), ("chat", {"messages": []}, {"message": {"role": "assistant", "content": ""}})]


@pytest.mark.slice
def test_nothing_to_answer_to_loads_the_model(wharf):
    d = wharf(models("a"))
    for path, body, wanted in EMPTY:
        got = d.ok(d.post(f"/api/{path}", {"model": "a:latest", **body})).json()
        assert at(got.pop("created_at"))
        assert got == {"model": "a:latest", **wanted, "done": True, "done_reason": "load"}
        assert d.state_of("a") == "loaded"
        got = d.ok(d.post(f"/api/{path}", {"model": "a", "keep_alive": 0, **body})).json()
        del got["created_at"]
        assert got == {"model": "a", **wanted, "done": True, "done_reason": "unload"}
        d.until_model("a", state="unloaded")
    for path, body, wanted in (("embed", {"input": ""}, {"model": "a", "embeddings": []}), ("embed", {"input": []}, {"model": "a", "embeddings": []}),
                               ("embeddings", {"prompt": ""}, {"embedding": []})):
        assert d.ok(d.post(f"/api/{path}", {"model": "a", **body})).json() == wanted
        assert d.state_of("a") == "loaded"


def test_what_is_not_loaded_can_be_told_to_leave(wharf):
    d = wharf(models("a"))
    assert d.ok(d.post("/api/generate", {"model": "a", "keep_alive": "0s"})).json()["done_reason"] == "unload"
    assert d.state_of("a") == "unloaded"


def test_pages_of_other_sites_cannot_unload(wharf):
    d = wharf(models("a"))
    d.load("a")
    answer = d.post("/api/generate", {"model": "a", "keep_alive": 0}, {"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403 and d.state_of("a") == "loaded"


def test_a_load_that_nobody_waits_for_any_more(wharf, tmp_path):
    """The client leaves while its model loads: the exchange is gone, the daemon is not."""
    flag = tmp_path / "flag"
    d = wharf({"models": {"a": held(demo("a"), flag)}})
    events = d.events()
    with d.connect() as c:
        c.request("POST", "/api/generate", {"model": "a"})
        events.wait_for("model_loading", model="a")
    flag.touch()
    assert d.ok(d.post("/api/generate", {"model": "a"})).json()["done_reason"] == "load"


def test_models_of_peers_come_and_go_as_the_peer_likes(told):
    for keep, why in ((None, "load"), (0, "unload")):
        body = {"model": "far/theirs", **({} if keep is None else {"keep_alive": keep})}
        assert told.ok(told.post("/api/generate", body)).json()["done_reason"] == why


KEPT = [("5m", 300), (90, 90), ("1h30m", 5400), ("45s", 45), (0.5, 0), ("250", 250)]


@pytest.mark.slice
def test_keep_alive_is_when_it_expires(wharf):
    """The model's own ttl is an hour; what a request says of it holds until the model leaves."""
    d = wharf(models("a", ttl=3600))
    for keep, seconds in KEPT:
        d.ok(d.post("/api/chat", {"model": "a", "messages": [{"role": "user", "content": "Hi"}], "keep_alive": keep, "stream": False}))
        if seconds == 0:
            continue
        (one,) = d.get("/api/ps").json()["models"]
        left = (at(one["expires_at"]) - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        assert seconds - 10 < left <= seconds, keep
    for path, body in (("generate", {}), ("embed", {"input": "x"}), ("generate", {"prompt": "x"})):
        d.ok(d.post(f"/api/{path}", {"model": "a", "keep_alive": -1, **body}))
        assert at(d.get("/api/ps").json()["models"][0]["expires_at"]).year > 2200
        d.ok(d.post(f"/api/{path}", {"model": "a", "keep_alive": "10m", **body}))
        assert at(d.get("/api/ps").json()["models"][0]["expires_at"]).year < 2200


@pytest.mark.slice
def test_keep_alive_of_nothing_unloads_behind_the_answer(wharf):
    d = wharf(models("a"))
    for stream in (True, False):
        answer = d.ok(d.post("/api/generate", {"model": "a", "prompt": "Hi", "keep_alive": 0, "stream": stream}))
        assert b'"done":true' in answer.body
        d.until_model("a", state="unloaded")


# ---------------------------------------------------------------- what there is not

@pytest.mark.slice
@pytest.mark.parametrize("method, path", [
    ("POST", "/api/pull"), ("POST", "/api/push"), ("POST", "/api/create"), ("POST", "/api/copy"), ("DELETE", "/api/delete"),
    ("POST", "/api/blobs/sha256:00"), ("HEAD", "/api/blobs/sha256:00")])
def test_what_only_a_real_ollama_can_do_is_501(wharf, method, path):
    d = wharf(models("a"))
    answer = d.ask(method, path, json.dumps({"model": "a"}))
    assert answer.status == 501
    if method != "HEAD":
        assert answer.json() == {"error": "models are defined in wharf's configuration; they are not pulled, pushed, "
                                          "created, copied or deleted here"}


def test_version_has_llama_swaps_members(wharf):
    d = wharf(models("a"))
    assert set(d.get("/api/version").json()) == {"version", "commit", "build_date"}
    assert d.ask("HEAD", "/").status == 200


# ---------------------------------------------------------------- Ollama's API alone


def beside(wharf, **keys):
    port = free_port()
    d = wharf({**models("a"), "ollama": {"listen": f"127.0.0.1:{port}"}, **keys})
    return d, lambda *words: Connection(("127.0.0.1", port)).ask(*words)


@pytest.mark.slice
def test_a_listener_of_ollamas_api_alone(wharf):
    d, ask = beside(wharf)
    assert "Ollama's API alone" in d.stderr
    answer = ask("GET", "/")
    assert (answer.status, answer.text) == (200, "Ollama is running")
    assert ask("HEAD", "/").status == 200
    version = ask("GET", "/api/version").json()
    assert re.fullmatch(r"0\.\d+\.\d+", version["version"]) and {"wharf", "commit", "build_date"} <= set(version)
    assert version["wharf"] == d.get("/api/version").json()["version"]
    assert names(ask("GET", "/api/tags")) == ["a:latest"]
    assert ask("POST", "/v1/chat/completions", chat_body("a")).status == 200
    assert ask("GET", "/v1/models").json()["data"][0]["id"] == "a"
    assert ask("POST", "/api/generate", {"model": "a", "prompt": "x", "stream": False}).json()["done"] is True
    for method, path in (("GET", "/running"), ("GET", "/unload"), ("POST", "/api/models/unload"), ("GET", "/wharf/status"), ("GET", "/logs"),
                         ("GET", "/upstream/a/"), ("GET", "/metrics"), ("GET", "/api/events"), ("POST", "/rerank"), ("GET", "/health")):
        answer = ask(method, path)
        assert (answer.status, answer.json()) == (404, {"error": "no such path"}), path
    assert ask("GET", "/api/chat").json() == {"error": "method not allowed here"}
    assert ask("OPTIONS", "/api/chat").status == 204
    assert d.get("/").text != "Ollama is running"


def test_keys_hold_there_too(wharf):
    _, ask = beside(wharf, apiKeys=["k"])
    assert ask("GET", "/").status == 200
    for path in ("/api/tags", "/api/version", "/v1/models"):
        assert ask("GET", path).status == 401
        assert ask("GET", path, None, {"Authorization": "Bearer k"}).status == 200
    assert ask("GET", "/api/tags").json() == {"error": "missing or wrong API key"}


def test_a_port_that_is_taken_is_a_warning(wharf):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        d = wharf({**models("a"), "ollama": {"listen": f"127.0.0.1:{port}"}})
        assert d.chat("a").status == 200
        until(lambda: "going on without it" in d.stderr, "a warning")
        assert re.search(rf"warn .*ollama.listen: cannot listen on 127.0.0.1:{port}: address already in use; going on without it", d.stderr)


def test_what_the_key_says_is_checked(tmp_path):
    status, text = check_config({**models("a"), "ollama": {"listen": "11434"}}, tmp_path)
    assert status and 'error: ollama.listen "11434": write host:port, :port, [::1]:port or unix:/path' in text.replace("'", '"')
    path = tmp_path / "good.yaml"
    path.write_text(json.dumps({**models("a"), "ollama": {"listen": " [::1]:11434 "}}))
    printed = subprocess.run([WHARF, "check", str(path), "--print"], capture_output=True, text=True, check=True).stdout
    assert 'ollama:\n  listen: "[::1]:11434"\n' in printed


def test_a_unix_socket_will_do(wharf):
    path = f"/tmp/wharf-ollama-{os.getpid()}.sock"  # pytest's folders are too long for a socket's path
    d = wharf({**models("a"), "ollama": {"listen": f"unix:{path}"}})
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert sock.makefile("rb").read().endswith(b"\r\n\r\nOllama is running")
    d.stop()
    assert not os.path.exists(path)
