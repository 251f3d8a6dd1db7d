/* Which planner holds, and what all of them need to know. */
#include "core/plan/plan.h"

static const struct planner *const planners[] = {
    [PLAN_GROUP] = &plan_group, [PLAN_FIT] = &plan_fit, [PLAN_MATRIX] = &plan_matrix};

const struct planner *plan_for(const struct core *c, uint32_t target)
{
    return want_is_lease(c, target) ? &plan_fit : planners[c->plan];
}

enum op_kind plan_how(const struct core *c, uint32_t target)
{
    if (want_is_lease(c, target))
        return OP_NONE;
    switch ((int)c->models[target].state) {
    case MODEL_LOADED:
        return OP_MOVE;
    case MODEL_SUSPENDED:
        return OP_RESUME;
    default:
        return OP_LOAD;
    }
}

uint32_t plan_placement(const struct core *c, uint32_t target)
{
    const struct model *m = &c->models[target];
    switch ((int)plan_how(c, target)) {
    case OP_MOVE:
        return m->leaving == LEAVE_MOVE ? m->move_to : mode_wants_move(c, target);
    case OP_RESUME:
        return m->placement;
    default:
        break;
    }
    if (!m->policy.placement_count)
        return CORE_SLOT_NONE;
    return m->waiting_count || m->loads_wanted || m->wish_placement >= m->policy.placement_count
               ? 0
               : m->wish_placement;
}

enum plan_verdict plan_unfitted(const struct core *c, uint32_t target, enum reason why,
                                struct planned *ret)
{
    enum op_kind how = plan_how(c, target);
    /* What sleeps comes back to where it is. */
    uint32_t devices = how == OP_RESUME ? c->models[target].home : 0;
    ret->plan = (struct plan){
        .how = how, .placement = plan_placement(c, target), .devices = devices, .why = why};
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((devices >> d & 1) && c->devices[d].loader != CORE_SLOT_NONE)
            return PLAN_WAIT;
    return PLAN_GO;
}

bool plan_has_come(const struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    return c->targets[model].plan.active || (model_resident(m) && m->state != MODEL_SUSPENDED &&
                                             !c->backend_down[m->policy.backend]);
}
