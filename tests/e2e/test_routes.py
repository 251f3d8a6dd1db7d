"""Every path that carries a model, wherever it stands, and that bytes pass unchanged."""

import json
import threading

import pytest

from wharf_harness import Connection, Daemon, content, demo, models, serve_requests

JSON_PATHS = {p: p for p in """
    /v1/chat/completions /v1/responses /v1/completions /v1/messages /v1/messages/count_tokens
    /v1/embeddings /reranking /rerank /v1/rerank /v1/reranking /infill /completion
    /v1/audio/speech /v1/audio/voices /v1/images/generations /sdapi/v1/txt2img /sdapi/v1/img2img
    """.split()}
JSON_PATHS |= {"/audioapi/v1/tasks/run": "/v1/tasks/run"}
JSON_PATHS |= {f"/v/{p}": f"/{p}" for p in """
    chat/completions responses completions messages messages/count_tokens embeddings rerank
    reranking""".split()}
FORM_PATHS = ["/v1/audio/transcriptions", "/v1/images/edits"]
QUERY_PATHS = ["/v1/audio/voices", "/sdapi/v1/loras", "/props"]


class Recorder:
    """A model's server that keeps the requests that reach it."""

    def __init__(self, upstream):
        self.requests = []
        self.lock = threading.Lock()

        def answer(peer, line, headers, body):
            with self.lock:
                self.requests.append((line, headers, body))
            peer.answer('{"ok":true}')

        self.server = upstream(serve_requests(answer))

    def last(self):
        with self.lock:
            return self.requests[-1]


@pytest.fixture
def recorded(wharf, upstream):
    r = Recorder(upstream)
    d = wharf({"models": {"m": r.server.model(), "other": demo("other"),
                          "org/deep/name": r.server.model(),
                          "renamed": r.server.model(useModelName="inner \"name\"")}})
    return d, r


@pytest.mark.parametrize("path", JSON_PATHS)
def test_model_in_json(recorded, path):
    d, r = recorded
    body = b'{ "x": [1, {"model": "not this"}], "model" : "m", "y": "\\u00e9\xc3\xa9" }'
    d.ok(d.post(path, body, {"Content-Type": "application/json"}))
    line, headers, got = r.last()
    assert line == f"POST {JSON_PATHS[path]} HTTP/1.1"
    assert got == body, "the body changed on its way"
    assert headers["content-type"] == "application/json"


def form(boundary, *parts):
    out = b""
    for name, extra, value in parts:
        out += b"--%b\r\nContent-Disposition: form-data; name=\"%b\"%b\r\n\r\n%b\r\n" % (
            boundary, name, extra, value)
    return out + b"--%b--\r\n" % boundary


FILE = (b"file", b'; filename="a b.wav"\r\nContent-Type: audio/wav', bytes(range(256)) * 40)
MODEL = (b"model", b"", b"m")
OTHER = (b"language", b"", b"en")


@pytest.mark.parametrize("path", FORM_PATHS)
@pytest.mark.parametrize("parts", [(MODEL, FILE, OTHER), (FILE, OTHER, MODEL)],
                         ids=["first", "last"])
def test_model_in_a_form(recorded, path, parts):
    d, r = recorded
    body = form(b"B0undary", *parts)
    d.ok(d.post(path, body, {"Content-Type": "multipart/form-data; boundary=B0undary"}))
    line, headers, got = r.last()
    assert line == f"POST {path} HTTP/1.1"
    assert got == body
    assert headers["content-type"] == "multipart/form-data; boundary=B0undary"


@pytest.mark.parametrize("path", QUERY_PATHS)
@pytest.mark.parametrize("query", ["model=m", "a=1&model=m&b=%20", "model=%6D"])
def test_model_in_the_query(recorded, path, query):
    d, r = recorded
    d.ok(d.get(f"{path}?{query}"))
    assert r.last()[0] == f"GET {path}?{query} HTTP/1.1"


