/* plan.h: what must leave for a model to come in. One vtable row a planner; pure: it changes
 * nothing but the core's scratch. */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include "core/core_priv.h"

enum plan_verdict {
    PLAN_GO,    /* *ret_plan and c->victims say how */
    PLAN_WAIT,  /* not now; try again when c->version has changed */
    PLAN_NEVER, /* ret_plan->why says why */
};

struct planner {
    /* target is not resident and in no plan. On PLAN_GO the first *ret_victims entries of
     * c->victims are the models to go: idle and loaded, or already unloading. */
    enum plan_verdict (*plan)(struct core *c, uint32_t target, struct plan *ret_plan,
                              uint32_t *ret_victims);
};

extern const struct planner plan_group;
extern const struct planner plan_fit;

const struct planner *plan_current(const struct core *c);
/* Whether a resident model may be told to go now: loaded, idle, wanted by no plan. */
bool plan_evictable(const struct core *c, uint32_t slot);

#endif
