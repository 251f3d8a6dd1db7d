/* Each rule of the judge can be broken: a lying trace for every one of them, and an honest one that
 * breaks none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "judge/judge.h"

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, expr);
    abort();
}

/* Two models of 8 GiB on a device of 12, a third that takes no memory; two gates. */
struct bench {
    struct judge *j;
    uint64_t now_ns, tag, op;
    struct core_model_policy models[4];
    struct core_group_policy groups[2];
    struct core_device_policy devices[1];
    struct core_gate_policy gates[2];
    struct core_config config;
};

static void tell(struct bench *b, struct event ev)
{
    ev.now.ns = b->now_ns;
    static struct event kept; /* the judge looks at it until the next one */
    kept = ev;
    judge_event(b->j, &kept);
}

static void settle(struct bench *b)
{
    judge_settle(b->j, 0);
}

static void pass(struct bench *b, uint64_t s)
{
    b->now_ns += s * NS_PER_S;
    tell(b, (struct event){.type = EVENT_TICK});
}

static void say(struct bench *b, struct effect e)
{
    judge_effect(b->j, &e);
}

static void configure(struct bench *b)
{
    tell(b, (struct event){.type = EVENT_CONFIG, .config = &b->config});
}

static void begin(struct bench *b, bool boot)
{
    static const struct terms terms = {.declared = true,
                                       .calm = true,
                                       .load_ns_max = NS_PER_S,
                                       .unload_ns_max = NS_PER_S,
                                       .settle_ns_max = NS_PER_S,
                                       .waiters_max = 64,
                                       .leases_max = 8};
    *b = (struct bench){.j = calloc(1, sizeof(*b->j)), .now_ns = NS_PER_S};
    assert_non_null(b->j);
    judge_init(b->j, &terms);
    for (uint32_t i = 0; i < 3; i++)
        b->models[i] = (struct core_model_policy){.present = true,
                                                  .slots_max = 1,
                                                  .queue_max = 10,
                                                  .hash_process = 1,
                                                  .group = 1,
                                                  .backend = i + 1,
                                                  .ttl_ns = 10 * NS_PER_S,
                                                  .placement_count = i < 2,
                                                  .placements[0] = {1, 1, 8 * GIB, 0}};
    b->groups[1].swap = true;
    b->devices[0].limit_permille = 1000;
    b->gates[0].limit = b->gates[1].limit = 1;
    b->config = (struct core_config){
        .sched = SCHEDULER_FIFO,
        .plan = PLAN_FIT,
        .models = b->models,
        .model_count = 3,
        .groups = b->groups,
        .group_count = 2,
        .devices = b->devices,
        .device_count = 1,
        .gates = b->gates,
        .gate_count = 2,
        .fair = {.wait_ns_max = {NS_PER_S, NS_PER_S, NS_PER_S}, .serve_ns_max = NS_PER_S}};
    configure(b);
    tell(b, (struct event){.type = EVENT_DEVICE_FOUND, .found = {0, 12 * GIB}});
    if (boot)
        tell(b, (struct event){.type = EVENT_BOOT_DONE});
}

static uint64_t ask(struct bench *b, uint32_t model, enum class class, uint64_t wait_ns)
{
    b->tag++;
    tell(b,
         (struct event){
             .type = EVENT_REQUEST_ARRIVED,
             .request = {.tag = b->tag, .model = model, .class = class, .wait_ns_max = wait_ns}});
    return b->tag;
}

static struct effect about(enum effect_type type, uint64_t tag)
{
    return (struct effect){.type = type,
                           .tag = tag,
                           .waiter = {(uint32_t)tag, 1},
                           .model = CORE_SLOT_NONE,
                           .other = CORE_SLOT_NONE,
                           .gate = CORE_SLOT_NONE,
                           .placement = CORE_SLOT_NONE,
                           .device = CORE_SLOT_NONE,
                           .position = 1,
                           .retry_after_s = 1};
}