@pytest.mark.parametrize("target, seen", [
    ("/upstream/m/", "/"),
    ("/upstream/m/a/b?c=d%20e", "/a/b?c=d%20e"),
    ("/upstream/m/a%2Fb/%C3%A9", "/a%2Fb/%C3%A9"),
    ("/upstream/m//double", "//double"),
    ("/upstream/org/deep/name/x", "/x"),
    ("/upstream/org%2Fdeep%2Fname/x", "/x"),
])
def test_model_in_the_path(recorded, target, seen):
    d, r = recorded
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        d.ok(d.ask(method, target, b"body" if method == "PUT" else None))
        line, _, body = r.last()
        assert line == f"{method} {seen} HTTP/1.1"
        assert body == (b"body" if method == "PUT" else b"")


@pytest.mark.parametrize("method, status", [("GET", 301), ("POST", 308)])
def test_a_missing_slash_is_added(recorded, method, status):
    d, _ = recorded
    answer = d.ask(method, "/upstream/m?a=b", b"" if method == "POST" else None)
    assert (answer.status, answer.header("Location")) == (status, "/upstream/m/?a=b")
    assert d.state_of("m") == "unloaded"


def test_unknown_paths(recorded):
    d, _ = recorded
    for path in ("/v1/unheard-of", "/upstream/", "/wharf", "/wharf/nothing"):
        answer = d.post(path, {"model": "m"})
        assert answer.status == 404 and answer.error["message"], (path, answer)


# ---------------------------------------------------------------- what changes, and what does not


@pytest.mark.slice
@pytest.mark.parametrize("before, after", [
    (b'{"model":"renamed"}', b'{"model":"inner \\"name\\""}'),
    (b' {\n "messages" : [ {"model":"renamed"} ] ,\t"model"  :  "renamed" , "n":1e2 }\n',
     b' {\n "messages" : [ {"model":"renamed"} ] ,\t"model"  :  "inner \\"name\\"" , "n":1e2 }\n'),
    (b'{"a":"\\u0000\\ud83d\\ude00","mod\\u0065l":"ren\\u0061med"}',
     b'{"a":"\\u0000\\ud83d\\ude00","mod\\u0065l":"inner \\"name\\""}'),
])
def test_use_model_name_changes_nothing_else(recorded, before, after):
    d, r = recorded
    d.ok(d.post("/v1/chat/completions", before, {"Content-Type": "application/json"}))
    _, headers, got = r.last()
    assert got == after
    assert headers.get("content-length") == str(len(after)) or "transfer-encoding" in headers


def test_use_model_name_behind_white_space_of_its_own(recorded):
    """What curl -d sends, called a form and in two pieces: the first does not tell yet what it is."""
    d, r = recorded
    with d.connect() as c:
        c.request("POST", "/v1/chat/completions",
                  b'2\r\n \n\r\n13\r\n{"model":"renamed"}\r\n0\r\n\r\n',
                  {"Content-Type": "application/x-www-form-urlencoded", "Transfer-Encoding": "chunked"})
        d.ok(c.answer())
    assert r.last()[2] == b' \n{"model":"inner \\"name\\""}'


def test_use_model_name_in_a_form(recorded):
    d, r = recorded
    before = form(b"XX", FILE, (b"model", b"", b"renamed"), OTHER)
    after = form(b"XX", FILE, (b"model", b"", b'inner "name"'), OTHER)
    d.ok(d.post(FORM_PATHS[0], before, {"Content-Type": "multipart/form-data; boundary=XX"}))
    assert r.last()[2] == after


def test_use_model_name_in_a_large_body(recorded):
    d, r = recorded
    rest = b',"input":"' + b"word " * 200_000 + b'"}'
    d.ok(d.post("/v1/embeddings", b'{"model":"renamed"' + rest, {"Content-Type": "application/json"}))
    assert r.last()[2] == b'{"model":"inner \\"name\\""' + rest


def test_request_headers(recorded):
    d, r = recorded
    d.ok(d.post("/v1/chat/completions", {"model": "m"}, {
        "X-Mine": "a, b", "User-Agent": "tests/1", "Accept": "x/y", "Cookie": "c=d",
        "Connection": "x-hop, keep-alive", "X-Hop": "1", "Keep-Alive": "timeout=5", "TE": "trailers",
        "Proxy-Authorization": "Basic eDp5", "Proxy-Connection": "keep-alive"}))
    _, headers, _ = r.last()
    assert headers["x-mine"] == "a, b" and headers["user-agent"] == "tests/1"
    assert headers["accept"] == "x/y" and headers["cookie"] == "c=d"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    for hop in ("x-hop", "keep-alive", "te", "proxy-authorization", "proxy-connection", "expect"):
        assert hop not in headers, f"{hop} was forwarded"
    assert "host" in headers


