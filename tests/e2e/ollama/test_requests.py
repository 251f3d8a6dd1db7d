"""Requests of Ollama's API, and what the model's server sees of them, a row each."""

import json

import pytest

from wharf_harness import SECONDS

CHAT, TEXT, EMBED, INFILL = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/infill"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
PNG, JPEG, GIF, WEBP = "iVBORw0KGgoAAA==", "/9j/4AAQ", "R0lGODlh", "UklGRgAA"
USER = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def chat(*messages, **keys):
    return {"model": "m", "messages": list(messages) or [USER], "stream": False, **keys}


def asked(*messages, **keys):
    return {"model": "m", "messages": list(messages) or [USER], "stream": False, **keys}


def image(kind, data):
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}


def called(id_, name, arguments):
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments, separators=(",", ":"))}}


def call(name, arguments, **keys):
    return {"function": {"name": name, "arguments": arguments}, **keys}


def user(text):
    return {"role": "user", "content": text}


OPTIONS = {"temperature": 0.5, "top_p": 0.25, "top_k": 40, "min_p": 0.125, "typical_p": 1, "seed": 7, "stop": ["a", "b"],
           "repeat_penalty": 1.5, "repeat_last_n": 64, "presence_penalty": 0.5, "frequency_penalty": 1,
           "mirostat": 1, "mirostat_tau": 5, "mirostat_eta": 0.5}

