/* sim_gpus.h: devices of given sizes in place of a configuration's, for what is simulated. */
#ifndef CLI_SIM_GPUS_H
#define CLI_SIM_GPUS_H

#include "base/err.h"
#include "base/pure/check.h"
#include "config/config.h"
#include "core/words.h"

#define SIM_GPU_NAME_MAX 16

struct sim_gpus {
    struct config_gpu items[CORE_DEVICES_MAX];
    char names[CORE_DEVICES_MAX][SIM_GPU_NAME_MAX];
};

/* sizes: "24GiB,16GiB", of --gpus. Those that the configuration has keep their names and limits. c
 * borrows from store. 0, or -1 with e set. */
int sim_gpus_replace(struct config *c, const char *sizes, struct sim_gpus *store,
                     struct err *e) warn_unused;

#endif