@pytest.mark.slice
def test_the_answer_is_the_upstreams_byte_for_byte(wharf, upstream):
    body = bytes(range(256)) * 1000
    head = (b"HTTP/1.1 418 I'm a teapot\r\nServer: odd/1.0\r\nX-One: a\r\nX-One: b\r\nSet-Cookie: q\r\n"
            b"content-TYPE: x/y; z=\"w\"\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=3\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body))

    def script(peer, _):
        while True:
            peer.request()
            peer.send(head + body)

    d = wharf({"models": {"m": upstream(script).model()}})
    answer = d.chat("m")
    assert (answer.status, answer.body, answer.complete) == (418, body, True)
    assert [v for n, v in answer.headers if n.lower() == "x-one"] == ["a", "b"]
    assert answer.header("Server") == "odd/1.0" and answer.header("Set-Cookie") == "q"
    assert answer.header("Content-Type") == 'x/y; z="w"'
    assert answer.header("X-Hop") is None and answer.header("Keep-Alive") is None


# ---------------------------------------------------------------- through a real engine


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("served"), {
        "models": {"m": demo("m", aliases=["gpt-4o", "org/m"], name="Model M", description="d"),
                   "hidden": demo("hidden", unlisted=True)}})
    yield d
    d.finish()


def test_embeddings(served):
    answer = served.ok(served.post("/v1/embeddings", {"model": "m", "input": ["a", "b"]})).json()
    assert len(answer["data"]) == 2


def test_rerank(served):
    answer = served.ok(served.post("/v1/rerank", {
        "model": "org/m", "query": "cats", "documents": ["dogs", "many cats"]})).json()
    assert answer["results"][0]["index"] == 1


def test_transcription(served):
    body = form(b"YY", FILE, MODEL)
    answer = served.ok(served.post("/v1/audio/transcriptions", body,
                                   {"Content-Type": "multipart/form-data; boundary=\"YY\""}))
    assert answer.json()["file_bytes"] == 256 * 40


def test_speech(served):
    answer = served.ok(served.post("/v1/audio/speech", {"model": "m", "input": "hi"}))
    assert answer.header("Content-Type") == "audio/wav" and answer.body[:4] == b"RIFF"


def test_alias_in_every_place(served):
    assert content(served.ok(served.chat("gpt-4o"))).startswith("demo-model m")
    assert served.ok(served.get("/props?model=gpt-4o")).json()["model_path"] == "m"
    assert served.ok(served.get("/upstream/org/m/v1/models")).json()["data"][0]["id"] == "m"


def test_list_of_models(served):
    served.load("m")
    for path in ("/v1/models", "/models"):
        answer = served.get(path, {"Origin": "http://page.example"})
        listed = answer.json()
        assert listed["object"] == "list" and [m["id"] for m in listed["data"]] == ["m"]
        m = listed["data"][0]
        assert (m["object"], m["name"], m["description"]) == ("model", "Model M", "d")
        assert m["status"] == {"value": "loaded"} and isinstance(m["created"], int)
        assert answer.header("Access-Control-Allow-Origin") == "http://page.example"


def test_a_hidden_model_is_usable(served):
    assert content(served.ok(served.chat("hidden"))).startswith("demo-model hidden")


def test_running(served):
    served.load("m")
    [m] = served.ok(served.get("/running")).json()["running"]
    assert (m["model"], m["state"], m["name"], m["ttl"]) == ("m", "ready", "Model M", 0)
    assert "wharf-demo-model" in m["cmd"]


@pytest.mark.parametrize("method, path, body", [
    ("GET", "/unload", b"OK"), ("POST", "/api/models/unload", b'{"msg":"ok"}'),
    ("POST", "/api/models/unload/m", b"OK"), ("POST", "/api/models/unload/org/m", b"OK")])
def test_unload_the_way_of_llama_swap(served, method, path, body):
    served.load("m")
    answer = served.ok(served.ask(method, path, b"" if method == "POST" else None))
    assert answer.body.strip() == body
    assert served.get("/running").json() == {"running": []}
    assert not served.engines()


