/* fifo and fair: ready models serve at once, and the targets that wait are tried in their order.
 * What the two differ in stands in want.c (who is overdue) and victim.c (who may be put out). */
#include "core/sched/sched.h"

#include "core/plan/plan.h"

/* Models that are overdue and could not come in: what they cannot run beside has to wait, under
 * planners that know no bytes. */
#define BLOCKERS_MAX 8

struct scan {
    uint32_t blockers[BLOCKERS_MAX];
    uint32_t count;
    struct heap_key last; /* of the one tried last */
    bool anew;            /* somebody comes before those who were tried already */
};

static bool is_held_up(const struct core *c, const struct scan *scan, uint32_t target)
{
    if (want_is_lease(c, target))
        return false;
    const struct planner *planner = plan_for(c, target);
    for (uint32_t i = 0; i < scan->count; i++)
        if (planner->conflicts(c, target, scan->blockers[i]) ||
            planner->conflicts(c, scan->blockers[i], target))
            return true;
    return false;
}

/* The first in the order that lacks room has it kept for it, as it comes free. */
static void hold_up_others(struct core *c, struct scan *scan, const struct claim *claim,
                           uint32_t devices)
{
    bool lease = want_is_lease(c, claim->target);
    if (!lease && !claim->overdue)
        return;
    c->overdue_parked |= claim->overdue;
    if (!lease && scan->count < BLOCKERS_MAX)
        scan->blockers[scan->count++] = claim->target;
    if (c->targets[claim->target].anchor)
        return; /* chosen once */
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((devices & (1U << d)) && c->devices[d].anchor != CORE_SLOT_NONE &&
            !want_precedes(c, claim->target, c->devices[d].anchor))
            return;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((devices & (1U << d)) && c->devices[d].anchor != CORE_SLOT_NONE)
            want_set_anchor(c, c->devices[d].anchor, 0); /* of one behind: it has to choose anew */
    want_set_anchor(c, claim->target, devices);
}

/* Memory that nobody accounts for is often gone a moment later: a process that was slow to end, or
 * one that is not known yet to be a lease's. What stays for longer than bytes may take to be seen
 * to be free has no end that could be waited for. */
static void doubt_anchor(struct core *c, uint32_t target)
{
    struct target *t = &c->targets[target];
    if (!t->anchor)
        return;
    if (!t->anchor_doubted.ns)
        t->anchor_doubted = c->now;
    uint64_t until = t->anchor_doubted.ns + c->settle_ns_max;
    if (c->now.ns < until)
        deadline_replan(c, (struct mono){until});
    else
        want_set_anchor(c, target, 0);
}

/* A load that nobody wants any more goes on, unless somebody else needs its room. */
static void call_off_unwanted(struct core *c, uint32_t target, uint32_t devices)
{
    const struct link *n;
    list_each(n, &c->active) {
        uint32_t other = (uint32_t)(list_entry(n, const struct target, active) - c->targets);
        if (want_is_lease(c, other) || c->models[other].state != MODEL_LOADING ||
            c->models[other].op.escalated || want_anyone(c, other) || !core_has_room(c))
            continue;
        bool in_the_way =
            (c->targets[other].plan.devices & devices) ||
            (!want_is_lease(c, target) && plan_for(c, target)->conflicts(c, target, other));
        if (in_the_way)
            op_abort_load(c, other, REASON_ABORTED);
    }
}

static uint32_t devices_of(const struct core *c, uint32_t target)
{
    uint32_t devices = 0;
    if (want_is_lease(c, target))
        return want_lease(c, target)->ask.device_mask;
    const struct core_model_policy *p = &c->models[target].policy;
    for (uint32_t i = 0; i < p->placement_count; i++)
        devices |= p->placements[i].device_mask;
    return devices;
}

/* A mode comes behind everybody who waits: what it wishes for is left where somebody else wants to
 * be. */
static bool is_wanted_there(const struct core *c, uint32_t wished)
{
    const struct planner *planner = plan_for(c, wished);
    const struct link *n;
    list_each(n, &c->parked) {
        uint32_t other = (uint32_t)(list_entry(n, const struct target, parked) - c->targets);
        if (want_claim(c, other).rank == CLASS__COUNT)
            continue;
        if (devices_of(c, wished) & devices_of(c, other) && c->plan == PLAN_FIT)
            return true;
        if (!want_is_lease(c, other) &&
            (planner->conflicts(c, wished, other) || planner->conflicts(c, other, wished)))
            return true;
    }
    return false;
}

