/* bound.h: has `fair` kept its promise? Found out from what the world knows alone.
 *
 * A waiter of model X that is not served within maxWait, at T, is due until
 *
 *     T + drain + load(X) + ahead(X) + sum over other models Y of gate(Y), or load(Y) + gate(Y)
 *
 * drain    the longest request, which may have begun just before its model was to leave
 * load     what it takes to unload whoever is in the way, and to load
 * ahead    the work that waits for X before it: its sum over the slots of X, and the longest
 * Y        those that are loaded at T, with their gate; those that are being loaded at T; those
 *          whose load begins later for a waiter with an earlier deadline, each once; and one whose
 *          load begins later for somebody else who waits at T, since that may be decided already
 * gate(Y)  what waits for Y when it comes in (or at T) by the same sum; or, if that is longer, what
 *          is left of the longer of minResident and load(Y), and the longest request, which may
 *          have begun at its very end
 *
 * This is the bound that core/sched/sched.h states, with the times that requests really take in
 * place of maxServe, which makes it stricter. It is found from the core's effects alone. */
#ifndef SIMULATE_BOUND_H
#define SIMULATE_BOUND_H

#include <stdbool.h>

#include "simulate/request.h"

/* One coming in of a model. */
struct bound_stay {
    uint64_t begun_ns;    /* when it began to load */
    uint64_t deadline_ns; /* of the most urgent waiter then */
    uint64_t since_ns;    /* when the one had come who had waited for longest then */
    uint64_t in_ns;       /* when it was loaded; UINT64_MAX: not yet */
    uint64_t gate_ns;     /* from then on */
};

/* Waiters of one model and class, in order of arrival. */
struct bound_queue {
    uint32_t *order; /* owned; indices of requests */
    uint32_t count, order_max;
    uint32_t head;          /* those before it wait no more */
    uint64_t in_ns, out_ns; /* work that has come, and gone */
};

struct bound_model {
    uint64_t load_ns;
    uint32_t slots;
    bool is_here;
    uint64_t longest_ns; /* of all requests that come, as far as they are known */
    struct bound_queue queues[CLASS__COUNT];
    struct bound_stay *stays; /* owned */
    uint32_t stay_count, stays_max;
};

struct bound {
    struct bound_model *models; /* owned; load_ns and slots are filled in by the caller */
    uint32_t model_count;
    uint64_t wait_ns_max[CLASS__COUNT]; /* 0: no promise */
    uint64_t min_resident_ns, unload_ns;
    struct bound_queue classes[CLASS__COUNT]; /* all waiters */
    uint64_t overdue, violations;
    uint64_t permille_max; /* longest wait of an overdue one, in parts of what was allowed */
    uint32_t first;        /* the first request to break it; UINT32_MAX: none */
    uint64_t first_allowed_ns;
};

void bound_init(struct bound *b, uint32_t model_count);
void bound_fini(struct bound *b);
/* A request for the model will take so long. */
void bound_expects(struct bound *b, uint32_t model, uint64_t serve_ns);
/* Time goes on to now; before anything that happens then. */
void bound_pass(struct bound *b, struct sim_requests *rs, uint64_t now_ns);
void bound_waits(struct bound *b, struct sim_requests *rs, uint32_t request);
/* It is served from now on, having waited or not. */
void bound_served(struct bound *b, struct sim_requests *rs, uint32_t request, uint64_t now_ns);
/* It waits no more, and is not served. */
void bound_left(struct bound *b, const struct sim_requests *rs, uint32_t request);
void bound_begins(struct bound *b, const struct sim_requests *rs, uint32_t model, uint64_t now_ns);
void bound_loaded(struct bound *b, uint32_t model, uint64_t now_ns);
void bound_gone(struct bound *b, uint32_t model);
/* A load came to nothing. */
void bound_failed(struct bound *b, uint32_t model, uint64_t now_ns);

#endif
