"""OpenAI's official client for Python makes its usual calls."""

import base64
import json
import time

import pytest

from wharf_harness import SECONDS, Later, until

openai = pytest.importorskip("openai", reason="the Python package openai is not installed")

PROMPT = "all hands on deck"
WEATHER = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"],
           "additionalProperties": False}
CHAT_TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city",
                                              "parameters": WEATHER}}
RESPONSES_TOOL = {"type": "function", "name": "weather", "description": "of a city",
                  "parameters": WEATHER, "strict": True}


def user(text):
    return [{"role": "user", "content": text}]


def test_models(openai_client):
    listed = openai_client().models.list().data
    assert {"demo", "endless", "broken"} <= {m.id for m in listed}
    assert all(m.object == "model" and m.created > 0 and m.owned_by for m in listed)


@pytest.mark.slice
def test_chat(openai_client, model, says):
    answer = openai_client().chat.completions.create(model=model, messages=user(PROMPT),
                                                     max_tokens=24, temperature=0)
    choice = answer.choices[0]
    assert choice.finish_reason in ("stop", "length") and choice.message.role == "assistant"
    assert says(model, choice.message.content, PROMPT)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_by_an_alias(openai_client, says):
    answer = openai_client().chat.completions.create(model="gpt-4o", messages=user(PROMPT))
    assert says("demo", answer.choices[0].message.content, PROMPT)


@pytest.mark.slice
def test_chat_streamed(openai_client, model, says):
    text, reason, usage = "", None, None
    for chunk in openai_client().chat.completions.create(
            model=model, messages=user(PROMPT), max_tokens=24, temperature=0, stream=True,
            stream_options={"include_usage": True}):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
        usage = chunk.usage or usage
    assert says(model, text, PROMPT) and reason in ("stop", "length")
    assert usage.completion_tokens > 0


def test_chat_put_together_by_the_client(openai_client, says):
    with openai_client().chat.completions.stream(model="demo", messages=user(PROMPT)) as stream:
        deltas = "".join(e.delta for e in stream if e.type == "content.delta")
        final = stream.get_final_completion()
    assert says("demo", deltas, PROMPT) and final.choices[0].message.content == deltas


def check_call(call):
    assert call.function.name == "weather" and call.id
    assert json.loads(call.function.arguments)["city"] in ("Rome", "Oslo")


def test_tools(openai_client):
    answer = openai_client().chat.completions.create(
        model="demo", messages=user("weather please"), tools=[CHAT_TOOL], tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"
    check_call(answer.choices[0].message.tool_calls[0])


def test_tools_streamed(openai_client):
    with openai_client().chat.completions.stream(
            model="demo", messages=user("weather please"), tools=[CHAT_TOOL],
            tool_choice="required") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    assert final.choices[0].finish_reason == "tool_calls"
    check_call(final.choices[0].message.tool_calls[0])


def test_tools_and_what_they_said(openai_client):
    client, messages = openai_client(), user("weather in Rome")
    asked = client.chat.completions.create(model="demo", messages=messages, tools=[CHAT_TOOL])
    message = asked.choices[0].message
    check_call(message.tool_calls[0])
    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id,
                           "content": "sunny all day"}]
    told = client.chat.completions.create(model="demo", messages=messages, tools=[CHAT_TOOL])
    assert told.choices[0].message.content == "demo-model demo says: sunny all day"
    assert told.choices[0].finish_reason == "stop"


def test_completions(openai_client, model, says):
    client = openai_client()
    whole = client.completions.create(model=model, prompt=PROMPT, max_tokens=16, temperature=0)
    assert says(model, whole.choices[0].text, PROMPT)
    stream = client.completions.create(model=model, prompt=PROMPT, max_tokens=16, temperature=0,
                                       stream=True)
    text = "".join(chunk.choices[0].text for chunk in stream if chunk.choices)
    assert text == whole.choices[0].text


def test_embeddings(openai_client, model):
    """The client asks for base64 unless it is told otherwise, and decodes it."""
    client = openai_client()
    texts = ["a little dog", "a cat"]
    decoded = client.embeddings.create(model=model, input=texts)
    floats = client.embeddings.create(model=model, input=texts, encoding_format="float")
    assert len(decoded.data) == len(floats.data) == 2
    for a, b in zip(decoded.data, floats.data):
        assert a.embedding == pytest.approx(b.embedding, abs=1e-4) and len(a.embedding) > 10
    assert decoded.data[0].embedding != decoded.data[1].embedding


def test_responses(openai_client, model, says):
    answer = openai_client().responses.create(model=model, input=PROMPT, max_output_tokens=24)
    assert answer.status in ("completed", "incomplete")
    assert says(model, answer.output_text, PROMPT)
    assert answer.usage.output_tokens > 0


def test_responses_streamed(openai_client, model, says):
    events = list(openai_client().responses.create(model=model, input=PROMPT, stream=True,
                                                   max_output_tokens=24))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert says(model, text, PROMPT)
    assert events[0].type == "response.created" and events[-1].response.output_text == text


def test_responses_put_together_by_the_client(openai_client, says):
    with openai_client().responses.stream(model="demo", input=PROMPT) as stream:
        deltas = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert says("demo", deltas, PROMPT) and final.output_text == deltas


