"""Paths that name their model, and what becomes of other paths (sections 3.1, 3.6 and 3.14 of
llama-swap's behaviour)."""

import json

import pytest

from wharf_harness import WHARF, Daemon, demo, serve_requests

HAS_PAGE = b"assets/index-" in WHARF.read_bytes()

KEY = {"Authorization": "Bearer k"}


def echo(peer, line, headers, body):
    peer.answer(json.dumps({"line": line, "body": body.decode()}))


@pytest.fixture
def d(wharf, upstream):
    u = upstream(serve_requests(echo))
    return wharf({"models": {name: u.model() for name in ("m", "a", "a/b", "comfyui_auto")}})


def seen(answer):
    assert answer.status == 200, answer
    return answer.json()["line"].split(" ")[1]


@pytest.mark.slice
@pytest.mark.parametrize("path, at_the_server", [
    ("/upstream/m/", "/"),
    ("/upstream/m/x?y=z", "/x?y=z"),
    ("/upstream/a/c", "/c"),
    ("/upstream/a/b/c", "/c"),
    ("/upstream/a%2Fb/c%2Fd", "/c%2Fd"),
    ("/upstream/m//x/../y", "//x/../y"),
    ("/comfyui/", "/"),
    ("/comfyui/?x=y", "/?x=y"),
])
def test_paths(d, path, at_the_server):
    assert seen(d.get(path)) == at_the_server


@pytest.mark.parametrize("method, status", [("GET", 301), ("HEAD", 301), ("POST", 308), ("PUT", 308)])
@pytest.mark.parametrize("path", ["/upstream/m", "/upstream/a/b", "/comfyui"])
def test_a_missing_slash(d, method, status, path):
    answer = d.ask(method, f"{path}?x=y%20z", b"" if method[0] == "P" else None)
    assert (answer.status, answer.header("Location")) == (status, f"{path}/?x=y%20z")
    assert d.state_of("m") == d.state_of("comfyui_auto") == "unloaded"


@pytest.mark.slice
@pytest.mark.parametrize("path", ["x.js", "a/b.png", "style.css?v=3", "favicon%2Eico", "%zz.txt"])
def test_ignored_paths_load_nothing(d, path):
    answer = d.get(f"/upstream/m/{path}")
    assert (answer.status, answer.error["code"]) == (409, "conflict"), answer
    assert answer.message == "model m is not loaded; path matches upstream.ignorePaths"
    assert d.state_of("m") == "unloaded"
    d.load("m")
    assert seen(d.get(f"/upstream/m/{path}")) == "/" + path


def test_own_ignored_paths(wharf, upstream):
    u = upstream(serve_requests(echo))
    d = wharf({"upstream": {"ignorePaths": ["^/api/poll$"]}, "models": {"m": u.model()}})
    assert d.get("/upstream/m/api/poll").status == 409
    assert d.post("/upstream/m/api/poll", b"x").status == 409
    assert seen(d.get("/upstream/m/x.js")) == "/x.js"
    assert seen(d.get("/upstream/m/api/poll")) == "/api/poll"


@pytest.mark.slice
@pytest.mark.parametrize("path", ["/comfyui/ws", "/comfyui/a/b", "/comfyui//"])
def test_only_the_first_page_of_comfyui_loads_it(d, path):
    answer = d.get(path)
    assert (answer.status, answer.error["code"]) == (409, "conflict"), answer
    assert answer.message.startswith("model comfyui_auto is not loaded; ")
    assert d.state_of("comfyui_auto") == "unloaded"
    assert seen(d.get("/comfyui/")) == "/"
    assert seen(d.get(path)) == path.removeprefix("/comfyui")
    assert json.loads(d.post("/comfyui/prompt", b"{}").body)["body"] == "{}"


def test_comfyui_without_its_model(wharf):
    d = wharf({"models": {"m": demo("m")}})
    answer = d.get("/comfyui/")
    assert (answer.status, answer.error["code"]) == (404, "model_not_found"), answer
    assert "comfyui_auto" in answer.message


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("closed"), {
        "apiKeys": ["k"], "models": {"m": demo("m"), "comfyui_auto": demo("comfyui_auto")}})
    yield d
    d.finish()


@pytest.mark.parametrize("path", ["/upstream/m/x", "/upstream/m", "/comfyui", "/comfyui/", "/comfyui/x"])
def test_keys(closed, path):
    assert closed.get(path).status == 401


@pytest.mark.parametrize("path, status, location", [
    ("/health", 200, None), ("/wol-health", 200, None), ("/favicon.ico", 204, None),
    ("/upstream", 302, "ui/#/now" if HAS_PAGE else "./"), ("/", 200, None)])
def test_open_paths(closed, path, status, location):
    answer = closed.get(path)
    assert (answer.status, answer.header("Location")) == (status, location)
    assert closed.ask("HEAD", path).status == status


@pytest.mark.slice
@pytest.mark.parametrize("path, cleaned", [
    ("//v1/models", "/v1/models"), ("/v1//models", "/v1/models"), ("/v1/./models", "/v1/models"),
    ("/x/../v1/models", "/v1/models"), ("/../v1/models", "/v1/models"), ("/v1/models/.", None),
    ("/v1/models/x/..", None), ("//evil.example/x", None), ("///", "/"), ("/./upstream/m/x",
                                                                         "/upstream/m/x"),
    ("/v1//chat/completions", "/v1/chat/completions"), ("//comfyui", "/comfyui"), ("/v1//nothing", None),
    ("/%2e%2e/v1/models", None), ("/v1/models", 200)])
def test_cleaned_paths(closed, path, cleaned):
    """A path that means one of wharf's goes there, also with another method; nothing else does."""
    answer = closed.get(path + "?a=b", KEY)
    if isinstance(cleaned, str):
        assert (answer.status, answer.header("Location")) == (307, cleaned + "?a=b")
        assert closed.post(path, b"{}", KEY).header("Location") == cleaned
    else:
        assert answer.status == (cleaned or 404), answer
