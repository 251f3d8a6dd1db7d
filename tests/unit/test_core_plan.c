/* What would happen if something were wanted now, how long that would take, and what foreknowledge
 * changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_help.h"

/* Models on the device's 24 GiB, so many GiB each. */
static struct box *new_box(const uint64_t *gib, uint32_t models)
{
    struct box *b = box_new(models, 8);
    b->config.plan = PLAN_FIT;
    for (uint32_t i = 0; i < models; i++) {
        b->models[i].placement_count = 1;
        b->models[i].placements[0].device_mask = 1;
        b->models[i].placements[0].bytes = gib[i] * GIB;
    }
    box_config(b);
    return b;
}

static struct core_plan_view plan(struct box *b, uint32_t model)
{
    struct core_plan_view v;
    core_plan_model(b->core, model, CLASS_NORMAL, &v);
    core_check(b->core);
    return v;
}

static struct core_plan_view plan_lease(struct box *b, const struct core_lease_ask *ask)
{
    struct core_plan_view v;
    core_plan_lease(b->core, ask, &v);
    core_check(b->core);
    return v;
}

static void sample(struct box *b, uint64_t used)
{
    b->now_ns += NS_PER_S;
    box_step(b, (struct event){.type = EVENT_DEVICE_SAMPLE,
                               .sample = {.taken.ns = b->now_ns, .used_bytes = used}});
}

static void ask_lease(struct box *b, uint64_t tag, const struct core_lease_ask *ask)
{
    box_step(b, (struct event){.type = EVENT_LEASE_ASKED, .lease = {.tag = tag, .ask = ask}});
}

static void test_states(void **state)
{
    (void)state;
    struct box *b = new_box((const uint64_t[]){16, 16}, 2);
    struct core_plan_view v = plan(b, 0);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.placement, 0);
    assert_int_equal(v.devices, 1);
    assert_int_equal(v.bytes, 16 * GIB);
    assert_int_equal(v.victim_count, 0);
    assert_int_equal(v.estimate_ns, 2 * NS_PER_S + 16 * GIB);
    box_request(b, 0, 1);
    struct id waiter = b->last[EFFECT_WAIT].waiter;
    assert_int_equal(plan(b, 0).verdict, VERDICT_WAIT); /* it is on its way */
    box_complete(b, EVENT_MODEL_LOADED, 0);
    v = plan(b, 0);
    assert_int_equal(v.verdict, VERDICT_HERE);
    assert_int_equal(v.devices, 1);
    assert_int_equal(v.estimate_ns, 0);
    v = plan(b, 1);
    assert_int_equal(v.verdict, VERDICT_WAIT); /* for the one that works */
    assert_int_equal(v.why, REASON_BUSY);
    box_end(b, waiter);
    v = plan(b, 1);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.victim_count, 1);
    assert_int_equal(v.victims[0].model, 0);
    assert_int_equal(v.victims[0].action, ACTION_UNLOAD);
    assert_int_equal(v.victims[0].bytes, 16 * GIB);
    assert_false(v.victims[0].busy);
    box_request(b, 1, 2);
    assert_int_equal(b->last[EFFECT_UNLOAD].model, 0);
    assert_int_equal(plan(b, 0).verdict, VERDICT_WAIT); /* it is on its way out */
    assert_int_equal(plan(b, 1).verdict, VERDICT_WAIT); /* its plan has begun */
    box_free(b);
}

