/* Who will be asked for next: shares, recency, askers, and that they are mixed by what they earn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pure/check.h"
#include "base/pure/rng.h"
#include "core/reuse.h"

#define MODELS 4

struct stream {
    struct reuse reuse;
    struct reuse_model models[MODELS];
};

static void ask(struct stream *s, uint32_t model, uint32_t key)
{
    reuse_learn(&s->reuse, &s->models[model], model, key);
}

static uint64_t chance(const struct stream *s, uint32_t model)
{
    return reuse_probability(&s->reuse, &s->models[model], model);
}

static void test_nothing_is_known(void **state)
{
    (void)state;
    struct stream s = {0};
    assert_int_equal(chance(&s, 0), 1);
    ask(&s, 1, 0);
    assert_true(chance(&s, 1) > chance(&s, 0));
}

static void test_what_was_used_last_is_likelier(void **state)
{
    (void)state;
    struct stream s = {0};
    for (uint32_t m = 0; m < MODELS; m++)
        ask(&s, m, 0);
    for (uint32_t m = 1; m < MODELS; m++)
        assert_true(chance(&s, m) > chance(&s, m - 1));
}

/* Drawn at random, two to one: the shares come out, whoever was last. */
static void test_shares(void **state)
{
    (void)state;
    struct stream s = {0};
    struct rng rng = {7};
    for (int i = 0; i < 3000; i++)
        ask(&s, rng_below(&rng, 3) == 2, 0);
    ask(&s, 1, 0);
    assert_in_range(chance(&s, 0), REUSE_ONE * 5 / 10, REUSE_ONE * 8 / 10);
    assert_in_range(chance(&s, 1), REUSE_ONE * 2 / 10, REUSE_ONE * 5 / 10);
}

/* What was asked for a thousand times, long ago, is forgotten in time. */
static void test_the_past_fades(void **state)
{
    (void)state;
    struct stream s = {0};
    for (int i = 0; i < 1000; i++)
        ask(&s, 0, 0);
    for (int i = 0; i < 100000; i++)
        ask(&s, 1 + (uint32_t)(i % 2), 0);
    assert_true(chance(&s, 0) < REUSE_ONE / 100);
    assert_true(chance(&s, 0) >= 1);
}

/* Two askers who stay with what they use: their models are likely, though a third was popular. */
static void test_askers_stay(void **state)
{
    (void)state;
    struct stream s = {0};
    for (int i = 0; i < 300; i++)
        ask(&s, 3, 0);
    for (int i = 0; i < 400; i++)
        ask(&s, (uint32_t)(i % 2), 1 + (uint32_t)(i % 2));
    assert_true(chance(&s, 0) > REUSE_ONE / 4);
    assert_true(chance(&s, 1) > REUSE_ONE / 4);
    assert_true(chance(&s, 3) < REUSE_ONE / 16);
    /* One of them changes: what it had becomes unlikely. */
    uint64_t before = chance(&s, 1);
    for (int i = 0; i < 20; i++)
        ask(&s, i % 2 ? 2 : 0, 1 + (uint32_t)(i % 2));
    assert_true(chance(&s, 1) < before / 2);
    assert_true(chance(&s, 2) > REUSE_ONE / 4);
}

/* More askers than are kept: the one that was away longest is forgotten, and nothing breaks. */
static void test_many_askers(void **state)
{
    (void)state;
    struct stream s = {0};
    struct rng rng = {1};
    for (uint32_t i = 0; i < 20000; i++)
        ask(&s, (uint32_t)rng_below(&rng, MODELS), 1 + (uint32_t)rng_below(&rng, 200));
    uint64_t sum = 0, weights = 0;
    for (uint32_t m = 0; m < MODELS; m++)
        sum += chance(&s, m);
    for (size_t i = 0; i < countof(s.reuse.weight); i++)
        weights += s.reuse.weight[i];
    assert_in_range(sum, REUSE_ONE * 8 / 10, REUSE_ONE * 12 / 10);
    assert_in_range(weights, REUSE_ONE * 8 / 10, REUSE_ONE * 12 / 10);
}

/* However long ago most moves were, who moves now is noticed: their counts do not grow for ever. */
static void test_habits_change(void **state)
{
    (void)state;
    struct stream s = {0};
    for (int i = 0; i < 100000; i++)
        ask(&s, 0, 1);
    assert_true(s.reuse.stays > 1000 && s.reuse.stays < 10000);
    for (int i = 0; i < 10000; i++)
        ask(&s, (uint32_t)(i % 2), 1);
    assert_true(s.reuse.switches > s.reuse.stays);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known),
        cmocka_unit_test(test_what_was_used_last_is_likelier),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_the_past_fades),
        cmocka_unit_test(test_askers_stay),
        cmocka_unit_test(test_many_askers),
        cmocka_unit_test(test_habits_change),
    };
    return cmocka_run_group_tests_name("core_reuse", tests, NULL, NULL);
}
