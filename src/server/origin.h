/* origin.h: where a server is that requests are passed on to, and the idle connections to it.
 *
 * Counted: its owner (an instance) holds one reference, and each connection one, so that a
 * connection may outlive what it was made for. The owner closes it when no request may go there any
 * more, and has to before it lets go. */
#ifndef SERVER_ORIGIN_H
#define SERVER_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "base/pure/list.h"

struct server;

struct origin {
    struct server *server;
    uint32_t users;
    bool open; /* it takes requests, and connections are kept for more of them; the owner's word */
    struct sockaddr_storage addr; /* where it listens */
    uint16_t port;
    char host[280];      /* "host:port", for Host fields */
    char base_path[512]; /* without a trailing slash */
    uint64_t connect_timeout_ns, header_timeout_ns, idle_timeout_ns; /* 0: none, or the usual */
    struct list idle; /* struct upstream, most recently used first */
};

/* Nowhere yet, and not open. */
struct origin *origin_new(struct server *s);
struct origin *origin_get(struct origin *o);
void origin_put(struct origin *o);
/* From a URL. -1, with a sentence in err, when that is none that can be connected to. */
int origin_locate(struct origin *o, const char *url, struct err *err) warn_unused;

#endif