ROWS = [
    ("a chat", "chat", chat(), CHAT, asked()),
    ("streams unless told otherwise", "chat", {"model": "m", "messages": [USER]}, CHAT, asked() | STREAM),
    ("streams when told", "chat", chat(stream=True), CHAT, asked() | STREAM),
    ("members that are null", "chat", chat(options=None, format=None, think=None, tools=None, keep_alive=None), CHAT, asked()),
    ("roles and texts as they are", "chat", chat({"role": "system", "content": "é\n\"\0"}, USER, {"role": "assistant", "content": "Ho"}),
     CHAT, asked({"role": "system", "content": "é\n\"\0"}, USER, {"role": "assistant", "content": "Ho"})),
    ("options", "chat", chat(options=OPTIONS | {"num_predict": 9, "num_keep": 2}), CHAT, asked(**OPTIONS, max_tokens=9, n_keep=2)),
    ("no limit is no limit", "chat", chat(options={"num_predict": -1}), CHAT, asked()),
    ("a limit of none", "chat", chat(options={"num_predict": 0}), CHAT, asked(max_tokens=0)),
    ("one stop", "chat", chat(options={"stop": "x"}), CHAT, asked(stop=["x"])),
    ("how to load it is the definition's", "chat", chat(options={"num_ctx": 4096, "num_gpu": 1, "use_mmap": True}), CHAT, asked()),
    ("json", "chat", chat(format="json"), CHAT, asked(response_format={"type": "json_object"})),
    ("no format", "chat", chat(format=""), CHAT, asked()),
    ("a schema", "chat", chat(format=SCHEMA), CHAT, asked(response_format={
        "type": "json_schema", "json_schema": {"name": "format", "strict": True, "schema": SCHEMA}})),
    ("think", "chat", chat(think=True), CHAT, asked(chat_template_kwargs={"enable_thinking": True})),
    ("do not think", "chat", chat(think=False), CHAT, asked(chat_template_kwargs={"enable_thinking": False})),
    ("think a little", "chat", chat(think="low"), CHAT, asked(
        chat_template_kwargs={"enable_thinking": True, "reasoning_effort": "low"}, reasoning_effort="low")),
    ("thoughts that were thought", "chat", chat(USER, {"role": "assistant", "content": "Ho", "thinking": "hm"}, USER), CHAT,
     asked(USER, {"role": "assistant", "content": "Ho", "reasoning_content": "hm"}, USER)),
    ("logprobs", "chat", chat(logprobs=True, top_logprobs=3), CHAT, asked(logprobs=True, top_logprobs=3)),
    ("an image", "chat", chat({**USER, "images": [PNG]}), CHAT,
     asked({"role": "user", "content": [{"type": "text", "text": "Hi"}, image("png", PNG)]})),
    ("images of all kinds, without a text", "chat", chat({"role": "user", "content": "", "images": [JPEG, GIF, WEBP, "data:x;base64,AA"]}), CHAT,
     asked({"role": "user", "content": [image("jpeg", JPEG), image("gif", GIF), image("webp", WEBP),
                                        {"type": "image_url", "image_url": {"url": "data:x;base64,AA"}}]})),
    ("no image", "chat", chat({**USER, "images": []}), CHAT, asked()),
    ("tools", "chat", chat(tools=[TOOL]), CHAT, asked(tools=[TOOL])),
    ("no tools", "chat", chat(tools=[]), CHAT, asked()),
    ("a call and its result", "chat",
     chat(USER, {"role": "assistant", "content": "", "tool_calls": [call("weather", {"city": "Köln"})]},
          {"role": "tool", "content": "rain", "tool_name": "weather"}), CHAT,
     asked(USER, {"role": "assistant", "content": "", "tool_calls": [
         {"id": "call_0", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}}]},
           {"role": "tool", "content": "rain", "tool_call_id": "call_0"})),
    ("results in another order, by the tool's name", "chat",
     chat({"role": "assistant", "content": "", "tool_calls": [call("a", {}), call("b", {"x": [1, {"y": None}]}), call("a", None)]},
          {"role": "tool", "content": "of b", "tool_name": "b"}, {"role": "tool", "content": "of the first a", "tool_name": "a"},
          {"role": "tool", "content": "of the second a"}, {"role": "tool", "content": "of nothing"}), CHAT,
     asked({"role": "assistant", "content": "", "tool_calls": [called("call_0", "a", {}), called("call_1", "b", {"x": [1, {"y": None}]}), called("call_2", "a", {})]},
           {"role": "tool", "content": "of b", "tool_call_id": "call_1"}, {"role": "tool", "content": "of the first a", "tool_call_id": "call_0"},
           {"role": "tool", "content": "of the second a", "tool_call_id": "call_2"}, {"role": "tool", "content": "of nothing"})),
    ("calls with ids", "chat",
     chat({"role": "assistant", "content": "", "tool_calls": [call("a", {}, id="x"), call("a", {}, id="y")]},
          {"role": "tool", "content": "of y", "tool_call_id": "y"}, {"role": "tool", "content": "of x", "tool_call_id": "x"}), CHAT,
     asked({"role": "assistant", "content": "", "tool_calls": [called("x", "a", {}), called("y", "a", {})]},
           {"role": "tool", "content": "of y", "tool_call_id": "y"}, {"role": "tool", "content": "of x", "tool_call_id": "x"})),

    ("a prompt", "generate", {"model": "m", "prompt": "Hi", "stream": False}, CHAT, asked()),
    ("a prompt, streamed", "generate", {"model": "m", "prompt": "Hi"}, CHAT, asked() | STREAM),
    ("a prompt with everything", "generate", {"model": "m", "prompt": "Hi", "system": "Be", "images": [PNG], "think": False, "format": "json",
                                              "options": {"num_predict": 3}, "stream": False, "context": [], "template": "", "suffix": ""}, CHAT,
     asked({"role": "system", "content": "Be"}, {"role": "user", "content": [{"type": "text", "text": "Hi"}, image("png", PNG)]},
           response_format={"type": "json_object"}, max_tokens=3, chat_template_kwargs={"enable_thinking": False})),
    ("raw", "generate", {"model": "m", "prompt": "<s>Hi", "raw": True, "stream": False, "options": {"num_predict": 3, "stop": ["x"]}}, TEXT,
     {"model": "m", "prompt": "<s>Hi", "stream": False, "max_tokens": 3, "stop": ["x"]}),
    ("raw, with a schema and logprobs", "generate", {"model": "m", "prompt": "Hi", "raw": True, "format": SCHEMA, "logprobs": True}, TEXT,
     {"model": "m", "prompt": "Hi", "json_schema": SCHEMA, "logprobs": 0, "response_format": {
         "type": "json_schema", "json_schema": {"name": "format", "strict": True, "schema": SCHEMA}}} | STREAM),
    ("a suffix", "generate", {"model": "m", "prompt": "def f(", "suffix": "return x", "stream": False, "options": {"num_predict": 3}}, INFILL,
     {"model": "m", "input_prefix": "def f(", "input_suffix": "return x", "stream": False, "max_tokens": 3}),

    ("an embedding", "embed", {"model": "m", "input": "Hi"}, EMBED, {"model": "m", "input": "Hi", "encoding_format": "float"}),
    ("embeddings", "embed", {"model": "m", "input": ["a", "b"], "dimensions": 64, "truncate": True, "options": {"num_ctx": 1}}, EMBED,
     {"model": "m", "input": ["a", "b"], "encoding_format": "float", "dimensions": 64}),
    ("the older embeddings", "embeddings", {"model": "m", "prompt": "Hi"}, EMBED, {"model": "m", "input": "Hi", "encoding_format": "float"}),

    ("latest is no tag", "chat", chat() | {"model": "m:latest"}, CHAT, asked()),
    ("no tag is latest", "chat", chat() | {"model": "late"}, CHAT, asked() | {"model": "late:latest"}),
    ("a tag", "chat", chat() | {"model": "tagged:7b"}, CHAT, asked() | {"model": "tagged:7b"}),
]


