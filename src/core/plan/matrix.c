/* Matrix, as in llama-swap: models that stand together in one set may be loaded together. Of the
 * sets with the target, the one that costs least to get to is taken: the sum of the eviction costs
 * of what runs and is not in it; the first such set wins a tie. In no set: it runs alone. */
#include "core/plan/plan.h"

static uint32_t set_begin(const struct core *c, uint32_t set)
{
    return set ? c->set_ends[set - 1] : 0;
}

static bool set_has(const struct core *c, uint32_t set, uint32_t model)
{
    for (uint32_t i = set_begin(c, set); i < c->set_ends[set]; i++)
        if (c->set_members[i] == model)
            return true;
    return false;
}

static bool conflicts(const struct core *c, uint32_t target, uint32_t other)
{
    for (uint32_t s = 0; s < c->set_count; s++)
        if (set_has(c, s, target) && set_has(c, s, other))
            return false;
    return target != other;
}

static uint64_t evict_cost(const struct core *c, uint32_t model)
{
    uint32_t cost = c->models[model].policy.evict_cost;
    return cost ? cost : 1;
}

/* CORE_SLOT_NONE: it is in no set. */
static uint32_t cheapest_set(const struct core *c, uint32_t target)
{
    uint32_t best = CORE_SLOT_NONE;
    uint64_t best_kept = 0;
    for (uint32_t s = 0; s < c->set_count; s++) {
        if (!set_has(c, s, target))
            continue;
        /* The most that may stay is the least that must go. */
        uint64_t kept = 0;
        for (uint32_t i = set_begin(c, s); i < c->set_ends[s]; i++)
            if (c->set_members[i] != target && plan_has_come(c, c->set_members[i]))
                kept += evict_cost(c, c->set_members[i]);
        if (best == CORE_SLOT_NONE || kept > best_kept) {
            best = s;
            best_kept = kept;
        }
    }
    return best;
}

static enum plan_verdict plan(struct core *c, const struct claim *claim, struct planned *ret)
{
    uint32_t target = claim->target, set = cheapest_set(c, target);
    enum plan_verdict worst = PLAN_GO;
    ret->victims = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (i != target && plan_has_come(c, i) && (set == CORE_SLOT_NONE || !set_has(c, set, i)))
            victim_put_out(c, i, claim, ret, &worst);
    }
    return worst == PLAN_GO ? plan_unfitted(c, target, REASON_MATRIX, ret) : worst;
}

const struct planner plan_matrix = {.plan = plan, .conflicts = conflicts};
