/* selector.h: names that stand for one of several models, and profiles, which change what names
 * stand for. Texts and arrays are owned by the struct config. */
#ifndef CONFIG_SELECTOR_H
#define CONFIG_SELECTOR_H

#include <stdbool.h>

#include "config/strings.h"
#include "config/words.h"

#define CONFIG_NO_MODEL UINT32_MAX

/* One model to choose: a model of this configuration or one of a peer's. */
struct config_target {
    char *name;          /* as it was written */
    uint32_t model;      /* index into models; CONFIG_NO_MODEL: it is a peer's */
    uint32_t peer;       /* index into peers, and */
    uint32_t peer_model; /* into its models */
};

struct config_selector {
    char *id;
    char *name, *description; /* "" when not given */
    char *metadata;           /* a JSON object, "{}" when not given */
    bool unlisted;
    enum config_strategy strategy;
    uint32_t spillover; /* requests that a target serves before the next is used, >= 1 */
    struct config_target *targets;
    uint32_t target_count; /* >= 1; warm: all are local; spillover: each once, and those that are
                            * local may be loaded together */
};

struct config_pin {
    char *name;
    char *target; /* what config_find_name knows; "": nobody can use the name */
};

struct config_profile {
    char *id;
    char *description;
    struct config_pin *pins; /* in ascending byte order of their names; they do not chain */
    uint32_t pin_count;      /* >= 1 */
};

#endif
