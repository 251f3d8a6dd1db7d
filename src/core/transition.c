/* Transitions: a plan that was committed, until its target is there or given up. */
#include "core/core_priv.h"

uint32_t *transition_victim_of(struct core *c, uint32_t victim)
{
    return want_is_lease(c, victim) ? &want_lease(c, victim)->victim_of
                                    : &c->models[victim].victim_of;
}

/* Models, then leases: all that could be victims. */
static uint32_t target_count(const struct core *c)
{
    return c->model_count + c->lease_pool.high_water;
}

static uint32_t target_at(const struct core *c, uint32_t i)
{
    return i < c->model_count ? i : want_of_lease(c, i - c->model_count);
}

static void refresh(struct core *c, uint32_t target)
{
    if (want_is_lease(c, target))
        lease_refresh(c, target - c->limits.models_max);
    else
        model_refresh(c, target);
}

static bool has_left_to_order(const struct core *c, uint32_t victim)
{
    if (want_is_lease(c, victim))
        return !want_lease(c, victim)->revoked && want_lease(c, victim)->state == LEASE_GRANTED;
    const struct model *m = &c->models[victim];
    return m->state == MODEL_LOADED ||
           (m->state == MODEL_SUSPENDED && m->victim_action == ACTION_UNLOAD);
}

static void name_target(const struct core *c, struct effect *e, uint32_t target)
{
    if (want_is_lease(c, target))
        e->waiter = pool_id(&c->lease_pool, target - c->limits.models_max);
    else
        e->other = target;
}

static uint64_t given(const struct core *c, uint32_t victim)
{
    const struct model *m = &c->models[victim];
    uint64_t sum = 0;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        sum += ledger_given(c, victim, m->victim_action, d);
    return sum;
}

/* Told to go, in the way that was planned. */
static void order(struct core *c, uint32_t victim, uint32_t target)
{
    enum reason why = c->targets[target].plan.why;
    if (want_is_lease(c, victim)) {
        lease_revoke(c, victim - c->limits.models_max, why, target);
        return;
    }
    struct model *m = &c->models[victim];
    if (m->victim_action == ACTION_SUSPEND && !model_may_suspend(c, m))
        m->victim_action = ACTION_UNLOAD; /* others were suspended meanwhile */
    if (m->policy.yields && m->victim_action == ACTION_MOVE)
        why = REASON_YIELDS;
    struct effect *e = core_emit(c, EFFECT_DECISION, victim);
    name_target(c, e, target);
    e->reason = why;
    e->bytes = given(c, victim);
    core_effect_devices(e, m->hold.devices);
    e->duration_ns = c->now.ns - m->last_used.ns;
    if (m->victim_action == ACTION_UNLOAD) {
        e = core_notice(c, NOTICE_EVICTED, victim, why);
        name_target(c, e, target);
        e->bytes = given(c, victim);
    }
    if (m->victim_action == ACTION_MOVE)
        op_start_demote(c, victim, m->victim_placement, why);
    else if (m->victim_action == ACTION_SUSPEND)
        op_start_suspend(c, victim, why);
    else
        op_start_unload(c, victim, REASON_EVICTED);
}

/* Whether nothing keeps the victim any more: what runs is over, and who came before its gate
 * closed has been served. */
static bool drained(const struct core *c, uint32_t victim)
{
    if (want_is_lease(c, victim))
        return true;
    const struct model *m = &c->models[victim];
    return m->running.count == m->quiet_count && !queue_next(c, victim) &&
           !c->backend_down[m->policy.backend];
}

/* Tells the victims to go that are not on their way already, as far as they have drained and this
 * step's effects reach. With nobody left who wants the target, those not yet told may stay. */
static void order_out(struct core *c, uint32_t target)
{
    struct plan *plan = &c->targets[target].plan;
    bool wanted = want_anyone(c, target) && !plan->stale;
    plan->ordering = false;
    for (uint32_t i = 0; plan->victims_left > 0 && i < target_count(c); i++) {
        uint32_t victim = target_at(c, i);
        if (*transition_victim_of(c, victim) != target || !has_left_to_order(c, victim))
            continue;
        if (!wanted) {
            transition_victim_gone(c, victim);
            refresh(c, victim);
        } else if (!core_has_room(c)) {
            plan->ordering = c->readvance = true;
            return;
        } else if (drained(c, victim)) {
            order(c, victim, target);
        } else {
            plan->ordering = true;
        }
    }
}

