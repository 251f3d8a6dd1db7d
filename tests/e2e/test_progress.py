"""What a client is told of its wait: in the answer's head, in interim answers, in comments."""

import json
import re
import signal
import threading

import pytest

from wharf_harness import (SECONDS, SSE_HEAD, Later, chat_body, content, demo, free_port, held, models,
                           serve_requests)

CHAT = "/v1/chat/completions"
OWN = ("X-Wharf-Queued", "X-Wharf-Position", "X-Wharf-Estimate")


@pytest.mark.slice
def test_the_answer_says_how_it_waited(wharf):
    d = wharf(models("m"))
    first, second = d.ok(d.chat("m")), d.ok(d.chat("m"))
    assert re.fullmatch(r"\d+\.\d{3}", first.header("X-Wharf-Queued")), first
    assert first.header("X-Wharf-Position") == "1" and int(first.header("X-Wharf-Estimate")) >= 1
    assert not [name for name in OWN if second.header(name)], second


def test_a_refusal_says_how_it_waited(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m"), tmp_path / "go")}})
    answer = d.chat("m", headers={"X-Wharf-Wait": "0.2"})
    assert (answer.status, answer.error["code"]) == (503, "wait_expired"), answer
    assert float(answer.header("X-Wharf-Queued")) >= 0.1
    assert answer.header("X-Wharf-Position") == "1"
    (tmp_path / "go").touch()


def test_places_in_the_queue(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m"), tmp_path / "go")}})
    waiting = []
    for n in range(1, 4):
        waiting.append(Later(d.chat, "m"))
        d.until_model("m", waiting=n)
    (tmp_path / "go").touch()
    assert [w.result().header("X-Wharf-Position") for w in waiting] == ["1", "2", "3"]


@pytest.mark.slice
def test_interim_answers(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m"), tmp_path / "go")}})
    c = d.connect()
    c.request("POST", CHAT, chat_body("m"), {"X-Wharf-Progress": "interim"})
    interim = c.head()
    assert (interim.status, interim.header("X-Wharf-Position")) == (102, "1"), interim
    assert int(interim.header("X-Wharf-Estimate")) >= 1
    (tmp_path / "go").touch()
    answer = c.head()
    while answer.status == 102:
        answer = c.head()
    assert answer.status == 200 and answer.header("X-Wharf-Queued")
    answer.body = b"".join(c.pieces(answer))
    assert content(answer)
    assert c.ask("POST", CHAT, chat_body("m"), {"X-Wharf-Progress": "interim"}).status == 200


def test_official_clients_read_past_interim_answers(wharf):
    openai = pytest.importorskip("openai")
    d = wharf(models("m"))
    client = openai.OpenAI(base_url=d.url + "/v1", api_key="k", max_retries=0,
                           default_headers={"X-Wharf-Progress": "interim"})
    answer = client.chat.completions.create(model="m",
                                            messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content


def test_interim_answers_are_only_sent_to_who_asks(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m"), tmp_path / "go")}})
    c = d.connect().request("POST", CHAT, chat_body("m"))
    old = d.connect().send(f"POST {CHAT} HTTP/1.0\r\nX-Wharf-Progress: interim\r\nContent-Length: "
                           f"{len(json.dumps(chat_body('m')))}\r\n\r\n{json.dumps(chat_body('m'))}")
    d.until_model("m", waiting=2)
    (tmp_path / "go").touch()
    assert c.head().status == 200
    assert old.head().status == 200


@pytest.mark.parametrize("value", ["yes", "Interim", "interim, comments", ""])
def test_a_wish_that_is_none(wharf, value):
    d = wharf(models("m"))
    answer = d.chat("m", headers={"X-Wharf-Progress": value})
    assert (answer.status, answer.error["code"]) == (400, "invalid_header"), answer


@pytest.mark.slice
@pytest.mark.valgrind
def test_comments(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m"), tmp_path / "go")}})
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True), {"X-Wharf-Progress": "comments"})
    answer = c.head()
    assert (answer.status, answer.header("Content-Type")) == (200, "text/event-stream")
    assert answer.header("X-Wharf-Position") == "1"
    pieces = c.pieces(answer)
    assert re.fullmatch(rb": waiting position=1 estimate_s=\d+\n\n", next(pieces))
    (tmp_path / "go").touch()
    answer.body = b"".join(pieces)
    assert answer.complete
    answer.body = re.sub(rb"(?m)^: .*\n\n", b"", answer.body)
    assert content(answer)
    assert c.ask("POST", CHAT, chat_body("m")).status == 200, "the connection goes on"


def test_comments_are_for_streams(wharf):
    d = wharf(models("m"))
    answer = d.ok(d.chat("m", headers={"X-Wharf-Progress": "comments"}))
    assert answer.header("Content-Type") == "application/json" and content(answer)


ERROR_400 = '{"error": {"message":\n"no", "code": 400}}'


@pytest.mark.slice
@pytest.mark.parametrize("status, kind, body, code", [
    (400, "application/json", ERROR_400, 400),
    (500, "text/plain", "out of\r\nmemory", "upstream_error"),
    (500, "text/plain", "", "upstream_error"),
])
def test_an_answer_that_is_an_error(wharf, upstream, status, kind, body, code):
    """The head has gone out: the error becomes an event, and the stream ends properly."""
    u = upstream(serve_requests(lambda peer, *_: peer.answer(body, status, kind)))
    d = wharf({"models": {"m": u.model()}})
    with d.connect() as c:
        c.request("POST", CHAT, chat_body("m", stream=True), {"X-Wharf-Progress": "comments"})
        answer = c.head()
        assert answer.status == 200, answer
        events = list(c.sse(answer))
    assert answer.complete and len(events) == 1, events
    assert events[0]["event"] == "error"
    error = json.loads(events[0]["data"])["error"]
    assert error["code"] == code and error["message"]


def test_an_answer_that_is_no_stream(wharf, upstream):
    seen = []

    def serve(peer, line, headers, body):
        seen.append(headers)
        peer.answer('{"choices":\n[]}')
    d = wharf({"models": {"m": upstream(serve_requests(serve)).model()}})
    answer = d.chat("m", stream=True, headers={"X-Wharf-Progress": "comments",
                                               "Accept-Encoding": "gzip"})
    assert answer.complete and answer.text.endswith('data: {"choices":\ndata: [],\n\n'.replace(
        "[],", "[]}") + "data: [DONE]\n\n"), answer
    assert seen[0]["accept-encoding"] == "identity", "the head that has gone out names no encoding"
    assert not [name for name in seen[0] if name.startswith("x-wharf")]


@pytest.mark.parametrize("sent, whole", [("data: {}\n\n", True), ("data: {}\r\n\r\n", True),
                                         ("data: {\"a", False), ("data: {}\n", False)])
def test_a_server_that_stops_in_the_middle(wharf, upstream, sent, whole):
    """Between two events an event says so; within one, nothing but a cut can."""
    def serve(peer, _):
        peer.request()
        peer.send(SSE_HEAD)
        peer.chunk(sent)
        peer.close()
    d = wharf({"models": {"m": upstream(serve).model()}})
    answer = d.chat("m", stream=True, headers={"X-Wharf-Progress": "comments"})
    assert answer.complete == whole, answer
    assert ("event: error" in answer.text) == whole
    if whole:
        data = answer.text.rpartition("data: ")[2]
        assert json.loads(data)["error"]["code"] == "upstream_closed"


@pytest.mark.slice
@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_a_failed_load(wharf, path):
    d = wharf({"models": {"m": {"cmd": "sh -c 'echo no such file; exit 1'",
                                "proxy": "http://127.0.0.1:9"}}})
    with d.connect() as c:
        c.request("POST", path, chat_body("m", stream=True), {"X-Wharf-Progress": "comments"})
        answer = c.head()
        events = list(c.sse(answer))
        assert answer.status == 200 and answer.complete, answer
        assert [e["event"] for e in events] == ["error"]
        got = json.loads(events[0]["data"])
        assert got["error"]["code"] == "load_failed" and "no such file" in got["error"]["message"]
        assert (got.get("type") == "error") == (path == "/v1/messages")
        assert c.ask("GET", "/health").status == 200, "the connection goes on"


def test_a_server_that_is_not_there(wharf):
    """The request goes back into the queue with its stream begun, and fails the second time."""
    d = wharf({"models": {"m": {"cmd": "sleep 3600", "checkEndpoint": "none",
                                "proxy": f"http://127.0.0.1:{free_port()}"}}})
    answer = d.chat("m", stream=True, headers={"X-Wharf-Progress": "comments"})
    assert answer.status == 200 and answer.complete, answer
    assert answer.text.count("event: error") == 1
    error = json.loads(answer.text.rpartition("data: ")[2])["error"]
    assert error["code"] in ("upstream_refused", "load_failed"), answer
    d.until_model("m", in_flight=0, waiting=0)


def test_a_stream_that_waits_is_ended_at_shutdown(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m"), tmp_path / "never")}})
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True), {"X-Wharf-Progress": "comments"})
    events = c.sse(c.head())
    d.until_model("m", waiting=1)
    d.signal(signal.SIGTERM)
    assert json.loads(next(events)["data"])["error"]["code"] == "shutting_down"
    assert not list(events)
    assert d.wait() == 0


def test_an_aborted_load_while_a_page_is_told(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m"), tmp_path / "never")}})
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True), {"X-Wharf-Progress": "comments"})
    events = c.sse(c.head())
    d.until_model("m", waiting=1)
    d.ok(d.post("/api/models/unload"))
    assert json.loads(next(events)["data"])["error"]["code"] == "model_unloaded"


def test_the_retry_on_a_fresh_connection(wharf, upstream):
    """A connection that went stale is replaced also where the stream has begun."""
    go, served = threading.Event(), []

    def serve(peer, number):
        served.append((number, peer.request()[2]))
        if number == 1:
            go.wait(SECONDS)
            peer.answer("{}")
            served.append((number, peer.request()[2]))
            peer.close()
        else:
            peer.answer("data: x\n\n", kind="text/event-stream")
    d = wharf({"models": {"m": upstream(serve).model(concurrencyLimit=1)}})
    first = Later(d.chat, "m")
    d.until_model("m", in_flight=1)
    c = d.connect()
    c.request("POST", CHAT, chat_body("m", stream=True), {"X-Wharf-Progress": "comments"})
    answer = c.head()
    d.until_model("m", waiting=1)
    go.set()
    answer.body = b"".join(c.pieces(answer))
    assert first.result().status == 200
    assert answer.complete and answer.body.endswith(b"data: x\n\n"), answer
    assert [number for number, _ in served] == [1, 1, 2] and served[1][1] == served[2][1]


def test_a_client_that_leaves_while_it_is_told(wharf, tmp_path):
    d = wharf({"models": {"m": held(demo("m"), tmp_path / "go")}})
    for progress in ("comments", "interim"):
        c = d.connect()
        c.request("POST", CHAT, chat_body("m", stream=True), {"X-Wharf-Progress": progress})
        c.head()
        c.reset()
    d.until_model("m", waiting=0)
    (tmp_path / "go").touch()
    assert content(d.ok(d.chat("m")))


def test_one_x_accel_buffering(wharf, upstream):
    def serve(peer, *_):
        peer.send(SSE_HEAD[:-2] + "X-Accel-Buffering: yes\r\n\r\n")
        peer.chunk("data: [DONE]\n\n")
        peer.send("0\r\n\r\n")
    d = wharf({"models": {"m": upstream(serve_requests(serve)).model()}})
    assert d.ok(d.chat("m", stream=True)).header("X-Accel-Buffering") == "no"
