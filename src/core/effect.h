/* effect.h: orders and notes that a step gives out, to be carried out in order.
 *
 * Whoever carries them out never calls the core from there: each result, even an immediate failure,
 * comes back later as an event. LOAD and UNLOAD each have exactly one completion event with the
 * same op. */
#ifndef CORE_EFFECT_H
#define CORE_EFFECT_H

#include "core/words.h"

enum effect_type {
    EFFECT_WAIT,   /* the request was neither granted nor refused at once */
    EFFECT_GRANT,  /* forward the request to its model now */
    EFFECT_REFUSE, /* final; no REQUEST_ENDED follows */
    EFFECT_LEASE_WAIT,
    EFFECT_LEASE_GRANT,
    EFFECT_LOAD,       /* start the model's server; bytes are charged from here */
    EFFECT_ABORT,      /* give the load up; LOAD_FAILED{aborted} or a crossing LOADED follows */
    EFFECT_UNLOAD,     /* stop it gracefully */
    EFFECT_KILL,       /* the grace is over: end the whole tree */
    EFFECT_SAMPLE_NOW, /* read the device as soon as possible */
    EFFECT_COMMAND_DONE,
    EFFECT_MODEL_RETIRED, /* a removed model has gone; its slot may be reused */
    EFFECT_NOTICE,        /* a public event */
    EFFECT_DECISION,      /* a recorded why: victim leaves for target */
    EFFECT__COUNT
};

enum notice {
    NOTICE_MODEL_LOADING,
    NOTICE_MODEL_LOADED,
    NOTICE_MODEL_UNLOADING,
    NOTICE_MODEL_UNLOADED,
    NOTICE_LOAD_FAILED,
    NOTICE_EVICTED, /* model leaves for other */
    NOTICE_IDLE_UNLOAD,
    NOTICE_STUCK,
    NOTICE_ERROR_OVER,
    NOTICE_SETTLED, /* the bytes it had are free again */
    NOTICE_DRAINED, /* after DRAIN: nothing runs, nothing is loaded */
    NOTICE__COUNT
};

struct effect {
    enum effect_type type;
    enum notice notice; /* NOTICE */
    enum reason reason;
    struct id waiter;       /* WAIT GRANT REFUSE LEASE_* */
    uint64_t tag;           /* the caller's, of a request, lease or command */
    uint64_t op;            /* LOAD ABORT UNLOAD KILL */
    uint32_t model;         /* CORE_SLOT_NONE where none is meant */
    uint32_t other;         /* DECISION, EVICTED: the model it leaves for */
    uint32_t device;        /* LOAD: where it shall sit, SAMPLE_NOW; CORE_SLOT_NONE: none */
    uint32_t position;      /* WAIT: 1 is next */
    uint32_t retry_after_s; /* REFUSE, WAIT: the estimate */
    uint64_t bytes;         /* LOAD, EVICTED, DECISION: footprint */
    uint64_t duration_ns;   /* GRANT: waited; LOADED: took */
};

/* Borrowed from the core until its next step. */
struct effects {
    const struct effect *items;
    uint32_t count;
    bool more; /* work is left over: step again with TICK at once */
};

const char *effect_type_text(enum effect_type t);
const char *notice_text(enum notice n);

#endif
