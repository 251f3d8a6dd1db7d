/* logout.h: where lines go: stdout and stderr, written without ever waiting for who reads.
 *
 * What a pipe, terminal or socket does not take at once waits in memory, up to
 * LOG_WAITING_BYTES_MAX; a piece that there is no room for is left out whole, and counted. A file
 * takes everything at once, as far as its disk has room.
 *
 * The descriptors are shared with other processes, so that O_NONBLOCK must not be set on them: it
 * belongs to the open file, and others would be surprised. A pipe or terminal is opened once more
 * instead, a socket is told with each call. */
#ifndef BASE_LOGOUT_H
#define BASE_LOGOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum logout_kind { LOGOUT_UNKNOWN, LOGOUT_FILE, LOGOUT_PIPE, LOGOUT_TERMINAL, LOGOUT_SOCKET };

struct logout {
    int fd;                /* borrowed */
    int own_fd;            /* owned: the same, opened for itself; -1: not */
    enum logout_kind kind; /* UNKNOWN: not looked at yet */
    struct buf waiting;    /* but for its first `at` bytes, which are written */
    size_t at;
    uint64_t dropped; /* pieces */
    bool inside;      /* what went out last has not ended its line */
    bool torn;        /* nor ever will */
};

/* Static: that of stdout or stderr; one and the same for both, where both are the same. */
struct logout *logout_of(int fd);

void logout_init(struct logout *o, int fd);
void logout_fini(struct logout *o);
bool logout_is_terminal(struct logout *o);
/* The piece goes out whole, now or later, or not at all: false. */
bool logout_write(struct logout *o, const char *data, size_t n);
/* Tries to write what waits. */
void logout_flush(struct logout *o);
size_t logout_waiting(const struct logout *o);
/* Waits until nothing waits, or that long. */
void logout_finish(struct logout *o, int ms_max);
void logout_forget(struct logout *o);

#endif
