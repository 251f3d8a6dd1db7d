/* What is made of a simulation: percentiles, the bound of fair, policies by name, the plot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pure/rng.h"
#include "simulate/agenda.h"
#include "simulate/bound.h"
#include "simulate/policies.h"
#include "simulate/result.h"
#include "simulate/svg.h"

#define S NS_PER_S

static void test_percentiles(void **state)
{
    (void)state;
    uint64_t waits[100];
    struct sim_waits w;
    sim_waits_from(waits, 0, &w);
    assert_int_equal(w.count, 0);
    assert_int_equal(w.max_ns, 0);
    waits[0] = 7;
    sim_waits_from(waits, 1, &w);
    assert_true(w.p50_ns == 7 && w.p95_ns == 7 && w.p99_ns == 7 && w.max_ns == 7 && w.mean_ns == 7);
    for (uint64_t i = 0; i < 100; i++)
        waits[i] = (i * 37) % 100 + 1; /* 1…100 in some order */
    sim_waits_from(waits, 100, &w);
    assert_true(w.p50_ns == 50 && w.p95_ns == 95 && w.p99_ns == 99 && w.max_ns == 100);
    assert_int_equal(w.mean_ns, 50); /* 50.5 */
    sim_waits_from(waits, 10, &w);
    assert_true(w.p50_ns == 5 && w.p95_ns == 10 && w.p99_ns == 10);
}

static void test_agenda(void **state)
{
    (void)state;
    struct agenda a = {.count = 0};
    struct rng rng = {3};
    uint64_t last_ns = 0, last_seq = 0;
    assert_int_equal(agenda_next(&a), AGENDA_NEVER);
    for (uint32_t i = 0; i < 1000; i++)
        agenda_put(&a, (struct agenda_item){.at_ns = rng_below(&rng, 50), .index = i});
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t next = agenda_next(&a);
        struct agenda_item item = agenda_take(&a);
        assert_int_equal(item.at_ns, next);
        assert_true(i == 0 || item.at_ns > last_ns ||
                    (item.at_ns == last_ns && item.seq > last_seq));
        last_ns = item.at_ns;
        last_seq = item.seq;
    }
    assert_int_equal(a.count, 0);
    agenda_fini(&a);
}

/* A, B and C load in 4, 6 and 3 s, one request at a time; an unload takes 1 s; maxWait is 10 s and
 * minResident 5 s. */
enum { A, B, C, MODELS };

struct bound_world {
    struct bound bound;
    struct sim_request items[8];
    struct sim_requests requests;
};

static struct bound_world *new_bound(void)
{
    struct bound_world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    static const uint64_t loads_ns[MODELS] = {4 * S, 6 * S, 3 * S};
    bound_init(&w->bound, MODELS);
    for (int i = 0; i < MODELS; i++) {
        w->bound.models[i].load_ns = loads_ns[i];
        w->bound.models[i].slots = 1;
    }
    w->bound.wait_ns_max[CLASS_NORMAL] = 10 * S;
    w->bound.min_resident_ns = 5 * S;
    w->bound.unload_ns = S;
    w->requests.items = w->items;
    return w;
}

static void free_bound(struct bound_world *w)
{
    bound_fini(&w->bound);
    free(w);
}

static uint32_t asks(struct bound_world *w, uint32_t model, uint64_t at_ns, uint64_t serve_ns)
{
    uint32_t i = w->requests.count++;
    w->items[i] = (struct sim_request){
        .at_ns = at_ns, .serve_ns = serve_ns, .model = model, .class = CLASS_NORMAL};
    bound_pass(&w->bound, &w->requests, at_ns);
    return i;
}

static uint32_t waits(struct bound_world *w, uint32_t model, uint64_t at_ns, uint64_t serve_ns)
{
    uint32_t i = asks(w, model, at_ns, serve_ns);
    w->items[i].state = SIM_WAITING;
    bound_waits(&w->bound, &w->requests, i);
    return i;
}

static void served(struct bound_world *w, uint32_t i, uint64_t at_ns)
{
    bound_pass(&w->bound, &w->requests, at_ns);
    w->items[i].granted_ns = at_ns;
    bound_served(&w->bound, &w->requests, i, at_ns);
    w->items[i].state = SIM_SERVED;
}

static void comes(struct bound_world *w, uint32_t model, uint64_t begun_ns, uint64_t in_ns)
{
    bound_pass(&w->bound, &w->requests, begun_ns);
    bound_begins(&w->bound, &w->requests, model, begun_ns);
    bound_pass(&w->bound, &w->requests, in_ns);
    bound_loaded(&w->bound, model, in_ns);
}

