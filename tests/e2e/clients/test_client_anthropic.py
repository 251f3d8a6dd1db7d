"""Anthropic's official client for Python makes its usual calls."""

import pytest

anthropic = pytest.importorskip("anthropic", reason="the Python package anthropic is not installed")

PROMPT = "all hands on deck"
TOOL = {"name": "weather", "description": "of a city", "input_schema": {
    "type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}}


def user(text):
    return [{"role": "user", "content": text}]


def test_models(anthropic_client):
    assert {"demo", "endless"} <= {m.id for m in anthropic_client().models.list()}


@pytest.mark.slice
def test_messages(anthropic_client, model, says):
    answer = anthropic_client().messages.create(model=model, max_tokens=24, messages=user(PROMPT))
    assert answer.stop_reason in ("end_turn", "max_tokens") and answer.role == "assistant"
    assert says(model, answer.content[0].text, PROMPT)
    assert answer.usage.output_tokens > 0


def test_messages_streamed(anthropic_client, model, says):
    with anthropic_client().messages.stream(model=model, max_tokens=24, messages=user(PROMPT)) as s:
        text = "".join(s.text_stream)
        final = s.get_final_message()
    assert says(model, text, PROMPT) and final.content[0].text == text
    assert final.stop_reason in ("end_turn", "max_tokens") and final.usage.output_tokens > 0


def check_call(message):
    assert message.stop_reason == "tool_use"
    [call] = [block for block in message.content if block.type == "tool_use"]
    assert call.name == "weather" and call.input["city"] in ("Rome", "Oslo")
    return call


def test_tools(anthropic_client):
    check_call(anthropic_client().messages.create(
        model="demo", max_tokens=200, messages=user("weather please"), tools=[TOOL],
        tool_choice={"type": "any"}))


def test_tools_streamed(anthropic_client):
    with anthropic_client().messages.stream(
            model="demo", max_tokens=200, messages=user("weather please"), tools=[TOOL],
            tool_choice={"type": "any"}) as stream:
        assert "input_json" in [event.type for event in stream]
        check_call(stream.get_final_message())


def test_tools_and_what_they_said(anthropic_client):
    client, messages = anthropic_client(), user("weather in Rome")
    asked = client.messages.create(model="demo", max_tokens=200, messages=messages, tools=[TOOL])
    call = check_call(asked)
    messages += [{"role": "assistant", "content": asked.content},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                               "content": "sunny all day"}]}]
    told = client.messages.create(model="demo", max_tokens=200, messages=messages, tools=[TOOL])
    assert told.content[0].text == "demo-model demo says: sunny all day"


def test_count_tokens(anthropic_client, model):
    client = anthropic_client()
    short, long = (client.messages.count_tokens(model=model, messages=user(text), system="be brief")
                   .input_tokens for text in (PROMPT, PROMPT * 3))
    assert 0 < short < long


# ---------------------------------------------------------------- what goes wrong


def test_unknown_model(anthropic_client):
    with pytest.raises(anthropic.NotFoundError) as e:
        anthropic_client().messages.create(model="dem", max_tokens=9, messages=user("x"))
    assert e.value.body["error"]["type"] == "not_found_error" and "demo" in e.value.message


def test_bad_key(anthropic_client):
    with pytest.raises(anthropic.AuthenticationError) as e:
        anthropic_client(api_key="wrong").messages.create(model="demo", max_tokens=9,
                                                          messages=user("x"))
    assert e.value.body["error"]["type"] == "authentication_error"


def test_a_token_is_a_key(daemon, anthropic_client, says):
    """ANTHROPIC_AUTH_TOKEN, as coding agents use it."""
    client = anthropic_client(api_key=None, auth_token=daemon.key)
    answer = client.messages.create(model="demo", max_tokens=24, messages=user(PROMPT))
    assert says("demo", answer.content[0].text, PROMPT)


def test_what_will_not_get_better_is_not_tried_again(anthropic_client):
    answers = []
    hooked = anthropic.DefaultHttpxClient(event_hooks={"response": [answers.append]})
    with pytest.raises(anthropic.InternalServerError):
        anthropic_client(max_retries=2, http_client=hooked).messages.create(
            model="garbled", max_tokens=9, messages=user("x"))
    assert [a.status_code for a in answers] == [502]


def begin(client, **keys):
    stream = client.messages.create(model="endless", max_tokens=100000, messages=user("x"),
                                    stream=True, **keys)
    next(stream)
    return stream


@pytest.mark.slice
def test_a_client_that_leaves_in_mid_stream(anthropic_client, daemon):
    begin(anthropic_client()).close()
    daemon.until_model("endless", in_flight=0)


def test_a_busy_model(anthropic_client, daemon):
    running = begin(anthropic_client())
    with pytest.raises(anthropic.APIStatusError) as e:
        begin(anthropic_client(), extra_headers={"X-Wharf-Wait": "0"})
    assert e.value.status_code == 503 and e.value.body["error"]["type"] == "overloaded_error"
    assert int(e.value.response.headers["Retry-After"]) >= 1
    running.close()
    daemon.until_model("endless", in_flight=0)


def test_a_failed_load(anthropic_client):
    with pytest.raises(anthropic.InternalServerError) as e:
        anthropic_client().messages.create(model="broken", max_tokens=9, messages=user("x"))
    assert e.value.status_code in (502, 503) and "no such file" in e.value.message
