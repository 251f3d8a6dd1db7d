/* policy.h: what the core is told about models, gates and devices. Values are checked by the
 * configuration loader; counts beyond the memory given to core_init are an error there. */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include "core/words.h"

enum sched_kind { SCHEDULER_FIFO, SCHEDULER_SERIAL, SCHEDULER_FAIR };
enum plan_kind { PLAN_GROUP, PLAN_FIT, PLAN_MATRIX };

/* Whom `fit` sends away first. */
enum victim_kind {
    VICTIMS_COST,     /* least reload time × likelihood of reuse, as learned */
    VICTIMS_LRU,      /* least recently used: to compare with */
    VICTIMS_FORESEEN, /* by the next use that EVENT_FORESEEN told: to compare with */
};

/* One way in which a model may sit; a model's placements are in order of preference. */
struct core_placement {
    uint32_t device_mask;    /* bit i: may be on device i; 0: takes no device memory */
    uint32_t device_count;   /* devices at once; 0 counts as 1 */
    uint64_t bytes;          /* declared, on each of them; 0: not declared */
    uint64_t free_bytes_min; /* moved here only where this much is free */
};

struct core_model_policy {
    bool present;              /* false: a slot without a model, or one that was removed */
    bool movable;              /* can be moved between its placements while loaded */
    bool yields;               /* moves off a device before anything is loaded there */
    bool suspends;             /* can be suspended instead of unloaded */
    bool pinned;               /* never made to leave */
    uint64_t hash_process;     /* a change means a new process */
    uint32_t slots_max;        /* requests served at once, >= 1 */
    uint32_t queue_max;        /* requests waiting */
    int32_t priority;          /* higher goes first, among waiting models */
    uint32_t group;            /* PLAN_GROUP */
    uint32_t evict_cost;       /* PLAN_MATRIX; 0 counts as 1 */
    uint32_t backend;          /* 1…: a backend that may be down as a whole; 0: none */
    uint32_t load_retries_max; /* failed loads in a row that waiters live through */
    struct core_placement placements[CORE_PLACEMENTS_MAX];
    uint32_t placement_count; /* 0: takes no device memory */
    uint64_t suspended_bytes; /* stay on each device while it is suspended */
    uint64_t ttl_ns;          /* idle time until it is unloaded; 0: never */
    uint64_t load_ns_max;     /* then the load, move or resume is escalated */
    uint64_t unload_ns_max;   /* then its processes are killed */
};

struct core_group_policy {
    bool swap, exclusive, persistent; /* as in llama-swap */
};

struct core_device_policy {
    uint64_t reserve_bytes;
    uint32_t limit_permille;
    uint64_t stale_ns; /* a sample older than this proves nothing; 0: none is ever too old */
};

struct core_gate_policy {
    uint32_t limit;                     /* slots, >= 1 */
    uint64_t wait_ns_max[CLASS__COUNT]; /* then a waiter is overdue and goes first; 0: never */
};

/* Models that may be loaded together: all members of one set, or fewer. */
struct core_matrix_policy {
    const uint32_t *members; /* model slots, set after set */
    const uint32_t *ends;    /* one past the last member of each set */
    uint32_t set_count;
};

struct core_fair_policy {
    uint64_t wait_ns_max[CLASS__COUNT]; /* then a waiter is overdue; 0: never */
    uint64_t min_resident_ns;           /* what came in stays this long, while it has work */
    uint64_t serve_ns_max;              /* each request is assumed to end within it */
};

struct core_config {
    enum sched_kind sched;
    enum plan_kind plan;
    enum victim_kind victims;
    struct core_fair_policy fair;
    struct core_matrix_policy matrix;
    uint64_t suspend_bytes_max; /* host memory for what is suspended */
    uint64_t probe_ns;          /* between two looks at a backend that is down; 0: 30 s */
    uint64_t settle_ns_max;     /* what was given back is free at the latest then; 0: 3 s */
    const struct core_model_policy *models; /* indexed by slot */
    uint32_t model_count;
    const struct core_group_policy *groups;
    uint32_t group_count;
    const struct core_device_policy *devices;
    uint32_t device_count;
    const struct core_gate_policy *gates;
    uint32_t gate_count;
};

/* A standing wish about one model. */
struct core_wish {
    uint32_t model;
    enum wish what;
    uint32_t placement; /* with WISH_LOADED: which; CORE_SLOT_NONE: any */
};

/* What a lease is asked for; it gets all of it at once. */
struct core_lease_ask {
    enum class class;
    uint32_t gates[CORE_LEASE_GATES_MAX]; /* one slot of each; no gate twice */
    uint32_t gate_count;
    uint32_t device_mask;  /* any of these; 0: no bytes */
    uint32_t device_count; /* how many of them; 0 counts as 1 */
    uint64_t bytes;        /* on each */
    uint64_t ttl_ns;       /* ends when not renewed for this long; 0: held by its connection */
    uint64_t wait_ns_max;  /* refused after waiting this long; UINT64_MAX: never */
    uint64_t run_ns_max;   /* ends by itself within this; 0: unknown */
    uint64_t grace_ns;     /* from LEASE_REVOKE to LEASE_END */
    bool revocable;
};

#endif