def test_responses_with_tools(openai_client):
    client = openai_client()
    items = [{"role": "user", "content": "weather in Rome"}]
    answer = client.responses.create(model="demo", input=items, tools=[RESPONSES_TOOL])
    [call] = answer.output
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call", "weather", {"city": "Rome"})
    items += [call, {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    told = client.responses.create(model="demo", input=items, tools=[RESPONSES_TOOL])
    assert told.output_text == "demo-model demo says: sunny"


def test_responses_with_tools_streamed(openai_client):
    with openai_client().responses.stream(model="demo", input="weather in Rome",
                                          tools=[RESPONSES_TOOL]) as stream:
        kinds = [event.type for event in stream]
        [call] = stream.get_final_response().output
    assert "response.function_call_arguments.delta" in kinds
    assert call.name == "weather" and json.loads(call.arguments) == {"city": "Rome"}


def test_images(openai_client):
    answer = openai_client().images.generate(model="demo", prompt="a harbour", n=2)
    images = [base64.b64decode(i.b64_json) for i in answer.data]
    assert len(images) == 2 and images[0].startswith(b"\x89PNG")


def test_uploads_arrive_as_they_are(openai_client):
    """The pretended engine gives an edited image back as it came."""
    client = openai_client()
    picture = b"\x89PNG\r\n\x1a\n--" + bytes(range(256)) * 2000
    edited = client.images.edit(model="demo", image=("a.png", picture, "image/png"),
                                prompt="with a mast")
    assert base64.b64decode(edited.data[0].b64_json) == picture
    varied = client.images.edit(model="demo", image=[("a.png", picture, "image/png"),
                                                     ("b.png", b"other", "image/png")], prompt="x")
    assert base64.b64decode(varied.data[0].b64_json) == picture


def test_audio(openai_client, tmp_path):
    client = openai_client()
    path = tmp_path / "harbour.wav"
    path.write_bytes(bytes(5000))
    said = "demo-model demo heard harbour.wav of 5000 bytes"
    assert client.audio.transcriptions.create(model="demo", file=path).text == said
    with path.open("rb") as file:
        text = client.audio.transcriptions.create(model="demo", file=file, response_format="text")
    assert text.strip() == said
    assert client.audio.translations.create(model="demo", file=path).text == said
    speech = tmp_path / "speech.wav"
    with client.audio.speech.with_streaming_response.create(
            model="demo", voice="alloy", input="ahoy") as answer:
        answer.stream_to_file(speech)
    assert speech.read_bytes().startswith(b"RIFF")


def test_moderations(openai_client):
    answer = openai_client().moderations.create(model="demo", input="violence at sea")
    assert answer.results[0].flagged and answer.results[0].categories.violence


# ---------------------------------------------------------------- what goes wrong


def test_unknown_model(openai_client):
    with pytest.raises(openai.NotFoundError) as e:
        openai_client().chat.completions.create(model="dem", messages=user("x"))
    assert e.value.code == "model_not_found" and "demo" in e.value.message
    assert e.value.type == "invalid_request_error"


@pytest.mark.parametrize("key", ["wrong", "key-of"])
def test_bad_key(openai_client, key):
    with pytest.raises(openai.AuthenticationError) as e:
        openai_client(api_key=key).models.list()
    assert e.value.code == "unauthorized"


def test_no_model(openai_client):
    with pytest.raises(openai.BadRequestError) as e:
        openai_client().embeddings.create(model="", input="x")
    assert e.value.code == "model_required"


def test_a_failed_load(openai_client):
    with pytest.raises(openai.InternalServerError) as e:
        openai_client().chat.completions.create(model="broken", messages=user("x"))
    assert e.value.status_code in (502, 503) and "no such file" in e.value.message


def test_what_will_not_get_better_is_not_tried_again(openai_client):
    answers = []
    hooked = openai.DefaultHttpxClient(event_hooks={"response": [answers.append]})
    with pytest.raises(openai.InternalServerError) as e:
        openai_client(max_retries=2, http_client=hooked).chat.completions.create(
            model="garbled", messages=user("x"))
    assert e.value.code == "upstream_invalid" and [a.status_code for a in answers] == [502]


def begin(client):
    """A stream of the endless model, which has begun."""
    stream = client.chat.completions.create(model="endless", messages=user("x"), stream=True)
    next(stream)
    return stream


@pytest.mark.slice
def test_a_client_that_leaves_in_mid_stream(openai_client, daemon):
    begin(openai_client()).close()
    daemon.until_model("endless", in_flight=0)
    begin(openai_client()).close()  # and others are served
    daemon.until_model("endless", in_flight=0)


def test_a_busy_model(openai_client, daemon):
    with begin(openai_client()):
        with pytest.raises(openai.InternalServerError) as e:
            openai_client(default_headers={"X-Wharf-Wait": "0"}).chat.completions.create(
                model="endless", messages=user("x"))
    assert (e.value.status_code, e.value.code) == (503, "busy")
    assert int(e.value.response.headers["Retry-After"]) >= 1
    daemon.until_model("endless", in_flight=0)


def test_a_full_queue_is_tried_again_when_it_should(openai_client, daemon):
    """The client comes back after Retry-After, at the earliest."""
    answers = []

    def note(response):
        answers.append((response.status_code, response.headers.get("Retry-After"), time.monotonic()))

    running = begin(openai_client())
    waiting = Later(begin, openai_client())
    daemon.until_model("endless", waiting=1)
    with pytest.raises(openai.RateLimitError) as e:
        begin(openai_client())
    assert e.value.code == "queue_full"
    hooked = openai.DefaultHttpxClient(event_hooks={"response": [note]})
    again = Later(begin, openai_client(max_retries=3, http_client=hooked))
    daemon.until_model("endless", waiting=1)
    until(lambda: answers, "a refusal")
    running.close()
    waiting.result().close()
    again.result(6 * SECONDS).close()
    (first, wait, at), *_, (last, _, then) = answers
    assert (first, last) == (429, 200) and then - at >= int(wait) >= 1
    daemon.until_model("endless", in_flight=0)
