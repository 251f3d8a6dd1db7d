/* estimates.h: first guesses at what models will take of GPUs, by their command lines and files
 * (backend/estimate.h), which are read on the thread pool, one model after the other. */
#ifndef SERVER_ESTIMATES_H
#define SERVER_ESTIMATES_H

#include <stdint.h>

#include "base/pure/list.h"

struct config_strings;
struct estimate_job;
struct server;

struct estimates {
    struct list waiting; /* struct estimate_job */
    struct estimate_job *running;
    bool closed;
};

/* Whose footprint is guessed. */
struct estimate_subject {
    uint32_t slot, placement;
    uint64_t hash;    /* of the definition */
    uint32_t devices; /* that it takes at once */
};

void estimates_init(struct estimates *e);
/* footprints_estimated is called for it, later, unless the daemon ends before. argv is copied. */
void estimates_ask(struct server *s, const struct estimate_subject *subject,
                   const struct config_strings *argv);
/* Nothing more is begun, or told. */
void estimates_close(struct estimates *e);

#endif