@pytest.mark.slice
def test_what_the_models_server_sees(scripted):
    """One daemon for all rows: each leaves nothing behind."""
    d, s = scripted
    for what, path, body, theirs, wanted in ROWS:
        d.post(f"/api/{path}", body)
        seen, got = s.last()
        assert (seen, got) == (theirs, wanted), what


HALVES = [  # in JSON's text, what is understood
    (r"a\ud83d", "a\ufffd"), (r"\ude00", "\ufffd"), (r"\uD83D\uDE00", "\U0001f600"), (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    (r"\ud83d\n\ude00", "\ufffd\n\ufffd"), (r"\\ud83d", r"\ud83d"), (r"\\\ud83d", "\\\ufffd"), (r"\ud83dx\u0041", "\ufffdxA"),
    (r"\u00e9\ufffd", "é\ufffd")]


def test_halves_of_surrogate_pairs(scripted):
    """As Go reads them: an emoji that a client has cut in two is no reason to answer nothing."""
    d, s = scripted
    for text, understood in HALVES:
        d.ok(d.post("/api/chat", b'{"model":"m","stream":false,"messages":[{"role":"user","content":"%s"}]}' % text.encode()))
        assert s.last() == (CHAT, asked(user(understood))), text


BAD = [
    ("chat", rb'{"model":"m\ud83', "the body is not one valid JSON object, at byte offset 16"),
    ("chat", rb'{"model":"m\ud8zz"}', "the body is not one valid JSON object, at byte offset 16"),
    ("chat", b"", "the body is not one valid JSON object, at byte offset 0"),
    ("chat", b"[]", "the body is not one valid JSON object, at byte offset 0"),
    ("chat", b'{"model":"m","messages":[}', "the body is not one valid JSON object, at byte offset 26"),
    ("chat", b'{"model":"m","model":"m"}', "the body is not one valid JSON object, at byte offset 20"),
    ("chat", {}, "the request names no model"),
    ("generate", {"model": ""}, "the request names no model"),
    ("chat", {"model": 1}, "the request names no model"),
    ("chat", {"model": "m\0"}, "the model's name holds a NUL"),
    ("chat", {"model": "m", "stream": "yes"}, '"stream" must be true or false'),
    ("chat", {"model": "m", "messages": "x"}, '"messages" and "tools" must be lists'),
    ("chat", {"model": "m", "messages": [{}]}, "a message must have a role"),
    ("chat", {"model": "m", "messages": [{"role": "user", "content": 1}]}, "a message has a text and a list of images"),
    ("chat", {"model": "m", "messages": [{"role": "user", "content": "", "images": [1]}]}, "an image must be a text in base64"),
    ("chat", {"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": "{}"}}]}]},
     "a call of a tool has a function with a name and arguments, an object"),
    ("chat", chat(options=[]), '"options" must be an object'),
    ("chat", chat(options={"temperature": "hot"}), 'option "temperature" must be a number'),
    ("chat", chat(options={"stop": [1]}), 'option "stop" must be a list of texts'),
    ("chat", chat(think="much"), '"think" must be true, false, low, medium or high'),
    ("chat", chat(format="xml"), '"format" must be "json" or a JSON schema'),
    ("chat", chat(top_logprobs="3"), '"top_logprobs" must be a number'),
    ("chat", chat(keep_alive="soon"), '"keep_alive" must be a number of seconds or a duration, such as 300 or "5m"'),
    ("chat", chat(keep_alive=[]), '"keep_alive" must be a number of seconds or a duration, such as 300 or "5m"'),
    ("generate", {"model": "m", "prompt": 1}, '"prompt" must be a text'),
    ("generate", {"model": "m", "prompt": "x", "raw": 1}, '"raw" must be true or false'),
    ("generate", {"model": "m", "prompt": "x", "template": "{{ .Prompt }}"},
     '"template" cannot be changed: the model\'s server has its own; with "raw" the prompt goes there as it is'),
    ("generate", {"model": "m", "prompt": "x", "context": [1]}, '"context" is not supported; /api/chat takes what was said'),
    ("generate", {"model": "m", "prompt": "x", "raw": True, "images": [PNG]}, "images need the model's template: not with raw or suffix"),
    ("embed", {"model": "m", "input": [1]}, '"input" must be a text or a list of texts'),
    ("embeddings", {"model": "m", "prompt": ["x"]}, '"prompt" must be a text'),
    ("embed", {"model": "m", "input": "x", "dimensions": "y"}, '"dimensions" must be a number'),
]


