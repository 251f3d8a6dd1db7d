/* upstream.h: one connection to a model's server, and the idle ones kept for reuse.
 *
 * The core's slots are the only limiter: nothing queues for a connection. Idle connections are
 * reused last in, first out, belong to the origin, and are closed after
 * UPSTREAM_IDLE_MS. */
#ifndef SERVER_PROXY_UPSTREAM_H
#define SERVER_PROXY_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "server/net/dial.h"
#include "server/net/stream.h"
#include "server/net/timeouts.h"

#define UPSTREAM_IDLE_MS 4000

struct exchange;
struct origin;
struct server;

struct upstream {
    struct stream stream; /* first */
    struct server *server;
    struct link idle; /* in its origin's list while nobody uses it */
    struct timeout timeout;
    struct exchange *exchange; /* NULL while idle, or after the exchange let go */
    struct dial dial;
    struct origin *origin; /* counted */
    bool connected, reused;
    struct buf in; /* an incomplete response head */
    size_t scan;
};

/* A connection for the exchange: an idle one, or a fresh one that connects (the exchange is told by
 * exchange_upstream_connected). fresh: do not reuse. NULL, and a negative errno, when it cannot
 * even be begun. */
struct upstream *upstream_get(struct origin *o, struct exchange *ex, bool fresh, int *ret_error);
/* One that is connected already: a unix socket, taken. NULL, and closed: the loop cannot watch it.
 */
struct upstream *upstream_take(struct origin *o, struct exchange *ex, int fd);
/* The exchange is done with it: it is kept for reuse, or closed. */
void upstream_put(struct upstream *up, bool keep);
/* Closes all idle connections. */
void upstream_drop_idle(struct origin *o);
void upstream_on_timeout(struct upstream *up, enum timeout_kind kind);

#endif
