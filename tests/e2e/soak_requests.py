"""What the soak's clients ask for, each kind with what its answer has to be.

A kind is a function of an Asker: it makes one request, or gives up in the middle of one, and returns what
became of it as (models, answer or code). The answer is judged by the kind itself: who asks knows what for."""

import asyncio
import json
import random

from soak_client import CLOSE, Client, Lost, frame, read_frame, upgrade_headers
from soak_judge import Outcome
from soak_world import KEY, STANDS_FOR, TEXT
from wharf_harness import chat_body, content

LARGE_BYTES = 300_000  # of a body that is spooled while it waits
BIG_BYTES = 260_000    # of an answer that is read slowly
PATTERN = bytes(range(ord("a"), ord("z") + 1)) * (BIG_BYTES // 26 + 1)
# Wrong keys within a minute that are answered as such: the default of wrongKeysPerMinute.
WRONG_KEYS_MAX, GUESSES_WINDOW_S = 10, 60 + 1  # a request takes its time to arrive
GONE = "gone"  # the client went by intention: there is no answer to judge
WORDS = "harbour night lamp tide rope crane fog salt gull anchor mast buoy".split()


class Wrong(Exception):
    """An answer that says 200 and is not what was asked for."""


def expect(condition, *what):
    if not condition:
        raise Wrong(" ".join(map(str, what))[:400])


def text_of(rng):
    return " ".join(rng.choices(WORDS, k=rng.randrange(1, 8))) + f" n{rng.randrange(10 ** 9)}"


def says(model, text):
    """What the pretended engine answers, by any of its names."""
    return {f"demo-model {TEXT.get(name, name) or name} says: {text}" for name in STANDS_FOR.get(model, (model,))}


def code_of(answer):
    """What an error calls itself."""
    try:
        error = answer.json().get("error")
    except (ValueError, AttributeError):
        return f"status {answer.status}"
    if isinstance(error, dict):
        return error.get("code") or error.get("type") or f"status {answer.status}"
    return f"status {answer.status}"


def events_of(answer):
    """The data of a stream of events; an error in it is told as such."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":")
        if fields.get("event") == "error":
            raise StreamError(json.loads(fields["data"])["error"].get("code", "error"))
        if "data" in fields:
            found.append(fields["data"])
    return found


class StreamError(Exception):
    """An error that came after the answer had begun."""


class Asker:
    """One client: a seed, and a connection that it keeps for as long as that is good for."""

    def __init__(self, load, seed):
        self.load, self.world, self.rng = load, load.world, random.Random(seed)
        self.client = None

    def address(self):
        return self.rng.choice([self.world.d.address, self.world.unix])

    async def connection(self):
        if self.client is None or self.client.writer is None or self.rng.random() < 0.3:
            self.let_go()
            self.client = Client(self.address(), KEY)
            await self.client.connect()
        return self.client

    def let_go(self):
        if self.client:
            self.client.close()
        self.client = None

    def model(self):
        return self.rng.choice(list(TEXT))

    def headers(self):
        kind = self.rng.random()
        if kind < 0.15:
            return {"X-Wharf-Class": self.rng.choice(["foreground", "normal", "background"])}
        return {"X-Wharf-Progress": "interim"} if kind < 0.2 else {}

    async def one(self, kind):
        """One request of that kind, judged."""
        began = self.load.now()
        ask = Ask(self)
        try:
            await kind(ask)
            code, said = "", ""
        except Wrong as e:
            code, said = "wrong", str(e)
        except StreamError as e:
            code, said = str(e), "in a stream"
        except Refused as e:
            code, said = e.code, repr(e.answer)
        except (Lost, ConnectionError, asyncio.IncompleteReadError) as e:
            code, said = "lost", repr(e)
        if code:
            self.let_go()
        self.load.outcomes.add(Outcome(kind.__name__, ask.models, began, self.load.now(), ask.status, code,
                                       tuple(ask.wants), said))


class Refused(Exception):
    """An answer with an error, or one that was cut."""

    def __init__(self, code, answer):
        self.code, self.answer = code, answer


class Ask:
    """What a kind of request is handed: its client, and where it notes what it asked for."""

    def __init__(self, asker):
        self.asker, self.rng = asker, asker.rng
        self.models, self.wants, self.status = (), [], 0

    def name(self, model, *wants):
        self.models = STANDS_FOR.get(model, (model,))
        self.wants += wants
        return model

    async def whole(self, method, path, body=None, headers=None):
        """The answer, which is 200 and whole."""
        client = await self.asker.connection()
        answer = await client.ask(method, path, body, {**self.asker.headers(), **(headers or {})})
        if answer.header("Connection", "") == "close" or not answer.complete:
            self.asker.let_go()
        return self.good(answer)

    def good(self, answer, status=200):
        self.status = answer.status
        if answer.status != status:
            raise Refused(code_of(answer), answer)
        if not answer.complete:
            raise Refused("cut", answer)
        return answer

    def chat(self, text, **keys):
        return chat_body(self.name(self.asker.model()), text, **keys)


# ---------------------------------------------------------------- answers that are read as they should be


async def chat(a):
    text = text_of(a.rng)
    body = a.chat(text)
    answer = await a.whole("POST", "/v1/chat/completions", body)
    expect(content(answer) in says(body["model"], text), answer)


async def chat_stream(a):
    text = text_of(a.rng)
    progress = {"X-Wharf-Progress": "comments"} if a.rng.random() < 0.3 else {}
    body = a.chat(text, stream=True)
    answer = await a.whole("POST", "/v1/chat/completions", body, progress)
    *parts, done = events_of(answer)
    said = "".join(json.loads(p)["choices"][0]["delta"].get("content") or "" for p in parts)
    expect(done == "[DONE]" and said in says(body["model"], text), answer)


async def completion(a):
    text = text_of(a.rng)
    model = a.name(a.asker.model())
    answer = await a.whole("POST", "/v1/completions", {"model": model, "prompt": text})
    expect(answer.json()["choices"][0]["text"] in says(model, text), answer)


async def responses(a):
    text = text_of(a.rng)
    model = a.name(a.asker.model())
    answer = await a.whole("POST", "/v1/responses", {"model": model, "input": text})
    said = answer.json()["output"][0]["content"][0]["text"]
    expect(said in says(model, text), answer)


async def anthropic(a):
    text = text_of(a.rng)
    stream = a.rng.random() < 0.5
    body = {**a.chat(text), "max_tokens": 1000, "stream": stream}
    answer = await a.whole("POST", "/v1/messages", body)
    if not stream:
        said = answer.json()["content"][0]["text"]
    else:
        events = [json.loads(e) for e in events_of(answer)]
        expect(events[-1]["type"] == "message_stop", events[-1])
        said = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    expect(said in says(body["model"], text), answer)


async def embeddings(a):
    """The same text has the same vector, whoever is asked when."""
    model, text = a.name(a.rng.choice(["small", "brief", "remade", "clip"])), a.rng.choice(WORDS)
    answer = await a.whole("POST", "/v1/embeddings",
                           {"model": model, "input": [text, "x"], "encoding_format": "base64"})
    vectors = [d["embedding"] for d in answer.json()["data"]]
    known = a.asker.load.vectors.setdefault((model, text), vectors)
    expect(len(vectors) == 2 and known == vectors, model, text, "has another vector now")


async def ollama_chat(a):
    text, stream = text_of(a.rng), a.rng.random() < 0.5
    body = {**a.chat(text), "stream": stream}
    answer = await a.whole("POST", "/api/chat", body)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    if stream and "error" in lines[-1]:
        raise Refused("cut", answer)
    said = "".join(line["message"]["content"] for line in lines)
    expect(lines[-1]["done"] and said in says(body["model"], text), answer)


async def ollama_generate(a):
    text = text_of(a.rng)
    model = a.name(a.asker.model())
    answer = await a.whole("POST", "/api/generate", {"model": model, "prompt": text, "stream": False})
    expect(answer.json()["response"] in says(model, text), answer)


async def held_by_ollama(a):
    text = text_of(a.rng)
    answer = await a.whole("POST", "/v1/chat/completions", chat_body(a.name("big"), text))
    expect(content(answer) == f"openai: {text}", answer)


async def native_ollama(a):
    text = text_of(a.rng)
    answer = await a.whole("POST", "/api/chat", {**chat_body(a.name("big"), text), "stream": False})
    expect(answer.json()["message"]["content"] == f"native: {text}", answer)


async def real_engine(a):
    body = {"model": a.name("llama"), "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0,
            "cache_prompt": False, "seed": 1}
    answer = await a.whole("POST", "/v1/completions", body)
    said = answer.json()["choices"][0]["text"]
    expect(said and a.asker.load.vectors.setdefault("llama", said) == said, answer)


async def sleeper(a):
    answer = await a.whole("POST", "/v1/chat/completions", chat_body(a.name("sleeper")))
    expect(content(answer) == "well", answer)


async def moving(a):
    text = text_of(a.rng)
    answer = await a.whole("POST", "/v1/chat/completions", chat_body(a.name("mover"), text))
    expect(content(answer) in says("mover", text), answer)


async def guest(a):
    text = text_of(a.rng)
    answer = await a.whole("POST", "/v1/chat/completions", chat_body(a.name("guest"), text))
    expect(content(answer) in says("guest", text), answer)


async def large_body(a):
    """It goes through the spool while it waits."""
    text = text_of(a.rng)
    body = a.chat(text)
    body["messages"].insert(0, {"role": "system", "content": "x" * a.rng.randrange(LARGE_BYTES)})
    answer = await a.whole("POST", "/v1/chat/completions", body)
    expect(content(answer) in says(body["model"], text), answer)


async def chunked_body(a):
    """The body comes in pieces, with rests between."""
    text = text_of(a.rng)
    body = a.chat(text)
    data = json.dumps(body).encode()
    client = await a.asker.connection()
    await client.send("POST", "/v1/chat/completions", None, {"Transfer-Encoding": "chunked"})
    for at in range(0, len(data), 40):
        piece = data[at:at + 40]
        client.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await asyncio.sleep(0.001)
    client.writer.write(b"0\r\n\r\n")
    answer = a.good(await client.rest(await client.head(), "POST"))
    expect(content(answer) in says(body["model"], text), answer)


async def multipart(a):
    size, model = a.rng.randrange(1, 200_000), a.name(a.rng.choice(["small", "brief", "remade"]))
    edge = f"edge{a.rng.randrange(10 ** 9)}"
    data = (f"--{edge}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--{edge}\r\n"
            f"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n").encode()
    data += b"\x00" * size + f"\r\n--{edge}--\r\n".encode()
    answer = await a.whole("POST", "/v1/audio/transcriptions", data,
                           {"Content-Type": f"multipart/form-data; boundary={edge}"})
    expect(answer.json()["text"] == f"demo-model {model} heard a.wav of {size} bytes", answer)


async def big_answer(a):
    """Read slowly, so that wharf has to hold the model's server back."""
    model = a.name(a.rng.choice(["small", "brief"]))
    path = f"/upstream/{model}/{a.rng.choice(['big', 'bigchunked'])}?bytes={BIG_BYTES}"
    slow = a.rng.random() < 0.5
    async with Client(a.asker.address(), KEY, read_bytes=4096 if slow else 65536) as client:
        answer, body = await client.begin("GET", path), b""
        async for piece in client.pieces(answer):
            body += piece
            await asyncio.sleep(0.003 if slow else 0)
        answer.body = body if answer.status != 200 else b""
        a.good(answer)
    expect(body == PATTERN[:BIG_BYTES], f"{len(body)} bytes of {BIG_BYTES}, or others")


async def websocket(a):
    model = a.name(a.rng.choice(["small", "brief"]))
    async with Client(a.asker.address(), KEY) as client:
        answer = await client.begin("GET", f"/upstream/{model}/ws", headers=upgrade_headers())
        a.status = answer.status
        if answer.status != 101:
            a.good(await client.rest(answer), 101)
        try:
            for _ in range(a.rng.randrange(1, 20)):
                payload = a.rng.randbytes(a.rng.randrange(5000))
                client.writer.write(frame(payload))
                expect(await read_frame(client.reader) == payload, "another frame came back")
            if a.rng.random() < 0.5:
                client.writer.write(frame(b"\x03\xe8", CLOSE))
                await read_frame(client.reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Refused("cut", answer) from None


# ---------------------------------------------------------------- clients that go away


async def leaves_waiting(a):
    """Before there is an answer, or as it begins."""
    async with Client(a.asker.address(), KEY) as client:
        await client.send("POST", "/v1/chat/completions", a.chat(text_of(a.rng), stream=a.rng.random() < 0.5))
        await asyncio.sleep(a.rng.choice([0, 0.001, 0.01, 0.1]))
        if a.rng.random() < 0.5:
            client.reset()


async def leaves_in_a_stream(a):
    async with Client(a.asker.address(), KEY) as client:
        text = " ".join(WORDS * 5)
        answer = await client.begin("POST", "/v1/chat/completions", a.chat(text, stream=True))
        a.status = answer.status
        if answer.status != 200:
            a.good(await client.rest(answer))
        async for _ in client.pieces(answer):
            break
        if a.rng.random() < 0.5:
            client.reset()


async def leaves_in_its_body(a):
    async with Client(a.asker.address(), KEY) as client:
        body = json.dumps(a.chat("x" * LARGE_BYTES)).encode()
        client.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
                            b"\r\nAuthorization: Bearer " + KEY.encode() +
                            f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:a.rng.randrange(len(body))])
        await client.writer.drain()
        client.reset()