static void wait(struct bench *b, uint64_t tag)
{
    say(b, about(EFFECT_WAIT, tag));
    settle(b);
}

static uint64_t ask_and_wait(struct bench *b, uint32_t model)
{
    uint64_t tag = ask(b, model, CLASS_NORMAL, UINT64_MAX);
    wait(b, tag);
    return tag;
}

static void grant(struct bench *b, uint64_t tag, uint32_t model)
{
    struct effect e = about(EFFECT_GRANT, tag);
    e.model = model;
    say(b, e);
}

static void refuse(struct bench *b, uint64_t tag, enum reason why)
{
    struct effect e = about(EFFECT_REFUSE, tag);
    e.reason = why;
    say(b, e);
}

static struct effect order(struct bench *b, enum effect_type type, uint32_t model)
{
    struct effect e = about(type, 0);
    e.model = model;
    e.op = ++b->op;
    if (model < 2 && type != EFFECT_UNLOAD) {
        e.placement = 0;
        e.devices = 1;
        e.device = 0;
        e.bytes = 8 * GIB;
    }
    return e;
}

static void done(struct bench *b, enum event_type type, uint32_t model)
{
    tell(b, (struct event){.type = type, .model = {.op = b->op, .model = model}});
}

static void load(struct bench *b, uint32_t model)
{
    say(b, order(b, EFFECT_LOAD, model));
    done(b, EVENT_MODEL_LOADED, model);
}

static void end(struct bench *b, uint64_t tag)
{
    tell(b, (struct event){.type = EVENT_REQUEST_ENDED, .ended.waiter = {(uint32_t)tag, 1}});
}

static void notice(struct bench *b, enum notice what, uint32_t model)
{
    struct effect e = about(EFFECT_NOTICE, 0);
    e.notice = what;
    e.model = model;
    say(b, e);
}

static uint64_t lease_of(struct bench *b, struct core_lease_ask lease)
{
    static struct core_lease_ask kept[16];
    b->tag++;
    kept[b->tag % 16] = lease;
    tell(b, (struct event){.type = EVENT_LEASE_ASKED,
                           .lease = {.tag = b->tag, .ask = &kept[b->tag % 16]}});
    return b->tag;
}

static struct core_lease_ask gate_ask(uint32_t gate, enum class class)
{
    return (struct core_lease_ask){
        .class = class, .gates = {gate}, .gate_count = 1, .wait_ns_max = UINT64_MAX};
}

static struct core_lease_ask bytes_ask(uint64_t bytes)
{
    return (struct core_lease_ask){
        .class = CLASS_NORMAL, .device_mask = 1, .bytes = bytes, .wait_ns_max = UINT64_MAX};
}

static void lease_grant(struct bench *b, uint64_t tag, uint64_t bytes)
{
    struct effect e = about(EFFECT_LEASE_GRANT, tag);
    e.bytes = bytes;
    e.devices = bytes ? 1 : 0;
    say(b, e);
}

static void lease_wait(struct bench *b, uint64_t tag)
{
    say(b, about(EFFECT_LEASE_WAIT, tag));
}

/* Lies */

static void lie_overcommit(struct bench *b)
{
    load(b, 0);
    say(b, order(b, EFFECT_LOAD, 1));
}

static void lie_unknown(struct bench *b)
{
    b->j->terms.declared = false;
    b->models[0].placements[0].bytes = 0;
    b->models[1].placements[0].bytes = GIB;
    configure(b);
    say(b, order(b, EFFECT_LOAD, 0));
    lease_grant(b, lease_of(b, bytes_ask(GIB)), GIB);
}

static void lie_bytes(struct bench *b)
{
    struct effect e = order(b, EFFECT_LOAD, 0);
    e.bytes = GIB;
    say(b, e);
}

static void lie_place(struct bench *b)
{
    struct effect e = order(b, EFFECT_LOAD, 0);
    e.devices = 3;
    say(b, e);
}

