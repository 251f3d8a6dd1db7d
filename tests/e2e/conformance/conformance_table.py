"""What a row of the table is, and the words that its files are written in.

A row has the bytes of one message, a title, where it comes from (a section of an RFC, or the name that
the technique goes by), and what must become of it. A message is either turned away, with nothing whole
behind it, or understood in one way by everybody who reads it."""

from typing import NamedTuple

PATH = b"/upstream/m/case"


class Refused(NamedTuple):
    """An answer with that status, and the end of the connection. Upstream sees no whole request."""
    status: int


class Answered(NamedTuple):
    """wharf's own answer. Upstream sees nothing of it; what follows is read as itself, unless the
    connection ends there."""
    status: int
    ends: bool = False
    has: dict = {}


class Passed(NamedTuple):
    """Upstream sees one request, the same to every reader, and then what followed it."""
    target: str = "/case"
    method: str = "GET"
    body: bytes = b""
    has: dict = {}      # fields that upstream must see: {name in lower case: value}
    lacks: tuple = ()   # fields that it must not
    ends: bool = False  # the client asked for the connection's end: what follows is not read
    rest: int = 0       # what the table has behind the message is refused with that status


class Request(NamedTuple):
    title: str
    source: str
    data: bytes
    want: object
    keys: bool = False  # towards a wharf that has keys of its own


# ---------------------------------------------------------------- requests


def message(method, target, version, fields, body):
    return b" ".join((method, target, version)) + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + \
        b"\r\n" + body


def get(*fields, target=PATH, method=b"GET", version=b"HTTP/1.1", host=b"Host: x", body=b""):
    return message(method, target, version, ([host] if host else []) + list(fields), body)


def post(*fields, body=b"", **keys):
    return get(*fields, method=b"POST", body=body, **keys)


def chunked(body, *fields):
    """A POST whose body is written out in chunks, ends and all."""
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


def posted(body=b"abc", **keys):
    return Passed(method="POST", body=body, **keys)


# ---------------------------------------------------------------- answers


class Error(NamedTuple):
    """The client is told that the model's server made a mistake."""
    status: int = 502


class Cut(NamedTuple):
    """The client sees that something is missing."""
    body: bytes
    status: int = 200


class Whole(NamedTuple):
    body: bytes = b"abc"
    status: int = 200
    has: dict = {}
    lacks: tuple = ()
    kept: object = None  # whether the next request may come on the same connection; None: either


class Answer(NamedTuple):
    title: str
    source: str
    steps: list  # bytes to send, or what to do
    want: object
    method: str = "GET"
    fields: tuple = ()  # of the request
    version: str = "HTTP/1.1"
    surplus: bool = False  # bytes come behind the answer's end
    again: bool = False    # a kept connection that ends so is taken for one that was idle too long


CLOSE = "close"
READ = "read"  # wait until the client has had its answer


def answer(*fields, body=b"", status=b"200 OK", version=b"HTTP/1.1"):
    return version + b" " + status + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + body
