"""API keys: which are accepted, where they are asked for, and that they go no further."""

import base64

import pytest

from wharf_harness import (Connection, Daemon, chat_body, content, demo, models, serve_requests)

KEYS = ["key-one", "another:key"]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("locked"), {"apiKeys": KEYS, "wrongKeysPerMinute": 0, **models("m")})
    yield d
    d.finish()


ACCEPTED = {
    "bearer": {"Authorization": "Bearer key-one"},
    "bearer, other case": {"authorization": "bEaReR key-one"},
    "second key": {"Authorization": "Bearer another:key"},
    "x-api-key": {"x-api-key": "key-one"},
    "X-API-Key": {"X-API-Key": "another:key"},
    "basic": {"Authorization": basic("anyone", "key-one")},
    "basic, colon": {"Authorization": basic("", "another:key")},
}
REFUSED = {
    "none": {},
    "wrong": {"Authorization": "Bearer key-two"},
    "prefix": {"Authorization": "Bearer key-on"},
    "longer": {"Authorization": "Bearer key-onee"},
    "repeated": {"Authorization": "Bearer key-onekey-one"},
    "other case": {"Authorization": "Bearer KEY-ONE"},
    "empty": {"Authorization": "Bearer "},
    "no scheme": {"Authorization": "key-one"},
    "basic user": {"Authorization": basic("key-one", "x")},
    "basic, no colon": {"Authorization": "Basic " + base64.b64encode(b"key-one").decode()},
    "basic, no base64": {"Authorization": "Basic %%%"},
    "wrong x-api-key": {"x-api-key": "key-"},
    "both in one": {"x-api-key": "key-one,another:key"},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(locked, name):
    locked.ok(locked.chat("m", headers=ACCEPTED[name]))
    locked.ok(locked.get("/wharf/models", ACCEPTED[name]))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(locked, name):
    answer = locked.chat("m", headers=REFUSED[name])
    assert answer.status == 401, answer
    assert (answer.error["type"], answer.error["code"]) == ("authentication_error", "unauthorized")
    assert answer.header("WWW-Authenticate").startswith("Basic")


@pytest.mark.parametrize("method, path", [
    ("POST", "/v1/chat/completions"), ("POST", "/v1/messages"), ("GET", "/v1/models"),
    ("GET", "/running"), ("GET", "/unload"), ("POST", "/api/models/unload"),
    ("POST", "/api/models/unload/m"), ("GET", "/logs"), ("GET", "/logs/stream"), ("GET", "/api/events"),
    ("GET", "/api/performance"), ("GET", "/api/hardware"), ("GET", "/metrics"),
    ("GET", "/logs/stream/proxy"), ("GET", "/logs/stream/upstream"),
    ("GET", "/logs/stream/m"), ("GET", "/upstream/m/x"), ("GET", "/props?model=m"),
    ("GET", "/wharf/status"), ("GET", "/wharf/models"), ("GET", "/wharf/models/m"),
    ("POST", "/wharf/models/m/load"), ("POST", "/wharf/models/m/unload"), ("GET", "/wharf/events"),
    ("HEAD", "/v1/models")])
def test_every_path_asks(locked, method, path):
    answer = locked.ask(method, path, chat_body("m") if method == "POST" else None)
    assert answer.status == 401, answer
    if "/v1/messages" in path:
        assert answer.json()["type"] == "error" and answer.error["type"] == "authentication_error"


def test_open_paths(locked):
    for path in ("/health", "/wol-health"):
        locked.ok(locked.get(path))
    assert locked.ask("OPTIONS", "/v1/chat/completions").status == 204


def test_nothing_is_learned_without_a_key(locked):
    answer = locked.chat("no-such-model")
    assert answer.status == 401 and "m" not in answer.message.split()


def test_a_refused_body_does_not_spoil_the_connection(locked):
    with Connection(locked.address) as c:
        assert c.ask("POST", "/v1/chat/completions", chat_body("m", "x" * 100_000)).status == 401
        try:
            assert c.ask("GET", "/health").status == 200
        except ConnectionError:
            pass  # closing is as good: what counts is that no body is read as a request


@pytest.mark.slice
@pytest.mark.parametrize("name", ACCEPTED)
def test_keys_never_go_upstream(wharf, upstream, name):
    seen = []

    def answer(peer, line, headers, body):
        seen.append(headers)
        peer.answer()

    d = wharf({"apiKeys": KEYS, "models": {"m": upstream(serve_requests(answer)).model()}})
    d.ok(d.chat("m", headers={**ACCEPTED[name], "X-Other": "stays"}))
    d.ok(d.get("/upstream/m/x", ACCEPTED[name]))
    for headers in seen:
        text = repr(headers)
        assert not any(k in text for k in KEYS), headers
        assert "authorization" not in headers and "x-api-key" not in headers
    assert seen[0]["x-other"] == "stays"


def test_keys_are_in_no_log(locked):
    assert not any(k in locked.stderr for k in KEYS)
    text = locked.ok(locked.get("/logs", ACCEPTED["bearer"])).text
    assert not any(k in text for k in KEYS)


def test_without_keys_everybody_is_let_in(wharf):
    d = wharf({"models": {"m": demo("m")}})
    assert content(d.ok(d.chat("m", headers={"Authorization": "Bearer sk-whatever"})))


def test_new_keys_after_a_reload(wharf):
    d = wharf({"apiKeys": ["old"], **models("m")})
    old, new = {"Authorization": "Bearer old"}, {"Authorization": "Bearer new"}
    events = d.events(headers=old)
    pid = d.ok(d.post("/wharf/models/m/load", headers=old)).json()["pid"]
    d.write_config({"apiKeys": ["new"], **models("m")})
    d.signal(1)
    events.wait_for("config_reloaded")
    assert d.get("/wharf/models/m", old).status == 401
    assert d.ok(d.get("/wharf/models/m", new)).json()["pid"] == pid


# ---------------------------------------------------------------- guessing


def wrong(n):
    return {"Authorization": f"Bearer guess-{n}"}


@pytest.mark.slice
def test_guesses_are_refused_and_right_keys_never(wharf):
    d = wharf({"apiKeys": KEYS, "logLevel": "debug", **models("m")})
    right = ACCEPTED["bearer"]
    for n in range(10):
        assert d.chat("m", headers=wrong(n)).status == 401
        d.ok(d.get("/v1/models", right))
    for n in range(20):
        answer = d.chat("m", headers=wrong(n))
        assert (answer.status, answer.error["code"]) == (429, "too_many_wrong_keys"), answer
        assert 0 < int(answer.header("Retry-After")) <= 60
        assert answer.header("X-Should-Retry") == "false" and answer.header("Connection") == "close"
        d.ok(d.get("/v1/models", right))
    assert d.get("/v1/models").status == 401, "no key is no guess"
    d.ok(d.chat("m", headers=right))
    lines = [line for line in d.stderr.splitlines() if "wrong API keys" in line]
    assert len(lines) == 1 and lines[0].endswith("wrong API keys: 1 request, the last from 127.0.0.1")
    assert "guess-" not in d.stderr and not any(k in d.stderr for k in KEYS)


def test_guesses_of_one_address_do_not_count_for_another(wharf, tmp_path):
    d = wharf({"apiKeys": KEYS, "wrongKeysPerMinute": 1, **models("m")}, listen=["127.0.0.1:0", f"unix:{tmp_path}/s"])
    assert [d.get("/running", wrong(n)).status for n in range(3)] == [401, 429, 429]
    with Connection(f"{tmp_path}/s") as c:
        assert c.ask("GET", "/running", None, wrong(1)).status == 401
    with Connection(f"{tmp_path}/s") as c:
        assert c.ask("GET", "/running", None, wrong(1)).status == 429
    with Connection(f"{tmp_path}/s") as c:
        assert c.ask("GET", "/running", None, ACCEPTED["bearer"]).status == 200


def test_how_many_guesses_is_a_setting(wharf):
    d = wharf({"apiKeys": KEYS, "wrongKeysPerMinute": 0, **models("m")})
    assert {d.get("/running", wrong(n)).status for n in range(30)} == {401}
    d = wharf({"wrongKeysPerMinute": 1, **models("m")})
    assert {d.get("/running", wrong(n)).status for n in range(5)} == {200}, "there are no keys to be guessed"
