"""Profiles: their API and what they do to names (2.13, 3.8, 3.12, 3.14, 3.16)."""

import pytest

from test_routes import Recorder

JSON = {"Content-Type": "application/json"}
CHAT = "/v1/chat/completions"
ACTIVE = "/api/profiles/active"


def config(r):
    return {
        "models": {"m": r.server.model(aliases=["nick"]), "n": r.server.model(),
                   "org/n": r.server.model(useModelName="inner"),
                   "v": r.server.model(filters={"setParamsByID": {"v:high": {"effort": "high"}}})},
        "selectors": {"s": {"strategy": "pin", "targets": ["v:high"]}},
        "profiles": {
            "work": {"description": "by day", "pins": {
                "m": "n", "n": "m", "new": "org/n", "off": "", "nick": None, "sel": "s", "org/deep": "m"}},
            "away": {"pins": {"m": "v:high"}},
        },
    }


@pytest.fixture
def recorded(wharf, upstream):
    r = Recorder(upstream)
    return wharf(config(r)), r


def activate(d, name):
    answer = d.ok(d.ask("PUT", ACTIVE, {"name": name}))
    assert answer.json() == {"active": name or None}


def seen(d, r, name):
    d.ok(d.post(CHAT, b'{"model":"%b" }' % name.encode(), JSON))
    return r.last()[2]


@pytest.mark.slice
def test_the_list(recorded):
    d, _ = recorded
    pins = {"m": "n", "n": "m", "new": "org/n", "off": "", "nick": "", "sel": "s", "org/deep": "m"}
    want = {"active": None, "profiles": [{"id": "away", "description": "", "pins": {"m": "v:high"}},
                                         {"id": "work", "description": "by day", "pins": pins}]}
    assert d.ok(d.get("/api/profiles")).json() == want
    activate(d, "work")
    assert d.get("/api/profiles").json() == {**want, "active": "work"}


@pytest.mark.parametrize("body, status, message", [
    (b"{}", 400, "profile name is required"),
    (b'{"name":1}', 400, "profile name must be a string or null"),
    (b'{"name":["work"]}', 400, "profile name must be a string or null"),
    (b"not JSON", 400, "not one valid JSON object"),
    (b'{"name":"wrok"}', 404, 'profile "wrok" not found; the nearest name is work'),
])
def test_what_cannot_be_made_active(recorded, body, status, message):
    d, _ = recorded
    activate(d, "work")
    answer = d.ask("PUT", ACTIVE, body, JSON)
    assert answer.status == status and message in answer.message
    assert d.get("/api/profiles").json()["active"] == "work"


def test_null_and_nothing_are_none(recorded):
    d, _ = recorded
    for none in (None, ""):
        activate(d, "work")
        activate(d, none)
        assert d.get("/api/profiles").json()["active"] is None


def test_a_change_is_an_event(recorded):
    d, _ = recorded
    events = d.events()
    activate(d, "work")
    assert events.wait_for("profile_changed")["details"] == {"profile": "work", "from": None}
    activate(d, "work")  # nothing changes
    activate(d, None)
    assert events.wait_for("profile_changed")["details"] == {"profile": None, "from": "work"}


def test_a_page_of_another_site_changes_nothing(recorded):
    d, _ = recorded
    assert d.ask("PUT", ACTIVE, {"name": "work"}, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert d.get("/api/profiles").json()["active"] is None


@pytest.mark.slice
def test_pins(recorded):
    d, r = recorded
    assert seen(d, r, "m") == b'{"model":"m" }'
    activate(d, "work")
    assert seen(d, r, "m") == b'{"model":"n" }'  # once: pins do not chain
    assert seen(d, r, "n") == b'{"model":"m" }'
    assert seen(d, r, "new") == b'{"model":"inner" }'
    assert seen(d, r, "sel") == b'{"model":"v:high" ,"effort":"high"}'
    assert seen(d, r, "v") == b'{"model":"v" }'
    activate(d, "away")
    assert seen(d, r, "m") == b'{"model":"v:high" ,"effort":"high"}'
    assert d.chat("new").status == 404


def test_pins_in_the_query(recorded):
    d, r = recorded
    activate(d, "work")
    d.ok(d.get("/props?a=b&model=new"))
    assert r.last()[0] == "GET /props?a=b&model=org%2Fn HTTP/1.1"
    d.ok(d.post("/v1/embeddings?model=m", b"{}", JSON))
    assert r.last()[0] == "POST /v1/embeddings?model=n HTTP/1.1"


def test_a_name_that_is_switched_off(recorded):
    d, r = recorded
    activate(d, "work")
    for name in ("off", "nick"):
        answer = d.chat(name)
        assert answer.status == 404 and f'switched off "{name}"' in answer.message
        assert d.get(f"/upstream/{name}/x").status == 404
    activate(d, None)
    assert seen(d, r, "nick") == b'{"model":"nick" }'


@pytest.mark.parametrize("target, path", [
    ("/upstream/m/a/b?c", "/a/b?c"), ("/upstream/new/x", "/x"), ("/upstream/org%2Fdeep/x", "/x"),
    ("/upstream/org/deep/x", "/x"), ("/upstream/v/x", "/x")])
def test_pins_below_upstream(recorded, target, path):
    d, r = recorded
    activate(d, "work")
    d.ok(d.post(target, b'{"model":"m"}', JSON))
    assert r.last()[0] == f"POST {path} HTTP/1.1"
    assert r.last()[2] == b'{"model":"m"}'  # the body is not touched


def test_a_selector_below_upstream_is_nothing(recorded):
    d, _ = recorded
    activate(d, "work")
    assert d.get("/upstream/sel/x").status == 404


def test_rows_of_the_active_profile(recorded):
    """Of names that are nobody else's, and not switched off."""
    d, _ = recorded
    names = [row["id"] for row in d.get("/v1/models").json()["data"]]
    activate(d, "work")
    rows = {row["id"]: row for row in d.get("/v1/models").json()["data"]}
    assert sorted(set(rows) - set(names)) == ["new", "org/deep", "sel"]
    assert list(rows) == sorted(rows)
    assert rows["new"]["meta"] == {"llamaswap": {"type": "profile"}} and \
        rows["new"]["status"] == {"value": "unloaded"}


def test_a_profile_lives_over_a_reload(wharf, upstream):
    """llama-swap forgets it (9.20); one that is no longer there is given up."""
    r = Recorder(upstream)
    d = wharf(config(r))
    events = d.events()
    activate(d, "work")
    events.catch_up()
    assert d.get("/api/profiles").json()["active"] == "work"
    without = config(r)
    del without["profiles"]["work"]
    d.write_config(without)
    events.catch_up()
    assert d.get("/api/profiles").json()["active"] is None
    assert seen(d, r, "m") == b'{"model":"m" }'
