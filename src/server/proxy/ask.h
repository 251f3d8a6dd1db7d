/* ask.h: what a request asks of the core and of its model's server, beside its bytes. */
#ifndef SERVER_PROXY_ASK_H
#define SERVER_PROXY_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"
#include "server/proxy/auth.h"
#include "server/proxy/waiting.h"

struct exchange_ask {
    uint64_t wait_ns_max; /* X-Wharf-Wait; 0: served at once or refused; UINT64_MAX: not given */
    struct auth auth;     /* the API key that it came with */
    struct id lease;      /* X-Wharf-Lease: as the core calls it; none: not given */
    enum class class;     /* X-Wharf-Class; CLASS__COUNT: not given */
    uint32_t path_skip;   /* characters of the path that the model's server does not see */
    const char *path;     /* static; in place of path and query (answer.h); NULL: those */
    bool keeps;           /* the core is told of keep_ns once it is served (COMMAND_KEEP) */
    uint64_t keep_ns;
    bool stream;            /* a JSON body says "stream": true */
    const char *selector;   /* the one that chose its model, of the configuration; NULL: none */
    char *query;            /* owned; goes upstream in place of the client's; NULL: that does */
    enum progress progress; /* X-Wharf-Progress */
};

#endif
