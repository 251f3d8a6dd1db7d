/* shim.h: the core with a flat face, for the property tests, which drive it from Python by ctypes.
 *
 * The shim owns the core's memory and keeps what the core only borrows: the configuration, and the
 * effects of the last event. Worlds, faults and properties live in Python. Every struct here
 * consists of uint64_t alone, and core.py reads this file to learn the fields: there is no second
 * list to keep in step. Kinds of things are numbers of the core's enums, named by shim_name; ids
 * are packed as generation << 32 | slot; SHIM_NONE stands for none. */
#ifndef TESTS_PROPERTY_SHIM_H
#define TESTS_PROPERTY_SHIM_H

#include <stdint.h>

#define SHIM_NONE UINT64_MAX
#define SHIM_EFFECTS_MAX 4096

struct shim;

struct shim_policy {
    uint64_t sched, plan;
    uint64_t wait_foreground_ns, wait_normal_ns, wait_background_ns;
    uint64_t min_resident_ns, serve_ns_max, suspend_bytes_max;
};

struct shim_device {
    uint64_t reserve_bytes, limit_permille, stale_ns;
};

struct shim_model {
    uint64_t movable, yields, suspends, pinned, backend;
    uint64_t slots_max, queue_max, load_retries_max, suspended_bytes;
    uint64_t ttl_ns, load_ns_max, unload_ns_max;
};

struct shim_placement {
    uint64_t device_mask, device_count, bytes, free_bytes_min;
};

/* Whatever any event carries; each reads its own fields. */
struct shim_event {
    uint64_t type, now_ns;
    uint64_t tag, model, rank, wait_ns_max; /* REQUEST_ARRIVED, LEASE_ASKED, COMMAND */
    uint64_t id, how;                       /* REQUEST_ENDED, _BOUNCED, LEASE_ENDED, _RENEWED */
    uint64_t op, why, stuck, outcome;       /* MODEL_* */
    uint64_t placement, devices;            /* MODEL_ADOPTED, COMMAND */
    uint64_t device, total_bytes;           /* DEVICE_FOUND */
    uint64_t used_bytes, taken_ns, blind;   /* DEVICE_SAMPLE */
    uint64_t command, keep_ns, backend, gap_ns, grace_ns;
    uint64_t lease_gates, lease_devices, lease_device_count; /* masks and a count */
    uint64_t lease_bytes, lease_ttl_ns, lease_run_ns, lease_grace_ns, lease_revocable;
};

struct shim_effect {
    uint64_t type, notice, trace, reason, rank, id, tag, op, model, other, gate, device, devices;
    uint64_t placement, position, retry_after_s, bytes, duration_ns;
};

struct shim_view {
    uint64_t waiting, running, stale_ids, loaded, leases_waiting, leases_granted;
};

struct shim_model_view {
    uint64_t state, reason, running, waiting, placement, devices, charged_bytes, settling, pinned;
    uint64_t wish, last_used_ns, idle_deadline_ns;
};

struct shim_device_view {
    uint64_t present, total_bytes, used_bytes, own_bytes, leased_bytes, settling_bytes;
    uint64_t foreign_bytes, charged_bytes, loader;
    uint64_t room_bytes, sampled_ns;
};

struct shim_plan_view {
    uint64_t verdict, why, placement, devices, bytes, estimate_ns, victim_count;
};

struct shim_victim_view {
    uint64_t action, model, lease, bytes, busy;
};

/* NULL where there is no memory. With a configuration of nothing but the given policy. */
struct shim *shim_new(const struct shim_policy *policy);
void shim_free(struct shim *s);
/* Bytes of the struct of that name; 0: no such. */
uint64_t shim_sizeof(const char *name);
/* The name of a kind: of "event", "effect", "notice", "trace", "reason", "state" or "class"; NULL
 * past the last. */
const char *shim_name(const char *what, uint32_t kind);

/* What the next CONFIG brings. Slots count from 0 without gaps. */
void shim_put_device(struct shim *s, uint32_t slot, const struct shim_device *d);
void shim_put_model(struct shim *s, uint32_t slot, const struct shim_model *m);
void shim_add_placement(struct shim *s, uint32_t slot, const struct shim_placement *p);
void shim_put_gate(struct shim *s, uint32_t slot, uint32_t limit);
/* What the next MODE or DEVICE_SAMPLE brings; that event takes them. model SHIM_NONE: a lease. */
void shim_add_wish(struct shim *s, uint32_t model, uint32_t wish, uint64_t placement);
void shim_add_use(struct shim *s, uint64_t model, uint64_t lease, uint64_t bytes);

/* One event, with as many ticks as the core says are left over, and core_check after each. Returns
 * the number of effects; -1: the core broke one of its own invariants, and is not to be used any
 * more but for shim_failure and shim_free. */
int32_t shim_step(struct shim *s, const struct shim_event *ev);
/* Until the next step. */
const struct shim_effect *shim_effects(const struct shim *s);
/* Which invariant broke, and where. */
const char *shim_failure(const struct shim *s);
/* When a TICK is wanted; SHIM_NONE: never. */
uint64_t shim_deadline(const struct shim *s);

void shim_view(const struct shim *s, struct shim_view *ret);
void shim_view_model(const struct shim *s, uint32_t slot, struct shim_model_view *ret);
void shim_view_device(const struct shim *s, uint32_t slot, struct shim_device_view *ret);
/* What would happen if the model were wanted now; -1 as of shim_step. */
int32_t shim_plan(struct shim *s, uint32_t model, uint32_t class, struct shim_plan_view *ret);
/* Of the last shim_plan. */
void shim_plan_victim(const struct shim *s, uint32_t i, struct shim_victim_view *ret);

#endif
