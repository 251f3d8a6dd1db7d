#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/pure/errors.h"
#include "http/head.h"

#include "http_input.h"

static struct http_head head;
static const char *data; /* what `head` was parsed from */

static const char *const framing_names[] = {
    [HTTP_BODY_NONE] = "none",
    [HTTP_BODY_LENGTH] = "length",
    [HTTP_BODY_CHUNKED] = "chunked",
    [HTTP_BODY_UNTIL_CLOSE] = "until-close",
};

/* One line that says everything the parser found, so that a table can hold what is expected. */
static const char *describe(const struct http_head *h)
{
    static char out[4096];
    size_t n = 0;
#define SPAN(s) (int)(s).len, data + (s).off
#define SAY(...) n += (size_t)snprintf(out + n, sizeof(out) - n, __VA_ARGS__)
    if (h->kind == HTTP_REQUEST)
        SAY("%.*s %.*s path=%.*s query=%.*s", SPAN(h->method), SPAN(h->target), SPAN(h->path),
            SPAN(h->query));
    else
        SAY("%d '%.*s'", h->status, SPAN(h->reason));
    SAY(" 1.%d %s", h->minor, framing_names[h->framing]);
    if (h->framing == HTTP_BODY_LENGTH)
        SAY("=%llu", (unsigned long long)h->content_length);
    SAY("%s%s%s%s", h->keep_alive ? " keep" : "", h->upgrade ? " upgrade" : "",
        h->expect_continue ? " expect" : "", h->expect_unknown ? " expect?" : "");
    for (uint32_t i = 0; i < h->field_count; i++)
        SAY(" |%.*s:%.*s", SPAN(h->fields[i].name), SPAN(h->fields[i].value));
#undef SAY
#undef SPAN
    return out;
}

static int parse_at(enum input_edge edge, enum http_kind kind, bool to_head, const char *text,
                    size_t n, size_t *scan)
{
    data = input_put(edge, text, n);
    return http_head_parse(kind, to_head, data, n, scan, &head);
}

static void expect_result(const char *name, const char *how, size_t at, int got, int want)
{
    if (got != want)
        fail_msg("%s, %s at %zu: returned %d, expected %d", name, how, at, got, want);
}

/* Whole, at both edges; cut once at every place; and byte by byte. The answer must be the same,
 * except that an error may show before the last byte is there. */
static void feed_every_way(const char *name, enum http_kind kind, bool to_head, const char *text,
                           size_t n, int want)
{
    size_t scan = 0;
    expect_result(name, "whole", n, parse_at(INPUT_AT_START, kind, to_head, text, n, &scan), want);
    for (size_t cut = 0; cut < n; cut++) {
        scan = 0;
        int got = parse_at(INPUT_AT_END, kind, to_head, text, cut, &scan);
        if (got != 0 && want > 0)
            fail_msg("%s: returned %d after %zu of %zu bytes", name, got, cut, n);
        if (got == 0)
            got = parse_at(INPUT_AT_END, kind, to_head, text, n, &scan);
        expect_result(name, "cut", cut, got, want);
    }
    int got = 0;
    scan = 0;
    for (size_t len = 0; len <= n && got == 0; len++)
        got = parse_at(INPUT_AT_END, kind, to_head, text, len, &scan);
    expect_result(name, "byte by byte", n, got, want);
}

