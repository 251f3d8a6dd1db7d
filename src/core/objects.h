/* objects.h: each request, model, lease and command; state.h says where they are. */
#ifndef CORE_OBJECTS_H
#define CORE_OBJECTS_H

#include "base/pure/list.h"
#include "base/pure/pool.h"
#include "core/core.h"
#include "core/gate.h"
#include "core/holding.h"
#include "core/reuse.h"

enum waiter_state { WAITER_WAITING, WAITER_DOOMED, WAITER_GRANTED };

/* A request. */
struct waiter {
    struct link link;  /* in its model's waiting, doomed or running list */
    struct link order; /* in c->arrivals, while it waits */
    enum waiter_state state;
    enum class class;
    bool bounced, quiet;
    enum reason doom;
    uint32_t model;
    uint32_t key, weight; /* who asks, and how much that counts: for schedulers to come */
    struct id lease;
    uint64_t tag, seq;
    uint64_t stood_ns;    /* by how much its target's clock had stood still when it began to wait */
    uint64_t patience_ns; /* UINT64_MAX: without end */
    struct mono since, granted;
};

enum op_kind { OP_NONE, OP_LOAD, OP_UNLOAD, OP_MOVE, OP_SUSPEND, OP_RESUME };

struct op {
    enum op_kind kind;
    uint64_t id;
    struct mono started;
    bool escalated;              /* ABORT or KILL was given out */
    enum reason why;             /* what its end will be put down to */
    uint32_t placement, devices; /* MOVE: where to */
    uint64_t bytes;
};

/* What a planner found, and while it is carried out, what is left to do. */
struct plan {
    bool active;
    enum op_kind how; /* LOAD, RESUME, MOVE; NONE for a lease */
    uint32_t placement;
    uint32_t devices; /* 0: takes no device memory */
    uint64_t bytes[CORE_DEVICES_MAX];
    bool token; /* the loaders of all devices are its own */
    bool unsized;
    uint32_t victims_left; /* still there */
    bool ordering;         /* some of them have not been told to go yet */
    uint32_t growths;
    bool stale;    /* its grounds have changed; made anew before the load */
    uint32_t rank; /* on what grounds it was made */
    bool overdue;
    enum reason why; /* of the evictions */
};

/* On what grounds a target wants in. */
struct claim {
    uint32_t target;
    uint32_t rank; /* class of who waits; CLASS__COUNT: a mode alone */
    bool overdue;
};

/* One that may want bytes. */
struct target {
    struct plan plan;
    struct link active, parked; /* on c->active while it has a plan; c->parked: tried in vain */
    struct claim tried;         /* as what */
    bool blocked;               /* not servable: its waiters' clocks stand */
    struct mono blocked_since;
    uint64_t stood_ns;          /* stood still in all, before that */
    uint32_t anchor;            /* devices kept free for it, as far as they come free */
    struct mono anchor_doubted; /* since when foreign memory has been in its way; 0: it is not */
};

enum leave { LEAVE_NOT, LEAVE_UNLOAD, LEAVE_SUSPEND, LEAVE_MOVE };

struct model {
    struct core_model_policy policy;
    struct core_model_policy next_policy; /* taken over when unloaded, if next is set */
    bool next, removed;
    enum model_state state;
    enum reason reason;
    struct mono state_since, last_used, loaded_at;
    struct op op;
    struct list waiting[CLASS__COUNT], running, doomed;
    uint32_t waiting_count, quiet_count, running_class[CLASS__COUNT];
    uint32_t failures;          /* loads, in a row */
    enum class last_class;      /* of the last one served */
    struct link runnable, doom; /* on the core's lists of the same name */
    struct holding hold;
    uint32_t placement; /* CORE_SLOT_NONE: nowhere */
    uint32_t home;      /* the devices that it was loaded on: a suspended one comes back there */
    uint32_t victim_of, victim_placement; /* of: target slot; CORE_SLOT_NONE: of none */
    enum core_action victim_action;
    uint64_t gate_seq;  /* who came before it is served before the model yields */
    enum leave leaving; /* admits nothing more; goes as soon as nothing runs */
    enum reason leaving_why;
    uint32_t move_to;  /* LEAVE_MOVE: placement */
    bool pinned, kept; /* by command; kept: idle for keep_ns instead of its policy's ttl */
    uint64_t keep_ns;  /* UINT64_MAX: for ever */
    enum wish wish;
    uint32_t wish_placement;
    bool wish_new;            /* since the mode was set, nothing was loaded on demand */
    bool wish_rests;          /* it left for its ttl: not brought back before somebody uses it */
    struct mono wish_retry;   /* it could not be had: not tried again before then */
    bool wish_failed;         /* it could not be had, when it was tried last */
    bool cannot_suspend;      /* its engine failed to: unloaded from then on */
    bool oom_tried;           /* it ran out of memory, and is tried once again, with */
    uint64_t oom_bytes;       /* so much more on each device; 0: no more than is known */
    uint64_t residue_bytes;   /* seen to stay on a device while suspended; 0: not known */
    uint64_t suspended_bytes; /* counted against the host's budget */
    uint64_t learned_bytes[CORE_PLACEMENTS_MAX], estimated_bytes[CORE_PLACEMENTS_MAX];
    uint64_t load_ns_mean[CORE_PLACEMENTS_MAX], resume_ns_mean, serve_ns_mean;
    struct reuse_model reuse;
    struct mono foreseen;
    uint32_t loads_wanted; /* LOAD commands that wait for it */
};

enum lease_state { LEASE_WAITING, LEASE_GRANTED, LEASE_ENDED };

struct lease {
    struct core_lease_ask ask;
    enum lease_state state;
    bool revoked;
    bool starving; /* has been said */
    bool overdue;  /* at its gates */
    uint64_t tag, seq;
    uint64_t stood_ns;
    struct mono since, granted_at, expires; /* expires: of patience, ttl or grace; 0: never */
    struct mono grace_ends;                 /* once it is revoked */
    struct gate_entrant entrants[CORE_LEASE_GATES_MAX];
    struct holding hold;
    uint32_t victim_of; /* target slot; CORE_SLOT_NONE: of none */
};

struct command_waiting {
    struct link link; /* on c->commands; on c->answers when its end is decided but not given out */
    enum reason answer;
    uint64_t tag, seq;
    uint32_t model;
    enum command what;
    enum reason why;
};

#endif
