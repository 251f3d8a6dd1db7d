/* core.h: every decision about who waits, who comes in and who leaves.
 *
 * The core is a pure function of its events: no clock, no I/O, no allocation, no callbacks, no
 * floating point, no hash iteration. The same events give the same effects, on any machine. One
 * thread owns it. See ARCHITECTURE.md for the invariants and core_check.c for the checks. */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "core/effect.h"
#include "core/event.h"
#include "core/words.h"

struct core_limits {
    uint32_t models_max, groups_max, gates_max; /* at least what any CONFIG brings */
    uint32_t waiters_max;                       /* requests and leases, waiting or running */
    uint32_t commands_max;                      /* commands waiting for their end */
};

/* Bytes that core_init wants. Slots never used cost only address space. */
size_t core_size(const struct core_limits *limits);
/* mem: core_size() zeroed bytes, aligned to 16; stays the caller's. Returns mem as a core. */
struct core *core_init(void *mem, const struct core_limits *limits, uint64_t seed);
/* Applies one event and decides. Not re-entrant. */
struct effects core_step(struct core *c, const struct event *ev);
/* When TICK is wanted next; false: never, as things stand. */
bool core_deadline(const struct core *c, struct mono *ret_at);
/* Asserts every invariant; linear in everything. */
void core_check(const struct core *c);

/* What there is to see of a model. */
struct core_model_view {
    enum model_state state;
    enum reason reason; /* of the last change */
    uint32_t running, waiting;
    uint32_t device; /* CORE_SLOT_NONE: none */
    uint64_t charged_bytes;
    bool settling; /* unloaded, its bytes not yet seen to be free */
    struct mono last_used, state_since;
    struct mono idle_deadline; /* 0: none */
    uint64_t load_ns_mean;     /* 0: never measured */
};

struct core_device_view {
    bool present;
    uint64_t total_bytes, used_bytes, charged_bytes, settling_bytes, foreign_bytes, room_bytes;
    struct mono sampled; /* 0: never */
};

struct core_view {
    uint32_t waiting, running, stale_ids, loaded;
    bool draining, booted;
};

void core_view(const struct core *c, struct core_view *ret);
void core_view_model(const struct core *c, uint32_t model, struct core_model_view *ret);
void core_view_device(const struct core *c, uint32_t device, struct core_device_view *ret);
/* Place in the queue (1 is next) and estimated seconds until the grant; 0, 0 unless it waits. */
void core_view_waiter(const struct core *c, struct id waiter, uint32_t *ret_position,
                      uint32_t *ret_estimate_s);
/* Visits every waiter that still waits, in order of arrival. */
struct core_waiting {
    struct id id;
    uint64_t tag;
    uint32_t model;
    enum class class;
    struct mono since;
};
/* Start with cursor = {0}; false at the end. The core must not step in between. */
bool core_view_next_waiting(const struct core *c, struct id *cursor, struct core_waiting *ret);

#endif