static void mark_victims(struct core *c, uint32_t target, uint32_t victims)
{
    for (uint32_t i = 0; i < victims; i++) {
        const struct victim *v = &c->victims[i];
        must(*transition_victim_of(c, v->target) == CORE_SLOT_NONE);
        *transition_victim_of(c, v->target) = target;
        if (!want_is_lease(c, v->target)) {
            struct model *m = &c->models[v->target];
            m->victim_action = v->action;
            m->victim_placement = v->placement;
            if (m->leaving == LEAVE_MOVE) { /* under serial alone */
                m->leaving = LEAVE_NOT;
                command_finish(c, v->target, COMMAND_MOVE, REASON_EVICTED);
            }
        }
        refresh(c, v->target);
    }
}

static bool tokens_free(const struct core *c, uint32_t devices)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((devices & (1U << d)) && c->devices[d].loader != CORE_SLOT_NONE)
            return false;
    return true;
}

static void set_tokens(struct core *c, uint32_t devices, uint32_t loader)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (devices & (1U << d))
            c->devices[d].loader = loader;
}

void transition_commit(struct core *c, uint32_t target, const struct plan *plan, uint32_t victims)
{
    struct target *t = &c->targets[target];
    must(!t->plan.active && *transition_victim_of(c, target) == CORE_SLOT_NONE);
    uint32_t growths = t->plan.growths;
    bool draining = false;
    for (uint32_t i = 0; i < victims; i++)
        draining |= c->victims[i].busy || c->victims[i].action == ACTION_REVOKE;
    t->plan = *plan;
    t->plan.active = true;
    struct claim claim = want_claim(c, target);
    t->plan.rank = claim.rank;
    t->plan.overdue = claim.overdue;
    t->plan.growths = growths;
    t->plan.victims_left = victims;
    /* While victims drain, others may load beside. */
    t->plan.token = plan->how != OP_NONE && plan->devices && !draining;
    if (t->plan.token) {
        must(tokens_free(c, plan->devices));
        set_tokens(c, plan->devices, target);
    }
    list_push(&c->active, &t->active);
    mark_victims(c, target, victims);
    refresh(c, target);
    order_out(c, target);
    c->version++;
}

void transition_adopt(struct core *c, uint32_t slot)
{
    struct target *t = &c->targets[slot];
    const struct model *m = &c->models[slot];
    must(!t->plan.active && m->victim_of == CORE_SLOT_NONE);
    t->plan = (struct plan){.active = true,
                            .how = OP_LOAD,
                            .placement = m->placement,
                            .devices = m->home,
                            .unsized = m->hold.unsized_devices != 0,
                            .rank = want_claim(c, slot).rank};
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        t->plan.bytes[d] = m->hold.charged[d];
    t->plan.token = t->plan.devices && tokens_free(c, t->plan.devices);
    if (t->plan.token)
        set_tokens(c, t->plan.devices, slot);
    list_push(&c->active, &t->active);
    c->version++;
}

void transition_victim_gone(struct core *c, uint32_t victim)
{
    uint32_t *of = transition_victim_of(c, victim);
    if (*of == CORE_SLOT_NONE)
        return;
    struct target *t = &c->targets[*of];
    must(t->plan.active && t->plan.victims_left > 0);
    t->plan.victims_left--;
    *of = CORE_SLOT_NONE;
    c->version++;
}

/* What had not gone yet may stay; what is on its way out goes on. */
static void reprieve(struct core *c, uint32_t target)
{
    const struct plan *plan = &c->targets[target].plan;
    for (uint32_t i = 0; plan->victims_left > 0 && i < target_count(c); i++) {
        uint32_t victim = target_at(c, i);
        if (*transition_victim_of(c, victim) != target)
            continue;
        transition_victim_gone(c, victim);
        refresh(c, victim);
    }
}

