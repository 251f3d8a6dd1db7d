/* view.h: looking at the core from outside. Nothing here changes anything that matters. */
#ifndef CORE_VIEW_H
#define CORE_VIEW_H

#include "core/policy.h"
#include "core/words.h"

struct core;

/* What there is to see of a model. */
struct core_model_view {
    enum model_state state;
    enum reason reason; /* of the last change */
    uint32_t running, waiting;
    uint32_t placement, devices; /* CORE_SLOT_NONE, 0: none */
    uint32_t device;             /* the first of devices; CORE_SLOT_NONE: none */
    uint64_t charged_bytes;      /* on all devices together, with what is settling */
    uint64_t declared_bytes, learned_bytes, estimated_bytes; /* on each device; 0: not known */
    bool settling; /* some of its bytes are not yet seen to be free */
    bool pinned;
    enum wish wish;
    struct mono last_used, state_since;
    struct mono idle_deadline;             /* 0: none */
    uint64_t load_ns_mean, resume_ns_mean; /* 0: never measured */
    uint32_t next_permille;                /* how likely it is that the next request is for it */
    uint64_t peak_bytes;    /* most measured on one device since it came in; 0: never measured */
    uint64_t residue_bytes; /* stay on each device while it is suspended; 0: not known */
    uint64_t ttl_ns;        /* as it holds now; UINT64_MAX: never unloaded for being idle */
    uint32_t failures;      /* loads in a row */
    bool wish_failed;       /* the mode's wish could not be had; it is tried again */
    bool wish_rests;        /* somebody unloaded or moved it: the wish waits for its next use */
};

struct core_device_view {
    bool present;
    uint64_t total_bytes, used_bytes;
    uint64_t own_bytes, leased_bytes, settling_bytes, foreign_bytes;
    uint64_t charged_bytes; /* own, leased: what is counted, used or not */
    uint64_t room_bytes;
    uint32_t loader;     /* the model that is being loaded there; CORE_SLOT_NONE: none */
    struct mono sampled; /* 0: never */
};

struct core_view {
    uint32_t waiting, running, stale_ids, loaded;
    uint32_t leases_waiting, leases_granted;
    bool draining, booted;
    /* Something is under way, or stands in the way, that is bound to change: as long as that is so,
     * those who wait have something to wait for. */
    bool pending;
};

void core_view(const struct core *c, struct core_view *ret);
void core_view_model(const struct core *c, uint32_t model, struct core_model_view *ret);
void core_view_device(const struct core *c, uint32_t device, struct core_device_view *ret);
/* Place in the queue (1 is next) and estimated seconds until the grant; 0, 0 unless it waits. */
void core_view_waiter(const struct core *c, struct id waiter, uint32_t *ret_position,
                      uint32_t *ret_estimate_s);
/* Seconds until a request for the model that came now would be granted. */
uint32_t core_estimate_s(const struct core *c, uint32_t model);

/* Visits every request that still waits, in order of arrival. */
struct core_waiting {
    struct id id;
    uint64_t tag;
    uint32_t model;
    enum class class;
    struct mono since;
    struct mono deadline; /* when it is overdue; 0: never */
};
/* Start with cursor = {0}; false at the end. The core must not step in between. */
bool core_view_next_waiting(const struct core *c, struct id *cursor, struct core_waiting *ret);

/* Visits every lease, in order of arrival. */
struct core_lease_view {
    struct id id;
    uint64_t tag;
    bool granted, revoked, ended; /* ended: its bytes are not yet seen to be free */
    struct core_lease_ask ask;
    uint32_t devices;                        /* where it was granted */
    struct mono since, granted_at, deadline; /* deadline: of ttl or revocation; 0: none */
};
bool core_view_next_lease(const struct core *c, struct id *cursor, struct core_lease_view *ret);

/* What would happen if the model, or the lease, were wanted now. */
enum core_verdict { VERDICT_HERE, VERDICT_GO, VERDICT_WAIT, VERDICT_BLOCKED, VERDICT_NEVER };
enum core_action { ACTION_UNLOAD, ACTION_SUSPEND, ACTION_MOVE, ACTION_REVOKE };
#define CORE_PLAN_VICTIMS_MAX 32
struct core_plan_view {
    enum core_verdict verdict;
    enum reason why;
    uint32_t placement, devices;
    uint64_t bytes;       /* on each device */
    uint64_t estimate_ns; /* until it could be used; of a lease: as far as models are in the way */
    uint32_t victim_count;
    struct core_plan_victim {
        enum core_action action;
        uint32_t model; /* CORE_SLOT_NONE: a lease */
        struct id lease;
        uint64_t bytes;
        bool busy;                    /* it would finish its work first */
    } victims[CORE_PLAN_VICTIMS_MAX]; /* the first of them */
};
/* Changes nothing that matters: scratch memory alone. */
void core_plan_model(struct core *c, uint32_t model, enum class class, struct core_plan_view *ret);
void core_plan_lease(struct core *c, const struct core_lease_ask *ask, struct core_plan_view *ret);

#endif
