/* Text for terminals: nothing that a model wrote may steer one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <jansson.h>
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

static void test_table(void **state)
{
    (void)state;
    struct text_table table = {.columns = 3};
    struct buf out = {0};
    text_table_add(&table, (const char *const[]){"MODEL", "STATE", "IDLE"});
    text_table_add(&table, (const char *const[]){"caf\xc3\xa9-7b", "loaded", "5s"});
    text_table_add(&table, (const char *const[]){"a\nb", "-", ""});
    text_table_print(&table, &out);
    assert_string_equal(out.data, "MODEL    STATE   IDLE\n"
                                  "caf\xc3\xa9-7b  loaded  5s\n"
                                  "a\\nb     -       \n");
    text_table_fini(&table);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_pieces),
        cmocka_unit_test(test_escaped_json_means_the_same),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
