/* state.h: all that the core remembers, for the files of this folder and for nobody else.
 *
 * Where things are (core_check.c asserts all of it):
 * - A waiter that waits for a model is on its model's waiting[class] and on c->arrivals. When its
 *   refusal is decided but not yet given out it is on its model's doomed list instead; when it is
 *   granted, on its model's running list, until REQUEST_ENDED. A lease that waits is in its gate's
 *   queue, and on no list once inside.
 * - A model with something to admit is on c->runnable. A model that must be loaded to serve what
 *   waits, and that no plan has taken up yet, is in c->wants, ordered by its head waiter.
 *   model_refresh puts it where it belongs, and is called after each change of what that depends
 * on.
 * - A plan (transition) lives in its target model: at most one each. Its victims name the target in
 *   victim_of: they admit nothing, and unload, or soon will. A model is a target or a victim, never
 *   both.
 * - c->version changes with everything that can turn a failed plan into a possible one. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "base/pure/heap.h"
#include "base/pure/list.h"
#include "base/pure/pool.h"
#include "core/core.h"
#include "core/gate.h"

/* A hostile build sets these as low as they go, so that tests reach what happens at the limits. */
#ifndef EFFECTS_MAX
#define EFFECTS_MAX 512
/* Room that one handler or one decision may use before the step stops and says `more`. */
#define EFFECTS_MARGIN 128
/* Wanting models looked at in one dispatch; those behind are lower in the order anyway. */
#define SCAN_MAX 64
#endif
#define PLAN_GROWTHS_MAX 3

enum waiter_state { WAITER_WAITING, WAITER_DOOMED, WAITER_GRANTED };
enum waiter_kind { WAITER_REQUEST, WAITER_LEASE };

struct waiter {
    struct link link;  /* in its model's waiting, doomed or running list */
    struct link order; /* in c->arrivals, while it waits */
    enum waiter_kind kind;
    enum waiter_state state;
    enum class class;
    bool bounced;
    enum reason doom;
    uint32_t model; /* or the gate, for a lease */
    uint64_t tag, seq;
    struct mono since, granted;
    struct gate_entrant gate;
};

enum op_kind { OP_NONE, OP_LOAD, OP_UNLOAD };

struct op {
    enum op_kind kind;
    uint64_t id;
    struct mono started;
    bool escalated;  /* ABORT or KILL was given out */
    enum reason why; /* what its end will be put down to */
};

/* What a planner found, and while it is carried out, what is left to do. */
struct plan {
    bool active;
    uint32_t device;       /* CORE_SLOT_NONE: takes no device memory */
    uint64_t bytes;        /* to be charged there */
    uint32_t victims_left; /* still resident */
    bool ordering;         /* some of them have not been told to go yet, for lack of room */
    uint32_t growths;
    bool stale;      /* its grounds have changed; made anew before the load */
    enum reason why; /* of the evictions */
};

struct model {
    struct core_model_policy policy;
    struct core_model_policy next_policy; /* taken over when unloaded, if next is set */
    bool next, removed;
    enum model_state state;
    enum reason reason;
    struct mono state_since, last_used, idle_since;
    struct op op;
    struct list waiting[CLASS__COUNT], running, doomed;
    uint32_t waiting_count;
    struct link runnable, doom, active; /* on the core's lists of the same name */
    struct plan plan;
    uint32_t victim_of; /* CORE_SLOT_NONE: of none */
    bool leaving;       /* admits nothing more; unloaded as soon as nothing runs */
    enum reason leaving_why;
    uint32_t device; /* where its bytes are charged */
    uint64_t charged_bytes, measured_bytes;
    bool measured, settling;
    bool unsized; /* loaded without a declared footprint: its charge follows what is measured */
    struct mono gone_at; /* settling: samples taken later count */
    uint32_t failures;
    uint64_t load_ns_mean, serve_ns_mean;
    uint32_t loads_wanted; /* LOAD commands that wait for it */
};

struct command_waiting {
    struct link link; /* on c->commands; on c->answers when its end is decided but not given out */
    enum reason answer;
    uint64_t tag, seq;
    uint32_t model;
    enum command what;
    enum reason why;
};

struct device {
    bool present;
    struct core_device_policy policy;
    uint64_t total_bytes, used_bytes, foreign_bytes, foreign_lower;
    uint64_t total_bytes_most; /* ever seen; what is charged may be from then */
    uint32_t foreign_lower_count;
    struct mono sampled;
    uint32_t loader; /* the model whose plan holds the loader token; CORE_SLOT_NONE: free */
};

struct core {
    struct core_limits limits;
    struct mono now;
    bool stepping, booted, draining, drain_hurried, drain_expired, drained;
    bool sweep; /* something was left over for lack of room: models that must leave or retire,
                   leases that may enter */
    enum sched_kind sched;
    enum plan_kind plan;
    uint64_t seq, op_id, version, scanned_version;
    uint32_t stale_ids, running_count, ops_open;
    struct pool waiter_pool, command_pool;
    struct waiter *waiters;
    struct model *models;
    uint32_t model_count; /* slots in use by the configuration, or still retiring */
    struct core_group_policy *groups;
    uint32_t group_count;
    struct gate *gates;
    uint32_t gate_count;
    struct command_waiting *command_slots;
    struct device devices[CORE_DEVICES_MAX];
    uint32_t device_count;
    struct list arrivals, runnable, doom, active, commands, answers;
    struct heap wants, deadlines;
    uint32_t *victims; /* scratch for planners, models_max */
    struct effect effects[EFFECTS_MAX];
    uint32_t effect_count;
    bool more;
    struct id arrived; /* the request that this step brought, until it is answered */
};

#endif
