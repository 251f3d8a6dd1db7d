/* Where the core's memory and a step's effects end: everything still happens, some steps later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_help.h"

/* A refusal for each of many waiters is drained over steps, in the order in which they came. */
static void test_many_waiters_are_refused_in_order(void **state)
{
    (void)state;
    const uint32_t waiters = 10000;
    struct box *b = box_new(2, waiters);
    for (uint64_t tag = 1; tag <= waiters; tag++)
        box_step(b, (struct event){.type = EVENT_REQUEST_ARRIVED,
                                   .request = {.tag = tag,
                                               .model = 0,
                                               .class = CLASS_NORMAL,
                                               .wait_ns_max = UINT64_MAX}});
    assert_int_equal(b->count[EFFECT_WAIT], waiters);
    box_forget(b);
    struct event ev = {.type = EVENT_COMMAND,
                       .command = {.tag = 1, .model = 0, .what = COMMAND_UNLOAD}};
    uint64_t next = 1, steps = 0;
    for (bool more = true; more; steps++) {
        struct effects fx = core_step(b->core, &ev);
        for (uint32_t i = 0; i < fx.count; i++)
            if (fx.items[i].type == EFFECT_REFUSE) {
                assert_int_equal(fx.items[i].tag, next++);
                assert_int_equal(fx.items[i].reason, REASON_UNLOADED);
            }
        box_take(b, &fx);
        core_check(b->core);
        more = fx.more;
        ev = (struct event){.type = EVENT_TICK};
    }
    assert_int_equal(next, waiters + 1);
    assert_int_equal(b->count[EFFECT_REFUSE], waiters);
    assert_in_range(steps, waiters / BOX_EFFECTS_MAX, waiters / 100);
    box_free(b);
}

/* Doomed waiters may still leave by themselves, and their slots serve others meanwhile. */
static void test_doomed_waiter_leaves_first(void **state)
{
    (void)state;
    struct box *b = box_new(1, 1000);
    struct id ids[1000];
    for (uint32_t i = 0; i < 1000; i++) {
        box_request(b, 0, i + 1);
        ids[i] = b->last[EFFECT_WAIT].waiter;
    }
    box_forget(b);
    struct event ev = {.type = EVENT_COMMAND,
                       .command = {.tag = 1, .model = 0, .what = COMMAND_UNLOAD}};
    struct effects fx = core_step(b->core, &ev);
    assert_true(fx.more);
    box_take(b, &fx);
    box_end(b, ids[999]); /* its refusal had not been given out yet: none follows */
    assert_int_equal(b->count[EFFECT_REFUSE], 999);
    box_request(b, 0, 2000);
    assert_int_equal(b->last[EFFECT_WAIT].tag, 2000);
    box_free(b);
}

static void test_waiter_memory_ends(void **state)
{
    (void)state;
    struct box *b = box_new(2, 3);
    for (uint64_t tag = 1; tag <= 3; tag++)
        box_request(b, 0, tag);
    struct id first = b->last[EFFECT_WAIT].waiter;
    box_request(b, 1, 4);
    assert_int_equal(b->last[EFFECT_REFUSE].tag, 4);
    assert_int_equal(b->last[EFFECT_REFUSE].reason, REASON_QUEUE_FULL);
    for (uint64_t tag = 5; tag <= 8; tag++)
        box_lease(b, tag); /* their memory is their own */
    assert_int_equal(b->last[EFFECT_LEASE_WAIT].tag, 7);
    assert_int_equal(b->last[EFFECT_REFUSE].tag, 8);
    box_end(b, first);
    box_request(b, 1, 6);
    assert_int_equal(b->last[EFFECT_WAIT].tag, 6);
    /* The slot has another generation now. */
    box_end(b, first);
    struct core_view view;
    core_view(b->core, &view);
    assert_int_equal(view.stale_ids, 1);
    assert_int_equal(view.waiting, 3);
    box_free(b);
}

