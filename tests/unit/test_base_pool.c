#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/pure/check.h"
#include "base/pure/pool.h"
#include "base/pure/rng.h"

#define SLOTS 24
#define STEPS 30000

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    mock_assert(0, expr, file, line);
    abort();
}

static void setup(struct pool *p)
{
    void *mem = calloc(1, pool_bytes(SLOTS));
    assert_non_null(mem);
    pool_init(p, mem, SLOTS);
}

static void teardown(struct pool *p)
{
    free(p->gen);
}

/* Every id ever given is remembered by slot: only the latest may be alive. */
static void test_against_an_array(void **state)
{
    (void)state;
    struct rng rng = {3};
    struct pool p;
    struct id alive[SLOTS] = {{0, 0}}, dead[SLOTS] = {{0, 0}};
    uint32_t used = 0;
    setup(&p);
    for (int i = 0; i < STEPS; i++) {
        uint32_t slot = (uint32_t)rng_below(&rng, SLOTS);
        struct id id = {0, 0};
        if (pool_used(&p, slot) && rng_below(&rng, 2)) {
            pool_put(&p, slot);
            dead[slot] = alive[slot];
            alive[slot] = (struct id){0, 0};
            used--;
        } else if (pool_get(&p, &id)) {
            assert_true(id_none(alive[id.slot]));
            assert_false(id_none(id));
            assert_false(id_equal(id, dead[id.slot]));
            alive[id.slot] = id;
            used++;
        } else {
            assert_int_equal(used, SLOTS);
        }
        assert_int_equal(p.used, used);
        for (uint32_t s = 0; s < SLOTS; s++) {
            assert_int_equal(pool_used(&p, s), !id_none(alive[s]));
            assert_int_equal(pool_alive(&p, alive[s]), !id_none(alive[s]));
            assert_false(pool_alive(&p, dead[s]));
            if (!id_none(alive[s]))
                assert_true(id_equal(pool_id(&p, s), alive[s]));
        }
    }
    teardown(&p);
}

static void test_full(void **state)
{
    (void)state;
    struct pool p;
    struct id id;
    setup(&p);
    for (uint32_t i = 0; i < SLOTS; i++) {
        assert_true(pool_get(&p, &id));
        assert_int_equal(id.slot, i);
    }
    id = (struct id){77, 78};
    assert_false(pool_get(&p, &id));
    assert_int_equal(id.slot, 77);
    assert_int_equal(id.gen, 78);
    pool_put(&p, 5);
    assert_true(pool_get(&p, &id));
    assert_int_equal(id.slot, 5);
    teardown(&p);
}

static void test_none_and_foreign_ids_are_dead(void **state)
{
    (void)state;
    static const struct id ids[] = {{0, 0}, {0, 2}, {1, 1}, {SLOTS, 1}, {POOL_NONE, 1}};
    struct pool p;
    struct id id;
    setup(&p);
    assert_true(pool_get(&p, &id));
    for (size_t i = 0; i < countof(ids); i++)
        assert_false(pool_alive(&p, ids[i]));
    assert_true(id_none((struct id){0, 0}));
    teardown(&p);
}

static void test_misuse_is_caught(void **state)
{
    (void)state;
    struct pool p;
    struct id id;
    setup(&p);
    assert_true(pool_get(&p, &id));
    pool_put(&p, id.slot);
    expect_assert_failure(pool_put(&p, id.slot));
    expect_assert_failure(pool_put(&p, SLOTS));
    expect_assert_failure((void)pool_id(&p, id.slot));
    teardown(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_none_and_foreign_ids_are_dead),
        cmocka_unit_test(test_misuse_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