void transition_end(struct core *c, uint32_t target)
{
    struct target *t = &c->targets[target];
    must(t->plan.active);
    reprieve(c, target);
    if (t->plan.token)
        set_tokens(c, t->plan.devices, CORE_SLOT_NONE);
    list_remove(&c->active, &t->active);
    t->plan = (struct plan){0};
    c->version++;
}

/* The victims have gone, and still it does not fit: somebody else took the room, or the footprints
 * lied. Plan anew, three times at most. */
static void grow(struct core *c, uint32_t target)
{
    struct target *t = &c->targets[target];
    uint32_t growths = t->plan.growths + 1;
    transition_end(c, target);
    if (growths > PLAN_GROWTHS_MAX)
        want_refuse(c, target, REASON_NO_ROOM_NOW);
    else
        t->plan.growths = growths;
    refresh(c, target);
}

enum fits { FITS, FITS_LATER, FITS_NOT };

static enum fits fits(const struct core *c, uint32_t target)
{
    const struct plan *plan = &c->targets[target].plan;
    const struct holding *h = ledger_holding(c, target);
    enum fits result = FITS;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        if (!(plan->devices & (1U << d)) || !plan->bytes[d])
            continue;
        uint64_t have = plan->how == OP_RESUME ? h->charged[d] : 0;
        if (ledger_room(c, d, target) >= (int64_t)minus(plan->bytes[d], have))
            continue;
        if (ledger_settling(c, d) == 0)
            return FITS_NOT;
        result = FITS_LATER;
    }
    return result;
}

static bool under_way(const struct core *c, uint32_t target)
{
    return !want_is_lease(c, target) && c->models[target].op.kind != OP_NONE;
}

/* A model that is to be moved or resumed may have got work, or something else to do. */
static bool outdated(const struct core *c, uint32_t target)
{
    const struct plan *plan = &c->targets[target].plan;
    if (plan->stale || !want_anyone(c, target))
        return true;
    if (want_is_lease(c, target))
        return !lease_gates_open(c, want_lease(c, target));
    const struct model *m = &c->models[target];
    return plan->how == OP_MOVE &&
           (m->running.count > m->quiet_count ||
            (m->leaving != LEAVE_MOVE && mode_wants_move(c, target) == CORE_SLOT_NONE));
}

/* Whoever had the right to make others finish and leave has gone, and those left have less. */
static bool weakened(const struct core *c, uint32_t target)
{
    const struct plan *plan = &c->targets[target].plan;
    struct claim claim = want_claim(c, target);
    return claim.rank > plan->rank || (plan->overdue && !claim.overdue);
}

void transition_advance(struct core *c, uint32_t target)
{
    struct plan *plan = &c->targets[target].plan;
    plan->stale |= plan->ordering && weakened(c, target);
    if (plan->ordering)
        order_out(c, target);
    if (under_way(c, target))
        return;
    if (outdated(c, target)) {
        transition_end(c, target);
        refresh(c, target);
        return;
    }
    if (plan->victims_left > 0)
        return;
    switch (fits(c, target)) {
    case FITS_LATER:
        return;
    case FITS_NOT:
        grow(c, target);
        return;
    case FITS:
        break;
    }
    if (want_is_lease(c, target)) {
        lease_come_in(c, target - c->limits.models_max, plan->devices);
        return;
    }
    if (!plan->token && plan->devices) {
        if (!tokens_free(c, plan->devices))
            return;
        plan->token = true;
        set_tokens(c, plan->devices, target);
    }
    op_start_planned(c, target);
}

void transition_outdate_all(struct core *c)
{
    const struct link *n;
    list_each(n, &c->active) {
        struct target *t = list_entry(n, struct target, active);
        t->plan.stale = true;
    }
}

void transition_advance_all(struct core *c)
{
    struct link *n, *next;
    if (c->advanced_version == c->version && !c->readvance)
        return;
    c->readvance = false;
    c->advanced_version = c->version;
    list_each_safe(n, next, &c->active) {
        if (!core_has_room(c)) {
            c->readvance = true;
            return;
        }
        transition_advance(c, (uint32_t)(list_entry(n, struct target, active) - c->targets));
    }
}
