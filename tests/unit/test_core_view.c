/* Looking at the core from outside, and telling it things about what does not exist. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_help.h"

static struct id arrive(struct box *b, uint32_t model, uint64_t tag, enum class class)
{
    box_step(
        b, (struct event){
               .type = EVENT_REQUEST_ARRIVED,
               .request = {.tag = tag, .model = model, .class = class, .wait_ns_max = UINT64_MAX}});
    return b->last[EFFECT_WAIT].waiter;
}

static uint32_t place_of(const struct box *b, struct id waiter)
{
    uint32_t place, estimate_s;
    core_view_waiter(b->core, waiter, &place, &estimate_s);
    return place;
}

static void test_places(void **state)
{
    (void)state;
    struct box *b = box_new(2, 16);
    b->models[0].slots_max = 1;
    b->models[1].slots_max = 1;
    box_config(b);
    static const struct {
        uint32_t model;
        enum class class;
        uint32_t fifo, serial;
    } cases[] = {
        {0, CLASS_NORMAL, 2, 1},     {0, CLASS_BACKGROUND, 4, 2}, {1, CLASS_BACKGROUND, 2, 3},
        {0, CLASS_FOREGROUND, 1, 4}, {1, CLASS_NORMAL, 1, 5},     {0, CLASS_NORMAL, 3, 6},
    };
    struct id ids[countof(cases)];
    for (uint32_t i = 0; i < countof(cases); i++)
        ids[i] = arrive(b, cases[i].model, i + 1, cases[i].class);
    for (uint32_t i = 0; i < countof(cases); i++)
        assert_int_equal(place_of(b, ids[i]), cases[i].fifo);
    b->config.sched = SCHEDULER_SERIAL;
    box_config(b);
    for (uint32_t i = 0; i < countof(cases); i++)
        assert_int_equal(place_of(b, ids[i]), cases[i].serial);
    box_end(b, ids[1]);
    assert_int_equal(place_of(b, ids[1]), 0);
    assert_int_equal(place_of(b, ids[2]), 2);
    box_free(b);
}

static void test_waiting_in_order_of_arrival(void **state)
{
    (void)state;
    struct box *b = box_new(3, 16);
    struct id cursor = {0};
    struct core_waiting w;
    assert_false(core_view_next_waiting(b->core, &cursor, &w));
    static const enum class classes[] = {CLASS_NORMAL, CLASS_BACKGROUND, CLASS_FOREGROUND};
    for (uint32_t i = 0; i < 3; i++) {
        b->now_ns = (i + 1) * NS_PER_S;
        arrive(b, 2 - i, i + 1, classes[i]);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(core_view_next_waiting(b->core, &cursor, &w));
        assert_int_equal(w.tag, i + 1);
        assert_int_equal(w.model, 2 - i);
        assert_int_equal(w.class, classes[i]);
        assert_int_equal(w.since.ns, (i + 1) * NS_PER_S);
        assert_true(id_equal(w.id, cursor));
    }
    assert_false(core_view_next_waiting(b->core, &cursor, &w));
    box_free(b);
}

static void test_counts_and_states(void **state)
{
    (void)state;
    struct box *b = box_new(3, 16);
    struct core_view all;
    struct core_model_view m;
    b->now_ns = NS_PER_S;
    box_load(b, 0);
    box_load(b, 1);
    b->models[0].ttl_ns = 5 * NS_PER_S;
    box_config(b);
    box_request(b, 1, 1);
    box_request(b, 2, 2);
    core_view(b->core, &all);
    assert_int_equal(all.loaded, 2);
    assert_int_equal(all.running, 1);
    assert_int_equal(all.waiting, 1);
    assert_true(all.booted);
    assert_false(all.draining);
    core_view_model(b->core, 0, &m);
    assert_int_equal(m.state, MODEL_LOADED);
    assert_int_equal(m.idle_deadline.ns, 6 * NS_PER_S);
    core_view_model(b->core, 1, &m);
    assert_int_equal(m.running, 1);
    assert_int_equal(m.idle_deadline.ns, 0);
    core_view_model(b->core, 2, &m);
    assert_int_equal(m.state, MODEL_LOADING);
    assert_int_equal(m.waiting, 1);
    box_step(b, (struct event){.type = EVENT_DRAIN, .drain.grace_ns = NS_PER_S});
    core_view(b->core, &all);
    assert_true(all.draining);
    box_free(b);
}

/* The estimate: what is left of the load, then a round of service for each slots_max ahead of it
 * that do not fit into the slots at once. */
