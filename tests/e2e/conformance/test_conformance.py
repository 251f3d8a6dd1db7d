"""Messages that are malformed, or that two readers might read in two ways: none goes through wharf
in such a form. The table is in table_*.py, its words in conformance_table.py."""

import collections
import contextlib
import re

import pytest

import table_answers
import table_fields
import table_framing
import table_lines
import table_proxy
from both_ends import BARRIER, MARK, WAYS, Kept, Recorder, Scripted, at_once, send_pieces
from conformance_table import READ, Answered, Cut, Error, Passed, Refused, Whole
from readers import Llhttp, agree, answers_of_h11, answers_of_http_client, strict
from wharf_harness import ROOT, SECONDS, Daemon

REQUESTS = [row for table in (table_lines, table_fields, table_framing, table_proxy)
            for row in table.ROWS]
ANSWERS = table_answers.ROWS
KEY = "wharfs-own-key"


def mark(keys=False):
    key = f"x-api-key: {KEY}\r\n" * keys
    return f"GET /upstream/m{MARK} HTTP/1.1\r\nHost: x\r\n{key}\r\n".encode()


def ids(rows):
    return [row.title for row in rows]


@contextlib.contextmanager
def running(factory, upstream, **config):
    folder = factory.mktemp("conform")
    ends = upstream(str(folder / "up"))
    d = Daemon(folder, {"models": {"m": {"cmd": "sleep 3600", "checkEndpoint": "none",
                                         "proxy": ends.proxy}}, **config},
               listen=["127.0.0.1:0", f"unix:{folder}/wharf"])
    d.local = str(folder / "wharf")
    yield d, ends
    d.finish()
    ends.close()


@pytest.fixture(scope="module")
def llhttp():
    reader = Llhttp()
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    with running(tmp_path_factory, Recorder) as (d, recorder):
        yield d, recorder


@pytest.fixture(scope="module")
def recorded_with_keys(tmp_path_factory):
    with running(tmp_path_factory, Recorder, apiKeys=[KEY]) as (d, recorder):
        yield d, recorder


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    with running(tmp_path_factory, Scripted) as both:
        yield both


# ---------------------------------------------------------------- towards wharf


def ends_there(want):
    return isinstance(want, Refused) or want.ends or bool(getattr(want, "rest", 0))


def check_answers(want, answers, marked):
    """What the client was told."""
    if isinstance(want, Passed):
        assert [a.status for a in answers] == [200] + [want.rest] * bool(want.rest), answers
        assert answers[0].complete
    else:
        assert [a.status for a in answers] == [want.status], answers
    ends = ends_there(want)
    assert marked != ends, "what followed was answered" if marked else "what followed was not"
    if ends and answers[0].status != 200:
        assert answers[0].header("Connection") == "close"
    for name, value in getattr(want, "has", {}).items():
        if isinstance(want, Answered):
            assert answers[0].header(name) == value, answers


def check_upstream(want, connections, llhttp):
    """What upstream saw of it."""
    if isinstance(want, Refused):
        for data, is_open in connections:
            whole, end = strict(data)
            assert not whole, f"it was forwarded: {whole}"
            assert not is_open, f"more may come of {data!r}"
        return
    messages = [m for data, _ in connections for m in agree(data, llhttp)]
    marks = [m for m in messages if m.target == MARK]
    assert len(marks) == (0 if ends_there(want) else 1), messages
    messages = [m for m in messages if m.target != MARK]
    assert len(messages) == isinstance(want, Passed), messages
    for m in messages:
        assert (m.target, m.method, m.body) == (want.target, want.method, want.body)
        for name, value in want.has.items():
            assert m.values(name) == [value], (name, m.fields)
        for name in want.lacks:
            assert not m.values(name), (name, m.fields)


def send_and_check(row, address, pieces, d, recorder, llhttp):
    method = row.data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1")
    with Kept(address) as c:
        if len(pieces) == 1:  # over TCP
            c.send(pieces[0] + mark(row.keys))
        else:
            send_pieces(c.sock, [*pieces, mark(row.keys)])
        answers, marked = c.answers_to_mark(method)
    check_answers(row.want, answers, marked)
    key = {"x-api-key": KEY} if row.keys else {}
    check_upstream(row.want, recorder.since_last(d.address, key), llhttp)


@pytest.mark.slice
@pytest.mark.parametrize("row", REQUESTS, ids=ids(REQUESTS))
def test_a_request_is_refused_or_means_one_thing(request, row, llhttp):
    d, recorder = request.getfixturevalue("recorded_with_keys" if row.keys else "recorded")
    for name, way in WAYS.items():
        try:
            address = d.address if name == "at once" else d.local
            send_and_check(row, address, way(row.data), d, recorder, llhttp)
        except AssertionError as e:
            raise AssertionError(f"sent {name}: {e}") from e


