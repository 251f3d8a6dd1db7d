/* result.h: what a simulated policy came to. */
#ifndef SIMULATE_RESULT_H
#define SIMULATE_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/words.h"
#include "simulate/policies.h"

/* Of requests that were served; percentiles by nearest rank. */
struct sim_waits {
    uint32_t count;
    uint64_t mean_ns, p50_ns, p95_ns, p99_ns, max_ns;
};

struct sim_model_result {
    uint32_t loads;
    struct sim_waits waits;
};

#define SIM_NOTE_MAX 200

struct sim_result {
    struct sim_policy policy;
    uint64_t loads, evictions, unloads, aborts; /* aborts: loads that were called off */
    uint64_t load_ns;                           /* of all loads together */
    uint64_t requests, served, refused, unserved;
    uint64_t overdue;            /* served after the maxWait of their class */
    uint64_t violations;         /* served, or not, after the bound of `fair` (bound.h) */
    uint64_t bound_permille_max; /* the longest wait of an overdue one, in parts of its bound */
    uint64_t overcommits;   /* loads for which there were not enough bytes: the core is wrong */
    uint64_t busy_permille; /* of the devices' time in which something was served */
    uint64_t span_ns;       /* from the first arrival to the last answer */
    uint64_t wait_sum_ns;
    uint64_t events;   /* steps of the core */
    uint64_t spent_ns; /* of processor time on them and all of the simulation */
    struct sim_waits waits, classes[CLASS__COUNT];
    struct sim_model_result *models; /* owned; by the configuration's order */
    uint32_t model_count;
    char note[SIM_NOTE_MAX]; /* the first violation, in words; "" when there is none */
};

void sim_result_fini(struct sim_result *r);
/* Of count waits, which are put into order. */
void sim_waits_from(uint64_t *waits_ns, uint32_t count, struct sim_waits *ret);

#endif
