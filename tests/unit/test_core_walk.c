/* A random walk: a core in a small world where everything goes wrong at any time (core_world.h),
 * with tiny limits, from seeds. The core's own checks run after each step, and the world's.
 *
 *     WHARF_WALK_SEEDS=5000 test_core_walk     walks longer
 *     WHARF_WALK_SEED=17 test_core_walk        tells one walk in full */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core_world.h"

#define SEEDS 1000
#define CHAOS_STEPS 700
/* Everything that is left comes to its end within this much of the world's time. */
#define PEACE_NS (3600 * NS_PER_S)

static struct core_model_policy random_model(struct world *w)
{
    static const uint64_t sizes[] = {0, 2, 6, 8, 10, 14, 20, 30};
    uint32_t devices = (uint32_t)world_below(w, 1U << WORLD_DEVICES);
    return (struct core_model_policy){
        .present = true,
        .pinned = world_chance(w, 5),
        .hash_process = world_below(w, 3),
        .slots_max = (uint32_t)(1 + world_below(w, 3)),
        .queue_max = (uint32_t)world_below(w, 8),
        .priority = (int32_t)world_below(w, 3) - 1,
        .group = (uint32_t)world_below(w, WORLD_GROUPS),
        .placement_count = devices != 0,
        .placements = {{.device_mask = devices,
                        .bytes = sizes[world_below(w, countof(sizes))] * GIB}},
        .ttl_ns = world_below(w, 3) ? 0 : (1 + world_below(w, 20)) * NS_PER_S,
        .load_ns_max = (1 + world_below(w, 10)) * NS_PER_S,
        .unload_ns_max = (1 + world_below(w, 5)) * NS_PER_S,
    };
}

/* What is there stays in the same process, on devices where it may be. */
static bool may_stay(const struct world_model *m, const struct core_model_policy *p)
{
    if (m->policy.hash_process != p->hash_process)
        return false;
    if (m->placement == CORE_SLOT_NONE)
        return m->known == WORLD_HERE || !p->placement_count;
    return m->placement < p->placement_count && m->policy.placements[m->placement].device_mask ==
                                                    p->placements[m->placement].device_mask;
}

/* Keeps the world's record of which policy is in force, as CORE's rules have it. */
static void record_config(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_MODELS; i++) {
        struct world_model *m = &w->m[i];
        const struct core_model_policy *p = &w->policies[i];
        bool replace = !m->policy.present || m->known == WORLD_GONE || may_stay(m, p);
        if (!p->present) {
            m->removed = m->removed || m->policy.present;
            continue;
        }
        m->removed = false;
        m->pending = !replace;
        if (replace) {
            m->policy = *p;
            continue;
        }
        m->next = *p;
        m->policy.group = p->group;
        m->policy.priority = p->priority;
        m->policy.queue_max = p->queue_max;
        m->policy.pinned = p->pinned;
    }
}

static void send_config(struct world *w)
{
    record_config(w);
    world_step(w, &(struct event){.type = EVENT_CONFIG, .config = &w->config});
}

static void change_config(struct world *w)
{
    uint32_t i = (uint32_t)world_below(w, WORLD_MODELS);
    switch (world_below(w, 8)) {
    case 0:
        w->policies[i].present = !w->policies[i].present;
        break;
    case 1:
        w->policies[i].hash_process++;
        break;
    case 2:
        w->policies[i] = random_model(w);
        break;
    case 3:
        w->config.sched = (enum sched_kind)world_below(w, 3);
        w->config.fair.min_resident_ns = world_below(w, 10) * NS_PER_S;
        w->config.fair.wait_ns_max[CLASS_NORMAL] = world_below(w, 10) * NS_PER_S;
        break;
    case 4:
        w->config.plan = world_chance(w, 50) ? PLAN_GROUP : PLAN_FIT;
        break;
    case 5:
        w->gates[i % WORLD_GATES].limit = (uint32_t)(1 + world_below(w, 4));
        break;
    case 6:
        w->groups[i % WORLD_GROUPS].exclusive = !w->groups[i % WORLD_GROUPS].exclusive;
        break;
    case 7:
        w->config.device_count = (uint32_t)(1 + world_below(w, WORLD_DEVICES));
        break;
    }
    send_config(w);
}

