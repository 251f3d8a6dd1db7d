/* core.h: every decision about who waits, who comes in and who leaves.
 *
 * The core is a pure function of its events: no clock, no I/O, no allocation, no callbacks, no
 * floating point, no hash iteration. The same events give the same effects, on any machine. One
 * thread owns it. See ARCHITECTURE.md for the invariants and core_check.c for the checks. */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "core/effect.h"
#include "core/event.h"
#include "core/view.h"
#include "core/words.h"

struct core_limits {
    uint32_t models_max, groups_max, gates_max; /* at least what any CONFIG brings */
    uint32_t sets_max, set_members_max;         /* of the matrix, all sets together */
    uint32_t waiters_max;                       /* requests, waiting or running */
    uint32_t leases_max;                        /* waiting or granted */
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

#endif