static void test_blocked_and_never(void **state)
{
    (void)state;
    struct box *b = new_box((const uint64_t[]){16, 16, 30}, 3);
    struct core_plan_view v = plan(b, 2);
    assert_int_equal(v.verdict, VERDICT_NEVER);
    assert_int_equal(v.why, REASON_NO_ROOM);
    b->models[0].pinned = true;
    box_config(b);
    box_load(b, 0);
    v = plan(b, 1);
    assert_int_equal(v.verdict, VERDICT_BLOCKED);
    assert_int_equal(v.why, REASON_PINNED);
    b->models[0].pinned = false;
    box_config(b);
    /* An unload that cannot be ended; the other one's load fails. */
    box_command(b, COMMAND_UNLOAD, 0, 7);
    box_step(b, (struct event){.type = EVENT_MODEL_UNLOADED,
                               .model = {.op = b->ops[0], .model = 0, .stuck = true}});
    v = plan(b, 0);
    assert_int_equal(v.verdict, VERDICT_BLOCKED);
    assert_int_equal(v.why, REASON_COMMAND);
    v = plan(b, 1);
    assert_int_equal(v.verdict, VERDICT_NEVER);
    assert_int_equal(v.why, REASON_STUCK);
    box_step(b, (struct event){.type = EVENT_MODEL_EXITED, .model = {.model = 0}});
    sample(b, 0);
    box_command(b, COMMAND_LOAD, 1, 8);
    box_step(b, (struct event){.type = EVENT_MODEL_LOAD_FAILED,
                               .model = {.op = b->ops[1], .model = 1, .why = REASON_LOAD_FAILED}});
    v = plan(b, 1);
    assert_int_equal(v.verdict, VERDICT_BLOCKED);
    assert_int_equal(v.why, REASON_LOAD_FAILED);
    box_free(b);
}

/* A lease that needs what a model works on waits for what is left of that work. */
static void test_lease_behind_a_busy_model(void **state)
{
    (void)state;
    struct box *b = new_box((const uint64_t[]){16}, 1);
    const struct core_lease_ask ask = {
        .class = CLASS_BACKGROUND, .device_mask = 1, .bytes = 12 * GIB, .wait_ns_max = UINT64_MAX};
    box_request(b, 0, 1);
    struct id waiter = b->last[EFFECT_WAIT].waiter;
    struct core_plan_view v = plan_lease(b, &ask);
    assert_int_equal(v.verdict, VERDICT_WAIT);
    assert_int_equal(v.estimate_ns, 2 * NS_PER_S + 16 * GIB); /* it is still loading */
    box_complete(b, EVENT_MODEL_LOADED, 0);
    v = plan_lease(b, &ask);
    assert_int_equal(v.verdict, VERDICT_WAIT);
    assert_int_equal(v.estimate_ns, NS_PER_S); /* a service that nobody has timed */
    box_end(b, waiter);
    v = plan_lease(b, &ask);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.victim_count, 1);
    assert_int_equal(v.estimate_ns, 0);
    box_free(b);
}

/* For one of a higher class, what works would be told to go, and so would a lease. */
static void test_busy_victims(void **state)
{
    (void)state;
    struct box *b = new_box((const uint64_t[]){16, 24}, 2);
    const struct core_lease_ask ask = {.class = CLASS_BACKGROUND,
                                       .device_mask = 1,
                                       .bytes = 8 * GIB,
                                       .revocable = true,
                                       .wait_ns_max = UINT64_MAX};
    b->config.sched = SCHEDULER_FAIR;
    box_config(b);
    box_load(b, 0);
    ask_lease(b, 1, &ask);
    struct id lease = b->last[EFFECT_LEASE_GRANT].waiter;
    box_request(b, 0, 2);
    b->now_ns = 60 * NS_PER_S; /* it has stayed for as long as its load would take */
    box_step(b, (struct event){.type = EVENT_TICK});
    assert_int_equal(plan(b, 1).verdict, VERDICT_WAIT);
    struct core_plan_view v;
    core_plan_model(b->core, 1, CLASS_FOREGROUND, &v);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.why, REASON_OUTRANKED);
    assert_int_equal(v.victim_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        bool is_lease = v.victims[i].model == CORE_SLOT_NONE;
        assert_int_equal(v.victims[i].action, is_lease ? ACTION_REVOKE : ACTION_UNLOAD);
        assert_int_equal(v.victims[i].bytes, (is_lease ? 8 : 16) * GIB);
        assert_int_equal(v.victims[i].busy, !is_lease);
        assert_true(!is_lease || id_equal(v.victims[i].lease, lease));
    }
    assert_int_not_equal(v.victims[0].model, v.victims[1].model);
    assert_int_equal(b->count[EFFECT_LEASE_REVOKE], 0); /* it was a look */
    box_free(b);
}

