/* held.h: an answer that lasts for as long as somebody holds its connection: lines go out to him, a
 * ping when none has for a while, and when he leaves that is told. So whoever dies, or loses the
 * network, is known to be gone. */
#ifndef SERVER_HELD_H
#define SERVER_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/units.h"

#define HELD_PING_NS (15 * NS_PER_S)
/* What was sent and is not acknowledged for so long ends the connection. */
#define HELD_PEER_NS (30 * NS_PER_S)

struct exchange;
struct held;

struct held_spec {
    const char *ping; /* a line without its end; copied */
    uint64_t ping_ns; /* without a line for so long; 0: HELD_PING_NS */
    /* The connection has ended, by the client, a failure, or the daemon's own end; once, and h is
     * gone then. Not after held_end, and never from inside held_begin. */
    void (*on_left)(void *arg);
    void *arg;
};

/* Begins the answer: application/x-ndjson, status 200. NULL: the client has left already, and the
 * exchange is gone. */
struct held *held_begin(struct exchange *ex, const struct held_spec *spec);
/* One line of JSON, without its end. False: he has left, on_left was called, and h is gone. */
bool held_line(struct held *h, const char *json);
/* Ends the answer as it should be; h is gone. */
void held_end(struct held *h);

#endif
