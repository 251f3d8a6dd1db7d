/* mapping.h: a configuration in the core's words. */
#ifndef MAPPING_MAPPING_H
#define MAPPING_MAPPING_H

#include "config/config.h"
#include "core/policy.h"

/* All that the configuration event points to. */
struct mapping {
    struct core_config core;
    struct core_model_policy *models; /* owned, as all that follows; by slot */
    struct core_group_policy *groups;
    struct core_gate_policy *gates; /* by their index in the configuration */
    uint32_t *members;              /* of the matrix's sets: slots */
    struct core_device_policy devices[CORE_DEVICES_MAX];
};

/* slots: the slot of each of c's models, all below slot_count; NULL: its index. fits: plan by
 * bytes, whatever the configuration says; else by what it says, and by group where that is fit.
 * ret borrows from c. */
void mapping_init(struct mapping *ret, const struct config *c, const uint32_t *slots,
                  uint32_t slot_count, bool fits);
void mapping_fini(struct mapping *m);

/* A mode's wishes, for EVENT_MODE; slots as above. The caller frees them; their number is the
 * mode's wish_count. */
struct core_wish *mapping_wishes(const struct config *c, const struct config_mode *mode,
                                 const uint32_t *slots);

/* What a model's placement is called; model: its index in c. NULL: it has no such one. */
const char *mapping_placement_name(const struct config *c, uint32_t model, uint32_t placement);
/* The placement of that name; CORE_SLOT_NONE when there is none. */
uint32_t mapping_placement_find(const struct config *c, uint32_t model, const char *device);

#endif
