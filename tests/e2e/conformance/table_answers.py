"""What a model's server answers."""

from conformance_table import CLOSE, READ, Answer, Cut, Error, Whole, answer

LEN = b"Content-Length: 3"
CODED = b"Transfer-Encoding: chunked"
CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
POISON = answer(b"Content-Length: 6", body=b"poison")
WHOLE = answer(LEN, body=b"abc")


def head(title, source, data, want=Error()):
    return Answer("head: " + title, source, [data, CLOSE] if isinstance(want, Error) else [data], want)


def framing(title, source, *fields, body=b"abc", want=Error(), **keys):
    return Answer("framing: " + title, source, [answer(*fields, body=body, **keys)], want)


def chunks(title, source, body, want=Cut(b"abc")):
    return Answer("chunks: " + title, source, [answer(CODED, body=body)], want)


def bodiless(title, source, steps, status=200, method="GET", **keys):
    return Answer("no body: " + title, source, steps, Whole(b"", status, **keys), method)


def surplus(title, source, steps, want=Whole(kept=False)):
    return Answer("behind the end: " + title, source, steps, want, surplus=True)


ROWS = [
    # ------------------------------------------------------------ the status line
    head("no HTTP", "RFC 9112, 4", b"hello there\r\n\r\n"),
    head("HTTP/0.9: a body alone", "RFC 9112, appendix C.1", b"<html>abc</html>"),
    head("HTTP/0.9 by name", "RFC 9112, 2.3", answer(LEN, body=b"abc", version=b"HTTP/0.9")),
    head("HTTP/1.2", "RFC 9110, 2.5", answer(LEN, body=b"abc", version=b"HTTP/1.2")),
    head("HTTP/2.0", "RFC 9110, 2.5", answer(LEN, body=b"abc", version=b"HTTP/2.0")),
    head("HTTP/1.10", "RFC 9112, 2.3", answer(LEN, body=b"abc", version=b"HTTP/1.10")),
    head("http/1.1", "RFC 9112, 2.3", answer(LEN, body=b"abc", version=b"http/1.1")),
    head("ICY", "RFC 9112, 4: Shoutcast", b"ICY 200 OK\r\n\r\nabc"),
    head("an empty line before it", "RFC 9112, 2.2: for requests alone", b"\r\n" + WHOLE),
    head("a space before it", "RFC 9112, 4", b" " + WHOLE),
    head("two spaces", "RFC 9112, 4", answer(LEN, body=b"abc", status=b" 200 OK")),
    head("a tab for a space", "RFC 9112, 4", WHOLE.replace(b" ", b"\t", 1)),
    head("a status of two digits", "RFC 9112, 4", answer(LEN, body=b"abc", status=b"20 OK")),
    head("a status of four digits", "RFC 9112, 4", answer(LEN, body=b"abc", status=b"2000 OK")),
    head("a status below 100", "RFC 9110, 15", answer(LEN, body=b"abc", status=b"099 Odd")),
    head("a negative status", "RFC 9112, 4", answer(LEN, body=b"abc", status=b"-200 OK")),
    head("a status of words", "RFC 9112, 4", answer(LEN, body=b"abc", status=b"OK")),
    head("a NUL in the reason", "RFC 9112, 4", answer(LEN, body=b"abc", status=b"200 O\0K")),
    head("a bare CR in the reason", "RFC 9112, 4", answer(LEN, body=b"abc", status=b"200 OK\rA: b")),
    head("a request", "RFC 9112, 2.1", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    head("a status that nobody knows", "RFC 9110, 15", answer(LEN, body=b"abc", status=b"299 Fine"),
         Whole(status=299, kept=True)),
    head("no reason", "RFC 9112, 4", answer(LEN, body=b"abc", status=b"200 "), Whole(kept=True)),
    head("no reason and no space", "RFC 9112, 4", answer(LEN, body=b"abc", status=b"200"),
         Whole(kept=True)),

    # ------------------------------------------------------------ fields
    head("bare LF", "RFC 9112, 2.2", WHOLE.replace(b"\r\n", b"\n")),
    head("one bare LF", "RFC 9112, 2.2", WHOLE.replace(b"\r\n", b"\n", 1)),
    head("obs-fold", "RFC 9112, 5.2", answer(LEN, b"A: b\r\n c", body=b"abc")),
    head("a NUL", "RFC 9110, 5.5", answer(LEN, b"A: \0", body=b"abc")),
    head("a bare CR", "technique: response splitting", answer(LEN, b"A: b\rC: d", body=b"abc")),
    head("a space before the colon", "RFC 9112, 5.1: removed or refused", answer(b"Content-Length : 3", body=b"abc")),
    head("an empty name", "RFC 9112, 5", answer(LEN, b": b", body=b"abc")),
    head("no colon", "RFC 9112, 5", answer(LEN, b"nothing", body=b"abc")),
    head("white space before the first field", "RFC 9112, 2.2", answer(b" A: b", LEN, body=b"abc")),
    head("too many fields", "a flood", answer(LEN, *(b"A%d: b" % i for i in range(100)), body=b"abc")),
    head("too long", "a flood", answer(LEN, b"A: " + b"b" * 40_000, body=b"abc")),
    head("endless", "a flood", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 40_000),
    head("cut short", "RFC 9112, 8", b"HTTP/1.1 200 OK\r\nContent-Le"),
    head("bytes that are not ASCII's", "RFC 9110, 5.5", answer(LEN, b"A: \xe4\x85", body=b"abc"),
         Whole(has={"A": "\xe4\x85"}, kept=True)),
    head("a twin with an underscore", "technique: names as variables", answer(LEN, b"Content_Length: 9",
                                                                             body=b"abc"),
         Whole(lacks=("content_length",), kept=True)),

    # ------------------------------------------------------------ framing
    framing("a length beside chunks", "RFC 9112, 6.3: CL.TE", LEN, CODED, body=CHUNKS),
    framing("chunks beside a length", "RFC 9112, 6.3: TE.CL", CODED, LEN, body=CHUNKS),
    framing("two lengths", "RFC 9112, 6.3", LEN, b"Content-Length: 4", body=b"abcd"),
    framing("the same length twice", "RFC 9112, 6.3", LEN, LEN),
    framing("a list of lengths", "RFC 9112, 6.3", b"Content-Length: 3, 3"),
    framing("a length with a plus", "RFC 9110, 8.6", b"Content-Length: +3"),
    framing("a negative length", "RFC 9110, 8.6", b"Content-Length: -3"),
    framing("a hexadecimal length", "RFC 9110, 8.6", b"Content-Length: 0x3"),
    framing("an empty length", "RFC 9110, 8.6", b"Content-Length:"),
    framing("a length that overflows", "RFC 9112, 6.3", b"Content-Length: 18446744073709551619"),
    framing("gzip", "RFC 9112, 6.3", b"Transfer-Encoding: gzip"),
    framing("identity", "RFC 9112, 7", b"Transfer-Encoding: identity", LEN),
    framing("gzip, chunked", "RFC 9112, 6.1", b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    framing("chunked twice", "RFC 9112, 6.1", CODED, CODED, body=CHUNKS),
    framing("chunked, identity", "RFC 9112, 6.3", b"Transfer-Encoding: chunked, identity", body=CHUNKS),
    framing("xchunked", "technique: TE.TE", b"Transfer-Encoding: xchunked", body=CHUNKS),
    framing("a vertical tab", "technique: TE.TE", b"Transfer-Encoding: \x0bchunked", body=CHUNKS),
    framing("chunked in HTTP/1.0", "RFC 9112, 6.1", CODED, body=CHUNKS, version=b"HTTP/1.0"),
    framing("zeros before the length", "RFC 9110, 8.6", b"Content-Length: 003",
            want=Whole(kept=True)),
    framing("a length that Connection names", "technique: hop-by-hop abuse",
            b"Connection: content-length", LEN, want=Whole(has={"Content-Length": "3"}, kept=True)),
    framing("a coding that Connection names", "technique: hop-by-hop abuse",
            b"Connection: transfer-encoding", CODED, body=CHUNKS,
            want=Whole(has={"Transfer-Encoding": "chunked"}, kept=True)),
    framing("fields of the connection", "RFC 9110, 7.6.1", b"Connection: x-mine, keep-alive",
            b"Keep-Alive: timeout=9", b"X-Mine: 1", b"Proxy-Connection: close", LEN,
            want=Whole(lacks=("x-mine", "keep-alive", "proxy-connection", "connection"), kept=True)),
    framing("close", "RFC 9112, 9.6", b"Connection: close", LEN,
            want=Whole(lacks=("connection",), kept=False)),
    framing("close beside keep-alive", "RFC 9112, 9.3", b"Connection: keep-alive, close", LEN,
            want=Whole(lacks=("connection",), kept=False)),
    framing("HTTP/1.0", "RFC 9112, 9.3", LEN, version=b"HTTP/1.0", want=Whole(kept=False)),
    framing("HTTP/1.0 that keeps the connection", "RFC 9112, 9.3", LEN, b"Connection: keep-alive",
            version=b"HTTP/1.0", want=Whole(lacks=("connection",), kept=True)),
    framing("a length and trailers announced", "RFC 9110, 6.6.2", LEN, b"Trailer: X",
            want=Whole(lacks=("trailer",), kept=True)),
    Answer("framing: until the end", "RFC 9112, 6.3", [answer(body=b"abc"), CLOSE], Whole(kept=False)),
    Answer("framing: until the end, in HTTP/1.0", "RFC 9112, 6.3",
           [answer(body=b"abc", version=b"HTTP/1.0"), CLOSE], Whole(kept=False)),
    Answer("framing: until the end, whatever Connection says", "RFC 9112, 6.3",
           [answer(b"Connection: keep-alive", body=b"abc"), CLOSE], Whole(kept=False)),
    Answer("framing: an end before the length", "RFC 9112, 8",
           [answer(b"Content-Length: 9", body=b"abc"), CLOSE], Cut(b"abc")),
    Answer("framing: an end before anything", "RFC 9112, 9.3.1: asked for once more", [CLOSE], Error(),
           again=True),
    Answer("framing: an end between the chunks", "RFC 9112, 8",
           [answer(CODED, body=b"3\r\nabc\r\n"), CLOSE], Cut(b"abc")),
    Answer("framing: an end before the last CRLF", "RFC 9112, 8",
           [answer(CODED, body=b"3\r\nabc\r\n0\r\n"), CLOSE], Cut(b"abc")),

    # ------------------------------------------------------------ chunks
    chunks("a bad size behind a good one", "RFC 9112, 7.1", b"3\r\nabc\r\nzz\r\n"),
    chunks("a size that overflows", "RFC 9112, 7.1", b"3\r\nabc\r\n10000000000000003\r\nabc"),
    chunks("a negative size", "RFC 9112, 7.1", b"3\r\nabc\r\n-3\r\nabc\r\n"),
    chunks("a size with 0x", "RFC 9112, 7.1", b"3\r\nabc\r\n0x3\r\nabc\r\n"),
    chunks("a size with a space", "RFC 9112, 7.1", b"3\r\nabc\r\n3 \r\nabc\r\n"),
    chunks("a size that ends in a bare LF", "RFC 9112, 7.1", b"3\r\nabc\r\n3\nabc\r\n"),
    chunks("data that ends in other bytes", "RFC 9112, 7.1", b"3\r\nabcXX0\r\n\r\n"),
    chunks("data that ends in a bare LF", "RFC 9112, 7.1", b"3\r\nabc\n0\r\n\r\n"),
    chunks("an extension too long", "RFC 9112, 7.1.1", b"3\r\nabc\r\n3;" + b"a" * 300 + b"\r\nabc\r\n"),
    chunks("a malformed trailer", "RFC 9112, 7.1.2", b"3\r\nabc\r\n0\r\nnothing\r\n\r\n"),
    chunks("trailers too long", "RFC 9112, 7.1.2", b"3\r\nabc\r\n0\r\nA: " + b"b" * 9000 + b"\r\n\r\n"),
    chunks("an answer for a trailer", "technique: response splitting", b"3\r\nabc\r\n0\r\n" + POISON),
    chunks("extensions", "RFC 9112, 7.1.1", b'3;a="b"\r\nabc\r\n0;c\r\n\r\n', Whole(kept=True)),
    chunks("trailers that frame", "RFC 9110, 6.5.1",
           b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
           Whole(lacks=("content-length",), kept=True)),
    chunks("a trailer that sets a cookie", "RFC 9110, 6.5.1",
           b"3\r\nabc\r\n0\r\nSet-Cookie: a=b\r\n\r\n", Whole(lacks=("set-cookie",), kept=True)),

    # ------------------------------------------------------------ answers without a body
    bodiless("204", "RFC 9112, 6.3", [answer(status=b"204 No Content")], 204, kept=True),
    bodiless("204 with a length of 0", "RFC 9110, 8.6",
             [answer(b"Content-Length: 0", status=b"204 No Content")], 204, lacks=("content-length",)),
    bodiless("204 with a body", "RFC 9112, 6.3: technique: queue poisoning",
             [answer(LEN, status=b"204 No Content", body=b"abc")], 204, lacks=("content-length",),
             kept=False),
    bodiless("204 with a body that comes later", "technique: queue poisoning",
             [answer(b"Content-Length: 99", status=b"204 No Content"), READ, POISON], 204,
             lacks=("content-length",), kept=False),
    bodiless("204 with a chunked body", "RFC 9112, 6.1: technique: queue poisoning",
             [answer(CODED, status=b"204 No Content", body=CHUNKS)], 204, lacks=("transfer-encoding",),
             kept=False),
    bodiless("304 with a length", "RFC 9110, 8.6: of what there would be",
             [answer(LEN, status=b"304 Not Modified")], 304, has={"Content-Length": "3"}, kept=False),
    bodiless("304 with a body that comes later", "technique: queue poisoning",
             [answer(LEN, status=b"304 Not Modified"), READ, POISON], 304, kept=False),
    bodiless("HEAD with a length", "RFC 9110, 8.6: of what there would be", [answer(LEN)],
             method="HEAD", has={"Content-Length": "3"}, kept=False),
    bodiless("HEAD with a body", "RFC 9112, 6.3: technique: queue poisoning", [WHOLE], method="HEAD",
             kept=False),
    bodiless("HEAD with a body that comes later", "technique: queue poisoning",
             [answer(b"Content-Length: 99"), READ, POISON], method="HEAD", kept=False),
    bodiless("HEAD with chunks", "RFC 9112, 6.1", [answer(CODED, body=CHUNKS)], method="HEAD", kept=False),
    bodiless("a length of 0", "RFC 9112, 6.3", [answer(b"Content-Length: 0")], kept=True),

    # ------------------------------------------------------------ behind the end
    surplus("an answer", "technique: response splitting", [WHOLE + POISON]),
    surplus("an answer that comes later", "technique: response splitting", [WHOLE, READ, POISON]),
    surplus("an answer behind chunks", "technique: response splitting",
            [answer(CODED, body=CHUNKS) + POISON]),
    surplus("a line end", "RFC 9112, 2.2", [WHOLE + b"\r\n"]),
    surplus("a line end that comes later", "RFC 9112, 2.2", [WHOLE, READ, b"\r\n"]),
    surplus("bytes longer than the length", "RFC 9112, 6.3", [WHOLE + b"def"]),
    surplus("an answer behind nothing", "technique: response splitting",
            [answer(b"Content-Length: 0") + POISON], Whole(b"", kept=False)),
    surplus("an answer behind a 204", "technique: response splitting",
            [answer(status=b"204 No Content") + POISON], Whole(b"", 204, kept=False)),
    surplus("the connection's end", "RFC 9112, 9.6", [WHOLE, READ, CLOSE]),

    # ------------------------------------------------------------ interim answers
    Answer("interim: 100 unasked", "RFC 9110, 15.2", [answer(status=b"100 Continue") + WHOLE],
           Whole(kept=True)),
    Answer("interim: hints", "RFC 8297", [answer(b"Link: </x>", status=b"103 Early Hints") + WHOLE],
           Whole(lacks=("link",), kept=True)),
    Answer("interim: an unknown one", "RFC 9110, 15.2", [answer(status=b"199 Odd") + WHOLE],
           Whole(kept=True)),
    Answer("interim: a flood", "RFC 9110, 15.2",
           [answer(status=b"102 Processing") * 3000 + WHOLE], Whole(kept=True)),
    Answer("interim: with a length", "RFC 9112, 6.3: it has no body",
           [answer(LEN, status=b"100 Continue", body=b"abc") + WHOLE], Error()),
    Answer("interim: and nothing more", "RFC 9110, 15.2", [answer(status=b"100 Continue"), CLOSE], Error()),
    Answer("interim: in HTTP/1.0's words", "RFC 9110, 15.2",
           [answer(status=b"100 Continue", version=b"HTTP/1.0") + WHOLE], Whole(kept=True)),

    # ------------------------------------------------------------ 101
    Answer("switch: unasked", "RFC 9110, 15.2.2",
           [answer(b"Connection: Upgrade", b"Upgrade: x", status=b"101 S"), CLOSE], Error()),
    Answer("switch: without a protocol", "RFC 9110, 15.2.2: must have one", [answer(status=b"101 S"), CLOSE],
           Error(), fields=("Connection: Upgrade", "Upgrade: websocket")),
    Answer("switch: that Connection does not name", "RFC 9110, 7.8",
           [answer(b"Upgrade: websocket", status=b"101 S"), CLOSE], Error(),
           fields=("Connection: Upgrade", "Upgrade: websocket")),
    Answer("switch: to another protocol", "RFC 9110, 7.8: to one that was asked for",
           [answer(b"Connection: Upgrade", b"Upgrade: h2c", status=b"101 S"), CLOSE], Error(),
           fields=("Connection: Upgrade", "Upgrade: websocket")),
    Answer("switch: in HTTP/1.0", "RFC 9110, 7.8",
           [answer(b"Connection: Upgrade", b"Upgrade: websocket", status=b"101 S", version=b"HTTP/1.0"),
            CLOSE], Error(), fields=("Connection: Upgrade", "Upgrade: websocket")),
    Answer("switch: of a request that did not get it asked", "technique: h2c smuggling",
           [answer(b"Connection: Upgrade", b"Upgrade: h2c", status=b"101 S"), CLOSE], Error(),
           fields=("Connection: Upgrade", "Upgrade: h2c")),
    Answer("switch: refused", "technique: websocket smuggling",
           [answer(LEN, status=b"426 Upgrade Required", body=b"abc")], Whole(status=426, kept=True),
           fields=("Connection: Upgrade", "Upgrade: websocket")),

    # ------------------------------------------------------------ clients of HTTP/1.0
    Answer("to HTTP/1.0: chunks", "RFC 9112, 6.1: not to HTTP/1.0", [answer(CODED, body=CHUNKS)],
           Whole(lacks=("transfer-encoding",)), version="HTTP/1.0"),
    Answer("to HTTP/1.0: an interim answer", "RFC 9110, 15.2: not to HTTP/1.0",
           [answer(status=b"100 Continue") + WHOLE], Whole(), version="HTTP/1.0"),
    Answer("to HTTP/1.0: cut chunks", "RFC 9112, 8", [answer(CODED, body=b"3\r\nabc\r\n"), CLOSE],
           Cut(b"abc"), version="HTTP/1.0"),
]
