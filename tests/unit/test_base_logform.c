#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/logform.h"
#include "base/logtime.h"
#include "base/pure/check.h"

static const struct timespec at = {.tv_sec = 1767323045, .tv_nsec = 678901234};
#define TIME "2026-01-02T03:04:05.678Z"

static const struct log_field loaded[] = {
    {.name = "pid", .number = -4, .kind = LOG_FIELD_NUMBER},
    {.name = "path", .text = "/a b", .n = 4},
    {.name = "device", .text = "gpu0", .n = 4},
    {.name = "lease", .text = "L1", .n = 2, .said = true},
    {.name = NULL},
    {.name = "details", .text = "{\"a\":1}", .n = 7, .kind = LOG_FIELD_JSON},
    {.name = "empty", .text = "", .n = 0},
};

/* A newline with a whole line behind it, quotes, ESC, DEL, C1, a NUL, and bytes that are no UTF-8.
 */
#define HOSTILE "a\n" TIME " info  forged\"\\\x1b[2J\x7f\xc2\x9b\0\xff\xc3(=b"
static const struct log_field hostile[] = {
    {.name = "agent", .text = HOSTILE, .n = sizeof(HOSTILE) - 1},
    {.name = "shown", .text = HOSTILE, .n = sizeof(HOSTILE) - 1, .said = true},
};

static const struct {
    struct log_entry entry;
    const char *human, *json, *journald;
} cases[] = {
    {{LOG_INFO, at, NULL, "stopping", 8, {NULL, 0}},
     TIME " info  stopping\n",
     "{\"time\":\"" TIME "\",\"level\":\"info\",\"msg\":\"stopping\"}\n",
     "PRIORITY=6\nSYSLOG_IDENTIFIER=me\nMESSAGE=stopping\n"},
    {{LOG_WARN, at, "qwen", "lease L1 ready", 14, {loaded, countof(loaded)}},
     TIME " warn  qwen lease L1 ready pid=-4 path=\"/a b\" device=gpu0 {\"a\":1} empty=\"\"\n",
     "{\"time\":\"" TIME
     "\",\"level\":\"warn\",\"msg\":\"lease L1 ready\",\"model\":\"qwen\",\"pid\":-4,"
     "\"path\":\"/a "
     "b\",\"device\":\"gpu0\",\"lease\":\"L1\",\"details\":{\"a\":1},\"empty\":\"\"}\n",
     "PRIORITY=4\nSYSLOG_IDENTIFIER=me\n"
     "MESSAGE=qwen lease L1 ready pid=-4 path=\"/a b\" device=gpu0 {\"a\":1} empty=\"\"\n"
     "WHARF_MODEL=qwen\nWHARF_PID=-4\nWHARF_PATH=/a b\nWHARF_DEVICE=gpu0\nWHARF_LEASE=L1\n"
     "WHARF_DETAILS={\"a\":1}\nWHARF_EMPTY=\n"},
    {{LOG_ERROR, at, "m\xff\n", "x\r\n\xe2\x80\xa8y\xff", 8, {hostile, countof(hostile)}},
     TIME " error m\\xff\\x0a x\\x0d\\x0a\\xe2\\x80\\xa8y\\xff agent=\"a\\x0a" TIME
          " info  forged\\\"\\\\\\x1b[2J\\x7f\\xc2\\x9b\\x00\\xff\\xc3(=b\"\n",
     "{\"time\":\"" TIME "\",\"level\":\"error\",\"msg\":\"x\\u000d\\n\\u2028y\xef\xbf\xbd\","
     "\"model\":\"m\xef\xbf\xbd\\n\",\"agent\":\"a\\n" TIME " info  "
     "forged\\\"\\\\\\u001b[2J\\u007f\\u009b\\u0000\xef\xbf\xbd\xef\xbf\xbd(=b\",\"shown\":"
     "\"a\\n" TIME
     " info  forged\\\"\\\\\\u001b[2J\\u007f\\u009b\\u0000\xef\xbf\xbd\xef\xbf\xbd(=b\"}\n",
     NULL},
};

static void compare(size_t i, const char *what, const char *got, size_t n, const char *want)
{
    if (n != strlen(want) || memcmp(got, want, n) != 0)
        fail_msg("row %zu, %s:\n%.*s, not\n%s", i, what, (int)n, got, want);
}