# ---------------------------------------------------------------- errors that are asked for


async def must_fail(a, status, code, model, key=KEY, address=None):
    async with Client(address or a.asker.address(), key) as client:
        answer = await client.ask("POST", "/v1/chat/completions", chat_body(model))
    a.status = answer.status
    expect((answer.status, code_of(answer)) == (status, code), f"not {status} {code}:", answer)


async def wrong_key(a):
    """Over TCP: on the unix socket its user needs none."""
    key = a.rng.choice([None, "wrong", KEY + "x"])
    guesses = a.asker.load.guesses
    if key:
        guesses.append(a.asker.load.now())
    async with Client(a.asker.world.d.address, key) as client:
        answer = await client.ask("POST", "/v1/chat/completions", chat_body("small"))
    a.status, got = answer.status, (answer.status, code_of(answer))
    within_a_minute = sum(began >= guesses[-1] - GUESSES_WINDOW_S for began in guesses) if key else 0
    may = {(401, "unauthorized")} | ({(429, "too_many_wrong_keys")} if within_a_minute > WRONG_KEYS_MAX else set())
    expect(got in may, f"not one of {may} after {within_a_minute} wrong keys:", answer)


async def weak_key(a):
    await must_fail(a, 403, "key_scope", "small", KEY + "-reads", a.asker.world.d.address)


