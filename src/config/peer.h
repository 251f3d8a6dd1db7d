/* peer.h: another server whose models are offered too. Texts and arrays are owned by the struct
 * config; times are nanoseconds, 0: no limit. */
#ifndef CONFIG_PEER_H
#define CONFIG_PEER_H

#include "config/filters.h"

struct config_peer {
    char *id;
    char *proxy;   /* http://host:port/base or https://; a query may follow, no user name */
    char *api_key; /* "" when it wants none; never in a log */
    struct config_strings models; /* as it calls them; each once, at least one */
    struct config_strings names;  /* ID/MODEL, in the order of models */
    struct config_filters filters;
    uint64_t connect_timeout_ns;
    uint64_t header_timeout_ns;
    uint64_t tls_timeout_ns;
    uint64_t idle_timeout_ns;
    uint64_t keepalive_ns; /* between two probes; 0: none are sent */
    uint64_t expect_timeout_ns;
};

#endif
