/* expand.h: environment variables and macros, in place, in a tree of nodes.
 *
 * `${env.NAME}` is replaced everywhere, keys included; `${NAME}` in values only, and in the
 * keys of filters.setParamsByID, by llama-swap's rules: a model sees MODEL_ID, the global macros
 * and its own, one that has a global's name taking that one's place; a macro may use those before
 * it in this list. `${PORT}` stays in a model's cmd, cmdStop, env and proxy, since the port is
 * chosen at each start, and `${PID}` in cmdStop. What is left over is an error. */
#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include "config/diag.h"
#include "config/node.h"

/* Text that expansion may produce in all: macros that double each other grow without end. */
#define EXPAND_BYTES_MAX ((size_t)4 << 20)
#define EXPAND_MACROS_MAX 1000u

/* The port set aside for each model, in ascending byte order of their ids; 0 where its cmd does not
 * mention ${PORT}. */
struct expand_ports {
    uint16_t *numbers;
    uint32_t count;
};

void expand_env(struct arena *a, struct diag *d, struct node *root);
/* Also takes the `macros` blocks out of the tree, and the comment lines out of cmd and cmdStop. */
void expand_macros(struct arena *a, struct diag *d, struct node *root,
                   struct expand_ports *ret_ports);

/* The items of the `models` mapping in ascending byte order of their ids; NULL without models. */
struct node_item *expand_sorted_models(struct arena *a, const struct node *models);

#endif
