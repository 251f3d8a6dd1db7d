"""`wharf check --schema`, and the example with all of llama-swap's keys (2.18)."""

import json
import re
import subprocess

import pytest

from schema import problems
from wharf_harness import ROOT, WHARF, check_config

EXAMPLE = ROOT / "examples/llama-swap.yaml"
MATRIX = ROOT / "examples/matrix.yaml"

# The keys of llama-swap's schema, by where they stand.
KEYS = {
    "": "models macros healthCheckTimeout startPort logLevel logTimeFormat logToStdout logRequests "
        "metricsMaxInMemory captureBuffer store ui performance globalTTL unloadTimeout sendLoadingState "
        "includeAliasesInList apiKeys upstream hooks profiles selectors peers routing",
    "models.ID": "cmd cmdStop proxy checkEndpoint aliases env ttl unloadTimeout unlisted useModelName name "
                 "description concurrencyLimit filters macros metadata sendLoadingState timeouts compat "
                 "capabilities",
    "filters": "stripParams strip_params setParams setParamsByID",
    "models.ID.timeouts": "connect keepalive responseHeader tlsHandshake expectContinue idleConn",
    "models.ID.compat": "ignoreWebsockets",
    "models.ID.capabilities": "in out tools reranker context",
    "selectors.ID": "strategy targets settings name description unlisted metadata",
    "selectors.ID.settings": "spillover",
    "profiles.NAME": "description pins",
    "peers.ID": "proxy apiKey models filters timeouts",
    "peers.ID.timeouts": "connect keepalive responseHeader tlsHandshake expectContinue idleConn",
    "store": "path",
    "ui": "activity",
    "ui.activity": "session_id",
    "performance": "disabled every",
    "upstream": "ignorePaths",
    "hooks": "on_startup",
    "hooks.on_startup": "preload",
    "routing": "router scheduler",
    "routing.router": "use settings",
    "routing.router.settings": "groups matrix",
    "routing.router.settings.groups.ID": "swap exclusive persistent members",
    "routing.router.settings.matrix": "vars evict_costs sets",
    "routing.scheduler": "use settings",
    "routing.scheduler.settings": "fifo",
    "routing.scheduler.settings.fifo": "priority",
}
ALL = sorted({key for keys in KEYS.values() for key in keys.split()})


