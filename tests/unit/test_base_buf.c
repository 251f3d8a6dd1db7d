#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "base/pure/rng.h"

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    mock_assert(0, expr, file, line);
    abort();
}

static void test_append(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_null(b.data);
    buf_append(&b, "", 0);
    assert_string_equal(b.data, "");
    buf_text(&b, "one");
    buf_char(&b, ' ');
    buf_printf(&b, "%d-%s", 2, "two");
    assert_string_equal(b.data, "one 2-two");
    assert_int_equal(b.len, 9);
    buf_consume(&b, 4);
    assert_string_equal(b.data, "2-two");
    buf_clear(&b);
    assert_string_equal(b.data, "");
    assert_int_equal(b.len, 0);
    buf_fini(&b);
    assert_null(b.data);
}

static void test_grows_by_any_piece(void **state)
{
    (void)state;
    static char piece[3000], model[200000];
    struct rng rng = {4};
    struct buf b = {0};
    size_t len = 0;
    for (int i = 0; i < 200; i++) {
        size_t n = rng_below(&rng, rng_below(&rng, 10) ? 20 : sizeof(piece));
        if (len + n > sizeof(model))
            break;
        memset(piece, 'a' + i % 26, n);
        memcpy(model + len, piece, n);
        len += n;
        buf_append(&b, piece, n);
        assert_int_equal(b.len, len);
        if (i % 7 == 0) {
            size_t gone = rng_below(&rng, len + 1);
            memmove(model, model + gone, len - gone);
            len -= gone;
            buf_consume(&b, gone);
        }
        assert_int_equal(b.len, len);
        assert_memory_equal(b.data, model, len);
        assert_int_equal(b.data[len], 0);
    }
    buf_fini(&b);
}

static void test_bound(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    buf_text(&b, "12345");
    assert_false(b.overflow);
    buf_char(&b, '6');
    assert_true(b.overflow);
    assert_string_equal(b.data, "12345");
    buf_printf(&b, "%s", "7");
    assert_null(buf_reserve(&b, 1));
    assert_string_equal(b.data, "12345");
    buf_consume(&b, 5);
    assert_true(b.overflow);
    buf_clear(&b);
    assert_false(b.overflow);
    buf_printf(&b, "%05d", 42);
    assert_string_equal(b.data, "00042");
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(b.overflow);
    buf_fini(&b);
}

static void test_reserve_and_commit(void **state)
{
    (void)state;
    struct buf b = {0};
    char *to = buf_reserve(&b, 100);
    assert_non_null(to);
    memcpy(to, "hello", 5);
    buf_commit(&b, 5);
    assert_string_equal(b.data, "hello");
    expect_assert_failure(buf_commit(&b, b.cap));
    expect_assert_failure(buf_consume(&b, 6));
    buf_fini(&b);
}

static void test_take(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 7);
    char *text = buf_take(&b);
    assert_string_equal(text, "");
    free(text);
    buf_text(&b, "mine");
    text = buf_take(&b);
    assert_string_equal(text, "mine");
    free(text);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.max, 7);
    buf_fini(&b);
}

#define TEXT(literal) literal, sizeof(literal) - 1
#define BAD "\xef\xbf\xbd"

static const struct {
    const char *text;
    size_t n;
    const char *want;
} strings[] = {
    {TEXT(""), "\"\""},
    {TEXT("plain"), "\"plain\""},
    {TEXT("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
    {TEXT("\n\t\r\b"), "\"\\n\\u0009\\u000d\\u0008\""},
    {TEXT("\x1f\x7f"), "\"\\u001f\\u007f\""},
    {TEXT("a\0b"), "\"a\\u0000b\""},
    {TEXT("\xc3\xa9"), "\"\xc3\xa9\""},
    {TEXT("\xe4\xbd\xa0"), "\"\xe4\xbd\xa0\""},
    {TEXT("\xf0\x9f\x9a\xa2"), "\"\xf0\x9f\x9a\xa2\""},
    {TEXT("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\""},
    {TEXT("\x80"), "\"" BAD "\""},
    {TEXT("a\xc2\x9b"
          "31m\xc2\xa0\x7f"),
     "\"a\\u009b31m\xc2\xa0\\u007f\""},
    {TEXT("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9"), "\"\xe2\x80\xa7\\u2028\\u2029\""},
    {TEXT("\xff"), "\"" BAD "\""},
    {TEXT("\xc3"), "\"" BAD "\""},
    {TEXT("\xc3x"), "\"" BAD "x\""},
    {TEXT("\xe4\xbd"), "\"" BAD BAD "\""},
    {TEXT("\xc0\xaf"), "\"" BAD BAD "\""},                 /* overlong '/' */
    {TEXT("\xe0\x80\xaf"), "\"" BAD BAD BAD "\""},         /* overlong '/' */
    {TEXT("\xed\xa0\x80"), "\"" BAD BAD BAD "\""},         /* a surrogate */
    {TEXT("\xf4\x90\x80\x80"), "\"" BAD BAD BAD BAD "\""}, /* beyond U+10FFFF */
};

static void test_json_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(strings); i++) {
        struct buf b = {0};
        buf_json(&b, strings[i].text, strings[i].n);
        if (strcmp(b.data, strings[i].want) != 0)
            fail_msg("row %zu: %s, not %s", i, b.data, strings[i].want);
        buf_fini(&b);
    }
}

/* Whatever goes in, another implementation reads it, and reads the same when it was UTF-8. */
static void test_json_is_read_by_another(void **state)
{
    (void)state;
    static const char ascii[] = "ab\"\\/\n\t\x01\x7f {}";
    struct rng rng = {5};
    for (int i = 0; i < 3000; i++) {
        char text[24];
        size_t n = rng_below(&rng, sizeof(text));
        bool utf8 = i & 1;
        for (size_t k = 0; k < n; k++)
            text[k] = utf8 ? ascii[rng_below(&rng, sizeof(ascii) - 1)] : (char)rng_next(&rng);
        struct buf b = {0};
        buf_json(&b, text, n);
        json_t *value = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        if (utf8) {
            assert_int_equal(json_string_length(value), n);
            assert_memory_equal(json_string_value(value), text, n);
        }
        json_decref(value);
        buf_fini(&b);
    }
}

/* RFC 4648, section 10, and bytes above 0x7f. */
static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        const char *text;
    } cases[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"\xff\xfe", "//4="},
        {"\xfb\xef\xbe", "++++"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf b = {0};
        buf_base64(&b, cases[i].data, strlen(cases[i].data));
        assert_string_equal(b.data, cases[i].text);
        buf_fini(&b);
    }
    struct buf small;
    buf_init(&small, 3);
    buf_base64(&small, "f", 1);
    assert_true(small.overflow);
    buf_fini(&small);
}

static void test_whole_numbers(void **state)
{
    static const int64_t values[] = {0, 7, -1, 10, -90, 1234567890123, INT64_MAX, INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct buf ours = {0}, theirs = {0};
        buf_whole(&ours, values[i]);
        buf_printf(&theirs, "%lld", (long long)values[i]);
        assert_string_equal(ours.data, theirs.data);
        buf_fini(&ours);
        buf_fini(&theirs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_grows_by_any_piece),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_reserve_and_commit),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_json_strings),
        cmocka_unit_test(test_json_is_read_by_another),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
