/* wharf/broker.h: wharf's decisions inside a program: models that come, go and move between devices,
 * modes, and memory lent to jobs, by the same core as the daemon's, with the same order among those
 * who wait.
 *
 * The program says what there is, and how to load, unload and move it; the broker says when. Names
 * are those of its setup. */
#ifndef WHARF_BROKER_H
#define WHARF_BROKER_H

#include <wharf/broker_setup.h>

#ifdef __cplusplus
extern "C" {
#endif

struct wharf_broker;
/* NULL: errno is EINVAL (a name twice or unknown, a count too high), ENOMEM or EAGAIN. */
WHARF_API struct wharf_broker *wharf_broker_new(const struct wharf_broker_options *o);
/* Waits for what its ops are doing; models stay as they are. No call may be under way. */
WHARF_API void wharf_broker_free(struct wharf_broker *b);

enum wharf_order_kind {
    WHARF_LOAD,   /* model: until it is loaded */
    WHARF_UNLOAD, /* model: until it is gone; what it serves is finished first */
    WHARF_MOVE,   /* model, device: until it sits there */
    WHARF_MODE,   /* mode (NULL: none): until each of its wishes is met, or cannot be */
    WHARF_ENTER,  /* model, class: until it is loaded and has a slot; leave ends it */
    WHARF_LEASE,  /* gates, bytes, device, class: until all of it is free; leave ends it */
};

struct wharf_order {
    enum wharf_order_kind kind;
    const char *model, *mode;
    enum wharf_class wharf_class;
    const char *device;      /* MOVE; LEASE with bytes: there; NULL: any */
    uint64_t bytes;          /* LEASE */
    const char *const *gates; /* LEASE: one slot of each */
    uint32_t gate_count;     /* at most 4 */
    int64_t timeout_ns;      /* of waiting; then the answer is -ETIMEDOUT */
};

struct wharf_answer {
    int rc;             /* as wharf_broker_do returns */
    const char *why;    /* never NULL; "" with rc 0. Never freed */
    const char *device; /* ENTER, LEASE with bytes: where; of the broker. NULL: the cpu, or none */
    uint64_t id;        /* ENTER, LEASE: for wharf_broker_leave */
};

/* Waits for its end. cancel, ret may be NULL. 0, or
 * -ENOENT     no such model, mode, device or gate
 * -EINVAL     an order that makes no sense
 * -ENOSPC     it can never fit, or cannot now
 * -ETIMEDOUT  the time is over
 * -ECANCELED  cancel was set
 * -EIO        it failed; why says how */
WHARF_API int wharf_broker_do(struct wharf_broker *b, const struct wharf_order *order,
                              struct wharf_cancel *cancel, struct wharf_answer *ret);

struct wharf_call;
/* Does not block: *ret is filled and arg comes to the inbox when it has ended, unless it is
 * cancelled. 0: *ret_call waits; -ENOENT, -EINVAL, -ENOMEM: it does not. */
WHARF_API int wharf_broker_begin(struct wharf_broker *b, const struct wharf_order *order,
                                 struct wharf_answer *ret, struct wharf_inbox *inbox, void *arg,
                                 struct wharf_call **ret_call);
/* Ends a call that the inbox has not told of yet; what it had been given meanwhile is given back. */
WHARF_API void wharf_call_cancel(struct wharf_call *call);

/* Gives back what an ENTER or a LEASE was given; a second time, nothing. */
WHARF_API void wharf_broker_leave(struct wharf_broker *b, uint64_t id);

/* What the program has found out for itself: the model is loaded there ("cpu" or a device), by
 * somebody else or from before, or, with NULL, it has gone. Nothing is called for it. 0, or
 * -ENOENT  no such model, or no such place of it
 * -EBUSY   it is being loaded, unloaded or moved just now */
WHARF_API int wharf_broker_found(struct wharf_broker *b, const char *model, const char *device);

struct wharf_model_view {
    const char *state;  /* "unloaded", "loading", "loaded", "unloading", "moving", "error" … */
    const char *why;    /* of its last change */
    const char *device; /* NULL: none, or the cpu; see on_cpu */
    bool on_cpu;
    uint32_t running, waiting;
    uint64_t bytes;   /* charged */
    uint64_t idle_ns; /* since it was last used; UINT64_MAX: never */
};
WHARF_API int wharf_broker_view_model(struct wharf_broker *b, const char *model,
                                      struct wharf_model_view *ret); /* 0, -ENOENT */

struct wharf_device_view {
    uint64_t total_bytes, used_bytes; /* used: by the last sample; else what is known of */
    uint64_t own_bytes, leased_bytes, foreign_bytes, settling_bytes;
    uint64_t free_bytes; /* that could be given out now */
};
WHARF_API int wharf_broker_view_device(struct wharf_broker *b, const char *device,
                                       struct wharf_device_view *ret); /* 0, -ENOENT */
/* NULL: none is set. */
WHARF_API const char *wharf_broker_mode(struct wharf_broker *b);

/* Who has, or waits for, a LEASE. */
struct wharf_lease_view {
    uint64_t id; /* as in its answer */
    bool granted;
    bool settling; /* it has been given back, but its bytes are not yet seen to be free */
    enum wharf_class wharf_class;
    uint64_t bytes;
    const char *device;   /* of the broker; NULL: none, or not yet */
    uint64_t since_ns;    /* that it was asked for, by CLOCK_MONOTONIC */
    uint64_t granted_ns;  /* 0: not yet */
};
/* Up to count of them, in no order. Returns how many there are. */
WHARF_API uint32_t wharf_broker_view_leases(struct wharf_broker *b, struct wharf_lease_view *ret,
                                            uint32_t count);

/* What would become of a LOAD, an ENTER or a LEASE that came now; nothing is changed by asking. 0:
 * it would be had at once, or by loading; -EAGAIN: it would wait for others; -ENOSPC: it can never
 * fit, or cannot now; -ENOENT, -EINVAL. ret_why may be NULL; "" with 0. */
WHARF_API int wharf_broker_can(struct wharf_broker *b, const struct wharf_order *order,
                               const char **ret_why);

/* Has the devices sampled now, so that what changed behind its back is known. */
WHARF_API void wharf_broker_sample(struct wharf_broker *b);
/* The same, and waits until each has been: 0, or -ETIMEDOUT. Not to be called by sample itself. */
WHARF_API int wharf_broker_refresh(struct wharf_broker *b, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
