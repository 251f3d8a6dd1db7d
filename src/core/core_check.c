/* Every invariant, walked from scratch: nothing here trusts a counter. */
#include "core/core_priv.h"

static void check_waiter(const struct core *c, const struct waiter *w, enum waiter_state state,
                         uint32_t model)
{
    must(pool_used(&c->waiter_pool, (uint32_t)(w - c->waiters)));
    must(w->kind == WAITER_REQUEST && w->state == state && w->model == model);
    must((state == WAITER_WAITING) == link_linked(&w->order));
}

static uint32_t check_list(const struct core *c, const struct list *l, enum waiter_state state,
                           uint32_t model)
{
    uint32_t count = 0;
    uint64_t seq = 0;
    const struct link *n;
    list_each(n, l) {
        const struct waiter *w = list_entry(n, const struct waiter, link);
        check_waiter(c, w, state, model);
        /* First come first served within a class. */
        must(state != WAITER_WAITING || w->seq > seq);
        seq = w->seq;
        count++;
    }
    must(count == l->count);
    return count;
}

static void check_places(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    bool runnable =
        model_admits(c, m) && m->waiting_count && m->running.count < m->policy.slots_max;
    must(link_linked(&m->runnable) == runnable);
    bool wanted = (m->waiting_count || m->loads_wanted) && m->state == MODEL_UNLOADED &&
                  !m->settling && !m->plan.active && !c->draining && !m->removed;
    must(heap_has(&c->wants, slot) == wanted);
    must(link_linked(&m->doom) == (m->doomed.count > 0));
    must(link_linked(&m->active) == m->plan.active);
    /* Only an idle, admitting model has an idle deadline. */
    must(!heap_has(&c->deadlines, deadline_slot(slot, DEADLINE_IDLE)) ||
         (model_admits(c, m) && !m->running.count && !m->waiting_count));
}

static void check_op(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    must((m->op.kind == OP_LOAD) == (m->state == MODEL_LOADING));
    must((m->op.kind == OP_UNLOAD) == (m->state == MODEL_UNLOADING));
    must(heap_has(&c->deadlines, deadline_slot(slot, DEADLINE_OP)) ==
         (m->op.kind != OP_NONE && !m->op.escalated));
    must(heap_has(&c->deadlines, deadline_slot(slot, DEADLINE_ERROR)) == (m->state == MODEL_ERROR));
    must(heap_has(&c->deadlines, deadline_slot(slot, DEADLINE_SETTLE)) == m->settling);
    must(!m->settling || !model_resident(m));
    must(m->charged_bytes == 0 || model_resident(m) || m->settling);
    must(m->device != CORE_SLOT_NONE || (m->charged_bytes == 0 && !m->settling));
}

static void check_plan(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    uint32_t victims = 0;
    for (uint32_t i = 0; m->plan.victims_left && i < c->model_count; i++)
        victims += c->models[i].victim_of == slot;
    must(victims == m->plan.victims_left);
    must(m->victim_of == CORE_SLOT_NONE || c->models[m->victim_of].plan.victims_left > 0);
    must(m->plan.active || m->plan.victims_left == 0);
    must(!(m->plan.active && m->victim_of != CORE_SLOT_NONE));
    must(!m->plan.active || m->state == MODEL_UNLOADED || m->state == MODEL_LOADING);
    must(m->state != MODEL_LOADING || m->plan.active);
    must(m->victim_of == CORE_SLOT_NONE || m->state == MODEL_UNLOADING ||
         (m->state == MODEL_LOADED && c->models[m->victim_of].plan.ordering));
    /* What has to leave is on its way out as soon as it can be. */
    must(!m->leaving || c->sweep || (m->state == MODEL_LOADED && m->running.count) ||
         (m->state == MODEL_LOADING && m->op.escalated) || m->state == MODEL_UNLOADING ||
         m->state == MODEL_STUCK);
    if (m->plan.active && m->plan.device != CORE_SLOT_NONE)
        must(c->devices[m->plan.device].loader == slot);
}

static void check_model(const struct core *c, uint32_t slot, uint32_t *waiting, uint32_t *running)
{
    const struct model *m = &c->models[slot];
    uint32_t count = 0;
    for (int class = 0; class < CLASS__COUNT; class ++)
        count += check_list(c, &m->waiting[class], WAITER_WAITING, slot);
    must(count == m->waiting_count);
    *waiting += count;
    *running += check_list(c, &m->running, WAITER_GRANTED, slot);
    *waiting += check_list(c, &m->doomed, WAITER_DOOMED, slot);
    check_places(c, slot);
    check_op(c, slot);
    check_plan(c, slot);
}

/* Declared bytes never exceed what there was to hand out, whatever the samples say. */
static void check_devices(const struct core *c)
{
    for (uint32_t d = 0; d < c->device_count; d++) {
        uint64_t charged = 0;
        for (uint32_t i = 0; i < c->model_count; i++)
            if (c->models[i].device == d && !c->models[i].unsized)
                charged += c->models[i].charged_bytes;
        must(charged <= c->devices[d].total_bytes_most);
        uint32_t loader = c->devices[d].loader;
        must(loader == CORE_SLOT_NONE || c->models[loader].plan.active);
    }
}

static uint32_t check_leases(const struct core *c)
{
    uint32_t leases = 0, inside = 0, held = 0;
    for (uint32_t s = 0; s < c->waiter_pool.high_water; s++) {
        const struct waiter *w = &c->waiters[s];
        if (!pool_used(&c->waiter_pool, s) || w->kind != WAITER_LEASE)
            continue;
        leases++;
        must(w->gate.place == (w->state == WAITER_GRANTED ? GATE_INSIDE : GATE_WAITING));
        inside += w->gate.place == GATE_INSIDE;
    }
    for (uint32_t g = 0; g < c->gate_count; g++) {
        gate_check(&c->gates[g]);
        /* Nobody waits at a gate that has room, but for what the next step still has to do. */
        must(c->sweep || gate_waiting(&c->gates[g]) == 0 ||
             c->gates[g].inside >= c->gates[g].limit);
        held += c->gates[g].inside;
    }
    must(held == inside);
    return leases;
}

void core_check(const struct core *c)
{
    uint32_t waiting = 0, running = 0, doomed = 0, ops = 0, commands = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        check_model(c, i, &waiting, &running);
        doomed += c->models[i].doomed.count;
        ops += c->models[i].op.kind != OP_NONE;
        commands += c->models[i].loads_wanted;
    }
    must(running == c->running_count && ops == c->ops_open);
    must(waiting - doomed == c->arrivals.count);
    must(commands <= c->commands.count);
    must(c->commands.count + c->answers.count == c->command_pool.used);
    /* Nobody is on two lists, and nobody is on none. */
    must(waiting + running + check_leases(c) == c->waiter_pool.used);
    check_devices(c);
    heap_check(&c->wants);
    heap_check(&c->deadlines);
}
