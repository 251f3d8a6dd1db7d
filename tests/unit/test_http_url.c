#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/pure/errors.h"
#include "http/url.h"

#include "http_input.h"

static const struct {
    const char *text;
    size_t n;
    bool plus;
    const char *want; /* NULL: refused */
} decodes[] = {
    {TEXT(""), false, ""},          {TEXT("abc"), false, "abc"},
    {TEXT("a%20b"), false, "a b"},  {TEXT("a+b%2b"), false, "a+b+"},
    {TEXT("a+b%2B"), true, "a b+"}, {TEXT("%e4%BD%a0"), false, "\xe4\xbd\xa0"},
    {TEXT("%2525"), false, "%25"},  {TEXT("%ff\x80"), false, "\xff\x80"},
    {TEXT("%"), false, NULL},       {TEXT("a%2"), false, NULL},
    {TEXT("%g0"), false, NULL},     {TEXT("%0g"), false, NULL},
    {TEXT("%+1"), true, NULL},      {TEXT("a%00b"), false, NULL},
    {TEXT("a\0b"), false, NULL},
};

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(decodes); i++) {
        const char *data = input_put(INPUT_AT_END, decodes[i].text, decodes[i].n);
        char out[32];
        bool good = url_decode(data, decodes[i].n, decodes[i].plus, out, sizeof(out));
        if (good != (decodes[i].want != NULL))
            fail_msg("'%s': returned %d", decodes[i].text, good);
        if (good)
            assert_string_equal(out, decodes[i].want);
    }
}

static void test_decode_room(void **state)
{
    (void)state;
    char out[4] = "zzz";
    assert_true(url_decode("%61bc", 5, false, out, 4));
    assert_string_equal(out, "abc");
    assert_false(url_decode("abcd", 4, false, out, 4));
    assert_true(url_decode("", 0, false, out, 1));
    assert_string_equal(out, "");
    assert_false(url_decode("", 0, false, out, 0));
    assert_false(url_decode("a", 1, false, out, 1));
}

static const struct {
    const char *query;
    size_t n;
    int count;
    const char *value;
} finds[] = {
    {TEXT(""), 0, "-"},
    {TEXT("model=a"), 1, "a"},
    {TEXT("model="), 1, ""},
    {TEXT("model"), 1, ""},
    {TEXT("&&model=a&"), 1, "a"},
    {TEXT("x=model&y=model=a"), 0, "-"},
    {TEXT("amodel=a&models=b&mode=c&Model=d"), 0, "-"},
    {TEXT("x=1&model=a%20b+c=d;e"), 1, "a b c=d;e"},
    {TEXT("model=a&x=1&model=b&model"), 3, "a"},
    {TEXT("mod%65l=a"), 1, "a"},
    {TEXT("%6d%6F%64%65%6c=a&model=b"), 2, "a"},
    {TEXT("mod%6=a&mod%zzl=b&model%00=c"), 0, "-"},
    {TEXT("model=%"), -1, "-"},
    {TEXT("model=%00"), -1, "-"},
    {TEXT("model=0123456789abcdef"), -1, "-"},
    {TEXT("model=a&model=%"), 2, "a"},
    {TEXT("=a&=model"), 0, "-"},
};

static void test_query_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(finds); i++) {
        const char *data = input_put(INPUT_AT_END, finds[i].query, finds[i].n);
        char out[16] = "-";
        int count = url_query_find(data, finds[i].n, "model", out, sizeof(out));
        if (count != finds[i].count)
            fail_msg("'%s': found %d times, expected %d", finds[i].query, count, finds[i].count);
        if (count >= 0)
            assert_string_equal(out, finds[i].value);
    }
}