static const struct {
    const char *text;
    size_t n;
    const char *want;
} good_requests[] = {
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET / path=/ query= 1.1 none keep |Host:a"},
    {TEXT("GET /p/q?a=b?c HTTP/1.1\r\nHost: a\r\n\r\n"),
     "GET /p/q?a=b?c path=/p/q query=a=b?c 1.1 none keep |Host:a"},
    {TEXT("GET /? HTTP/1.1\r\nHost: a\r\n\r\n"), "GET /? path=/ query= 1.1 none keep |Host:a"},
    {TEXT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
     "OPTIONS * path=* query= 1.1 none keep |Host:a"},
    {TEXT("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
     "GET / path=/ query= 1.1 none keep |Host:a"},
    {TEXT("GET http://a:80/p?q HTTP/1.1\r\nHost: A:80\r\n\r\n"),
     "GET http://a:80/p?q path=/p query=q 1.1 none keep |Host:A:80"},
    {TEXT("GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n"),
     "GET HTTPS://a path=/ query= 1.1 none keep |Host:a"},
    {TEXT("GET http://a?q/r HTTP/1.1\r\nHost: a\r\n\r\n"),
     "GET http://a?q/r path=/ query=q/r 1.1 none keep |Host:a"},
    {TEXT("GET / HTTP/1.0\r\n\r\n"), "GET / path=/ query= 1.0 none"},
    {TEXT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
     "GET / path=/ query= 1.0 none keep |Connection:Keep-Alive"},
    {TEXT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
     "GET / path=/ query= 1.0 none |Connection:keep-alive, close"},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: x,\t CLOSE ,y\r\n\r\n"),
     "GET / path=/ query= 1.1 none |Host:a |Connection:x,\t CLOSE ,y"},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed, ,\r\nConnection: , close\r\n\r\n"),
     "GET / path=/ query= 1.1 none |Host:a |Connection:closed, , |Connection:, close"},
    {TEXT("POST / HTTP/1.1\r\nhOsT:a:80\r\nCONTENT-LENGTH:\t 5 \t\r\n\r\n"),
     "POST / path=/ query= 1.1 length=5 keep |hOsT:a:80 |CONTENT-LENGTH:5"},
    {TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
     "POST / path=/ query= 1.1 length=0 keep |Host:a |Content-Length:0"},
    {TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n"),
     "POST / path=/ query= 1.1 length=999999999999999999 keep |Host:a "
     "|Content-Length:999999999999999999"},
    {TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"),
     "POST / path=/ query= 1.1 chunked keep |Host:a |Transfer-Encoding:Chunked"},
    {TEXT("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
     "POST / path=/ query= 1.1 length=1 keep expect |Host:a |Expect:100-Continue "
     "|Content-Length:1"},
    {TEXT("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"),
     "POST / path=/ query= 1.1 none keep expect? |Host:a |Expect:200-ok"},
    {TEXT("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"),
     "POST / path=/ query= 1.0 none |Expect:100-continue"},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
          "\r\n"),
     "GET / path=/ query= 1.1 none keep upgrade |Host:a |Upgrade:websocket "
     "|Connection:keep-alive, Upgrade"},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"),
     "GET / path=/ query= 1.1 none keep |Host:a |Upgrade:websocket"},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n"),
     "GET / path=/ query= 1.1 none keep |Host:a |Connection:upgrade"},
    {TEXT(
         "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nConnection: x\r\nUpgrade: y\r\n\r\n"),
     "GET / path=/ query= 1.1 none keep upgrade |Host:a |Connection:upgrade |Connection:x "
     "|Upgrade:y"},
    {TEXT("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: x\r\n\r\n"),
     "GET / path=/ query= 1.0 none keep |Connection:keep-alive |Connection:x"},
    {TEXT("GET / HTTP/1.0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
     "GET / path=/ query= 1.0 none |Upgrade:x |Connection:upgrade"},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Blank: \t \r\nX: a\tb \x80\xff~\r\n\r\n"),
     "GET / path=/ query= 1.1 none keep |Host:a |X-Empty: |X-Blank: |X:a\tb \x80\xff~"},
    {TEXT("M-!#$%&'*+.^_`|~9 /{}\"<>\\^`| HTTP/1.1\r\nHost: a\r\n\r\n"),
     "M-!#$%&'*+.^_`|~9 /{}\"<>\\^`| path=/{}\"<>\\^`| query= 1.1 none keep |Host:a"},
};

static void test_good_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good_requests); i++) {
        const char *text = good_requests[i].text;
        size_t n = good_requests[i].n, scan = 0;
        feed_every_way(good_requests[i].want, HTTP_REQUEST, false, text, n, 1);
        assert_string_equal(describe(&head), good_requests[i].want);
        assert_int_equal(head.bytes, n);
        /* What follows the head is not looked at. */
        char more[1024];
        int len = snprintf(more, sizeof(more), "%sGET\n\n", text);
        assert_int_equal(parse_at(INPUT_AT_END, HTTP_REQUEST, false, more, (size_t)len, &scan), 1);
        assert_int_equal(head.bytes, n);
    }
}

