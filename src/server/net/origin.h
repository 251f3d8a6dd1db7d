/* origin.h: where a server is that requests are passed on to, and the idle connections to it.
 *
 * Counted: its owner (an instance, or a configuration for a peer) holds one reference, and each
 * connection one, so that a connection may outlive what it was made for. The owner closes it when
 * no request may go there any more, and has to before it lets go. */
#ifndef SERVER_ORIGIN_H
#define SERVER_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "base/pure/list.h"
#include "server/net/resolver.h"

/* More addresses of one name are not tried. */
#define ORIGIN_ADDRS_MAX 8

struct server;

struct origin {
    struct server *server;
    uint32_t users;
    bool open; /* it takes requests, and connections are kept for more of them; the owner's word */
    bool is_unix;
    bool tls;
    bool named; /* host is a name that has to be looked up */
    bool owned; /* whoever listens must be owner_uid: a stranger has named the address */
    uint32_t owner_uid;
    uint16_t port;
    uint32_t addr_count;
    uint32_t addr_first; /* the one that was reached last */
    struct sockaddr_storage addrs[ORIGIN_ADDRS_MAX];
    char name[256];      /* name or address, an IPv6 one without brackets */
    char host[280];      /* for Host fields: with the port where it is not the usual one */
    char base_path[512]; /* without a trailing slash */
    char base_query[512];
    uint64_t connect_timeout_ns, tls_timeout_ns, header_timeout_ns,
        idle_timeout_ns;   /* 0: none, or the usual */
    uint64_t keepalive_ns; /* between two probes of a quiet connection; 0: none */
    struct list idle;      /* struct upstream, most recently used first */
    struct list waiting;   /* struct origin_wait: until its name has been looked up */
    struct lookup lookup;
    bool looking;
    uint64_t found_ns; /* when its addresses were looked up; 0: they are to be looked up again */
};

/* Somebody who needs the addresses. */
struct origin_wait {
    struct link link;
    void (*on_located)(struct origin_wait *w, int error);
};

/* Nowhere yet, and not open. */
struct origin *origin_new(struct server *s);
struct origin *origin_get(struct origin *o);
void origin_put(struct origin *o);
/* From a URL, or unix:/PATH. -1, with a sentence in err, when that is none that can be connected
 * to. */
int origin_locate(struct origin *o, const char *url, struct err *err) warn_unused;
/* Whether addrs can be used as they are. */
bool origin_located(const struct origin *o);
/* Has the name looked up: w->on_located is called once, from the loop, with 0 when there are
 * addresses now; not after w was taken out of o->waiting. */
void origin_await(struct origin *o, struct origin_wait *w);

#endif
