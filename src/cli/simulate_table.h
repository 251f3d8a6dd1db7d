/* simulate_table.h: results of a simulation for people. */
#ifndef CLI_SIMULATE_TABLE_H
#define CLI_SIMULATE_TABLE_H

#include "base/buf.h"
#include "config/config.h"
#include "simulate/result.h"

/* A row a policy, and below each one a class where there are several; then what needs words. The
 * policy that has the name `own` is marked as what the configuration asks for. */
void simulate_table_write(struct buf *out, const struct sim_result *results, uint32_t count,
                          const char *own);

#endif