static const struct {
    const char *text;
    size_t n;
    bool to_head;
    const char *want;
} good_responses[] = {
    {TEXT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), false,
     "200 'OK' 1.1 length=3 keep |Content-Length:3"},
    {TEXT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), true,
     "200 'OK' 1.1 none |Content-Length:3"},
    {TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), false,
     "200 'OK' 1.1 chunked keep |Transfer-Encoding:chunked"},
    {TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), true,
     "200 'OK' 1.1 none |Transfer-Encoding:chunked"},
    {TEXT("HTTP/1.1 200 OK\r\n\r\n"), false, "200 'OK' 1.1 until-close"},
    {TEXT("HTTP/1.1 200 \r\n\r\n"), false, "200 '' 1.1 until-close"},
    {TEXT("HTTP/1.1 200\r\n\r\n"), false, "200 '' 1.1 until-close"},
    {TEXT("HTTP/1.1 404 Not\t\xc3\xa4 there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
     false, "404 'Not\t\xc3\xa4 there' 1.1 length=0 |Content-Length:0 |Connection:close"},
    {TEXT("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), false,
     "200 'OK' 1.0 length=0 |Content-Length:0"},
    {TEXT("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"), false,
     "200 'OK' 1.0 length=0 keep |Content-Length:0 |Connection:keep-alive"},
    {TEXT("HTTP/1.1 100 Continue\r\n\r\n"), false, "100 'Continue' 1.1 none keep"},
    {TEXT("HTTP/1.1 103 \r\nContent-Length: 9\r\n\r\n"), false,
     "103 '' 1.1 none |Content-Length:9"},
    {TEXT("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"), false,
     "101 'S' 1.1 none keep upgrade |Upgrade:websocket |Connection:upgrade"},
    {TEXT("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"), false,
     "204 'No' 1.1 none |Transfer-Encoding:chunked"},
    {TEXT("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n"), false,
     "204 'No' 1.1 none keep |Content-Length:0"},
    {TEXT("HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n"), false,
     "304 'No' 1.1 none |Content-Length:7"},
    {TEXT("HTTP/1.1 999 x\r\nContent-Length: 1\r\nHost: ?\r\nHost: ?\r\nExpect: x\r\n\r\n"), false,
     "999 'x' 1.1 length=1 keep |Content-Length:1 |Host:? |Host:? |Expect:x"},
};

static void test_good_responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good_responses); i++) {
        feed_every_way(good_responses[i].want, HTTP_RESPONSE, good_responses[i].to_head,
                       good_responses[i].text, good_responses[i].n, 1);
        assert_string_equal(describe(&head), good_responses[i].want);
        assert_int_equal(head.bytes, good_responses[i].n);
    }
}

#define REQ(fields) TEXT("POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n")
#define LINE(line) TEXT(line "\r\nHost: a\r\n\r\n")
#define HOST(value) TEXT("GET / HTTP/1.1\r\nHost:" value "\r\n\r\n")

struct bad_case {
    const char *name, *text;
    size_t n;
    int want;
};

