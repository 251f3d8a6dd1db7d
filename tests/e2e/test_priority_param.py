"""priorityParam: a request's class, told to an engine that orders its own work."""

import pytest

from test_routes import Recorder

JSON = {"Content-Type": "application/json"}
CHAT = "/v1/chat/completions"


@pytest.fixture
def recorded(wharf, upstream):
    r = Recorder(upstream)
    d = wharf({"models": {
        "vllm": r.server.model(priorityParam="priority"),
        "late": r.server.model(priorityParam="priority", **{"class": "background"}),
        "strict": r.server.model(priorityParam="priority", filters={"stripParams": "priority"}),
        "plain": r.server.model()},
        # Who is of a lower class need not wait until a model has been idle for a while.
        "routing": {"scheduler": {"settings": {"fair": {"minResident": "0s"}}}},
        "keys": [{"key": "k", "name": "ci", "class": "background", "maxClass": "normal"},
                 {"key": "any", "name": "any"}]})
    return d, r


ROWS = [
    ("the model's class", b'{"model":"vllm"}', {}, b'{"model":"vllm","priority":50}'),
    ("another one", b'{"model":"late","n":1}', {}, b'{"model":"late","n":1,"priority":100}'),
    ("the request's own", b'{"model":"late"}', {"X-Wharf-Class": "foreground"}, b'{"model":"late","priority":0}'),
    ("the key's", b'{"model":"vllm"}', {"Authorization": "Bearer k"}, b'{"model":"vllm","priority":100}'),
    ("no better than the key allows", b'{"model":"vllm"}',
     {"Authorization": "Bearer k", "X-Wharf-Class": "foreground"}, b'{"model":"vllm","priority":50}'),
    ("the client's word", b'{"priority":7,"model":"vllm"}', {}, b'{"priority":7,"model":"vllm"}'),
    ("also null", b'{"priority":null,"model":"vllm"}', {}, b'{"priority":null,"model":"vllm"}'),
    ("not where filters take it out", b'{"priority":7,"model":"strict"}', {}, b'{"model":"strict","priority":50}'),
    ("no other model's", b'{"model":"plain"}', {}, b'{"model":"plain"}'),
]


@pytest.mark.slice
def test_bodies(recorded):
    d, r = recorded
    for what, before, headers, after in ROWS:
        d.ok(d.post(CHAT, before, {"Authorization": "Bearer any", **JSON, **headers}))
        _, got, body = r.last()
        assert body == after, what
        assert got["content-length"] == str(len(after)), what


def test_what_is_no_json_stays(recorded):
    d, r = recorded
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer any"}
    d.ok(d.post("/v1/audio/voices", b"a=1&model=vllm", kind))
    assert r.last()[2] == b"a=1&model=vllm"


def test_a_body_with_two_of_them_is_refused(recorded):
    d, r = recorded
    answer = d.post(CHAT, b'{"model":"vllm","priority":1,"priority":2}', {"Authorization": "Bearer any", **JSON})
    assert answer.status == 400 and "priority" in answer.message