static struct world *new_world(uint64_t seed, bool trace)
{
    struct world *w = calloc(1, sizeof(*w));
    struct core_limits limits = {.models_max = WORLD_MODELS,
                                 .groups_max = WORLD_GROUPS,
                                 .gates_max = WORLD_GATES,
                                 .waiters_max = WORLD_WAITERS,
                                 .leases_max = WORLD_WAITERS,
                                 .commands_max = WORLD_COMMANDS};
    assert_non_null(w);
    world_current = w;
    w->seed = seed;
    w->rng.state = seed;
    w->trace = trace;
    w->hash = UINT64_C(0xcbf29ce484222325);
    w->now_ns = NS_PER_S;
    w->faults = true;
    w->config = (struct core_config){.sched = seed % 4 == 0   ? SCHEDULER_SERIAL
                                              : seed % 4 == 1 ? SCHEDULER_FIFO
                                                              : SCHEDULER_FAIR,
                                     .plan = seed % 2 ? PLAN_FIT : PLAN_GROUP,
                                     .models = w->policies,
                                     .model_count = WORLD_MODELS,
                                     .groups = w->groups,
                                     .group_count = WORLD_GROUPS,
                                     .devices = w->devices,
                                     .device_count = WORLD_DEVICES,
                                     .gates = w->gates,
                                     .gate_count = WORLD_GATES};
    for (uint32_t i = 0; i < WORLD_MODELS; i++) {
        w->policies[i] = random_model(w);
        w->m[i].due_ns = WORLD_NEVER;
        w->m[i].device = CORE_SLOT_NONE;
    }
    for (uint32_t i = 0; i < WORLD_GROUPS; i++)
        w->groups[i] = (struct core_group_policy){.swap = world_chance(w, 60),
                                                  .exclusive = world_chance(w, 40),
                                                  .persistent = world_chance(w, 20)};
    for (uint32_t i = 0; i < WORLD_GATES; i++)
        w->gates[i].limit = (uint32_t)(1 + world_below(w, 2));
    w->mem = calloc(1, core_size(&limits));
    assert_non_null(w->mem);
    w->core = core_init(w->mem, &limits, seed);
    send_config(w);
    for (uint32_t d = 0; d < WORLD_DEVICES; d++) {
        w->devices[d] = (struct core_device_policy){.reserve_bytes = GIB, .limit_permille = 1000};
        w->total_bytes[d] = (d ? 12 : 24) * GIB;
        w->found[d] = true;
        world_step(w, &(struct event){.type = EVENT_DEVICE_FOUND, .found = {d, w->total_bytes[d]}});
    }
    send_config(w);
    world_step(w, &(struct event){.type = EVENT_BOOT_DONE});
    return w;
}

static uint64_t free_world(struct world *w)
{
    uint64_t hash = w->hash;
    world_current = NULL;
    free(w->mem);
    free(w);
    return hash;
}

/* What may happen at any time */

static void arrive(struct world *w, bool lease)
{
    struct world_client *r = NULL;
    for (uint32_t i = 0; i < WORLD_CLIENTS && !r; i++)
        if (w->clients[i].state == WORLD_FREE)
            r = &w->clients[i];
    if (!r)
        return;
    uint64_t seq = ++w->seq;
    *r = (struct world_client){.state = WORLD_ASKING,
                               .lease = lease,
                               .tag = seq,
                               .seq = seq,
                               .model =
                                   (uint32_t)world_below(w, lease ? WORLD_GATES : WORLD_MODELS + 1),
                               .class = (enum class)world_below(w, CLASS__COUNT)};
    w->arrived++;
    w->answered = r->tag;
    struct event ev = {.type = EVENT_REQUEST_ARRIVED,
                       .request = {.tag = r->tag,
                                   .model = r->model,
                                   .class = r->class,
                                   .wait_ns_max = world_chance(w, 20)
                                                      ? world_below(w, 20) * NS_PER_S
                                                      : UINT64_MAX}};
    struct core_lease_ask ask = {
        .class = r->class, .gate_count = 1, .gates = {r->model}, .wait_ns_max = UINT64_MAX};
    if (lease)
        ev = (struct event){.type = EVENT_LEASE_ASKED, .lease = {.tag = r->tag, .ask = &ask}};
    world_step(w, &ev);
}