def test_unload_of_an_unknown_model(served):
    assert served.post("/api/models/unload/nobody").status == 404


def test_unload_stops_what_runs_at_once(wharf):
    d = wharf({"models": {"m": demo("m", "--token-delay", "1s", "--tokens", "60")}})
    d.load("m")
    with Connection(d.address) as c:
        c.request("POST", "/v1/chat/completions", {"model": "m", "messages": [], "stream": True})
        head = c.head()
        stream = c.sse(head)
        next(stream)
        d.ok(d.get("/unload"))
        with pytest.raises(ConnectionError):
            list(stream)


def test_a_page_of_another_site_cannot_unload(served):
    pid = served.load("m")["pid"]
    answer = served.get("/unload", {"Sec-Fetch-Site": "cross-site"})
    assert answer.status >= 400
    assert served.model("m")["pid"] == pid


def test_a_page_of_another_site_cannot_unload_where_browsers_name_no_site(served):
    """To a plain address of the network they send no Sec-Fetch-Site, but who asks."""
    def unload(host, **headers):
        with served.connect() as c:
            return c.ask("POST", "/api/models/unload", b"", {k.replace("_", "-"): v for k, v in headers.items()}, host=host)

    pid = served.load("m")["pid"]
    for origin in ("http://evil.example", "http://evil.example:8080", "null", "file://", "http://xwharf.lan:8080",
                   "http://wharf.lan:80801", "wharf.lan:8080", "://"):
        assert unload("wharf.lan:8080", Origin=origin).status == 403, origin
    assert served.model("m")["pid"] == pid
    served.ok(unload("wharf.lan:8080", Origin="http://Wharf.lan:8080"))
    assert served.state_of("m") == "unloaded"
    # A proxy in front may have changed the host: where the browser says it, that counts.
    served.ok(unload("127.0.0.1:1", Origin="https://wharf.lan", Sec_Fetch_Site="same-origin"))


def test_native_list(served):
    listed = served.ok(served.get("/wharf/models")).json()["models"]
    assert [m["id"] for m in listed] == ["hidden", "m"]
    for m in listed:
        assert {"id", "state", "in_flight", "waiting", "footprint_bytes", "pid", "port",
                "reason"} <= set(m)
    assert served.ok(served.get("/wharf/models/org%2Fm")).json()["id"] == "m"
    assert served.ok(served.get("/wharf/models/org/m")).json()["id"] == "m"


def test_status(served):
    status = served.ok(served.get("/wharf/status")).json()
    assert status["state"] == "serving" and status["models"] == 2
    assert isinstance(status["devices"], list) and "version" in status


def test_event_ids_and_resuming(wharf):
    d = wharf(models("m"))
    first = d.events()
    d.load("m")
    loaded = first.wait_for("model_loaded", model="m")
    d.ok(d.post("/wharf/models/m/unload"))
    unloaded = first.wait_for("model_unloaded", model="m")
    ids = [e["id"] for e in first.seen]
    assert ids == sorted(set(ids))
    for e in first.seen:
        assert e["sse"]["id"] == str(e["id"]) and e["sse"]["event"] == e["type"]
        assert {"id", "time", "type", "details"} <= set(e)
    first.close()
    again = d.events(last_event_id=loaded["id"])
    resumed = again.wait_for("model_unloaded", model="m")
    assert resumed["id"] == unloaded["id"]
    assert not again.all("model_loaded"), "what had been seen came again"


def test_logs(served):
    served.load("m")
    text = served.ok(served.get("/logs")).text
    assert "listening on" in text and "model_loaded" in text
    with Connection(served.address) as c:
        head = c.request("GET", "/logs/stream?no-history").head()
        assert head.header("Content-Type").startswith("text/plain")
        served.ok(served.post("/wharf/models/m/unload"))
        piece = next(c.pieces(head))
        assert b"unload" in piece and b"listening on" not in piece


def test_bodies_stay_json(served):
    """All of wharf's own answers are what they say."""
    for path in ("/wharf/models", "/wharf/status", "/wharf/devices", "/running", "/v1/models",
                 "/api/version"):
        answer = served.ok(served.get(path))
        assert answer.header("Content-Type").startswith("application/json")
        json.loads(answer.body)