@pytest.fixture(scope="module")
def schema():
    run = subprocess.run([str(WHARF), "check", "--schema"], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_the_schema_has_every_key_of_llama_swap(schema):
    for where, keys in KEYS.items():
        scope = schema["definitions"][where] if where else schema
        missing = set(keys.split()) - set(scope["properties"])
        assert not missing, (where, missing)


def test_each_key_is_described(schema):
    for where, scope in [("", schema), *schema["definitions"].items()]:
        for key, inner in scope.get("properties", {}).items():
            assert inner["description"].endswith("."), (where, key)


def test_references_lead_somewhere(schema):
    for name in re.findall(r'"#/definitions/([^"]*)"', json.dumps(schema)):
        assert name in schema["definitions"], name


@pytest.mark.parametrize("key", ALL)
def test_the_example_uses(key):
    """The matrix has an example of its own, since a file has one router."""
    text = EXAMPLE.read_text() + MATRIX.read_text()
    assert re.search(r"(?m)^\s*(- )?%s:|[{,] *%s:" % (key, key), text), key


def test_the_example_loads(tmp_path):
    status, said = check_config(EXAMPLE.read_text(), tmp_path)
    assert status == 0 and "warning" not in said and "error" not in said, said


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_the_examples_are_valid(schema, path):
    yaml = pytest.importorskip("yaml")
    assert problems(yaml.safe_load(path.read_text()), schema, schema) == []


def model(**keys):
    return {"models": {"m": {"cmd": "x ${PORT}", **keys}}}


GOOD = [
    {}, {"models": None}, {"x-mine": [1]}, {"unknown": {"a": 1}},
    {"startPort": "${p}", "macros": {"p": 7000}}, {"healthCheckTimeout": -3}, {"captureBuffer": -1},
    {"captureBuffer": "5MiB"}, {"metricsMaxInMemory": -1}, {"performance": {"every": "1h30m"}},
    {"logLevel": "other"}, {"logTimeFormat": "other"}, {"logToStdout": ""}, {"maxBody": 4096}, {"maxBody": "1.5 GiB"},
    {"listen": "127.0.0.1:0"}, {"listen": ["127.0.0.1:0"]}, {"classes": {"normal": {"maxWait": "never"}}},
    {"gpus": [{"sim": {"memory": "24GiB"}, "limit": 0.5}, {"sim": {"memory": 1 << 30}, "limit": "95%"}]},
    {"keys": [{"key": "k", "class": "background", "wait": 0}]}, {"hooks": {"on": {"model_loaded": ["a", "b"]}}},
    {"modes": {"x": {}}}, {"profiles": {"f": {"pins": {"a": None, "b": ""}}}},
    model(ttl=-1), model(ttl="5m"), model(ttl=1.5), model(name=5), model(unlisted="yes"), model(concurrencyLimit=2.7),
    model(timeouts={"connect": -1}), model(vram="auto"), model(vram=0), model(metadata={"a": [None, {"b": 1}]}),
    model(filters={"setParamsByID": {"a": None}, "setParams": {"x": "y"}}), model(env=["A=1"], aliases=[1, "b"]),
]

BAD = [
    {"models": [1]}, {"models": {"m": 5}}, {"macros": {"a": [1]}}, {"macros": {"a": None}}, {"startPort": 0}, {"startPort": 70000},
    {"startPort": "5800"}, {"globalTTL": -1}, {"unloadTimeout": -1}, {"healthCheckTimeout": "soon"},
    {"logToStdout": "all"}, {"captureBuffer": "much"}, {"performance": {"every": 10}}, {"performance": {"every": "5"}},
    {"performance": []}, {"store": "a.db"}, {"ui": {"activity": {"session_id": "a"}}}, {"apiKeys": "a"},
    {"upstream": {"ignorePaths": [["a"]]}}, {"maxBody": "big"}, {"maxConnections": 0}, {"gpus": [{"limit": 2}]},
    {"gpus": {"sim": {}}}, {"classes": {"normal": {"maxWait": 30}}}, {"gates": {"g": {"limit": 0}}},
    {"keys": [{"key": "k", "class": "best"}]}, {"keys": [{"key": "k", "wait": -1}]}, {"hooks": {"on": {"model_loaded": {}}}},
    {"selectors": {"s": {"strategy": "any", "targets": ["m"]}}}, {"selectors": {"s": {"targets": "m"}}},
    {"profiles": {"f": ["a"]}}, {"profiles": {"f": {"pins": {"a": ["b"]}}}}, {"peers": {"p": {"models": "a"}}},
    {"peers": {"p": {"filters": {"setParams": 5}}}}, {"routing": {"router": {"use": "magic"}}},
    {"routing": {"scheduler": {"settings": {"fifo": {"priority": {"m": "high"}}}}}},
    model(ttl=-2), model(ttl="300"), model(unlisted="true"), model(unlisted=1), model(cmd=["x"]), model(env="A=1"),
    model(concurrencyLimit="3"), model(metadata=[1]), model(filters={"setParamsByID": {"a": 5}}),
    model(capabilities={"in": "text"}), model(capabilities={"context": -1}), model(timeouts=5), model(vram="lots"),
    {"class": 1, "onExit": "never"},
]


@pytest.mark.parametrize("config", GOOD, ids=json.dumps)
def test_valid_and_loaded(schema, config, tmp_path):
    assert problems(config, schema, schema) == []
    status, said = check_config(config, tmp_path)
    assert status == 0, said


@pytest.mark.parametrize("config", BAD, ids=json.dumps)
def test_invalid_and_refused(schema, config, tmp_path):
    assert problems(config, schema, schema)
    status, said = check_config(config, tmp_path)
    assert status == 2, said


def test_schema_stands_alone():
    run = subprocess.run([str(WHARF), "check", "--schema", "a.yaml"], capture_output=True, text=True)
    assert run.returncode == 2 and "--schema stands alone" in run.stderr
    run = subprocess.run([str(WHARF), "check"], capture_output=True, text=True)
    assert run.returncode == 2 and "FILE is missing" in run.stderr
