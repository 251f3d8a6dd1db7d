/* event.h: facts that the core is told. The payload belongs to the caller and is read only during
 * the step; what the core keeps, it copies. Times never decrease. */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "core/policy.h"
#include "core/sample.h"
#include "core/words.h"

enum event_type {
    EVENT_CONFIG,          /* a whole configuration; the first step, and each reload */
    EVENT_MODE,            /* all wishes, in place of the earlier ones */
    EVENT_LEARNED,         /* from the store: what LEARNED said in an earlier life */
    EVENT_FOOTPRINT,       /* an estimate, for a model without declared or learned bytes */
    EVENT_MODEL_ADOPTED,   /* a model that is loaded already: of an earlier life, or a worker */
    EVENT_LEASE_RESTORED,  /* a lease of an earlier life; answered by LEASE_GRANT */
    EVENT_BOOT_DONE,       /* nothing is granted before it */
    EVENT_TICK,            /* the only event that runs deadlines */
    EVENT_REQUEST_ARRIVED, /* answered at once by GRANT, REFUSE or WAIT */
    EVENT_REQUEST_ENDED,   /* once for each waiter that was not refused, in any state */
    EVENT_REQUEST_BOUNCED, /* a granted request found a dead server; back to its old place, once */
    EVENT_REQUEST_QUIET,   /* a granted tunnel has been silent for long, or is so no more */
    EVENT_LEASE_ASKED,     /* answered by LEASE_GRANT, LEASE_WAIT or REFUSE */
    EVENT_LEASE_RENEWED,
    EVENT_LEASE_ENDED,       /* once for each lease that was not refused, in any state */
    EVENT_LEASE_REMAINS,     /* at once after the end of one: processes of it may still be there;
                                LEASE_ENDED comes once more when none is */
    EVENT_MODEL_LOADED,      /* completes LOAD */
    EVENT_MODEL_LOAD_FAILED, /* completes LOAD; its processes are gone */
    EVENT_MODEL_UNLOADED,    /* completes UNLOAD; its processes are gone */
    EVENT_MODEL_MOVED,       /* completes MOVE */
    EVENT_MODEL_SUSPENDED,   /* completes SUSPEND */
    EVENT_MODEL_RESUMED,     /* completes RESUME */
    EVENT_MODEL_EXITED,      /* a model without an op, or a stuck one, has gone by itself */
    EVENT_UPSTREAM_BROKEN,   /* a loaded model's server refuses connections, or has ended */
    EVENT_BACKEND_DOWN,      /* nothing can be asked of it; its open ops will not complete */
    EVENT_BACKEND_UP,        /* what its models are follows as ADOPTED and EXITED */
    EVENT_DEVICE_FOUND,
    EVENT_DEVICE_LOST,
    EVENT_DEVICE_SAMPLE,
    EVENT_COMMAND,           /* answered by COMMAND_DONE, now or later */
    EVENT_COMMAND_CANCELLED, /* nobody waits for the answer any more */
    EVENT_FORESEEN,          /* a simulator's knowledge of the future, for VICTIMS_FORESEEN */
    EVENT_DRAIN,             /* shut down: refuse what waits, finish what runs, unload all */
    EVENT__COUNT
};

struct event {
    enum event_type type;
    struct mono now;
    union {
        const struct core_config *config;
        struct {
            const struct core_wish *wishes;
            uint32_t count;
        } mode;
        struct {
            uint64_t gap_ns; /* time in which the daemon stood still; deadlines move by it */
        } tick;
        struct {
            uint64_t tag; /* the caller's name for it; comes back in effects */
            uint32_t model;
            enum class class;
            uint64_t wait_ns_max; /* refused after waiting this long; 0: unless served at once;
                                     UINT64_MAX: never */
            uint32_t key;         /* who asks, as far as that is known; 0: unknown */
            uint32_t weight;      /* of that key; no scheduler looks at it yet */
            struct id lease;      /* under which it is made; zero: none */
            /* Of an earlier life, before BOOT_DONE: */
            struct mono since; /* it has waited, or run, since then; 0: it comes now */
            bool running;      /* it is being served: GRANT if its model is there, else REFUSE */
        } request;
        struct {
            struct id waiter;
            enum ended how;
        } ended;
        struct {
            struct id waiter;
            bool quiet;
        } quiet;
        struct {
            uint64_t tag;
            const struct core_lease_ask *ask;
            struct mono
                since; /* ASKED: it has waited since then, in an earlier life; 0: it has not */
            uint32_t devices;  /* RESTORED: where its bytes are */
            uint64_t grace_ns; /* RESTORED: ends unless renewed within this */
        } lease;
        struct {
            struct id lease; /* RENEWED, LEASE_ENDED, REMAINS */
        } lease_id;
        struct {
            uint64_t op;
            uint32_t model;
            enum reason why;        /* LOAD_FAILED, EXITED, UPSTREAM_BROKEN */
            bool stuck;             /* UNLOADED: could not be ended */
            enum outcome outcome;   /* MOVED, SUSPENDED, RESUMED */
            uint32_t placement;     /* ADOPTED */
            uint32_t devices;       /* ADOPTED: mask */
            enum adopted adopted;   /* ADOPTED */
            uint64_t residue_bytes; /* SUSPENDED: left on each device; 0: not measured */
        } model;
        struct {
            uint32_t model, placement;
            uint64_t bytes;         /* on each device; 0: nothing learned */
            uint64_t load_ns;       /* 0: nothing learned */
            uint64_t residue_bytes; /* of a suspended one, on each device; 0: nothing learned */
        } learned;                  /* LEARNED, FOOTPRINT */
        struct {
            uint32_t backend;
        } backend;
        struct {
            uint32_t device;
            uint64_t total_bytes;
        } found;
        struct {
            uint32_t device;
            struct mono taken; /* proves only what was over before it */
            bool used_unknown; /* the device does not say how much is used */
            bool uses_unknown; /* it does not say by whom */
            uint64_t used_bytes;
            const struct sample_use *uses;
            uint32_t use_count;
        } sample;
        struct {
            uint64_t tag;
            uint32_t model;
            enum command what;
            enum reason why;
            uint32_t placement; /* MOVE */
            uint64_t ttl_ns;    /* KEEP: 0: unloaded as soon as it is idle; UINT64_MAX: never */
        } command;
        struct {
            uint32_t model;
            struct mono at; /* of its next request; UINT64_MAX: none */
        } foreseen;
        struct {
            uint64_t grace_ns; /* for what runs; then it is cut */
            bool keep;         /* models stay, for a next daemon to adopt */
        } drain;
    };
};

const char *event_type_text(enum event_type t);

#endif