/* More victims than are shown, and than the exact search looks at. */
static void test_many_victims(void **state)
{
    (void)state;
    uint64_t gib[CORE_PLAN_VICTIMS_MAX + 9];
    for (uint32_t i = 0; i < countof(gib); i++)
        gib[i] = 1;
    gib[0] = 24 * 3;
    struct box *b = new_box(gib, countof(gib));
    box_step(b, (struct event){.type = EVENT_DEVICE_FOUND, .found = {0, 24 * 3 * GIB}});
    for (uint32_t i = 1; i < countof(gib); i++)
        box_load(b, i);
    struct core_plan_view v = plan(b, 0);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.victim_count, countof(gib) - 1);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < CORE_PLAN_VICTIMS_MAX; i++) {
        assert_in_range(v.victims[i].model, 1, countof(gib) - 1);
        assert_false(seen >> v.victims[i].model & 1);
        seen |= UINT64_C(1) << v.victims[i].model;
    }
    box_free(b);
}

/* For one target at most 64 leave at a time; the rest when they have gone. */
static void test_too_many_victims(void **state)
{
    (void)state;
    uint64_t gib[80];
    for (uint32_t i = 0; i < countof(gib); i++)
        gib[i] = 1;
    gib[0] = countof(gib) - 1;
    struct box *b = new_box(gib, countof(gib));
    box_step(b, (struct event){.type = EVENT_DEVICE_FOUND, .found = {0, gib[0] * GIB}});
    for (uint32_t i = 1; i < countof(gib); i++)
        box_load(b, i);
    struct core_plan_view v = plan(b, 0);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.victim_count, 64);
    b->models[0].placements[0].bytes = 64 * GIB;
    box_config(b);
    v = plan(b, 0);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.victim_count, 64);
    box_free(b);
}

/* The search for the cheapest set is given up after so many nodes, with what it has by then. */
static void test_search_has_an_end(void **state)
{
    (void)state;
    uint64_t gib[17];
    for (uint32_t i = 0; i < countof(gib); i++)
        gib[i] = 1;
    gib[16] = 8;
    struct box *b = new_box(gib, countof(gib));
    b->devices[0].reserve_bytes = 8 * GIB;
    box_config(b);
    for (uint32_t i = 0; i < 16; i++) {
        box_load(b, i);
        box_step(b, (struct event){.type = EVENT_LEARNED,
                                   .learned = {.model = i, .load_ns = (100 + i) * NS_PER_S}});
    }
    struct core_plan_view v = plan(b, 16);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.victim_count, 8);
    for (uint32_t i = 0; i < 8; i++)
        assert_in_range(v.victims[i].model, 0, 7); /* the cheapest */
    box_free(b);
}

static void test_lease(void **state)
{
    (void)state;
    struct box *b = new_box((const uint64_t[]){16}, 1);
    struct core_lease_ask ask = {.class = CLASS_BACKGROUND,
                                 .device_mask = 1,
                                 .bytes = 12 * GIB,
                                 .gate_count = 1,
                                 .wait_ns_max = UINT64_MAX};
    const struct core_lease_ask gate_alone = {
        .class = CLASS_BACKGROUND, .gate_count = 1, .wait_ns_max = UINT64_MAX};
    struct core_view before, after;
    core_view(b->core, &before);
    struct core_plan_view v = plan_lease(b, &ask);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.devices, 1);
    assert_int_equal(v.bytes, 12 * GIB);
    assert_int_equal(plan_lease(b, &gate_alone).verdict, VERDICT_GO);
    core_view(b->core, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    box_load(b, 0);
    v = plan_lease(b, &ask);
    assert_int_equal(v.verdict, VERDICT_GO);
    assert_int_equal(v.victim_count, 1);
    box_request(b, 0, 1);
    assert_int_equal(plan_lease(b, &ask).verdict, VERDICT_WAIT);
    ask.bytes = 25 * GIB;
    assert_int_equal(plan_lease(b, &ask).verdict, VERDICT_NEVER);
    ask.bytes = 8 * GIB;
    assert_int_equal(plan_lease(b, &ask).verdict, VERDICT_GO);
    /* Its gate is full; then it has room, but somebody waits there for bytes. */
    ask_lease(b, 2, &gate_alone);
    struct id holder = b->last[EFFECT_LEASE_GRANT].waiter;
    v = plan_lease(b, &ask);
    assert_int_equal(v.verdict, VERDICT_WAIT);
    assert_int_equal(v.why, REASON_BUSY);
    ask.bytes = 20 * GIB;
    ask_lease(b, 3, &ask);
    box_step(b, (struct event){.type = EVENT_LEASE_ENDED, .lease_id = {holder}});
    assert_int_equal(b->last[EFFECT_LEASE_GRANT].tag, 2);
    assert_int_equal(plan_lease(b, &gate_alone).verdict, VERDICT_WAIT);
    box_free(b);
}

