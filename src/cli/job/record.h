/* record.h: what is kept of detached jobs, in $XDG_STATE_HOME/wharf/jobs (or ~/.local/state).
 *
 *     jobs/7/record.json   what it is and how it stands; replaced as a whole
 *     jobs/7/log           what it has written, and what wharf has to say of it
 *     jobs/7/lock          locked (flock) while one of the job's own two processes lives
 *
 * A job belongs to its user and to no daemon: it and its record outlive the daemon's restarts, and
 * the daemon may be on another machine. */
#ifndef CLI_JOB_RECORD_H
#define CLI_JOB_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "cli/job/front.h"
#include "cli/job/hold.h"

struct json_t; /* <jansson.h> */

/* Records of ended jobs beyond that many make way for new ones, the oldest first. */
#define RECORD_ENDED_MAX 100

/* One's own job, while it is being run. */
struct record {
    uint32_t id;
    char *folder;        /* owned */
    int lock_fd;         /* owned; inherited by the job's processes, but not by its command */
    struct json_t *json; /* owned */
};

/* Makes a record with the next free number, locked. -1 with e set. */
int record_make(const struct hold *h, struct record *ret, struct err *e) warn_unused;
/* What has come of it, kept: the lease and its state, or the job's end. */
void record_lease(struct record *r, const struct hold *h);
/* exit_status: of wharf itself, for a job that was not run. */
void record_end(struct record *r, const struct front_end *end, int exit_status);
void record_fini(struct record *r);

/* Everybody's: an array by id, of objects as in record.json with the state "lost" where nobody
 * tends a job that had not ended. Owned by the caller (json_decref). -1 with e set. */
int record_list(struct json_t **ret, struct err *e) warn_unused;
/* One of them, owned by the caller; NULL: there is no such job. */
struct json_t *record_find(const char *id);
/* The path of one of the job's files, owned by the caller; NULL: there is no such job. */
char *record_path(const char *id, const char *file);
/* Whether a process of the job lives. */
bool record_is_live(const char *id);
/* Waits until none does. -1 when a signal came first. */
int record_wait(const char *id) warn_unused;

#endif
