/* proxy_world.h: the daemon's proxy as it is, between clients and a peer's server that are all
 * pretended, over unix sockets, in one thread: whoever turns the world knows when nothing moves any
 * more. It has one model, "m", which a peer has, so that the core is not asked about it; a GPU of
 * 4 GiB; and the gates "one" and "two", with that many slots. */
#ifndef FUZZ_PROXY_WORLD_H
#define FUZZ_PROXY_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define PROXY_CLIENTS_MAX 64
#define PROXY_UPSTREAMS_MAX 64

struct server;
struct server_api;

/* The pretended end of a connection. */
struct side {
    int fd; /* -1: closed from here */
    struct buf in;
    bool ended; /* wharf has ended it */
};

struct proxy_world {
    struct server *server;
    struct side clients[PROXY_CLIENTS_MAX];     /* in the order in which they connected */
    struct side upstreams[PROXY_UPSTREAMS_MAX]; /* in the order in which wharf connected */
    uint32_t client_count, upstream_count;
    void (*on_piece)(struct proxy_world *w); /* after each that was sent; NULL: nothing */
};

/* The only one; made at the first call. */
struct proxy_world *proxy_world(void);
/* A client's connection, one more. */
struct side *proxy_connect(struct proxy_world *w);
/* Until nothing moves. */
void proxy_turn(struct proxy_world *w);
/* Sends, and turns after each piece; their lengths follow from the seed, 0: one piece. */
void proxy_send(struct proxy_world *w, struct side *s, const char *data, size_t n, uint64_t seed);
void proxy_close(struct proxy_world *w, struct side *s);
/* All connections are closed; nothing of them may be left in the daemon. */
void proxy_over(struct proxy_world *w);

#endif
