/* routing.h: who may be loaded together, who is served first, and where models should be. Texts
 * and arrays are owned by the struct config; models and GPUs are indices into it. */
#ifndef CONFIG_ROUTING_H
#define CONFIG_ROUTING_H

#include <stdbool.h>
#include <stdint.h>

#include "config/model.h"

#define CONFIG_GROUPS_MAX 4096 /* more of any of these is a configuration error */
#define CONFIG_GATES_MAX 256
#define CONFIG_MODES_MAX 256
#define CONFIG_MATRIX_SETS_MAX 4096     /* combinations of models, of all expressions together */
#define CONFIG_MATRIX_MEMBERS_MAX 65536 /* models in all of these combinations */

#define CONFIG_DEFAULT_GROUP "(default)" /* of the models that are in no group */
#define CONFIG_GPU_ANY UINT32_MAX
#define CONFIG_PLACEMENT_ANY UINT32_MAX

struct config_group {
    char *id;
    bool swap, exclusive, persistent;
};

struct config_pair {
    char *key, *text;
};

struct config_pairs {
    struct config_pair *items;
    uint32_t count;
};

/* The combinations of models that may be loaded together, or any part of one, as flat arrays: the
 * members of combination i stand in `members` from ends[i - 1] (0 for the first) up to, but not
 * including, ends[i]. They come in the order in which llama-swap breaks ties: by the names of the
 * sets, each set behind those that it refers to, and within a set as its expression is written.
 * One that is part of another of the same set, or of an earlier one, is left out: it can never be
 * cheaper. All is zero unless the planner is CONFIG_PLAN_MATRIX. */
struct config_matrix {
    uint32_t *members; /* indices of models, ascending within a combination */
    uint32_t *ends;
    char **names; /* the set that each combination comes from, for messages */
    uint32_t set_count;
    struct config_pairs vars, costs, sets; /* as they were written, for config_print */
};

struct config_fair {
    uint64_t wait_ns_max[CONFIG_CLASS__COUNT]; /* classes.CLASS.maxWait; 0: no bound */
    uint64_t min_resident_ns;                  /* what came in stays this long, while it has work */
    uint64_t serve_ns_max;                     /* each request is assumed to end within it */
};

struct config_gate {
    char *id;
    uint32_t limit;       /* slots, >= 1 */
    uint64_t wait_ns_max; /* of every class; then a waiter is overdue; 0: no bound */
};

enum config_wish_kind { CONFIG_WISH_LOADED, CONFIG_WISH_UNLOADED };

struct config_wish {
    uint32_t model; /* index */
    enum config_wish_kind kind;
    /* With LOADED: which of its placements, or CONFIG_PLACEMENT_ANY; and with a placement on
     * GPUs, the index of the one where it should be, or CONFIG_GPU_ANY. */
    uint32_t placement, gpu;
};

struct config_mode {
    char *id;
    struct config_wish *wishes; /* one a model at most, in the order of the file */
    uint32_t wish_count;
};

#endif