static void test_estimate(void **state)
{
    (void)state;
    struct box *b = box_new(1, 64);
    uint32_t place, s;
    b->models[0].slots_max = 2;
    b->models[0].placement_count = 1;
    b->models[0].placements[0].bytes =
        10 * NS_PER_S; /* at 1 GB/s: 10 s, and 2 s before anything is known */
    box_config(b);
    struct id first = arrive(b, 0, 1, CLASS_NORMAL);
    core_view_waiter(b->core, first, &place, &s);
    assert_int_equal(s, 12);
    b->now_ns = 5 * NS_PER_S;
    core_view_waiter(b->core, first, &place, &s);
    assert_int_equal(s, 12); /* a look does not let time pass */
    struct id second = arrive(b, 0, 2, CLASS_NORMAL);
    core_view_waiter(b->core, second, &place, &s);
    assert_int_equal(s, 12 - 5);
    box_complete(b, EVENT_MODEL_LOADED, 0);
    b->now_ns = 13 * NS_PER_S; /* both were served for 8 s */
    box_end(b, first);
    box_end(b, second);
    for (uint64_t tag = 3; tag <= 6; tag++)
        arrive(b, 0, tag, CLASS_NORMAL); /* two run, two wait */
    struct core_waiting w;
    struct id cursor = {0};
    assert_true(core_view_next_waiting(b->core, &cursor, &w));
    core_view_waiter(b->core, cursor, &place, &s);
    assert_int_equal(place, 1);
    assert_in_range(s, 8, 8 + 1);
    box_free(b);
}

/* Whatever names something that does not exist is counted, and changes nothing. */
static void test_strange_events(void **state)
{
    (void)state;
    static const enum event_type types[] = {
        EVENT_MODEL_LOADED, EVENT_MODEL_LOAD_FAILED, EVENT_MODEL_UNLOADED, EVENT_MODEL_EXITED,
        EVENT_MODEL_MOVED,  EVENT_MODEL_SUSPENDED,   EVENT_MODEL_RESUMED,  EVENT_UPSTREAM_BROKEN};
    static const uint32_t models[] = {0, 1, 2, 3, CORE_SLOT_NONE};
    struct box *b = box_new(2, 4);
    uint32_t stale = 0;
    struct core_view view;
    for (uint32_t i = 0; i < countof(types); i++) {
        for (uint32_t k = 0; k < countof(models); k++) {
            box_step(b, (struct event){.type = types[i], .model = {.op = 1, .model = models[k]}});
            stale++;
        }
    }
    static const struct id ids[] = {{0, 0}, {0, 1}, {0, 2}, {3, 1}, {4, 1}, {UINT32_MAX, 1}};
    for (uint32_t i = 0; i < countof(ids); i++) {
        box_end(b, ids[i]);
        box_step(b, (struct event){.type = EVENT_LEASE_ENDED, .lease_id = {ids[i]}});
        box_step(b, (struct event){.type = EVENT_LEASE_RENEWED, .lease_id = {ids[i]}});
        box_step(b, (struct event){.type = EVENT_REQUEST_BOUNCED, .ended = {ids[i], ENDED_CUT}});
        box_step(b, (struct event){.type = EVENT_REQUEST_QUIET, .quiet = {ids[i], true}});
        stale += 5;
    }
    for (uint32_t k = 2; k < countof(models); k++) {
        box_step(b, (struct event){.type = EVENT_MODEL_ADOPTED,
                                   .model = {.model = models[k], .placement = CORE_SLOT_NONE}});
        box_step(b, (struct event){.type = EVENT_LEARNED,
                                   .learned = {.model = models[k], .bytes = GIB}});
        box_step(b, (struct event){.type = EVENT_FOOTPRINT,
                                   .learned = {.model = models[k], .bytes = GIB}});
        const struct core_wish wishes[] = {{.model = models[k], .what = WISH_LOADED},
                                           {.model = 0, .what = WISH_NONE}};
        box_step(b, (struct event){.type = EVENT_MODE, .mode = {wishes, countof(wishes)}});
        stale += 4;
    }
    box_step(b, (struct event){.type = EVENT_COMMAND_CANCELLED, .command.tag = 7});
    core_view(b->core, &view);
    assert_int_equal(view.stale_ids, stale + 1);
    assert_int_equal(b->count[EFFECT_LOAD], 0);
    box_forget(b);
    for (uint32_t k = 2; k < countof(models); k++) {
        box_request(b, models[k], k);
        assert_int_equal(b->last[EFFECT_REFUSE].reason, REASON_MODEL_UNKNOWN);
        box_command(b, COMMAND_UNLOAD, models[k], k);
        assert_int_equal(b->last[EFFECT_COMMAND_DONE].reason, REASON_MODEL_UNKNOWN);
    }
    assert_int_equal(b->count[EFFECT_REFUSE], 3);
    box_free(b);
}

