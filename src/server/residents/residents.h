/* residents.h: the models' servers as the rest of the daemon sees them: orders from the core's
 * effects, who is there, and a watch over orders that never end. */
#ifndef SERVER_RESIDENTS_RESIDENTS_H
#define SERVER_RESIDENTS_RESIDENTS_H

#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "server/residents/resident.h"

struct config;
struct ollama;

struct residents {
    const struct resident_ops *const *kinds; /* by enum config_backend; one for each */
    uint32_t kind_count;
    struct ollama *ollama; /* owned; the servers that were configured since the start */
    uv_timer_t watch;
    uint64_t watched_ns; /* when it looked last */
    uint32_t late;       /* ends and hurries that came too late */
};

/* So long after its deadline an op that is still open is reported: what should have ended it by
 * then has been forgotten by somebody. */
#define RESIDENT_OVERDUE_NS (60 * NS_PER_S)

void residents_init(struct server *s);
int residents_start(struct server *s, struct err *err) warn_unused;
void residents_close(struct server *s);
void residents_fini(struct server *s);
/* Gives each backend of the configuration its number in the core, the same for as long as anything
 * of it is configured or loaded. False: there are too many. Before the roster takes it over. */
bool residents_place(struct server *s, struct config *c) warn_unused;
/* Another configuration is in force. */
void residents_reload(struct server *s, const struct config_ref *old);
/* Once each few seconds, with the time: reports ops that are overdue (the event no_progress). */
void residents_watch(struct server *s, uint64_t now_ns);

/* The core has noted that a backend cannot be reached, or that it can: told as degraded. */
void residents_backend_down(struct server *s, uint32_t backend);
void residents_backend_up(struct server *s, uint32_t backend);

/* The core's effects. Where nobody is there, or the kind cannot do it, the op ends at once; one
 * that is to be hurried but is not open is left alone. */
void resident_load(struct server *s, const struct effect *e);
void resident_unload(struct server *s, const struct effect *e);
void resident_move(struct server *s, const struct effect *e);
void resident_suspend(struct server *s, const struct effect *e);
void resident_resume(struct server *s, const struct effect *e);
void resident_abort(struct server *s, const struct effect *e);
void resident_kill(struct server *s, const struct effect *e);
void resident_probe(struct server *s, const struct effect *e);

/* The model's, or NULL. */
struct resident *resident_at(const struct server *s, uint32_t slot);
/* Where its requests go now, or NULL. Borrowed. */
struct origin *resident_origin(const struct server *s, uint32_t slot);
/* A request to the model found nobody there. */
void resident_refused(struct server *s, uint32_t slot);
/* All zero when there is none. */
void resident_describe(const struct server *s, uint32_t slot, struct resident_view *ret);
/* Who uses what on the device, out of what processes were seen to use there: a row for each model
 * that is seen there, in the order of slots, at most ret_max. Sets the slots of the claims that are
 * not known, which come with CORE_SLOT_NONE. */
uint32_t resident_uses(struct server *s, uint32_t device, struct resident_claim *claims,
                       uint32_t claim_count, struct sample_use *ret, uint32_t ret_max);

#endif
