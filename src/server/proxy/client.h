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
struct given;
struct given_client;
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
    bool feeding;
    bool turned_away; /* is only here to read that there is no place */
    struct buf ahead; /* an incomplete head, or pipelined bytes */
    size_t scan;
    uint64_t taken;                    /* of the stream, when TIMEOUT_WRITE was armed */
    uint64_t body_from_ms, body_bytes; /* since when so much of the body has come without a pause */
    enum http_framing framing;
    uint64_t body_left;
    struct chunk_decoder chunks;
    char peer[46];       /* address as text; "" for unix sockets */
    struct given *given; /* owned, until its first exchange takes it; NULL: nothing is known */
};

/* Takes over a connected socket that does not block; who finds no place is told, and its connection
 * ends. */
void client_accept(struct server *s, int fd, const struct client_door *door);
/* Answers, as far as the socket takes it at once, that there is no capacity, and closes it. */
void client_turn_away(int fd, const struct client_door *door);
/* Takes a connection from another program of wharf's, and a file with what its client has sent
 * already (-1: nothing). */
void client_take(struct server *s, int fd, int preface, const struct given_client *given);
/* The other way: a duplicate of its socket, if that is plain and nothing waits to be written; else
 * -1. */
int client_duplicate(const struct client *c);
/* Forgets its exchange and closes this side, while the duplicate lives on. */
void client_let_go(struct client *c);
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
