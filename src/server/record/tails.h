/* tails.h: follows the files that models print into, and hands what is new to logs_printed.
 *
 * Models write to files, so that neither they nor the daemon wait for each other. A file is read
 * only while somebody wants what models print (counted): who comes first gets what has gathered
 * since the last look, LOGS_BYTES_MAX of each file at most. */
#ifndef SERVER_TAILS_H
#define SERVER_TAILS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "base/pure/list.h"

struct server;

struct tails {
    struct list items;     /* struct tail: files that are written to, or not read to their end */
    uint32_t wanted;       /* by so many */
    uv_fs_event_t changed; /* something in the folder of logs, while wanted */
    uv_timer_t timer;      /* the next look at the files */
    bool polls;            /* the system does not tell of changes: looked at all the time */
    bool running;          /* between start and close */
};

void tails_init(struct server *s);
/* The folder of logs is there. */
int tails_start(struct server *s, struct err *err) warn_unused;
/* A model's server begins to print into that file, from this offset on. */
void tails_begin(struct server *s, const char *path, int64_t from);
/* It prints nothing more. */
void tails_end(struct server *s, const char *path);
void tails_want(struct server *s);
void tails_unwant(struct server *s);
void tails_close(struct server *s);
void tails_fini(struct server *s);

#endif
