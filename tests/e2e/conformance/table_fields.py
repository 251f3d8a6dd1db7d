"""Names and values of fields, and how many there may be."""

from conformance_table import Passed, Refused, Request, get


def field(title, source, *fields, want=Refused(400)):
    return Request("field: " + title, source, get(*fields), want)


def value(text):
    return Passed(has={"a": text})


ROWS = [
    field("white space before the colon", "RFC 9112, 5.1", b"A : b"),
    field("a tab before the colon", "RFC 9112, 5.1", b"A\t: b"),
    field("an empty name", "RFC 9110, 5.1", b": b"),
    field("no colon", "RFC 9112, 5", b"nothing"),
    field("a space in the name", "RFC 9110, 5.1", b"A b: c"),
    field("a NUL in the name", "RFC 9110, 5.1", b"A\0b: c"),
    field("a control in the name", "RFC 9110, 5.1", b"A\x01: c"),
    field("a name that is not ASCII's", "RFC 9110, 5.1", "Ä: c".encode()),
    field("a no-break space at the name's end", "technique: white space of Unicode", b"A\xa0: c"),
    field("a quoted name", "RFC 9110, 5.1", b'"A": c'),
    field("a name in parentheses", "RFC 9110, 5.1", b"A(b): c"),
    field("a pseudo field of HTTP/2", "RFC 9113, 8.3", b":path: /upstream/m/evil"),
    field("a name with a slash", "RFC 9110, 5.1", b"A/b: c"),
    field("every byte of a token in the name", "RFC 9110, 5.6.2", b"!#$%&'*+-.^_`|~0Az: b",
          want=Passed(has={"!#$%&'*+-.^_`|~0az": "b"})),
    field("white space before the first name", "RFC 9112, 2.2", b" A: b"),
    field("a folded value", "RFC 9112, 5.2: obs-fold", b"A: b\r\n c"),
    field("a value folded with a tab", "RFC 9112, 5.2: obs-fold", b"A: b\r\n\tc"),
    field("a fold that hides a length", "technique: obs-fold", b"A: b\r\n Content-Length: 30"),
    field("a fold of white space alone", "RFC 9112, 5.2: obs-fold", b"A: b\r\n "),
    field("a NUL in the value", "RFC 9110, 5.5", b"A: b\0c"),
    field("a bare CR in the value", "RFC 9110, 5.5", b"A: b\rC: d"),
    field("a bare CR at the value's end", "RFC 9112, 2.2", b"A: b\r"),
    field("a bare LF in the value", "technique: header injection", b"A: b\nC: d"),
    field("a bare LF and a length", "technique: header injection", b"A: b\nContent-Length: 30"),
    field("a vertical tab in the value", "RFC 9110, 5.5", b"A: b\x0bc"),
    field("a form feed in the value", "RFC 9110, 5.5", b"A: b\x0cc"),
    field("an escape in the value", "RFC 9110, 5.5", b"A: \x1b[2J"),
    field("DEL in the value", "RFC 9110, 5.5", b"A: b\x7f"),
    field("a tab in the value", "RFC 9110, 5.5", b"A: b\tc", want=value("b\tc")),
    field("a next-line character of ISO 8859-1", "technique: line ends of Unicode",
          b"A: b\x85Content-Length: 5", want=value("b\x85Content-Length: 5")),
    field("a line separator of Unicode", "technique: line ends of Unicode",
          "A: b\u2028Content-Length: 5".encode(), want=Passed()),
    field("bytes that are not ASCII's", "RFC 9110, 5.5: obs-text", b"A: \xe4\xff", want=value("\xe4\xff")),
    field("bytes whose low half is CRLF", "technique: truncated code points",
          "A: b\u560d\u560aC: d".encode(), want=Passed(lacks=("c",))),
    field("CRLF in escapes", "technique: header injection", b"A: b%0d%0aC: d",
          want=Passed(has={"a": "b%0d%0aC: d"}, lacks=("c",))),
    field("an empty value", "RFC 9110, 5.5", b"A:", want=value("")),
    field("a value of white space", "RFC 9110, 5.5", b"A: \t ", want=value("")),
    field("white space around the value", "RFC 9110, 5.5", b"A:\t b \t", want=value("b")),
    field("no white space before the value", "RFC 9112, 5", b"A:b", want=value("b")),
    field("a colon in the value", "RFC 9112, 5", b"A: b: c", want=value("b: c")),
    field("a quote left open", "RFC 9110, 5.6.4", b'A: "b', want=value('"b')),
    field("a quote over the line's end", "RFC 9110, 5.6.4", b'A: "b\r\nC: d"',
          want=Passed(has={"a": '"b', "c": 'd"'})),
    field("the same name twice", "RFC 9110, 5.3", b"A: b", b"A: c", want=Passed()),
    field("Content-Type twice", "RFC 9110, 5.3: one alone", b"Content-Type: application/json",
          b"Content-Type: multipart/form-data; boundary=x"),
    field("as many as http.client takes, with wharf's own", "RFC 9110, 5.4",
          *(b"A%d: b" % i for i in range(97)), want=Passed(has={"a96": "b"})),
    field("too many", "RFC 6585, 5", *(b"A%d: b" % i for i in range(100)), want=Refused(431)),
    field("too long", "RFC 6585, 5", b"A: " + b"b" * 40_000, want=Refused(431)),
    field("too long together", "RFC 6585, 5", *(b"A%d: " % i + b"b" * 1000 for i in range(40)),
          want=Refused(431)),
    field("a name too long", "RFC 6585, 5", b"A" * 40_000 + b": b", want=Refused(431)),
]
