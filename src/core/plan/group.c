/* Groups, as in llama-swap: a swap group runs one member at a time, an exclusive group puts all
 * others out except persistent ones. Bytes do not matter here. */
#include "core/plan/plan.h"

static bool conflicts(const struct core *c, uint32_t target, uint32_t other)
{
    uint32_t tg = c->models[target].policy.group, og = c->models[other].policy.group;
    if (c->models[other].removed) /* its group may be gone, and it goes too */
        return c->groups[tg].exclusive || c->groups[tg].swap;
    if (tg == og)
        return c->groups[tg].swap;
    return c->groups[tg].exclusive && !c->groups[og].persistent;
}

static bool in_the_way(const struct core *c, uint32_t target, uint32_t other)
{
    return other != target && plan_has_come(c, other) && conflicts(c, target, other);
}

static enum plan_verdict plan(struct core *c, const struct claim *claim, struct planned *ret)
{
    uint32_t target = claim->target;
    enum reason why = REASON_GROUP;
    enum plan_verdict worst = PLAN_GO;
    ret->victims = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        /* What leaves for another target must not be back before that one is loading. */
        bool coming = m->state == MODEL_UNLOADED || m->state == MODEL_SUSPENDED;
        if (c->targets[i].plan.active && coming && conflicts(c, i, target))
            worst = worst > PLAN_WAIT ? worst : PLAN_WAIT;
        if (!in_the_way(c, target, i))
            continue;
        victim_put_out(c, i, claim, ret, &worst);
        if (m->policy.group != c->models[target].policy.group)
            why = REASON_EXCLUSIVE;
    }
    return worst == PLAN_GO ? plan_unfitted(c, target, why, ret) : worst;
}

const struct planner plan_group = {.plan = plan, .conflicts = conflicts};
