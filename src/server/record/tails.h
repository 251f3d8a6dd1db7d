/* tails.h: follows the files that models print into, and hands what is new to logs_printed.
 *
 * Models write to files, so that neither they nor the daemon wait for each other. A file is read
 * only while somebody wants what models print (counted): who comes first gets what has gathered
 * since the last look, LOGS_BYTES_MAX of each file at most.
 *
 * A file that has become larger than maxLogFile is begun anew: what stands in it is copied to
 * FILE.1 (on the thread pool), in place of what was there, and it is cut to nothing, since its
 * writer goes on writing into this one, at its end (O_APPEND). What comes between copy and cut is
 * copied too, as far as it is little. */
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
    uv_timer_t sizes;      /* the next look at how large they are, while any is written to */
    uv_fs_t copy;
    char *turning;    /* owned: path of the file that is being copied; NULL: none */
    uint64_t inode;   /* of that */
    uint64_t largest; /* bytes of the largest that is written to, as last seen */
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
