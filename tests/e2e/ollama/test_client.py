"""Ollama's official Python client, as it is, against models that are no Ollama's: pretended engines, and a
real llama-server with a real, tiny model."""

import json

import pytest

import real_server
from wharf_harness import SECONDS, demo, models

ollama = pytest.importorskip("ollama", reason="the Python package ollama is not installed")
REAL = pytest.mark.skipif(bool(real_server.why_not()), reason=real_server.why_not())


def client(d, **keys):
    return ollama.Client(host=f"http://{d.address[0]}:{d.address[1]}", timeout=3 * SECONDS, **keys)


@pytest.fixture
def pretended(wharf):
    d = wharf({"models": {"a": demo("a", "--tokens", 4), "b": demo("b")}})
    return d, client(d)


HELLO = [{"role": "user", "content": "Hello"}]


def test_chat(pretended):
    _, c = pretended
    answer = c.chat("a", HELLO)
    assert answer.message.role == "assistant" and answer.message.content and answer.done and answer.done_reason == "stop"
    assert answer.eval_count == 4 and answer.prompt_eval_count > 0 and answer.total_duration > 0
    pieces = list(c.chat("a:latest", HELLO, stream=True))
    assert "".join(p.message.content for p in pieces) == answer.message.content
    assert [p.done for p in pieces] == [False] * (len(pieces) - 1) + [True] and len(pieces) > 2
    assert pieces[-1].eval_count == 4


def test_generate(pretended):
    _, c = pretended
    answer = c.generate("a", "Hello")
    assert answer.response and answer.done and answer.eval_count == 4
    assert "".join(p.response for p in c.generate("a", "Hello", stream=True)) == answer.response
    assert c.generate("a", "Hello", raw=True).response


def test_embeddings(pretended):
    _, c = pretended
    two = c.embed("a", ["one", "two"])
    assert len(two.embeddings) == 2 and len(two.embeddings[0]) == len(two.embeddings[1]) > 0
    assert list(c.embed("a", "one").embeddings[0]) == list(two.embeddings[0])
    assert list(c.embeddings("a", "one").embedding) == list(two.embeddings[0])


def test_models(pretended):
    d, c = pretended
    assert [m.model for m in c.list().models] == ["a:latest", "b:latest"]
    assert c.ps().models == []
    assert c.generate("b").done_reason == "load"
    (running,) = c.ps().models
    assert running.model == "b:latest" and running.expires_at.year > 2200
    assert c.show("b").capabilities == ["completion"]
    assert c.generate("b", keep_alive=0).done_reason == "unload"
    d.until_model("b", state="unloaded")


def test_errors(pretended):
    _, c = pretended
    for call in (lambda: c.chat("nope", HELLO), lambda: next(c.chat("nope", HELLO, stream=True)), lambda: c.show("nope"),
                 lambda: c.embed("nope", "x")):
        with pytest.raises(ollama.ResponseError) as e:
            call()
        assert e.value.status_code == 404 and "no model is called" in e.value.error
    for call in (lambda: c.pull("a"), lambda: c.delete("a"), lambda: c.copy("a", "c"), lambda: next(c.pull("a", stream=True)),
                 lambda: c.push("a"), lambda: c.create("c", from_="a")):
        with pytest.raises(ollama.ResponseError) as e:
            call()
        assert e.value.status_code == 501 and "wharf's configuration" in e.value.error


def test_an_error_within_a_stream(wharf):
    d = wharf({"models": {"a": demo("a", "--crash-after-tokens", 2)}})
    words = []
    with pytest.raises(ollama.ResponseError, match="closed"):
        for piece in client(d).chat("a", HELLO, stream=True):
            words.append(piece.message.content)
    assert words


def test_keys(wharf):
    d = wharf({**models("a"), "apiKeys": ["k"]})
    with pytest.raises(ollama.ResponseError, match="API key"):
        client(d).list()
    assert client(d, headers={"Authorization": "Bearer k"}).list().models[0].model == "a:latest"


# ---------------------------------------------------------------- a real llama-server


@pytest.fixture
def real(wharf):
    d = wharf({"models": {name: real_server.model(name) for name in ("tiny-a", "tiny-b")}})
    return d, client(d)


@REAL
def test_a_real_models_words_are_the_same_by_either_api(real):
    import openai
    d, c = real
    options = {"temperature": 0, "seed": 1, "num_predict": 24}
    whole = c.chat("tiny-a", HELLO, options=options)
    pieces = list(c.chat("tiny-a", HELLO, options=options, stream=True))
    assert "".join(p.message.content for p in pieces) == whole.message.content
    theirs = openai.OpenAI(base_url=f"http://{d.address[0]}:{d.address[1]}/v1", api_key="none").chat.completions.create(
        model="tiny-a", messages=HELLO, temperature=0, seed=1, max_tokens=24)
    assert theirs.choices[0].message.content == whole.message.content
    for last in (whole, pieces[-1]):
        assert last.done_reason == "length" and last.eval_count == 24
        assert last.prompt_eval_count == theirs.usage.prompt_tokens
        assert last.eval_duration > 0 and last.total_duration >= last.eval_duration
    assert c.chat("tiny-b", HELLO, options=options).load_duration > 0


@REAL
def test_a_real_models_completions(real):
    _, c = real
    options = {"temperature": 0, "num_predict": 16, "stop": ["."]}
    raw = c.generate("tiny-a", "Once upon a time", raw=True, options=options)
    assert raw.response.strip() and "." not in raw.response and raw.done_reason in ("stop", "length")
    assert "".join(p.response for p in c.generate("tiny-a", "Once upon a time", raw=True, options=options, stream=True)) == raw.response
    assert c.generate("tiny-a", "Once upon a time", options=options, system="Tell", think=False).done


@REAL
def test_a_real_model_keeps_to_a_schema(real):
    _, c = real
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    options = {"num_predict": 32, "temperature": 0}
    assert json.loads(c.chat("tiny-a", HELLO, format=schema, options=options).message.content)["n"] in (1, 2)
    assert json.loads(c.generate("tiny-a", "x", format=schema, options=options).response)["n"] in (1, 2)
    assert isinstance(json.loads(c.chat("tiny-a", HELLO, format="json", options={"temperature": 0, "num_predict": 200}).message.content), dict)
    # This model cannot write an object without a template around the prompt.
    assert isinstance(json.loads(c.generate("tiny-a", "x", raw=True, format={"type": "integer"}, options=options).response), int)


@REAL
def test_a_real_models_embeddings(real):
    _, c = real
    got = c.embed("tiny-a", ["The little dog", "One day"])
    assert len(got.embeddings) == 2 and len(got.embeddings[0]) == 64 and got.prompt_eval_count > 2
    assert list(c.embeddings("tiny-a", "One day").embedding) == pytest.approx(list(got.embeddings[1]), abs=1e-4)


@REAL
def test_a_real_servers_errors(real):
    _, c = real
    with pytest.raises(ollama.ResponseError) as e:
        c.chat("tiny-a", [{"role": "user", "content": "word " * 5000}])
    assert e.value.status_code == 400 and "context" in e.value.error
    with pytest.raises(ollama.ResponseError):
        c.generate("tiny-a", "def f(", suffix="return x")


@REAL
def test_a_real_models_logprobs(real):
    _, c = real
    got = c.chat("tiny-a", HELLO, logprobs=True, top_logprobs=2, options={"num_predict": 3, "temperature": 0})
    assert len(got.logprobs) == 3 and len(got.logprobs[0].top_logprobs) == 2
