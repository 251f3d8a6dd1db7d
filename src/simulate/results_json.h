/* results_json.h: results for programs. */
#ifndef SIMULATE_RESULTS_JSON_H
#define SIMULATE_RESULTS_JSON_H

#include "base/buf.h"
#include "config/config.h"
#include "simulate/result.h"

/* A list with an object a policy; docs/simulate.md says what is in it. */
void results_json_write(struct buf *out, const struct config *c, const struct sim_result *results,
                        uint32_t count);
/* The reload seconds in parts of the clairvoyant's, in 1/1000; 0: it was not among them. */
uint64_t results_ratio_permille(const struct sim_result *results, uint32_t count, uint32_t i);

#endif
