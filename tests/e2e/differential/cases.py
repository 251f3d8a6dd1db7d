"""What both sides are asked: configurations, and a table of requests."""

import shlex
from typing import NamedTuple

from wharf_harness import DEMO, demo

HOST = "differential.test"  # the ports differ, and models' servers see this header
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=B0undary"}
KEY = "the-key"

BROKEN = {"cmd": "false", "proxy": "http://127.0.0.1:9"}
# What stands in /running of both must not depend on where this is built.
PLAIN = {"a": demo("a", aliases=["also-a"], description="the first",
                   metadata={"kind": "pretended", "size": 8}),
         "b": demo("b", "--tokens", 5, name="The second"),
         "renamed": demo("renamed", useModelName="inner"),
         "filtered": demo("filtered", filters={
             "stripParams": "top_k, seed", "setParams": {"temperature": 0.5, "extra": {"a": [1]}},
             "setParamsByID": {"filtered:high": {"effort": "high"}}}),
         "hidden": demo("hidden", unlisted=True),
         "broken": BROKEN}
CONFIGS = {
    "open": {
        "models": PLAIN,
        "macros": {"unused": 1},
        "groups": {"main": {"swap": False, "members": ["a", "renamed", "filtered", "hidden"]},
                   "other": {"members": ["b", "broken"]}},
        "profiles": {"work": {"description": "at work", "pins": {"a": "b"}}},
        "selectors": {"any": {"strategy": "warm", "targets": ["a", "b"]}},
    },
    "keys": {"apiKeys": [KEY], "models": {"a": demo("a")}},
}
assert shlex.quote(str(DEMO)) == str(DEMO), "the path of the build has blanks"


class Request(NamedTuple):
    method: str
    path: str
    body: object = None
    headers: dict = {}


class Case(NamedTuple):
    name: str
    requests: list
    config: str = "open"
    body: bool = True  # whether the bodies are compared, or only that they are of one kind


def user(text="all hands"):
    return [{"role": "user", "content": text}]


def post(path, _headers=None, **body):
    return Request("POST", path, body, {**JSON, **(_headers or {})})


def chat(model="a", _headers=None, **keys):
    return post("/v1/chat/completions", _headers, model=model, messages=user(), **keys)