@pytest.mark.slice
def test_what_cannot_be_done_is_400(scripted):
    d, s = scripted
    for path, body, message in BAD:
        answer = d.post(f"/api/{path}", body)
        assert answer.status == 400, (body, answer)
        assert answer.json() == {"error": message}, body
    assert not s.requests


def test_the_models_filters_come_after_the_translation(wharf, scripted):
    _, s = scripted
    d = wharf({"models": {"m": s.server.model(useModelName="inner", filters={
        "stripParams": "temperature, chat_template_kwargs", "setParams": {"top_k": 3, "max_tokens": 5}})}})
    d.post("/api/chat", chat(options={"temperature": 1, "num_predict": 9}, think=True))
    assert s.last() == (CHAT, asked(max_tokens=5, top_k=3) | {"model": "inner"})


def test_names_that_stand_for_others(wharf, scripted):
    """Aliases, selectors and peers are names like those of models, with a tag or without."""
    _, s = scripted
    d = wharf({"models": {"m": s.server.model(aliases=["gpt", "small:1b"])},
               "selectors": {"any": {"strategy": "pin", "targets": ["m"]}},
               "peers": {"far": {"proxy": f"http://127.0.0.1:{s.server.port}", "models": ["theirs"]}}})
    for name, seen in {"gpt": "gpt", "gpt:latest": "gpt", "small:1b": "small:1b", "any": "m", "any:latest": "m",
                       "far/theirs": "theirs", "far/theirs:latest": "theirs", "theirs:latest": "theirs"}.items():
        d.post("/api/chat", chat() | {"model": name})
        assert s.last() == (CHAT, asked() | {"model": seen}), name


@pytest.mark.threads
@pytest.mark.parametrize("size", [300_000, 9_000_000], ids=["just too large for the loop", "an image"])
def test_large_bodies_are_translated_off_the_loop(scripted, size):
    d, s = scripted
    data = PNG + "A" * size
    d.post("/api/chat", chat({**USER, "images": [data]}), seconds=3 * SECONDS)
    path, got = s.last()
    assert path == CHAT and got == asked({"role": "user", "content": [{"type": "text", "text": "Hi"}, image("png", data)]})
    bad = d.post("/api/chat", chat({**USER, "images": [data]}, options=1), seconds=3 * SECONDS)
    assert (bad.status, bad.json()) == (400, {"error": '"options" must be an object'})


def test_a_body_can_be_too_large(scripted):
    d, s = scripted
    answer = d.post("/api/chat", chat(user("x" * (33 << 20))), seconds=3 * SECONDS)
    assert (answer.status, answer.json()) == (413, {"error": "requests that are translated may have 32 MiB"})
    assert not s.requests


@pytest.mark.parametrize("value", ["{}", "[]", "0", '{"a":[0]}'])
def test_a_body_can_have_too_many_values(scripted, value):
    """Each takes a hundred times its bytes while it is read: a few such bodies would be a machine's memory."""
    d, s = scripted
    answer = d.post("/api/chat", ('{"model":"m","messages":[' + ",".join([value] * 3_000_000) + "]}").encode(), seconds=3 * SECONDS)
    assert (answer.status, answer.json()) == (413, {"error": "requests that are translated may have 250000 values"})
    assert not s.requests
    # What texts hold are no values.
    d.ok(d.post("/api/chat", chat(user('[{,"\\' * 300_000)), seconds=3 * SECONDS))


def test_a_client_that_leaves_during_the_translation_costs_nothing(scripted):
    d, s = scripted
    body = json.dumps(chat({**USER, "images": [PNG + "A" * (8 << 20)]})).encode()
    for _ in range(5):
        with d.connect() as c:
            c.send(b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            c.reset()
    d.post("/api/chat", chat())
    assert s.last() == (CHAT, asked())
