/* Text for terminals: nothing that a model wrote may steer one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "cli/text.h"

static void test_escape(void **state)
{
    (void)state;
    static const struct {
        enum text_mode mode;
        const char *text, *shown;
    } cases[] = {
        {TEXT_LINE, "", ""},
        {TEXT_LINE, "plain \\ text", "plain \\ text"},
        {TEXT_LINE, "\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"},
        {TEXT_LINE, "a\nb\r\tc\x7f", "a\\nb\\r\\tc\\x7f"},
        {TEXT_LOG, "a\n\tb\r\x08\n", "a\n\tb\\r\\x08\n"},
        {TEXT_LINE, "caf\xc3\xa9 \xe6\xa8\xa1 \xf0\x9f\x9a\xa2",
         "caf\xc3\xa9 \xe6\xa8\xa1 "
         "\xf0\x9f\x9a\xa2"},
        /* C1 controls: U+009B is a terminal's "ESC [". */
        {TEXT_LINE, "\xc2\x9b", "\\u{9b}"},
        {TEXT_LINE, "\xe2\x80\xae", "\\u{202e}"},
        {TEXT_LINE, "\xef\xbb\xbf", "\\u{feff}"},
        /* Not UTF-8: a lone byte, overlong, a surrogate, above U+10FFFF, cut off. */
        {TEXT_LINE, "\x9b", "\\x9b"},
        {TEXT_LINE, "\xc0\x9b", "\\xc0\\x9b"},
        {TEXT_LINE, "\xe0\x82\x9b", "\\xe0\\x82\\x9b"},
        {TEXT_LINE, "\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {TEXT_LINE, "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
        {TEXT_LINE, "a\xe6\xa8", "a\\xe6\\xa8"},
        {TEXT_JSON, "{\"a\":\n\"\x7f\xc2\x9b\xe2\x80\xae\xc3\xa9\"}",
         "{\"a\": \"\\u007f\\u009b\\u202e\xc3\xa9\"}"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf out = {0};
        buf_text(&out, "");
        text_escape_all(&out, cases[i].mode, cases[i].text);
        if (strcmp(out.data, cases[i].shown) != 0)
            fail_msg("case %zu: '%s', not '%s'", i, out.data, cases[i].shown);
        buf_fini(&out);
    }
}

/* However a stream is cut, the same comes out. */
static void test_escape_pieces(void **state)
{
    (void)state;
    static const char text[] = "\xe6\xa8\xa1\xf0\x9f\x9a\xa2\x9b\xc3\xa9\xe6\xa8z\n\x1b[0m\xe2\x80";
    const size_t n = sizeof(text) - 1;
    struct buf whole = {0};
    text_escape(&whole, TEXT_LOG, text, n, false);
    for (size_t cut = 0; cut <= n; cut++) {
        struct buf out = {0}, kept = {0};
        buf_append(&kept, text, cut);
        buf_consume(&kept, text_escape(&out, TEXT_LOG, kept.data, kept.len, true));
        assert_true(kept.len < 4);
        buf_append(&kept, text + cut, n - cut);
        buf_consume(&kept, text_escape(&out, TEXT_LOG, kept.data, kept.len, true));
        text_escape(&out, TEXT_LOG, kept.data, kept.len, false);
        assert_string_equal(out.data, whole.data);
        buf_fini(&out);
        buf_fini(&kept);
    }
    buf_fini(&whole);
}

static void test_escaped_json_means_the_same(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": \"\x7f\xc2\x9b\xe2\x80\xae\\n\",\n\t\"b\": [1.50]}";
    struct buf out = {0};
    text_escape_all(&out, TEXT_JSON, text);
    json_t *before = json_loads(text, 0, NULL), *after = json_loads(out.data, 0, NULL);
    assert_non_null(before);
    assert_true(json_equal(before, after));
    assert_non_null(strstr(out.data, "1.50"));
    json_decref(before);
    json_decref(after);
    buf_fini(&out);
}

static void test_wrap(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t column, indent;
        const char *lines;
    } cases[] = {
        {"one two three", 0, 0, "one two\nthree\n"},
        {"one two three", 0, 2, "  one two\n  three\n"},
        {"one two", 6, 6, "one\n      two\n"},
        {"aaaaaaaaaaaaaaaa b", 0, 0, "aaaaaaaaaaaaaaaa\nb\n"},
        {"one\n\ntwo", 0, 1, " one\n\n two\n"},
        {"", 0, 4, "\n"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf out = {0};
        text_wrap(&out, cases[i].text, cases[i].column, cases[i].indent, 10);
        if (strcmp(out.data, cases[i].lines) != 0)
            fail_msg("case %zu: '%s', not '%s'", i, out.data, cases[i].lines);
        buf_fini(&out);
    }
}

static void test_width(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {{"", 0},
                 {"abc", 3},
                 {"caf\xc3\xa9", 4},
                 {"cafe\xcc\x81", 4}, /* an accent of its own */
                 {"\xe6\xa8\xa1\xe5\x9e\x8b", 4},
                 {"\xf0\x9f\x9a\xa2", 2},
                 {"\xe2\x96\x88\xe2\x96\x91", 2},
                 {"a\xff", 2}};
    for (size_t i = 0; i < countof(cases); i++)
        if (text_width(cases[i].text) != cases[i].width)
            fail_msg("case %zu: %zu, not %zu", i, text_width(cases[i].text), cases[i].width);
}

/* Three dots: the tests run in the C locale. */
static void test_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
        const char *left;
    } cases[] = {
        {"qwen", 4, "qwen"},
        {"qwen-large", 8, "qwen-"},
        {"needs 12.5GiB more", 11, "needs"}, /* never 12... */
        {"needs 12.5GiB more", 17, "needs 12.5GiB"},
        {"model-70b-q4", 10, "model-"},
        {"3faa1614a4817be5", 9, "3faa16"}, /* it begins with it: that much may be shown */
        {"\xe6\xa8\xa1\xe5\x9e\x8b\xe5\x9e\x8b", 5, "\xe6\xa8\xa1"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        size_t len = text_cut(cases[i].text, cases[i].width);
        if (strlen(cases[i].left) != len)
            fail_msg("case %zu: '%.*s', not '%s'", i, (int)len, cases[i].text, cases[i].left);
    }
}

static void test_wrap_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
        const char *lines;
    } cases[] = {
        {"one two three\n", 0, "one two three\n"},
        {"one two three\nfour\n", 13, "one two three\nfour\n"},
        {"alpha two three\n", 11, "alpha two\n    three\n"},
        {"    one two three\n\nx\n", 15, "    one two\n        three\n\nx\n"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf out = {0};
        text_wrap_lines(&out, cases[i].text, cases[i].width);
        if (strcmp(out.data, cases[i].lines) != 0)
            fail_msg("case %zu: '%s', not '%s'", i, out.data, cases[i].lines);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_pieces),
        cmocka_unit_test(test_escaped_json_means_the_same),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_wrap_lines),
    };
    /* Ellipses are three dots then, wherever the tests run. */
    setenv("LC_ALL", "C", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