async def malformed(a):
    bodies = [b"{\"model\": \"small\", ", b"[]", b"{\"model\": \"small\", \"model\": \"large\"}", b"{}", b"not JSON",
              b"{\"model\": 7}", b"\xff" * 100]
    async with Client(a.asker.address(), KEY) as client:
        answer = await client.ask("POST", "/v1/chat/completions", a.rng.choice(bodies),
                                  {"Content-Type": "application/json"})
    a.status = answer.status
    expect(answer.status == 400 and code_of(answer) in ("invalid_json", "model_required", "model_ambiguous"), answer)


async def malformed_head(a):
    heads = [b"GET  / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
             b"\x16\x03\x01\x00\xa5\r\n\r\n",
             b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"]
    async with Client(a.asker.address(), KEY) as client:
        client.writer.write(a.rng.choice(heads))
        answer = await client.rest(await client.head())
    a.status = answer.status
    expect(answer.status == 400 and code_of(answer) == "invalid_http", answer)


async def unknown_model(a):
    await must_fail(a, 404, "model_not_found", "smal")


async def never_fits(a):
    await must_fail(a, 507, "insufficient_memory", "huge")


async def cannot_load(a):
    body = chat_body(a.name("broken", "load_failed", "load_paused"))
    raise Wrong(f"a model that cannot load has answered: {await a.whole('POST', '/v1/chat/completions', body)}")


async def crashes(a):
    """Its engine dies in the middle of each answer, and is loaded again for the next."""
    stream = a.rng.random() < 0.5
    a.wants += ["cut", "upstream_closed", "load_paused", "upstream_refused", "upstream_error"]
    body = chat_body(a.name("crashing"), "one two three", stream=stream)
    answer = await a.whole("POST", "/v1/chat/completions", body)
    raise Wrong(f"an engine that crashed has answered: {answer}")


async def will_not_wait(a):
    wait = a.rng.choice(["0", "0.05"])
    body = a.chat(text_of(a.rng))
    a.wants.append("busy" if wait == "0" else "wait_expired")
    answer = await a.whole("POST", "/v1/chat/completions", body, {"X-Wharf-Wait": wait})
    expect(answer.status == 200, answer)


async def crowd(a):
    """More than may wait, so that some of them are turned away, and the others are not."""
    a.wants.append("queue_full")
    text = text_of(a.rng)
    answer = await a.whole("POST", "/v1/chat/completions", chat_body(a.name("crowded"), text))
    expect(content(answer) in says("crowded", text), answer)


# Kinds, and how often each is asked for.
KINDS = {chat: 20, chat_stream: 20, completion: 6, responses: 4, anthropic: 8, embeddings: 8, ollama_chat: 8,
         ollama_generate: 3, held_by_ollama: 3, native_ollama: 2, real_engine: 2, sleeper: 3, moving: 3, guest: 2,
         large_body: 4, chunked_body: 3, multipart: 4, big_answer: 4, websocket: 3, leaves_waiting: 6,
         leaves_in_a_stream: 4, leaves_in_its_body: 2, wrong_key: 2, weak_key: 1, malformed: 2, malformed_head: 2,
         unknown_model: 1, never_fits: 1, cannot_load: 1, crashes: 1, will_not_wait: 3, crowd: 3}
