/* Groups, as in llama-swap: a swap group runs one member at a time, an exclusive group puts all
 * others out except persistent ones. Bytes do not matter here. */
#include "core/plan.h"

static bool conflicts(const struct core *c, uint32_t target, uint32_t other)
{
    uint32_t tg = c->models[target].policy.group, og = c->models[other].policy.group;
    if (tg == og)
        return c->groups[tg].swap;
    return c->groups[tg].exclusive && !c->groups[og].persistent;
}

/* A target that another plan is bringing in counts as resident. */
static bool in_the_way(const struct core *c, uint32_t target, uint32_t other)
{
    const struct model *m = &c->models[other];
    return other != target && (model_resident(m) || m->plan.active) && conflicts(c, target, other);
}

static enum plan_verdict plan(struct core *c, uint32_t target, struct plan *ret_plan,
                              uint32_t *ret_victims)
{
    uint32_t victims = 0;
    enum reason why = REASON_GROUP;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        /* What leaves for another target must not be back before that one is loading. */
        if (m->plan.active && m->state == MODEL_UNLOADED && conflicts(c, i, target))
            return PLAN_WAIT;
        if (!in_the_way(c, target, i))
            continue;
        if (m->state == MODEL_STUCK) {
            ret_plan->why = REASON_STUCK;
            return PLAN_NEVER;
        }
        bool leaving = m->state == MODEL_UNLOADING && m->victim_of == CORE_SLOT_NONE;
        if (!leaving && !plan_evictable(c, i))
            return PLAN_WAIT;
        if (m->policy.group != c->models[target].policy.group)
            why = REASON_EXCLUSIVE;
        c->victims[victims++] = i;
    }
    *ret_plan = (struct plan){.device = CORE_SLOT_NONE, .why = why};
    *ret_victims = victims;
    return PLAN_GO;
}

const struct planner plan_group = {.plan = plan};
