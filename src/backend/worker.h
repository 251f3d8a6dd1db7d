/* worker.h: how a model that a worker holds comes, moves and goes; decides, and does nothing
 * itself.
 *
 * A worker is a program of somebody's own that registers for a model and does what it is asked to.
 * Events go in, actions come out, in order; the server performs them. Whatever the worker does, an
 * op (LOAD, MOVE, UNLOAD) is answered by exactly one DONE, ABSENT, FAILED, AT_SOURCE, AT_TARGET or
 * GONE; where none is open, GONE says that the model has left with its worker. A worker is asked
 * for one thing at a time: what is asked later takes the place of what is not answered yet. */
#ifndef BACKEND_WORKER_H
#define BACKEND_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/check.h"
#include "base/pure/units.h"

#define WORKER_NOWHERE UINT32_MAX

/* Where a worker holds its model. */
struct worker_place {
    uint32_t variant; /* one of the model's ways to sit; WORKER_NOWHERE: it is not loaded */
    uint32_t devices; /* a mask; 0: the host */
};

enum worker_event {
    WORKER_JOINED, /* a worker has registered, and says where it holds the model */
    WORKER_LEFT,
    WORKER_LOAD, /* to a place; to NOWHERE: to any */
    WORKER_MOVE, /* to a place */
    WORKER_UNLOAD,
    WORKER_ABORT,    /* of the LOAD */
    WORKER_KILL,     /* the time of the MOVE or UNLOAD is over */
    WORKER_ANSWERED, /* what it was asked for last: well or not, and where it holds the model now */
    WORKER_SEEN_GONE, /* what it had on the devices that it left is free */
    WORKER_SEEN_KEPT, /* it still uses them */
    WORKER_TIMER,
};

struct worker_input {
    enum worker_event type;
    struct worker_place at; /* JOINED LOAD MOVE ANSWERED */
    bool ok;                /* ANSWERED */
};

enum worker_action {
    WORKER_DO_ASK_LOAD, /* to `to` */
    WORKER_DO_ASK_MOVE, /* likewise */
    WORKER_DO_ASK_UNLOAD,
    WORKER_DO_ASK_WHERE,
    WORKER_DO_WATCH, /* answered by SEEN_GONE or SEEN_KEPT, if that can be told */
    WORKER_DO_TIMER, /* TIMER after delay_ns; replaces an earlier one */
    WORKER_DO_DROP,  /* end its connection; no LEFT follows */
    WORKER_DO_ADOPT, /* the model is there already, at `at` */
    WORKER_DO_DONE,
    WORKER_DO_ABSENT, /* the LOAD: nobody has registered */
    WORKER_DO_FAILED, /* the LOAD: nothing of it is left */
    WORKER_DO_AT_SOURCE,
    WORKER_DO_AT_TARGET, /* it has come there, but its check failed */
    WORKER_DO_GONE,
    WORKER_DO_BROKEN, /* it is not to be asked for anything but an UNLOAD */
};

enum worker_op { WORKER_NO_OP, WORKER_LOADS, WORKER_MOVES, WORKER_UNLOADS };

#define WORKER_ACTIONS_MAX 4
/* Whoever is asked where he is answers in this time, or is dropped. */
#define WORKER_WHERE_NS (2 * NS_PER_S)
/* A load that was called off is undone in this time. */
#define WORKER_UNDO_NS (10 * NS_PER_S)
/* A device that cannot be read proves nothing; after this the worker is believed. */
#define WORKER_WATCH_NS (5 * NS_PER_S)

struct worker_machine {
    bool here;     /* somebody has registered */
    bool resident; /* the core counts it as loaded, or will once the LOAD is over */
    struct worker_place at;
    enum worker_op op;
    struct worker_place to; /* of the op */
    bool asked;             /* something that is not answered yet */
    bool undoing;           /* LOAD: what there is of it is to go */
    bool hurried;           /* it is dropped unless it answers in time */
    bool watching;
};

struct worker_actions {
    uint32_t count;
    enum worker_action items[WORKER_ACTIONS_MAX];
    uint64_t delay_ns; /* of DO_TIMER */
};

void worker_init(struct worker_machine *w);
bool worker_same_place(struct worker_place a, struct worker_place b);
struct worker_actions worker_step(struct worker_machine *w, struct worker_input in);

#endif