/* Serves B's waiter, who came at 1 s, at the very end of what is allowed, and a moment later. */
static void check_until(void (*tell)(struct bound_world *w), uint64_t until_ns)
{
    for (uint64_t late_ns = 0; late_ns <= 1; late_ns++) {
        struct bound_world *w = new_bound();
        served(w, asks(w, A, 0, 20 * S), 0);
        uint32_t b = waits(w, B, 1 * S, 2 * S);
        tell(w);
        served(w, b, until_ns + late_ns);
        assert_int_equal(w->items[b].until_ns > 0, 1);
        assert_int_equal(w->bound.violations, late_ns);
        assert_int_equal(w->bound.first, late_ns ? b : UINT32_MAX);
        if (late_ns)
            assert_int_equal(w->bound.first_allowed_ns, until_ns - 1 * S);
        free_bound(w);
    }
}

static void tell_nothing(struct bound_world *w)
{
    (void)w;
}

/* C's waiter has the earlier deadline, 10.5 s. */
static void tell_earlier(struct bound_world *w)
{
    uint32_t c = waits(w, C, 2 * S, 4 * S);
    w->items[c].at_ns = S / 2;
    comes(w, C, 21 * S, 24 * S);
    served(w, c, 24 * S);
}

/* C comes in again for somebody who was not there at 11 s, and so does A. */
static void tell_twice(struct bound_world *w)
{
    tell_earlier(w);
    bound_gone(&w->bound, C);
    uint32_t a = waits(w, A, 30 * S, S);
    comes(w, A, 31 * S, 35 * S);
    served(w, a, 35 * S);
    waits(w, C, 36 * S, S);
    comes(w, C, 37 * S, 40 * S);
}

/* C's waiter has the later deadline, but waits at 11 s: its turn may be decided. */
static void tell_decided(struct bound_world *w)
{
    uint32_t c = waits(w, C, 2 * S, 4 * S);
    comes(w, C, 32 * S, 35 * S);
    served(w, c, 35 * S);
}

/* This late it was not. */
static void tell_late(struct bound_world *w)
{
    waits(w, C, 2 * S, 4 * S);
    bound_pass(&w->bound, &w->requests, 32 * S + 1);
    bound_begins(&w->bound, &w->requests, C, 32 * S + 1);
}

/* At 11 s C has been there since 6 s, and two wait for it. */
static void tell_gate(struct bound_world *w)
{
    comes(w, C, 3 * S, 6 * S);
    served(w, asks(w, C, 6 * S, 1 * S), 6 * S);
    waits(w, C, 7 * S, 3 * S);
    waits(w, C, 8 * S, 4 * S);
}

/* C is being loaded at 11 s. */
static void tell_loading(struct bound_world *w)
{
    waits(w, C, 9 * S, 4 * S);
    comes(w, C, 10 * S, 13 * S);
}

/* B's waiter is overdue at 11 s. It takes 20 s until the longest request has ended, 1 s to make
 * room, 6 s to load, and 2 s as its own model's longest: until 40 s, if nobody else is there. */
static void test_bound(void **state)
{
    (void)state;
    check_until(tell_nothing, 40 * S);
    /* 1 s, 3 s of load, and a gate: 4 s of work and a longest of 4 s; or 5 s and a longest: 9 s. */
    check_until(tell_earlier, 53 * S);
    check_until(tell_twice, 53 * S);
    check_until(tell_decided, 53 * S);
    check_until(tell_late, 40 * S);
    check_until(tell_gate, 51 * S); /* 7 s of work and a longest of 4 s */
    check_until(tell_loading, 53 * S);
}

/* What waits before it in its own model counts, what comes after it does not. */
static void test_bound_own_queue(void **state)
{
    (void)state;
    struct bound_world *w = new_bound();
    uint32_t first = waits(w, B, 0, 7 * S), second = waits(w, B, 1 * S, 2 * S);
    waits(w, B, 2 * S, 9 * S);
    served(w, first, 12 * S); /* it is overdue as well */
    /* Overdue at 11 s: 9 s of drain, 1 s to unload, 6 s of load, 7 s ahead, and a longest of 9 s.
     */
    served(w, second, 43 * S + 1);
    assert_int_equal(w->bound.overdue, 3);
    assert_int_equal(w->bound.violations, 1);
    assert_int_equal(w->bound.first, second);
    assert_int_equal(w->bound.first_allowed_ns, 42 * S);
    free_bound(w);
}

