/* resolve.h: bound values → struct config. References become indices here, and what only the whole
 * configuration can tell (a group's members, the planner) is checked. Private to config/.
 *
 * Every step fills its part whatever it finds, so that all errors are reported in one go; a
 * configuration with errors is thrown away by the caller. */
#ifndef CONFIG_RESOLVE_H
#define CONFIG_RESOLVE_H

#include "config/bind.h"
#include "config/config.h"
#include "config/diag.h"
#include "config/expand.h"

struct resolver {
    struct arena *arena;   /* the configuration's own */
    struct arena *scratch; /* the load's */
    struct diag *diag;
    const struct bound *root;
    const struct expand_ports *ports;
    const struct bound **models; /* in the order of config->models, and likewise below */
    const struct bound **peers;
    const struct bound **selectors;
    struct config *config;
};

/* In this order. */
void resolve_models(struct resolver *r);
void resolve_peers(struct resolver *r);
void resolve_selector_ids(struct resolver *r);
void resolve_names(struct resolver *r);     /* from here on names can be looked up */
void resolve_endpoints(struct resolver *r); /* which models share one */
void resolve_machine(struct resolver *r);   /* listen, gpus, logLevel */
void resolve_keys(struct resolver *r);      /* apiKeys, keys */
void resolve_access(struct resolver *r);    /* hosts, cors, socket */
void resolve_observe(struct resolver *r);   /* logs, history, captures, ignorePaths */
void resolve_routing(struct resolver *r);   /* groups, planner, scheduler, priorities, preload */
void resolve_policies(struct resolver *r);  /* classes, gates, modes, hooks, host */
void resolve_selectors(struct resolver *r); /* selectors, profiles */
void resolve_hashes(struct resolver *r);

/* Part of resolve_routing: the sets, compiled, and the models' costs. */
void resolve_matrix(struct resolver *r, const struct bound *matrix);

/* Parts of resolve_models. The backend comes first: what else there is depends on it. */
void resolve_backend(struct resolver *r, const struct bound *b, struct config_model *m);
void resolve_times(struct resolver *r, const struct bound *b, struct config_model *m);
void resolve_placements(struct resolver *r, const struct bound *b, struct config_model *m);
void resolve_sleep(struct resolver *r, const struct bound *b, struct config_model *m);

/* Where a placement's value stands: below `devices`, or at the model itself. */
const struct value *resolve_placement_value(const struct resolver *r, uint32_t model,
                                            uint32_t placement, enum setting_id own,
                                            enum setting_id variant);
/* A command's arguments; none where it is empty or broken, of which an error tells. */
/* Whether an endpoint is sure to be on this machine. ret_tail: what follows its host, in it; of
 * unix:/PATH, which has none, all. */
bool resolve_endpoint_is_here(const char *endpoint, const char **ret_tail);
/* Warns of words that only a shell would heed; key: of what. */
void resolve_warn_of_shell(struct resolver *r, const char *key, struct place at,
                           const struct config_strings *argv);
struct config_strings resolve_argv(struct resolver *r, const char *key, const struct value *v);

/* The index of the model with that id or alias, or UINT32_MAX. */
uint32_t resolve_find(const struct resolver *r, const char *name);
/* "; did you mean 'x'?" with the nearest model, or "". */
const char *resolve_model_hint(const struct resolver *r, const char *name);
/* An error where a name is empty or holds a line break or the like; `what` is such as "gate". */
void resolve_check_name(struct resolver *r, const struct bound *b, const char *what);
/* The children of a MAPS value in ascending byte order of their ids; in the scratch arena. */
const struct bound **resolve_sorted(struct resolver *r, const struct value *v);
/* PAIRS, or COUNTS with the numbers as texts. */
struct config_pairs resolve_pairs(struct resolver *r, const struct value *v);
struct config_filters resolve_filters(struct resolver *r, const struct bound *filters);
/* ANY, as JSON; "{}" where nothing is given. */
char *resolve_any(struct resolver *r, const struct value *v);
/* Without blanks around it; in the configuration's arena. */
char *resolve_trimmed(struct resolver *r, const char *text);
struct config_strings resolve_texts(struct resolver *r, const struct value *v);

#endif
