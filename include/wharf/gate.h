/* wharf/gate.h: a limit on how many may be inside at once, with an order among those who wait.
 *
 * Foreground goes before normal, normal before background; within a class whoever came first goes
 * first. Nobody inside is ever put out. A newcomer never passes one that waits, whatever its class:
 * whoever waits is served when somebody leaves. These are the rules of wharf's gates, by the same
 * code; a gate of limit 1 in front of an engine that serves one at a time is what it is for.
 *
 * While nobody waits, to come in and to leave is one atomic operation each. */
#ifndef WHARF_GATE_H
#define WHARF_GATE_H

#include <wharf/api.h>

#ifdef __cplusplus
extern "C" {
#endif

struct wharf_gate;

struct wharf_gate_options {
    uint32_t limit; /* inside at once: 1 to WHARF_GATE_LIMIT_MAX */
    /* Whoever has waited for so long goes before all that have not, in order of when that came to
     * be; 0: never. Without it background waits for as long as others come. */
    uint64_t foreground_wait_ns_max, normal_wait_ns_max, background_wait_ns_max;
};

#define WHARF_GATE_LIMIT_MAX UINT32_C(0xffffff)

/* NULL: errno is EINVAL or ENOMEM. */
WHARF_API struct wharf_gate *wharf_gate_new(const struct wharf_gate_options *o);
/* Nobody may be waiting; who is inside need not leave any more. */
WHARF_API void wharf_gate_free(struct wharf_gate *g);

/* Waits until it is inside. cancel may be NULL. 0, or
 * -ETIMEDOUT  timeout_ns is over; with 0: there is no room, or others wait
 * -ECANCELED  cancel was set
 * -ESHUTDOWN  the gate is closed
 * -EINVAL     there is no such class */
WHARF_API int wharf_gate_acquire(struct wharf_gate *g, enum wharf_class c, int64_t timeout_ns,
                                 struct wharf_cancel *cancel);
/* One that is inside leaves, and the next comes in; any thread may say so. 0, or -EPERM: nobody is
 * inside. */
WHARF_API int wharf_gate_release(struct wharf_gate *g);

/* One that does not block: it ends when wharf_inbox_next tells of it, or by cancel. */
struct wharf_gate_wait;
/* 0: it is inside at once, and there is no wait. -EINPROGRESS: *ret_wait waits; its grant comes to
 * the inbox with arg. -ESHUTDOWN, -EINVAL, -ENOMEM: neither. */
WHARF_API int wharf_gate_begin(struct wharf_gate *g, enum wharf_class c, struct wharf_inbox *inbox,
                               void *arg, struct wharf_gate_wait **ret_wait);
/* Ends a wait that the inbox has not told of yet. One that had been granted meanwhile leaves
 * again. */
WHARF_API void wharf_gate_cancel(struct wharf_gate_wait *w);

/* From now on so many may be inside at once; whom that lets in comes in. Who is inside beyond a lower
 * limit stays. 0, or -EINVAL. */
WHARF_API int wharf_gate_resize(struct wharf_gate *g, uint32_t limit);

/* Those who wait get -ESHUTDOWN, those who do not block get nothing: cancel still ends their waits.
 * So do all who come later. Who is inside leaves as ever. */
WHARF_API void wharf_gate_close(struct wharf_gate *g);

struct wharf_gate_stats {
    uint32_t limit, inside;
    uint32_t foreground_waiting, normal_waiting, background_waiting;
    uint64_t entered;   /* in all */
    uint64_t waited;    /* of these, who had to wait */
    uint64_t cancelled; /* who left while they waited: timeouts, cancels */
    uint64_t wait_ns, wait_ns_max; /* of those who waited and came in: in all, the longest */
    uint64_t starved; /* of these: of class background, and waited for over five minutes */
};
WHARF_API void wharf_gate_stats(struct wharf_gate *g, struct wharf_gate_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
