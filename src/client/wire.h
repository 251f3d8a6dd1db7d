/* wire.h: one blocking connection to a daemon, every wait bounded and stoppable.
 *
 * The socket itself does not block; each call waits with poll for the socket, the time limit, or
 * the caller's stop descriptor, whichever is first. SIGPIPE is never raised. */
#ifndef CLIENT_WIRE_H
#define CLIENT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "client/address.h"

struct wire {
    int fd;      /* owned; -1 while not connected */
    int stop_fd; /* borrowed; -1: none. Readable: every call ends with -CLIENT_STOPPED */
    const struct client_address *address; /* borrowed */
};

/* All return 0 or more, or the negative of an enum client_error with e set.
 * *_ms_max: milliseconds; 0: no limit. */
int wire_connect(struct wire *w, uint32_t connect_ms_max, struct err *e) warn_unused;
/* Sends everything, or stops early without an error when the other side has answered or closed
 * instead of reading on: the answer says more than a failed write. */
int wire_send(struct wire *w, const char *data, size_t n, uint32_t silence_ms_max,
              struct err *e) warn_unused;
/* Up to size bytes, at least one; 0: the other side has ended the connection. With CLIENT_NO_WAIT
 * -CLIENT_AGAIN when nothing is there. */
int wire_receive(struct wire *w, char *out, size_t size, uint32_t silence_ms_max,
                 struct err *e) warn_unused;
void wire_close(struct wire *w);

#endif
