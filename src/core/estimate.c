/* How long one will wait. */
#include "core/core_priv.h"
#include "core/sched/sched.h"

/* Refusals and waits carry an estimate within these bounds. */
#define RETRY_S_MIN 1
#define RETRY_S_MAX 600

uint64_t model_load_ns(const struct model *m, uint32_t placement)
{
    if (placement >= m->policy.placement_count)
        return m->load_ns_mean[0] ? m->load_ns_mean[0] : 2 * NS_PER_S;
    if (m->load_ns_mean[placement])
        return m->load_ns_mean[placement];
    const struct core_placement *p = &m->policy.placements[placement];
    uint64_t count = p->device_count ? p->device_count : 1;
    return 2 * NS_PER_S + p->bytes * count; /* 1 GB/s: a byte a ns */
}

static uint64_t serve_ns(const struct model *m)
{
    return m->serve_ns_mean ? m->serve_ns_mean : NS_PER_S;
}

/* The work ahead, shared by the slots. newcomers: who wait, but not yet in the queue. */
static uint64_t work_ns(const struct model *m, uint32_t newcomers)
{
    uint64_t slots = m->policy.slots_max ? m->policy.slots_max : 1;
    uint64_t all = m->waiting_count + m->running.count + newcomers;
    return (minus(all, slots) + slots - 1) / slots * serve_ns(m);
}

/* What is left of the load, or a whole one. */
static uint64_t load_left_ns(const struct core *c, const struct model *m)
{
    bool on_the_way = m->placement < m->policy.placement_count;
    uint64_t load = model_load_ns(m, on_the_way ? m->placement : 0);
    if (m->state == MODEL_LOADED)
        return 0;
    if (m->state == MODEL_SUSPENDED || m->state == MODEL_RESUMING)
        load = m->resume_ns_mean ? m->resume_ns_mean : load / 4;
    if (m->state == MODEL_LOADING || m->state == MODEL_RESUMING)
        return minus(load, c->now.ns - m->op.started.ns);
    return load;
}

static uint32_t bounded_s(uint64_t ns)
{
    uint64_t s = (ns + NS_PER_S - 1) / NS_PER_S;
    return (uint32_t)(s < RETRY_S_MIN ? RETRY_S_MIN : s > RETRY_S_MAX ? RETRY_S_MAX : s);
}

uint32_t estimate_own_s(const struct core *c, uint32_t model, uint32_t newcomers)
{
    const struct model *m = &c->models[model];
    return bounded_s(load_left_ns(c, m) + work_ns(m, newcomers));
}

/* Whether the other has to come in, and goes first. */
static bool comes_before(const struct core *c, uint32_t other, uint32_t model)
{
    const struct target *t = &c->targets[other];
    if (t->blocked || !(heap_has(&c->wants, other) || link_linked(&t->parked)))
        return false;
    return !c->models[model].waiting_count || sched_precedes(c, other, model);
}

/* Those that come in before it: what is under way, and, of what waits, what is ahead in the order.
 * Each drains what is in its way, loads, and is served for at least its gate. */
uint64_t estimate_ns(const struct core *c, uint32_t model, uint32_t newcomers)
{
    const struct model *m = &c->models[model];
    uint64_t sum = load_left_ns(c, m) + work_ns(m, newcomers);
    if (m->state == MODEL_LOADED)
        return sum;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *o = &c->models[i];
        if (i == model)
            continue;
        if (c->targets[i].plan.active)
            sum += load_left_ns(c, o);
        else if (comes_before(c, i, model))
            sum += load_left_ns(c, o) + work_ns(o, 0) + serve_ns(o);
    }
    return sum;
}

uint32_t core_estimate_s(const struct core *c, uint32_t model)
{
    must(model < c->model_count);
    return bounded_s(estimate_ns(c, model, 1));
}

uint32_t estimate_waiter_s(const struct core *c, uint32_t model)
{
    return bounded_s(estimate_ns(c, model, 0));
}

/* What it is doing that has an end in sight: its way in or out, and the requests it has. */
static uint64_t busy_ns(const struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    uint64_t serving = m->running.count ? work_ns(m, 0) + serve_ns(m) : 0;
    return (m->state == MODEL_LOADING || m->state == MODEL_RESUMING ? load_left_ns(c, m) : 0) +
           serving;
}

uint64_t estimate_room_ns(const struct core *c, uint32_t devices)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].hold.devices & devices && busy_ns(c, i) > longest)
            longest = busy_ns(c, i);
    return longest;
}

uint64_t estimate_victims_ns(const struct core *c, uint32_t victim_count)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < victim_count; i++) {
        const struct victim *v = &c->victims[i];
        if (!want_is_lease(c, v->target) && busy_ns(c, v->target) > longest)
            longest = busy_ns(c, v->target);
    }
    return longest;
}
