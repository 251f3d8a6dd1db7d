/* event.h: facts that the core is told. The payload belongs to the caller and is read only during
 * the step; what the core keeps, it copies. Times never decrease. */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "core/policy.h"
#include "core/words.h"

enum event_type {
    EVENT_CONFIG,          /* a whole configuration; the first step, and each reload */
    EVENT_BOOT_DONE,       /* nothing is granted before it */
    EVENT_TICK,            /* the only event that runs deadlines */
    EVENT_REQUEST_ARRIVED, /* answered at once by GRANT, REFUSE or WAIT */
    EVENT_REQUEST_ENDED,   /* once for each waiter that was not refused, in any state */
    EVENT_REQUEST_BOUNCED, /* a granted request found a dead server; back to its old place, once */
    EVENT_LEASE_ASKED,     /* gate slots; answered by LEASE_GRANT or LEASE_WAIT */
    EVENT_LEASE_ENDED,
    EVENT_MODEL_LOADED,      /* completes LOAD */
    EVENT_MODEL_LOAD_FAILED, /* completes LOAD; its processes are gone */
    EVENT_MODEL_UNLOADED,    /* completes UNLOAD; its processes are gone */
    EVENT_MODEL_EXITED,      /* a model without an op, or a stuck one, has gone by itself */
    EVENT_UPSTREAM_BROKEN,   /* a loaded model's server refuses connections, or has ended */
    EVENT_DEVICE_FOUND,
    EVENT_DEVICE_LOST,
    EVENT_DEVICE_SAMPLE,
    EVENT_COMMAND,           /* answered by COMMAND_DONE, now or later */
    EVENT_COMMAND_CANCELLED, /* nobody waits for the answer any more */
    EVENT_DRAIN,             /* shut down: refuse what waits, finish what runs, unload all */
    EVENT__COUNT
};

/* What one model uses on a device, as far as it can be measured. */
struct sample_use {
    uint32_t model;
    uint64_t bytes;
};

struct event {
    enum event_type type;
    struct mono now;
    union {
        const struct core_config *config;
        struct {
            uint64_t gap_ns; /* time in which the daemon stood still; deadlines move by it */
        } tick;
        struct {
            uint64_t tag; /* the caller's name for it; comes back in effects */
            uint32_t model;
            enum class class;
            uint64_t wait_ns_max; /* refused after waiting this long; UINT64_MAX: never */
        } request;
        struct {
            struct id waiter;
            enum ended how;
        } ended;
        struct {
            uint64_t tag;
            uint32_t gate;
            enum class class;
        } lease;
        struct {
            uint64_t op;
            uint32_t model;
            enum reason why; /* LOAD_FAILED, EXITED, UPSTREAM_BROKEN (EXITED: its process ended) */
            bool stuck;      /* UNLOADED: could not be ended */
        } model;
        struct {
            uint32_t device;
            uint64_t total_bytes;
        } found;
        struct {
            uint32_t device;
            struct mono taken; /* proves only what was over before it */
            uint64_t used_bytes;
            const struct sample_use *uses;
            uint32_t use_count;
        } sample;
        struct {
            uint64_t tag;
            uint32_t model;
            enum command what;
            enum reason why;
        } command;
        struct {
            uint64_t grace_ns; /* for what runs; then it is cut */
        } drain;
    };
};

const char *event_type_text(enum event_type t);

#endif
