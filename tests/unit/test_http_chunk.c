#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/pure/errors.h"
#include "http/chunk.h"

#include "http_input.h"

#define CONTENT_MAX (64 * 1024)

struct outcome {
    int result;
    size_t used, len;
    char content[CONTENT_MAX];
};

/* Feeds one piece, call by call. */
static void feed(struct chunk_decoder *d, const char *data, size_t n, struct outcome *out)
{
    size_t at = 0;
    while (at < n && out->result == 0) {
        size_t used = 77, off = 77, len = 77;
        out->result = chunk_decode(d, data + at, n - at, &used, &off, &len);
        if (out->result < 0) {
            assert_true(used == 77 && off == 77 && len == 77);
            return;
        }
        assert_true(used > 0 && off <= used && len <= used && off + len <= used);
        assert_true(out->len + len <= CONTENT_MAX);
        memcpy(out->content + out->len, data + at + off, len);
        out->len += len;
        out->used += used;
        at += used;
    }
}

static void compare(const char *name, size_t cut, const struct outcome *got, int result,
                    const char *content, size_t len)
{
    if (got->result != result)
        fail_msg("%s, cut at %zu: returned %d, expected %d", name, cut, got->result, result);
    if (result >= 0 && (got->len != len || memcmp(got->content, content, len) != 0))
        fail_msg("%s, cut at %zu: content '%.*s', expected '%.*s'", name, cut, (int)got->len,
                 got->content, (int)len, content);
}

/* Whole, at both edges; cut once at every place; and byte by byte. */
static void feed_every_way(const char *name, const char *text, size_t n, int result,
                           const char *content, size_t len)
{
    static struct outcome out;
    for (size_t cut = 0; cut <= n; cut++) {
        struct chunk_decoder d = {0};
        memset(&out, 0, offsetof(struct outcome, content));
        feed(&d, input_put(INPUT_AT_END, text, cut), cut, &out);
        if (cut < n && result == 1)
            assert_int_equal(out.result, 0);
        feed(&d, input_put(INPUT_AT_START, text + cut, n - cut), n - cut, &out);
        compare(name, cut, &out, result, content, len);
    }
    struct chunk_decoder d = {0};
    memset(&out, 0, offsetof(struct outcome, content));
    for (size_t i = 0; i < n; i++)
        feed(&d, input_put(INPUT_AT_END, text + i, 1), 1, &out);
    compare(name, n, &out, result, content, len);
}

static const struct {
    const char *text;
    size_t n;
    const char *content;
    size_t len;
} good[] = {
    {TEXT("0\r\n\r\n"), TEXT("")},
    {TEXT("5\r\nhello\r\n0\r\n\r\n"), TEXT("hello")},
    {TEXT("5\r\nhello\r\n00006\r\n world\r\n000\r\n\r\n"), TEXT("hello world")},
    {TEXT("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n"), TEXT("0123456789abcdefghij")},
    {TEXT("2\r\n\r\n\r\n0\r\n\r\n"), TEXT("\r\n")},
    {TEXT("1\r\n\0\r\n0\r\n\r\n"), TEXT("\0")},
    {TEXT("1;a\r\nx\r\n0;a=b;c=\"d e\"\r\n\r\n"), TEXT("x")},
    {TEXT("1 \t;\ta\r\nx\r\n0 ;a\r\n\r\n"), TEXT("x")},
    {TEXT("000000000000001\r\nx\r\n000000000000000\r\n\r\n"), TEXT("x")},
    {TEXT("0\r\nA: b\r\nC:\r\nD-!: \t\x80\r\n\r\n"), TEXT("")},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        feed_every_way(good[i].text, good[i].text, good[i].n, 1, good[i].content, good[i].len);
}

static const struct {
    const char *name, *text;
    size_t n;
} bad[] = {
    {"no size", TEXT("\r\n")},
    {"no size before an extension", TEXT(";a\r\n")},
    {"no digit", TEXT("g\r\n")},
    {"signed size", TEXT("+5\r\nhello")},
    {"negative size", TEXT("-5\r\nhello")},
    {"0x", TEXT("0x5\r\nhello")},
    {"leading space", TEXT(" 5\r\nhello")},
    {"trailing space", TEXT("5 \r\nhello")},
    {"text before an extension", TEXT("5x;a\r\nhello\r\n0\r\n\r\n")},
    {"text behind a space", TEXT("5 x;a\r\nhello\r\n0\r\n\r\n")},
    {"two numbers", TEXT("5 5\r\nhello")},
    {"16 digits", TEXT("0000000000000001\r\nx")},
    {"2^64", TEXT("10000000000000000\r\nx")},
    {"LF behind the size", TEXT("5\nhello\r\n0\r\n\r\n")},
    {"CR without LF behind the size", TEXT("5\rhello\r\n0\r\n\r\n")},
    {"CR twice", TEXT("5\r\r\nhello")},
    {"NUL behind the size", TEXT("5\0\r\nhello")},
    {"LF in an extension", TEXT("5;a\nhello\r\n0\r\n\r\n")},
    {"CR in an extension", TEXT("5;a\rb\r\nhello")},
    {"NUL in an extension", TEXT("5;a\0\r\nhello")},
    {"DEL in an extension", TEXT("5;a\x7f\r\nhello")},
    {"chunk too long", TEXT("5\r\nhello!\r\n0\r\n\r\n")},
    {"chunk too short", TEXT("5\r\nhell\r\n0\r\n\r\n")},
    {"LF behind a chunk", TEXT("5\r\nhello\n0\r\n\r\n")},
    {"CR without LF behind a chunk", TEXT("5\r\nhello\r0\r\n\r\n")},
    {"nothing behind a chunk", TEXT("5\r\nhello5\r\nhello")},
    {"LF at the end", TEXT("0\r\n\n")},
    {"CR without LF at the end", TEXT("0\r\n\rx")},
    {"trailer without a colon", TEXT("0\r\nA\r\n\r\n")},
    {"trailer without a name", TEXT("0\r\n: a\r\n\r\n")},
    {"trailer with a space before the colon", TEXT("0\r\nA : b\r\n\r\n")},
    {"folded trailer", TEXT("0\r\nA: b\r\n c\r\n\r\n")},
    {"LF in a trailer", TEXT("0\r\nA: b\nC: d\r\n\r\n")},
    {"CR in a trailer", TEXT("0\r\nA: b\rC: d\r\n\r\n")},
    {"NUL in a trailer", TEXT("0\r\nA: \0\r\n\r\n")},
    {"a request instead of the end", TEXT("0\r\nGET / HTTP/1.1\r\n")},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        feed_every_way(bad[i].name, bad[i].text, bad[i].n, -ERR_HTTP_INVALID, NULL, 0);
}

