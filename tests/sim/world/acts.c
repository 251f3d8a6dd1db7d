/* What may happen at any time. */
#include "world_priv.h"

static void deliver(struct world *w)
{
    if (w->inbox_count)
        world_deliver(w);
}

static void pass_time(struct world *w)
{
    world_pass(w, world_soon(w, w->swarm.hop_ns));
}

static void arrive(struct world *w)
{
    client_arrive(w);
}

static void ask_lease(struct world *w)
{
    client_ask_lease(w, false);
}

static void leave(struct world *w)
{
    uint32_t slot = client_any(w);
    if (slot != CORE_SLOT_NONE)
        client_leave(w, slot);
}

static void renew(struct world *w)
{
    uint32_t slot = client_any(w);
    if (slot == CORE_SLOT_NONE || !w->clients[slot].lease)
        return;
    struct note n = {.ev.type = EVENT_LEASE_RENEWED, .tag = w->clients[slot].tag};
    world_tell(w, &n);
}

static void fall_quiet(struct world *w)
{
    uint32_t slot = client_any(w);
    if (slot == CORE_SLOT_NONE || w->clients[slot].lease || !w->clients[slot].inside)
        return;
    struct client *c = &w->clients[slot];
    c->quiet = !c->quiet;
    struct note n = {.ev = {.type = EVENT_REQUEST_QUIET, .quiet.quiet = c->quiet}, .tag = c->tag};
    world_tell(w, &n);
}

static uint32_t any_model(struct world *w)
{
    return (uint32_t)below(w, w->config.model_count);
}

static void crash(struct world *w)
{
    engine_crash(w, any_model(w));
}

static void break_server(struct world *w)
{
    struct note n = {.ev = {.type = EVENT_UPSTREAM_BROKEN, .model.model = any_model(w)}};
    world_tell(w, &n);
}

static void order(struct world *w)
{
    uint64_t tag = ++w->command_serial;
    uint32_t i = any_model(w), count = w->models[i].placement_count;
    static const uint64_t keeps[] = {0, NS_PER_S, 300 * NS_PER_S, UINT64_MAX};
    struct note n = {
        .ev = {.type = EVENT_COMMAND,
               .command = {.tag = tag,
                           .model = i,
                           .what = (enum command)below(w, COMMAND__COUNT),
                           .why = REASON_COMMAND,
                           .placement = count ? (uint32_t)below(w, count) : CORE_SLOT_NONE,
                           .ttl_ns = keeps[below(w, countof(keeps))]}}};
    if (n.ev.command.what == COMMAND_MOVE && !count)
        n.ev.command.what = COMMAND_LOAD;
    if (judge_legal(w->run.judge, &n.ev))
        world_tell(w, &n);
}

static void cancel_order(struct world *w)
{
    const struct judge_command *c = &w->run.judge->commands[below(w, JUDGE_COMMANDS_MAX)];
    struct note n = {.ev = {.type = EVENT_COMMAND_CANCELLED, .command.tag = c->tag}};
    if (c->open || below(w, 1000) < w->swarm.odds[ODDS_STALE])
        world_tell(w, &n);
}

static void sample(struct world *w)
{
    sampler_take(w, (uint32_t)below(w, w->swarm.devices));
}

static void use_foreign(struct world *w)
{
    uint32_t d = (uint32_t)below(w, w->swarm.devices);
    w->foreign[d] = below(w, 2) ? below(w, w->total[d]) : 0;
}

static void tell_config(struct world *w)
{
    world_tell(w, &(struct note){.ev = {.type = EVENT_CONFIG, .config = &w->config}});
}

static void change_config(struct world *w)
{
    swarm_change_config(w);
    if (below(w, 3))
        tell_config(w);
}

static void set_mode(struct world *w)
{
    struct note n = {
        .ev = {.type = EVENT_MODE, .mode = {w->wishes, below(w, 3) ? w->config.model_count : 0}}};
    swarm_wishes(w);
    world_tell(w, &n);
}

static void lose_device(struct world *w)
{
    uint32_t d = (uint32_t)below(w, w->swarm.devices);
    struct note n = {.ev = {.type = w->run.judge->found[d] ? EVENT_DEVICE_LOST : EVENT_DEVICE_FOUND,
                            .found = {d, w->total[d]}}};
    world_tell(w, &n);
}

static void lose_backend(struct world *w)
{
    if (!w->swarm.backends)
        return;
    uint32_t b = 1 + (uint32_t)below(w, w->swarm.backends);
    if (w->backend_lost[b])
        return;
    w->backend_lost[b] = true;
    world_post(w, EVENT_BACKEND_DOWN)->note.ev.backend.backend = b;
    world_set_timer(w, TIMER_BACKEND, b, world_soon(w, 60 * NS_PER_S));
}

static void stand_still(struct world *w)
{
    uint64_t gap = below(w, 60) * NS_PER_S;
    w->run.now_ns += gap;
    world_tell(w, &(struct note){.ev = {.type = EVENT_TICK, .tick.gap_ns = gap}});
}

static void teach(struct world *w)
{
    uint32_t i = any_model(w);
    struct note n = {.ev = {.type = below(w, 2) ? EVENT_LEARNED : EVENT_FOOTPRINT,
                            .learned = {.model = i,
                                        .placement = (uint32_t)below(w, CORE_PLACEMENTS_MAX),
                                        .bytes = below(w, 8 * GIB),
                                        .load_ns = below(w, 20) * NS_PER_S}}};
    world_tell(w, &n);
}

/* What only looks changes nothing: test_sim runs worlds with and without it. */
static void look(struct world *w)
{
    struct core_plan_view plan;
    struct core_device_view device;
    struct id cursor = {0};
    struct core_waiting waiting;
    struct core_lease_view lease;
    uint32_t i = any_model(w), count = 0;
    core_plan_model(w->run.core, i, CLASS_NORMAL, &plan);
    core_view_device(w->run.core, (uint32_t)below(w, w->swarm.devices), &device);
    uint32_t s = core_estimate_s(w->run.core, i);
    if (s < 1 || s > 600)
        judge_break(w->run.judge, RULE_ESTIMATE, "m%u: about %u s", i, s);
    for (uint32_t k = 0; k < 2000 && core_view_next_waiting(w->run.core, &cursor, &waiting); k++)
        count++;
    if (count != w->run.judge->arrivals[0].count)
        judge_break(w->run.judge, RULE_VIEW, "%u wait by core_view_next_waiting, and %u do", count,
                    w->run.judge->arrivals[0].count);
    cursor = (struct id){0};
    for (uint32_t k = 0; k < 2000 && core_view_next_lease(w->run.core, &cursor, &lease); k++)
        if (lease.granted)
            core_plan_lease(w->run.core, &lease.ask, &plan);
    run_stop_if_broken(&w->run);
}

static void (*const acts[ACT__COUNT])(struct world *w) = {
#define ACT(name, on, least, most, calm) [ACT_##name] = name,
#include "acts.def"
#undef ACT
};

void acts_do_one(struct world *w)
{
    if (w->inbox_count > 200) {
        world_deliver(w);
        return;
    }
    uint64_t dice = below(w, w->swarm.weight_sum);
    for (int k = 0; k < ACT__COUNT; k++) {
        if (dice < w->swarm.weights[k]) {
            acts[k](w);
            return;
        }
        dice -= w->swarm.weights[k];
    }
}