static void test_lease_memory_ends(void **state)
{
    (void)state;
    struct box *b = new_box((const uint64_t[]){16}, 1);
    for (uint64_t tag = 1; tag <= b->limits.leases_max; tag++)
        box_lease(b, tag);
    const struct core_lease_ask ask = {.bytes = GIB, .device_mask = 1, .wait_ns_max = UINT64_MAX};
    struct core_plan_view v = plan_lease(b, &ask);
    assert_int_equal(v.verdict, VERDICT_WAIT);
    assert_int_equal(v.why, REASON_QUEUE_FULL);
    box_step(b, (struct event){.type = EVENT_LEASE_RESTORED,
                               .lease = {.tag = 99, .ask = &ask, .devices = 1, .grace_ns = 1}});
    assert_int_equal(b->last[EFFECT_REFUSE].tag, 99);
    assert_int_equal(b->last[EFFECT_REFUSE].reason, REASON_QUEUE_FULL);
    box_free(b);
}

/* Until it is there: what is left of those that come in before it, each served for a while, and its
 * own load. */
static void test_estimates(void **state)
{
    (void)state;
    /* At 1 GB/s, and 2 s: so many seconds each. */
    static const uint64_t load_s[] = {20, 10, 15, 12};
    struct box *b = new_box((const uint64_t[]){0, 0, 0, 0}, countof(load_s));
    for (uint32_t i = 0; i < countof(load_s); i++)
        b->models[i].placements[0].bytes = (load_s[i] - 2) * NS_PER_S;
    b->devices[0].reserve_bytes = 24 * GIB - 20 * NS_PER_S;
    box_config(b);
    box_request(b, 0, 1);
    box_complete(b, EVENT_MODEL_LOADED, 0); /* it works, so that the others wait */
    box_request(b, 1, 2);
    box_request(b, 2, 3);
    assert_int_equal(b->count[EFFECT_LOAD], 1);
    struct core_waiting w;
    struct id cursor = {0};
    uint32_t place, s;
    assert_true(core_view_next_waiting(b->core, &cursor, &w));
    core_view_waiter(b->core, cursor, &place, &s);
    assert_int_equal(s, 10);
    assert_true(core_view_next_waiting(b->core, &cursor, &w));
    core_view_waiter(b->core, cursor, &place, &s);
    assert_int_equal(s, 15 + 10 + 1);
    assert_int_equal(core_estimate_s(b->core, 3), 12 + 10 + 1 + 15 + 1);
    assert_int_equal(core_estimate_s(b->core, 0), 1);
    box_free(b);
}

/* Under serial all that were first come first, and leave again. */
static void test_estimates_under_serial(void **state)
{
    (void)state;
    static const uint64_t load_s[] = {20, 10, 15, 12};
    struct box *b = new_box((const uint64_t[]){0, 0, 0, 0}, countof(load_s));
    b->config.sched = SCHEDULER_SERIAL;
    for (uint32_t i = 0; i < countof(load_s); i++)
        b->models[i].placements[0].bytes = (load_s[i] - 2) * NS_PER_S;
    b->models[2].priority = 1; /* which serial does not look at */
    box_config(b);
    box_request(b, 0, 1);
    for (uint32_t i = 1; i < 3; i++)
        box_request(b, i, i + 1);
    /* What is left of the first one's load; then each with a second of service; then its own. */
    assert_int_equal(core_estimate_s(b->core, 3), 20 + 10 + 1 + 15 + 1 + 12);
    box_complete(b, EVENT_MODEL_LOADED, 0);
    assert_int_equal(core_estimate_s(b->core, 3), 10 + 1 + 15 + 1 + 12);
    box_request(b, 3, 4);
    uint32_t place, s;
    core_view_waiter(b->core, b->last[EFFECT_WAIT].waiter, &place, &s);
    assert_int_equal(place, 3);
    assert_int_equal(s, 10 + 1 + 15 + 1 + 12);
    box_free(b);
}

