/* The gate by itself: who comes in, in which order, and what leaving does from every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/pure/rng.h"
#include "core/gate.h"

#define ENTRANTS 8

static bool enter(struct gate *g, struct gate_entrant *e, enum class class)
{
    bool inside = gate_enter(g, e, class);
    gate_check(g);
    return inside;
}

/* Leaves, and returns the one that comes in instead, or NULL. */
static struct gate_entrant *leave(struct gate *g, struct gate_entrant *e)
{
    gate_leave(g, e);
    assert_int_equal(e->place, GATE_OUTSIDE);
    struct gate_entrant *next = gate_next(g);
    gate_check(g);
    return next;
}

static void test_limit(void **state)
{
    (void)state;
    for (uint32_t limit = 1; limit <= 4; limit++) {
        struct gate g;
        struct gate_entrant e[ENTRANTS] = {0};
        gate_init(&g, limit);
        for (uint32_t i = 0; i < ENTRANTS; i++)
            assert_int_equal(enter(&g, &e[i], CLASS_NORMAL), i < limit);
        assert_int_equal(gate_waiting(&g), ENTRANTS - limit);
        assert_int_equal(g.inside, limit);
        assert_null(gate_next(&g));
        for (uint32_t i = 0; i < ENTRANTS; i++)
            assert_ptr_equal(leave(&g, &e[i]), i + limit < ENTRANTS ? &e[i + limit] : NULL);
        assert_int_equal(g.inside, 0);
    }
}

static void test_classes(void **state)
{
    (void)state;
    struct gate g;
    struct gate_entrant e[ENTRANTS] = {0};
    static const enum class classes[ENTRANTS] = {
        CLASS_BACKGROUND, CLASS_BACKGROUND, CLASS_NORMAL, CLASS_FOREGROUND,
        CLASS_BACKGROUND, CLASS_FOREGROUND, CLASS_NORMAL, CLASS_BACKGROUND};
    static const uint32_t order[ENTRANTS] = {0, 3, 5, 2, 6, 1, 4, 7};
    gate_init(&g, 1);
    for (uint32_t i = 0; i < ENTRANTS; i++)
        enter(&g, &e[i], classes[i]);
    for (uint32_t i = 0; i + 1 < ENTRANTS; i++)
        assert_ptr_equal(leave(&g, &e[order[i]]), &e[order[i + 1]]);
    assert_null(leave(&g, &e[order[ENTRANTS - 1]]));
}

static void test_leave_from_every_place(void **state)
{
    (void)state;
    struct gate g;
    struct gate_entrant e[3] = {0};
    gate_init(&g, 1);
    assert_null(leave(&g, &e[0])); /* outside: nothing */
    enter(&g, &e[0], CLASS_NORMAL);
    enter(&g, &e[1], CLASS_NORMAL);
    enter(&g, &e[2], CLASS_NORMAL);
    assert_null(leave(&g, &e[1])); /* waiting: a cancel admits nobody */
    assert_int_equal(gate_waiting(&g), 1);
    assert_ptr_equal(leave(&g, &e[0]), &e[2]);
    assert_null(leave(&g, &e[2]));
    assert_true(enter(&g, &e[1], CLASS_BACKGROUND)); /* and may come back */
}

/* Between a release and gate_next, a newcomer of any class stays behind those who wait. */
static void test_newcomer_does_not_overtake(void **state)
{
    (void)state;
    struct gate g;
    struct gate_entrant e[3] = {0};
    gate_init(&g, 1);
    enter(&g, &e[0], CLASS_BACKGROUND);
    enter(&g, &e[1], CLASS_BACKGROUND);
    gate_leave(&g, &e[0]);
    assert_false(gate_enter(&g, &e[2], CLASS_FOREGROUND));
    /* It waits like the other, and goes before it by its class. */
    assert_ptr_equal(gate_next(&g), &e[2]);
    assert_null(gate_next(&g));
}