static void lie_loader(struct bench *b)
{
    b->models[0].placements[0].bytes = b->models[1].placements[0].bytes = GIB;
    configure(b);
    for (uint32_t i = 0; i < 2; i++) {
        struct effect e = order(b, EFFECT_LOAD, i);
        e.bytes = GIB;
        say(b, e);
    }
}

static void lie_twice(struct bench *b)
{
    load(b, 0);
    uint64_t tag = ask(b, 0, CLASS_NORMAL, UINT64_MAX);
    grant(b, tag, 0);
    grant(b, tag, 0);
}

static void lie_answer(struct bench *b)
{
    ask(b, 0, CLASS_NORMAL, UINT64_MAX);
    settle(b);
}

static void lie_id(struct bench *b)
{
    struct effect e = about(EFFECT_WAIT, ask(b, 0, CLASS_NORMAL, UINT64_MAX));
    say(b, e);
    e.waiter.gen = 3;
    e.type = EFFECT_REFUSE;
    e.reason = REASON_LOAD_FAILED;
    say(b, e);
}

static void lie_op(struct bench *b)
{
    say(b, order(b, EFFECT_LOAD, 2));
    say(b, order(b, EFFECT_LOAD, 2));
}

static void lie_escalation(struct bench *b)
{
    say(b, order(b, EFFECT_LOAD, 2));
    struct effect e = order(b, EFFECT_KILL, 2);
    e.op = --b->op;
    say(b, e);
}

static void lie_grant(struct bench *b)
{
    grant(b, ask_and_wait(b, 0), 0);
}

static void lie_slots(struct bench *b)
{
    load(b, 0);
    grant(b, ask(b, 0, CLASS_NORMAL, UINT64_MAX), 0);
    grant(b, ask(b, 0, CLASS_NORMAL, UINT64_MAX), 0);
}

static void lie_fifo(struct bench *b)
{
    ask_and_wait(b, 0);
    uint64_t second = ask_and_wait(b, 0);
    load(b, 0);
    grant(b, second, 0);
    settle(b);
}

static void lie_class(struct bench *b)
{
    uint64_t low = ask(b, 0, CLASS_BACKGROUND, UINT64_MAX);
    wait(b, low);
    wait(b, ask(b, 0, CLASS_FOREGROUND, UINT64_MAX));
    load(b, 0);
    grant(b, low, 0);
}

static void lie_serial(struct bench *b)
{
    b->config.sched = SCHEDULER_SERIAL;
    configure(b);
    ask_and_wait(b, 0);
    uint64_t second = ask_and_wait(b, 2);
    load(b, 2);
    grant(b, second, 2);
    settle(b);
}

static void lie_alone(struct bench *b)
{
    b->config.sched = SCHEDULER_SERIAL;
    b->models[0].slots_max = 2;
    configure(b);
    load(b, 0);
    grant(b, ask(b, 0, CLASS_NORMAL, UINT64_MAX), 0);
    grant(b, ask(b, 0, CLASS_NORMAL, UINT64_MAX), 0);
}

static void lie_group(struct bench *b)
{
    b->config.plan = PLAN_GROUP;
    configure(b);
    struct effect e = order(b, EFFECT_LOAD, 0);
    e.devices = 0;
    say(b, e);
    say(b, order(b, EFFECT_LOAD, 2));
}

static void lie_bound(struct bench *b)
{
    b->config.sched = SCHEDULER_FAIR;
    configure(b);
    uint64_t tag = ask_and_wait(b, 0);
    pass(b, 2);
    settle(b);
    pass(b, 600);
    settle(b);
    load(b, 0);
    grant(b, tag, 0);
}

static void lie_pinned(struct bench *b)
{
    b->models[0].pinned = true;
    configure(b);
    load(b, 0);
    struct effect e = order(b, EFFECT_UNLOAD, 0);
    e.reason = REASON_EVICTED;
    say(b, e);
}