/* A completion of an earlier op does not end the one that is open. */
static void test_old_completions(void **state)
{
    (void)state;
    static const enum event_type types[] = {EVENT_MODEL_LOADED, EVENT_MODEL_LOAD_FAILED,
                                            EVENT_MODEL_UNLOADED, EVENT_MODEL_MOVED};
    struct box *b = box_new(1, 4);
    struct core_model_view m;
    struct core_view view;
    box_load(b, 0);
    box_command(b, COMMAND_UNLOAD, 0, 2);
    box_complete(b, EVENT_MODEL_UNLOADED, 0);
    uint64_t old = b->ops[0];
    box_command(b, COMMAND_LOAD, 0, 3);
    assert_true(b->ops[0] > old);
    for (uint32_t i = 0; i < countof(types); i++) {
        box_step(b, (struct event){.type = types[i], .model = {.op = old, .model = 0}});
        core_view_model(b->core, 0, &m);
        assert_int_equal(m.state, MODEL_LOADING);
    }
    core_view(b->core, &view);
    assert_int_equal(view.stale_ids, countof(types));
    box_complete(b, EVENT_MODEL_LOADED, 0);
    core_view_model(b->core, 0, &m);
    assert_int_equal(m.state, MODEL_LOADED);
    box_free(b);
}

/* A server that does not answer any more is unloaded for the reason that was seen, if there is one.
 */
static void test_broken_servers(void **state)
{
    (void)state;
    static const enum reason told[] = {REASON_NONE, REASON_EXITED};
    static const enum reason said[] = {REASON_BROKEN, REASON_EXITED};
    for (uint32_t i = 0; i < countof(told); i++) {
        struct box *b = box_new(1, 4);
        box_load(b, 0);
        box_step(b, (struct event){.type = EVENT_UPSTREAM_BROKEN,
                                   .model = {.model = 0, .why = told[i]}});
        assert_int_equal(b->count[EFFECT_UNLOAD], 1);
        assert_int_equal(b->last[EFFECT_UNLOAD].reason, said[i]);
        box_free(b);
    }
    struct box *b = box_new(1, 4);
    b->models[0].backend = 1;
    box_config(b);
    box_load(b, 0);
    box_step(b, (struct event){.type = EVENT_BACKEND_DOWN, .backend.backend = 1});
    box_step(b, (struct event){.type = EVENT_UPSTREAM_BROKEN, .model.model = 0});
    assert_int_equal(b->count[EFFECT_UNLOAD], 0); /* nobody could be told to */
    box_free(b);
}

