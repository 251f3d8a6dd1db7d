/* deadline.h: one heap over everything that has a deadline; TICK alone runs them. */
#ifndef CORE_DEADLINE_H
#define CORE_DEADLINE_H

#include "core/state.h"

/* One heap slot a purpose and object. */
enum deadline {
    DEADLINE_OP,
    DEADLINE_IDLE,
    DEADLINE_ERROR,
    DEADLINE_SETTLE,
    DEADLINE_OVERDUE,
    DEADLINE__PER_MODEL
};
enum lease_deadline {
    LEASE_DEADLINE_TIME, /* patience, ttl, grace, or being told to starve */
    LEASE_DEADLINE_SETTLE,
    LEASE_DEADLINE_OVERDUE,
    LEASE_DEADLINE__PER_LEASE
};

uint32_t deadline_slots(const struct core_limits *l);
uint32_t deadline_model(uint32_t model, enum deadline which);
uint32_t deadline_waiter(const struct core *c, uint32_t waiter_slot);
uint32_t deadline_lease(const struct core *c, uint32_t lease_slot, enum lease_deadline which);
uint32_t deadline_backend(const struct core *c, uint32_t backend);
uint32_t deadline_drain(const struct core *c);
void deadline_set(struct core *c, uint32_t slot, struct mono at);
void deadline_clear(struct core *c, uint32_t slot);
/* Plans that failed may succeed from then on, whatever else happens. */
void deadline_replan(struct core *c, struct mono at);
/* Whether such a time is still to come. */
bool deadline_replans(const struct core *c);
bool deadline_due(const struct core *c);
void deadline_run_due(struct core *c);

#endif
