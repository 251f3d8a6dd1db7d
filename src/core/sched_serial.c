/* serial: exact arrival order, one at a time, and one model in memory: every other model leaves
 * before a switch. Nothing is reordered, batched, or kept beside. */
#include "core/sched.h"

#include "core/plan.h"

/* The model that is next: of the first request in the queue, or of an earlier LOAD command. */
static uint32_t next_model(const struct core *c, struct waiter **ret_waiter)
{
    struct waiter *w = NULL;
    struct link *n;
    list_each(n, &c->arrivals) {
        w = list_entry(n, struct waiter, order);
        break;
    }
    list_each(n, &c->commands) {
        const struct command_waiting *cmd = list_entry(n, struct command_waiting, link);
        if (cmd->what != COMMAND_LOAD || c->models[cmd->model].state == MODEL_LOADED)
            continue;
        if (w && w->seq < cmd->seq)
            break;
        *ret_waiter = NULL;
        return cmd->model;
    }
    *ret_waiter = w;
    return w ? w->model : CORE_SLOT_NONE;
}

enum others { OTHERS_IDLE, OTHERS_BUSY, OTHERS_STUCK };

/* All other resident models, as victims. */
static enum others gather_others(struct core *c, uint32_t target, uint32_t *ret_victims)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (i == target || !model_resident(&c->models[i]))
            continue;
        if (c->models[i].state != MODEL_LOADED || c->models[i].running.count)
            return c->models[i].state == MODEL_STUCK ? OTHERS_STUCK : OTHERS_BUSY;
        c->victims[count++] = i;
    }
    *ret_victims = count;
    return OTHERS_IDLE;
}

/* The first allowed device that has room beside what is not wharf's; else the first that would. */
static uint32_t choose_device(const struct core *c, uint32_t target)
{
    uint32_t second = CORE_SLOT_NONE;
    for (uint32_t d = 0; d < c->device_count; d++) {
        uint64_t capacity = ledger_capacity(c, d), need = ledger_need(c, target, d);
        if (!(c->models[target].policy.device_mask & (1U << d)) || need > capacity)
            continue;
        if (c->devices[d].foreign_bytes < capacity &&
            need <= capacity - c->devices[d].foreign_bytes)
            return d;
        if (second == CORE_SLOT_NONE)
            second = d;
    }
    return second;
}

static void start(struct core *c, uint32_t target, uint32_t victims)
{
    struct plan plan = {.device = choose_device(c, target), .why = REASON_SERIAL};
    const struct model *m = &c->models[target];
    if (plan.device != CORE_SLOT_NONE)
        plan.bytes = ledger_need(c, target, plan.device);
    if (m->policy.device_mask && plan.device == CORE_SLOT_NONE) {
        queue_refuse_all(c, target, REASON_NO_ROOM);
        return;
    }
    transition_commit(c, target, &plan, victims);
    transition_advance_all(c);
}

static void dispatch_serial(struct core *c)
{
    struct waiter *w;
    uint32_t victims;
    while (c->running_count == 0 && c->ops_open == 0 && c->active.count == 0 && core_has_room(c)) {
        uint32_t target = next_model(c, &w);
        if (target == CORE_SLOT_NONE)
            return;
        const struct model *m = &c->models[target];
        enum others others = gather_others(c, target, &victims);
        if (others == OTHERS_BUSY || m->settling || m->leaving)
            return;
        if (others == OTHERS_STUCK) {
            queue_refuse_all(c, target, REASON_STUCK);
        } else if (m->state == MODEL_UNLOADED) {
            start(c, target, victims);
        } else if (victims) {
            for (uint32_t i = 0; i < victims && core_has_room(c); i++)
                model_start_unload(c, c->victims[i], REASON_SERIAL);
        } else if (w && model_admits(c, m)) {
            queue_grant(c, (uint32_t)(w - c->waiters));
        } else {
            return;
        }
    }
}

const struct sched sched_serial = {.dispatch = dispatch_serial};