/* One that sits nowhere in particular, as its policy names no device. */
static void test_adopted_without_a_place(void **state)
{
    (void)state;
    struct box *b = box_new(1, 4);
    struct core_model_view m;
    box_step(b, (struct event){.type = EVENT_MODEL_ADOPTED,
                               .model = {.model = 0, .placement = CORE_SLOT_NONE, .devices = 1}});
    core_view_model(b->core, 0, &m);
    assert_int_equal(m.state, MODEL_LOADED);
    assert_int_equal(m.placement, CORE_SLOT_NONE);
    assert_int_equal(m.charged_bytes, 0);
    box_request(b, 0, 1);
    assert_int_equal(b->last[EFFECT_GRANT].tag, 1);
    box_free(b);
}

/* Under fair it can be seen when a request is overdue; none is that runs, or has no bound. */
static void test_deadlines_of_waiters(void **state)
{
    (void)state;
    struct box *b = box_new(1, 8);
    struct core_waiting w;
    struct id cursor = {0};
    uint32_t place, s;
    b->config.sched = SCHEDULER_FAIR;
    b->config.fair.wait_ns_max[CLASS_NORMAL] = 30 * NS_PER_S;
    b->models[0].slots_max = 1;
    box_config(b);
    box_load(b, 0);
    box_request(b, 0, 1);
    b->now_ns = 5 * NS_PER_S;
    arrive(b, 0, 2, CLASS_NORMAL);
    arrive(b, 0, 3, CLASS_BACKGROUND);
    assert_true(core_view_next_waiting(b->core, &cursor, &w));
    assert_int_equal(w.deadline.ns, 35 * NS_PER_S);
    assert_true(core_view_next_waiting(b->core, &cursor, &w));
    assert_int_equal(w.deadline.ns, 0);
    core_view_waiter(b->core, b->last[EFFECT_GRANT].waiter, &place, &s);
    assert_int_equal(place, 0);
    assert_int_equal(s, 0);
    box_free(b);
}

/* A sample may name models that are elsewhere, or nowhere. */
static void test_strange_sample(void **state)
{
    (void)state;
    struct box *b = box_new(2, 4);
    b->config.plan = PLAN_FIT;
    b->models[0].placement_count = 1;
    b->models[0].placements[0].device_mask = 1;
    b->models[0].placements[0].bytes = 10 * GIB;
    box_config(b);
    box_load(b, 0);
    b->now_ns = NS_PER_S;
    const struct sample_use uses[] = {{.model = 0, .bytes = 4 * GIB},
                                      {.model = 0, .bytes = 4 * GIB},
                                      {.model = 1, .bytes = 3 * GIB},
                                      {.model = 2, .bytes = GIB},
                                      {.model = CORE_SLOT_NONE, .bytes = GIB}};
    box_step(b, (struct event){.type = EVENT_DEVICE_SAMPLE,
                               .sample = {.device = 0,
                                          .taken.ns = b->now_ns,
                                          .used_bytes = 13 * GIB,
                                          .uses = uses,
                                          .use_count = countof(uses)}});
    struct core_device_view d;
    core_view_device(b->core, 0, &d);
    assert_int_equal(d.charged_bytes, 10 * GIB);
    assert_int_equal(d.foreign_bytes, 5 * GIB);
    assert_int_equal(d.room_bytes, 9 * GIB);
    assert_int_equal(d.sampled.ns, NS_PER_S);
    box_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_waiting_in_order_of_arrival),
        cmocka_unit_test(test_counts_and_states),
        cmocka_unit_test(test_estimate),
        cmocka_unit_test(test_strange_events),
        cmocka_unit_test(test_old_completions),
        cmocka_unit_test(test_broken_servers),
        cmocka_unit_test(test_adopted_without_a_place),
        cmocka_unit_test(test_deadlines_of_waiters),
        cmocka_unit_test(test_strange_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
