#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/pure/check.h"

#define TEXT(literal) literal, sizeof(literal) - 1

static const struct {
    const char *text;
    size_t n, out_size;
    const char *want;
} quotes[] = {
    {TEXT("plain text"), 64, "plain text"},
    {TEXT("say \"hi\" \\o/"), 64, "say \\\"hi\\\" \\\\o/"},
    {TEXT("a\nb\r\n"), 64, "a\\x0ab\\x0d\\x0a"},
    {TEXT("\x1b[31m"), 64, "\\x1b[31m"},
    {TEXT("\xc3\xa9\x7f"), 64, "\\xc3\\xa9\\x7f"},
    {TEXT("a\0b"), 64, "a\\x00b"},
    {TEXT(""), 64, ""},
    {TEXT("0123456789"), 10, "01234"}, /* cut where the longest escape still fits */
    {TEXT("\x01\x01\x01"), 10, "\\x01\\x01"},
    {TEXT("abc"), 1, ""},
};

static void test_quote(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(quotes); i++) {
        char out[64];
        memset(out, '#', sizeof(out));
        const char *got = log_quote(quotes[i].text, quotes[i].n, out, quotes[i].out_size);
        assert_ptr_equal(got, out);
        if (strcmp(got, quotes[i].want) != 0)
            fail_msg("row %zu: '%s', not '%s'", i, got, quotes[i].want);
        for (size_t k = quotes[i].out_size; k < sizeof(out); k++)
            assert_int_equal(out[k], '#');
    }
}

static void test_levels(void **state)
{
    (void)state;
    assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
    assert_int_equal(log_level_parse("WARN"), LOG_WARN);
    assert_int_equal(log_level_parse("error"), LOG_ERROR);
    assert_int_equal(log_level_parse("info"), LOG_INFO);
    assert_int_equal(log_level_parse("loud"), LOG_INFO);
    assert_int_equal(log_level_parse(""), LOG_INFO);
}

struct lines {
    int count;
    char last[4096];
    size_t last_n;
};

static void keep(void *arg, const char *line, size_t n)
{
    struct lines *l = arg;
    l->count++;
    assert_true(n < sizeof(l->last));
    memcpy(l->last, line, n);
    l->last[n] = '\0';
    l->last_n = n;
}

static void test_sink(void **state)
{
    (void)state;
    struct lines lines = {0};
    log_set_sink(keep, &lines);
    errno = ENOENT;
    log_info("model=qwen", "loaded seconds=%d", 3);
    assert_int_equal(errno, ENOENT);
    log_debug(NULL, "not at this level");
    assert_int_equal(lines.count, 1);
    /* 2026-01-02T03:04:05.678Z level prefix text */
    assert_int_equal(lines.last[10], 'T');
    assert_string_equal(lines.last + 24, " info  model=qwen loaded seconds=3\n");
    log_info_with("qwen",
                  LOG_WITH(LOG_NUMBER("pid", 7), LOG_TEXT("none", NULL), LOG_NO_FIELD,
                           LOG_SAID("device", "gpu0")),
                  "ready on %s", "gpu0");
    assert_string_equal(lines.last + 24, " info  qwen ready on gpu0 pid=7\n");
    log_set_sink(NULL, NULL);
}

static void test_a_long_line_is_cut_and_ends(void **state)
{
    (void)state;
    struct lines lines = {0};
    char longer[5000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    log_set_sink(keep, &lines);
    log_error(NULL, "%s", longer);
    log_set_sink(NULL, NULL);
    assert_true(lines.last_n > 1000);
    assert_int_equal(lines.last[lines.last_n - 1], '\n');
    assert_int_equal(strlen(lines.last), lines.last_n);
}

/* Whatever a caller has let through: one line, and nothing that a terminal obeys. */
static void test_nothing_breaks_out_of_its_line(void **state)
{
    (void)state;
    struct lines lines = {0};
    log_set_sink(keep, &lines);
    log_warn("model=\x1b[2J", "a\nerror b\r\x07\x7f\xc2\x9b"
                              "31m\tgr\xc3\xbc\xc2\xa0.");
    log_set_sink(NULL, NULL);
    assert_int_equal(lines.count, 1);
    assert_string_equal(
        lines.last + 24,
        " warn  model=\\x1b[2J a\\x0aerror b\\x0d\\x07\\x7f\\xc2\\x9b31m\tgr\xc3\xbc\xc2\xa0.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_sink),
        cmocka_unit_test(test_a_long_line_is_cut_and_ends),
        cmocka_unit_test(test_nothing_breaks_out_of_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
