"""Compares two answers: what of them may differ without anybody noticing is taken out first."""

import json
import re
from typing import NamedTuple

from cases import HOST, Case
from wharf_harness import SECONDS, Connection

# Those that clients act on.
HEADERS = ["Content-Type", "Location", "Allow", "WWW-Authenticate", "Retry-After", "X-Accel-Buffering",
           "Cache-Control", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods",
           "Access-Control-Allow-Headers", "Access-Control-Max-Age"]
# Members that are never twice the same, wherever they stand.
VOLATILE = {"created", "created_at", "timings", "timestamp", "duration_ms", "raw_headers"}
# A number that the pretended engine counts up.
COUNTED = re.compile(r"\b(chatcmpl|cmpl|msg|resp|fc|call|toolu)([-_])\d+")


class Finding(NamedTuple):
    case: str
    place: str  # "1 status", "2 header Location", "1 body /error/code", "1 events"
    left: object
    right: object


class Got(NamedTuple):
    """An answer as it is compared."""
    status: int
    headers: dict
    kind: str  # json, events, text
    body: object


def clean(value, ports):
    """Without what changes from run to run."""
    if isinstance(value, dict):
        return {k: "..." if k in VOLATILE else clean(v, ports) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v, ports) for v in value]
    if isinstance(value, str):
        value = COUNTED.sub(r"\1\2N", value)
        return re.sub(r"\b\d{4,5}\b", lambda m: "PORT" if int(m[0]) in ports else m[0], value)
    return value


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def events(text):
    """[(event, data)] of a stream, with data parsed where it is JSON."""
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(":")[::2] for line in block.split("\n") if line]
        fields = {name: value.removeprefix(" ") for name, value in lines if name}
        if fields:
            found.append([fields.get("event"), parsed(fields.get("data", ""))])
    return found


def digest(answer, ports):
    headers = {n: answer.header(n) for n in HEADERS if answer.header(n) is not None}
    text = answer.body.decode("utf-8", "backslashreplace")
    kind, body = "text", text
    if headers.get("Content-Type", "").startswith("text/event-stream"):
        kind, body = "events", events(text)
    elif headers.get("Content-Type", "").startswith("application/json"):
        kind, body = "json", parsed(text)
    # Its parameters are written in more than one way.
    headers = {n: re.sub(r"\s*;\s*charset=utf-8", "", v, flags=re.I) for n, v in headers.items()}
    return Got(answer.status, clean(headers, ports), kind, clean(body, ports))


MISSING = "(missing)"


def differences_of(left, right, place):
    """(place, left, right) wherever two values differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from differences_of(left.get(key, MISSING), right.get(key, MISSING), f"{place}/{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for i, (a, b) in enumerate(zip(left, right)):
            yield from differences_of(a, b, f"{place}/{i}")
    elif left != right or type(left) is not type(right):
        yield place, left, right


def compare(case, number, left, right):
    """Findings of one answer of a case, the number-th."""
    pairs = [(f"{number} status", left.status, right.status)]
    pairs += [(f"{number} header {n}", left.headers.get(n), right.headers.get(n)) for n in HEADERS]
    found = [pair for pair in pairs if pair[1] != pair[2]]
    if left.kind != right.kind:
        found.append((f"{number} kind", left.kind, right.kind))
    elif case.body:
        found += differences_of(left.body, right.body, f"{number} {left.kind} ")
    return [Finding(case.name, *f) for f in found]


def ask(side, request):
    with Connection(side.address, 3 * SECONDS) as c:
        answer = c.ask(request.method, request.path, request.body, dict(request.headers), host=HOST)
    assert answer.complete, f"{request}: cut: {answer}"
    return digest(answer, range(side.start_port, side.start_port + 20))


def run(pairs, case: Case):
    """Asks both sides, and says what differs."""
    left, right = pairs.pair(case.config)
    found = []
    for number, request in enumerate(case.requests, 1):
        found += compare(case, number, ask(left, request), ask(right, request))
    return found
