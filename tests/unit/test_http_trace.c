#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/pure/check.h"
#include "http/trace.h"

#define ID "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

/* By the rules of W3C Trace Context, sections 3.2.2 and 4.3. */
static const struct {
    const char *value;
    bool valid;
} cases[] = {
    {"00-" ID "-" PARENT "-01", true},
    {"00-" ID "-" PARENT "-00", true},
    {"00-" ID "-" PARENT "-ff", true}, /* flags that are not known are not looked at */
    {"00-" ID "-" PARENT "-1", false},
    {"00-" ID "-" PARENT "-0x", false},
    {"00-" ID "-" PARENT "-01-", false}, /* version 00 ends there */
    {"00-" ID "-" PARENT "-01-what", false},
    {"00-" ID "-" PARENT "-01 ", false},
    {"01-" ID "-" PARENT "-01", true}, /* a later version, as far as it is known */
    {"cc-" ID "-" PARENT "-01-what-the-future-will-be-like", true},
    {"cc-" ID "-" PARENT "-01.what-the-future-will-not-be-like", false},
    {"cc-" ID "-" PARENT "-011", false},
    {"ff-" ID "-" PARENT "-01", false},
    {"0-" ID "-" PARENT "-01", false},
    {"0x-" ID "-" PARENT "-01", false},
    {"000-" ID "-" PARENT "-01", false},
    {"00-00000000000000000000000000000000-" PARENT "-01", false},
    {"00-" ID "-0000000000000000-01", false},
    {"00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01", false}, /* lower case only */
    {"00-" ID "-B7AD6B7169203331-01", false},
    {"00-.af7651916cd43dd8448eb211c80319c-" PARENT "-01", false},
    {"00-" ID "-.7ad6b7169203331-01", false},
    {"00-0af7651916cd43dd8448eb211c80319-" PARENT "-01", false},
    {"00-" ID "a-" PARENT "-01", false},
    {"00-" ID "-b7ad6b716920333-01", false},
    {"00-" ID "_" PARENT "-01", false},
    {"00_" ID "-" PARENT "-01", false},
    {"00-" ID "-" PARENT "_01", false},
    {"00-" ID "-" PARENT "-01,00-" ID "-" PARENT "-01", false},
    {"", false},
    {"00", false},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char id[TRACE_ID_MAX] = "untouched";
        bool valid = trace_parse(cases[i].value, strlen(cases[i].value), id);
        if (valid != cases[i].valid)
            fail_msg("'%s' is %s", cases[i].value, valid ? "taken" : "refused");
        assert_string_equal(id, valid ? ID : "untouched");
    }
}

/* Nothing behind what was given is read. */
static void test_a_part(void **state)
{
    static const char whole[] = "00-" ID "-" PARENT "-01";
    char id[TRACE_ID_MAX];
    (void)state;
    for (size_t n = 0; n < sizeof(whole) - 1; n++)
        assert_false(trace_parse(whole, n, id));
    assert_true(trace_parse(whole, sizeof(whole) - 1, id));
}

static void check_head(const char *fields, unsigned count, const char *wanted)
{
    struct http_head h;
    char text[1024], id[TRACE_ID_MAX] = "?";
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    size_t scan = 0;
    assert_true(http_head_parse(HTTP_REQUEST, false, text, strlen(text), &scan, &h) > 0);
    assert_int_equal(trace_find(&h, text, id), count);
    assert_string_equal(id, wanted);
}

static void test_heads(void **state)
{
    (void)state;
    check_head("", 0, "");
    check_head("TraceParent:   00-" ID "-" PARENT "-01  \r\n", 1, ID);
    check_head("trace-parent: 00-" ID "-" PARENT "-01\r\n", 0, "");
    check_head("traceparent: none\r\n", 1, "");
    /* Of two, nobody knows which is meant. */
    check_head("traceparent: 00-" ID "-" PARENT "-01\r\ntraceparent: 00-" ID "-" PARENT "-01\r\n",
               2, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_a_part),
        cmocka_unit_test(test_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
