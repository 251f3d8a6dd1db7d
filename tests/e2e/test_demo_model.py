"""wharf-demo-model on its own: its endpoints, and each way in which it can be told to misbehave."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib

import pytest

from wharf_harness import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("WHARF_BUILD_DIR", ROOT / "build")) / "wharf-demo-model"
SECONDS_MAX = 10


class Model:
    """A running wharf-demo-model on a free port."""

    def __init__(self, *flags, env=None):
        self.process = subprocess.Popen(
            [str(BINARY), "--port", "0", *flags], text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})))
        self.lines = queue.Queue()
        self.seen = []
        threading.Thread(target=self.read_lines, daemon=True).start()
        self.port = int(self.wait_line(r"listening on http://127\.0\.0\.1:(\d+)").group(1))

    def read_lines(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def wait_line(self, pattern):
        """The match in the first matching line, also among those that came before."""
        for line in self.seen:
            if match := re.search(pattern, line):
                return match
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            line = self.lines.get(timeout=max(0.001, deadline - time.monotonic()))
            assert line is not None, f"ended before {pattern!r}: {self.process.stderr.read()}"
            self.seen.append(line)
            if match := re.search(pattern, line):
                return match

    def wait_ready(self):
        self.wait_line("loaded, all slots are idle")
        return self

    def wait_exit(self):
        return self.process.wait(SECONDS_MAX)

    def connect(self, timeout=SECONDS_MAX):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)
        with contextlib.closing(connection):
            if isinstance(body, dict):
                body = json.dumps(body)
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer, answer.read()

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, body):
        answer, data = self.request("POST", path, body)
        assert answer.status == 200, data
        return json.loads(data)

    def stream(self, path, body):
        """The stream's events as (event or None, data text)."""
        answer, data = self.request("POST", path, dict(body, stream=True))
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        return parse_events(data.decode())


def parse_events(text):
    events = []
    for block in text.split("\n\n"):
        name, data = None, None
        for line in block.split("\n"):
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
        if data is not None:
            events.append((name, data))
    return events


@pytest.fixture
def start():
    """Starts models that are ended, by process id, when the test is over."""
    models = []

    def start_model(*flags, env=None):
        models.append(Model(*flags, env=env))
        return models[-1]

    yield start_model
    for model in models:
        if model.process.poll() is None:
            model.process.kill()
        model.process.wait()
        model.process.stderr.close()


@pytest.fixture(scope="module")
def model():
    running = Model("--name", "tug").wait_ready()
    yield running
    running.process.terminate()
    assert running.wait_exit() == 0
    running.process.stderr.close()


@pytest.fixture
def gpu(tmp_path):
    """A simulated GPU of 24 GiB."""
    (tmp_path / "lock").touch()
    (tmp_path / "capacity").write_text(f"{24 << 30}\n")
    return tmp_path


def chat(text, **more):
    return dict({"model": "m", "messages": [{"role": "system", "content": "be brief"},
                                            {"role": "user", "content": "ignored"},
                                            {"role": "assistant", "content": "so"},
                                            {"role": "user", "content": text}]}, **more)


def receive_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        assert piece, f"the connection ended after {data!r}"
        data += piece
    return data


