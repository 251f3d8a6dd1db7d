/* simulate.h: how would this machine fare under that policy? The real core, in a simulated world,
 * on a virtual clock: days take seconds, and the same input gives the same result. */
#ifndef SIMULATE_SIMULATE_H
#define SIMULATE_SIMULATE_H

#include "config/config.h"
#include "simulate/history.h"
#include "simulate/result.h"
#include "simulate/timeline.h"
#include "simulate/workload.h"

struct sim_costs {
    uint64_t load_fixed_ns;
    uint64_t load_bytes_per_s; /* > 0; loads, moves and resumes */
    uint64_t unload_ns;
    uint64_t unknown_bytes; /* the size of models whose vram is not given */
    /* By the configuration's models, instead of what is above; 0: that. Borrowed; NULL: none. */
    const uint64_t *load_ns;
    const uint64_t *bytes; /* of those whose vram is not given; on all their devices together */
};

struct sim_options {
    const struct config *config; /* borrowed, as all here */
    const struct workload *work;
    struct sim_costs costs;
    uint64_t seed;
    bool checks;                 /* core_check after every step */
    struct sim_history *history; /* empty; written by the run. NULL: nobody wants it */
};

/* Whether there are devices whose bytes can be counted. */
bool simulate_fits(const struct config *c);
bool simulate_has_matrix(const struct config *c);
/* The name of the policy that the configuration asks for; static. */
const char *simulate_own_policy(const struct config *c);
/* timeline: empty, or NULL where no plot is wanted. Give *ret to sim_result_fini. */
void simulate_run(const struct sim_options *opt, const struct sim_policy *policy,
                  struct timeline *timeline, struct sim_result *ret);

#endif
