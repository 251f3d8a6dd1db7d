/* process.h: one model's server process, from its LOAD to its end.
 *
 * It performs what backend/process decides: finds a port, spawns, probes until ready, stops, kills.
 * Its origin, with the idle connections, is its own, because ports are reused. Each LOAD and UNLOAD
 * is completed exactly once, through the runner. */
#ifndef SERVER_RESIDENTS_PROCESS_H
#define SERVER_RESIDENTS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "backend/process.h"
#include "config/config.h"
#include "server/process/children.h"

struct config_ref;
struct origin;
struct prober;
struct server;

struct instance {
    struct server *server;
    uint32_t slot;
    uint32_t devices;                 /* where it sits: a mask */
    struct config_ref *config;        /* counted */
    const struct config_model *model; /* of that configuration */
    struct process process;
    uint64_t load_op, unload_op;
    struct child *child;   /* NULL before the spawn and after it has gone */
    struct child *stop;    /* cmdStop, while it runs; ended with the instance */
    struct prober *prober; /* NULL: no probe under way */
    uv_timer_t *timer;     /* owned; freed when closed */
    uint16_t port;
    struct origin *origin; /* counted; where its server listens; open while it is ready */
    char *log_path;        /* owned */
    int64_t log_start;     /* bytes that stood in the log before this start */
    bool aborted, exited;
    int wait_status; /* of the main process, once exited */
    char *failure;   /* owned; why it could not be started, or NULL */
};

/* Effects. */
void instance_load(struct server *s, uint32_t slot, uint64_t op, uint32_t devices);
void instance_abort(struct server *s, uint32_t slot, uint64_t op);
void instance_unload(struct server *s, uint32_t slot, uint64_t op);
void instance_kill(struct server *s, uint32_t slot, uint64_t op);

/* The instance that can take a request now, or NULL. */
struct instance *instance_ready(struct server *s, uint32_t slot);
/* The main process, 0 when there is none. */
int instance_pid(const struct instance *in);

/* process_spawn.c: from a definition to a child. A start that cannot be tried is reported through
 * instance_cannot_start (which takes why), never at once. */
void instance_spawn(struct instance *in);
void instance_cannot_start(struct instance *in, char *why);
/* Runs cmdStop. */
void instance_run_stop(struct instance *in);
/* Frees it once its processes, cmdStop's too, have gone. */
void instance_release(struct instance *in);
extern const struct child_ops instance_child_ops;

#endif