/* A client leaves, or finds a dead server: the news go through the inbox. */
static void leave(struct world *w, bool bounce)
{
    struct world_client *r = &w->clients[world_below(w, WORLD_CLIENTS)];
    if (r->state == WORLD_FREE || r->leaving)
        return;
    if (bounce && (r->state != WORLD_INSIDE || r->bounced || r->lease))
        return;
    r->leaving = true;
    struct world_letter *l = world_post(w, bounce     ? EVENT_REQUEST_BOUNCED
                                           : r->lease ? EVENT_LEASE_ENDED
                                                      : EVENT_REQUEST_ENDED);
    l->tag = r->tag;
    if (r->lease) {
        l->ev.lease_id.lease = r->id;
        return;
    }
    l->ev.ended.waiter = r->id;
    l->ev.ended.how = ENDED_GONE;
}

static void process_exits(struct world *w, bool broken)
{
    uint32_t i = (uint32_t)world_below(w, WORLD_MODELS);
    struct world_model *m = &w->m[i];
    if (!m->alive || m->exit_posted || m->posted)
        return;
    if (broken)
        world_post(w, EVENT_UPSTREAM_BROKEN)->ev.model.model = i;
    else if (m->op == WORLD_LOADING)
        m->due_ns = w->now_ns; /* its end is the end of the op */
    else if (m->op == WORLD_IDLE)
        world_exit(w, i);
}

static void command(struct world *w)
{
    uint32_t at = (uint32_t)world_below(w, WORLD_COMMANDS * 2);
    if (w->commands[at]) {
        uint64_t tag = w->commands[at];
        w->commands[at] = 0;
        world_step(w, &(struct event){.type = EVENT_COMMAND_CANCELLED, .command.tag = tag});
        return;
    }
    w->commands[at] = ++w->command_tag;
    world_step(w, &(struct event){.type = EVENT_COMMAND,
                                  .command = {.tag = w->command_tag,
                                              .model = (uint32_t)world_below(w, WORLD_MODELS),
                                              .what = (enum command)world_below(w, 3),
                                              .why = REASON_COMMAND}});
}

static void device_changes(struct world *w)
{
    uint32_t d = (uint32_t)world_below(w, WORLD_DEVICES);
    struct event ev = {.type = EVENT_DEVICE_LOST, .found = {d, w->total_bytes[d]}};
    if (!w->found[d])
        ev.type = EVENT_DEVICE_FOUND;
    w->found[d] = !w->found[d];
    world_step(w, &ev);
}

static void pass_some_time(struct world *w)
{
    struct mono at;
    uint64_t to = world_soon(w, 3), due = world_next_due(w);
    if (core_deadline(w->core, &at) && at.ns < to)
        to = at.ns;
    world_pass(w, due < to ? due : to);
}

static void stand_still(struct world *w)
{
    uint64_t gap = world_below(w, 60) * NS_PER_S;
    w->now_ns += gap;
    world_run_due(w);
    world_step(w, &(struct event){.type = EVENT_TICK, .tick.gap_ns = gap});
}

static void do_something(struct world *w)
{
    uint64_t dice = world_below(w, 1000);
    uint32_t device = (uint32_t)world_below(w, WORLD_DEVICES);
    if (w->inbox_count > WORLD_INBOX / 2 || (dice < 400 && w->inbox_count))
        world_deliver(w);
    else if (dice < 600)
        pass_some_time(w);
    else if (dice < 760)
        arrive(w, false);
    else if (dice < 790)
        arrive(w, true);
    else if (dice < 840)
        leave(w, false);
    else if (dice < 870)
        leave(w, true);
    else if (dice < 885)
        process_exits(w, false);
    else if (dice < 890)
        process_exits(w, true);
    else if (dice < 925)
        command(w);
    else if (dice < 975)
        world_sample(w, device);
    else if (dice < 981)
        w->foreign_bytes[device] = world_below(w, 6) * GIB;
    else if (dice < 988)
        change_config(w);
    else if (dice < 994)
        device_changes(w);
    else
        stand_still(w);
}