static void test_limit_changes(void **state)
{
    (void)state;
    struct gate g;
    struct gate_entrant e[ENTRANTS] = {0};
    gate_init(&g, 1);
    for (uint32_t i = 0; i < ENTRANTS; i++)
        enter(&g, &e[i], CLASS_NORMAL);
    g.limit = 3;
    assert_ptr_equal(gate_next(&g), &e[1]);
    assert_ptr_equal(gate_next(&g), &e[2]);
    assert_null(gate_next(&g));
    g.limit = 1; /* nobody is put out */
    assert_null(leave(&g, &e[0]));
    assert_null(leave(&g, &e[1]));
    assert_ptr_equal(leave(&g, &e[2]), &e[3]);
}

/* Who has waited for too long goes before all that have not, in the order in which they were said
 * to. */
static void test_overdue(void **state)
{
    (void)state;
    struct gate g;
    struct gate_entrant e[ENTRANTS] = {0};
    gate_init(&g, 1);
    for (uint32_t i = 0; i < 6; i++)
        enter(&g, &e[i], i < 4 ? CLASS_BACKGROUND : CLASS_FOREGROUND);
    gate_overdue(&g, &e[2]);
    gate_overdue(&g, &e[5]);
    gate_overdue(&g, &e[1]);
    assert_int_equal(gate_waiting(&g), 5);
    gate_leave(&g, &e[5]); /* it gave up */
    assert_ptr_equal(leave(&g, &e[0]), &e[2]);
    assert_ptr_equal(leave(&g, &e[2]), &e[1]);
    assert_ptr_equal(leave(&g, &e[1]), &e[4]);
    enter(&g, &e[2], CLASS_BACKGROUND); /* anew: not overdue any more */
    assert_ptr_equal(leave(&g, &e[4]), &e[3]);
    assert_ptr_equal(leave(&g, &e[3]), &e[2]);
}

/* Against a model that is plainly right: a list in order of arrival, searched from its beginning.
 */
struct mirror {
    uint32_t order[64], count;
    enum class classes[64];
};

static uint32_t mirror_take(struct mirror *m, uint32_t at)
{
    uint32_t who = m->order[at];
    m->count--;
    memmove(&m->order[at], &m->order[at + 1], (m->count - at) * sizeof(m->order[0]));
    memmove(&m->classes[at], &m->classes[at + 1], (m->count - at) * sizeof(m->classes[0]));
    return who;
}

static uint32_t mirror_pop(struct mirror *m)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < m->count; i++)
        if (m->classes[i] < m->classes[best])
            best = i;
    return mirror_take(m, best);
}

static void mirror_remove(struct mirror *m, uint32_t who)
{
    uint32_t at = 0;
    while (m->order[at] != who)
        at++;
    mirror_take(m, at);
}

static void test_random_against_a_list(void **state)
{
    (void)state;
    struct rng rng = {42};
    struct gate g;
    struct gate_entrant e[64] = {0};
    struct mirror m = {.count = 0};
    gate_init(&g, 3);
    for (uint32_t step = 0; step < 50000; step++) {
        uint32_t i = (uint32_t)rng_below(&rng, 64);
        if (e[i].place == GATE_OUTSIDE) {
            enum class class = (enum class)rng_below(&rng, CLASS__COUNT);
            if (!enter(&g, &e[i], class)) {
                m.classes[m.count] = class;
                m.order[m.count++] = i;
            }
            continue;
        }
        bool was_inside = e[i].place == GATE_INSIDE;
        if (!was_inside)
            mirror_remove(&m, i);
        struct gate_entrant *next = leave(&g, &e[i]);
        assert_int_equal(next != NULL, was_inside && m.count > 0);
        if (next)
            assert_int_equal((uint32_t)(next - e), mirror_pop(&m));
        assert_int_equal(gate_waiting(&g), m.count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_leave_from_every_place),
        cmocka_unit_test(test_newcomer_does_not_overtake),
        cmocka_unit_test(test_limit_changes),
        cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_random_against_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
