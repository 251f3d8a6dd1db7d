/* Records: what is taken, what is damaged, and windows of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "report_past.h"

static void test_whole_request(void **state)
{
    struct past p = {.from_ns = 0};
    (void)state;
    assert_true(
        past_add(&p, PAST_REQUESTS,
                 "{'id':7,'arrived':'2024-01-01T00:00:01.500Z','model':'a','class':"
                 "'background','path':'/x','status':429,'ended':'done','key':'k','trace':null,"
                 "'waited_ms':null,'load_ms':3,'first_byte_ms':4,'total_ms':5,'input_tokens':6,"
                 "'output_tokens':7,'cached_tokens':8,'new':[{}]}"));
    const struct past_request *q = &p.requests[0];
    assert_int_equal(q->at_ns, PAST_BEGIN_NS + 1500 * NS_PER_MS);
    assert_string_equal(p.models.texts[q->model - 1], "a");
    assert_string_equal(p.keys.texts[q->key - 1], "k");
    assert_int_equal(q->class, CLASS_BACKGROUND);
    assert_int_equal(q->status, 429);
    assert_int_equal(q->waited_ms, PAST_UNKNOWN);
    assert_int_equal(past_waited_ns(q), 0);
    assert_int_equal(q->load_ms, 3);
    assert_int_equal(q->first_byte_ms, 4);
    assert_int_equal(q->total_ms, 5);
    assert_int_equal(q->input, 6);
    assert_int_equal(q->output, 7);
    assert_int_equal(q->cached, 8);
    past_fini(&p);
}

static void test_what_is_damaged(void **state)
{
    static const struct {
        enum past_kind kind;
        const char *line;
        bool taken;
    } cases[] = {
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00Z','model':'a'}", true},
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00+02:00','model':'a','key':null}", true},
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00Z','model':'a','key':''}", true},
        {PAST_REQUESTS, "{'model':'a'}", false},
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00Z','model':''}", false},
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00Z','model':7}", false},
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00Z','model':'a','key':7}", false},
        {PAST_REQUESTS, "{'arrived':1704067200,'model':'a'}", false},
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00Z','model':'a','waited_ms':1e12}", false},
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00Z','model':'a','status':1000}", false},
        {PAST_REQUESTS, "{'arrived':'2024-01-01T00:00:00Z','model':'a','class':'best'}", false},
        {PAST_REQUESTS, "[]", false},
        {PAST_REQUESTS, "{", false},
        {PAST_SWAPS, "{'at':'2024-01-01T00:00:00Z','model':'a','kind':'load'}", true},
        {PAST_SWAPS, "{'at':'2024-01-01T00:00:00Z','model':'a'}", false},
        {PAST_SWAPS, "{'at':'2024-01-01T00:00:00Z','model':'a','kind':'swap'}", false},
        {PAST_SWAPS, "{'at':'2024-01-01T00:00:00Z','model':'a','kind':'load','seconds':-1}", false},
        {PAST_SWAPS, "{'at':'2024-01-01T00:00:00Z','model':'a','kind':'load','bytes':'8'}", false},
        {PAST_LEASES, "{'asked':'2024-01-01T00:00:00Z','id':'x'}", true},
        {PAST_LEASES, "{'asked':'2024-01-01T00:00:00Z','name':'x','granted':'then'}", false},
        {PAST_LEASES, "{'asked':'2024-01-01T00:00:00Z'}", false},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct past p = {.from_ns = 0};
        if (past_add(&p, cases[i].kind, cases[i].line) != cases[i].taken)
            fail_msg("%s: %s", cases[i].line, cases[i].taken ? "not taken" : "taken");
        assert_int_equal(p.counts[cases[i].kind], cases[i].taken);
        assert_int_equal(p.damaged[cases[i].kind], !cases[i].taken);
        past_fini(&p);
    }
}

static void test_window(void **state)
{
    struct past p = {.from_ns = 0};
    (void)state;
    past_add_request(&p, 30, "b", "k", 0);
    past_add_request(&p, 20, "a", "k", 0);
    past_add_request(&p, 20, "b", "k", 1);
    past_add_request(&p, 10, "a", "k", 2);
    past_add_request(&p, 40, "b", "k", 0);
    past_add_swap(&p, 35, "load", "a", 1, "");
    past_add_swap(&p, 5, "load", "a", 1, "");
    past_add_swap(&p, 40, "load", "a", 1, "");
    assert_int_equal(past_begin(&p), PAST_BEGIN_NS + 5 * NS_PER_S);
    assert_int_equal(past_end(&p), PAST_BEGIN_NS + 40 * NS_PER_S + 1);
    past_window(&p, PAST_BEGIN_NS + 20 * NS_PER_S, PAST_BEGIN_NS + 40 * NS_PER_S);
    /* From its first moment on, up to its last; by model and time. b came first. */
    assert_int_equal(p.counts[PAST_REQUESTS], 3);
    struct past_span b = past_span_of(&p, 1), a = past_span_of(&p, 2);
    assert_int_equal(b.end - b.first, 2);
    assert_int_equal(a.end - a.first, 1);
    assert_int_equal(p.requests[b.first].waited_ms, 1000);
    assert_int_equal(p.requests[a.first].waited_ms, 0);
    /* Swaps from before stay, in order. */
    assert_int_equal(p.counts[PAST_SWAPS], 2);
    assert_true(p.swaps[0].at_ns < p.swaps[1].at_ns);
    past_fini(&p);
}

static void test_many_devices_share_the_last_bit(void **state)
{
    struct past p = {.from_ns = 0};
    char line[256];
    (void)state;
    for (int i = 0; i < 70; i++) {
        snprintf(line, sizeof(line),
                 "{'at':'2024-01-01T00:00:00Z','model':'a','kind':'load','devices':['d%d']}", i);
        assert_true(past_add(&p, PAST_SWAPS, line));
        assert_int_equal(p.swaps[i].devices, UINT64_C(1) << (i < 63 ? i : 63));
    }
    past_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_request), cmocka_unit_test(test_what_is_damaged),
        cmocka_unit_test(test_window), cmocka_unit_test(test_many_devices_share_the_last_bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
