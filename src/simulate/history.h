/* history.h: what happened in a simulated world, as records of requests, swaps and leases: the same
 * that a daemon keeps, so that what reads those can be shown a week that never was. */
#ifndef SIMULATE_HISTORY_H
#define SIMULATE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "core/words.h"
#include "simulate/request.h"
#include "simulate/workload.h"

enum sim_swap_kind {
    SIM_SWAP_LOAD,
    SIM_SWAP_UNLOAD,
    SIM_SWAP_MOVE,
    SIM_SWAP_SUSPEND,
    SIM_SWAP_RESUME,
    SIM_SWAP__KINDS
};

/* For whom a model leaves: one of the two, or neither. */
struct sim_for {
    uint32_t model; /* CORE_SLOT_NONE */
    uint32_t lease; /* of the workload; CORE_SLOT_NONE */
};

struct sim_swap {
    uint64_t at_ns, took_ns; /* since the world began; TOOK: UINT64_MAX while it lasts */
    uint64_t bytes;          /* on all of its devices */
    uint32_t model, devices; /* a mask */
    struct sim_for leaves;
    enum sim_swap_kind kind;
    enum reason reason;
    bool ok;
};

/* Of a lease of the workload. 0: that has not come. */
struct sim_lease_life {
    uint64_t asked_ns, granted_ns, ended_ns;
    uint32_t devices;
    const char *how; /* static; NULL while it lasts */
};

/* All zero is an empty one. Times are the world's, from base_ns on. */
struct sim_history {
    uint64_t base_ns;
    struct sim_requests requests;
    struct sim_swap *swaps; /* owned */
    uint32_t swap_count, swaps_max;
    struct sim_lease_life *leases; /* owned; by the workload's */
};

void sim_history_fini(struct sim_history *h);
/* Returns its number. */
uint32_t sim_history_swap(struct sim_history *h, const struct sim_swap *swap);
/* Writes requests.jsonl, swaps.jsonl and leases.jsonl into the folder, which is made where it is
 * not there. epoch_ns: when the world began, since 1970. 0, or -1 with e set. */
int sim_history_write(const struct sim_history *h, const struct config *config,
                      const struct workload *work, uint64_t epoch_ns, const char *folder,
                      struct err *e) warn_unused;

#endif
