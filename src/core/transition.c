/* Transitions: a plan that was committed, until its target is loaded or given up. */
#include "core/core_priv.h"
#include "core/plan.h"

static void evict(struct core *c, uint32_t victim, uint32_t target)
{
    const struct model *m = &c->models[victim];
    enum reason why = c->models[target].plan.why;
    struct effect *e = core_emit(c, EFFECT_DECISION, victim);
    e->other = target;
    e->reason = why;
    e->bytes = m->charged_bytes;
    e->device = m->device;
    e->duration_ns = c->now.ns - m->last_used.ns;
    e = core_notice(c, NOTICE_EVICTED, victim, why);
    e->other = target;
    e->bytes = m->charged_bytes;
    model_start_unload(c, victim, REASON_EVICTED);
}

/* Tells the victims to go that are not on their way already, as far as this step's effects reach.
 * With nobody left who wants the target, those not yet told may stay. */
static void order_out(struct core *c, uint32_t target)
{
    struct plan *plan = &c->models[target].plan;
    bool wanted = transition_wanted(c, target) && !plan->stale;
    plan->ordering = false;
    for (uint32_t i = 0; plan->victims_left > 0 && i < c->model_count; i++) {
        if (c->models[i].victim_of != target || c->models[i].state != MODEL_LOADED)
            continue;
        if (!wanted) {
            transition_victim_gone(c, i);
            model_refresh(c, i);
        } else if (core_has_room(c)) {
            evict(c, i, target);
        } else {
            plan->ordering = true;
            return;
        }
    }
}

void transition_commit(struct core *c, uint32_t target, const struct plan *plan, uint32_t victims)
{
    struct model *t = &c->models[target];
    must(!t->plan.active && t->victim_of == CORE_SLOT_NONE);
    uint32_t growths = t->plan.growths;
    t->plan = *plan;
    t->plan.active = true;
    t->plan.growths = growths;
    t->plan.victims_left = victims;
    if (plan->device != CORE_SLOT_NONE) {
        must(c->devices[plan->device].loader == CORE_SLOT_NONE);
        c->devices[plan->device].loader = target;
    }
    list_push(&c->active, &t->active);
    for (uint32_t i = 0; i < victims; i++) {
        c->models[c->victims[i]].victim_of = target;
        model_refresh(c, c->victims[i]);
    }
    model_refresh(c, target);
    order_out(c, target);
    c->version++;
}

void transition_victim_gone(struct core *c, uint32_t victim)
{
    struct model *m = &c->models[victim];
    if (m->victim_of == CORE_SLOT_NONE)
        return;
    struct model *t = &c->models[m->victim_of];
    must(t->plan.active && t->plan.victims_left > 0);
    t->plan.victims_left--;
    m->victim_of = CORE_SLOT_NONE;
}

void transition_end(struct core *c, uint32_t target)
{
    struct model *t = &c->models[target];
    must(t->plan.active && t->plan.victims_left == 0);
    if (t->plan.device != CORE_SLOT_NONE) {
        must(c->devices[t->plan.device].loader == target);
        c->devices[t->plan.device].loader = CORE_SLOT_NONE;
    }
    list_remove(&c->active, &t->active);
    t->plan = (struct plan){0};
    c->version++;
}

bool transition_wanted(const struct core *c, uint32_t target)
{
    const struct model *t = &c->models[target];
    return t->waiting_count || t->loads_wanted;
}

/* The victims have gone, and still it does not fit: somebody else took the room, or the footprints
 * lied. Plan anew, three times at most. */
static void grow(struct core *c, uint32_t target)
{
    struct model *t = &c->models[target];
    uint32_t growths = t->plan.growths + 1;
    transition_end(c, target);
    if (growths > PLAN_GROWTHS_MAX) {
        queue_refuse_all(c, target, REASON_NO_ROOM_NOW);
    } else {
        t->plan.growths = growths;
    }
    model_refresh(c, target);
}

static void advance(struct core *c, uint32_t target)
{
    struct model *t = &c->models[target];
    if (t->plan.ordering)
        order_out(c, target);
    if (t->state != MODEL_UNLOADED || t->plan.victims_left > 0)
        return;
    if (t->plan.stale || !transition_wanted(c, target)) {
        transition_end(c, target);
        model_refresh(c, target);
        return;
    }
    if (t->plan.device != CORE_SLOT_NONE &&
        ledger_room(c, t->plan.device, target) < t->plan.bytes) {
        if (ledger_settling(c, t->plan.device) == 0)
            grow(c, target);
        return;
    }
    model_start_load(c, target);
}

void transition_advance_all(struct core *c)
{
    struct link *n, *next;
    list_each_safe(n, next, &c->active) {
        if (!core_has_room(c))
            return;
        advance(c, (uint32_t)(list_entry(n, struct model, active) - c->models));
    }
}
