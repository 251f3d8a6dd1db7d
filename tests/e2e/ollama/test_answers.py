"""What a model's server says, in the words of Ollama's API."""

import datetime
import json
import queue

import pytest

from ollama_harness import lines, sse
from wharf_harness import SECONDS, SSE_HEAD, chat_body

TIMES = {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
TIMINGS = {"prompt_n": 11, "prompt_ms": 12.5, "predicted_n": 7, "predicted_ms": 30.25}
TEXT = "Grüße \"{[ \\ \n\t😀 ]}\""


def ask(d, path="chat", **keys):
    said = {"messages": [{"role": "user", "content": "Hi"}]} if path == "chat" else {"prompt": "Hi"}
    return d.post(f"/api/{path}", {"model": "m", **said, **keys})


def event(delta=None, finish=None, **keys):
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "inner",
            "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **keys}


def without_times(object_):
    """The object without what differs from call to call, which is looked at here."""
    when = datetime.datetime.fromisoformat(object_.pop("created_at").replace("Z", "+00:00"))
    assert abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) < 3600
    assert object_.pop("model") == "m"
    if object_["done"] and object_.get("done_reason") in ("stop", "length"):
        for name in TIMES:
            assert isinstance(object_[name], int) and object_[name] >= 0, name
            del object_[name]
    return object_


def said(content="", done=False, **keys):
    return {"message": {"role": "assistant", "content": content, **keys}, "done": done}


def last(reason="stop", path="chat", **keys):
    return {**(said() if path == "chat" else {"response": ""}), "done": True, "done_reason": reason, **keys}


COUNTS = {"prompt_eval_count": 11, "eval_count": 7}
FIRST = event({"role": "assistant", "content": None})
CALLS = [
    event({"tool_calls": [{"index": 0, "id": "call_x", "type": "function", "function": {"name": "weather", "arguments": ""}}]}),
    event({"tool_calls": [{"index": 0, "function": {"arguments": "{\"city\":"}}]}),
    event({"tool_calls": [{"index": 0, "function": {"arguments": " \"K\\u00f6ln\",\n \"n\": 1.5}"}}]}),
    event({"tool_calls": [{"index": 1, "id": "call_y", "type": "function", "function": {"name": "time", "arguments": "{}"}}]}),
]
CALLED = [{"id": "call_x", "function": {"index": 0, "name": "weather", "arguments": {"city": "Köln", "n": 1.5}}},
          {"id": "call_y", "function": {"index": 1, "name": "time", "arguments": {}}}]
LOGPROBS = [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1, "bytes": [98]}]}]

