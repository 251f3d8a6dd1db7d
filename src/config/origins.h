/* origins.h: where the values of a configuration stand in its files. */
#ifndef CONFIG_ORIGINS_H
#define CONFIG_ORIGINS_H

#include "config/config.h"
#include "config/node.h"

/* Where a value stands, by the path to it. Paths are kept as hashes of 64 bits: nothing but what
 * people are shown hangs on them. */
struct config_origin {
    uint64_t path;
    const char *file; /* the configuration's own copy */
    uint32_t line;
};

/* For config.c: notes where everything below the expanded root stands; in c's memory, and
 * c->origins. */
void origins_gather(struct config *c, const struct node *root);
/* What config_print says as a JSON array of lines, {"text", "file", "line"}: where in the files it
 * stands; null: it is a default, or made of other values. */
void origins_print(const struct config *c, struct buf *json);

#endif
