/* Who may be told to go, how, and what that would cost. */
#include "core/plan/plan.h"

/* Sorts behind everything idle. */
#define COST_BUSY (UINT64_C(1) << 46)
#define COST_MAX (UINT64_C(1) << 44)

static uint32_t served_rank(const struct model *m)
{
    for (uint32_t class = 0; class < CLASS__COUNT; class ++)
        if (m->running_class[class] || m->waiting[class].count)
            return class;
    return CLASS__COUNT;
}

/* False until then; the planner is called again. */
static bool after(struct core *c, uint64_t ns)
{
    if (ns <= c->now.ns)
        return true;
    deadline_replan(c, (struct mono){ns});
    return false;
}

/* Service is gated: what came in serves those who waited when it came in (queue_next sees to that),
 * and at least for the time that its own coming took, before it can be asked to yield. */
static bool gate_closed(struct core *c, const struct model *m)
{
    uint64_t load = model_load_ns(m, m->placement);
    uint64_t stay = c->fair.min_resident_ns > load ? c->fair.min_resident_ns : load;
    return after(c, m->loaded_at.ns + stay);
}

/* Those who wait for the victim and are due before whoever claims its room go first. */
static bool is_due_before(const struct core *c, uint32_t slot, const struct claim *claim)
{
    struct mono own, theirs;
    return claim->overdue && want_deadline(c, slot, &own) &&
           want_deadline(c, claim->target, &theirs) && own.ns < theirs.ns;
}

static bool model_yields(struct core *c, uint32_t slot, const struct claim *claim, bool *ret_busy)
{
    const struct model *m = &c->models[slot];
    bool fair = c->sched == SCHEDULER_FAIR;
    /* One that waits to be moved goes behind whoever comes before it. */
    bool stays = m->leaving == LEAVE_NOT ||
                 (m->leaving == LEAVE_MOVE && want_precedes(c, claim->target, slot));
    if (!stays || (m->state != MODEL_LOADED && m->state != MODEL_SUSPENDED) || model_pinned(m) ||
        m->victim_of != CORE_SLOT_NONE || c->targets[slot].plan.active ||
        c->backend_down[m->policy.backend])
        return false;
    if (claim->rank == CLASS__COUNT && m->wish == WISH_LOADED && !m->wish_rests)
        return false; /* one wish does not undo another */
    /* Nobody is served while it waits to be moved: who waits for it does not keep it. */
    bool serves = m->leaving == LEAVE_NOT ? model_busy(m) : m->running.count > m->quiet_count;
    *ret_busy = serves && m->state == MODEL_LOADED;
    if (m->state == MODEL_SUSPENDED) /* wanted itself: whoever is first in the order stays */
        return !m->waiting_count || want_precedes(c, claim->target, slot);
    if (!*ret_busy)
        return !fair || claim->overdue || claim->rank <= m->last_class ||
               after(c, m->last_used.ns + c->fair.min_resident_ns);
    if (!fair || !(claim->overdue || claim->rank < served_rank(m)) || is_due_before(c, slot, claim))
        return false;
    return gate_closed(c, m);
}

static bool lease_yields(struct core *c, const struct lease *l, const struct claim *claim)
{
    if (l->state != LEASE_GRANTED || !l->ask.revocable || l->revoked ||
        l->victim_of != CORE_SLOT_NONE)
        return false;
    return (claim->overdue || claim->rank < (uint32_t)l->ask.class) &&
           after(c, l->granted_at.ns + c->fair.min_resident_ns);
}

static uint32_t host_placement(const struct model *m)
{
    for (uint32_t p = 0; m->policy.movable && p < m->policy.placement_count; p++)
        if (!m->policy.placements[p].device_mask && p != m->placement)
            return p;
    return CORE_SLOT_NONE;
}

/* The gentlest way out that there is. */
static void choose_action(const struct core *c, const struct model *m, struct victim *v)
{
    v->placement = m->state == MODEL_LOADED ? host_placement(m) : CORE_SLOT_NONE;
    v->action = ACTION_UNLOAD;
    if (v->placement != CORE_SLOT_NONE)
        v->action = ACTION_MOVE;
    else if (m->policy.suspends && !m->cannot_suspend && m->state == MODEL_LOADED &&
             model_may_suspend(c, m))
        v->action = ACTION_SUSPEND;
}

