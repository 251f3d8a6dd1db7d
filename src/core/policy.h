/* policy.h: what the core is told about models, gates and devices. Values are checked by the
 * configuration loader; counts beyond the memory given to core_init are an error there. */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include "core/words.h"

enum sched_kind { SCHEDULER_FIFO, SCHEDULER_SERIAL };
enum plan_kind { PLAN_GROUP, PLAN_FIT };

struct core_model_policy {
    bool present;          /* false: a slot without a model, or one that was removed */
    uint64_t hash_process; /* a change means a new process */
    uint32_t slots_max;    /* requests served at once, >= 1 */
    uint32_t queue_max;    /* requests waiting */
    int32_t priority;      /* higher goes first, among waiting models */
    uint32_t group;
    uint32_t device_mask;   /* bit i: may sit on device i; 0: takes no device memory */
    uint64_t bytes;         /* declared footprint on the one device that is chosen; 0: unknown */
    uint64_t ttl_ns;        /* idle time until it is unloaded; 0: never */
    uint64_t load_ns_max;   /* then the load is aborted */
    uint64_t unload_ns_max; /* then its processes are killed */
};

struct core_group_policy {
    bool swap, exclusive, persistent; /* as in llama-swap */
};

struct core_device_policy {
    uint64_t reserve_bytes;
    uint32_t limit_permille;
};

struct core_gate_policy {
    uint32_t limit; /* slots, >= 1 */
};

struct core_config {
    enum sched_kind sched;
    enum plan_kind plan;
    const struct core_model_policy *models; /* indexed by slot */
    uint32_t model_count;
    const struct core_group_policy *groups;
    uint32_t group_count;
    const struct core_device_policy *devices;
    uint32_t device_count;
    const struct core_gate_policy *gates;
    uint32_t gate_count;
};

#endif
