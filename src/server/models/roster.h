/* roster.h: which model has which slot in the core, and which configuration is in force.
 *
 * A name keeps its slot for the daemon's life, or until the core has retired it. A configuration is
 * counted: exchanges and residents hold the one that they began with. */
#ifndef SERVER_ROSTER_H
#define SERVER_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "core/core.h"
#include "server/tell/notices.h"

#define ROSTER_MODELS_MAX (2 * CONFIG_MODELS_MAX) /* a reload may replace them all */
#define ROSTER_GATES_MAX (4 * CONFIG_GATES_MAX)

struct origin;
struct resident;

struct config_ref {
    uint32_t refs;
    struct config *config; /* owned */
    uint32_t *slots;       /* owned; model index -> slot */
    struct peer *peers;    /* owned; peer index -> what is done with it; NULL: nothing yet */
    uint32_t *turns;       /* owned; selector index -> whose turn it is among equals */
};

struct roster_entry {
    char *id;       /* owned; NULL: a free slot */
    uint32_t index; /* in the present configuration; CORE_SLOT_NONE: not in it any more */
    struct resident *resident; /* its server, or NULL; see residents/resident.h */
    uint64_t vram_peak_bytes;  /* the most that it was seen to use; 0: never seen */
    char *last_error; /* owned; why the last load failed, with the end of its log, or what else was
                         tried since it came in; NULL: nothing has */
    struct notice_memory told; /* notices.c's own */
};

/* A gate keeps its slot while it is configured, or somebody stands at it. */
struct roster_gate {
    char *id;                       /* owned; NULL: a free slot */
    struct core_gate_policy policy; /* the last that was configured */
    bool listed;                    /* in the present configuration */
    uint32_t uses;                  /* leases that name it */
    uint64_t hold_ns_mean;          /* for how long a slot is held; 0: none has been */
};

struct roster {
    struct config_ref *current;
    struct roster_entry *entries; /* owned, ROSTER_MODELS_MAX */
    uint32_t count;               /* slots in use: all below */
    struct roster_gate *gates;    /* owned, ROSTER_GATES_MAX */
    uint32_t gate_count;          /* likewise */
};

void roster_init(struct roster *r);
void roster_fini(struct roster *r);
/* Makes the configuration (taken) the present one and gives its models and gates slots. False when
 * there are more names than slots; then nothing changed and the configuration is freed. */
bool roster_apply(struct roster *r, struct config *config);
/* The slot is nobody's from now on; false: it was configured again in the meantime. */
bool roster_retire(struct roster *r, uint32_t slot);
/* Tells the core: fills ev's configuration from the present one; `step` is called with it. */
void roster_configure(struct roster *r, void (*step)(void *arg, const struct core_config *config),
                      void *arg);

/* Whether the planner fit is in force: asked for, and with a device whose memory is known. */
bool roster_fits(const struct config *c);
/* The planner that is in force, in a word. */
const char *roster_planner(const struct config *c);

struct config_ref *config_ref_get(struct config_ref *ref);
void config_ref_put(struct config_ref *ref);
/* Slot by id or alias; CORE_SLOT_NONE when unknown. */
uint32_t roster_find(const struct roster *r, const char *name);
/* The model's present definition, or NULL when it is no longer configured. */
const struct config_model *roster_model(const struct roster *r, uint32_t slot);
/* The slot of a gate of the present configuration; CORE_SLOT_NONE: there is none of that name. */
uint32_t roster_find_gate(const struct roster *r, const char *name);
const char *roster_gate(const struct roster *r, uint32_t slot); /* "?" for none */
/* One more lease names it, or one less. */
void roster_use_gate(struct roster *r, uint32_t slot, bool more);
const char *roster_id(const struct roster *r, uint32_t slot); /* "?" for none */

#endif
