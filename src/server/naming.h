/* naming.h: what a name that a client uses for a model stands for. The one place that knows: the
 * body, the query and the path of a request all ask here. */
#ifndef SERVER_NAMING_H
#define SERVER_NAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct config_ref;

struct naming {
    enum config_name_kind kind;
    const struct config_model *model; /* of the configuration that was asked; NULL: a peer's */
    uint32_t slot;                    /* its slot in the core; CORE_SLOT_NONE: a peer's */
    const struct config_peer *peer;   /* of CONFIG_NAME_PEER, whose filters apply */
    const char *write; /* the name that its server goes by, for the body; NULL: as it came */
};

/* False, and *ret_naming untouched, when nothing is called that. */
bool naming_resolve(const struct config_ref *config, const char *name, struct naming *ret_naming);
/* The longest run of whole segments, from the path's first character on, that is a name once it is
 * decoded: returns its length in the path, and what it stands for. 0: there is none. */
uint32_t naming_path(const struct config_ref *config, const char *path, uint32_t len,
                     struct naming *ret_naming);

#endif
