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

/* A device of the core, by its number there. Texts are borrowed, and "" where there is none. */
struct mapping_device {
    const char *name, *uuid;
    bool present; /* false: listed, but not found so far */
    uint64_t reserve_bytes;
    uint32_t limit_permille;
    uint64_t sample_ns;
};

struct mapping_devices {
    struct mapping_device items[CORE_DEVICES_MAX];
    uint32_t count;
};

/* Those of the configuration. This alone decides which there are: when it would say something else,
 * the core has to be given the configuration and the mode's wishes anew. */
void mapping_find_devices(const struct config *c, struct mapping_devices *ret);

/* slots: the slot of each of c's models, all below slot_count; NULL: its index. fits: plan by
 * bytes, whatever the configuration says; else by what it says, and by group where that is fit.
 * ret borrows from c. */
void mapping_init(struct mapping *ret, const struct config *c,
                  const struct mapping_devices *devices, const uint32_t *slots, uint32_t slot_count,
                  bool fits);
void mapping_fini(struct mapping *m);

/* A mode's wishes, for EVENT_MODE; slots as above. The caller frees them; their number is the
 * mode's wish_count. */
struct core_wish *mapping_wishes(const struct config *c, const struct config_mode *mode,
                                 const uint32_t *slots);

/* What a core placement of the model (by its index in c) is called: "cpu", "cuda", the name of a
 * GPU; "gpu" for a model that has no devices of its own. Borrowed; NULL: there is none. */
const char *mapping_placement_name(const struct config *c, uint32_t model, uint32_t placement);
/* Which of the model's placements in c it is. There is such a core placement. */
uint32_t mapping_placement_variant(const struct config *c, uint32_t model, uint32_t placement);
/* The core placement that a device's name, or a GPU's name, number or UUID, stands for;
 * CORE_SLOT_NONE: there is none. */
uint32_t mapping_placement_find(const struct config *c, uint32_t model, const char *device);
/* Bit i for each of the model's placements in c that the core was not told of, since no device for
 * it is present. */
uint32_t mapping_dropped(const struct config *c, uint32_t model);

#endif
