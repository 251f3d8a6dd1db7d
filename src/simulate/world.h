/* world.h: a simulated machine around a core: clients, devices and model servers on a virtual
 * clock.
 *
 * The world does what the core's callers do. It carries effects out, and each result comes back
 * as an event of its own, later, even where that is at the same time. Servers and devices do what
 * they are told: loads take the time that a model's size takes, memory is free at once, samples
 * tell the truth. tests/sim has the world in which things go wrong. */
#ifndef SIMULATE_WORLD_H
#define SIMULATE_WORLD_H

#include "core/core.h"
#include "simulate/agenda.h"
#include "simulate/bound.h"
#include "simulate/history.h"
#include "simulate/request.h"
#include "simulate/result.h"
#include "simulate/simulate.h"
#include "simulate/timeline.h"
#include "simulate/workload.h"

/* The world's clock begins here: 0 is "never" to the core. */
#define WORLD_START_NS NS_PER_S
/* After so long with nothing but deadlines, those who still wait will never be served. */
#define WORLD_PATIENCE_NS (172800 * NS_PER_S)

enum world_kind {
    WORLD_ENDS,       /* index: a request that has been served */
    WORLD_OP,         /* index: a model, whose op `token` is done */
    WORLD_SAMPLE,     /* index: a device, that is read */
    WORLD_ASKS,       /* index: a client that asks again */
    WORLD_LEASE_ASKS, /* index: a lease of the workload */
    WORLD_LEASE_OVER, /* index: the same: its holder gives it back */
};

struct world_model {
    enum event_type completes; /* the op that is open */
    uint64_t op;               /* 0: none */
    bool aborted;
    uint64_t load_ns;      /* what a load takes */
    uint64_t begun_ns;     /* of the load that is under way, or was last */
    uint64_t there_ns;     /* when that was over */
    uint32_t swap;         /* of the history: the op that is open */
    struct sim_for leaves; /* whom it was last told to leave for */
    uint32_t loads;
    uint32_t running;
    uint64_t bytes, suspended_bytes; /* what it holds on each of its devices */
    uint64_t held_bytes;             /* and what it does hold there now */
    uint32_t devices;                /* where its bytes are */
    uint32_t shown;                  /* where a plot shows it, and where it is at work; 0: gone */
    uint32_t stay;                   /* of the timeline, since LOAD */
    uint64_t working_ns;             /* since when it has served something */
    uint32_t next_use;               /* of world.uses: the next row for it */
};

struct world_lease {
    struct id id;     /* zero: not asked for, or over */
    uint32_t devices; /* where its bytes are; 0: not granted */
    bool revoked, over;
};

struct world_device {
    uint64_t total_bytes, used_bytes;
    bool sample_due;
    uint32_t running;
    uint64_t busy_since_ns, busy_ns;
};

struct world {
    const struct sim_options *opt;
    const struct workload *work;
    struct core *core;
    void *memory; /* owned */
    uint64_t now_ns;
    struct agenda agenda;
    uint32_t row;         /* the next of work->rows */
    uint32_t loops_left;  /* clients that will still ask */
    struct rng *loop_rng; /* owned; one a client */
    struct sim_requests requests;
    struct world_model *models; /* owned */
    uint32_t model_count;
    struct world_device devices[CORE_DEVICES_MAX];
    uint32_t device_count;
    struct world_lease *leases; /* owned; by the workload's */
    struct sample_use *sample;  /* owned; room for one use a model and lease */
    uint64_t *uses;             /* owned; when rows come, model by model, WORK_NEVER after each */
    bool foresees;
    uint32_t waiting, open; /* requests that wait; that are not over */
    uint64_t moved_ns;      /* when something last happened but for the passing of time */
    struct bound bound;
    struct timeline *timeline;   /* borrowed; NULL: nobody wants it */
    struct sim_history *history; /* borrowed; NULL: nobody wants it */
    struct sim_result *result;   /* borrowed */
};

/* The next thing that happens; false when all is over, or nothing will ever happen. */
bool world_turn(struct world *w);
/* Tells the core, and carries out what it orders. */
void world_step(struct world *w, struct event *ev);
void world_effect(struct world *w, const struct effect *e);
/* What the agenda held for now. */
void world_happens(struct world *w, const struct agenda_item *item);
/* A client asks, if its time is not over. */
void world_asks(struct world *w, uint32_t loop);

/* world_lease.c. The tags of leases are apart from those of requests. */
void world_lease_asks(struct world *w, uint32_t lease);
void world_lease_over(struct world *w, uint32_t lease);
void world_lease_waits(struct world *w, const struct effect *e);
void world_lease_granted(struct world *w, const struct effect *e);
/* Its holder gives it back at once. */
void world_lease_revoked(struct world *w, const struct effect *e);
void world_lease_ended(struct world *w, const struct effect *e);
bool world_is_lease(uint64_t tag);
void world_lease_refused(struct world *w, uint64_t tag);
uint32_t world_lease_uses(const struct world *w, uint32_t device, struct sample_use *uses);

#endif
