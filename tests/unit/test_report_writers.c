/* What is written: texts are text in markup and JSON, and nothing is written of nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/tables.h"
#include "report_past.h"
#include "simulate/markup.h"

static void test_markup(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"a b", "a b"},
        {"<script>", "&#60;script&#62;"},
        {"&amp;\"'", "&#38;amp;&#34;&#39;"},
        {"a\nb\x1b[m\x7f", "a b [m "},
        {"\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac"},
        {"\xef\xbf\xbe.\xef\xbf\xbf.\xef\xbf\xbd", " . .\xef\xbf\xbd"},
        {"\xef\xbf", "\xef\xbf"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf out = {0};
        markup_text(&out, cases[i].text);
        assert_string_equal(out.data ? out.data : "", cases[i].want);
        buf_fini(&out);
    }
}

static void make(struct past *p, struct report *r)
{
    past_window(p, PAST_BEGIN_NS, PAST_BEGIN_NS + 86400 * NS_PER_S);
    report_make(p, r);
}

static void test_nothing(void **state)
{
    struct past p = {.from_ns = 0};
    struct report r;
    struct report_table tables[REPORT_TABLES_MAX];
    struct buf out = {0};
    (void)state;
    past_window(&p, 0, 0);
    report_make(&p, &r);
    assert_int_equal(report_tables(&r, 10, tables), 0);
    report_write_json(&out, &r);
    json_t *json = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_int_equal(json_array_size(json_object_get(json, "models")), 0);
    assert_true(json_is_null(json_object_get(json_object_get(json, "worst"), "name")));
    json_decref(json);
    buf_clear(&out);
    report_write_html(&out, &r);
    report_write_svg(&out, &r);
    assert_non_null(strstr(out.data, "</svg>"));
    buf_fini(&out);
    report_fini(&r);
    past_fini(&p);
}

static void test_rows_beyond_are_counted(void **state)
{
    struct past p = {.from_ns = 0};
    struct report r;
    struct report_table tables[REPORT_TABLES_MAX];
    char name[16];
    (void)state;
    for (int i = 0; i < 15; i++) {
        snprintf(name, sizeof(name), "m%02d", i);
        past_add_request(&p, i, name, "k", 0);
        past_add_request(&p, i, i < 3 ? name : "m00", "k", i);
    }
    make(&p, &r);
    uint32_t count = report_tables(&r, 10, tables);
    assert_string_equal(tables[0].title, "Models");
    assert_int_equal(tables[0].row_count, 10);
    assert_int_equal(tables[0].left_out, 5);
    assert_string_equal(tables[0].cells[0], "m00"); /* the busiest first, and then by name */
    assert_string_equal(tables[0].cells[tables[0].column_count], "m01");
    assert_string_equal(tables[0].cells[3 * tables[0].column_count], "m03");
    for (uint32_t i = 0; i < count; i++)
        report_table_fini(&tables[i]);
    report_fini(&r);
    past_fini(&p);
}

static void test_json_is_whole(void **state)
{
    struct past p = {.from_ns = 0};
    struct report r;
    struct buf out = {0};
    (void)state;
    past_add_request(&p, 60, "a", "anna", 20);
    past_add_request(&p, 3700, "a", "ben", 0);
    past_add_swap(&p, 10, "unload", "a", 1, ",'for_lease':'\\u0001\\\"x'");
    past_add_swap(&p, 70, "load", "a", 10, "");
    make(&p, &r);
    report_write_json(&out, &r);
    json_t *json = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    const json_t *lease = json_array_get(json_object_get(json, "leases"), 0);
    assert_string_equal(json_string_value(json_object_get(lease, "lease")), "\x01\"x");
    assert_true(json_real_value(json_object_get(lease, "cost_s")) == 20);
    assert_int_equal(json_array_size(json_object_get(json, "hours")), 24);
    assert_int_equal(json_integer_value(json_object_get(json, "requests")), 2);
    json_decref(json);
    buf_fini(&out);
    report_fini(&r);
    past_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markup), cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_rows_beyond_are_counted), cmocka_unit_test(test_json_is_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
