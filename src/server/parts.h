/* parts.h: what the daemon is made of, and when each part of it is told what. */
#ifndef SERVER_PARTS_H
#define SERVER_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"

struct config_ref;
struct server;

/* Any of the functions may be NULL. */
struct part {
    const char *name;
    bool gate; /* what stands from here on starts when nobody holds the boot any more (boot.h) */
    /* What cannot fail, so that close and fini find it whatever the start comes to. There is no
     * configuration yet but that of the options. */
    void (*init)(struct server *s);
    /* What can: files, sockets, devices. The core knows nothing yet. */
    int (*open)(struct server *s, struct err *err);
    /* Everything is open. */
    int (*start)(struct server *s, struct err *err);
    /* A new configuration is in force; the old one is valid during the call. */
    void (*reload)(struct server *s, const struct config_ref *old);
    /* Closes its handles on the loop. Nobody is connected and no request is left; after a start
     * that failed, open may not have been called. */
    void (*close)(struct server *s);
    /* The loop has ended. */
    void (*fini)(struct server *s);
};

/* Gives the core the configuration in force once more: whatever was found out under it counts for
 * nothing any more. */
void parts_configure(struct server *s);

/* In the order of init, open, start and reload; close and fini go the other way. */
extern const struct part server_parts[];
extern const uint32_t server_part_count;

#endif
