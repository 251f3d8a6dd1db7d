/* plan.h: what must leave for a target to come in. One vtable row a planner; pure: it changes
 * nothing but the core's scratch, and asks to be woken when time alone would change its answer. */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include "core/core_priv.h"

enum plan_verdict {
    PLAN_GO,      /* *ret_plan and c->victims say how */
    PLAN_WAIT,    /* not now; try again when c->version has changed; ret_plan->devices: where */
    PLAN_BLOCKED, /* whoever may leave, it would not fit; ret_plan->why and ->by say why */
    PLAN_NEVER,   /* ret_plan->why says why */
};

struct planned {
    struct plan plan;
    uint32_t by;      /* BLOCKED: the model in the way, if it is one */
    uint32_t victims; /* GO: entries of c->victims: idle, or, where they may be, busy */
};

struct planner {
    /* The target is in no plan, and not where it should be. */
    enum plan_verdict (*plan)(struct core *c, const struct claim *claim, struct planned *ret);
    /* Whether one model cannot be loaded beside the other. */
    bool (*conflicts)(const struct core *c, uint32_t target, uint32_t other);
};

extern const struct planner plan_group;
extern const struct planner plan_matrix;
extern const struct planner plan_fit;

/* The planner that holds for a target: leases are fitted by bytes whatever holds for models. */
const struct planner *plan_for(const struct core *c, uint32_t target);
/* How the target comes in: LOAD, RESUME, MOVE; NONE for a lease. */
enum op_kind plan_how(const struct core *c, uint32_t target);
/* Where a model goes if bytes do not matter. */
uint32_t plan_placement(const struct core *c, uint32_t target);

/* Whether the model is there, for planners that know no bytes: what another plan is bringing in is;
 * what sleeps is not; nor is what a backend has that does not answer, since nobody could make it
 * leave. */
bool plan_has_come(const struct core *c, uint32_t model);

/* The plan of one that has its victims, where bytes do not matter: it takes none. */
enum plan_verdict plan_unfitted(const struct core *c, uint32_t target, enum reason why,
                                struct planned *ret);

/* victim.c: whether something may be told to go for the claim's sake, now or once it has finished
 * its work, how, and at what cost. */
bool victim_consider(struct core *c, uint32_t slot, const struct claim *claim, struct victim *ret);
/* Of a model that may be told to go. */
void victim_set_action(const struct core *c, struct victim *v, enum core_action action);
/* Adds a model that excludes the claim's target, and so has to be unloaded. *worst: what stands
 * against it most firmly of all that were added. */
void victim_put_out(struct core *c, uint32_t slot, const struct claim *claim, struct planned *ret,
                    enum plan_verdict *worst);
/* Whether the model could come in if only the lease ended, and cannot while it stands. */
bool plan_lease_in_the_way(const struct core *c, uint32_t model, uint32_t lease_slot);
/* Charged there by what will not leave: pinned and stuck models, leases that cannot be revoked. */
uint64_t victim_fixed_bytes(const struct core *c, uint32_t device, uint32_t *ret_by,
                            enum reason *ret_why);

#endif