def receive_all(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


# --- the command line

def run(*flags):
    return subprocess.run([str(BINARY), *flags], text=True, capture_output=True,
                          timeout=SECONDS_MAX)


def test_help_lists_every_flag():
    text = (ROOT / "src" / "demo" / "flags.def").read_text()
    names = re.findall(r'^FLAG\(\w+, \w+, "([a-z-]+)"', text, re.MULTILINE)
    shown = run("--help")
    assert shown.returncode == 0 and len(names) > 20
    for name in names:
        assert f"  --{name}" in shown.stdout


@pytest.mark.parametrize("flags, text", [
    ([], "--port is needed"),
    (["--port"], "--port needs a value"),
    (["--port", "70000"], "at most 65535"),
    (["--port", "12x"], "'12x'"),
    (["--port", "0", "--load-time", "5"], "'5'"),
    (["--port", "0", "--vram", "much"], "'much'"),
    (["--port", "0", "--hang=1"], "takes no value"),
    (["--port", "0", "--crash-on-load=256"], "'256'"),
    (["--port", "0", "--no-such"], "unknown argument '--no-such'"),
    (["--port", "0", "stray"], "unknown argument 'stray'"),
])
def test_bad_command_lines_are_refused(flags, text):
    ended = run(*flags)
    assert ended.returncode == 2, ended.stderr
    assert text in ended.stderr


def test_port_in_use(start):
    ended = run("--port", str(start().port))
    assert ended.returncode == 1
    assert "couldn't bind" in ended.stderr


# --- the engine's life

def test_health_while_loading_and_after(start):
    running = start("--load-time", "1500ms")
    answer, body = running.get("/health")
    assert (answer.status, json.loads(body)) == (503, {"status": "loading"})
    answer, body = running.request("POST", "/v1/chat/completions", chat("hi"))
    assert answer.status == 503
    assert json.loads(body)["error"]["message"] == "Loading model"
    running.wait_ready()
    answer, body = running.get("/health")
    assert (answer.status, json.loads(body)) == (200, {"status": "ok"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_at_once_with_0(start, number):
    running = start("--token-delay", "10s").wait_ready()
    with running.connect() as connection:
        body = json.dumps(chat("hi"))
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: "
                           b"%d\r\n\r\n%b" % (len(body), body.encode()))
        running.process.send_signal(number)
        assert running.wait_exit() == 0


def test_a_log_that_nobody_reads_does_not_block():
    process = subprocess.Popen([str(BINARY), "--port", "0"], stdout=subprocess.PIPE)
    with process:
        port = int(process.stdout.readline().rsplit(b":", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS_MAX)
        answered = 0
        while answered < 2000:
            connection.request("POST", "/completion", '{"prompt":"hi"}')
            answer = connection.getresponse()
            answer.read()
            answered += answer.status == 200
        connection.close()
        process.terminate()
        assert process.wait(SECONDS_MAX) == 0


# --- text generation

def test_chat(model):
    body = model.post("/v1/chat/completions", chat("all hands on deck"))
    assert body["object"] == "chat.completion" and body["model"] == "m"
    assert body["id"].startswith("chatcmpl-") and abs(body["created"] - time.time()) < 60
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant",
                                 "content": "demo-model tug says: all hands on deck"}
    assert choice["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 8, "completion_tokens": 7, "total_tokens": 15}


def test_chat_with_parts_and_odd_text(model):
    parts = [{"type": "text", "text": "naïve \"quotes\""}, {"type": "text", "text": "\\ ⚓"}]
    body = model.post("/v1/chat/completions", chat(parts))
    text = body["choices"][0]["message"]["content"]
    assert text == 'demo-model tug says: naïve "quotes" \\ ⚓'


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_the_limit_cuts(model, key):
    body = model.post("/v1/chat/completions", chat("all hands on deck", **{key: 4}))
    assert body["choices"][0]["message"]["content"] == "demo-model tug says: all"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 4


def test_chat_stream(model):
    events = model.stream("/v1/chat/completions", chat("all hands"))
    assert events[-1] == (None, "[DONE]")
    chunks = [json.loads(data) for _, data in events[:-1]]
    assert {c["object"] for c in chunks} == {"chat.completion.chunk"}
    assert len({c["id"] for c in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    pieces = [c["choices"][0]["delta"].get("content", "") for c in chunks]
    assert pieces[1:-1] == ["demo-model", " tug", " says:", " all", " hands"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("usage" not in c for c in chunks)


def test_chat_stream_with_usage(model):
    events = model.stream("/v1/chat/completions",
                          chat("all", stream_options={"include_usage": True}))
    last = json.loads(events[-2][1])
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == 4


WEATHER = {"type": "object", "properties": {
    "city": {"type": "string"}, "unit": {"enum": ["C", "F"]}, "days": {"type": "integer"},
    "alerts": {"type": ["boolean", "null"]}, "hours": {"type": "array", "items": {"type": "number"}}}}
TIME = {"type": "object", "properties": {}}
ARGUMENTS = {"city": "Rome", "unit": "C", "days": 2, "alerts": True, "hours": [2]}
SHAPES = {
    "/v1/chat/completions": lambda name, schema: {
        "type": "function", "function": {"name": name, "parameters": schema}},
    "/v1/responses": lambda name, schema: {"type": "function", "name": name, "parameters": schema},
    "/v1/messages": lambda name, schema: {"name": name, "input_schema": schema},
}


def calls_of(path, body):
    """[(tool, arguments)] of an answer, and why it ended."""
    if path == "/v1/messages":
        return ([(c["name"], c["input"]) for c in body["content"] if c["type"] == "tool_use"],
                body["stop_reason"])
    if path == "/v1/responses":
        return ([(c["name"], json.loads(c["arguments"])) for c in body["output"]
                 if c["type"] == "function_call"], body["status"])
    choice = body["choices"][0]
    return ([(c["function"]["name"], json.loads(c["function"]["arguments"]))
             for c in choice["message"].get("tool_calls", [])], choice["finish_reason"])


def ask_tools(model, path, text, **keys):
    key = "input" if path == "/v1/responses" else "messages"
    tools = [SHAPES[path]("weather", WEATHER), SHAPES[path]("time", TIME)]
    return calls_of(path, model.post(path, {
        "model": "m", key: [{"role": "user", "content": text}], "tools": tools, **keys}))


@pytest.mark.parametrize("path", SHAPES)
def test_tools(model, path):
    ended, ended_by_call = {"/v1/messages": ("end_turn", "tool_use"),
                            "/v1/responses": ("completed", "completed"),
                            "/v1/chat/completions": ("stop", "tool_calls")}[path]
    weather, hour = ("weather", ARGUMENTS), ("time", {})
    named = {"/v1/messages": {"type": "tool", "name": "time"},
             "/v1/responses": {"type": "function", "name": "time"},
             "/v1/chat/completions": {"type": "function", "function": {"name": "time"}}}[path]
    anything = {"type": "any"} if path == "/v1/messages" else "required"
    nothing = {"type": "none"} if path == "/v1/messages" else "none"
    assert ask_tools(model, path, "whether in Rome") == ([], ended)
    assert ask_tools(model, path, "weather_map Rome") == ([], ended)
    assert ask_tools(model, path, "weather Rome") == ([weather], ended_by_call)
    assert ask_tools(model, path, "weather Rome", tool_choice=nothing) == ([], ended)
    both = [("weather", ARGUMENTS | {"days": 3, "hours": [3]}), hour]
    assert ask_tools(model, path, "time, weather Rome") == (both, ended_by_call)
    assert ask_tools(model, path, "hi Rome", tool_choice=anything) == ([weather], ended_by_call)
    assert ask_tools(model, path, "hi Rome", tool_choice=named) == ([hour], ended_by_call)


def test_tools_end_at_the_limit(model):
    text = json.dumps(ARGUMENTS)
    for limit in range(1, text.count(" ") + 1):
        body = model.post("/v1/chat/completions", {
            "model": "m", "messages": [{"role": "user", "content": "weather Rome"}],
            "tools": [SHAPES["/v1/chat/completions"]("weather", WEATHER)], "max_tokens": limit})
        choice = body["choices"][0]
        said = choice["message"]["tool_calls"][0]["function"]["arguments"]
        assert text.startswith(said) and said.count(" ") == limit
        assert (choice["finish_reason"], body["usage"]["completion_tokens"]) == ("length", limit)


def test_what_a_tool_said_is_repeated(model):
    messages = [{"role": "user", "content": "weather Rome"},
                {"role": "assistant", "tool_calls": []},
                {"role": "tool", "tool_call_id": "c", "content": "sunny all day"}]
    body = model.post("/v1/chat/completions", {
        "messages": messages, "tools": [SHAPES["/v1/chat/completions"]("weather", WEATHER)]})
    assert body["choices"][0]["message"]["content"] == "demo-model tug says: sunny all day"
    items = [messages[0], {"type": "function_call_output", "call_id": "c", "output": "sunny"}]
    body = model.post("/v1/responses", {"input": items})
    assert body["output"][0]["content"][0]["text"] == "demo-model tug says: sunny"


def test_completions(model):
    body = model.post("/v1/completions", {"prompt": "heave ho"})
    assert body["choices"][0]["text"] == "demo-model tug says: heave ho"
    events = model.stream("/v1/completions", {"prompt": "heave ho"})
    text = "".join(json.loads(data)["choices"][0]["text"] for _, data in events[:-1])
    assert (text, events[-1][1]) == ("demo-model tug says: heave ho", "[DONE]")


def test_messages(model):
    body = model.post("/v1/messages", chat("aye aye", max_tokens=50))
    assert body["type"] == "message" and body["stop_reason"] == "end_turn"
    assert body["content"] == [{"type": "text", "text": "demo-model tug says: aye aye"}]
    assert body["usage"]["output_tokens"] == 5
    events = model.stream("/v1/messages", chat("aye aye", max_tokens=4))
    names = [name for name, _ in events]
    assert names == (["message_start", "content_block_start"] + ["content_block_delta"] * 4 +
                     ["content_block_stop", "message_delta", "message_stop"])
    assert all(json.loads(data)["type"] == name for name, data in events)
    assert json.loads(events[-2][1])["delta"]["stop_reason"] == "max_tokens"
    assert model.post("/v1/messages/count_tokens", chat("aye aye")) == {"input_tokens": 6}


def test_responses(model):
    body = model.post("/v1/responses", {"input": "aye"})
    assert body["status"] == "completed"
    assert body["output"][0]["content"][0]["text"] == "demo-model tug says: aye"
    events = model.stream("/v1/responses", {"input": [{"role": "user", "content": "aye"}]})
    assert [name.removeprefix("response.") for name, _ in events] == (
        ["created", "in_progress", "output_item.added", "content_part.added"] +
        ["output_text.delta"] * 4 +
        ["output_text.done", "content_part.done", "output_item.done", "completed"])
    assert [json.loads(data)["sequence_number"] for _, data in events] == list(range(12))
    text = "".join(json.loads(data).get("delta", "") for _, data in events)
    assert text == "demo-model tug says: aye"


@pytest.mark.parametrize("path, key", [("/completion", "prompt"), ("/infill", "input_prefix")])
def test_llama_completion(model, path, key):
    body = model.post(path, {key: "aye"})
    assert body["content"] == "demo-model tug says: aye" and body["stop"] is True
    chunks = [json.loads(data) for _, data in model.stream(path, {key: "aye"})]
    assert "".join(c["content"] for c in chunks) == "demo-model tug says: aye"
    assert [c["stop"] for c in chunks] == [False] * 4 + [True]


def test_bodies_that_are_no_json_are_refused(model):
    for body in ("{", "[1]", ""):
        answer, _ = model.request("POST", "/v1/chat/completions", body)
        assert answer.status == 400, body


def test_tokens_and_delay(start):
    running = start("--tokens", "10", "--token-delay", "10ms").wait_ready()
    began = time.monotonic()
    body = running.post("/v1/chat/completions", chat("a b"))
    assert time.monotonic() - began >= 0.1
    assert body["choices"][0]["message"]["content"] == "demo-model demo says: a b a b a b a"


@pytest.mark.parametrize("tokens, delay", [(1000, "20ms"), (1000000, "1us")])
def test_a_client_that_leaves_cancels(start, tokens, delay):
    """Also where the next token is due already, and only the write finds out."""
    running = start("--tokens", str(tokens), "--token-delay", delay).wait_ready()
    with running.connect() as connection:
        body = json.dumps(chat("hi", stream=True)).encode()
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" %
                           (len(body), body))
        receive_head(connection)
    assert int(running.wait_line(r"cancelled after (\d+) tokens").group(1)) < tokens


# --- other endpoints

def test_embeddings(model):
    body = model.post("/v1/embeddings", {"model": "e", "input": ["one", "two three"]})
    vectors = [row["embedding"] for row in body["data"]]
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert len(vectors[0]) == len(vectors[1]) > 4 and vectors[0] != vectors[1]
    assert body["usage"]["prompt_tokens"] == 3
    assert model.post("/v1/embeddings", {"input": "one"})["data"][0]["embedding"] == vectors[0]


def test_embeddings_as_bytes(model):
    ask = {"input": "one", "dimensions": 5}
    floats = model.post("/v1/embeddings", ask)["data"][0]["embedding"]
    text = model.post("/v1/embeddings", ask | {"encoding_format": "base64"})["data"][0]["embedding"]
    values = struct.unpack("<5f", base64.b64decode(text))
    assert [round(v, 4) for v in values] == floats


def test_moderations(model):
    body = model.post("/v1/moderations", {"input": ["a calm sea", "violence and hate"]})
    assert [r["flagged"] for r in body["results"]] == [False, True]
    assert body["results"][1]["categories"]["hate"] and body["results"][1]["category_scores"]["hate"]
    assert not body["results"][1]["categories"]["sexual"]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
def test_rerank(model, path):
    body = model.post(path, {"query": "red sails", "documents": ["blue", "red sails", "red"]})
    assert [row["index"] for row in body["results"]] == [1, 2, 0]


def test_tokenize(model):
    tokens = model.post("/tokenize", {"content": "a b a"})["tokens"]
    assert len(tokens) == 3 and tokens[0] == tokens[2] != tokens[1]


def test_transcription(model):
    audio = bytes(range(256)) * 8
    body = (b'--xyz\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n'
            b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
            b"Content-Type: audio/wav\r\n\r\n" + audio + b"\r\n--xyz--\r\n")
    answer, data = model.request("POST", "/v1/audio/transcriptions", body,
                                 {"Content-Type": "multipart/form-data; boundary=xyz"})
    parsed = json.loads(data)
    assert answer.status == 200 and parsed["text"] == "demo-model tug heard a.wav of 2048 bytes"
    assert (parsed["model"], parsed["body_bytes"]) == ("whisper", len(body))


def test_transcription_as_text(model):
    body = (b'--xyz\r\nContent-Disposition: form-data; name="response_format"\r\n\r\ntext\r\n'
            b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            b"12345\r\n--xyz--\r\n")
    kind = {"Content-Type": "multipart/form-data; boundary=xyz"}
    answer, data = model.request("POST", "/v1/audio/translations", body, kind)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert data == b"demo-model tug heard a.wav of 5 bytes\n"
    answer, _ = model.request("POST", "/v1/audio/translations", body.replace(b"file", b"tile"), kind)
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/images/variations"])
@pytest.mark.parametrize("name", [b"image", b"image[]"])
def test_an_edited_image_is_the_one_that_was_sent(model, path, name):
    picture = bytes(range(256)) * 300
    body = (b'--xyz\r\nContent-Disposition: form-data; name="n"\r\n\r\n2\r\n'
            b'--xyz\r\nContent-Disposition: form-data; name="%b"; filename="a.png"\r\n\r\n%b\r\n'
            b"--xyz--\r\n" % (name, picture))
    answer, data = model.request("POST", path, body,
                                 {"Content-Type": "multipart/form-data; boundary=xyz"})
    assert answer.status == 200
    images = [base64.b64decode(i["b64_json"]) for i in json.loads(data)["data"]]
    assert images == [picture, picture]


def test_speech_and_image(model):
    answer, data = model.request("POST", "/v1/audio/speech", {"input": "hi"})
    assert answer.headers["Content-Type"] == "audio/wav"
    assert data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") == len(data) - 8
    image = model.post("/v1/images/generations", {"prompt": "hi"})["data"][0]["b64_json"]
    png = base64.b64decode(image)
    assert png.startswith(b"\x89PNG") and png.endswith(b"IEND" + zlib.crc32(b"IEND").to_bytes(4))
    assert len(model.post("/v1/images/generations", {"prompt": "hi", "n": 3})["data"]) == 3


def test_models_props_slots(model):
    assert json.loads(model.get("/v1/models")[1])["data"][0]["id"] == "tug"
    assert json.loads(model.get("/props")[1])["total_slots"] == 1
    # This very request; one before it has been answered a moment before it is over.
    until(lambda: json.loads(model.get("/slots")[1])[0]["in_flight"] == 1, "one request in flight")


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def test_echo(model):
    body = b"\x00\xff some bytes"
    answer, data = model.request("PUT", "/some/path?a=1&status=418&b", body, {"X-Knot": "bowline"})
    echo = json.loads(data)
    assert answer.status == 418
    assert (echo["method"], echo["path"]) == ("PUT", "/some/path")
    assert echo["query"] == "a=1&status=418&b"
    assert echo["headers"]["x-knot"] == "bowline" and ["X-Knot", "bowline"] in echo["raw_headers"]
    assert (echo["body_bytes"], echo["body_fnv1a"]) == (len(body), fnv1a(body))


def test_big_echo_is_hashed_not_kept(model):
    body = os.urandom(300_000)
    echo = json.loads(model.request("POST", "/x", body)[1])
    assert (echo["body_bytes"], echo["body_fnv1a"]) == (len(body), fnv1a(body))
    assert "body" not in echo


@pytest.mark.parametrize("path", ["/big", "/bigchunked"])
@pytest.mark.parametrize("size", [0, 1, 65520, 1_000_003])
def test_big_answers(model, path, size):
    answer, data = model.get(f"{path}?bytes={size}")
    pattern = bytes(range(ord("a"), ord("z") + 1))
    assert data == (pattern * (size // 26 + 1))[:size]
    assert (answer.headers["Content-Length"] is None) == (path == "/bigchunked")


# --- HTTP

def test_chunked_request_with_extensions_and_trailers(model):
    with model.connect() as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
                           b"Connection: close\r\n\r\n")
        for piece in (b"5;ext=1\r\nhel", b"lo\r\n", b"0A\r\n, 89abcdef\r\n0\r\nTrail",
                      b"er: 1\r\n\r\n"):
            connection.sendall(piece)
        echo = json.loads(receive_all(connection).split(b"\r\n\r\n", 1)[1])
    assert echo["chunked"] is True and echo["body"] == "hello, 89abcdef"


def test_keep_alive_and_pipelining(model):
    with model.connect() as connection:
        connection.sendall(b"POST /1 HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
                           b"GET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nConnection: close\r\n\r\n")
        text = receive_all(connection)
    assert re.findall(rb'"path":"(/\d)"', text) == [b"/1", b"/2", b"/3"]
    assert text.count(b"Connection: close") == 1


def test_expect_continue(model):
    with model.connect() as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
                           b"Connection: close\r\n\r\n")
        assert receive_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b'"body_bytes":3' in receive_all(connection)


def test_head_and_http10(model):
    answer, data = model.request("HEAD", "/health")
    assert (answer.status, data, answer.headers["Content-Length"]) == (200, b"", "15")
    with model.connect() as connection:
        connection.sendall(b"GET /bigchunked?bytes=100 HTTP/1.0\r\n\r\n")
        head, body = receive_all(connection).split(b"\r\n\r\n", 1)
    assert b"chunked" not in head and len(body) == 100


@pytest.mark.parametrize("head", [
    b"nonsense\r\n\r\n",
    b"GET /x HTTP/2.0\r\n\r\n",
    b"GET /x HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET /x HTTP/1.1\r\nName : x\r\n\r\n",
    b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
])
def test_bad_heads_are_refused(model, head):
    with model.connect() as connection:
        connection.sendall(head)
        assert receive_all(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("chunks", [b"xyz\r\n", b"5\r\nhelloworld\r\n0\r\n\r\n", b"\r\n"])
def test_bad_chunks_end_the_connection(model, chunks):
    with model.connect() as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        with contextlib.suppress(ConnectionResetError):
            assert receive_all(connection) == b""


# --- WebSocket

def receive_exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        assert piece
        data += piece
    return data


def make_frame(opcode, payload, final=True):
    size = len(payload)
    length = (bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
              if size < 65536 else b"\xff" + size.to_bytes(8, "big"))
    mask = b"\x11\x22\x33\x44"
    return (bytes([opcode | (0x80 if final else 0)]) + length + mask +
            bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))


def receive_frame(connection):
    first, size = receive_exactly(connection, 2)
    if size == 126:
        size = int.from_bytes(receive_exactly(connection, 2), "big")
    elif size == 127:
        size = int.from_bytes(receive_exactly(connection, 8), "big")
    return first, receive_exactly(connection, size)


def test_websocket(model):
    key = base64.b64encode(b"0123456789abcdef")
    with model.connect() as connection:
        connection.sendall(b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                           b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           b"Sec-WebSocket-Key: " + key +
                           b"\r\n\r\n" + make_frame(1, b"early"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += receive_exactly(connection, 1)
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n" in head
        assert receive_frame(connection) == (0x81, b"early")
        for size in (0, 125, 126, 65535, 65536, 300_000):
            payload = os.urandom(size)
            sender = threading.Thread(target=connection.sendall, args=(make_frame(2, payload),))
            sender.start()
            assert receive_frame(connection) == (0x82, payload), size
            sender.join()
        connection.sendall(make_frame(1, b"a", final=False) + make_frame(9, b"ping") +
                           make_frame(0, b"b"))
        assert receive_frame(connection) == (0x01, b"a")
        assert receive_frame(connection) == (0x8A, b"ping")
        assert receive_frame(connection) == (0x80, b"b")
        connection.sendall(make_frame(8, b"\x03\xe8"))
        assert receive_frame(connection) == (0x88, b"\x03\xe8")
        assert connection.recv(1) == b""


def test_websocket_needs_a_handshake(model):
    assert model.get("/ws")[0].status == 400


# --- memory

def test_claims_memory_until_it_ends(start, gpu):
    running = start("--vram", "14GiB", env={"WHARF_SIM_FOLDER": str(gpu)}).wait_ready()
    claim = gpu / str(running.process.pid)
    assert int(claim.read_text()) == 14 << 30

    second = start("--vram", "12GiB", "--gpu-folder", str(gpu))
    assert second.wait_exit() == 1
    assert "CUDA error: out of memory" in second.process.stderr.read()
    start("--vram", "10GiB", "--gpu-folder", str(gpu)).wait_ready()

    running.process.kill()
    running.wait_exit()
    assert claim.exists()
    start("--vram", "14GiB", "--gpu-folder", str(gpu)).wait_ready()


def test_a_clean_exit_removes_the_claim(start, gpu):
    running = start("--vram", "1GiB", "--gpu-folder", str(gpu)).wait_ready()
    running.process.terminate()
    assert running.wait_exit() == 0
    assert not (gpu / str(running.process.pid)).exists()


def test_many_at_once_never_claim_too_much(start, gpu):
    running = [start("--vram", "10GiB", "--load-time", "20ms", "--gpu-folder", str(gpu))
               for _ in range(8)]
    ready, refused = 0, 0
    for one in running:
        try:
            one.wait_ready()
            ready += 1
        except AssertionError:
            refused += one.wait_exit() == 1
    assert (ready, refused) == (2, 6)


def test_claims_more_at_the_first_prompt(start, gpu):
    running = start("--vram", "4GiB", "--vram-grow", "2GiB", "--gpu-folder", str(gpu)).wait_ready()
    claim = gpu / str(running.process.pid)
    running.get("/v1/models")
    assert int(claim.read_text()) == 4 << 30
    for _ in range(2):
        running.post("/v1/completions", {"prompt": "hello"})
        assert int(claim.read_text()) == 6 << 30
    # It still holds all of it: what is left is no more than that.
    second = start("--vram", "19GiB", "--gpu-folder", str(gpu))
    assert second.wait_exit() == 1
    assert "6GiB of 24GiB in use" in second.process.stderr.read()
    start("--vram", "18GiB", "--gpu-folder", str(gpu)).wait_ready()


def test_runs_out_of_memory_at_the_first_prompt(start, gpu):
    running = start("--vram", "4GiB", "--vram-grow", "21GiB", "--oom-message", "no more room",
                    "--gpu-folder", str(gpu)).wait_ready()
    with contextlib.suppress(OSError, http.client.HTTPException):
        running.post("/v1/completions", {"prompt": "hello"})
    assert running.wait_exit() == 1
    assert running.process.stderr.read() == "no more room\n"


def test_claims_nothing_when_told_to(start, gpu):
    running = start("--vram", "4GiB", "--vram-grow", "2GiB", "--no-claim", "--gpu-folder", str(gpu)).wait_ready()
    running.post("/v1/completions", {"prompt": "hello"})
    assert not (gpu / str(running.process.pid)).exists()


def test_without_a_gpu(start, tmp_path):
    running = start("--vram", "1GiB", env={"WHARF_SIM_FOLDER": ""}).wait_ready()
    assert running.get("/health")[0].status == 200
    missing = start("--vram", "1GiB", "--gpu-folder", str(tmp_path / "none"))
    assert missing.wait_exit() == 1


# --- misbehaviour

def test_never_ready(start):
    running = start("--never-ready")
    running.wait_line("still loading")
    assert running.get("/health")[0].status == 503


@pytest.mark.parametrize("flag, code", [("--crash-on-load", -signal.SIGABRT),
                                        ("--crash-on-load=7", 7), ("--crash-on-load=0", 0)])
def test_crash_on_load(start, gpu, flag, code):
    running = start(flag, "--load-time", "20ms", "--vram", "1GiB", "--gpu-folder", str(gpu))
    assert running.wait_exit() == code
    assert not (gpu / str(running.process.pid)).exists()


def test_crash_after_tokens(start):
    running = start("--crash-after-tokens", "3").wait_ready()
    with running.connect() as connection:
        body = json.dumps(chat("hi", stream=True)).encode()
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" %
                           (len(body), body))
        text = receive_all(connection)
    assert running.wait_exit() == -signal.SIGABRT
    assert text.count(b"data: ") == 1 + 3 and b"says:" in text and b"[DONE]" not in text


def test_crash_idle_after(start):
    running = start("--crash-idle-after", "50ms").wait_ready()
    assert running.wait_exit() == -signal.SIGABRT


def test_crash_idle_after_waits_for_idleness(start):
    running = start("--crash-idle-after", "600ms", "--token-delay", "150ms").wait_ready()
    body = running.post("/v1/chat/completions", chat("a b c d e"))
    assert body["choices"][0]["finish_reason"] == "stop"
    assert running.wait_exit() == -signal.SIGABRT


def assert_silent(running, head):
    with running.connect(timeout=0.2) as connection:
        connection.sendall(head)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_hang(start):
    running = start("--hang").wait_ready()
    assert_silent(running, b"GET /v1/models HTTP/1.1\r\n\r\n")
    assert running.get("/health")[0].status == 200


def test_hang_health(start):
    running = start("--hang-health").wait_ready()
    assert_silent(running, b"GET /health HTTP/1.1\r\n\r\n")
    assert running.get("/v1/models")[0].status == 200


def test_ignore_sigterm(start):
    running = start("--ignore-sigterm").wait_ready()
    running.process.terminate()
    running.wait_line("ignoring signal 15")
    assert running.get("/health")[0].status == 200
    running.process.kill()
    assert running.wait_exit() == -signal.SIGKILL


def test_slow_stop(start):
    running = start("--slow-stop", "300ms").wait_ready()
    began = time.monotonic()
    running.process.terminate()
    running.wait_line("stopping slowly")
    assert running.get("/health")[0].status == 200
    assert running.wait_exit() == 0
    assert time.monotonic() - began >= 0.3


def test_stop_time(start, gpu):
    running = start("--stop-time", "300ms", "--vram", "1GiB", "--gpu-folder", str(gpu)).wait_ready()
    claim = gpu / str(running.process.pid)
    began = time.monotonic()
    running.process.terminate()
    running.wait_line("freeing memory")
    with pytest.raises(ConnectionRefusedError):
        running.connect()
    assert claim.exists()
    assert running.wait_exit() == 0
    assert time.monotonic() - began >= 0.3 and not claim.exists()


def signals_without_effect(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    masks = re.findall(r"^Sig(?:Blk|Ign):\s*([0-9a-f]+)", status, re.MULTILINE)
    return int(masks[0], 16) | int(masks[1], 16)


def test_fork_grandchildren(start):
    running = start("--fork-grandchildren", "2").wait_ready()
    pids = [int(match.group(1)) for line in running.seen
            if (match := re.search(r"left process (\d+) behind", line))]
    try:
        assert len(pids) == 2
        running.process.terminate()
        assert running.wait_exit() == 0
        # They closed the pipe, or its end would not come.
        while running.lines.get(timeout=SECONDS_MAX) is not None:
            pass
        for pid in pids:
            os.kill(pid, 0)
            assert os.getsid(pid) != os.getsid(0)
            assert signals_without_effect(pid) >> (signal.SIGTERM - 1) & 1
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_slow_read(start):
    running = start("--slow-read", "100KiB").wait_ready()
    began = time.monotonic()
    answer, data = running.request("POST", "/x", b"x" * 40960)
    assert json.loads(data)["body_bytes"] == 40960
    assert time.monotonic() - began >= 0.3


def test_close_idle_after(start):
    running = start("--close-idle-after", "50ms").wait_ready()
    with running.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        text = receive_all(connection)
    assert text.startswith(b"HTTP/1.1 200 ") and b"Connection: close" not in text


def test_close_after(start):
    running = start("--close-after", "2").wait_ready()
    with running.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n\r\n" * 2)
        text = receive_all(connection)
    assert text.count(b"HTTP/1.1 200 ") == 2 and b"Connection: close" not in text


def test_response_bytes(start):
    running = start("--response-bytes", "100KiB").wait_ready()
    _, data = running.request("POST", "/v1/chat/completions", chat("hi"))
    assert len(data) == 102400
    assert json.loads(data)["choices"][0]["message"]["content"] == "demo-model demo says: hi"
    _, data = running.request("POST", "/v1/chat/completions", chat("hi", stream=True))
    assert len(data) > 102400
    assert parse_events(data.decode())[-1] == (None, "[DONE]")


@pytest.mark.parametrize("path", ["/x", "/big?bytes=100", "/bigchunked?bytes=100"])
def test_truncate(start, path):
    running = start("--truncate").wait_ready()
    with pytest.raises(http.client.IncompleteRead):
        running.get(path)
    assert running.get("/health")[0].status == 200


def test_bad_head(start):
    running = start("--bad-head").wait_ready()
    with pytest.raises(http.client.BadStatusLine):
        running.get("/x")
    assert running.get("/health")[0].status == 200


def test_connections_are_bounded(start):
    running = start("--connections", "1").wait_ready()
    with running.connect() as first:
        first.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        receive_head(first)
        second = running.connect(timeout=0.1)
        second.sendall(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
        with pytest.raises(TimeoutError):
            second.recv(1)
    with second:
        second.settimeout(SECONDS_MAX)
        assert receive_all(second).startswith(b"HTTP/1.1 200 ")