STREAMS = [
    ("texts", "chat", [FIRST, event({"content": "Hel"}), event({"content": "lo"}), event(finish="stop"), {"choices": [], "usage": USAGE}],
     [said("Hel"), said("lo"), last(**COUNTS)]),
    ("any character", "chat", [event({"content": TEXT}), event(finish="stop")], [said(TEXT), last()]),
    ("why it ended", "chat", [event({"content": "a"}), event(finish="length")], [said("a"), last("length")]),
    ("text with the end", "chat", [event({"content": "a"}, "stop", timings=TIMINGS, usage=USAGE)], [said("a"), last(**COUNTS)]),
    ("thoughts", "chat", [event({"reasoning_content": "hm"}), event({"reasoning": "so"}), event({"content": "a"}), event(finish="stop")],
     [said(thinking="hm"), said(thinking="so"), said("a"), last()]),
    ("tools", "chat", [FIRST, *CALLS, event(finish="tool_calls")], [said(tool_calls=CALLED), last()]),
    ("tools without an end", "chat", CALLS, [said(tool_calls=CALLED), last()]),
    ("text before tools", "chat", [event({"content": "I look"}), *CALLS, event(finish="tool_calls")],
     [said("I look"), said(tool_calls=CALLED), last()]),
    ("logprobs", "chat", [event({"content": "a"}) | {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": LOGPROBS}, "finish_reason": None}]},
                          event(finish="stop")], [said("a") | {"logprobs": LOGPROBS}, last()]),
    ("a prompt's", "generate", [event({"reasoning_content": "hm"}), event({"content": "a"}), event(finish="stop"), {"choices": [], "usage": USAGE}],
     [{"response": "", "thinking": "hm", "done": False}, {"response": "a", "done": False}, last(path="generate", **COUNTS)]),
    ("a plain completion's", "generate", [{"choices": [{"text": "a", "finish_reason": None}]}, {"choices": [{"text": "", "finish_reason": "length"}], "usage": USAGE}],
     [{"response": "a", "done": False}, last("length", "generate", **COUNTS)]),
    ("an infill's", "generate", [{"content": "a", "stop": False}, {"content": "", "stop": True, "stop_type": "limit", "tokens_evaluated": 11, "tokens_predicted": 7}],
     [{"response": "a", "done": False}, last("length", "generate", **COUNTS)]),
]


@pytest.mark.slice
def test_streams(scripted):
    d, s = scripted
    for what, path, events, wanted in STREAMS:
        for done in (True,) if "without" in what else (True, False):  # llama.cpp's own form has no [DONE]
            s.streams(*events, done=done)
            assert [without_times(o) for o in lines(ask(d, path))] == wanted, what


@pytest.mark.slice
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_streams_split_at_every_byte(scripted, ends):
    """Chunk by chunk is how wharf takes what comes, in however few reads."""
    d, s = scripted
    events = [FIRST, event({"content": TEXT}), *CALLS[1:3], event(finish="stop"), {"choices": [], "usage": USAGE}]
    text = (": a comment\n\nevent: x\n" + sse(*events).decode()).replace("\n", ends).encode()
    s.says(text, kind="text/event-stream")
    wanted = [without_times(o) for o in lines(ask(d))]
    assert len(wanted) == 3
    for sizes in [[1], [2], [3], *([n, len(text)] for n in range(1, len(text)))]:
        s.says(text, kind="text/event-stream", sizes=sizes)
        assert [without_times(o) for o in lines(ask(d))] == wanted, sizes


def test_lines_come_as_the_events_do(wharf, upstream):
    """Nothing is held back: each line is read before the next event is sent."""
    read = queue.Queue()

    def script(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        for word in "abc":
            peer.chunk(sse(event({"content": word}), done=False))
            assert read.get(timeout=SECONDS) == word
        peer.chunk(sse(event(finish="stop")))
        peer.send("0\r\n\r\n")

    d = wharf({"models": {"m": upstream(script).model()}})
    with d.connect() as c:
        c.request("POST", "/api/chat", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
        answer = c.head()
        pieces = c.pieces(answer)
        for word in "abc":
            assert without_times(json.loads(next(pieces))) == said(word)
            read.put(word)
        assert without_times(json.loads(next(pieces))) == last()
        assert list(pieces) == []


def whole(message, finish="stop", **keys):
    return {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}], **keys}


WHOLE = [
    ("a text", "chat", whole({"content": TEXT}, usage=USAGE), said(TEXT, True) | {"done_reason": "stop"} | COUNTS),
    ("cut off", "chat", whole({"content": "a"}, "length"), said("a", True) | {"done_reason": "length"}),
    ("thoughts", "chat", whole({"content": "a", "reasoning_content": "hm"}), said("a", True, thinking="hm") | {"done_reason": "stop"}),
    ("tools", "chat", whole({"content": None, "tool_calls": [
        {"id": "call_x", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln",\n"n": 1.5}'}},
        {"id": "call_y", "type": "function", "function": {"name": "time", "arguments": ""}}]}, "tool_calls"),
     said("", True, tool_calls=CALLED) | {"done_reason": "stop"}),
    ("a prompt's", "generate", whole({"content": "a"}, usage=USAGE), {"response": "a", "done": True, "done_reason": "stop", **COUNTS}),
    ("a plain completion's", "generate", {"choices": [{"text": "a", "finish_reason": "stop"}]}, {"response": "a", "done": True, "done_reason": "stop"}),
    ("an infill's", "generate", {"content": "a", "stop": True, "stop_type": "eos", "tokens_evaluated": 11, "tokens_predicted": 7},
     {"response": "a", "done": True, "done_reason": "stop", **COUNTS}),
]


@pytest.mark.slice
def test_whole_answers(scripted):
    d, s = scripted
    for what, path, body, wanted in WHOLE:
        for indent in (None, 1):
            for sizes in (None, [1]):
                s.says(json.dumps(body, indent=indent), sizes=sizes)
                answer = ask(d, path, stream=False)
                assert answer.status == 200 and answer.header("content-type") == "application/json; charset=utf-8"
                assert without_times(answer.json()) == wanted, what
        # A server that does not stream is still understood, on one line.
        s.says(json.dumps(body, indent=1))
        (one,) = lines(ask(d, path))
        assert without_times(one) == wanted, what


def test_times_are_the_servers_own_where_it_says_them(scripted):
    d, s = scripted
    s.says(whole({"content": "a"}, usage=USAGE, timings=TIMINGS))
    got = ask(d, stream=False).json()
    assert (got["prompt_eval_duration"], got["eval_duration"]) == (12_500_000, 30_250_000)
    assert got["total_duration"] >= got["load_duration"] >= 0


def test_numbers_that_are_none_are_not_passed_on(scripted):
    d, s = scripted
    s.says(json.dumps(whole({"content": "a"}, usage=USAGE, timings=TIMINGS)).replace("12.5", "1e999").replace("11", "1e999"))
    got = ask(d, stream=False)
    assert b"inf" not in got.body and "prompt_eval_count" not in got.json()
    s.says('{"data":[{"embedding":[1],"index":0}],"usage":{"prompt_tokens":1e999}}')
    assert "prompt_eval_count" not in d.ok(d.post("/api/embed", {"model": "m", "input": "a"})).json()


# ---------------------------------------------------------------- embeddings


def vectors(*lists, usage=True, **keys):
    return {"object": "list", "data": [{"object": "embedding", "embedding": v, "index": i} for i, v in enumerate(lists)],
            "model": "data", **({"usage": USAGE} if usage else {}), **keys}


@pytest.mark.slice
def test_embeddings(scripted):
    d, s = scripted
    for lists in ([[0.5, -1e-7, 3]], [[1], [2.25, 3], []], [[0.1] * 3000] * 3):
        every = range(1, len(json.dumps(vectors(*lists)))) if len(lists[0]) < 4 else []
        for sizes in (None, [1000], [1], *([n, 10 ** 6] for n in every)):
            s.says(vectors(*lists), sizes=sizes)
            answer = d.post("/api/embed", {"model": "m", "input": ["a"] * len(lists)})
            got = answer.json()
            assert got.pop("total_duration") >= got.pop("load_duration") >= 0
            assert got == {"model": "m", "embeddings": lists, "prompt_eval_count": 11}
    s.says(vectors([0.5, 1], usage=False))
    assert d.post("/api/embeddings", {"model": "m", "prompt": "a"}).json() == {"embedding": [0.5, 1]}
    assert "prompt_eval_count" not in d.post("/api/embed", {"model": "m", "input": "a"}).json()


def test_digits_of_embeddings_stay_as_they_are(scripted):
    d, s = scripted
    s.says('{"data":[{"embedding":[0.10000, 1E-3,-0.0],"index":0}]}')
    assert d.post("/api/embeddings", {"model": "m", "prompt": "a"}).body == b'{"embedding":[0.10000, 1E-3,-0.0]}\n'


@pytest.mark.parametrize("body", [
    b"", b"{}x", b"[]", b'{"data":[{"embedding":"AAAA","index":0}]}', b'{"data":[{"embedding":[1],"index":1}]}',
    b'{"data":[{"embedding":[1],"index":0}', b'{"data":[{"embedding":[1],"index":0}]}}',
    b'{"data":[{"embedding":[1,],"index":0}]}', b'{"data":[{"embedding":[1' + b",1" * 600_000 + b'],"index":0}]}',
    json.dumps(vectors([1], [2])).encode()], ids=range(10))
def test_what_are_no_embeddings_cannot_be_taken_for_some(scripted, body):
    d, s = scripted
    s.says(body)
    with pytest.raises(json.JSONDecodeError):
        d.post("/api/embeddings", {"model": "m", "prompt": "a"}).json()
    for none in ({}, {"error": "x"}, {"data": {}}):
        s.says(none)
        with pytest.raises(json.JSONDecodeError):
            d.post("/api/embed", {"model": "m", "input": "a"}).json()


# ---------------------------------------------------------------- errors


ERRORS = [
    (400, {"error": {"code": 400, "message": "too long", "type": "x"}}, "too long"),
    (500, {"error": "bad"}, "bad"),
    (422, {"detail": "wrong"}, "wrong"),
    (404, {"message": "gone", "object": "error"}, "gone"),
    (503, "plain text\n", "plain text"),
    (500, "", "model m: its server answered 500"),
]


@pytest.mark.slice
def test_errors_of_the_models_server_keep_their_status(scripted):
    d, s = scripted
    for status, body, message in ERRORS:
        s.says(body, status)
        for path, keys in (("chat", {}), ("chat", {"stream": False}), ("generate", {}), ("embeddings", {})):
            answer = ask(d, path, **keys)
            assert (answer.status, answer.json()) == (status, {"error": message}), (path, keys)


BROKEN = [
    ("an error", [event({"content": "a"}), {"error": {"message": "out of memory"}}], "out of memory"),
    ("no JSON", [event({"content": "a"}), "{nonsense"], "model m: its server sent what is no JSON object"),
    ("an early end", [event({"content": "a"})], "model m: its server ended the answer before its end"),
    ("no arguments", [event({"content": "a"}), event({"tool_calls": [{"index": 0, "function": {"name": "x", "arguments": "[1]"}}]}), event(finish="tool_calls")],
     "model m: it called a tool with arguments that are no JSON object"),
    ("too many tools", [event({"content": "a"}), event({"tool_calls": [{"index": 5000, "function": {"name": "x"}}]})],
     "model m: its server sent calls of tools that are none, or too many"),
    ("a large event", [event({"content": "a"}), event({"content": "x" * 1_100_000})], "model m: its server sent an event that is too large"),
]


@pytest.mark.slice
def test_errors_within_a_stream_are_its_last_line(scripted):
    d, s = scripted
    for what, events, message in BROKEN:
        s.streams(*events, done=False)
        got = lines(ask(d))
        assert [without_times(o) for o in got[:-1]] == [said("a")], what
        assert got[-1] == {"error": message}, what
    s.says(sse(event({"content": "a"}), done=False) + b'error: {"code":500,"message":"older"}\n\n', kind="text/event-stream")
    assert lines(ask(d))[-1] == {"error": "older"}


def test_whole_answers_that_are_none(scripted):
    d, s = scripted
    s.says("<html>")
    assert ask(d, stream=False).json() == {"error": "model m: its server sent what is no JSON object"}
    s.says(whole({"content": "x" * (17 << 20)}))
    assert ask(d, stream=False).json() == {"error": "model m: its server's answer is too large"}


def test_a_server_that_breaks_off(wharf, upstream):
    """Lines say so; what should have been one object is cut."""
    def script(peer, _):
        _, _, body = peer.request()
        if json.loads(body)["stream"]:
            peer.send(SSE_HEAD)
            peer.chunk(sse(event({"content": "a"}), done=False))
        else:
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"choices\":")

    d = wharf({"models": {"m": upstream(script).model()}})
    got = lines(ask(d))
    assert without_times(got[0]) == said("a")
    assert got[1:] == [{"error": "model m: the model's server closed the connection before the end of its answer"}]
    assert not ask(d, stream=False).complete


@pytest.mark.slice
def test_wharfs_own_errors_are_ollamas_on_its_paths(wharf, upstream):
    d = wharf({"models": {"m": {"cmd": "false", "proxy": "http://127.0.0.1:1"}}, "apiKeys": ["k"]})
    key = {"Authorization": "Bearer k"}
    assert ask(d).status == 401 and set(ask(d).json()) == {"error"}
    for path, body in (("chat", {"messages": [{"role": "user", "content": "x"}]}), ("generate", {"prompt": "x"}), ("generate", {}),
                       ("embed", {"input": "x"}), ("show", {})):
        for accept in ({}, {"Accept": "text/html"}):
            answer = d.post(f"/api/{path}", {"model": "n", **body}, {**key, **accept})
            assert answer.status == 404 and answer.json() == {"error": 'no model is called "n"'}, path
    answer = d.post("/api/chat", {"model": "m", "messages": [{"role": "user", "content": "x"}]}, key)
    assert answer.status == 502 and answer.json()["error"].startswith("model m: the model failed to load")
    assert d.post("/api/generate", {"model": "m"}, key).status == 502
    assert d.get("/api/chat", key).status == 405
    assert d.post("/v1/chat/completions", chat_body("n"), key).json()["error"]["code"] == "model_not_found"


def test_what_is_recorded_is_what_the_models_server_saw(scripted):
    d, s = scripted
    s.streams(event({"content": "a"}), event(finish="stop"), {"choices": [], "usage": USAGE})
    ask(d)
    (row,) = d.ok(d.get("/api/metrics/activity")).json()["data"]
    assert (row["model"], row["req_path"], row["resp_status_code"]) == ("m", "/v1/chat/completions", 200)
    assert (row["tokens"]["input_tokens"], row["tokens"]["output_tokens"]) == (11, 7)
