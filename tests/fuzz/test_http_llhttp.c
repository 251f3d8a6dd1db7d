/* wharf's head parser against llhttp: head_compare.h says what must agree. The inputs are a table
 * of known ways to smuggle a message past a parser, the corpus of fuzz_http_head.c, and what chance
 * makes of both. Parsers with seeded mistakes show that it would be noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"

#include "head_bugs.h"
#include "head_compare.h"
#include "head_inputs.h"

#define MUTATIONS 400000
#define SEED 1

#define TEXT(s) (s), sizeof(s) - 1
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
    bool response, accepted; /* accepted: by wharf */
    const char *text;
    size_t n;
} cases[] = {
    /* Two lengths, or a length that another parser may read otherwise (RFC 9112, section 6.3). */
    {false, true, TEXT(POST "Content-Length: 5\r\n\r\n")},
    {false, true, TEXT(POST "content-length:005 \r\n\r\n")},
    {false, true, TEXT(POST "Content-Length: 0\r\n\r\n")},
    {false, true, TEXT(POST "Content-Length: 18446744073\r\n\r\n")},
    {false, true, TEXT(POST "Content-Length:\t5\t\r\n\r\n")},
    {false, true, TEXT(POST "Content-Length-X: 7\r\nContent-Length: 5\r\n\r\n")},
    {false, true, TEXT(POST "X-Content-Length: 7\r\n\r\n")},
    {false, true, TEXT(POST "Content_Length: 5\r\n\r\n")},
    {false, true, TEXT(POST "Connection: Content-Length\r\nContent-Length: 5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 5, 5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 5 6\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: +5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: -5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 0x5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 5e1\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: \"5\"\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 5;a\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: \v5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: \xc2\xb2\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length:\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 18446744073709551621\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length : 5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length\t: 5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length:\r\n 5\r\n\r\n")},
    {false, false, TEXT(POST "Content Length: 5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length\0: 5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length\r\n\r\n")},
    /* A length and an encoding. */
    {false, false, TEXT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n")},
    {false, false, TEXT(POST "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n")},
    {false, true, TEXT(POST "Content-Length: 5\r\nTransfer-Encodin: chunked\r\n\r\n")},
    {false, true, TEXT(POST "Content-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n")},
    {true, false, TEXT(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")},
    /* Encodings that one parser knows and another does not. */
    {false, true, TEXT(POST "Transfer-Encoding: chunked\r\n\r\n")},
    {false, true, TEXT(POST "tRANSFER-eNCODING:cHUNKED \r\n\r\n")},
    {false, true, TEXT(POST "Transfer-Encoding:\tchunked\t\r\n\r\n")},
    {false, true, TEXT(POST "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: identity\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked, identity\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked, chunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked,\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: ,chunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked;q=1\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: \"chunked\"\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: xchunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunkedx\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: \vchunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked\v\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chun\0ked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked\x80\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding:\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding:\r\n chunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n")},
    {false, false, TEXT(POST " Transfer-Encoding: chunked\r\n\r\n")},
    {false, false, TEXT(POST "Transfer-Encoding\t: chunked\r\n\r\n")},
    {false, false, TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {true, false, TEXT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n")},
    {true, false, TEXT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")},
    /* Ends of lines and of the head (RFC 9112, section 2.2). */
    {false, true, TEXT("\r\n\r\n" GET "\r\n")},
    {false, true, TEXT(GET "\r\nGET /next HTTP/1.1\r\n")},
    {false, false, TEXT("\n" GET "\r\n")},
    {false, false, TEXT("\r" GET "\r\n")},
    {false, false, TEXT(GET "X: a\nTransfer-Encoding: chunked\r\n\r\n")},
    {false, false, TEXT(GET "X: a\rTransfer-Encoding: chunked\r\n\r\n")},
    {false, false, TEXT(GET "X: a\r\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {false, false, TEXT(GET "X: a\n\rTransfer-Encoding: chunked\r\n\r\n")},
    {false, false, TEXT(GET "X: a\r\n b\r\n\r\n")},
    {false, false, TEXT(GET "X: a\r\n\tb\r\n\r\n")},
    {false, false, TEXT(GET "X: a\r\n \r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1.1\nHost: a\n\n")},
    {false, false, TEXT("GET / HTTP/1.1\rHost: a\r\r\n\r\n")},
    {false, false, TEXT(GET "\n\r\n\r\n")},
    {false, false, TEXT(GET "\r\r\n\r\n")},
    {false, false, TEXT(GET "\rGET /next HTTP/1.1\r\nHost: a\r\n\r\n")},
    /* The request line. */
    {false, true, TEXT("get /a;b=c?d=e&f=%00\"<>^`{|}\\ HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, true, TEXT("GET //b/../c HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, true, TEXT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, true, TEXT("PRI / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, true, TEXT("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET /\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET / http/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1.10\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/01.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1,1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/2.0\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/0.9\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET / RTSP/1.0\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n")},
    {false, false, TEXT("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")},
    {false, false, TEXT("GET(/) / HTTP/1.1\r\nHost: a\r\n\r\n")},
    /* Hosts that send a request elsewhere (RFC 9112, section 3.2). */
    {false, true, TEXT("GET / HTTP/1.0\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1.1\r\n\r\n")},
    {false, false, TEXT(GET "Host: a\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")},
    {false, false, TEXT("GET / HTTP/1.1\r\nHost:\r\n\r\n")},
    /* Names and values. */
    {false, true, TEXT(GET "!#$%&'*+-.^_`|~1aZ: \x80\xff\t \"(),/:;<=>?@[\\]{}\r\n\r\n")},
    {false, true, TEXT(GET "X:\r\nY: \t\r\nZ:z\r\n\r\n")},
    {false, false, TEXT(GET ": x\r\n\r\n")},
    {false, false, TEXT(GET "X\r\n\r\n")},
    {false, false, TEXT(GET "X\x80: a\r\n\r\n")},
    {false, false, TEXT(GET "X(a): a\r\n\r\n")},
    {false, false, TEXT(GET "X: a\0b\r\n\r\n")},
    {false, false, TEXT(GET "X: a\x7f\r\n\r\n")},
    {false, false, TEXT(GET "X: \x01\r\n\r\n")},
    /* What becomes of the connection. */
    {false, true, TEXT(GET "Connection: keep-alive, x, Close\r\n\r\n")},
    {false, true, TEXT(GET "Connection: keep-alive\r\nConnection: close\r\n\r\n")},
    {false, true, TEXT(GET "Connection: closed, xclose, close-x, \"close\"\r\n\r\n")},
    {false, true, TEXT(GET "Connection: ,, ,\r\n\r\n")},
    {false, true, TEXT(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")},
    {false, true, TEXT(GET "Connection: Upgrade\r\nUpgrade:\r\n\r\n")},
    {false, true, TEXT(GET "Connection: xupgrade, upgradex\r\nUpgrade: a\r\n\r\n")},
    {false, true, TEXT(GET "Upgrade: websocket\r\n\r\n")},
    {false, true, TEXT(POST "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n")},
    {false, true,
     TEXT(POST "Connection: upgrade\r\nUpgrade: a\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {false, true, TEXT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")},
    {false, true, TEXT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")},
    /* Responses. */
    {true, true, TEXT(OK "\r\n")},
    {true, true, TEXT("HTTP/1.1 200\r\nContent-Length: 7\r\n\r\n")},
    {true, true, TEXT("HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n")},
    {true, true, TEXT("HTTP/1.1 599 \t\x80 x\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {true, true, TEXT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 9\r\n\r\n")},
    {true, true, TEXT("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")},
    {true, true, TEXT("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {true, true, TEXT("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n")},
    {true, true, TEXT("HTTP/1.1 101 a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")},
    {true, true, TEXT(OK "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\n")},
    {true, false, TEXT(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n")},
    {true, false, TEXT(OK "Content-Length: +5\r\n\r\n")},
    {true, false, TEXT(OK "X: a\r\n b\r\n\r\n")},
    {true, false, TEXT(OK "X: a\nContent-Length: 5\r\n\r\n")},
    {true, false, TEXT("\r\n" OK "\r\n")},
    {true, false, TEXT("HTTP/1.1  200 OK\r\n\r\n")},
    {true, false, TEXT("HTTP/1.1 20 OK\r\n\r\n")},
    {true, false, TEXT("HTTP/1.1 2000 OK\r\n\r\n")},
    {true, false, TEXT("HTTP/1.1 +20 OK\r\n\r\n")},
    {true, false, TEXT("HTTP/1.1 200\tOK\r\n\r\n")},
    {true, false, TEXT("HTTP/1.1 200 O\rK\r\n\r\n")},
    {true, false, TEXT("HTTP/1.1 200 O\0K\r\n\r\n")},
    {true, false, TEXT("HTTP/1.1 200 OK\n\n")},
    {true, false, TEXT("HTTP/2.0 200 OK\r\n\r\n")},
    {true, false, TEXT("HTTP/1.1\r\n\r\n")},
};

static struct head_pool pool; /* the cases, then the corpus */

/* Bytes as they can be read in a message. */
static const char *printable(const struct head_input *in)
{
    static char out[4 * HEAD_INPUT_BYTES_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < in->len; i++) {
        char c = in->data[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '\\';
        n += (size_t)(plain ? snprintf(out + n, sizeof(out) - n, "%c", c)
                            : snprintf(out + n, sizeof(out) - n, "\\x%02x", (unsigned char)c));
    }
    return out;
}

static int parse(enum http_kind kind, bool to_head, const char *data, size_t n, struct http_head *h)
{
    size_t scan = 0;
    return http_head_parse(kind, to_head, data, n, &scan, h);
}

static const struct head_bug no_bug = {"wharf's own", parse};

/* What the comparison says of an input that the parser accepts; NULL when it does not. */
static const struct head_comparison *compare(const struct head_bug *parser,
                                             const struct head_input *in)
{
    static struct http_head h;
    static struct head_comparison c;
    if (parser->parse(in->response ? HTTP_RESPONSE : HTTP_REQUEST, in->to_head, in->data, in->len,
                      &h) != 1)
        return NULL;
    head_compare(&h, in->to_head, in->data, &c);
    return &c;
}

/* Whether wharf accepts the input; fails where llhttp then reads it otherwise. */
static bool check_agrees(const struct head_input *in)
{
    const struct head_comparison *c = compare(&no_bug, in);
    if (c && c->agreement == HEAD_DIFFERS)
        fail_msg("%s%s: %s%s%s", printable(in), in->to_head ? " (to HEAD)" : "", c->why,
                 c->rows ? "; rewritten: " : "", c->why_rewritten);
    return c != NULL;
}

static void test_cases_are_accepted_or_not(void **state)
{
    static struct http_head h;
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        int result = parse(cases[i].response, false, cases[i].text, cases[i].n, &h);
        if ((result == 1) != cases[i].accepted || result == 0)
            fail_msg("%s: returned %d, expected %s", printable(&pool.inputs[i]), result,
                     cases[i].accepted ? "1" : "an error");
    }
}

static void test_cases_and_corpus_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < pool.count; i++) {
        struct head_input in = pool.inputs[i];
        (void)check_agrees(&in);
        in.to_head = !in.to_head;
        (void)check_agrees(&in);
    }
}

static void test_mutations_agree(void **state)
{
    static struct head_input in;
    struct rng r = {SEED};
    unsigned accepted = 0;
    (void)state;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        head_pool_mutate(&pool, &r, &in);
        accepted += check_agrees(&in);
    }
    print_message("# llhttp %s: %u of %u mutations accepted\n", peer_version(), accepted,
                  MUTATIONS);
    /* Otherwise chance shows nothing. */
    assert_true(accepted > MUTATIONS / 10);
}

/* A row that is not needed would hide a mistake. */
static void test_differences_are_there(void **state)
{
    struct head_input in = {0};
    (void)state;
    for (unsigned i = 0; i < HEAD_DIFFERENCES; i++) {
        const struct head_difference *d = &head_differences[i];
        in.response = d->kind == HTTP_RESPONSE;
        in.len = strlen(d->example);
        memcpy(in.data, d->example, in.len);
        const struct head_comparison *c = compare(&no_bug, &in);
        if (!c || c->agreement == HEAD_DIFFERS)
            fail_msg("%s: %s", d->what, c ? c->why : "refused");
        if (peer_version_major() == 8 && c->rows != 1U << i)
            fail_msg("%s: by rows 0x%x, expected 0x%x", d->what, c->rows, 1U << i);
    }
}

/* How many inputs it takes until the bug is noticed, or 0. Only mutations are tried: the cases were
 * written with these bugs in mind. */
static unsigned bug_shows(const struct head_bug *bug)
{
    static struct head_input in;
    struct rng r = {SEED};
    for (unsigned i = 1; i <= MUTATIONS; i++) {
        head_pool_mutate(&pool, &r, &in);
        const struct head_comparison *c = compare(bug, &in);
        if (!c || c->agreement != HEAD_DIFFERS)
            continue;
        print_message("# %s: after %u: %s\n", bug->what, i, c->why);
        return i;
    }
    return 0;
}

static void test_seeded_bugs_are_noticed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HEAD_BUGS; i++)
        if (bug_shows(&head_bugs[i]) == 0)
            fail_msg("not noticed: %s", head_bugs[i].what);
}

static int fill_pool(void **state)
{
    char folder[4096];
    (void)state;
    for (size_t i = 0; i < countof(cases); i++)
        head_pool_add(&pool, cases[i].response, cases[i].text, cases[i].n);
    const char *root = getenv("WHARF_SOURCE_ROOT");
    snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/http_head", root ? root : ".");
    return head_pool_add_folder(&pool, folder) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_are_accepted_or_not),
        cmocka_unit_test(test_cases_and_corpus_agree),
        cmocka_unit_test(test_mutations_agree),
        cmocka_unit_test(test_differences_are_there),
        cmocka_unit_test(test_seeded_bugs_are_noticed),
    };
    /* Not with cmocka's skip(), whose TAP (1.1.5) says "not ok". */
    if (peer_missing()) {
        printf("1..1\nok 1 - against llhttp # SKIP %s\n", peer_missing());
        return 0;
    }
    return cmocka_run_group_tests(tests, fill_pool, NULL);
}
