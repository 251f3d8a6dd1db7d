/* policies.h: what can be compared, by name: SCHEDULER+PLANNER. */
#ifndef SIMULATE_POLICIES_H
#define SIMULATE_POLICIES_H

#include "base/err.h"
#include "core/policy.h"

#define POLICIES_MAX 32
#define POLICY_NAME_MAX 32

struct sim_policy {
    char name[POLICY_NAME_MAX];
    enum sched_kind sched;
    enum plan_kind plan;
    enum victim_kind victims; /* of PLAN_FIT */
};

struct sim_policies {
    struct sim_policy items[POLICIES_MAX];
    uint32_t count;
};

/* "fair+fit,fifo+group". 0, or -1 with e set. */
int policies_parse(const char *text, struct sim_policies *ret, struct err *e) warn_unused;
/* What wharf itself does with this scheduler and planner; static. */
const char *policies_name(enum sched_kind sched, enum plan_kind plan);
/* What is worth a comparison. fits: there are devices; matrix: there are sets; foreseen: the future
 * is known. */
void policies_default(bool fits, bool matrix, bool foreseen, struct sim_policies *ret);

#endif
