/* names.h: the setup of a broker in the core's words, and its names by slot. */
#ifndef LIB_BROKER_NAMES_H
#define LIB_BROKER_NAMES_H

#include "core/policy.h"
#include "wharf/broker_setup.h"

struct named_mode {
    char *name;
    struct core_wish *wishes;
    uint32_t wish_count;
};

/* All of it is its own. */
struct names {
    struct core_config config;
    char *devices[CORE_DEVICES_MAX];
    uint64_t device_bytes[CORE_DEVICES_MAX];
    char **models, **gates;
    struct named_mode *modes;
    uint32_t mode_count;
    struct core_model_policy *policies;
    struct core_device_policy device_policies[CORE_DEVICES_MAX];
    struct core_gate_policy *gate_policies;
    struct core_group_policy group;
};

/* 0, -EINVAL or -ENOMEM; to be ended in any case. */
int names_init(struct names *n, const struct wharf_broker_options *o) warn_unused;
void names_fini(struct names *n);

/* CORE_SLOT_NONE: there is none. */
uint32_t names_device(const struct names *n, const char *name);
uint32_t names_model(const struct names *n, const char *name);
uint32_t names_gate(const struct names *n, const char *name);
uint32_t names_mode(const struct names *n, const char *name);
/* Of a model; device "cpu" or a device's name. */
uint32_t names_placement(const struct names *n, uint32_t model, const char *device);
/* NULL: the cpu, or none. */
const char *names_device_of(const struct names *n, uint32_t devices);
/* "cpu" for the cpu. */
const char *names_placement_device(const struct names *n, uint32_t model, uint32_t placement);

#endif