/* A failure stays one, and the end stays the end: what follows is not touched. */
static void test_final_states(void **state)
{
    (void)state;
    struct chunk_decoder d = {0};
    size_t used = 0, off = 0, len = 0;
    assert_int_equal(chunk_decode(&d, "x", 1, &used, &off, &len), -ERR_HTTP_INVALID);
    assert_int_equal(chunk_decode(&d, "0\r\n\r\n", 5, &used, &off, &len), -ERR_HTTP_INVALID);
    d = (struct chunk_decoder){0};
    assert_int_equal(chunk_decode(&d, "0\r\n\r\nGET", 8, &used, &off, &len), 1);
    assert_int_equal(used, 5);
    assert_int_equal(len, 0);
    assert_int_equal(chunk_decode(&d, "GET", 3, &used, &off, &len), 1);
    assert_int_equal(used, 0);
    d = (struct chunk_decoder){0};
    assert_int_equal(chunk_decode(&d, NULL, 0, &used, &off, &len), 0);
    assert_int_equal(used, 0);
}

/* The largest size that can be said, without its content. */
static void test_large_size(void **state)
{
    (void)state;
    struct chunk_decoder d = {0};
    size_t used = 0, off = 0, len = 0;
    assert_int_equal(chunk_decode(&d, TEXT("fffffffffffffff\r\nabc"), &used, &off, &len), 0);
    assert_int_equal(used, 20);
    assert_int_equal(off, 17);
    assert_int_equal(len, 3);
    assert_int_equal(d.left, UINT64_C(0xfffffffffffffff) - 3);
}

/* text: start, then filler so that `filled` bytes lie between start and end, then end. */
static int decode_filled(const char *start, size_t filled, const char *end)
{
    static char text[32 * 1024];
    static struct outcome out;
    size_t n = strlen(start);
    memcpy(text, start, n);
    memset(text + n, 'x', filled);
    memcpy(text + n + filled, end, strlen(end));
    n += filled + strlen(end);
    struct chunk_decoder d = {0};
    memset(&out, 0, offsetof(struct outcome, content));
    feed(&d, input_put(INPUT_AT_END, text, n), n, &out);
    return out.result;
}

static void test_limits(void **state)
{
    (void)state;
    /* The ';' counts. */
    assert_int_equal(decode_filled("1;", 255, "\r\nx\r\n0\r\n\r\n"), 1);
    assert_int_equal(decode_filled("1;", 256, "\r\nx\r\n0\r\n\r\n"), -ERR_HTTP_INVALID);
    /* Each chunk may have as much, and the trailer has its own limit. */
    assert_int_equal(decode_filled("1;aaaaaaaa\r\nx\r\n1;", 255, "\r\nx\r\n0;aa\r\n\r\n"), 1);
    assert_int_equal(decode_filled("1;aaaaaaaa\r\nx\r\n0;", 256, "\r\n\r\n"), -ERR_HTTP_INVALID);
    /* Every byte of a trailer line counts, its CRLF too. */
    assert_int_equal(decode_filled("0\r\nA:", 8192 - 4, "\r\n\r\n"), 1);
    assert_int_equal(decode_filled("0\r\nA:", 8192 - 3, "\r\n\r\n"), -ERR_HTTP_INVALID);
    assert_int_equal(decode_filled("0\r\nB:\r\nA:", 8192 - 8, "\r\n\r\n"), 1);
    assert_int_equal(decode_filled("0\r\nB:\r\nA:", 8192 - 7, "\r\n\r\n"), -ERR_HTTP_INVALID);
    assert_int_equal(decode_filled("0\r\n", 8193, ""), -ERR_HTTP_INVALID);
}

static void test_format_size(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        const char *want;
    } cases[] = {{0, "0\r\n"},
                 {9, "9\r\n"},
                 {15, "f\r\n"},
                 {16, "10\r\n"},
                 {255, "ff\r\n"},
                 {65536, "10000\r\n"},
                 {UINT64_MAX, "ffffffffffffffff\r\n"}};
    for (size_t i = 0; i < countof(cases); i++) {
        char out[CHUNK_SIZE_LINE_MAX + 1] = {0};
        size_t n = chunk_format_size(out, cases[i].size);
        assert_string_equal(out, cases[i].want);
        assert_int_equal(n, strlen(cases[i].want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_bad),
        cmocka_unit_test(test_final_states), cmocka_unit_test(test_large_size),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_format_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
