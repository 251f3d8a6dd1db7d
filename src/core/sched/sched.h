/* sched.h: who is served next. One vtable row a scheduler. A scheduler decides by calling
 * queue_grant, lease_grant and transition_commit, as long as core_has_room.
 *
 * serial  Exact arrival order, one at a time, one model in memory. No reordering, no batching.
 * fifo    As llama-swap: a ready model serves at once; those who wait for one model share its load;
 *         of the targets that must come in, the first in the order (want.c) for which a plan can be
 *         made goes ahead. Only what is idle leaves. A model in steady use is never put out, so
 *         that one who waits for another may wait for ever.
 * fair    As fifo, and every servable waiter has a bound. Who is overdue (has waited for longer
 *         than its class's maxWait), or outranks those being served, may have busy models put out:
 *         these admit only who came before they were loaded (their gate), finish what runs, and
 *         leave. Service is gated: a model that came in serves those who waited for it then, and at
 *         least minResident (or what its own load took, if that is longer) while it has work,
 *         before it can be asked to yield. Without that, overload makes everything overdue, and
 *         deadlines turn into thrash.
 *
 * The bound of fair, for a waiter of model X that is servable (its need fits beside what is pinned,
 * foreign, or held by leases that cannot be revoked; while it is not, its clock stands still):
 *
 *   wait <= maxWait(class) + D + load(X) + Σ over other models Y that wait: (load(Y) + gate(Y))
 *           + the work ahead of it in X
 *   D       the longest that a request in flight still runs: <= maxServe
 *   gate(Y) max(minResident, load(Y), the time to serve those who waited for Y when it came in)
 *
 * where each request ends within maxServe. When X is first among the overdue, nobody else's plan
 * may take what X needs (anchors); each other model has at most one load and one gate before X,
 * since all who wait for it then are served in that gate, and whoever comes later has a later
 * deadline. */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include "core/core_priv.h"

struct sched {
    void (*dispatch)(struct core *c);
    /* Whether a request for the model, which serves and has a slot left, would not have to wait. */
    bool (*is_free)(struct core *c, uint32_t model);
    /* Whether the one model, which somebody waits for, comes in before the other. */
    bool (*precedes)(const struct core *c, uint32_t model, uint32_t other);
};

extern const struct sched sched_order; /* fifo and fair */
extern const struct sched sched_serial;

/* Decides everything that can be decided now. */
void sched_dispatch(struct core *c);
bool sched_is_free(struct core *c, uint32_t model);
bool sched_precedes(const struct core *c, uint32_t model, uint32_t other);

#endif
