/* Absences: when they begin and end, whose fault they are, and what was waited in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "report_past.h"

static void find(struct past *p, struct absences *a)
{
    past_window(p, PAST_BEGIN_NS, PAST_BEGIN_NS + 86400 * NS_PER_S);
    absences_find(p, a);
}

static void end(struct past *p, struct absences *a)
{
    absences_fini(a);
    past_fini(p);
}

static uint64_t at(int s)
{
    return PAST_BEGIN_NS + (uint64_t)s * NS_PER_S;
}

static void test_until_it_is_back(void **state)
{
    struct past p = {.from_ns = 0};
    struct absences a;
    (void)state;
    past_add_swap(&p, 0, "load", "a", 10, "");
    past_add_swap(&p, 100, "unload", "a", 1, ",'for_model':'b'");
    past_add_swap(&p, 150, "load", "a", 5, ",'ok':false"); /* in vain */
    past_add_swap(&p, 200, "load", "a", 10, "");
    past_add_swap(&p, 300, "suspend", "a", 1, ",'for_model':'b'");
    past_add_swap(&p, 310, "resume", "a", 2, "");
    past_add_swap(&p, 400, "unload", "a", 1, ",'ok':false"); /* it is still there */
    past_add_swap(&p, 500, "unload", "a", 1, "");
    find(&p, &a);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.items[0].from_ns, at(100));
    assert_int_equal(a.items[0].to_ns, at(210));
    assert_int_equal(a.items[0].reload_ns, 10 * NS_PER_S);
    assert_int_equal(a.items[1].from_ns, at(300));
    assert_int_equal(a.items[1].to_ns, at(312));
    assert_int_equal(a.items[2].to_ns, 0);
    assert_int_equal(a.items[2].for_model, 0);
    assert_int_equal(a.stay_count, 3);
    assert_int_equal(a.stays[0].from_ns, at(10));
    assert_int_equal(a.stays[0].to_ns, at(100));
    assert_int_equal(a.stays[2].to_ns, at(500));
    end(&p, &a);
}

/* Only what is waited within it counts, to the second, and whose key it is. */
static void test_what_is_charged(void **state)
{
    struct past p = {.from_ns = 0};
    struct absences a;
    (void)state;
    past_add_request(&p, 90, "b", "ben", 30);   /* the first that waits for b at 100 s */
    past_add_request(&p, 95, "b", "carla", 25); /* the second */
    past_add_request(&p, 80, "b", "emil", 5);   /* no longer */
    past_add_request(&p, 80, "a", "anna", 40);  /* 20 s of it before */
    past_add_request(&p, 150, "a", "ben", 10);
    past_add_request(&p, 205, "a", "anna", 60); /* 5 s until it is back */
    past_add_request(&p, 210, "a", "anna", 50); /* it is */
    past_add_request(&p, 150, "c", "anna", 50); /* another one's */
    past_add_swap(&p, 100, "unload", "a", 1, ",'for_model':'b'");
    past_add_swap(&p, 200, "load", "a", 10, "");
    find(&p, &a);
    assert_int_equal(a.count, 1);
    assert_string_equal(p.keys.texts[a.items[0].key - 1], "ben");
    assert_int_equal(a.items[0].requests, 3);
    assert_int_equal(a.items[0].waited_ns, 35 * NS_PER_S);
    assert_int_equal(a.items[0].others_ns, 25 * NS_PER_S);
    end(&p, &a);
}

static void add_lease(struct past *p, const char *name, int from_s, int to_s, const char *rest)
{
    char line[512];
    snprintf(line, sizeof(line),
             "{'name':'%s','asked':'2024-01-01T00:00:%02dZ','granted':'2024-01-01T00:00:%02dZ',"
             "'ended':'2024-01-01T00:%02d:%02dZ',%s}",
             name, from_s, from_s, to_s / 60, to_s % 60, rest);
    assert_true(past_add(p, PAST_LEASES, line));
}

static void test_leases_answer_together(void **state)
{
    static const struct {
        const char *rest;
        int from_s, to_s;
        uint32_t shares;
    } cases[] = {
        {"'bytes':2000,'devices':['g']", 1, 200, 1},
        {"'bytes':1999,'devices':['g']", 1, 200, 0}, /* less than both victims had */
        {"'bytes':2000,'devices':['h']", 1, 200, 0}, /* elsewhere */
        {"'bytes':2000,'devices':['g']", 1, 105, 0}, /* over by then */
        {"'bytes':null,'devices':['g']", 1, 200, 0},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct past p = {.from_ns = 0};
        struct absences a;
        add_lease(&p, "train", cases[i].from_s, cases[i].to_s, cases[i].rest);
        past_add_swap(&p, 100, "unload", "a", 1, ",'for_model':'b'");
        past_add_swap(&p, 101, "unload", "c", 1, ",'for_model':'b'");
        past_add_swap(&p, 105, "load", "b", 1, "");
        past_add_swap(&p, 120, "unload", "b", 1, ",'for_model':'a'");
        find(&p, &a);
        assert_int_equal(a.count, 3);
        assert_int_equal(a.items[0].shares, cases[i].shares);
        assert_int_equal(a.items[1].shares, cases[i].shares);
        assert_int_equal(a.items[2].shares, 0); /* its load has not come */
        if (cases[i].shares)
            assert_true(a.shares[a.items[0].first_share].part == 1);
        end(&p, &a);
    }
}

/* What cannot have been so: nothing is charged twice. */
static void test_overlapping(void **state)
{
    struct past p = {.from_ns = 0};
    struct absences a;
    (void)state;
    past_add_request(&p, 0, "a", "k", 1000);
    past_add_swap(&p, 10, "unload", "a", 1, ",'for_model':'b'");
    past_add_swap(&p, 20, "unload", "a", 1, ",'for_model':'b'"); /* it is away already */
    past_add_swap(&p, 30, "load", "a", 100, "");
    past_add_swap(&p, 50, "unload", "a", 1, ",'for_model':'b'"); /* while it was loading */
    past_add_swap(&p, 60, "load", "a", 90, "");
    past_add_swap(&p, 70, "unload", "a", 1, ",'for_model':'a'"); /* for itself */
    find(&p, &a);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < a.count; i++)
        sum += a.items[i].waited_ns;
    assert_int_equal(a.count, 3);
    assert_int_equal(a.items[0].from_ns, at(10));
    assert_int_equal(a.items[0].to_ns, at(130));
    assert_int_equal(a.items[1].from_ns, at(130));
    assert_int_equal(a.items[2].for_model, 0);
    assert_int_equal(sum, 140 * NS_PER_S); /* from 10 to 130, and to 150 s */
    assert_int_equal(a.stay_count, 3);
    assert_int_equal(a.stays[0].to_ns, at(10)); /* and not once more until 20 s */
    end(&p, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_until_it_is_back), cmocka_unit_test(test_what_is_charged),
        cmocka_unit_test(test_leases_answer_together), cmocka_unit_test(test_overlapping)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
