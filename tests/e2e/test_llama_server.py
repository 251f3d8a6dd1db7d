"""Two real llama-servers with a real, tiny model (real_server.py): wharf changes nothing of what they
say. What the clients' calls look like is tested in clients/."""

import pathlib
import subprocess

import pytest

import real_server
from real_server import SERVER, command
from wharf_harness import (SECONDS, SLOWNESS, Connection, free_port, is_alive, together, until)

PROMPTS = ["Once upon a time", "The little dog", "Lily and Ben went to the park", "One day"]

pytestmark = pytest.mark.skipif(bool(real_server.why_not()), reason=real_server.why_not())


def config():
    return {"models": {name: real_server.model(name) for name in ("tiny-a", "tiny-b")}}


@pytest.fixture(scope="module")
def direct(tmp_path_factory):
    """A llama-server without wharf: what its answers should be."""
    port = free_port()
    log = open(tmp_path_factory.mktemp("direct") / "log", "wb")
    process = subprocess.Popen(command(port, "tiny-a"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready():
        assert process.poll() is None, pathlib.Path(log.name).read_text()[-2000:]
        try:
            with Connection(("127.0.0.1", port)) as c:
                return c.ask("GET", "/health").status == 200
        except ConnectionError:
            return False

    until(ready, "a llama-server without wharf", 3 * SECONDS)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(SECONDS)
    log.close()


@pytest.fixture
def openai_client():
    openai = pytest.importorskip("openai", reason="the Python package openai is not installed")
    return lambda url, **keys: openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0,
                                             timeout=3 * SECONDS, **keys)


@pytest.fixture
def anthropic_client():
    anthropic = pytest.importorskip("anthropic", reason="the Python package anthropic is not installed")
    return lambda url: anthropic.Anthropic(base_url=url, api_key="none", max_retries=0,
                                           timeout=3 * SECONDS)


def chat(client, model, prompt, stream=False, tokens=24):
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=0,
        max_tokens=tokens, stream=stream, seed=1)
    if not stream:
        assert answer.choices[0].finish_reason in ("stop", "length")
        return answer.choices[0].message.content
    pieces, reason = [], None
    for chunk in answer:
        if chunk.choices:
            pieces.append(chunk.choices[0].delta.content or "")
            reason = chunk.choices[0].finish_reason or reason
    assert reason in ("stop", "length"), "the stream ended without a reason"
    return "".join(pieces)


@pytest.mark.slice
@pytest.mark.parametrize("stream", [False, True])
def test_greedy_text_is_the_servers_own(wharf, direct, openai_client, stream):
    d = wharf(config())
    through, straight = openai_client(d.url), openai_client(direct)
    for name in ("tiny-a", "tiny-b"):
        for prompt in PROMPTS:
            text = chat(through, name, prompt, stream)
            assert text == chat(straight, "any", prompt), (name, prompt)
            assert len(text) > 20
        assert d.state_of(name) == "loaded"
    assert d.state_of("tiny-a") == "unloaded", "A was swapped out for B"


def test_completions_and_embeddings(wharf, direct, openai_client):
    d = wharf(config())
    through, straight = openai_client(d.url), openai_client(direct)
    texts = [c.completions.create(model="tiny-a", prompt=PROMPTS[0], temperature=0, max_tokens=16)
             .choices[0].text for c in (through, straight)]
    assert texts[0] == texts[1] and texts[0]
    vectors = [c.embeddings.create(model="tiny-a", input="a little dog", encoding_format="float")
               .data[0].embedding for c in (through, straight)]
    assert vectors[0] == vectors[1] and len(vectors[0]) > 10
    assert [m.id for m in through.models.list().data] == ["tiny-a", "tiny-b"]


def test_native_llama_cpp_paths(wharf):
    d = wharf(config())
    answer = d.ok(d.post("/completion", {"model": "tiny-a", "prompt": "Once", "n_predict": 8}))
    assert answer.json()["content"]
    tokens = d.ok(d.post("/upstream/tiny-a/tokenize", {"content": "Once upon"})).json()["tokens"]
    text = d.ok(d.post("/upstream/tiny-a/detokenize", {"tokens": tokens})).json()["content"]
    assert text.strip() == "Once upon"
    assert d.ok(d.get("/props?model=tiny-a")).json()["total_slots"] == 4


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic(wharf, direct, anthropic_client, stream):
    d = wharf(config())

    def ask(client, model):
        keys = dict(model=model, max_tokens=24, extra_body={"temperature": 0},
                    messages=[{"role": "user", "content": PROMPTS[0]}])
        if not stream:
            return client.messages.create(**keys).content[0].text
        with client.messages.stream(**keys) as s:
            text = "".join(s.text_stream)
            assert s.get_final_message().stop_reason in ("end_turn", "max_tokens")
            return text

    through, straight = anthropic_client(d.url), anthropic_client(direct)
    expected = ask(straight, "any")
    for name in ("tiny-a", "tiny-b"):
        assert ask(through, name) == expected
    counted = through.messages.count_tokens(
        model="tiny-a", messages=[{"role": "user", "content": PROMPTS[0]}])
    assert counted.input_tokens > 0


def test_errors_as_the_clients_see_them(wharf, openai_client, anthropic_client):
    import anthropic
    import openai
    broken = config()
    broken["models"]["broken"] = {"cmd": f"{SERVER} --model /nowhere.gguf --port ${{PORT}}",
                                  "proxy": "http://127.0.0.1:${PORT}"}
    d = wharf(broken)
    client, other = openai_client(d.url), anthropic_client(d.url)
    with pytest.raises(openai.NotFoundError) as unknown:
        chat(client, "tiny-c", "x")
    assert "tiny-a" in unknown.value.message and unknown.value.code == "model_not_found"
    with pytest.raises(openai.InternalServerError) as failed:
        chat(client, "broken", "x")
    assert failed.value.status_code == 502 and "nowhere.gguf" in failed.value.message
    with pytest.raises(anthropic.NotFoundError) as unknown:
        other.messages.create(model="tiny-c", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert unknown.value.body["error"]["type"] == "not_found_error"


def test_a_client_that_stops_listening_frees_its_slot(wharf, openai_client):
    d = wharf(config())
    client = openai_client(d.url)
    stream = client.chat.completions.create(
        model="tiny-a", messages=[{"role": "user", "content": "Once"}], max_tokens=1500, stream=True,
        extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.close()
    client.close()
    d.until_model("tiny-a", in_flight=0)
    slots = until(lambda: all(not s["is_processing"] for s in
                              d.get("/upstream/tiny-a/slots").json()), "idle slots")
    assert slots


@pytest.mark.skipif(SLOWNESS > 1, reason="too long under valgrind")
def test_200_mixed_requests_over_two_models_with_room_for_one(wharf, openai_client):
    d = wharf(config())
    events = d.events()
    client = openai_client(d.url)

    def work(i):
        texts = []
        for j in range(25):
            model = ("tiny-a", "tiny-b")[(i + j // 5) % 2]
            texts.append(chat(client, model, PROMPTS[j % len(PROMPTS)], stream=j % 2 == 0, tokens=8))
        return texts

    answers = [text for texts in together(8, work) for text in texts]
    assert len(answers) == 200 and all(answers)
    events.catch_up()
    loads, unloads = events.count("model_loaded"), events.count("model_unloaded")
    assert loads == unloads + 1, "a swap is one unload and one load"
    assert 2 <= loads <= 200
    assert not events.all("load_failed")
    resident = d.get("/running").json()["running"]
    assert len(resident) == 1 and len(d.tree()) == 1
    [pid] = d.tree()
    d.stop()
    assert not is_alive(pid)