# ---------------------------------------------------------------- from an upstream


def request_of(row):
    fields = "".join(f"{f}\r\n" for f in ("Host: x", *row.fields))
    return f"{row.method} /upstream/m/case {row.version}\r\n{fields}\r\n".encode()


def check_answer(want, got):
    if isinstance(want, Error):
        assert got.status == want.status and got.complete, got
        assert got.error["code"] in ("upstream_invalid", "upstream_closed"), got
        return
    assert (got.status, got.body) == (want.status, want.body), got
    assert got.complete == isinstance(want, Whole), got
    names = [n.lower() for n, _ in got.headers]
    for name in getattr(want, "lacks", ()):
        assert name not in names, got
    for name, value in getattr(want, "has", {}).items():
        assert got.header(name) == value, got


def check_next(c, path):
    answer = c.answer()
    assert answer.status == 200 and answer.complete and answer.json() == {"path": path}, answer


def answers_agree(c, row, count):
    """Other clients see the same answers in what came."""
    methods = [row.method] + ["GET"] * (count - 1)
    assert answers_of_h11(c.seen, methods) == answers_of_http_client(c.seen, methods)


def ask_and_check(row, address, scripted, pipelined):
    after = mark()
    with Kept(address) as c:
        c.send(request_of(row) + (after if pipelined else b""))
        got = c.answer(row.method)
        check_answer(row.want, got)
        scripted.read.set()
        goes_on = not isinstance(row.want, Cut) and got.header("Connection") != "close"
        if goes_on:
            if not pipelined:
                assert scripted.played.wait(SECONDS)
                c.send(after)
            check_next(c, MARK)
            answers_agree(c, row, 2)
        else:
            assert c.is_closed(), "more than the answer"
    with Kept(address) as c:
        c.send(f"GET /upstream/m{BARRIER} HTTP/1.1\r\nHost: x\r\n\r\n")
        check_next(c, BARRIER)
    asked = [m.target for _, m in scripted.asked]
    if row.again and asked[:2] == ["/case"] * 2:
        del asked[0]
    assert asked == ["/case"] + [MARK] * goes_on + [BARRIER], "not each was asked for once"
    kept = getattr(row.want, "kept", None)
    if kept is not None:
        first = scripted.connections("/case")
        assert (scripted.connections(MARK if goes_on else BARRIER) == first) == kept


@pytest.mark.slice
@pytest.mark.parametrize("row", ANSWERS, ids=ids(ANSWERS))
def test_an_answer_is_refused_cut_or_means_one_thing(scripted, row):
    d, upstream = scripted
    for name, way in WAYS.items():
        for pipelined in (False, True):
            # Nobody can tell bytes behind an answer from the next one once another request is out.
            if row.surplus and pipelined and (way is not at_once or READ in row.steps):
                continue
            try:
                upstream.play(row.steps, way)
                # An answer that ends with the connection is seen to be cut by a reset, which only TCP has.
                local = pipelined and row.version != "HTTP/1.0"
                ask_and_check(row, d.local if local else d.address, upstream, pipelined)
            except AssertionError as e:
                told = f"answered {name}, {'pipelined' if pipelined else 'one by one'}"
                raise AssertionError(f"{told}: {e}") from e


# ---------------------------------------------------------------- the table itself


def outcome(row):
    if isinstance(row.want, Refused):
        return f"refused with {row.want.status}"
    if isinstance(row.want, Error):
        return f"answered with {row.want.status}"
    return {Answered: "answered by wharf itself", Passed: "passed on, rebuilt", Cut: "cut",
            Whole: "passed on, rebuilt"}[type(row.want)]


def outcomes(rows):
    return dict(sorted(collections.Counter(map(outcome, rows)).items()))


def test_the_document_has_the_counts():
    requests, answers = outcomes(REQUESTS), outcomes(ANSWERS)
    want = {what: (str(requests.get(what, "")), str(answers.get(what, "")))
            for what in {**requests, **answers}}
    want["all"] = str(len(REQUESTS)), str(len(ANSWERS))
    text = (ROOT / "docs/reliability.md").read_text()
    rows = re.search(r"<!-- counted: tests/e2e/conformance -->.*?\|---\|\n(.*?)\n<!-- end -->", text, re.S)
    got = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows[1].strip().split("\n")]
    assert {what: (a, b) for what, a, b in got} == want


def test_the_table_is_what_it_should_be():
    assert len(REQUESTS) >= 150 and len(ANSWERS) >= 60
    for rows in (REQUESTS, ANSWERS):
        titles = ids(rows)
        assert len(set(titles)) == len(titles), \
            [t for t, n in collections.Counter(titles).items() if n > 1]
        assert all(row.source for row in rows)
    assert len({row.data for row in REQUESTS}) == len(REQUESTS), "the same bytes twice"