static void test_command_memory_ends(void **state)
{
    (void)state;
    struct box *b = box_new(2, 8);
    for (uint64_t tag = 1; tag <= b->limits.commands_max; tag++)
        box_command(b, COMMAND_LOAD, 0, tag);
    assert_int_equal(b->count[EFFECT_COMMAND_DONE], 0);
    box_command(b, COMMAND_LOAD, 1, 9999);
    assert_int_equal(b->last[EFFECT_COMMAND_DONE].tag, 9999);
    assert_int_equal(b->last[EFFECT_COMMAND_DONE].reason, REASON_QUEUE_FULL);
    box_forget(b);
    box_complete(b, EVENT_MODEL_LOADED, 0);
    assert_int_equal(b->count[EFFECT_COMMAND_DONE], b->limits.commands_max);
    assert_int_equal(b->last[EFFECT_COMMAND_DONE].tag, b->limits.commands_max);
    box_free(b);
}

/* One CONFIG takes all models out, in whatever state they are. */
static void test_many_models_are_removed(void **state)
{
    (void)state;
    struct box *b = box_new(2000, 2000);
    for (uint32_t i = 0; i < 1500; i++)
        box_request(b, i, i + 1); /* the first 1500 load */
    for (uint32_t i = 0; i < 1000; i++)
        box_complete(b, EVENT_MODEL_LOADED, i); /* the first 1000 run one request each */
    for (uint32_t i = 0; i < 500; i++)
        box_end(b, (struct id){i, 1}); /* the first 500 are idle */
    for (uint32_t i = 0; i < 2000; i++)
        b->models[i].present = false;
    box_forget(b);
    box_config(b);
    assert_int_equal(b->count[EFFECT_UNLOAD], 500);
    assert_int_equal(b->count[EFFECT_ABORT], 500);
    assert_int_equal(b->count[EFFECT_REFUSE], 500);
    assert_int_equal(b->count[EFFECT_MODEL_RETIRED], 500);
    for (uint32_t i = 500; i < 1000; i++)
        box_end(b, (struct id){i, 1});
    assert_int_equal(b->count[EFFECT_UNLOAD], 1000);
    for (uint32_t i = 0; i < 1000; i++)
        box_complete(b, EVENT_MODEL_UNLOADED, i);
    for (uint32_t i = 1000; i < 1500; i++)
        box_complete(b, EVENT_MODEL_LOAD_FAILED, i);
    assert_int_equal(b->count[EFFECT_MODEL_RETIRED], 2000);
    box_free(b);
}

/* Each model's process changes while it loads: all loads are called off and begun anew. */
static void test_many_models_change_while_loading(void **state)
{
    (void)state;
    struct box *b = box_new(600, 600);
    for (uint32_t i = 0; i < 600; i++)
        box_request(b, i, i + 1);
    for (uint32_t i = 0; i < 600; i++)
        b->models[i].hash_process = 2;
    box_forget(b);
    box_config(b);
    assert_int_equal(b->count[EFFECT_ABORT], 600);
    for (uint32_t i = 0; i < 600; i++)
        box_complete(b, EVENT_MODEL_LOAD_FAILED, i);
    assert_int_equal(b->count[EFFECT_LOAD], 600);
    assert_int_equal(b->count[EFFECT_REFUSE], 0);
    box_free(b);
}

/* A plan with more victims than one step has room for; the target waits for the last of them. */
static void test_many_victims(void **state)
{
    (void)state;
    struct box *b = box_new(601, 600);
    b->models[600].group = 1;
    box_config(b);
    for (uint32_t i = 0; i < 600; i++)
        box_load(b, i);
    box_forget(b);
    box_request(b, 600, 1);
    assert_int_equal(b->count[EFFECT_UNLOAD], 600);
    assert_int_equal(b->count[EFFECT_DECISION], 600);
    assert_int_equal(b->count[EFFECT_LOAD], 0);
    for (uint32_t i = 0; i < 600; i++)
        box_complete(b, EVENT_MODEL_UNLOADED, i);
    assert_int_equal(b->count[EFFECT_LOAD], 1);
    box_free(b);
}