/* Until it is back: what was measured, or what it should be. */
static uint64_t return_ns(const struct model *m, enum core_action action)
{
    uint64_t load = model_load_ns(m, m->placement);
    if (action == ACTION_MOVE)
        return load / 8;
    if (action == ACTION_SUSPEND || m->state == MODEL_SUSPENDED)
        return m->resume_ns_mean ? m->resume_ns_mean : load / 4;
    return load;
}

static uint64_t cost_of(const struct core *c, uint32_t slot, enum core_action action)
{
    const struct model *m = &c->models[slot];
    /* In seconds: what differs by less is the same. */
    uint64_t reload = return_ns(m, action) / NS_PER_S + 1, cost;
    switch (c->victim_kind) {
    case VICTIMS_LRU:
        return m->last_used.ns;
    case VICTIMS_FORESEEN:
        if (m->foreseen.ns == UINT64_MAX)
            return 1;
        cost = reload * REUSE_ONE * 1000 / (minus(m->foreseen.ns, c->now.ns) / NS_PER_MS + 1) + 1;
        break;
    case VICTIMS_COST:
    default:
        cost = reload * reuse_probability(&c->reuse, &m->reuse, slot);
        break;
    }
    return cost < COST_MAX ? cost : COST_MAX;
}

void victim_set_action(const struct core *c, struct victim *v, enum core_action action)
{
    v->action = action;
    v->cost = cost_of(c, v->target, action) + (v->busy ? COST_BUSY : 0);
}

bool victim_consider(struct core *c, uint32_t slot, const struct claim *claim, struct victim *ret)
{
    bool busy = false;
    if (slot == claim->target)
        return false;
    if (want_is_lease(c, slot)) {
        if (!lease_yields(c, want_lease(c, slot), claim))
            return false;
        *ret = (struct victim){
            .target = slot, .action = ACTION_REVOKE, .placement = CORE_SLOT_NONE, .cost = COST_MAX};
        return true;
    }
    if (!model_yields(c, slot, claim, &busy))
        return false;
    *ret = (struct victim){.target = slot, .busy = busy};
    choose_action(c, &c->models[slot], ret);
    victim_set_action(c, ret, ret->action);
    return true;
}

static enum plan_verdict put_out(struct core *c, uint32_t slot, const struct claim *claim,
                                 struct planned *ret)
{
    const struct model *m = &c->models[slot];
    struct victim *v = &c->victims[ret->victims];
    if (m->state == MODEL_STUCK)
        return PLAN_NEVER;
    if (model_pinned(m) && model_resident(m))
        return PLAN_BLOCKED;
    *v = (struct victim){.target = slot};
    bool leaving = m->state == MODEL_UNLOADING && m->victim_of == CORE_SLOT_NONE;
    if (!leaving && !victim_consider(c, slot, claim, v))
        return PLAN_WAIT;
    v->action = ACTION_UNLOAD;
    ret->victims++;
    return PLAN_GO;
}

void victim_put_out(struct core *c, uint32_t slot, const struct claim *claim, struct planned *ret,
                    enum plan_verdict *worst)
{
    enum plan_verdict verdict = put_out(c, slot, claim, ret);
    if (verdict <= *worst)
        return;
    *worst = verdict;
    ret->by = slot;
    ret->plan.why = verdict == PLAN_NEVER ? REASON_STUCK : REASON_PINNED;
}

uint64_t victim_fixed_bytes(const struct core *c, uint32_t device, uint32_t *ret_by,
                            enum reason *ret_why)
{
    uint64_t sum = 0;
    *ret_by = CORE_SLOT_NONE;
    *ret_why = REASON_FOREIGN;
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++) {
        const struct lease *l = &c->leases[s];
        if (!l->hold.charged[device] || (l->ask.revocable && l->state == LEASE_GRANTED))
            continue;
        sum += l->hold.charged[device];
        *ret_why = REASON_LEASED;
    }
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        if (!m->hold.charged[device] || (!model_pinned(m) && m->state != MODEL_STUCK))
            continue;
        sum += m->hold.charged[device];
        *ret_by = i;
        *ret_why = m->state == MODEL_STUCK ? REASON_STUCK : REASON_PINNED;
    }
    return sum;
}