static void test_policies(void **state)
{
    (void)state;
    static const char *const refused[] = {"",          "fair",      "fair+",          "+fit",
                                          "fair+fits", "fairr+fit", "fair+fit,",      ",fair+fit",
                                          "fair fit",  "FAIR+FIT",  "fair+fit+group", "fair+fit,x"};
    struct sim_policies p;
    struct err e;
    assert_int_equal(policies_parse("fair+fit,fifo+group,serial+matrix,fifo+fit-lru,"
                                    "fair+clairvoyant",
                                    &p, &e),
                     0);
    assert_int_equal(p.count, 5);
    assert_string_equal(p.items[3].name, "fifo+fit-lru");
    assert_int_equal(p.items[0].sched, SCHEDULER_FAIR);
    assert_int_equal(p.items[0].plan, PLAN_FIT);
    assert_int_equal(p.items[0].victims, VICTIMS_COST);
    assert_int_equal(p.items[2].sched, SCHEDULER_SERIAL);
    assert_int_equal(p.items[2].plan, PLAN_MATRIX);
    assert_int_equal(p.items[3].victims, VICTIMS_LRU);
    assert_int_equal(p.items[4].victims, VICTIMS_FORESEEN);
    for (size_t i = 0; i < countof(refused); i++)
        if (policies_parse(refused[i], &p, &e) == 0)
            fail_msg("taken: '%s'", refused[i]);
    policies_default(true, true, true, &p);
    uint32_t all = p.count;
    policies_default(true, true, false, &p);
    assert_int_equal(p.count, all - 1);
    policies_default(false, false, true, &p);
    assert_int_equal(p.count, 3);
}

static uint32_t occurrences(const char *text, const char *what)
{
    uint32_t count = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        count++;
    return count;
}

/* a loads for 20 of 100 s, stays until 60 and serves from 30 to 40; b is told to load and never is
 * there. Of 1090 pixels from 170 on. */
static void test_plot(void **state)
{
    (void)state;
    static const char text[] = "gpus: [{sim: {name: \"<G>\", memory: 24GiB}}]\n"
                               "models:\n"
                               "  a: {cmd: x, proxy: 'http://h:1'}\n"
                               "  b&b: {cmd: x, proxy: 'http://h:1'}\n"
                               "  never: {cmd: x, proxy: 'http://h:1'}\n";
    struct config_report report = {.errors = 0};
    struct config *c = config_load_text("c", text, strlen(text), &report);
    config_report_fini(&report);
    assert_non_null(c);
    struct timeline t = {.from_ns = S, .to_ns = 101 * S};
    uint32_t a = timeline_come(&t, 0, 1, S), b = timeline_come(&t, 1, 1, 51 * S);
    timeline_loaded(&t, a, 21 * S);
    timeline_leave(&t, a, 61 * S);
    timeline_leave(&t, b, 52 * S);
    timeline_work(&t, a, 31 * S, 41 * S);
    for (uint32_t i = 0; i < 3000; i++)
        timeline_waiting(&t, S + i * S / 100, i % 5);
    struct buf out = {0};
    struct svg_panel panel = {"x+y", &t};
    svg_write(&out, c, &panel, 1);
    assert_int_equal(occurrences(out.data, "<path class=\"here\" d=\"M388.0 "), 1);
    assert_int_equal(occurrences(out.data, "h436.0v"), 1);
    assert_int_equal(occurrences(out.data, "<path class=\"work\" d=\"M497.0 "), 1);
    assert_int_equal(occurrences(out.data, "h109.0v"), 1);
    assert_int_equal(occurrences(out.data, "<path class=\"load\" d=\"M170.0 "), 1);
    assert_int_equal(occurrences(out.data, "<path class=\"load\" d=\"M715.0 "), 1);
    assert_int_equal(occurrences(out.data, "&#60;G&#62;, 24GiB"), 1);
    assert_int_equal(occurrences(out.data, ">b&#38;b<"), 1);
    assert_int_equal(occurrences(out.data, "never"), 0);
    assert_int_equal(occurrences(out.data, ">1m30s<"), 1);
    assert_int_equal(occurrences(out.data, "http"), 1); /* the name space alone */
    buf_fini(&out);
    timeline_fini(&t);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles), cmocka_unit_test(test_agenda),
        cmocka_unit_test(test_bound),       cmocka_unit_test(test_bound_own_queue),
        cmocka_unit_test(test_policies),    cmocka_unit_test(test_plot)};
    return cmocka_run_group_tests_name("simulate_result", tests, NULL, NULL);
}
