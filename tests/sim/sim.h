/* sim.h: running many worlds, and telling of one. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "count.h"
#include "judge/judge.h"

struct sim_options {
    uint64_t from, to; /* seeds, both included */
    uint64_t steps;    /* of each world, roughly */
    uint32_t jobs, check_every;
    uint64_t seconds;   /* 0: no limit */
    uint64_t steps_max; /* of all worlds together; 0: no limit */
    bool trace, shrink, verbose, keep_going;
    bool same;        /* runs each world twice, and compares */
    const char *file; /* of past failures; NULL: none */
};

struct sim_finding {
    uint64_t seed, steps, now_ns, hash;
    enum rule rule;
    char text[200];
};

void sim_take_options(struct sim_options *o, int argc, char **argv);
/* One world, from its seed. */
void sim_run_seed(uint64_t seed, const struct sim_options *o, struct counts *counts,
                  struct sim_finding *ret);
/* Many worlds, in processes; prints findings and figures. How many failed. */
uint64_t sim_run_seeds(const struct sim_options *o);
/* Those of a file, of lines "SEED [STEPS] # what it was". How many failed. */
uint64_t sim_run_file(const char *path, const struct sim_options *o);
/* Tells one world in full. */
void sim_trace_seed(uint64_t seed, const struct sim_options *o);
/* Makes a failing world short and prints the story. */
void sim_shrink_seed(uint64_t seed, const struct sim_options *o);

#endif