static enum plan_verdict make_plan(struct core *c, const struct scan *scan,
                                   const struct claim *claim, struct planned *ret)
{
    if (is_held_up(c, scan, claim->target))
        return PLAN_WAIT;
    if (claim->rank == CLASS__COUNT && is_wanted_there(c, claim->target))
        return PLAN_WAIT;
    return plan_for(c, claim->target)->plan(c, claim, ret);
}

/* Whether somebody has come before it at a gate since it became a target: it lacks more than bytes
 * now, and has nothing kept for it, else the two might wait for each other. */
static bool has_lost_gate(struct core *c, uint32_t target)
{
    if (!want_is_lease(c, target) || lease_gates_open(c, want_lease(c, target)))
        return false;
    lease_refresh(c, target - c->limits.models_max);
    return true;
}

/* Tries to bring one target in. */
static void try_target(struct core *c, struct scan *scan, uint32_t target)
{
    if (has_lost_gate(c, target))
        return;
    struct planned planned = {.by = CORE_SLOT_NONE};
    struct claim claim = want_claim(c, target);
    enum plan_verdict verdict = make_plan(c, scan, &claim, &planned);
    if (verdict != PLAN_BLOCKED)
        want_unblock(c, target);
    switch (verdict) {
    case PLAN_GO:
        want_set_anchor(c, target, 0);
        transition_commit(c, target, &planned.plan, planned.victims);
        /* A lease comes in now, so that those who stood behind it at a gate are at its head when
         * their turn comes in this scan, and keep what is kept for them. */
        if (want_is_lease(c, target))
            transition_advance(c, target);
        break;
    case PLAN_WAIT:
        want_park(c, target);
        scan->anew = planned.plan.devices && !claim.overdue && want_claim(c, target).overdue;
        if (scan->anew)
            break; /* its clock runs again, and was over when it stopped */
        call_off_unwanted(c, target, planned.plan.devices);
        hold_up_others(c, scan, &claim, planned.plan.devices);
        break;
    case PLAN_BLOCKED:
        want_park(c, target);
        want_block(c, target, planned.plan.why, planned.by);
        if (planned.plan.why == REASON_LEASED) { /* they end: what comes free then is its own */
            c->targets[target].anchor_doubted = (struct mono){0};
            hold_up_others(c, scan, &claim, planned.plan.devices);
        }
        if (planned.plan.why == REASON_FOREIGN)
            doubt_anchor(c, target);
        else if (planned.plan.why != REASON_LEASED)
            want_set_anchor(c, target, 0);
        break;
    case PLAN_NEVER:
        want_refuse(c, target, planned.plan.why);
        /* Nobody should want it any more; if somebody does, that must not go round for ever. */
        if (heap_has(&c->wants, target))
            want_park(c, target);
        break;
    }
}

/* The next in order; one that only now stands at the head of its gates, as somebody came in, may be
 * before those who were tried, and have the devices kept for it that were kept for one of them. */
static void try_next(struct core *c, struct scan *scan, const struct heap_item *next)
{
    scan->anew = heap_key_before(next->key, scan->last);
    scan->last = next->key;
    if (!scan->anew)
        try_target(c, scan, next->slot);
}

/* Takes the targets in order; those behind may overtake one that cannot come in now. */
static void scan_wants(struct core *c)
{
    struct scan scan = {0};
    const struct heap_item *item;
    c->overdue_parked = false;
    want_unpark_all(c);
    while ((item = heap_peek(&c->wants))) {
        if (!core_has_room(c)) {
            c->version++; /* the next step looks again */
            return;
        }
        try_next(c, &scan, item);
        if (!scan.anew)
            continue;
        scan = (struct scan){0};
        want_unpark_all(c);
    }
}

static void dispatch(struct core *c)
{
    while (c->runnable.count && core_has_room(c)) {
        uint32_t slot =
            (uint32_t)(list_entry(list_first(&c->runnable), struct model, runnable) - c->models);
        queue_grant(c, (uint32_t)(queue_next(c, slot) - c->waiters));
    }
    while (c->version != c->scanned_version && core_has_room(c)) {
        c->scanned_version = c->version;
        scan_wants(c);
        transition_advance_all(c);
    }
}

static bool is_free(struct core *c, uint32_t model)
{
    return !c->models[model].waiting_count;
}

const struct sched sched_order = {
    .dispatch = dispatch, .is_free = is_free, .precedes = want_precedes};