static void lie_preempt(struct bench *b)
{
    load(b, 0);
    grant(b, ask(b, 0, CLASS_NORMAL, UINT64_MAX), 0);
    say(b, order(b, EFFECT_UNLOAD, 0));
}

static void lie_boot(struct bench *b)
{
    begin(b, false);
    say(b, order(b, EFFECT_LOAD, 0));
}

static void lie_drain(struct bench *b)
{
    load(b, 0);
    tell(b, (struct event){.type = EVENT_DRAIN, .drain.grace_ns = 0});
    notice(b, NOTICE_DRAINED, CORE_SLOT_NONE);
}

static void lie_reason(struct bench *b)
{
    refuse(b, ask(b, 0, CLASS_NORMAL, UINT64_MAX), REASON_MODEL_UNKNOWN);
}

static void lie_estimate(struct bench *b)
{
    struct effect e = about(EFFECT_WAIT, ask(b, 0, CLASS_NORMAL, UINT64_MAX));
    e.position = 2;
    say(b, e);
}

static void lie_expiry(struct bench *b)
{
    uint64_t tag = ask(b, 0, CLASS_NORMAL, 10 * NS_PER_S);
    wait(b, tag);
    pass(b, 1);
    refuse(b, tag, REASON_WAIT_EXPIRED);
}

static void lie_expiry_late(struct bench *b)
{
    wait(b, ask(b, 0, CLASS_NORMAL, 10 * NS_PER_S));
    pass(b, 11);
    settle(b);
}

static void lie_gate_order(struct bench *b)
{
    uint64_t inside = lease_of(b, gate_ask(0, CLASS_BACKGROUND));
    lease_grant(b, inside, 0);
    lease_wait(b, lease_of(b, gate_ask(0, CLASS_FOREGROUND)));
    uint64_t low = lease_of(b, gate_ask(0, CLASS_BACKGROUND));
    lease_wait(b, low);
    tell(b, (struct event){.type = EVENT_LEASE_ENDED, .lease_id.lease = {(uint32_t)inside, 1}});
    lease_grant(b, low, 0);
}

static void lie_gate_limit(struct bench *b)
{
    lease_grant(b, lease_of(b, gate_ask(0, CLASS_NORMAL)), 0);
    lease_grant(b, lease_of(b, gate_ask(0, CLASS_NORMAL)), 0);
}

static void lie_gate_idle(struct bench *b)
{
    lease_wait(b, lease_of(b, gate_ask(0, CLASS_NORMAL)));
    settle(b);
}

static void lie_lease_whole(struct bench *b)
{
    lease_grant(b, lease_of(b, bytes_ask(2 * GIB)), GIB);
}

static void lie_lease_order(struct bench *b)
{
    uint64_t first = lease_of(b, bytes_ask(11 * GIB)), second, third;
    lease_grant(b, first, 11 * GIB);
    second = lease_of(b, bytes_ask(2 * GIB));
    lease_wait(b, second);
    third = lease_of(b, bytes_ask(3 * GIB));
    lease_wait(b, third);
    tell(b, (struct event){.type = EVENT_LEASE_ENDED, .lease_id.lease = {(uint32_t)first, 1}});
    lease_grant(b, third, 3 * GIB);
}

static void lie_lease_end(struct bench *b)
{
    uint64_t tag = lease_of(b, gate_ask(0, CLASS_NORMAL));
    lease_grant(b, tag, 0);
    struct effect e = about(EFFECT_LEASE_END, tag);
    e.reason = REASON_LEASE_EXPIRED;
    say(b, e);
}

static void lie_lease_stays(struct bench *b)
{
    struct core_lease_ask a = gate_ask(0, CLASS_NORMAL);
    a.ttl_ns = NS_PER_S;
    lease_grant(b, lease_of(b, a), 0);
    pass(b, 2);
    settle(b);
}