/* What is found, taken out of the query and put back encoded, is found again. */
static void test_query_span(void **state)
{
    (void)state;
    static const struct {
        const char *query, *value, *name, *want;
    } rows[] = {
        {"model=a", "a", "b", "model=b"},
        {"x=%20&model=a%20b&y", "a%20b", "org/m", "x=%20&model=org%2Fm&y"},
        {"mod%65l=&model=c", "", "a b+c", "mod%65l=a%20b%2Bc&model=c"},
        {"x&model=a", "a", "A-z_0.9~", "x&model=A-z_0.9~"},
        {"model=a", "a", "\xc3\xa9&=#%", "model=%C3%A9%26%3D%23%25"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        size_t n = strlen(rows[i].query), off, len;
        const char *data = input_put(INPUT_AT_END, rows[i].query, n);
        struct buf out = {0};
        char again[64];
        assert_true(url_query_span(data, n, "model", &off, &len));
        assert_int_equal(len, strlen(rows[i].value));
        assert_memory_equal(data + off, rows[i].value, len);
        buf_append(&out, data, off);
        url_encode(&out, rows[i].name);
        buf_append(&out, data + off + len, n - off - len);
        assert_string_equal(out.data, rows[i].want);
        assert_true(url_query_find(out.data, out.len, "model", again, sizeof(again)) >= 1);
        assert_string_equal(again, rows[i].name);
        buf_fini(&out);
    }
    size_t off, len;
    assert_false(url_query_span("models=a&x", 10, "model", &off, &len));
}

static void test_query_names(void **state)
{
    (void)state;
    static const char query[] = "a+b=1&a%20b=2&a%2bb=3";
    char out[16] = "-";
    assert_int_equal(url_query_find(query, sizeof(query) - 1, "a b", out, sizeof(out)), 2);
    assert_string_equal(out, "1");
    assert_int_equal(url_query_find(query, sizeof(query) - 1, "a+b", out, sizeof(out)), 1);
    assert_string_equal(out, "3");
}

static const struct {
    const char *text;
    bool tls;
    const char *host;
    uint16_t port;
    const char *path;
} good_urls[] = {
    {"http://localhost", false, "localhost", 80, ""},
    {"HTTPS://a.b-c_d.example/", true, "a.b-c_d.example", 443, "/"},
    {"http://127.0.0.1:8080/v1/x", false, "127.0.0.1", 8080, "/v1/x"},
    {"http://[::1]:1/a%20b", false, "::1", 1, "/a%20b"},
    {"https://[2001:db8::1.2.3.4]", true, "2001:db8::1.2.3.4", 443, ""},
    {"http://a:/b", false, "a", 80, "/b"},
    {"http://a:65535", false, "a", 65535, ""},
    {"http://a//b:c@d", false, "a", 80, "//b:c@d"},
};

static const char *const bad_urls[] = {
    "",
    "a",
    "http",
    "http:",
    "http:/a",
    "http:///a",
    "http://",
    "http://:80",
    "https:a",
    "ftp://a",
    "httpx://a",
    "htt://a",
    "unix:///a",
    " http://a",
    "http://a b",
    "http://a/b c",
    "http://a/\x7f",
    "http://a/\xc3\xa4",
    "http://a/\n",
    "http://\xc3\xa4",
    "http://user@a",
    "http://user:pass@a",
    "http://user:1@a",
    "http://a?b",
    "http://a/?b",
    "http://a#b",
    "http://a/#b",
    "http://a:0",
    "http://a:65536",
    "http://a:4294967376",
    "http://a:0000080",
    "http://a:+80",
    "http://a:80x",
    "http://a:80:80",
    "http://a%41",
    "http://[::1",
    "http://[]",
    "http://[a]b",
    "http://[abc]",
    "http://[g::]",
    "http://::1",
    "http://a\\b",
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(good_urls); i++) {
        struct url u = {0};
        const char *text = good_urls[i].text;
        if (url_parse(input_put(INPUT_AT_END, text, strlen(text) + 1), &u) != 0)
            fail_msg("'%s' was refused", text);
        assert_string_equal(u.host, good_urls[i].host);
        assert_string_equal(u.path, good_urls[i].path);
        if (u.port != good_urls[i].port || u.tls != good_urls[i].tls)
            fail_msg("'%s': port %u tls %d, expected %u %d", text, u.port, u.tls, good_urls[i].port,
                     good_urls[i].tls);
    }
    for (size_t i = 0; i < countof(bad_urls); i++) {
        struct url u = {.port = 7};
        const char *text = input_put(INPUT_AT_END, bad_urls[i], strlen(bad_urls[i]) + 1);
        int got = url_parse(text, &u);
        if (got != -ERR_HTTP_INVALID || u.port != 7)
            fail_msg("'%s': returned %d", bad_urls[i], got);
    }
}

/* A URL whose host or path has n bytes. */
static int parse_long(const char *start, size_t n, struct url *u)
{
    char text[1024] = {0};
    size_t len = strlen(start);
    memcpy(text, start, len);
    memset(text + len, 'x', n);
    return url_parse(text, u);
}

static void test_parse_room(void **state)
{
    (void)state;
    struct url u;
    assert_int_equal(parse_long("http://", 255, &u), 0);
    assert_int_equal(strlen(u.host), 255);
    assert_int_equal(parse_long("http://", 256, &u), -ERR_HTTP_INVALID);
    assert_int_equal(parse_long("http://a/", 510, &u), 0);
    assert_int_equal(strlen(u.path), 511);
    assert_int_equal(parse_long("http://a/", 511, &u), -ERR_HTTP_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),     cmocka_unit_test(test_decode_room),
        cmocka_unit_test(test_query_find), cmocka_unit_test(test_query_names),
        cmocka_unit_test(test_query_span), cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
