/* notices.h: the core's notices and decisions as public events and log lines. Of which type each
 * is, and what it says, is told in config/events.def. */
#ifndef SERVER_NOTICES_H
#define SERVER_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"

struct buf;
struct server;

#define NOTICES_UNKNOWN UINT64_MAX

/* What was told of a model: the event that ends something says how it was before. */
struct notice_memory {
    bool began;               /* the rest was set */
    enum notice op;           /* the last one that began */
    uint32_t from, placement; /* where it was, and is; CORE_SLOT_NONE: no device */
    char *place;              /* owned: what placement was called when it came there, or NULL */
    uint32_t devices;         /* where it is, or was last; a mask */
    uint64_t bytes;           /* that it was to have on each of them */
    uint64_t used_bytes[CORE_DEVICES_MAX]; /* of each device then; NOTICES_UNKNOWN */
    bool elsewhere;                        /* loaded, and was not seen on its device */
    uint64_t load_ns; /* what its last load took that was done; 0: none has been */
};

void notices_publish(struct server *s, const struct effect *e);
void notices_decision(struct server *s, const struct effect *e);
/* waiting, granted, refused: published only while somebody follows or a hook wants them,
 * since they come by the thousand. */
void notices_waiter(struct server *s, const char *type, const struct effect *e);

#endif