static void lie_revoke(struct bench *b)
{
    uint64_t tag = lease_of(b, gate_ask(0, CLASS_NORMAL));
    lease_grant(b, tag, 0);
    say(b, about(EFFECT_LEASE_REVOKE, tag));
}

static void lie_trace(struct bench *b)
{
    uint64_t tag = lease_of(b, gate_ask(0, CLASS_NORMAL));
    struct effect e = about(EFFECT_TRACE, tag);
    e.gate = 0;
    e.trace = TRACE_RELEASED;
    say(b, e);
}

static void lie_command(struct bench *b)
{
    tell(b, (struct event){.type = EVENT_COMMAND, .command = {.tag = 7, .what = COMMAND_LOAD}});
    say(b, about(EFFECT_COMMAND_DONE, 7));
}

static void lie_retired(struct bench *b)
{
    struct effect e = about(EFFECT_MODEL_RETIRED, 0);
    e.model = 0;
    say(b, e);
}

static void lie_backend(struct bench *b)
{
    tell(b, (struct event){.type = EVENT_BACKEND_DOWN, .backend.backend = 1});
    say(b, order(b, EFFECT_LOAD, 0));
}

static void lie_suspend(struct bench *b)
{
    b->models[0].suspends = true;
    b->config.suspend_bytes_max = GIB;
    configure(b);
    load(b, 0);
    say(b, order(b, EFFECT_SUSPEND, 0));
}

static void lie_idle(struct bench *b)
{
    load(b, 0);
    pass(b, 9);
    struct effect e = order(b, EFFECT_UNLOAD, 0);
    e.reason = REASON_IDLE;
    say(b, e);
}

static void lie_tick_only(struct bench *b)
{
    uint64_t tag = ask(b, 0, CLASS_NORMAL, NS_PER_S);
    wait(b, tag);
    b->now_ns += 2 * NS_PER_S;
    configure(b);
    refuse(b, tag, REASON_WAIT_EXPIRED);
}

static void lie_deadline(struct bench *b)
{
    pass(b, 1);
    judge_settle(b->j, b->now_ns);
}

static void lie_conservation(struct bench *b)
{
    ask_and_wait(b, 0);
    judge_view(b->j, &(struct core_view){.booted = true});
}

static void lie_view(struct bench *b)
{
    load(b, 0);
    judge_view_model(b->j, 0, &(struct core_model_view){.state = MODEL_UNLOADED});
}

static void lie_liveness(struct bench *b)
{
    ask_and_wait(b, 0);
    judge_peace(b->j);
}

static void lie_unanswered(struct bench *b)
{
    tell(b, (struct event){.type = EVENT_COMMAND, .command = {.tag = 7, .what = COMMAND_LOAD}});
    judge_peace(b->j);
}

static void lie_wish(struct bench *b)
{
    const struct core_wish wish = {.model = 2, .what = WISH_UNLOADED};
    load(b, 2);
    tell(b, (struct event){.type = EVENT_MODE, .mode = {&wish, 1}});
    pass(b, 1);
    judge_peace(b->j);
}

