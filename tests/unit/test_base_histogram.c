#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "base/histogram.h"
#include "base/pure/check.h"
#include "base/pure/rng.h"

#define OBSERVATIONS 1000000u

static const struct histogram_buckets few = {.bounds = {10, 20, 100}, .count = 3};

static void test_nothing_seen(void **state)
{
    struct histogram h = {0};
    (void)state;
    assert_int_equal(histogram_count(&h, &few), 0);
    assert_int_equal(h.sum, 0);
}

/* A bound belongs to the bucket below it. */
static void test_where_values_go(void **state)
{
    static const struct {
        uint64_t value;
        uint32_t bucket;
    } cases[] = {{0, 0},  {9, 0},   {10, 0},  {11, 1},        {20, 1},
                 {21, 2}, {100, 2}, {101, 3}, {UINT32_MAX, 3}};
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct histogram h = {0};
        histogram_observe(&h, &few, cases[i].value);
        for (uint32_t b = 0; b <= few.count; b++)
            assert_int_equal(h.counts[b], b == cases[i].bucket);
        assert_int_equal(h.sum, cases[i].value);
        assert_int_equal(histogram_count(&h, &few), 1);
    }
}

static void test_all_buckets(void **state)
{
    struct histogram_buckets most = {.count = HISTOGRAM_BUCKETS_MAX};
    struct histogram h = {0};
    (void)state;
    for (uint32_t i = 0; i < most.count; i++)
        most.bounds[i] = i * 2;
    for (uint64_t v = 0; v < 2 * HISTOGRAM_BUCKETS_MAX; v++)
        histogram_observe(&h, &most, v);
    assert_int_equal(h.counts[0], 1);
    for (uint32_t i = 1; i < most.count; i++)
        assert_int_equal(h.counts[i], 2);
    assert_int_equal(h.counts[most.count], 1);
    assert_int_equal(histogram_count(&h, &most), 2 * HISTOGRAM_BUCKETS_MAX);
}

/* One where every value is above all bounds. */
static void test_no_bounds(void **state)
{
    static const struct histogram_buckets none = {.count = 0};
    struct histogram h = {0};
    (void)state;
    histogram_observe(&h, &none, 0);
    histogram_observe(&h, &none, 5);
    assert_int_equal(h.counts[0], 2);
    assert_int_equal(h.sum, 5);
}

/* Against counting by hand; and it costs well under a microsecond. */
static void test_many(void **state)
{
    struct histogram h = {0};
    struct rng random = {1};
    uint64_t by_hand[4] = {0}, sum = 0;
    struct timespec from, to;
    (void)state;
    for (uint32_t i = 0; i < OBSERVATIONS; i++) {
        uint64_t v = rng_below(&random, 150);
        by_hand[v <= 10 ? 0 : v <= 20 ? 1 : v <= 100 ? 2 : 3]++;
        sum += v;
    }
    random = (struct rng){1};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (uint32_t i = 0; i < OBSERVATIONS; i++)
        histogram_observe(&h, &few, rng_below(&random, 150));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    for (uint32_t b = 0; b <= few.count; b++)
        assert_int_equal(h.counts[b], by_hand[b]);
    assert_int_equal(h.sum, sum);
    int64_t took_ns = (to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
    print_message("# %lld ns each\n", (long long)(took_ns / OBSERVATIONS));
    assert_in_range(took_ns / OBSERVATIONS, 0, 999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_seen), cmocka_unit_test(test_where_values_go),
        cmocka_unit_test(test_all_buckets),  cmocka_unit_test(test_no_bounds),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