/* What sleeps wakes within a quarter of its load, until it is known better. */
static void test_estimate_of_a_sleeper(void **state)
{
    (void)state;
    struct box *b = new_box((const uint64_t[]){16}, 1);
    b->models[0].suspends = true;
    b->config.suspend_bytes_max = 24 * GIB;
    box_config(b);
    box_command(b, COMMAND_LOAD, 0, 1);
    b->now_ns += 40 * NS_PER_S;
    box_complete(b, EVENT_MODEL_LOADED, 0);
    for (uint32_t round = 0; round < 2; round++) {
        static const uint32_t wakes_s[] = {10, 30};
        box_command(b, COMMAND_SUSPEND, 0, 2);
        box_step(b, (struct event){
                        .type = EVENT_MODEL_SUSPENDED,
                        .model = {.op = b->last[EFFECT_SUSPEND].op, .outcome = OUTCOME_DONE}});
        sample(b, 0);
        assert_in_range(core_estimate_s(b->core, 0), wakes_s[round], wakes_s[round] + 1);
        assert_int_equal(plan(b, 0).verdict, VERDICT_GO);
        box_command(b, COMMAND_LOAD, 0, 3);
        b->now_ns += 30 * NS_PER_S;
        box_step(
            b, (struct event){.type = EVENT_MODEL_RESUMED,
                              .model = {.op = b->last[EFFECT_RESUME].op, .outcome = OUTCOME_DONE}});
    }
    box_free(b);
}

/* A slot without a model can be asked about: the least there is. */
static void test_estimate_of_nobody(void **state)
{
    (void)state;
    struct box *b = box_new(2, 4);
    b->config.model_count = 1;
    b->models[1].present = false;
    box_config(b);
    b->config.model_count = 2;
    box_config(b);
    assert_in_range(core_estimate_s(b->core, 1), 1, 2);
    box_free(b);
}

/* Who knows the future sends away what is wanted last, or never again. */
static void test_foreseen(void **state)
{
    (void)state;
    static const struct {
        uint64_t at_s[2];
        uint32_t victim;
    } cases[] = {{{10, 20}, 1}, {{20, 10}, 0}, {{UINT64_MAX, 3600}, 0}, {{3600, UINT64_MAX}, 1}};
    for (uint32_t i = 0; i < countof(cases); i++) {
        struct box *b = new_box((const uint64_t[]){12, 12, 12}, 3);
        b->config.victims = VICTIMS_FORESEEN;
        box_config(b);
        box_load(b, 0);
        box_load(b, 1);
        for (uint32_t k = 0; k < 2; k++) {
            uint64_t at = cases[i].at_s[k];
            box_step(b,
                     (struct event){
                         .type = EVENT_FORESEEN,
                         .foreseen = {.model = k, .at.ns = at == UINT64_MAX ? at : at * NS_PER_S}});
        }
        struct core_plan_view v = plan(b, 2);
        assert_int_equal(v.victim_count, 1);
        assert_int_equal(v.victims[0].model, cases[i].victim);
        box_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_blocked_and_never),
        cmocka_unit_test(test_lease_behind_a_busy_model),
        cmocka_unit_test(test_busy_victims),
        cmocka_unit_test(test_many_victims),
        cmocka_unit_test(test_too_many_victims),
        cmocka_unit_test(test_search_has_an_end),
        cmocka_unit_test(test_lease),
        cmocka_unit_test(test_lease_memory_ends),
        cmocka_unit_test(test_estimates),
        cmocka_unit_test(test_estimates_under_serial),
        cmocka_unit_test(test_estimate_of_a_sleeper),
        cmocka_unit_test(test_estimate_of_nobody),
        cmocka_unit_test(test_foreseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
