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
    static const enum command others[] = {COMMAND_MOVE, COMMAND_SUSPEND, COMMAND_UNLOAD};
    b->models[1].movable = b->models[1].suspends = true;
    b->models[1].placement_count = 2;
    box_config(b);
    box_step(b, (struct event){.type = EVENT_MODEL_ADOPTED, .model = {.model = 1, .placement = 1}});
    for (uint32_t i = 0; i < countof(others); i++) {
        box_command(b, others[i], 1, 9000 + i);
        assert_int_equal(b->count[EFFECT_COMMAND_DONE], i + 1);
        assert_int_equal(b->last[EFFECT_COMMAND_DONE].tag, 9000 + i);
        assert_int_equal(b->last[EFFECT_COMMAND_DONE].reason, REASON_QUEUE_FULL);
    }
    assert_int_equal(b->count[EFFECT_MOVE] + b->count[EFFECT_UNLOAD], 0);
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

static void ask_patiently(struct box *b, uint32_t model, uint64_t tag, uint64_t wait_ns)
{
    box_step(b, (struct event){.type = EVENT_REQUEST_ARRIVED,
                               .request = {.tag = tag, .model = model, .wait_ns_max = wait_ns}});
}

/* All run out of patience within the same tick. */
static void test_many_waiters_expire(void **state)
{
    (void)state;
    struct box *b = box_new(1, 1000);
    for (uint64_t tag = 1; tag <= 1000; tag++)
        ask_patiently(b, 0, tag, 10 * NS_PER_S);
    box_forget(b);
    b->now_ns = 10 * NS_PER_S;
    box_step(b, (struct event){.type = EVENT_TICK});
    assert_int_equal(b->count[EFFECT_REFUSE], 1000);
    assert_int_equal(b->last[EFFECT_REFUSE].reason, REASON_WAIT_EXPIRED);
    assert_true(b->steps > 1);
    box_free(b);
}

/* They are to be refused for another reason, and their patience ends before their turn has come:
 * each is told once, and of the first reason. */
static void test_doomed_waiters_do_not_expire(void **state)
{
    (void)state;
    struct box *b = box_new(1, 1000);
    for (uint64_t tag = 1; tag <= 1000; tag++)
        ask_patiently(b, 0, tag, 10 * NS_PER_S);
    box_forget(b);
    b->now_ns = 9 * NS_PER_S;
    struct event ev = {.type = EVENT_COMMAND,
                       .now.ns = b->now_ns,
                       .command = {.tag = 1, .model = 0, .what = COMMAND_UNLOAD}};
    struct effects fx = core_step(b->core, &ev);
    assert_true(fx.more);
    box_take(b, &fx);
    b->now_ns = 10 * NS_PER_S;
    box_step(b, (struct event){.type = EVENT_TICK});
    assert_int_equal(b->count[EFFECT_REFUSE], 1000);
    assert_int_equal(b->last[EFFECT_REFUSE].reason, REASON_UNLOADED);
    box_free(b);
}

/* Some are still to be refused as others are doomed after them; then the very last one leaves. */
static void test_doomed_twice(void **state)
{
    (void)state;
    struct box *b = box_new(1, 2000);
    struct event ev = {.type = EVENT_COMMAND,
                       .command = {.tag = 1, .model = 0, .what = COMMAND_UNLOAD}};
    for (uint64_t tag = 1; tag <= 1500; tag++)
        box_request(b, 0, tag);
    box_forget(b);
    struct effects fx = core_step(b->core, &ev);
    assert_true(fx.more);
    box_take(b, &fx);
    uint32_t told = b->count[EFFECT_REFUSE];
    ev = (struct event){.type = EVENT_REQUEST_ARRIVED,
                        .request = {.tag = 2000, .wait_ns_max = UINT64_MAX}};
    fx = core_step(b->core, &ev);
    box_take(b, &fx);
    struct id last = b->last[EFFECT_WAIT].waiter;
    assert_int_equal(b->last[EFFECT_WAIT].tag, 2000);
    ev = (struct event){.type = EVENT_COMMAND,
                        .command = {.tag = 2, .model = 0, .what = COMMAND_UNLOAD}};
    fx = core_step(b->core, &ev);
    assert_true(fx.more);
    box_take(b, &fx);
    core_check(b->core);
    assert_true(b->count[EFFECT_REFUSE] > told);
    box_end(b, last);
    assert_int_equal(b->count[EFFECT_REFUSE], 1500);
    assert_int_equal(b->last[EFFECT_REFUSE].tag, 1500);
    box_free(b);
}

/* As many as one step refuses, and one more, which leaves by itself before the next step. */
static void test_last_doomed_waiter_leaves(void **state)
{
    (void)state;
    struct id last = {0};
    uint32_t waiters = 2000;
    for (uint32_t round = 0; round < 2; round++) {
        struct box *b = box_new(1, waiters);
        struct event ev = {.type = EVENT_COMMAND,
                           .command = {.tag = 1, .model = 0, .what = COMMAND_UNLOAD}};
        for (uint32_t i = 0; i < waiters; i++)
            box_request(b, 0, i + 1);
        last = b->last[EFFECT_WAIT].waiter;
        box_forget(b);
        struct effects fx = core_step(b->core, &ev);
        assert_true(fx.more);
        box_take(b, &fx);
        waiters = b->count[EFFECT_REFUSE] + 1;
        if (round == 1)
            box_end(b, last);
        assert_int_equal(b->count[EFFECT_REFUSE], waiters - 1);
        box_free(b);
    }
}