def get(path, **headers):
    return Request("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()})


def form(*fields):
    """(name, file or None, text) each."""
    body = ""
    for name, file, text in fields:
        extra = f'; filename="{file}"\r\nContent-Type: audio/wav' if file else ""
        body += f'--B0undary\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{text}\r\n'
    return body + "--B0undary--\r\n"


FILE = ("file", "a.wav", "some sound")
# Paths that the pretended engine does not know it answers with what arrived.
SEEN = "/v1/audio/voices"


def on(name, *requests, **keys):
    return Case(name, list(requests), **keys)


CASES = [
    # what there is
    on("models", get("/v1/models")),
    on("models, the other path", get("/models")),
    on("models for a browser", get("/v1/models", Origin="http://page.test")),
    on("health", get("/health"), Request("HEAD", "/health"), get("/wol-health")),
    on("nothing runs", get("/unload"), get("/running")),
    on("something runs", get("/unload"), chat("a"), get("/running")),
    on("loaded in the list", chat("a"), get("/v1/models")),
    on("unload", chat("a"), post("/api/models/unload"), get("/running")),
    on("unload one", chat("a"), Request("POST", "/api/models/unload/also-a"), get("/running")),
    on("unload what there is not", Request("POST", "/api/models/unload/none")),
    on("version", get("/api/version"), body=False),
    on("profiles", get("/api/profiles")),
    on("a profile", Request("PUT", "/api/profiles/active", {"name": "work"}, JSON), chat("a"),
       Request("PUT", "/api/profiles/active", {"name": None}, JSON)),
    on("no such profile", Request("PUT", "/api/profiles/active", {"name": "none"}, JSON)),
    on("a profile without a name", Request("PUT", "/api/profiles/active", {}, JSON)),

    # models' answers
    on("chat", chat()),
    on("chat streamed", chat(stream=True, stream_options={"include_usage": True})),
    on("chat with tools", chat(tools=[{"type": "function", "function": {
        "name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}}],
        tool_choice="required")),
    on("chat by an alias", chat("also-a")),
    on("chat by a selector", chat("any")),
    on("chat of another model", chat("b"), get("/running")),
    on("a hidden model", chat("hidden")),
    on("completions", post("/v1/completions", model="a", prompt="x")),
    on("completions streamed", post("/v1/completions", model="a", prompt="x", stream=True)),
    on("responses", post("/v1/responses", model="a", input="x")),
    on("responses streamed", post("/v1/responses", model="a", input="x", stream=True)),
    on("messages", post("/v1/messages", model="a", max_tokens=9, messages=user())),
    on("messages streamed", post("/v1/messages", model="a", max_tokens=9, messages=user(),
                                 stream=True)),
    on("count tokens", post("/v1/messages/count_tokens", model="a", messages=user())),
    on("embeddings", post("/v1/embeddings", model="a", input=["x", "y"])),
    on("rerank", post("/v1/rerank", model="a", query="x", documents=["x", "y"]),
       post("/reranking", model="a", query="x", documents=["x", "y"])),
    on("llama.cpp's own", post("/completion", model="a", prompt="x"),
       post("/infill", model="a", input_prefix="x"), get("/props?model=a")),
    on("speech", post("/v1/audio/speech", model="a", input="x")),
    on("images", post("/v1/images/generations", model="a", prompt="x")),
    on("the versionless paths", post("/v/chat/completions", model="a", messages=user())),
    on("a transcription", Request("POST", "/v1/audio/transcriptions",
                                  form(("model", None, "a"), FILE), FORM)),

    # what models' servers see
    on("a body as it came", Request("POST", SEEN, '{ "model" : "a",  "x": [1.0, "\\u00e9"] }', JSON)),
    on("another name upstream", post(SEEN, model="renamed", x=1)),
    on("filters", post(SEEN, model="filtered", top_k=1, temperature=1, seed=2, x=3)),
    on("filters by id", post(SEEN, model="filtered:high", x=3)),
    on("another name in a form", Request("POST", "/v1/audio/transcriptions",
                                         form(("model", None, "renamed"), FILE), FORM)),
    on("a form in the query", get(SEEN + "?model=a&x=%20y")),
    on("headers of a client", post(SEEN, {"X-Thing": "1", "Accept": "application/json",
                                          "User-Agent": "test"}, model="a")),
    on("encodings that a client accepts", post(SEEN, {"Accept-Encoding": "gzip, br"}, model="a")),
    on("upstream", get("/upstream/a/x/y?z=1"), Request("PUT", "/upstream/a/x", "text")),
    on("upstream without a slash", get("/upstream/a")),
    on("upstream by an alias", get("/upstream/also-a/x")),
    on("upstream of nobody", get("/upstream/none/x")),
    on("upstream that loads nothing", get("/unload"), get("/upstream/a/x.js")),

    # what goes wrong
    on("unknown model", chat("none")),
    on("unknown model, as text", chat("none", {"Accept": "text/plain"})),
    on("unknown model, as a page", chat("none", {"Accept": "text/html"})),
    on("unknown model, either", chat("none", {"Accept": "application/json, text/plain, */*"})),
    on("unknown model of Anthropic's", post("/v1/messages", model="none", messages=user())),
    on("no model", post("/v1/chat/completions", messages=user())),
    on("an empty model", chat("")),
    on("no JSON", Request("POST", "/v1/chat/completions", "{", JSON)),
    on("no content type", Request("POST", "/v1/chat/completions",
                                  '{"model": "a", "messages": []}')),
    on("two models", Request("POST", SEEN, '{"model": "a", "model": "b"}', JSON)),
    on("a model that fails to load", chat("broken")),
    on("a model that fails to load, again", chat("broken")),
    on("unknown path", get("/v1/nothing")),
    on("wrong method", Request("DELETE", "/v1/chat/completions")),
    on("doubled slashes", get("//v1//models")),
    on("preflight", Request("OPTIONS", "/v1/chat/completions", None, {
        "Origin": "http://page.test", "Access-Control-Request-Headers": "authorization, x-odd"})),
    on("an answer for a browser", chat("a", {"Origin": "http://page.test"})),

    # pages, logs, the rest of the API
    on("the first page", get("/"), get("/upstream"), body=False),
    on("an icon", get("/favicon.ico"), body=False),
    on("logs", get("/logs"), body=False),
    on("logs of nobody", get("/logs/stream/none")),
    on("activity that cannot be", get("/api/metrics/activity?limit=0"),
       get("/api/metrics/activity?page=0"), get("/api/metrics/activity?order=up"),
       get("/api/metrics/activity?sort=x"), get("/api/metrics/activity?start=yesterday")),
    on("captures that cannot be", get("/api/captures/x"), get("/api/captures/999999")),
    on("a request that is not there", Request("POST", "/api/inflight/9999/cancel")),

    # keys
    on("no key", chat(), config="keys"),
    on("a wrong key", chat("a", {"Authorization": "Bearer other"}), config="keys"),
    on("a key", chat("a", {"Authorization": f"Bearer {KEY}"}), chat("a", {"x-api-key": KEY}),
       chat("a", {"Authorization": "Basic OnRoZS1rZXk="}), config="keys"),
    on("no key needed", get("/health"), config="keys"),
    on("a key upstream", post(SEEN, {"Authorization": f"Bearer {KEY}"}, model="a"), config="keys"),
]
