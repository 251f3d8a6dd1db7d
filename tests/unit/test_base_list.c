#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/pure/list.h"
#include "base/pure/rng.h"

#define NODES 40
#define STEPS 20000

struct node {
    int number;
    struct link link;
};

/* A broken invariant ends the test case instead of the process. */
_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    mock_assert(0, expr, file, line);
    abort();
}

static struct node nodes[NODES];

static void setup(struct list *a, struct list *b)
{
    list_init(a);
    list_init(b);
    for (int i = 0; i < NODES; i++) {
        nodes[i].number = i;
        link_init(&nodes[i].link);
    }
}

static int number_of(const struct link *n)
{
    return n ? list_entry(n, struct node, link)->number : -1;
}

/* The naive model: an array of numbers in order. */
struct model {
    int items[NODES];
    uint32_t count;
};

static void model_insert(struct model *m, uint32_t at, int number)
{
    memmove(&m->items[at + 1], &m->items[at], (m->count - at) * sizeof(m->items[0]));
    m->items[at] = number;
    m->count++;
}

static void model_remove(struct model *m, int number)
{
    uint32_t at = 0;
    while (m->items[at] != number)
        at++;
    m->count--;
    memmove(&m->items[at], &m->items[at + 1], (m->count - at) * sizeof(m->items[0]));
}

static void compare(const struct list *l, const struct model *m)
{
    const struct link *n;
    uint32_t at = 0;
    assert_int_equal(l->count, m->count);
    assert_int_equal(list_empty(l), m->count == 0);
    list_each(n, l) {
        assert_int_equal(number_of(n), m->items[at]);
        at++;
    }
    assert_int_equal(at, m->count);
    assert_int_equal(number_of(list_first(l)), m->count ? m->items[0] : -1);
    assert_int_equal(number_of(list_last(l)), m->count ? m->items[m->count - 1] : -1);
}

static void splice(struct list *to, struct model *to_model, struct list *from,
                   struct model *from_model)
{
    list_splice(to, from);
    for (uint32_t i = 0; i < from_model->count; i++)
        model_insert(to_model, to_model->count, from_model->items[i]);
    from_model->count = 0;
}

static void step(struct rng *rng, struct list l[2], struct model m[2])
{
    unsigned which = rng_below(rng, 2) & 1;
    int number = (int)rng_below(rng, NODES);
    struct link *n = &nodes[number].link;
    switch (rng_below(rng, 40)) {
    case 0:
        splice(&l[which], &m[which], &l[!which], &m[!which]);
        break;
    case 1:
        if (m[which].count) {
            int first = m[which].items[0];
            assert_int_equal(number_of(list_pop(&l[which])), first);
            model_remove(&m[which], first);
        }
        break;
    default:
        if (link_linked(n)) {
            unsigned owner = 1;
            for (uint32_t i = 0; i < m[0].count; i++)
                owner = m[0].items[i] == number ? 0 : owner;
            list_remove(&l[owner], n);
            model_remove(&m[owner], number);
        } else if (number & 1) {
            list_push(&l[which], n);
            model_insert(&m[which], m[which].count, number);
        } else {
            list_push_front(&l[which], n);
            model_insert(&m[which], 0, number);
        }
    }
}

static void test_against_an_array(void **state)
{
    (void)state;
    struct rng rng = {1};
    struct list l[2];
    struct model m[2] = {{.count = 0}, {.count = 0}};
    setup(&l[0], &l[1]);
    for (int i = 0; i < STEPS; i++) {
        step(&rng, l, m);
        compare(&l[0], &m[0]);
        compare(&l[1], &m[1]);
    }
}

static void test_removal_while_walking(void **state)
{
    (void)state;
    struct list l, unused;
    struct link *n, *tmp;
    setup(&l, &unused);
    for (int i = 0; i < 10; i++)
        list_push(&l, &nodes[i].link);
    list_each_safe(n, tmp, &l)
        if (number_of(n) % 2 == 0)
            list_remove(&l, n);
    assert_int_equal(l.count, 5);
    assert_int_equal(number_of(list_first(&l)), 1);
    assert_int_equal(number_of(list_last(&l)), 9);
}

static void test_a_zeroed_link_is_on_no_list(void **state)
{
    (void)state;
    struct list l, unused;
    struct node zeroed = {0};
    setup(&l, &unused);
    assert_false(link_linked(&zeroed.link));
    list_push(&l, &zeroed.link);
    assert_true(link_linked(&zeroed.link));
    assert_null(list_pop(&unused));
}

static void test_misuse_is_caught(void **state)
{
    (void)state;
    struct list a, b;
    setup(&a, &b);
    list_push(&a, &nodes[0].link);
    expect_assert_failure(list_push(&b, &nodes[0].link));
    expect_assert_failure(list_remove(&b, &nodes[0].link));
    expect_assert_failure(list_remove(&a, &nodes[1].link));
    a.count++;
    list_remove(&a, &nodes[0].link);
    expect_assert_failure(list_empty(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_removal_while_walking),
        cmocka_unit_test(test_a_zeroed_link_is_on_no_list),
        cmocka_unit_test(test_misuse_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
