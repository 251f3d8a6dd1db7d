"""The loading state (section 3.10 of llama-swap's behaviour): a streamed chat completion whose model
has to be loaded first is told so, in chunks of thoughts."""

import json

import pytest

from wharf_harness import Later, chat_body, content, demo, held

CHAT = "/v1/chat/completions"


def thoughts(answer):
    """(what was told before the first content, the chunks that told it)."""
    chunks = [json.loads(b.removeprefix("data: ")) for b in answer.text.split("\n\n")
              if b.startswith("data: {")]
    deltas = [c for c in chunks if "reasoning_content" in c["choices"][0]["delta"]]
    return "".join(c["choices"][0]["delta"]["reasoning_content"] for c in deltas), deltas


def stream(d, model, path=CHAT, headers=None, **keys):
    return d.post(path, chat_body(model, **{"stream": True, **keys}), headers)


@pytest.mark.slice
@pytest.mark.valgrind
def test_place_and_end(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m", aliases=["short"], sendLoadingState=True),
                                    tmp_path / "go")}})
    first = Later(stream, d, "short")
    d.until_model("m", waiting=1)
    second = Later(stream, d, "m")
    d.until_model("m", waiting=2)
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True))
    head = c.head()
    assert (head.status, head.header("Content-Type")) == (200, "text/event-stream")
    assert head.header("Cache-Control") == "no-cache"
    events = c.sse(head)
    for event in events:  # time passes visibly
        if json.loads(event["data"])["choices"][0]["delta"]["reasoning_content"] == ".":
            break
    (tmp_path / "go").touch()
    for place, later in ((1, first), (2, second)):
        answer = later.result()
        assert answer.status == 200 and answer.complete and content(answer)
        text, chunks = thoughts(answer)
        assert text.startswith("m is not loaded yet.\n"), text
        assert f"\nQueue position: {place}, about " in text
        assert text.rstrip().endswith(" s.") and "\nReady after " in text
        for chunk in chunks:
            assert chunk["object"] == "chat.completion.chunk" and chunk["model"] == "m"
            assert chunk["id"] and chunk["choices"][0]["index"] == 0
    assert [e for e in events if e["data"] == "[DONE]"]


WITHOUT = {
    "not asked for": (False, CHAT, {}, {}),
    "no stream": (True, CHAT, {"stream": False}, {}),
    "completions": (True, "/v1/completions", {"prompt": "x"}, {}),
    "without a version": (True, "/v/chat/completions", {}, {}),
    "in the path": (True, "/upstream/m/v1/chat/completions", {}, {}),
    "refused by the client": (True, CHAT, {}, {"X-Wharf-Progress": "none"}),
}


@pytest.mark.parametrize("sends, path, keys, headers", WITHOUT.values(), ids=WITHOUT.keys())
def test_without(wharf, upstream, sends, path, keys, headers):
    from wharf_harness import serve_requests
    u = upstream(serve_requests(lambda peer, *_: peer.answer("whole")))
    d = wharf({"models": {"m": u.model(sendLoadingState=sends)}})
    answer = d.ok(stream(d, "m", path, headers, **keys))
    assert answer.header("X-Wharf-Queued") and answer.text == "whole", answer


@pytest.mark.slice
def test_not_where_the_model_is_loaded(wharf):
    d = wharf({"sendLoadingState": True, "models": {"m": demo("m")}})
    assert thoughts(d.ok(stream(d, "m")))[0]
    answer = d.ok(stream(d, "m"))
    assert content(answer) and thoughts(answer)[0] == ""


def test_a_model_that_does_not_want_it(wharf):
    d = wharf({"sendLoadingState": True, "models": {"m": demo("m", sendLoadingState=False)}})
    answer = d.ok(stream(d, "m"))
    assert content(answer) and thoughts(answer)[0] == ""


@pytest.mark.slice
def test_a_failed_load_is_an_event(wharf):
    d = wharf({"models": {"m": {"cmd": "sh -c 'echo no such file; exit 1'", "sendLoadingState": True,
                                "proxy": "http://127.0.0.1:9"}}})
    answer = stream(d, "m")
    assert answer.status == 200 and answer.complete, answer
    last = answer.text.rstrip("\n").split("\n\n")[-1]
    name, data = last.split("\n")
    assert name == "event: error"
    error = json.loads(data.removeprefix("data: "))["error"]
    assert error["code"] == "load_failed" and "no such file" in error["message"]
    assert "[DONE]" not in answer.text


def test_a_full_queue_is_told_first(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m", sendLoadingState=True, maxQueue=1), tmp_path / "go")}})
    waiting = Later(stream, d, "m")
    d.until_model("m", waiting=1)
    answer = stream(d, "m")
    assert (answer.status, answer.error["code"]) == (429, "queue_full"), answer
    (tmp_path / "go").touch()
    assert content(waiting.result())


def test_the_official_client(wharf):
    openai = pytest.importorskip("openai")
    d = wharf({"models": {"m": demo("m", sendLoadingState=True),
                          "broken": {"cmd": "false", "sendLoadingState": True,
                                     "proxy": "http://127.0.0.1:9"}}})
    client = openai.OpenAI(base_url=d.url + "/v1", api_key="k", max_retries=0)
    text = ""
    for chunk in client.chat.completions.create(
            model="m", stream=True, messages=[{"role": "user", "content": "hello"}]):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text
    with pytest.raises(openai.APIError, match="broken"):
        list(client.chat.completions.create(
            model="broken", stream=True, messages=[{"role": "user", "content": "hello"}]))
