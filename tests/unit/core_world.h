/* core_world.h: a small simulated world around a core: processes, clients, devices, an inbox, and
 * checks of what the core orders against what is physically true.
 *
 * The world does what the core's callers do: it carries effects out, and each result comes back as
 * an event through a FIFO, later, so that results and orders cross. Processes fail, hang, exit, and
 * can't be ended; clients leave at any point. Everything comes from one seed. What the world knows
 * of the core are events and effects alone, so that its checks are independent of the core's. */
#ifndef TESTS_CORE_WORLD_H
#define TESTS_CORE_WORLD_H

#include "base/pure/rng.h"
#include "core/core.h"

#define WORLD_MODELS 6
#define WORLD_GROUPS 3
#define WORLD_DEVICES 2
#define WORLD_GATES 2
#define WORLD_CLIENTS 24
#define WORLD_WAITERS 14 /* fewer than clients, so that the memory for waiters runs out */
#define WORLD_COMMANDS 4
#define WORLD_INBOX 256
#define WORLD_TICKS_MAX 200
#define WORLD_NEVER UINT64_MAX

enum world_op { WORLD_IDLE, WORLD_LOADING, WORLD_UNLOADING };
enum world_known {
    WORLD_GONE,
    WORLD_COMING,
    WORLD_HERE,
    WORLD_GOING,
    WORLD_STUCK
}; /* what the core has been told */

struct world_model {
    struct core_model_policy policy, next; /* in force; as configured, for after its end */
    bool pending, removed;
    enum world_known known;
    /* The runner. */
    enum world_op op;
    uint64_t op_id, due_ns;
    bool escalated, posted, exit_posted;
    /* The process and its memory. */
    bool alive;
    uint32_t device, placement;
    uint64_t bytes, linger_until_ns, linger_bytes;
};

enum world_state { WORLD_FREE, WORLD_ASKING, WORLD_WAITING, WORLD_INSIDE };

/* A request or a lease. */
struct world_client {
    enum world_state state;
    bool lease, bounced;
    bool leaving; /* its end, or its bounce, is in the inbox */
    uint64_t tag, seq, end_ns;
    uint32_t model; /* or gate */
    enum class class;
    struct id id;
};

struct world_letter {
    struct event ev;
    struct sample_use uses[WORLD_MODELS];
    uint64_t tag; /* of the client that it is about */
};

struct world {
    uint64_t seed, step, now_ns, seq, hash;
    struct rng rng;
    bool trace, faults, drained, draining;
    void *mem;
    struct core *core;
    struct core_config config;
    struct core_model_policy policies[WORLD_MODELS];
    struct core_group_policy groups[WORLD_GROUPS];
    struct core_device_policy devices[WORLD_DEVICES];
    struct core_gate_policy gates[WORLD_GATES];
    uint64_t total_bytes[WORLD_DEVICES], foreign_bytes[WORLD_DEVICES];
    bool found[WORLD_DEVICES];
    struct world_model m[WORLD_MODELS];
    struct world_client clients[WORLD_CLIENTS];
    uint64_t commands[WORLD_COMMANDS * 2], command_tag;
    struct world_letter inbox[WORLD_INBOX];
    uint32_t inbox_head, inbox_count;
    uint64_t answered; /* the client that this step brought, until it is answered */
    /* Conservation: all that arrived are somewhere. */
    uint64_t arrived, granted_ended, refused, left;
};

extern struct world *world_current; /* for the report of a failed check */

/* Says which seed and step it is. */
void world_report(const struct world *w);
_Noreturn void world_fail(const struct world *w, const char *what, const char *file, int line);
#define hold(cond) ((cond) ? (void)0 : world_fail(w, #cond, __FILE__, __LINE__))

uint64_t world_below(struct world *w, uint64_t bound);
bool world_chance(struct world *w, uint32_t percent);
uint64_t world_soon(struct world *w, uint64_t s_max);

/* One event, what it brings carried out, and everything checked. */
void world_step(struct world *w, struct event *ev);
/* Puts a letter into the inbox, to be filled in. */
struct world_letter *world_post(struct world *w, enum event_type type);
/* Tells the core the oldest news; there must be some. */
void world_deliver(struct world *w);
/* A process without an op ends by itself. */
void world_exit(struct world *w, uint32_t model);
/* A reading of the device goes into the inbox. */
void world_sample(struct world *w, uint32_t device);
/* What is due by now happens; its news go into the inbox. */
void world_run_due(struct world *w);
uint64_t world_next_due(const struct world *w);
/* Time goes on to the given point, and the TICK is sent if it is due. */
void world_pass(struct world *w, uint64_t to_ns);

#endif
