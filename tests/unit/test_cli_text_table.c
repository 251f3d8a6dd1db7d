/* Tables that fit: what matters least gives way first, and no number is broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "cli/text.h"
#include "cli/text_table.h"

static const struct text_column layout[] = {
    {"MODEL", 9, 8}, {"STATE", 5, 6}, {"SIZE", 4, 0}, {"FOR", 1, 6}, {"PEAK", 0, 0}};

static void fill(struct text_table *t)
{
    static const char *const rows[][5] = {{"organisation/model-of-many-words", "loading (pinned)",
                                           "12.5GiB", "the room of others", "23.5GiB"},
                                          {"tiny", "-", "500MiB", "-", "-"}};
    text_table_begin(t, layout, countof(layout));
    for (size_t i = 0; i < countof(rows); i++)
        text_table_add(t, rows[i]);
}

static void test_as_wide_as_it_needs(void **state)
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

static void test_within(void **state)
{
    (void)state;
    static const struct {
        size_t width;
        const char *lines;
    } cases[] = {
        {0,
         "MODEL                             STATE             SIZE     FOR                 PEAK\n"
         "organisation/model-of-many-words  loading (pinned)  12.5GiB  the room of others  "
         "23.5GiB\n"
         "tiny                              -                 500MiB   -                   -\n"},
        /* What matters least of what may be shortened. */
        {80, "MODEL                             STATE             SIZE     FOR         PEAK\n"
             "organisation/model-of-many-words  loading (pinned)  12.5GiB  the roo...  23.5GiB\n"
             "tiny                              -                 500MiB   -           -\n"},
        {60, "MODEL                       STATE   SIZE     FOR     PEAK\n"
             "organisation/model-of-m...  loa...  12.5GiB  the...  23.5GiB\n"
             "tiny                        -       500MiB   -       -\n"},
        /* What cannot be shortened goes, and that is said. */
        {40, "MODEL            STATE   SIZE     FOR\n"
             "organisation...  loa...  12.5GiB  the...\n"
             "tiny             -       500MiB   -\n"
             "no room for PEAK; --json has all\n"},
        {10, "MODEL\norganis...\ntiny\nno room for STATE, SIZE, FOR, PEAK; --json has all\n"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct text_table table;
        struct buf out = {0};
        fill(&table);
        text_table_print_within(&table, cases[i].width, &out);
        if (strcmp(out.data, cases[i].lines) != 0)
            fail_msg("width %zu:\n%s\nnot\n%s", cases[i].width, out.data, cases[i].lines);
        text_table_fini(&table);
        buf_fini(&out);
    }
}

/* Whatever the width, no line is wider, and each number stands there whole or not at all. */
static void test_every_width(void **state)
{
    (void)state;
    for (size_t width = 8; width <= 100; width++) {
        struct text_table table;
        size_t widths[TEXT_COLUMNS_MAX];
        fill(&table);
        text_table_measure(&table, widths);
        text_table_fit(layout, countof(layout), width, widths);
        for (uint32_t row = 0; row < table.row_count; row++) {
            struct buf line = {0};
            buf_text(&line, "");
            text_table_put_row(&table, row, widths, &line);
            if (text_width(line.data) > width)
                fail_msg("width %zu: '%s'", width, line.data);
            bool has_size = row == 1 && widths[2] > 0;
            assert_true(!has_size || strstr(line.data, "12.5GiB"));
            buf_fini(&line);
        }
        text_table_fini(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_wide_as_it_needs),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_every_width),
    };
    /* Ellipses are three dots then, wherever the tests run. */
    setenv("LC_ALL", "C", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