static const struct bad_case bad_requests[] = {
    {"bare LF after the request line", TEXT("GET / HTTP/1.1\nHost: a\r\n\r\n"), -ERR_HTTP_INVALID},
    {"bare LF after a field", REQ("A: b\nC: d\r\n"), -ERR_HTTP_INVALID},
    {"bare LF as the empty line", TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n"), -ERR_HTTP_INVALID},
    {"LF first", TEXT("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -ERR_HTTP_INVALID},
    {"bare CR in a value", REQ("A: b\rc\r\n"), -ERR_HTTP_INVALID},
    {"CR CR LF", REQ("A: b\r\r\n"), -ERR_HTTP_INVALID},
    {"bare CR as a line end", REQ("A: b\rContent-Length: 5\r\n"), -ERR_HTTP_INVALID},
    {"bare CR in the request line", LINE("GET /\r HTTP/1.1"), -ERR_HTTP_INVALID},
    {"bare CR before the head", TEXT("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -ERR_HTTP_INVALID},
    {"NUL in a value", REQ("A: b\0c\r\n"), -ERR_HTTP_INVALID},
    {"NUL in a value after eight bytes", REQ("A: 1234567890\0c\r\n"), -ERR_HTTP_INVALID},
    {"NUL in a name", REQ("A\0b: c\r\n"), -ERR_HTTP_INVALID},
    {"NUL in the target", LINE("GET /\0 HTTP/1.1"), -ERR_HTTP_INVALID},
    {"DEL in a value", REQ("A: 12345678\x7f\r\n"), -ERR_HTTP_INVALID},
    {"control byte in a value", REQ("A: \x01\r\n"), -ERR_HTTP_INVALID},
    {"control byte after a tab",
     REQ("A: 1234\t5\x1f"
         "6789012\r\n"),
     -ERR_HTTP_INVALID},
    {"folded line", REQ("A: b\r\n c\r\n"), -ERR_HTTP_INVALID},
    {"folded line with a tab", REQ("A: b\r\n\tc: d\r\n"), -ERR_HTTP_INVALID},
    {"folded line of white space", REQ("A: b\r\n \r\n"), -ERR_HTTP_INVALID},
    {"space before the first field", TEXT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), -ERR_HTTP_INVALID},
    {"space before the colon", REQ("A : b\r\n"), -ERR_HTTP_INVALID},
    {"tab before the colon", REQ("Content-Length\t: 5\r\n"), -ERR_HTTP_INVALID},
    {"empty name", REQ(": b\r\n"), -ERR_HTTP_INVALID},
    {"no colon", REQ("A\r\n"), -ERR_HTTP_INVALID},
    {"name of other bytes", REQ("A(b): c\r\n"), -ERR_HTTP_INVALID},
    {"name beyond ASCII", REQ("\xc3\xa4: c\r\n"), -ERR_HTTP_INVALID},

    {"no Host", TEXT("GET / HTTP/1.1\r\nA: b\r\n\r\n"), -ERR_HTTP_INVALID},
    {"no fields at all", TEXT("GET / HTTP/1.1\r\n\r\n"), -ERR_HTTP_INVALID},
    {"two Hosts", REQ("Host: b\r\n"), -ERR_HTTP_INVALID},
    {"two equal Hosts", REQ("hOST: a\r\n"), -ERR_HTTP_INVALID},
    {"two Hosts in HTTP/1.0", TEXT("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
     -ERR_HTTP_INVALID},
    {"bad Host in HTTP/1.0", TEXT("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), -ERR_HTTP_INVALID},
    {"empty Host", HOST(""), -ERR_HTTP_INVALID},
    {"Host with a space", HOST("a b"), -ERR_HTTP_INVALID},
    {"Host with a list", HOST("a@b"), -ERR_HTTP_INVALID},
    {"Host with a path", HOST("a/b"), -ERR_HTTP_INVALID},
    {"Host of a port only", HOST(":80"), -ERR_HTTP_INVALID},
    {"Host with a named port", HOST("a:http"), -ERR_HTTP_INVALID},
    {"Host with two ports", HOST("a:1:2"), -ERR_HTTP_INVALID},
    {"Host with port 65536", HOST("a:65536"), -ERR_HTTP_INVALID},
    {"Host with six digits of port", HOST("a:000080"), -ERR_HTTP_INVALID},
    {"Host with a signed port", HOST("a:+80"), -ERR_HTTP_INVALID},
    {"Host beyond ASCII", HOST("\xc3\xa4"), -ERR_HTTP_INVALID},
    {"Host with a bad escape", HOST("a%4"), -ERR_HTTP_INVALID},
    {"Host with another bad escape", HOST("a%4gb"), -ERR_HTTP_INVALID},
    {"Host, address not closed", HOST("[::1"), -ERR_HTTP_INVALID},
    {"Host, empty address", HOST("[]"), -ERR_HTTP_INVALID},
    {"Host, no address in the brackets", HOST("[abc]"), -ERR_HTTP_INVALID},
    {"Host, bare bracket", HOST("["), -ERR_HTTP_INVALID},
    {"Host, bytes after the address", HOST("[::1]a"), -ERR_HTTP_INVALID},
    {"Host, other bytes in the address", HOST("[::g]"), -ERR_HTTP_INVALID},

    {"length and chunked", REQ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
     -ERR_HTTP_INVALID},
    {"chunked and length", REQ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
     -ERR_HTTP_INVALID},
    {"two lengths", REQ("Content-Length: 5\r\nContent-Length: 6\r\n"), -ERR_HTTP_INVALID},
    {"two equal lengths", REQ("Content-Length: 5\r\ncontent-length: 5\r\n"), -ERR_HTTP_INVALID},
    {"list of lengths", REQ("Content-Length: 5, 5\r\n"), -ERR_HTTP_INVALID},
    {"positive length", REQ("Content-Length: +5\r\n"), -ERR_HTTP_INVALID},
    {"negative length", REQ("Content-Length: -5\r\n"), -ERR_HTTP_INVALID},
    {"hexadecimal length", REQ("Content-Length: 0x5\r\n"), -ERR_HTTP_INVALID},
    {"length with a space", REQ("Content-Length: 1 0\r\n"), -ERR_HTTP_INVALID},
    {"empty length", REQ("Content-Length:\r\n"), -ERR_HTTP_INVALID},
    {"length of 2^64", REQ("Content-Length: 18446744073709551616\r\n"), -ERR_HTTP_INVALID},
    {"length of 2^64 - 1", REQ("Content-Length: 18446744073709551615\r\n"), -ERR_HTTP_INVALID},
    {"length of 19 digits", REQ("Content-Length: 0000000000000000005\r\n"), -ERR_HTTP_INVALID},

    {"encoding other than chunked", REQ("Transfer-Encoding: gzip\r\n"), -ERR_HTTP_INVALID},
    {"chunked after another", REQ("Transfer-Encoding: gzip, chunked\r\n"), -ERR_HTTP_INVALID},
    {"chunked before another", REQ("Transfer-Encoding: chunked, identity\r\n"), -ERR_HTTP_INVALID},
    {"chunked twice in a list", REQ("Transfer-Encoding: chunked, chunked\r\n"), -ERR_HTTP_INVALID},
    {"chunked twice", REQ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
     -ERR_HTTP_INVALID},
    {"chunked with bytes behind", REQ("Transfer-Encoding: chunkedx\r\n"), -ERR_HTTP_INVALID},
    {"chunked cut short", REQ("Transfer-Encoding: chunke\r\n"), -ERR_HTTP_INVALID},
    {"chunked, quoted", REQ("Transfer-Encoding: \"chunked\"\r\n"), -ERR_HTTP_INVALID},
    {"chunked, vertical tab",
     REQ("Transfer-Encoding: \x0b"
         "chunked\r\n"),
     -ERR_HTTP_INVALID},
    {"empty encoding", REQ("Transfer-Encoding:\r\n"), -ERR_HTTP_INVALID},
    {"chunked in HTTP/1.0", TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
     -ERR_HTTP_INVALID},

    {"HTTP/2.0", LINE("GET / HTTP/2.0"), -ERR_VERSION_INVALID},
    {"the preface of HTTP/2", TEXT("PRI * HTTP/2.0\r\n\r\n"), -ERR_VERSION_INVALID},
    {"HTTP/1.2", LINE("GET / HTTP/1.2"), -ERR_VERSION_INVALID},
    {"HTTP/0.9", LINE("GET / HTTP/0.9"), -ERR_VERSION_INVALID},
    {"no version", LINE("GET /"), -ERR_HTTP_INVALID},
    {"version in lower case", LINE("GET / http/1.1"), -ERR_HTTP_INVALID},
    {"version cut short", LINE("GET / HTTP/1"), -ERR_HTTP_INVALID},
    {"version without a point", LINE("GET / HTTP/11"), -ERR_HTTP_INVALID},
    {"version of two digits", LINE("GET / HTTP/1.10"), -ERR_HTTP_INVALID},
    {"space behind the version", LINE("GET / HTTP/1.1 "), -ERR_HTTP_INVALID},
    {"another protocol", LINE("GET / ICAP/1.1"), -ERR_HTTP_INVALID},

    {"no method", LINE(" / HTTP/1.1"), -ERR_HTTP_INVALID},
    {"method of other bytes", LINE("G@T / HTTP/1.1"), -ERR_HTTP_INVALID},
    {"two spaces behind the method", LINE("GET  / HTTP/1.1"), -ERR_HTTP_INVALID},
    {"tab behind the method", LINE("GET\t/ HTTP/1.1"), -ERR_HTTP_INVALID},
    {"two spaces behind the target", LINE("GET /  HTTP/1.1"), -ERR_HTTP_INVALID},
    {"space in the target", LINE("GET /a b HTTP/1.1"), -ERR_HTTP_INVALID},
    {"target without a slash", LINE("GET a HTTP/1.1"), -ERR_HTTP_INVALID},
    {"no target", LINE("GET HTTP/1.1"), -ERR_HTTP_INVALID},
    {"target beyond ASCII", LINE("GET /\xc3\xa4 HTTP/1.1"), -ERR_HTTP_INVALID},
    {"DEL in the target", LINE("GET /\x7f HTTP/1.1"), -ERR_HTTP_INVALID},
    {"fragment in the target", LINE("GET /a#b HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target of another host", LINE("GET http://b/ HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target of another port", LINE("GET http://a:80/ HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target with a user", LINE("GET http://u@a/ HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target, no host", LINE("GET http:/// HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target, nothing behind", LINE("GET http:// HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target, one slash", LINE("GET http:/a HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target, cut short", LINE("GET http: HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target, another scheme", LINE("GET ws://a/ HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target, no scheme", LINE("GET ://a/ HTTP/1.1"), -ERR_HTTP_INVALID},
    {"absolute target without Host", TEXT("GET http://a/ HTTP/1.0\r\n\r\n"), -ERR_HTTP_INVALID},
    {"CONNECT of an absolute target", LINE("CONNECT http://a/ HTTP/1.1"), -ERR_HTTP_INVALID},
    {"two types", REQ("Content-Type: a/b\r\ncontent-type: a/b\r\n"), -ERR_HTTP_INVALID},
    {"star of another method", LINE("GET * HTTP/1.1"), -ERR_HTTP_INVALID},
    {"more than a star", LINE("OPTIONS *a HTTP/1.1"), -ERR_HTTP_INVALID},
    {"CONNECT", LINE("CONNECT a:80 HTTP/1.1"), -ERR_HTTP_INVALID},
    {"CONNECT of a path", LINE("CONNECT /a HTTP/1.1"), -ERR_HTTP_INVALID},
    {"a TLS greeting", TEXT("\x16\x03\x01\x02"), -ERR_HTTP_INVALID},
    {"a response", TEXT("HTTP/1.1 200 OK\r\n\r\n"), -ERR_HTTP_INVALID},
};

static const struct bad_case bad_responses[] = {
    {"a request", TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), -ERR_HTTP_INVALID},
    {"empty line first", TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"HTTP/2.0", TEXT("HTTP/2.0 200 OK\r\n\r\n"), -ERR_VERSION_INVALID},
    {"ICY", TEXT("ICY 200 OK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"no space before the status", TEXT("HTTP/1.1200 OK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"two digits", TEXT("HTTP/1.1 20 OK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"two digits at the end", TEXT("HTTP/1.1 20\r\n\r\n"), -ERR_HTTP_INVALID},
    {"four digits", TEXT("HTTP/1.1 2000 OK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"letters", TEXT("HTTP/1.1 2x0 OK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"below 100", TEXT("HTTP/1.1 099 OK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"no status", TEXT("HTTP/1.1\r\n\r\n"), -ERR_HTTP_INVALID},
    {"two spaces", TEXT("HTTP/1.1  200 OK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"NUL in the reason", TEXT("HTTP/1.1 200 O\0K\r\n\r\n"), -ERR_HTTP_INVALID},
    {"CR in the reason", TEXT("HTTP/1.1 200 O\rK\r\n\r\n"), -ERR_HTTP_INVALID},
    {"LF behind the status", TEXT("HTTP/1.1 200 OK\nA: b\r\n\r\n"), -ERR_HTTP_INVALID},
    {"length and chunked",
     TEXT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     -ERR_HTTP_INVALID},
    {"length and chunked to HEAD",
     TEXT("HTTP/1.1 204 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     -ERR_HTTP_INVALID},
    {"two lengths", TEXT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
     -ERR_HTTP_INVALID},
    {"chunked in HTTP/1.0", TEXT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
     -ERR_HTTP_INVALID},
    {"gzip", TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), -ERR_HTTP_INVALID},
    {"folded line", TEXT("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), -ERR_HTTP_INVALID},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(bad_requests); i++)
        feed_every_way(bad_requests[i].name, HTTP_REQUEST, false, bad_requests[i].text,
                       bad_requests[i].n, bad_requests[i].want);
    for (size_t i = 0; i < countof(bad_responses); i++)
        feed_every_way(bad_responses[i].name, HTTP_RESPONSE, false, bad_responses[i].text,
                       bad_responses[i].n, bad_responses[i].want);
}

static void test_good_hosts(void **state)
{
    (void)state;
    static const char *const hosts[] = {"a",           "localhost", "a.b-c_d:8080",
                                        "127.0.0.1:1", "[::1]",     "[::1]:65535",
                                        "a:",          "a%4A%c3b",  "a!$&'()*+,;=~"};
    for (size_t i = 0; i < countof(hosts); i++) {
        char text[128];
        int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
        feed_every_way(hosts[i], HTTP_REQUEST, false, text, (size_t)n, 1);
    }
}

/* Every single byte (for the '@') in every kind of place, against the grammar written another way.
 */
static void test_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool token = c && (strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') ||
                           (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
        const struct {
            const char *name, *text;
            bool good;
        } places[] = {
            {"method", "A@T / HTTP/1.1\r\nHost: a\r\n\r\n", token},
            {"target", "GET /a@b HTTP/1.1\r\nHost: a\r\n\r\n", c > 0x20 && c < 0x7f && c != '#'},
            {"name", "GET / HTTP/1.1\r\nHost: a\r\nA@b: c\r\n\r\n", token || c == ':'},
            {"value", "GET / HTTP/1.1\r\nHost: a\r\nA: b@d\r\n\r\n",
             c == '\t' || (c >= 0x20 && c != 0x7f)},
            {"long value", "GET / HTTP/1.1\r\nHost: a\r\nA: bcdefghijk@defghijk\r\n\r\n",
             c == '\t' || (c >= 0x20 && c != 0x7f)},
        };
        for (size_t i = 0; i < countof(places); i++) {
            char text[128];
            int n = snprintf(text, sizeof(text), "%s", places[i].text);
            *strchr(text, '@') = (char)c;
            size_t scan = 0;
            int got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, text, (size_t)n, &scan);
            int want = places[i].good ? 1 : -ERR_HTTP_INVALID;
            if (got != want)
                fail_msg("byte %02x in a %s: returned %d, expected %d", c, places[i].name, got,
                         want);
        }
    }
}

/* A request with a filler field so that the head has exactly n bytes. */
static char *request_of(size_t n)
{
    static char text[2 * HTTP_HEAD_BYTES_MAX];
    static const char start[] = "GET / HTTP/1.1\r\nHost: a\r\nFill: ";
    memset(text, 'x', sizeof(text));
    memcpy(text, start, sizeof(start) - 1);
    memcpy(text + n - 4, "\r\n\r\n", 4);
    return text;
}

static void test_size_limit(void **state)
{
    (void)state;
    size_t n = HTTP_HEAD_BYTES_MAX, scan = 0;
    assert_int_equal(parse_at(INPUT_AT_END, HTTP_REQUEST, false, request_of(n), n, &scan), 1);
    assert_int_equal(head.bytes, n);
    scan = 0;
    int got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, request_of(n), n - 1, &scan);
    assert_int_equal(got, 0);
    assert_int_equal(scan, n - 1);
    scan = 0;
    got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, request_of(n + 1), n + 1, &scan);
    assert_int_equal(got, -ERR_HEAD_TOO_LARGE);
    scan = 0;
    got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, request_of(n + 1), n, &scan);
    assert_int_equal(got, -ERR_HEAD_TOO_LARGE);
    /* Empty lines count too. */
    static char lines[HTTP_HEAD_BYTES_MAX];
    for (size_t i = 0; i < sizeof(lines); i++)
        lines[i] = i % 2 ? '\n' : '\r';
    scan = 0;
    got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, lines, sizeof(lines), &scan);
    assert_int_equal(got, -ERR_HEAD_TOO_LARGE);
}

/* RFC 9112, section 3: 414, and not 431. */
static void test_long_lines(void **state)
{
    (void)state;
    static char text[HTTP_HEAD_BYTES_MAX];
    memset(text, 'a', sizeof(text));
    memcpy(text, "\r\nGET /", 7);
    size_t scan = 0;
    int got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, text, sizeof(text) - 1, &scan);
    assert_int_equal(got, 0);
    got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, text, sizeof(text), &scan);
    assert_int_equal(got, -ERR_TARGET_TOO_LONG);
    memcpy(text + sizeof(text) - 2, "\r\n", 2); /* it does end, and is long all the same */
    scan = 0;
    got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, text, sizeof(text), &scan);
    assert_int_equal(got, -ERR_HEAD_TOO_LARGE);
    memcpy(text, "HTTP/1.1 200 ", 13);
    text[sizeof(text) - 2] = text[sizeof(text) - 1] = 'a';
    scan = 0;
    got = parse_at(INPUT_AT_END, HTTP_RESPONSE, false, text, sizeof(text), &scan);
    assert_int_equal(got, -ERR_HEAD_TOO_LARGE);
}

static void test_upgrades(void **state)
{
    (void)state;
    static const char text[] =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a/1, B\r\n"
        "X: h2c\r\nUpgrade: ,c/d\r\n\r\n";
    static const struct {
        const char *name;
        bool want;
    } cases[] = {{"a", true},    {"A", true}, {"b", true},    {"c", true},  {"d", false},
                 {"a/1", false}, {"", true},  {"h2c", false}, {"ab", false}};
    size_t scan = 0;
    assert_int_equal(parse_at(INPUT_AT_END, HTTP_REQUEST, false, text, sizeof(text) - 1, &scan), 1);
    for (size_t i = 0; i < countof(cases); i++)
        if (http_head_upgrades_to(&head, data, cases[i].name, strlen(cases[i].name)) !=
            cases[i].want)
            fail_msg("'%s': not %d", cases[i].name, cases[i].want);
}

static void test_field_limit(void **state)
{
    (void)state;
    for (int fields = HTTP_FIELDS_MAX - 1; fields <= HTTP_FIELDS_MAX + 1; fields++) {
        char text[2048];
        size_t n = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n"), scan = 0;
        for (int i = 1; i < fields; i++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "F%d: %d\r\n", i, i);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n");
        int got = parse_at(INPUT_AT_END, HTTP_REQUEST, false, text, n, &scan);
        assert_int_equal(got, fields <= HTTP_FIELDS_MAX ? 1 : -ERR_HEAD_TOO_LARGE);
        if (got == 1)
            assert_int_equal(head.field_count, fields);
    }
}

static const struct {
    const char *name;
    enum http_field_name known;
    bool hop;
} names[] = {
    {"host", HTTP_FIELD_HOST, false},
    {"connection", HTTP_FIELD_CONNECTION, true},
    {"keep-alive", HTTP_FIELD_KEEP_ALIVE, true},
    {"proxy-connection", HTTP_FIELD_PROXY_CONNECTION, true},
    {"proxy-authenticate", HTTP_FIELD_PROXY_AUTHENTICATE, true},
    {"proxy-authorization", HTTP_FIELD_PROXY_AUTHORIZATION, true},
    {"te", HTTP_FIELD_TE, true},
    {"trailer", HTTP_FIELD_TRAILER, true},
    {"transfer-encoding", HTTP_FIELD_TRANSFER_ENCODING, true},
    {"upgrade", HTTP_FIELD_UPGRADE, true},
    {"content-length", HTTP_FIELD_CONTENT_LENGTH, false},
    {"content-type", HTTP_FIELD_CONTENT_TYPE, false},
    {"content-encoding", HTTP_FIELD_CONTENT_ENCODING, false},
    {"expect", HTTP_FIELD_EXPECT, false},
    {"authorization", HTTP_FIELD_AUTHORIZATION, false},
    {"x-api-key", HTTP_FIELD_X_API_KEY, false},
    {"accept", HTTP_FIELD_ACCEPT, false},
    {"origin", HTTP_FIELD_ORIGIN, false},
    {"x-forwarded-for", HTTP_FIELD_X_FORWARDED_FOR, false},
    {"last-event-id", HTTP_FIELD_LAST_EVENT_ID, false},
    /* As long and with the same letter as a known one, or nearly one. */
    {"hose", HTTP_FIELD_OTHER, false},
    {"x-api-kex", HTTP_FIELD_OTHER, false},
    {"x_api_key", HTTP_FIELD_TWIN, true},
    {"content_length", HTTP_FIELD_TWIN, true},
    {"x_forwarded-for", HTTP_FIELD_TWIN, true},
    {"x_api_kex", HTTP_FIELD_OTHER, false},
    {"content-lengthx", HTTP_FIELD_OTHER, false},
    {"content-lengt", HTTP_FIELD_OTHER, false},
    {"h", HTTP_FIELD_OTHER, false},
};

_Static_assert(countof(names) == HTTP_FIELD_TWIN - 1 + 9, "every known name, and nine others");

/* A response, in which these fields may have any value that suits all of them. */
static void test_known_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(names); i++) {
        char text[256];
        const char *name = names[i].name;
        const char *value = names[i].known == HTTP_FIELD_TRANSFER_ENCODING ? "chunked" : "1";
        for (int upper = 0; upper < 2; upper++) {
            size_t scan = 0;
            int n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s: %s\r\n\r\n", name, value);
            for (size_t k = 17; upper && k < 17 + strlen(name); k += 2)
                if (text[k] >= 'a' && text[k] <= 'z')
                    text[k] = (char)(text[k] - 'a' + 'A');
            int got = parse_at(INPUT_AT_END, HTTP_RESPONSE, false, text, (size_t)n, &scan);
            assert_int_equal(got, 1);
            if (head.fields[0].known != names[i].known)
                fail_msg("%s: known as %d, expected %d", name, head.fields[0].known,
                         names[i].known);
            if (http_head_is_hop(&head, data, &head.fields[0]) != names[i].hop)
                fail_msg("%s: hop-by-hop is not %d", name, names[i].hop);
            assert_ptr_equal(http_head_find_text(&head, data, name), &head.fields[0]);
            if (names[i].known != HTTP_FIELD_OTHER)
                assert_ptr_equal(http_head_find(&head, names[i].known), &head.fields[0]);
        }
    }
}

static void test_find(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one: 2\r\n"
                               "Connection: X-One, close\r\nconnection: ,Accept\r\nAccept: x\r\n"
                               "X-On: 3\r\n\r\n";
    size_t scan = 0;
    assert_int_equal(parse_at(INPUT_AT_END, HTTP_REQUEST, false, text, sizeof(text) - 1, &scan), 1);
    assert_ptr_equal(http_head_find_text(&head, data, "X-ONE"), &head.fields[1]);
    assert_null(http_head_find_text(&head, data, "x-two"));
    assert_null(http_head_find(&head, HTTP_FIELD_ORIGIN));
    static const bool hop[] = {false, true, true, true, true, true, false};
    for (uint32_t i = 0; i < head.field_count; i++)
        if (http_head_is_hop(&head, data, &head.fields[i]) != hop[i])
            fail_msg("field %u: hop-by-hop is not %d", i, hop[i]);
    assert_true(http_span_equal(data, head.method, "GET"));
    assert_false(http_span_equal(data, head.method, "get"));
    assert_false(http_span_equal(data, head.method, "GETS"));
    assert_true(http_span_equal_case(data, head.method, "gEt"));
    assert_false(http_span_equal_case(data, head.method, "ge"));
    assert_false(http_span_equal_case(data, head.path, "\x0f")); /* '/' without bit 5 */
    assert_ptr_equal(http_span_at(data, head.target), data + 4);
}

static void test_reason(void **state)
{
    (void)state;
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(507), "Insufficient Storage");
    assert_string_equal(http_reason(299), "Unknown");
    assert_string_equal(http_reason(-1), "Unknown");
    /* Every error that wharf answers with has a name. */
    for (int e = 0; e < ERR__COUNT; e++)
        if (strcmp(http_reason(error_info(e)->http_status), "Unknown") == 0)
            fail_msg("no reason for status %d", error_info(e)->http_status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_requests), cmocka_unit_test(test_good_responses),
        cmocka_unit_test(test_bad),           cmocka_unit_test(test_good_hosts),
        cmocka_unit_test(test_every_byte),    cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_long_lines),    cmocka_unit_test(test_upgrades),
        cmocka_unit_test(test_field_limit),   cmocka_unit_test(test_known_names),
        cmocka_unit_test(test_find),          cmocka_unit_test(test_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
