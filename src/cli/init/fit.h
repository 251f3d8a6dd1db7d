/* fit.h: how a model is best run on the GPUs there are: how many of them, with what context, and
 * how many of its layers. Pure; by the estimate that the daemon makes of the same command. */
#ifndef CLI_INIT_FIT_H
#define CLI_INIT_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/init/found.h"

/* More context than this costs memory that few use. */
#define FIT_CONTEXT_MAX 32768
/* Less is no use to most; it is what a processor without a GPU gets. */
#define FIT_CONTEXT_USUAL 8192
#define FIT_CONTEXT_LEAST 4096
/* Embeddings are computed in one batch, whose buffers grow with it. */
#define FIT_BATCH_MAX 2048

/* The GPUs with memory to count with, the largest first. */
struct fit_gpus {
    uint64_t bytes[GPU_DEVICES_MAX];
    uint32_t count;
    bool blind; /* there are others, whose memory is not known or not planned with */
};

struct fit {
    uint64_t context; /* tokens; 0: the file does not say what it was made for */
    uint32_t gpus;    /* 0: none is counted with */
    bool offloads;    /* layers go to a GPU */
    uint64_t layers;  /* so many of them; ESTIMATE_ALL_LAYERS */
};

void fit_gpus_of(const struct found *f, struct fit_gpus *ret);
struct fit fit_choose(const struct found_model *m, const struct fit_gpus *gpus);

#endif
