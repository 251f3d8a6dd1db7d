/* client.h: one client's connection: reads request heads and bodies off it, one exchange after the
 * other, and knows how the last one left it. What a request means is the exchange's business. */
#ifndef SERVER_PROXY_CLIENT_H
#define SERVER_PROXY_CLIENT_H

#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"
#include "http/chunk.h"
#include "http/head.h"
#include "server/net/peer_user.h"
#include "server/net/stream.h"
#include "server/net/timeouts.h"

/* Bytes of further, pipelined requests that are kept; then reading stops. */
#define CLIENT_AHEAD_MAX (64 * 1024)

struct exchange;
struct server;
struct server_api;
struct tls_context;

/* Where it came in. */
struct client_door {
    const struct server_api *api; /* what is answered there */
    struct tls_context *tls;      /* NULL: it is plain */
    bool is_unix;
    bool is_local; /* a loopback address */
};

/* The same, as long as the connection lasts. */
struct client_came {
    bool is_unix, is_local, tls;
};

enum client_state {
    CLIENT_HEAD,   /* a request head is next, or has begun */
    CLIENT_BODY,   /* the exchange's body is being read */
    CLIENT_ANSWER, /* the body is there; the answer is not over */
    CLIENT_TUNNEL, /* bytes go to the exchange as they are */
    CLIENT_LINGER, /* answered too early to go on: input is thrown away until the peer closes */
    CLIENT_CLOSING,
};

struct client {
    struct stream stream; /* first */
    struct server *server;
    const struct server_api *api; /* of the listener that it came in by */
    struct client_came at;
    struct peer_user user; /* over a unix socket */
    struct link link;      /* server->clients */
    struct timeout timeout;
    struct exchange *exchange; /* NULL between requests; owned by the table */
    enum client_state state;
    bool feeding, close_after;
    struct buf ahead; /* an incomplete head, or pipelined bytes */
    size_t scan;
    uint32_t progress; /* of the stream, when TIMEOUT_WRITE was armed */
    enum http_framing framing;
    uint64_t body_left;
    struct chunk_decoder chunks;
    char peer[46]; /* address as text; "" for unix sockets */
};

/* Accepts from the listener; failures are logged and forgotten. */
void client_accept(struct server *s, uv_stream_t *listener, const struct client_door *door);
/* The answer is over. keep: another request may follow on this connection. */
void client_answered(struct client *c, bool keep);
/* Writes, or drops the connection when that fails. False: the client is gone, and so is the
 * exchange. */
bool client_write(struct client *c, const uv_buf_t *bufs, unsigned count);
/* The answer cannot be finished: the connection ends so that this is seen. */
void client_truncate(struct client *c, bool reset);
/* From now on bytes are passed on as they are. */
void client_tunnel(struct client *c);
/* The body is not read further for now, or again. */
void client_pause(struct client *c);
void client_resume(struct client *c);
void client_on_timeout(struct client *c, enum timeout_kind kind);
/* Closes it now; its exchange is told. */
void client_drop(struct client *c);

#endif
