/* naming.h: what a name that a client uses for a model stands for. The one place that knows: the
 * body, the query and the path of a request all ask here.
 *
 * The active profile may have it stand for another, once; a selector then chooses one of its
 * targets; what that is called is the model. */
#ifndef SERVER_NAMING_H
#define SERVER_NAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct config_ref;
struct server;

struct naming {
    enum config_name_kind kind;
    const struct config_model *model;     /* of the configuration that was asked; NULL: a peer's */
    uint32_t slot;                        /* its slot in the core; CORE_SLOT_NONE: a peer's */
    const struct config_peer *peer;       /* of CONFIG_NAME_PEER; else NULL */
    uint32_t peer_model;                  /* index into its models */
    const struct config_filters *filters; /* what is changed in its bodies */
    const char *write; /* the name that its server goes by, for the body; NULL: as it came */
    /* naming_choose: */
    const char *asked;    /* the name after profile and selector; or the given one itself */
    const char *selector; /* the one that chose; NULL: none */
};

enum naming_result {
    NAMING_FOUND,
    NAMING_UNKNOWN,   /* nothing is called `asked` */
    NAMING_OFF,       /* the active profile has switched it off */
    NAMING_NO_TARGET, /* no target of `selector` can take a request */
};

/* False, and *ret_naming untouched, when nothing is called that; selectors are nothing here. */
bool naming_resolve(const struct config_ref *config, const char *name, struct naming *ret_naming);
/* Through profile and selector. Texts in *ret_naming are the configuration's, or `name` itself. */
enum naming_result naming_choose(struct server *s, struct config_ref *config, const char *name,
                                 struct naming *ret_naming);
/* The longest run of whole segments, from the path's first character on, that is a name once it is
 * decoded: returns its length in the path, and what it stands for, which is no selector. 0: there
 * is none. A pin of the active profile comes before every name: *ret_result is then what became of
 * it. */
uint32_t naming_path(struct server *s, struct config_ref *config, const char *path, uint32_t len,
                     enum naming_result *ret_result, struct naming *ret_naming);

#endif