/* One load lets more in than one step can tell. */
static void test_many_are_granted_at_once(void **state)
{
    (void)state;
    struct box *b = box_new(1, 1000);
    b->models[0].slots_max = 1000;
    box_config(b);
    for (uint64_t tag = 1; tag <= 1000; tag++)
        box_request(b, 0, tag);
    box_forget(b);
    box_complete(b, EVENT_MODEL_LOADED, 0);
    assert_int_equal(b->count[EFFECT_GRANT], 1000);
    assert_int_equal(b->last[EFFECT_GRANT].tag, 1000);
    assert_true(b->steps > 1);
    box_free(b);
}

/* A removed model's slot is not free before the last that waited for it has been told. */
static void test_removed_with_many_waiters(void **state)
{
    (void)state;
    struct box *b = box_new(1, 1000);
    b->config.plan = PLAN_FIT; /* where it never comes in */
    b->models[0].placement_count = 1;
    b->models[0].placements[0].device_mask = 1;
    b->models[0].placements[0].bytes = 10 * GIB;
    b->models[0].pinned = true;
    box_config(b);
    const struct core_lease_ask ask = {
        .device_mask = 1, .bytes = 20 * GIB, .wait_ns_max = UINT64_MAX};
    box_step(b, (struct event){.type = EVENT_LEASE_ASKED, .lease = {.tag = 1, .ask = &ask}});
    for (uint64_t tag = 1; tag <= 1000; tag++)
        box_request(b, 0, tag);
    assert_int_equal(b->count[EFFECT_LOAD], 0);
    b->models[0].present = false;
    box_forget(b);
    box_config(b);
    assert_int_equal(b->count[EFFECT_REFUSE], 1000);
    assert_int_equal(b->last[EFFECT_REFUSE].reason, REASON_MODEL_UNKNOWN);
    assert_int_equal(b->count[EFFECT_MODEL_RETIRED], 1);
    box_free(b);
}

/* A backend with many models goes down while all of them load there. */
static void test_big_backend_goes_down(void **state)
{
    (void)state;
    struct box *b = box_new(600, 600);
    for (uint32_t i = 0; i < 600; i++)
        b->models[i].backend = 1;
    box_config(b);
    for (uint32_t i = 0; i < 600; i++)
        box_request(b, i, i + 1);
    box_forget(b);
    box_step(b, (struct event){.type = EVENT_BACKEND_DOWN, .backend.backend = 1});
    assert_int_equal(b->count[EFFECT_REFUSE], 600);
    assert_int_equal(b->notices[NOTICE_MODEL_UNLOADED], 600);
    assert_true(b->steps > 1);
    box_free(b);
}

/* A mode that wants many models gone at once, each with its orders. */
static void test_mode_of_many(void **state)
{
    (void)state;
    struct core_wish wishes[600];
    struct box *b = box_new(600, 600);
    for (uint32_t i = 0; i < 600; i++) {
        box_load(b, i);
        wishes[i] = (struct core_wish){.model = i, .what = WISH_UNLOADED};
    }
    box_forget(b);
    box_step(b, (struct event){.type = EVENT_MODE, .mode = {wishes, countof(wishes)}});
    assert_int_equal(b->count[EFFECT_UNLOAD], 600);
    assert_true(b->steps > 1);
    for (uint32_t i = 0; i < 600; i++)
        box_complete(b, EVENT_MODEL_UNLOADED, i);
    assert_int_equal(b->notices[NOTICE_MODE_REACHED], 1);
    box_free(b);
}

/* One sample shows that what many models had is free again. */
static void test_many_settle_at_once(void **state)
{
    (void)state;
    struct box *b = box_new(600, 600);
    b->config.plan = PLAN_FIT;
    for (uint32_t i = 0; i < 600; i++) {
        b->models[i].placement_count = 1;
        b->models[i].placements[0].device_mask = 1;
        b->models[i].placements[0].bytes = 10 * MIB;
    }
    box_config(b);
    for (uint32_t i = 0; i < 600; i++)
        box_load(b, i);
    for (uint32_t i = 0; i < 600; i++) {
        box_command(b, COMMAND_UNLOAD, i, 1000 + i);
        box_complete(b, EVENT_MODEL_UNLOADED, i);
    }
    box_forget(b);
    /* Those that one step has no room for are seen by the next sample. */
    for (uint32_t k = 0; k < 3 && b->notices[NOTICE_SETTLED] < 600; k++) {
        b->now_ns += NS_PER_S / 2;
        box_step(b, (struct event){.type = EVENT_DEVICE_SAMPLE, .sample.taken.ns = b->now_ns});
    }
    assert_int_equal(b->notices[NOTICE_SETTLED], 600);
    struct core_device_view d;
    core_view_device(b->core, 0, &d);
    assert_int_equal(d.settling_bytes, 0);
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
        cmocka_unit_test(test_many_waiters_expire),
        cmocka_unit_test(test_doomed_waiters_do_not_expire),
        cmocka_unit_test(test_doomed_twice),
        cmocka_unit_test(test_last_doomed_waiter_leaves),
        cmocka_unit_test(test_many_are_granted_at_once),
        cmocka_unit_test(test_removed_with_many_waiters),
        cmocka_unit_test(test_big_backend_goes_down),
        cmocka_unit_test(test_mode_of_many),
        cmocka_unit_test(test_many_settle_at_once),
        cmocka_unit_test(test_many_leases_enter_at_once),
        cmocka_unit_test(test_many_can_never_fit),
        cmocka_unit_test(test_drain_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