static const struct {
    enum rule rule;
    void (*lie)(struct bench *b);
} lies[] = {
    {RULE_OVERCOMMIT, lie_overcommit},
    {RULE_UNKNOWN, lie_unknown},
    {RULE_BYTES, lie_bytes},
    {RULE_PLACE, lie_place},
    {RULE_LOADER, lie_loader},
    {RULE_TWICE, lie_twice},
    {RULE_ANSWER, lie_answer},
    {RULE_ID, lie_id},
    {RULE_OP, lie_op},
    {RULE_ESCALATION, lie_escalation},
    {RULE_GRANT, lie_grant},
    {RULE_SLOTS, lie_slots},
    {RULE_FIFO, lie_fifo},
    {RULE_CLASS, lie_class},
    {RULE_SERIAL, lie_serial},
    {RULE_ALONE, lie_alone},
    {RULE_GROUP, lie_group},
    {RULE_BOUND, lie_bound},
    {RULE_PINNED, lie_pinned},
    {RULE_PREEMPT, lie_preempt},
    {RULE_BOOT, lie_boot},
    {RULE_DRAIN, lie_drain},
    {RULE_REASON, lie_reason},
    {RULE_ESTIMATE, lie_estimate},
    {RULE_EXPIRY, lie_expiry},
    {RULE_EXPIRY, lie_expiry_late},
    {RULE_GATE_ORDER, lie_gate_order},
    {RULE_GATE_LIMIT, lie_gate_limit},
    {RULE_GATE_IDLE, lie_gate_idle},
    {RULE_LEASE_WHOLE, lie_lease_whole},
    {RULE_LEASE_ORDER, lie_lease_order},
    {RULE_LEASE_END, lie_lease_end},
    {RULE_LEASE_END, lie_lease_stays},
    {RULE_REVOKE, lie_revoke},
    {RULE_TRACE, lie_trace},
    {RULE_COMMAND, lie_command},
    {RULE_RETIRED, lie_retired},
    {RULE_BACKEND, lie_backend},
    {RULE_SUSPEND, lie_suspend},
    {RULE_IDLE, lie_idle},
    {RULE_TICK_ONLY, lie_tick_only},
    {RULE_DEADLINE, lie_deadline},
    {RULE_CONSERVATION, lie_conservation},
    {RULE_VIEW, lie_view},
    {RULE_LIVENESS, lie_liveness},
    {RULE_UNANSWERED, lie_unanswered},
    {RULE_WISH, lie_wish},
};

static void test_each_rule_can_be_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(lies); i++) {
        struct bench b;
        begin(&b, true);
        assert_int_equal(b.j->broken, RULE_NONE);
        struct judge *first = b.j;
        lies[i].lie(&b);
        if (b.j->broken != lies[i].rule)
            fail_msg("the lie about %s broke %s: %s", rule_name(lies[i].rule),
                     rule_name(b.j->broken), b.j->text);
        if (first != b.j)
            free(first);
        free(b.j);
    }
}

/* These are found by the run and the world, and not by the judge. */
static bool found_elsewhere(enum rule r)
{
    return r == RULE_NONE || r == RULE_CHECK || r == RULE_TRUTH || r == RULE_QUIET ||
           r == RULE_SAME || r == RULE_CRASH;
}

static void test_no_rule_without_a_lie(void **state)
{
    (void)state;
    for (int r = 0; r < RULE__COUNT; r++) {
        bool has = found_elsewhere((enum rule)r);
        for (size_t i = 0; i < countof(lies); i++)
            has |= (int)lies[i].rule == r;
        if (!has)
            fail_msg("nothing shows that %s can be broken", rule_name((enum rule)r));
    }
}

static void test_truth_breaks_nothing(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, true);
    uint64_t first = ask_and_wait(&b, 0), second = ask_and_wait(&b, 0);
    load(&b, 0);
    grant(&b, first, 0);
    settle(&b);
    end(&b, first);
    grant(&b, second, 0);
    settle(&b);
    end(&b, second);
    pass(&b, 10);
    struct effect e = order(&b, EFFECT_UNLOAD, 0);
    e.reason = REASON_IDLE;
    say(&b, e);
    done(&b, EVENT_MODEL_UNLOADED, 0);
    uint64_t lease = lease_of(&b, bytes_ask(12 * GIB));
    lease_grant(&b, lease, 12 * GIB);
    settle(&b);
    tell(&b, (struct event){.type = EVENT_LEASE_ENDED, .lease_id.lease = {(uint32_t)lease, 1}});
    load(&b, 1);
    judge_peace(b.j);
    assert_string_equal(b.j->text, "");
    assert_int_equal(b.j->broken, RULE_NONE);
    free(b.j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_can_be_broken),
        cmocka_unit_test(test_no_rule_without_a_lie),
        cmocka_unit_test(test_truth_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
