/* footprints.h: what models were seen to take of GPUs, kept over restarts (store/footprints.h), and
 * guessed before they have run (estimates.h).
 *
 * The core learns by itself; here its figures get names, and are told to it again when a daemon
 * starts, or a model comes back to a definition that it had before. A model that still runs as it
 * was before a reload is told of its new definition once it has gone. A store that cannot be opened
 * or written is said to be degraded, and costs what is learned, nothing else. */
#ifndef SERVER_FOOTPRINTS_H
#define SERVER_FOOTPRINTS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "core/core.h"
#include "server/models/estimates.h"
#include "store/footprints.h"

struct config_ref;
struct server;

/* What the core was told of a model, by its slot. */
struct footprints_model {
    char *id; /* owned; NULL: nothing yet */
    uint64_t hash;
    char *places[CORE_PLACEMENTS_MAX]; /* owned; the names of its placements */
    uint32_t place_count;
    uint32_t asked;     /* bit i: placement i is, or has been, estimated */
    bool removed;       /* from the configuration: the core forgets what it was told */
    bool waits;         /* it has another definition now, once it has gone */
    bool out_of_memory; /* since something was learned last */
};

struct footprints {
    struct footprint_store *store; /* owned; NULL: it could not be opened */
    struct footprint_row **rows;   /* owned, with the rows; all that is known */
    uint32_t row_count, row_cap;
    struct footprints_model *models; /* owned; ROSTER_MODELS_MAX, by slot */
    struct estimates estimates;
    uv_async_t wake;
    bool started;
};

void footprints_init(struct server *s);
int footprints_start(struct server *s, struct err *err) warn_unused;
/* Tries to open the store, where it is to be there and is not. */
void footprints_mend(struct server *s);
void footprints_reload(struct server *s, const struct config_ref *old);
void footprints_close(struct server *s);
void footprints_fini(struct server *s);

/* The core has been given the configuration in force, or knows devices that it did not know. */
void footprints_configured(struct server *s);
/* EFFECT_LEARNED. */
void footprints_learned(struct server *s, const struct effect *e);
/* Any EFFECT_NOTICE. */
void footprints_noticed(struct server *s, const struct effect *e);
/* So much on each device. */
void footprints_estimated(struct server *s, const struct estimate_subject *subject, uint64_t bytes);

/* What is known of the model, as it is now, in a placement; NULL: nothing. Borrowed. */
const struct footprint_row *footprints_find(const struct server *s, uint32_t slot,
                                            uint32_t placement);

#endif
