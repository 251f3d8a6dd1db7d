"""GET /v1/models and /running as llama-swap answers them (3.12, 3.13)."""

import pytest

from wharf_harness import Daemon, demo

CONFIG = {
    "includeAliasesInList": True,
    "models": {
        "m": demo("m", aliases=["gpt", " "], name=" Model M ", description="d", ttl=60,
                  metadata={"k": [1, 2.5, None], "type": "mine", "aliases": 1, "architecture": {"kept": True}},
                  filters={"setParamsByID": {"m:high": {"a": 1}, "m": {"a": 2}, "gpt": {"a": 3}}}),
        "all": demo("all", capabilities={"in": ["text", "image", "audio"], "out": ["text", "audio", "image"],
                                         "tools": True, "reranker": True, "context": 4096},
                    metadata={"architecture": 1, "capabilities": 2, "supported_parameters": 3, "context_length": 4,
                              "x": "y"}),
        "ears": demo("ears", capabilities={"in": ["audio"], "out": ["text"]}),
        "half": demo("half", capabilities={"in": ["text"]}),
        "hidden": demo("hidden", unlisted=True, aliases=["nick"]),
    },
    "peers": {"far": {"proxy": "http://127.0.0.1:9", "apiKey": "secret", "models": ["org/big", "m"]}},
    "selectors": {
        "any": {"strategy": "warm", "targets": ["all", "gpt"], "name": "N", "description": "D",
                "metadata": {"k": "v", "strategy": "mine"}},
        "first": {"strategy": "pin", "targets": ["all", "m"]},
        "wide": {"strategy": "spillover", "targets": ["m", "far/org/big"], "settings": {"spillover": 3}},
        "secret": {"strategy": "pin", "targets": ["m"], "unlisted": True},
    },
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    d = Daemon(tmp_path_factory.mktemp("served"), CONFIG)
    yield d
    d.finish()


def listed(d, path="/v1/models"):
    answer = d.ok(d.get(path)).json()
    assert answer["object"] == "list"
    return {row["id"]: row for row in answer["data"]}


def llamaswap(row):
    return row["meta"]["llamaswap"]


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_rows_by_id(served, path):
    answer = served.ok(served.get(path)).json()
    assert [row["id"] for row in answer["data"]] == [
        "all", "any", "ears", "far/m", "far/org/big", "first", "gpt", "half", "m", "m:high", "wide"]


def test_what_every_row_has(served):
    for row in listed(served).values():
        assert (row["object"], row["owned_by"]) == ("model", "llama-swap")
        assert isinstance(row["created"], int) and row["status"]["value"] in ("loaded", "unloaded")
    assert list(listed(served)["m"]) == ["id", "object", "created", "owned_by", "name", "description", "meta", "status"]
    assert list(listed(served)["all"]) == ["id", "object", "created", "owned_by", "architecture", "capabilities",
                                           "supported_parameters", "context_length", "meta", "status"]


def test_a_models_metadata_under_llama_swaps_own(served):
    row = listed(served)["m"]
    assert (row["name"], row["description"]) == ("Model M", "d")
    assert llamaswap(row) == {"k": [1, 2.5, None], "type": "model", "aliases": ["gpt", " ", "m:high"],
                              "architecture": {"kept": True}}


def test_rows_of_aliases(served):
    rows = listed(served)
    for alias in ("gpt", "m:high"):
        assert (rows[alias]["name"], rows[alias]["description"]) == ("Model M", "d")
        assert llamaswap(rows[alias]) == {"k": [1, 2.5, None], "type": "alias", "modelID": "m", "aliases": 1,
                                          "architecture": {"kept": True}}


def test_aliases_are_left_out_by_default(wharf):
    d = wharf({"models": {"m": demo("m", aliases=["gpt"])}})
    assert list(listed(d)) == ["m"] and llamaswap(listed(d)["m"]) == {"type": "model", "aliases": ["gpt"]}


def test_capabilities(served):
    row = listed(served)["all"]
    assert row["architecture"] == {
        "input_modalities": ["text", "image", "audio"], "output_modalities": ["text", "audio", "image"],
        "modality": "text+image+audio->text+audio+image"}
    assert row["capabilities"] == dict.fromkeys([
        "vision", "audio_transcriptions", "audio_speech", "image_generation", "image_to_image", "function_calling",
        "reranker"], True)
    assert row["supported_parameters"] == ["tools", "tool_choice"]
    assert row["context_length"] == 4096
    assert row["meta"] == {"llamaswap": {"type": "model", "x": "y"}, "n_ctx": 4096}


def test_some_capabilities(served):
    rows = listed(served)
    assert rows["ears"]["capabilities"] == {"audio_transcriptions": True}
    assert rows["ears"]["architecture"]["modality"] == "audio->text"
    assert rows["half"]["architecture"] == {"input_modalities": ["text"]}
    assert not {"capabilities", "supported_parameters", "context_length"} & set(rows["half"])


def test_rows_of_peers(served):
    row = listed(served)["far/org/big"]
    assert (row["name"], row["status"]) == ("far: org/big", {"value": "unloaded"})
    assert llamaswap(row) == {"type": "peer", "peerID": "far"}
    assert "secret" not in served.get("/v1/models").text


def test_rows_of_selectors(served):
    rows = listed(served)
    assert (rows["any"]["name"], rows["any"]["description"]) == ("N", "D")
    assert llamaswap(rows["any"]) == {"type": "selector", "strategy": "warm", "targets": ["all", "gpt"], "k": "v"}
    assert llamaswap(rows["wide"]) == {"type": "selector", "strategy": "spillover", "targets": ["m", "far/org/big"],
                                       "spillover": 3}
    assert "spillover" not in llamaswap(rows["first"]) and "name" not in rows["first"]


def test_what_is_loaded(served):
    served.ok(served.get("/unload"))
    assert {row["status"]["value"] for row in listed(served).values()} == {"unloaded"}
    served.load("m")
    loaded = [name for name, row in listed(served).items() if row["status"]["value"] == "loaded"]
    assert loaded == ["any", "gpt", "m", "m:high", "wide"]  # not "first": it looks at its first target alone


def test_the_origin_is_echoed(served):
    for path in ("/v1/models", "/models"):
        assert served.get(path, {"Origin": "http://a.example"}).header("Access-Control-Allow-Origin") == \
            "http://a.example"
        assert served.get(path).header("Access-Control-Allow-Origin") is None
    assert served.get("/running", {"Origin": "http://a.example"}).header("Access-Control-Allow-Origin") is None


def test_running(served):
    served.ok(served.get("/unload"))
    assert served.get("/running").json() == {"running": []}
    port = served.load("m")["port"]
    [row] = served.ok(served.get("/running")).json()["running"]
    assert list(row) == ["model", "state", "cmd", "proxy", "ttl", "name", "description"]
    assert (row["model"], row["state"], row["ttl"], row["name"], row["description"]) == \
        ("m", "ready", 60, "Model M", "d")
    assert f"--port {port} " in row["cmd"] and row["proxy"] == f"http://127.0.0.1:{port}"
