/* given.h: what the program before this one knew of a connection that it has handed over
 * (server/handover/), for the request that was under way there. */
#ifndef SERVER_PROXY_GIVEN_H
#define SERVER_PROXY_GIVEN_H

#include <stdbool.h>
#include <stdint.h>

#include "server/leases/leases.h"
#include "server/net/peer_user.h"

struct given {
    uint64_t since_ns; /* it has waited since then (uv_hrtime); 0: it had not come to that */
    /* Its client has had the head of a stream, and some of that: of its wait, as an event stream or
     * as the lines of a lease. */
    bool begun, chunked;
    bool late;    /* it can be understood only where devices and leases are known */
    bool upgrade; /* it has asked for this program to take that one's place */
    char lease_id[LEASE_ID_MAX], lease_token[LEASE_TOKEN_MAX]; /* that it waits for; "": none */
};

/* Where a connection had come in. */
struct given_client {
    bool is_unix, is_local, tls, ollama;
    struct peer_user user;
    char peer[46];
    struct given request;
};

#endif
