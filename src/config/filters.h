/* filters.h: what is changed in the JSON bodies of requests on their way to a model or a peer.
 *
 * Names may be paths, in the syntax of llama-swap's filters: dots lead into objects and lists, and
 * a backslash makes the next character an ordinary one. `model` is never among them. Texts and
 * arrays are owned by the struct config. */
#ifndef CONFIG_FILTERS_H
#define CONFIG_FILTERS_H

#include <stdint.h>

#include "config/strings.h"

/* A member that is set. */
struct config_param {
    char *name;
    char *json; /* its value: one JSON text without blanks, objects sorted by key */
};

/* In ascending byte order of their names, which is the order in which they are set. */
struct config_params {
    struct config_param *items;
    uint32_t count;
};

/* Set on top of the others where the request asks for this name. */
struct config_variant {
    char *id;
    struct config_params set;
};

struct config_filters {
    struct config_strings strip; /* taken out before anything is set; ascending, each once */
    struct config_params set;
    struct config_variant *variants; /* in ascending byte order of their ids */
    uint32_t variant_count;
};

/* The variant of that name, or NULL. */
const struct config_variant *config_find_variant(const struct config_filters *f, const char *name);

#endif
