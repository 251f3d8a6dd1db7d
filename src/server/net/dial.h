/* dial.h: connects a stream to an origin: looks its name up where that is needed, and tries its
 * addresses one after the other. */
#ifndef SERVER_DIAL_H
#define SERVER_DIAL_H

#include "server/net/origin.h"
#include "server/net/stream.h"

/* Embedded in the stream's owner, who holds a reference to the origin. */
struct dial {
    struct origin *origin;
    struct stream *stream;
    struct origin_wait wait;
    uv_connect_t connect;
    uint32_t first, attempt; /* where it began among the addresses, and how many it has left */
    int error;               /* of the first attempt that failed */
    char *why;               /* owned; of the same, where TLS knew more; or NULL */
};

/* The stream has been made by stream_init for the origin's kind of socket. 0: on_connected follows.
 * A negative errno: it cannot even be tried. */
int dial_start(struct dial *d, struct stream *s, struct origin *o) warn_unused;
/* For on_connected with its error, or after a timeout: true when another address is tried, and
 * on_connected will be called again; else *error is what is to be told, and the owner closes. */
bool dial_next(struct dial *d, int *error);
/* What that error was, as a clause, valid until dial_stop. */
const char *dial_why(const struct dial *d, int error);
/* For on_connected without an error: UV_EACCES when the origin is owned, and another user listens
 * there; else 0. What a path leads to may change after it was named, so this is the time to look.
 */
int dial_check(const struct dial *d) warn_unused;
/* For on_reopened. */
void dial_reopened(struct dial *d);
/* For on_connected without an error. */
void dial_done(struct dial *d);
/* Before the stream is closed. */
void dial_stop(struct dial *d);

#endif
