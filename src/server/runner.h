/* runner.h: drives the core. Facts go in by runner_event; the effects that come out are carried out
 * by a table, one function a kind.
 *
 * While effects run, runner_event only appends to the inbox, which is worked off afterwards: nobody
 * ever calls the core from inside an effect. TICK is sent after the loop has polled its sockets, so
 * that what has already arrived beats its own timeout. */
#ifndef SERVER_RUNNER_H
#define SERVER_RUNNER_H

#include <stdbool.h>
#include <uv.h>

#include "core/core.h"

struct server;

struct runner {
    struct server *server;
    struct core *core; /* in memory of its own */
    void *memory;      /* owned, memory_bytes */
    size_t memory_bytes;
    struct event *inbox; /* owned ring */
    uint32_t inbox_first, inbox_count, inbox_cap;
    bool stepping, tick_due;
    uv_timer_t timer;
    uv_idle_t spin;    /* keeps the loop from sleeping while a tick is due */
    uint64_t armed_ns; /* what the timer is set to; 0: not set */
    uint32_t steps_since_check;
};

void runner_init(struct runner *r, struct server *server, uint32_t waiters_max);
void runner_fini(struct runner *r);
/* Fills in the time. Events with pointers (CONFIG, DEVICE_SAMPLE, MODE) must not be sent from
 * effects; what a lease asks for must stay until the core has answered. */
void runner_event(struct runner *r, struct event ev);
/* After the loop has polled. */
void runner_after_poll(struct runner *r);
void runner_close(struct runner *r);

/* Short forms for what is sent from many places. */
void runner_request_ended(struct runner *r, struct id waiter, enum ended how);
void runner_command(struct runner *r, uint64_t tag, uint32_t model, enum command what,
                    enum reason why);
void runner_move(struct runner *r, uint64_t tag, uint32_t model, uint32_t placement);

#endif
