/* draw.h: seeded chance for workloads: how popular models are, how long things take. */
#ifndef SIMULATE_DRAW_H
#define SIMULATE_DRAW_H

#include <stdint.h>

#include "base/pure/rng.h"

/* Zipf's law: the i-th of count, from 0, is drawn with a weight of 1 / (i + 1)^exponent. */
struct draw_zipf {
    double *upto; /* owned; the weights added up */
    uint32_t count;
};

/* count > 0, exponent >= 0; 0 makes all equally likely. */
void draw_zipf_init(struct draw_zipf *z, uint32_t count, double exponent);
void draw_zipf_fini(struct draw_zipf *z);
uint32_t draw_zipf_pick(const struct draw_zipf *z, struct rng *rng);

/* In [0, 1). */
double draw_unit(struct rng *rng);
/* Exponentially distributed; the time between two events of a Poisson process. */
uint64_t draw_exponential(struct rng *rng, double mean);
/* At least 1; the number of trials up to the first success, with this mean (>= 1). */
uint32_t draw_geometric(struct rng *rng, double mean);
/* A generator of its own for each purpose, so that one's draws do not move the other's. */
struct rng draw_stream(uint64_t seed, uint64_t purpose);

#endif
