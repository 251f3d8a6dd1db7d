/* state.h: all that the core remembers, for the files of this folder and for nobody else.
 *
 * Where things are (core_check.c asserts all of it):
 * - A request that waits is on its model's waiting[class] and on c->arrivals. When its refusal is
 *   decided but not yet given out it is on its model's doomed list instead; when it is granted, on
 *   its model's running list, until REQUEST_ENDED.
 * - A lease that waits stands in the queue of each of its gates; inside all of them once granted.
 * - A target is what may want bytes: slots below models_max are models, those above are leases.
 *   One that has to come in, and that no plan has taken up yet, is in c->wants, ordered by who
 *   waits for it (want.c); tried in vain, it is on c->parked until something changes.
 *   model_refresh and lease_refresh put it where it belongs, and are called after each change of
 *   what that depends on. A model with something to admit is on c->runnable.
 * - A plan (transition) lives in its target: at most one each. Its victims name the target in
 *   victim_of: they admit only who came before their gate closed, then leave. Nothing is a target
 *   and a victim at once.
 * - A holding says what one model or lease has on each device; a device's sums are those of all
 *   holdings, kept up by ledger.c alone.
 * - c->version changes with everything that can turn a failed plan into a possible one. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "base/pure/heap.h"
#include "base/pure/list.h"
#include "base/pure/pool.h"
#include "core/core.h"
#include "core/gate.h"
#include "core/objects.h"
#include "core/reuse.h"

/* A hostile build sets these as low as they go, so that tests reach what happens at the limits. */
#ifndef EFFECTS_MAX
#define EFFECTS_MAX 512
/* Room that one handler or one decision may use before the step stops and says `more`. */
#define EFFECTS_MARGIN 128
#endif
#define PLAN_GROWTHS_MAX 3

struct device {
    bool present;
    struct core_device_policy policy;
    uint64_t total_bytes, used_bytes, foreign_bytes, foreign_lower;
    uint64_t total_bytes_most; /* ever seen; what is charged may be from then */
    uint32_t foreign_lower_count;
    bool used_known, blind; /* blind: the last sample did not say who uses what */
    struct mono sampled;
    uint64_t charged_bytes, unseen_bytes; /* sums over all holdings, settling included */
    uint32_t loader; /* the target whose plan holds the loader token; CORE_SLOT_NONE: free */
    uint32_t anchor; /* the target that it is kept free for; CORE_SLOT_NONE: none */
};

/* One that could leave so that a target can come in. */
struct victim {
    uint32_t target; /* slot: of a model or lease */
    enum core_action action;
    uint32_t placement; /* MOVE */
    bool busy;          /* finishes its work first */
    uint64_t cost;
};

struct core {
    struct core_limits limits;
    struct mono now; /* by its own clock: what the caller says, less gap_ns */
    bool stepping, ticking, booted, draining, drain_hurried, drain_expired, drained;
    bool drain_keeps; /* models stay where they are */
    bool sweep;       /* something was left over for lack of room: models that must leave or retire,
                         leases that may enter */
    bool overdue_parked; /* somebody overdue waits for others to be served or to leave */
    bool readvance;      /* plans were left over for lack of room */
    enum sched_kind sched;
    enum plan_kind plan;
    enum victim_kind victim_kind;
    struct core_fair_policy fair;
    uint64_t suspend_bytes_max, suspended_bytes;
    uint64_t probe_ns, settle_ns_max;
    uint64_t gap_ns; /* in which the daemon stood still, in all */
    uint64_t seq, op_id, version, scanned_version, advanced_version, wished_version;
    uint32_t stale_ids, running_count, ops_open;
    uint32_t leases_waiting, leases_granted, byte_leases; /* byte_leases: granted, with bytes */
    struct pool waiter_pool, lease_pool, command_pool;
    struct waiter *waiters;
    struct model *models;
    struct lease *leases;
    struct target *targets;
    uint32_t model_count; /* slots in use by the configuration, or still retiring */
    struct core_group_policy *groups;
    uint32_t group_count;
    uint32_t *set_members, *set_ends;
    uint32_t set_count;
    struct gate *gates;
    uint32_t gate_count;
    struct command_waiting *command_slots;
    struct device devices[CORE_DEVICES_MAX];
    uint32_t device_count;
    bool backend_down[CORE_BACKENDS_MAX + 1]; /* [0] is never down */
    struct list arrivals, runnable, doom, active, parked, commands, answers;
    struct heap wants, deadlines;
    struct victim *victims, *trial; /* scratch for planners: one entry a target */
    uint32_t wishes, wishes_open;   /* how many there are; how many are under way */
    bool wishes_reached;
    struct reuse reuse;
    struct effect effects[EFFECTS_MAX];
    uint32_t effect_count;
    bool more;
    struct id arrived; /* the request that this step brought, until it is answered */
};

#endif
