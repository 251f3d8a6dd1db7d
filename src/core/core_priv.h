/* core_priv.h: what the files of this folder do for each other; state.h says on what. */
#ifndef CORE_PRIV_H
#define CORE_PRIV_H

#include "core/deadline.h"
#include "core/ledger.h"
#include "core/models.h"
#include "core/state.h"
#include "core/waiting.h"

/* core.c */
struct effect *core_emit(struct core *c, enum effect_type type, uint32_t model);
struct effect *core_notice(struct core *c, enum notice notice, uint32_t model, enum reason why);
bool core_has_room(struct core *c); /* for another EFFECTS_MARGIN effects; else sets more */
void core_effect_devices(struct effect *e, uint32_t devices);
/* A caller's time by the core's own clock, which stands still while the daemon does; and back. Of
 * UINT64_MAX and 0, never and none, nothing is changed. */
struct mono core_clock(const struct core *c, struct mono t);
struct mono core_time(const struct core *c, struct mono t);
/* When somebody came: now, for 0, or at a time of the caller's in an earlier life. */
struct mono core_since(const struct core *c, struct mono t);

/* The lowest device of a mask; CORE_SLOT_NONE: of none. */
static inline uint32_t mask_first(uint32_t mask)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (mask & (1U << d))
            return d;
    return CORE_SLOT_NONE;
}

static inline uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

#endif
