/* logs.h: what there is to read of the logs, in memory, as /logs and its streams serve it.
 *
 * Three rings: the daemon's own lines, what the models print, and what logToStdout makes of the
 * two. What models print is in their files first of all; it gets here only while somebody wants it
 * (tails.h), or is caught up with when somebody comes to want it. */
#ifndef SERVER_LOGS_H
#define SERVER_LOGS_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "config/words.h"
#include "server/tell/feed.h"

/* Of each ring; as much as llama-swap keeps. */
#define LOGS_BYTES_MAX (100 * 1024)

struct config;
struct server;

struct logs {
    struct feed own;               /* whole lines of the daemon */
    struct feed models;            /* pieces of what all models print, as they print it */
    struct feed shown;             /* of both, what logToStdout says */
    enum config_log_access access; /* of which requests there is a line */
    uv_timer_t retry;              /* while something waits for stdout or stderr to be read */
    bool shows_own, shows_models, closed;
    bool prints_models; /* to stdout, since logToStdout is given */
};

void logs_init(struct server *s);
/* Takes over level, form and destinations. */
void logs_apply(struct server *s, const struct config *c);
/* A model has printed that. */
void logs_printed(struct server *s, const char *data, size_t n);
void logs_close(struct server *s);
void logs_fini(struct server *s);

#endif