/* The client leaves before all victims have been told: the others stay. */
static void test_victims_not_told_are_spared(void **state)
{
    (void)state;
    struct box *b = box_new(601, 600);
    b->models[600].group = 1;
    box_config(b);
    for (uint32_t i = 0; i < 600; i++)
        box_load(b, i);
    box_forget(b);
    struct event ev = {.type = EVENT_REQUEST_ARRIVED,
                       .request = {.tag = 1, .model = 600, .wait_ns_max = UINT64_MAX}};
    struct effects fx = core_step(b->core, &ev);
    assert_true(fx.more);
    box_take(b, &fx);
    core_check(b->core);
    box_end(b, b->last[EFFECT_WAIT].waiter);
    uint32_t told = b->count[EFFECT_UNLOAD];
    assert_in_range(told, 1, BOX_EFFECTS_MAX);
    box_request(b, 599, 2); /* one that was spared serves at once */
    assert_int_equal(b->last[EFFECT_GRANT].tag, 2);
    for (uint32_t i = 0; i < told; i++)
        box_complete(b, EVENT_MODEL_UNLOADED, i);
    assert_int_equal(b->count[EFFECT_LOAD], 0);
    assert_int_equal(b->count[EFFECT_UNLOAD], told);
    box_free(b);
}

static void test_many_leases_enter_at_once(void **state)
{
    (void)state;
    struct box *b = box_new(1, 1001);
    for (uint64_t tag = 1; tag <= 1001; tag++)
        box_lease(b, tag);
    assert_int_equal(b->count[EFFECT_LEASE_WAIT], 1000);
    box_forget(b);
    b->gates[0].limit = 1000;
    box_config(b);
    assert_int_equal(b->count[EFFECT_LEASE_GRANT], 999);
    assert_int_equal(b->last[EFFECT_LEASE_GRANT].tag, 1000);
    box_free(b);
}

/* What has become impossible for many models at once is told to all of them, without anything else
 * having to happen. */
static void test_many_can_never_fit(void **state)
{
    (void)state;
    struct box *b = box_new(1000, 1000);
    b->config.plan = PLAN_FIT;
    for (uint32_t i = 0; i < 1000; i++) {
        b->models[i].placement_count = 1;
        b->models[i].placements[0].device_mask = 1;
        b->models[i].placements[0].bytes = 20 * GIB;
    }
    box_config(b);
    box_load(b, 0);
    for (uint32_t i = 0; i < 1000; i++)
        box_request(b, i, i + 1);
    assert_int_equal(b->count[EFFECT_GRANT], 1);
    box_step(b, (struct event){.type = EVENT_DEVICE_LOST, .found.device = 0});
    assert_int_equal(b->count[EFFECT_REFUSE], 999);
    assert_int_equal(b->last[EFFECT_REFUSE].reason, REASON_NO_DEVICE);
    box_free(b);
}

/* Shutting down with everything in use: all are told, all leave, and only then it is over. */
static void test_drain_of_many(void **state)
{
    (void)state;
    struct box *b = box_new(800, 4000);
    for (uint32_t i = 0; i < 800; i++)
        b->models[i].ttl_ns = NS_PER_S;
    box_config(b);
    for (uint32_t i = 0; i < 600; i++)
        box_load(b, i);
    for (uint64_t tag = 1; tag <= 1000; tag++)
        box_lease(b, tag);
    for (uint32_t i = 600; i < 800; i++)
        for (uint32_t k = 0; k < 5; k++)
            box_request(b, i, 10 * i + k);
    box_forget(b);
    box_step(b, (struct event){.type = EVENT_DRAIN, .drain.grace_ns = NS_PER_S});
    assert_int_equal(b->count[EFFECT_REFUSE], 999 + 1000);
    assert_int_equal(b->count[EFFECT_UNLOAD], 600);
    assert_int_equal(b->count[EFFECT_ABORT], 200);
    for (uint32_t i = 0; i < 600; i++)
        box_complete(b, EVENT_MODEL_UNLOADED, i);
    for (uint32_t i = 600; i < 800; i++) {
        assert_int_equal(b->notices[NOTICE_DRAINED], 0);
        box_complete(b, EVENT_MODEL_LOAD_FAILED, i);
    }
    assert_int_equal(b->notices[NOTICE_DRAINED], 1);
    box_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_waiters_are_refused_in_order),
        cmocka_unit_test(test_doomed_waiter_leaves_first),
        cmocka_unit_test(test_waiter_memory_ends),
        cmocka_unit_test(test_command_memory_ends),
        cmocka_unit_test(test_many_models_are_removed),
        cmocka_unit_test(test_many_models_change_while_loading),
        cmocka_unit_test(test_many_victims),
        cmocka_unit_test(test_victims_not_told_are_spared),
        cmocka_unit_test(test_many_leases_enter_at_once),
        cmocka_unit_test(test_many_can_never_fit),
        cmocka_unit_test(test_drain_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
