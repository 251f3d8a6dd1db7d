#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/pure/check.h"
#include "base/pure/heap.h"
#include "base/pure/rng.h"

#define SLOTS 64
#define STEPS 30000

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    mock_assert(0, expr, file, line);
    abort();
}

/* The naive model: a key for each slot that is a member. */
struct model {
    bool member[SLOTS];
    struct heap_key key[SLOTS];
    uint32_t count;
};

static int least(const struct model *m)
{
    int best = -1;
    for (int s = 0; s < SLOTS; s++) {
        if (!m->member[s])
            continue;
        struct heap_key a = m->key[s], b = m->key[best < 0 ? s : best];
        if (best < 0 || a.major < b.major || (a.major == b.major && a.minor < b.minor))
            best = s;
    }
    return best;
}

static void setup(struct heap *h)
{
    void *mem = calloc(1, heap_bytes(SLOTS));
    assert_non_null(mem);
    heap_init(h, mem, SLOTS);
}

static void teardown(struct heap *h)
{
    free(h->items);
}

static void compare(const struct heap *h, const struct model *m)
{
    int slot = least(m);
    const struct heap_item *top = heap_peek(h);
    heap_check(h);
    assert_int_equal(h->count, m->count);
    assert_int_equal(top ? (int)top->slot : -1, slot);
    for (uint32_t s = 0; s < SLOTS; s++) {
        const struct heap_item *item = heap_find(h, s);
        assert_int_equal(heap_has(h, s), m->member[s]);
        assert_int_equal(item != NULL, m->member[s]);
        if (item) {
            assert_int_equal(item->key.major, m->key[s].major);
            assert_int_equal(item->key.minor, m->key[s].minor);
        }
    }
}

static void test_against_an_array(void **state)
{
    (void)state;
    struct rng rng = {2};
    struct heap h;
    struct model m = {.count = 0};
    setup(&h);
    for (uint64_t i = 0; i < STEPS; i++) {
        uint32_t slot = (uint32_t)rng_below(&rng, SLOTS);
        if (rng_below(&rng, 3) == 0) {
            heap_remove(&h, slot);
            m.count -= m.member[slot];
            m.member[slot] = false;
        } else {
            /* Few majors, so that ties are common; the minors are all different. */
            struct heap_key key = {rng_below(&rng, 8), i};
            heap_set(&h, slot, key);
            m.count += !m.member[slot];
            m.member[slot] = true;
            m.key[slot] = key;
        }
        compare(&h, &m);
    }
    teardown(&h);
}

static void test_ties_keep_their_order(void **state)
{
    (void)state;
    static const uint32_t order[] = {7, 3, 9, 1, 8, 2};
    struct heap h;
    setup(&h);
    for (uint32_t i = 0; i < countof(order); i++)
        heap_set(&h, order[i], (struct heap_key){5, i});
    for (uint32_t i = 0; i < countof(order); i++) {
        assert_int_equal(heap_peek(&h)->slot, order[i]);
        heap_remove(&h, order[i]);
    }
    assert_null(heap_peek(&h));
    teardown(&h);
}

static void test_damage_is_caught(void **state)
{
    (void)state;
    struct heap h;
    setup(&h);
    heap_set(&h, 1, (struct heap_key){1, 0});
    heap_set(&h, 2, (struct heap_key){2, 0});
    h.items[0].key.major = 3;
    expect_assert_failure(heap_check(&h));
    h.items[0].key.major = 1;
    heap_check(&h);
    h.place[5] = 1;
    expect_assert_failure(heap_check(&h));
    teardown(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_ties_keep_their_order),
        cmocka_unit_test(test_damage_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
