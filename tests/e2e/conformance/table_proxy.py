"""What is between client and wharf alone: Connection, Upgrade, Expect, keys, wharf's own fields."""

from conformance_table import Answered, Passed, Refused, Request, get, post, posted

JSON = b"Content-Type: application/json"
CHAT = b"/v1/chat/completions"


def connection(title, source, *fields, want):
    return Request("connection: " + title, source, get(*fields), want)


def upgrade(title, source, *fields, want=Passed(lacks=("upgrade", "connection")), **keys):
    return Request("upgrade: " + title, source, get(b"Connection: Upgrade", *fields, **keys), want)


def expect(title, source, *fields, want=posted(), body=b"abc", **keys):
    return Request("expect: " + title, source, post(*fields, body=body, **keys), want)


def keyed(title, source, *fields, want):
    return Request("keys: " + title, source, get(*fields), want, keys=True)


KEY = b"x-api-key: wharfs-own-key"
LENGTH = b"Content-Length: 3"

ROWS = [
    # ------------------------------------------------------------ Connection
    connection("close", "RFC 9112, 9.6", b"Connection: close", want=Passed(ends=True)),
    connection("close in a list", "RFC 9112, 9.6", b"Connection: a ,\tCLOSE,", want=Passed(ends=True)),
    connection("close beside keep-alive", "RFC 9112, 9.3", b"Connection: close, keep-alive",
               want=Passed(ends=True)),
    connection("close in a second field", "RFC 9110, 5.3", b"Connection: keep-alive",
               b"Connection: close", want=Passed(ends=True)),
    connection("closed, which is not close", "RFC 9110, 7.6.1", b"Connection: closed",
               want=Passed(lacks=("connection",))),
    connection("keep-alive", "RFC 9110, 7.6.1", b"Connection: keep-alive", b"Keep-Alive: timeout=5",
               want=Passed(lacks=("connection", "keep-alive"))),
    connection("a field of its own", "RFC 9110, 7.6.1", b"Connection: X-Mine", b"X-Mine: 1",
               want=Passed(lacks=("x-mine",))),
    connection("the host", "technique: hop-by-hop abuse", b"Connection: host", want=Passed(has={"host": "x"})),
    connection("every field that frames", "technique: hop-by-hop abuse",
               b"Connection: content-length, transfer-encoding, host", want=Passed(has={"host": "x"})),
    connection("Authorization", "technique: hop-by-hop abuse", b"Connection: authorization",
               b"Authorization: Bearer k", want=Passed(lacks=("authorization",))),
    connection("itself", "RFC 9110, 7.6.1", b"Connection: connection", want=Passed(lacks=("connection",))),
    connection("no token", "RFC 9110, 7.6.1", b"Connection: ,, \x22x\x22, a b",
               want=Passed(lacks=("connection",))),
    connection("Proxy-Connection", "RFC 9112, appendix C.2.2", b"Proxy-Connection: close",
               want=Passed(lacks=("proxy-connection",))),
    connection("Proxy-Authorization", "RFC 9110, 11.7.2", b"Proxy-Authorization: Basic eDp5",
               want=Passed(lacks=("proxy-authorization",))),
    connection("TE", "RFC 9110, 10.1.4", b"Connection: TE", b"TE: trailers",
               want=Passed(lacks=("te", "connection"))),
    Request("connection: the length", "technique: hop-by-hop abuse",
            post(b"Connection: content-length", LENGTH, body=b"abc"), posted(has={"content-length": "3"})),
    Request("connection: the coding", "technique: hop-by-hop abuse",
            post(b"Connection: transfer-encoding", b"Transfer-Encoding: chunked",
                 body=b"3\r\nabc\r\n0\r\n\r\n"), posted()),

    # ------------------------------------------------------------ Upgrade
    upgrade("to HTTP/2 in plain text", "technique: h2c smuggling", b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    upgrade("to HTTP/2 among others", "technique: h2c smuggling", b"Upgrade: websocket, h2c"),
    upgrade("to HTTP/2 in another case", "technique: h2c smuggling", b"Upgrade: H2C"),
    upgrade("to HTTP/2 by its name", "RFC 9110, 7.8", b"Upgrade: HTTP/2.0"),
    upgrade("to HTTP/2 in a second field", "technique: h2c smuggling", b"Upgrade: websocket",
            b"Upgrade: h2c"),
    upgrade("with a body", "RFC 9110, 7.8: it may be ignored", b"Upgrade: websocket", LENGTH, body=b"abc",
            want=Passed(body=b"abc", lacks=("upgrade", "connection"))),
    upgrade("with a chunked body", "RFC 9110, 7.8", b"Upgrade: websocket", b"Transfer-Encoding: chunked",
            body=b"3\r\nabc\r\n0\r\n\r\n", want=Passed(body=b"abc", lacks=("upgrade", "connection"))),
    upgrade("in HTTP/1.0", "RFC 9110, 7.8: ignored", b"Connection: keep-alive", b"Upgrade: websocket",
            version=b"HTTP/1.0"),
    upgrade("without a protocol", "RFC 9110, 7.8"),
    upgrade("to nothing", "RFC 9110, 7.8", b"Upgrade:"),
    upgrade("to a websocket without a key, refused upstream", "technique: websocket smuggling",
            b"Upgrade: websocket", want=Passed(has={"upgrade": "websocket", "connection": "Upgrade"})),
    upgrade("to a websocket of a wrong version, refused upstream", "technique: websocket smuggling",
            b"Upgrade: websocket", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            b"Sec-WebSocket-Version: 777",
            want=Passed(has={"upgrade": "websocket", "sec-websocket-version": "777"})),
    Request("upgrade: that Connection does not name", "RFC 9110, 7.8", get(b"Upgrade: websocket"),
            Passed(lacks=("upgrade",))),

    # ------------------------------------------------------------ Expect
    expect("100-continue, and the body at once", "RFC 9110, 10.1.1", b"Expect: 100-continue", LENGTH,
           want=posted(lacks=("expect",))),
    expect("in another case", "RFC 9110, 10.1.1", b"Expect: 100-CONTINUE", LENGTH,
           want=posted(lacks=("expect",))),
    expect("100-continue without a body", "technique: 0.CL by Expect", b"Expect: 100-continue", body=b"",
           want=posted(b"", lacks=("expect",))),
    expect("100-continue with a length of 0", "technique: 0.CL by Expect", b"Expect: 100-continue",
           b"Content-Length: 0", body=b"", want=posted(b"", lacks=("expect",))),
    expect("100-continue in HTTP/1.0", "RFC 9110, 10.1.1: ignored", b"Expect: 100-continue", LENGTH,
           b"Connection: keep-alive", version=b"HTTP/1.0", want=posted(lacks=("expect",))),
    expect("an unknown one", "RFC 9110, 10.1.1", b"Expect: wonders", LENGTH,
           want=Answered(417, ends=True)),
    expect("an unknown one without a body", "RFC 9110, 10.1.1", b"Expect: wonders", body=b"",
           want=Answered(417)),
    expect("text before 100-continue", "technique: obfuscated Expect", b"Expect: y 100-continue", LENGTH,
           want=Answered(417, ends=True)),
    expect("a list", "RFC 9110, 10.1.1", b"Expect: 100-continue, 100-continue", LENGTH,
           want=Answered(417, ends=True)),
    expect("empty", "RFC 9110, 10.1.1", b"Expect:", LENGTH, want=posted(lacks=("expect",))),

    # ------------------------------------------------------------ what bodies are
    Request("content: encoded", "RFC 9110, 8.4: 415",
            post(JSON, b"Content-Encoding: gzip", LENGTH, target=CHAT, body=b"abc"),
            Answered(415, ends=True)),
    Request("content: encoded in a second field", "RFC 9110, 5.3",
            post(JSON, b"Content-Encoding: identity", b"Content-Encoding: gzip", LENGTH, target=CHAT,
                 body=b"abc"), Answered(415, ends=True)),
    Request("content: of two types", "RFC 9110, 5.3: one alone",
            post(JSON, b"Content-Type: text/plain", LENGTH, target=CHAT, body=b"abc"), Refused(400)),
    Request("content: two models", "technique: first or last of a name",
            post(JSON, b"Content-Length: 23", target=CHAT, body=b'{"model":"m","model":1}'),
            Answered(400)),
    Request("content: a model, and another in the query", "technique: first or last of a name",
            post(JSON, b"Content-Length: 13", target=CHAT + b"?model=evil", body=b'{"model":"m"}'),
            posted(b'{"model":"m"}', target="/v1/chat/completions?model=evil")),

    # ------------------------------------------------------------ who asks
    Request("forwarded: a name with underscores", "technique: names as variables of CGI and WSGI",
            get(b"X_Forwarded_For: 10.0.0.1"), Passed(lacks=("x_forwarded_for",))),
    Request("forwarded: wharf's own fields", "EDGE: they are for wharf alone",
            get(b"X-Wharf-Class: background"), Passed(lacks=("x-wharf-class",))),
    keyed("none", "RFC 9110, 15.5.2", want=Answered(401)),
    keyed("a wrong one", "RFC 9110, 15.5.2", b"Authorization: Bearer wrong", want=Answered(401)),
    keyed("a wrong one, then the right one", "RFC 9110, 11.6.2: one alone",
          b"Authorization: Bearer wrong", b"Authorization: Bearer wharfs-own-key", want=Answered(401)),
    keyed("in a field with underscores", "technique: names as variables of CGI and WSGI",
          b"X_Api_Key: wharfs-own-key", want=Answered(401)),
    keyed("as a cookie", "RFC 6265, 8.2: no authority by itself", b"Cookie: x-api-key=wharfs-own-key",
          want=Answered(401)),
    keyed("in Authorization", "EDGE: clients' keys never go upstream",
          b"Authorization: Bearer wharfs-own-key", want=Passed(lacks=("authorization",))),
    keyed("in x-api-key", "EDGE: clients' keys never go upstream", KEY, want=Passed(lacks=("x-api-key",))),
    keyed("as a password", "EDGE: clients' keys never go upstream",
          b"Authorization: Basic eDp3aGFyZnMtb3duLWtleQ==", want=Passed(lacks=("authorization",))),
    keyed("the right one, and more of them", "EDGE: clients' keys never go upstream", KEY,
          b"Authorization: Bearer other", b"X-API-KEY: other", b"X_Api_Key: other",
          want=Passed(lacks=("x-api-key", "authorization", "x_api_key"))),
    keyed("named by Connection", "technique: hop-by-hop abuse", b"Connection: x-api-key", KEY,
          want=Passed(lacks=("x-api-key",))),
    keyed("a cookie goes through", "RFC 6265, 5.4", KEY, b"Cookie: a=b", want=Passed(has={"cookie": "a=b"})),
    Request("keys: a model's own, where wharf has none", "EDGE: it may be the model's",
            get(b"Authorization: Bearer models"), Passed(has={"authorization": "Bearer models"})),
]