/* Peace: nothing new comes, nothing fails any more, and everything comes to its end. */

static bool quiet(const struct world *w)
{
    if (w->inbox_count || (w->draining && !w->drained))
        return false;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        if (w->clients[i].state != WORLD_FREE)
            return false;
    for (uint32_t i = 0; i < WORLD_COMMANDS * 2; i++)
        if (w->commands[i])
            return false;
    for (uint32_t i = 0; i < WORLD_MODELS; i++)
        if (w->m[i].op != WORLD_IDLE)
            return false;
    return true;
}

static void make_peace(struct world *w)
{
    w->faults = false;
    /* What is pinned may keep others out for ever. */
    for (uint32_t i = 0; i < WORLD_MODELS; i++)
        w->policies[i].pinned = false;
    send_config(w);
    for (uint32_t d = 0; d < WORLD_DEVICES; d++) {
        w->foreign_bytes[d] = 0;
        bool lost = !w->found[d];
        w->found[d] = true;
        if (lost)
            world_step(
                w, &(struct event){.type = EVENT_DEVICE_FOUND, .found = {d, w->total_bytes[d]}});
    }
    uint64_t end = w->now_ns + PEACE_NS;
    while (!quiet(w)) {
        struct mono at;
        uint64_t to = w->now_ns + NS_PER_S, due = world_next_due(w);
        if (w->inbox_count) {
            world_deliver(w);
            continue;
        }
        if (core_deadline(w->core, &at) && at.ns < to)
            to = at.ns;
        if (due <= to)
            to = due;
        else if (to == w->now_ns + NS_PER_S)
            for (uint32_t d = 0; d < WORLD_DEVICES; d++)
                world_sample(w, d);
        world_pass(w, to);
        if (w->now_ns > end)
            world_fail(w, "not everything comes to its end", __FILE__, __LINE__);
    }
}

static void shut_down(struct world *w)
{
    uint64_t orders = 1 + w->seed % 2; /* a second one hurries */
    w->draining = true;
    for (uint64_t k = 0; k < orders; k++) {
        world_step(w, &(struct event){.type = EVENT_DRAIN,
                                      .drain.grace_ns = world_below(w, 20) * NS_PER_S});
        for (uint32_t i = 0; i < w->seed % 3 * 20; i++)
            do_something(w);
    }
}

static uint64_t walk(uint64_t seed, bool trace, uint64_t *ret_steps)
{
    struct world *w = new_world(seed, trace);
    for (int round = 0; round < 2; round++) {
        w->faults = true;
        for (uint32_t i = 0; i < CHAOS_STEPS / 2; i++)
            do_something(w);
        if (round == 1)
            shut_down(w);
        make_peace(w);
    }
    for (uint32_t i = 0; i < WORLD_MODELS; i++)
        if (w->m[i].known != WORLD_GONE && w->m[i].known != WORLD_STUCK)
            world_fail(w, "loaded after the shutdown", __FILE__, __LINE__);
    *ret_steps += w->step;
    return free_world(w);
}

static uint64_t number_from_env(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

static void test_walks(void **state)
{
    (void)state;
    uint64_t steps = 0, one = number_from_env("WHARF_WALK_SEED", 0);
    if (one) {
        walk(one, true, &steps);
        return;
    }
    uint64_t seeds = number_from_env("WHARF_WALK_SEEDS", SEEDS);
    for (uint64_t seed = 1; seed <= seeds; seed++)
        walk(seed, false, &steps);
    assert_true(steps >= 200000 || seeds < SEEDS);
}

static void test_same_seed_same_effects(void **state)
{
    (void)state;
    uint64_t steps = 0, twice = 0, last = 0;
    for (uint64_t seed = 1000; seed < 1010; seed++) {
        uint64_t hash = walk(seed, false, &steps);
        assert_int_equal(hash, walk(seed, false, &twice));
        assert_int_not_equal(hash, last);
        last = hash;
    }
    assert_int_equal(steps, twice);
}

static void on_abort(int number)
{
    (void)number;
    if (world_current)
        world_report(world_current);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_same_seed_same_effects),
    };
    signal(SIGABRT, on_abort);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
