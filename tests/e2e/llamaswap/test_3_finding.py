"""How the model of a request is found (3.6, 3.7), a row each."""

import pytest

from test_routes import Recorder, form

FORM = {"Content-Type": "multipart/form-data; boundary=XX"}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
SPEECH = "/v1/audio/transcriptions"
CHAT = "/v1/chat/completions"


@pytest.fixture
def recorded(wharf, upstream):
    r = Recorder(upstream)
    d = wharf({"models": {
        "m": r.server.model(aliases=["Nick", "a b"], filters={"setParamsByID": {"m:v": {}}}),
        "org/m": r.server.model()}})
    return d, r


FOUND = [
    ("JSON", "POST", CHAT, b'{"model":"m"}', JSON),
    ("JSON with a charset", "POST", CHAT, b'{"model":"m"}', {"Content-Type": "application/json; charset=utf-8"}),
    ("an alias", "POST", CHAT, b'{"model":"Nick"}', JSON),
    ("a name of setParamsByID", "POST", CHAT, b'{"model":"m:v"}', JSON),
    ("an id with a slash", "POST", CHAT, b'{"model":"org/m"}', JSON),
    ("a form", "POST", SPEECH, form(b"XX", (b"model", b"", b"m")), FORM),
    ("a urlencoded form", "POST", "/v1/audio/voices", b"x=1&model=a+b", URLENCODED),
    ("a urlencoded form, the query behind it", "POST", "/v1/audio/voices?model=m", b"x=1", URLENCODED),
    ("the query", "GET", "/v1/audio/voices?model=m", None, {}),
    ("the query, encoded", "GET", "/props?model=org%2Fm", None, {}),
    ("the query, with a plus", "GET", "/props?model=a+b", None, {}),
    ("HEAD by the query", "HEAD", "/props?model=m", None, {}),
    # better than there
    ("JSON that is called nothing", "POST", CHAT, b'{"model":"m"}', {}),
    ("JSON that is called a form", "POST", CHAT, b'{"model":"m"}', URLENCODED),
    ("JSON without a model, the query has it", "POST", CHAT + "?model=m", b"{}", JSON),
]

MISSED = [
    ("no model", b"{}", JSON, 400, "model_required"),
    ("an empty model", b'{"model":""}', JSON, 400, "model_required"),
    ("null", b'{"model":null}', JSON, 400, "model_required"),
    ("a number", b'{"model":1}', JSON, 400, "model_required"),
    ("no JSON", b'{"model":"m"', JSON, 400, "invalid_json"),
    ("nothing", b"", JSON, 400, "model_required"),
    ("another case", b'{"model":"M"}', JSON, 404, "model_not_found"),
    ("nothing is trimmed", b'{"model":" m"}', JSON, 404, "model_not_found"),
    ("unknown", b'{"model":"x"}', JSON, 404, "model_not_found"),
    ("two models", b'{"model":"m","model":"org/m"}', JSON, 400, "model_ambiguous"),
    ("a form without a model", form(b"XX", (b"x", b"", b"m")), FORM, 400, "model_required"),
    ("a form without an end", b"--XX\r\n", FORM, 400, "invalid_form"),
    ("two models in a urlencoded form", b"model=m&model=n", URLENCODED, 400, "model_ambiguous"),
]


def test_found(recorded):
    d, r = recorded
    for what, method, path, body, headers in FOUND:
        count = len(r.requests)
        answer = d.ask(method, path, body, headers)
        assert answer.status == 200, (what, answer)
        assert len(r.requests) == count + 1, what
        line, _, got = r.last()
        assert line == f"{method} {path} HTTP/1.1" and got == (body or b""), what


def test_missed(recorded):
    d, r = recorded
    for what, body, headers, status, code in MISSED:
        answer = d.post(CHAT, body, headers)
        assert (answer.status, answer.error["code"]) == (status, code), (what, answer)
    assert r.requests == []


def test_a_query_without_a_model(recorded):
    d, _ = recorded
    for path, status in (("/props", 400), ("/props?model=", 400), ("/props?model=x", 404),
                         ("/props?model=m&model=m", 400), ("/props?model=%zz", 400)):
        assert d.get(path).status == status, path
