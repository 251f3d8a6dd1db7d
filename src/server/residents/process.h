/* process.h: the resident that is a process of wharf's own.
 *
 * It performs what backend/process decides: finds a port, spawns, probes until ready, stops, kills.
 * Its origin, with the idle connections, is its own, because ports are reused. */
#ifndef SERVER_RESIDENTS_PROCESS_H
#define SERVER_RESIDENTS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "backend/process.h"
#include "server/process/children.h"
#include "server/residents/resident.h"

struct call;
struct origin;
struct server;
struct sleeper;

struct instance {
    struct resident resident;
    struct process process;
    struct child *child;     /* NULL before the spawn and after it has gone */
    struct child *stop;      /* cmdStop, while it runs; ended with the instance */
    struct call *probe;      /* of the check endpoint; NULL: none is under way */
    struct sleeper *sleeper; /* from a SUSPEND until it serves again; else NULL */
    uv_timer_t *timer;       /* owned; freed when closed */
    uint16_t port;
    struct origin *origin; /* counted; where its server listens; open while it is ready */
    char *log_path;        /* owned */
    int64_t log_start;     /* bytes that stood in the log before this start */
    uint32_t variant;      /* which of the model's placements; UINT32_MAX: it takes no device */
    struct instance *next; /* started elsewhere to take its place; not in the roster before that */
    struct instance *prev; /* whose place it is to take, or has taken, while that is there */
    bool asleep;           /* its engine has given its memory back, and is not being woken */
    bool replaced;         /* its place was taken; it only has to go */
    bool aborted, exited;
    bool log_lost;   /* it is told that its log is not kept */
    bool unheard;    /* of an earlier daemon, and the core has not been told of it yet */
    bool ill;        /* likewise, and its server does not answer as it should */
    uint32_t record; /* RECORDS_NONE: a next daemon would not find it */
    int wait_status; /* of the main process, once exited */
    char *failure;   /* owned; why it could not be started, or NULL */
};

/* The main process, 0 when there is none. */
int instance_pid(const struct instance *in);
/* Whether it was given that port. False for residents of other kinds. */
bool instance_has_port(const struct resident *r, uint16_t port);

/* Fills all but its resident. */
void instance_begin(struct instance *in);
/* By where it sits. */
void instance_find_variant(struct instance *in);
/* Its address, from its port. False: it has none, and why is *ret_why (owned). */
bool instance_locate(struct instance *in, char **ret_why);
/* The name of its cgroup, and in messages; the caller frees it. */
char *instance_name(const struct instance *in);
/* Tells its machine what has happened. */
void instance_feed(struct instance *in, enum process_event ev);

/* process_kept.c: what outlives the daemon, and is taken over by the next. */
/* Writes down how it is now. */
void instance_keep(struct instance *in);
/* The process is about to be made. */
void instance_keep_intent(struct instance *in);
/* Its server has said how it is, or never will. */
void instance_heard(struct instance *in);
/* A next daemon is to find nothing of it. */
void instance_keep_not(struct instance *in);

/* process_move.c: a move is a successor that is started on the target, and takes the place once it
 * is ready. A successor that fails leaves the one that is there serving. */
void instance_move(struct resident *r);
void instance_move_ready(struct instance *next);
void instance_move_failed(struct instance *next);
/* The one that was replaced has gone, or cannot be ended. */
void instance_move_left(struct instance *prev);
/* The time for it is over. False: it is in no move. */
bool instance_move_kill(struct instance *in);
/* It is about to be freed. */
void instance_move_forget(struct instance *in);

/* process_spawn.c: from a definition to a child. A start that cannot be tried is reported through
 * instance_cannot_start (which takes why), never at once. */
void instance_spawn(struct instance *in);
void instance_cannot_start(struct instance *in, char *why);
/* Runs cmdStop. */
void instance_run_stop(struct instance *in);
/* Frees it once its processes, cmdStop's too, have gone. */
void instance_release(struct instance *in);
extern const struct child_ops instance_child_ops;

/* sleep.c: its engine gives its memory back, and takes it again. */
/* It was sent to sleep by an earlier daemon. False: by this configuration it could not be woken. */
bool instance_adopt_asleep(struct instance *in);
void instance_suspend(struct resident *r);
void instance_resume(struct resident *r);
/* Whatever was under way does not matter any more. */
void instance_stop_sleeper(struct instance *in);
/* The same, since the process is about to be killed. */
void instance_kill_sleeper(struct instance *in);

#endif
