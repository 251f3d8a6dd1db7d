/* Who stands out, at the edges of the rule; sums of leases; which policy is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "report_past.h"

/* A report of nothing but these sums. */
struct sums {
    struct past past;
    struct report report;
};

static void prepare(struct sums *s, uint64_t waited_s, uint32_t requests)
{
    *s = (struct sums){.report = {.waited_ns = waited_s * NS_PER_S, .requests = requests}};
    s->report.past = &s->past;
    s->report.models = alloc_zeroed(4, sizeof(*s->report.models));
    s->report.clients = alloc_zeroed(4, sizeof(*s->report.clients));
    s->report.leases = alloc_zeroed(4, sizeof(*s->report.leases));
}

static void add_model(struct sums *s, const char *name, uint32_t requests, uint64_t cost_s)
{
    s->report.models[s->report.model_count++] = (struct report_model){
        .name = name, .requests = requests, .cost_ns = cost_s * NS_PER_S, .cost_times = 1};
}

static void add_client(struct sums *s, const char *name, uint32_t requests, uint64_t cost_s)
{
    s->report.clients[s->report.client_count++] = (struct report_client){
        .name = name, .requests = requests, .cost_ns = cost_s * NS_PER_S, .cost_times = 1};
}

static void expect(struct sums *s, const char *name, bool stands_out)
{
    report_find_worst(&s->report);
    const struct report_worst *w = &s->report.worst;
    if (!name)
        assert_null(w->name);
    else
        assert_string_equal(w->name, name);
    assert_int_equal(w->stands_out, stands_out);
    report_fini(&s->report);
}

static void test_edges(void **state)
{
    static const struct {
        uint64_t a_cost_s, b_cost_s;
        uint32_t a_requests;
        bool stands_out;
    } cases[] = {
        {400, 200, 100, true},  {334, 200, 100, true},
        {332, 200, 100, false},                         /* less than a third */
        {400, 266, 100, true},  {400, 268, 100, false}, /* another nearly as much */
        {400, 200, 133, true},  {400, 200, 140, false}, /* it asks for so much itself */
    };
    struct sums s;
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        prepare(&s, 1000, 1000);
        add_model(&s, "b", 1, cases[i].b_cost_s);
        add_model(&s, "a", cases[i].a_requests, cases[i].a_cost_s);
        expect(&s, "a", cases[i].stands_out);
    }
    prepare(&s, 100, 1000);
    add_model(&s, "a", 1, 59);
    expect(&s, "a", false); /* not worth a word */
    prepare(&s, 1000, 1000);
    add_model(&s, "a", 1, 0);
    expect(&s, NULL, false);
    prepare(&s, 0, 0);
    expect(&s, NULL, false);
}

static void test_a_client_counts_beyond_its_models(void **state)
{
    struct sums s;
    (void)state;
    prepare(&s, 1000, 1000);
    add_model(&s, "m", 10, 400);
    add_client(&s, "k", 10, 499);
    expect(&s, "m", true);
    prepare(&s, 1000, 1000);
    add_model(&s, "m", 10, 400);
    add_client(&s, "k", 10, 501);
    expect(&s, "k", true);
    /* Two models alike do not stand out; the client that asks for both does. */
    prepare(&s, 1000, 1000);
    add_model(&s, "left", 10, 420);
    add_model(&s, "right", 10, 410);
    add_client(&s, "k", 20, 400);
    expect(&s, "k", true);
}

static void test_advice(void **state)
{
    struct sums s;
    (void)state;
    prepare(&s, 1000, 1000);
    s.report.leases[s.report.lease_count++] = (struct report_lease){.name = "train",
                                                                    .cost_ns = 500 * NS_PER_S,
                                                                    .cost_times = 7,
                                                                    .held_ns = 3600 * NS_PER_S,
                                                                    .bytes = GIB};
    report_find_worst(&s.report);
    assert_int_equal(s.report.worst.who, WHO_LEASE);
    assert_true(s.report.worst.stands_out);
    assert_non_null(strstr(s.report.advice, "held for 1h, with 1GiB"));
    report_fini(&s.report);
    prepare(&s, 1000, 1000);
    (void)names_number(&s.past.keys, "cron");
    add_model(&s, "m", 10, 500);
    s.report.models[0].top_key = 1;
    s.report.models[0].top_key_requests = 8;
    report_find_worst(&s.report);
    assert_string_equal(s.report.worst.key, "cron");
    assert_non_null(strstr(s.report.advice, "for 10 requests, nearly all of one client"));
    s.report.models[0].top_key_requests = 7;
    report_find_worst(&s.report);
    assert_null(s.report.worst.key);
    report_fini(&s.report);
    past_fini(&s.past);
}

static void test_policies_told(void **state)
{
    struct report r = {.past = NULL};
    struct buf out = {0};
    (void)state;
    report_tell_policies(&r, &out);
    assert_int_equal(out.len, 0);
    struct sim_result results[] = {
        {.policy = {.name = "fifo+group"}, .wait_sum_ns = 1000 * NS_PER_S},
        {.policy = {.name = "fair+fit"}, .wait_sum_ns = 400 * NS_PER_S}};
    r.policies = (struct report_policies){.results = results, .count = 2, .own = 0, .best = 1};
    report_tell_policies(&r, &out);
    assert_non_null(strstr(out.data, "fair+fit would have saved 10m of waiting"));
    buf_clear(&out);
    results[1].wait_sum_ns = 991 * NS_PER_S; /* less than a hundredth */
    report_tell_policies(&r, &out);
    assert_non_null(strstr(out.data, "No other policy would have been better than fifo+group"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges), cmocka_unit_test(test_a_client_counts_beyond_its_models),
        cmocka_unit_test(test_advice), cmocka_unit_test(test_policies_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
