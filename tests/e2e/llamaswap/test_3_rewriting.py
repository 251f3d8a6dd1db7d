"""What llama-swap changes in a request on its way to the model (3.8), a row each."""

import json

import pytest

from test_routes import Recorder, form

JSON = {"Content-Type": "application/json"}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def models():
    return {
        "plain": {},
        "inner": {"useModelName": "the \"inner\" one"},
        "strip": {"filters": {"stripParams": " top_k,temperature , model, top_k"}},
        "older": {"filters": {"strip_params": "top_k"}},
        "set": {"filters": {"setParams": {"z": 1, "a": {"b": [True, None, 1.5]}, "model": "no", "t": "é\""}}},
        "order": {"useModelName": "inner", "filters": {
            "stripParams": "temperature", "setParams": {"temperature": 0.5, "seed": 1},
            "setParamsByID": {"order:high": {"seed": 2, "effort": "high"}, "${MODEL_ID}:low": {"effort": "low"},
                              "order": {"effort": "own"}}}},
        "deep": {"filters": {"stripParams": "options.gone", "setParams": {
            "options.inner": 1, "list.1": "x", "a\\.b": 2, "new.deep.name": True}}},
    }


@pytest.fixture
def recorded(wharf, upstream, models):
    r = Recorder(upstream)
    d = wharf({"models": {name: r.server.model(**keys) for name, keys in models.items()}})
    return d, r


ROWS = [
    ("nothing to do", "plain", b'{ "model" : "plain" }', b'{ "model" : "plain" }'),
    ("useModelName", "inner", b'{"model":"inner","n":1}', b'{"model":"the \\"inner\\" one","n":1}'),
    ("stripped: trimmed, each once, never the model", "strip",
     b'{"top_k":1,"model":"strip","temperature":1.0, "top_p":1}', b'{"model":"strip", "top_p":1}'),
    ("what is not there need not be stripped", "strip", b'{"model":"strip"}', b'{"model":"strip"}'),
    ("the older spelling", "older", b'{"model":"older","top_k":1}', b'{"model":"older"}'),
    ("set: in place, else behind, by key; never the model", "set",
     b'{"t":0, "model":"set"}', '{"t":"é\\"", "model":"set","a":{"b":[true,null,1.5]},"z":1}'.encode()),
    ("strip, then set, then useModelName", "order", b'{"temperature":1,"model":"order","x":[ ]}',
     b'{"model":"inner","x":[ ],"seed":1,"temperature":0.5,"effort":"own"}'),
    ("by the name that was asked for", "order:high", b'{"model":"order:high"}',
     b'{"model":"inner","seed":2,"temperature":0.5,"effort":"high"}'),
    ("by a name made of a macro", "order:low", b'{"model":"order:low"}',
     b'{"model":"inner","seed":1,"temperature":0.5,"effort":"low"}'),
    ("paths", "deep", b'{"model":"deep","options":{"gone":1,"inner":0, "kept":[1, 2]},"list":["a", "b" ]}',
     b'{"model":"deep","options":{"inner":1, "kept":[1, 2]},"list":["a", "x" ],"a.b":2,"new":{"deep":{"name":true}}}'),
    ("paths, with everything missing", "deep", b'{"model":"deep"}',
     b'{"model":"deep","a.b":2,"list":[null,"x"],"new":{"deep":{"name":true}},"options":{"inner":1}}'),
    ("the rest is the client's, byte for byte", "strip",
     b' {\n"messages" : [ {"content":"\\u00e9\xc3\xa9\\/", "top_k": 1e+02} ] ,\t"top_k"  :  [1,{}] ,"model":"strip" }\n',
     b' {\n"messages" : [ {"content":"\\u00e9\xc3\xa9\\/", "top_k": 1e+02} ]  ,"model":"strip" }\n'),
    ("a name written with escapes", "strip", b'{"model":"strip","top\\u005fk":1}', b'{"model":"strip"}'),
]


@pytest.mark.slice
def test_json(recorded):
    d, r = recorded
    for what, name, before, after in ROWS:
        d.ok(d.post(CHAT, before, JSON))
        _, headers, got = r.last()
        assert got == after, what
        assert headers["content-length"] == str(len(after)), what


def test_a_large_body(recorded):
    d, r = recorded
    rest = b',"input":"' + b"word " * 200_000 + b'"'
    d.ok(d.post("/v1/embeddings", b'{"top_k":1,"model":"strip"' + rest + b',"temperature":2}', JSON))
    assert r.last()[2] == b'{"model":"strip"' + rest + b"}"


@pytest.mark.parametrize("body", [
    b'{"model":"strip","top_k":1,"top_k":2}', b'{"model":"deep","options":{"inner":1,"inner":2}}',
    b'{"model":"deep","list":{"1":0,"1":1}}'])
def test_what_two_servers_might_read_differently_is_refused(recorded, body):
    d, r = recorded
    answer = d.post(CHAT, body, JSON)
    assert answer.status == 400 and "the model's filters change" in answer.message, answer
    assert r.requests == []


def test_a_form_keeps_its_parts(recorded):
    """Filters are for JSON; useModelName is for forms as well, whose parts stay in order."""
    d, r = recorded
    parts = (b"top_k", b"", b"1"), (b"file", b'; filename="a"\r\nContent-Type: audio/wav', b"\0\1"), (b"x", b"", b"y")
    kind = {"Content-Type": "multipart/form-data; boundary=XX"}
    for name, written in ((b"strip", b"strip"), (b"inner", b'the "inner" one'), (b"order:high", b"inner")):
        d.ok(d.post("/v1/audio/transcriptions", form(b"XX", *parts, (b"model", b"", name)), kind))
        assert r.last()[2] == form(b"XX", *parts, (b"model", b"", written))


def test_other_forms_and_queries_stay(recorded):
    d, r = recorded
    d.ok(d.post("/v1/audio/voices", b"top_k=1&model=strip", {"Content-Type": "application/x-www-form-urlencoded"}))
    assert r.last()[2] == b"top_k=1&model=strip"
    d.ok(d.get("/props?model=order%3Ahigh&top_k=1"))
    assert r.last()[0] == "GET /props?model=order%3Ahigh&top_k=1 HTTP/1.1"


def test_json_whose_model_is_in_the_query(recorded):
    """llama-swap answers 404."""
    d, r = recorded
    d.ok(d.post(CHAT + "?model=order:high", b'{"temperature":1,"x":[ ]}', JSON))
    assert r.last()[2] == b'{"x":[ ],"seed":2,"temperature":0.5,"effort":"high"}'
    assert d.post(CHAT + "?model=strip", b'{"top_k":1,"top_k":2}', JSON).status == 400
    d.ok(d.post(CHAT + "?model=strip", b"", JSON))


def test_paths_lose_their_prefix(recorded):
    d, r = recorded
    for path, seen in (("/v/chat/completions?a=%20b", "/chat/completions?a=%20b"),
                       ("/audioapi/v1/tasks/run", "/v1/tasks/run")):
        d.ok(d.post(path, {"model": "set"}))
        assert r.last()[0] == f"POST {seen} HTTP/1.1"
        assert json.loads(r.last()[2])["z"] == 1


def test_upstream_paths_are_not_rewritten(recorded):
    d, r = recorded
    d.ok(d.post("/upstream/order:high/v1/chat/completions", b'{"model":"x","temperature":1}', JSON))
    assert r.last()[2] == b'{"model":"x","temperature":1}'
