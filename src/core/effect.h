/* effect.h: orders and notes that a step gives out, to be carried out in order.
 *
 * Whoever carries them out never calls the core from there: each result, even an immediate failure,
 * comes back later as an event. LOAD, UNLOAD, MOVE, SUSPEND and RESUME each have exactly one
 * completion event with the same op, unless their backend goes down first. */
#ifndef CORE_EFFECT_H
#define CORE_EFFECT_H

#include "core/words.h"

enum effect_type {
    EFFECT_WAIT,   /* the request was neither granted nor refused at once */
    EFFECT_GRANT,  /* forward the request to its model now */
    EFFECT_REFUSE, /* final; no REQUEST_ENDED or LEASE_ENDED follows */
    EFFECT_LEASE_WAIT,
    EFFECT_LEASE_GRANT,
    EFFECT_LEASE_REVOKE, /* it has to end soon: tell its holder */
    EFFECT_LEASE_END,    /* it has ended: its time was over; LEASE_ENDED may cross it */
    EFFECT_LOAD,         /* start the model's server; bytes are charged from here */
    EFFECT_ABORT,        /* give the load up; LOAD_FAILED{aborted} or a crossing LOADED follows */
    EFFECT_UNLOAD,       /* stop it gracefully */
    EFFECT_MOVE,         /* to placement, on devices */
    EFFECT_SUSPEND,
    EFFECT_RESUME,
    EFFECT_KILL,          /* the op's time is over: end the whole tree */
    EFFECT_SAMPLE_NOW,    /* read the device as soon as possible */
    EFFECT_BACKEND_PROBE, /* see whether it is up again */
    EFFECT_COMMAND_DONE,
    EFFECT_MODEL_RETIRED, /* a removed model has gone; its slot may be reused */
    EFFECT_LEARNED,  /* worth keeping over restarts: bytes, residue_bytes, duration_ns of a load */
    EFFECT_NOTICE,   /* a public event */
    EFFECT_DECISION, /* a recorded why: victim leaves for target, or where target goes */
    EFFECT_TRACE,    /* a step at a gate */
    EFFECT__COUNT
};

enum notice {
    NOTICE_MODEL_LOADING,
    NOTICE_MODEL_LOADED,
    NOTICE_MODEL_UNLOADING,
    NOTICE_MODEL_UNLOADED,
    NOTICE_LOAD_FAILED,
    NOTICE_OOM, /* it ran out of device memory; bytes: what it is taken to need now */
    NOTICE_MOVING,
    NOTICE_DEVICE_CHANGED, /* moved: now at placement, on devices */
    NOTICE_SUSPENDING,
    NOTICE_SUSPENDED,
    NOTICE_RESUMING,
    NOTICE_RESUMED,
    NOTICE_OP_FAILED, /* a move, suspend or resume; the model is where it was */
    NOTICE_EVICTED,   /* model leaves for other, or for a lease */
    NOTICE_IDLE_UNLOAD,
    NOTICE_STUCK,
    NOTICE_ERROR_OVER,
    NOTICE_SETTLED,  /* the bytes it had are free again */
    NOTICE_BLOCKED,  /* those who wait for it cannot be served, whoever leaves: its clock stands */
    NOTICE_STARVING, /* a background waiter at a gate has waited for five minutes */
    NOTICE_BACKEND_DOWN,
    NOTICE_BACKEND_UP,
    NOTICE_LEASE_GRANTED,
    NOTICE_LEASE_REVOKED,
    NOTICE_LEASE_ENDED,
    NOTICE_ELSEWHERE,    /* loaded, and not seen on its device: perhaps it runs on the CPU */
    NOTICE_MODE_REACHED, /* all wishes that can be granted are */
    NOTICE_DRAINED,      /* after DRAIN: nothing runs, nothing is loaded */
    NOTICE__COUNT
};

enum trace { TRACE_NONE, TRACE_ENQUEUED, TRACE_ACQUIRED, TRACE_RELEASED, TRACE_CANCELLED };

struct effect {
    enum effect_type type;
    enum notice notice; /* NOTICE */
    enum trace trace;   /* TRACE */
    enum reason reason;
    enum class class;       /* TRACE */
    struct id waiter;       /* WAIT GRANT REFUSE LEASE_*, and what is said of a lease */
    uint64_t tag;           /* the caller's, of a request, lease or command */
    uint64_t op;            /* of the ops, ABORT, KILL */
    uint32_t model;         /* CORE_SLOT_NONE where none is meant */
    uint32_t other;         /* DECISION, EVICTED: the model it leaves for; BLOCKED: who is in the
                               way; CORE_SLOT_NONE: a lease, or somebody else */
    uint32_t gate;          /* TRACE, LEASE_*: the first; CORE_SLOT_NONE: none */
    uint32_t backend;       /* BACKEND_* */
    uint32_t device;        /* SAMPLE_NOW; else the first of devices; CORE_SLOT_NONE: none */
    uint32_t devices;       /* LOAD MOVE RESUME LEASE_GRANT: where it shall sit; a mask */
    uint32_t placement;     /* LOAD MOVE RESUME LEARNED; CORE_SLOT_NONE: none */
    uint32_t position;      /* WAIT: 1 is next */
    uint32_t retry_after_s; /* REFUSE, WAIT: the estimate */
    uint64_t bytes;         /* footprint, on each of devices */
    uint64_t residue_bytes; /* LEARNED: of it when suspended; 0: not known */
    uint64_t hash_process;  /* LEARNED: of what; the configuration may name another by now */
    uint64_t duration_ns;   /* GRANT, TRACE: waited; LOADED: took; DECISION: since its last use */
};

/* Borrowed from the core until its next step. */
struct effects {
    const struct effect *items;
    uint32_t count;
    bool more; /* work is left over: step again with TICK at once */
};

const char *effect_type_text(enum effect_type t);
const char *notice_text(enum notice n);
const char *trace_text(enum trace t);

#endif