static void test_forms(void **state)
{
    (void)state;
    static char name[] = "me";
    program_invocation_short_name = name;
    for (size_t i = 0; i < countof(cases); i++) {
        char line[LOGFORM_HUMAN_MAX];
        struct buf json = {0}, journald = {0};
        size_t n = logform_human(&cases[i].entry, NULL, false, line);
        compare(i, "human", line, n, cases[i].human);
        logform_json(&cases[i].entry, &json);
        compare(i, "json", json.data, json.len, cases[i].json);
        logform_journald(&cases[i].entry, &journald);
        if (cases[i].journald)
            compare(i, "journald", journald.data, journald.len, cases[i].journald);
        buf_fini(&json);
        buf_fini(&journald);
    }
}

/* Read as the journal reads it: fields NAME=value, or NAME, a length of 64 bits and so many bytes.
 */
static void test_a_newline_makes_no_field_of_its_own(void **state)
{
    (void)state;
    static const char *const names[] = {"PRIORITY",    "SYSLOG_IDENTIFIER", "MESSAGE",
                                        "WHARF_MODEL", "WHARF_AGENT",       "WHARF_SHOWN"};
    struct buf out = {0};
    size_t count = 0;
    logform_journald(&cases[2].entry, &out);
    for (size_t i = 0; i < out.len; count++) {
        assert_true(count < countof(names));
        size_t name_n = strcspn(out.data + i, "=\n"), n = 0;
        const char *value = out.data + i + name_n + 1;
        assert_int_equal(name_n, strlen(names[count]));
        assert_memory_equal(out.data + i, names[count], name_n);
        if (out.data[i + name_n] == '=') {
            n = strcspn(value, "\n");
        } else {
            for (int k = 7; k >= 0; k--)
                n = n << 8 | (unsigned char)value[k];
            value += 8;
        }
        if (count >= 4) {
            assert_int_equal(n, sizeof(HOSTILE) - 1);
            assert_memory_equal(value, HOSTILE, n);
        }
        assert_int_equal(value[n], '\n');
        i = (size_t)(value + n + 1 - out.data);
    }
    assert_int_equal(count, countof(names));
    buf_fini(&out);
}

static void test_colours_and_times(void **state)
{
    (void)state;
    char line[LOGFORM_HUMAN_MAX];
    const struct log_entry e = {LOG_WARN, at, NULL, "x", 1, {NULL, 0}};
    compare(0, "colours", line, logform_human(&e, NULL, true, line),
            "\033[m" TIME " \033[33mwarn  \033[mx\n");
    compare(0, "no time", line, logform_human(&e, logtime_find(""), false, line), "warn  x\n");
}

/* At every length around the limit: a line, cut at whole characters, and no byte behind it. */
static void test_what_is_too_long_is_cut(void **state)
{
    (void)state;
    char text[3 * LOGFORM_LINE_MAX], *line = malloc(LOGFORM_HUMAN_MAX);
    assert_non_null(line);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "\xe2\x82\xac"[i % 3];
    for (size_t shift = 0; shift < 3; shift++) {
        const struct log_field f = {.name = "f", .text = text, .n = sizeof(text)};
        const struct log_entry e = {LOG_INFO, at, NULL, text, 3 * 600, {&f, 1}},
                               said = {LOG_INFO, at, "xxx" + shift, text, sizeof(text), {NULL, 0}};
        size_t n = logform_human(&e, NULL, false, line);
        assert_true(n <= LOGFORM_HUMAN_MAX && line[n - 1] == '\n');
        n = logform_human(&said, NULL, false, line);
        assert_true(n > LOGFORM_LINE_MAX - 8 && n <= LOGFORM_LINE_MAX + 1 && line[n - 1] == '\n');
        assert_null(memchr(line, '\\', n));
        memset(text, '\1', sizeof(text));
        n = logform_human(&said, NULL, true, line);
        assert_true(n <= LOGFORM_HUMAN_MAX && line[n - 1] == '\n');
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = "\xe2\x82\xac"[i % 3];
    }
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_a_newline_makes_no_field_of_its_own),
        cmocka_unit_test(test_colours_and_times),
        cmocka_unit_test(test_what_is_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
