/* timeouts.h: many timeouts of few kinds with one timer.
 *
 * The timeouts of a kind mostly have one length, so a list a kind, entered from its end, is in
 * order of expiry, and arming is O(1). The timer is coarse (TIMEOUTS_TICK_MS late at most) and runs
 * only while one is armed. */
#ifndef SERVER_TIMEOUTS_H
#define SERVER_TIMEOUTS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/pure/list.h"

#define TIMEOUTS_TICK_MS 100
/* A tick that is later than this was slept through. */
#define TIMEOUTS_GAP_MS 2000

enum timeout_kind {
    TIMEOUT_NONE,
    TIMEOUT_HEAD,      /* first byte of a request head to its end */
    TIMEOUT_BODY,      /* between two reads of a body */
    TIMEOUT_IDLE,      /* a kept-alive connection without a request */
    TIMEOUT_WRITE,     /* a client that takes nothing */
    TIMEOUT_LINGER,    /* after an early answer: reading what still comes, to be able to close */
    TIMEOUT_POOL,      /* an idle connection to a model's server */
    TIMEOUT_CONNECT,   /* to a model's server */
    TIMEOUT_HANDSHAKE, /* of TLS, with a model's server */
    TIMEOUT_ANSWER,    /* a model's server that has the request and has not begun to answer */
    TIMEOUT_PROGRESS,  /* a waiting request whose client is told how it stands */
    TIMEOUT__COUNT
};

/* Embedded in its owner; zero is valid and unarmed. */
struct timeout {
    struct link link;
    enum timeout_kind kind; /* NONE while unarmed */
    uint64_t at_ms;
};

struct timeouts {
    uv_loop_t *loop;
    uv_timer_t timer;
    bool running;
    uint64_t ticked_ms;                 /* when the timer last ran */
    uint64_t length_ms[TIMEOUT__COUNT]; /* 0: that kind never expires */
    struct list armed[TIMEOUT__COUNT];
    void (*on_expired)(struct timeout *t, enum timeout_kind kind); /* unarmed by then */
};

void timeouts_init(struct timeouts *ts, uv_loop_t *loop,
                   void (*on_expired)(struct timeout *t, enum timeout_kind kind));
/* Arms, or arms anew, with the kind's length. */
void timeouts_arm(struct timeouts *ts, struct timeout *t, enum timeout_kind kind);
/* Same with a length of its own; 0: never. */
void timeouts_arm_ms(struct timeouts *ts, struct timeout *t, enum timeout_kind kind, uint64_t ms);
void timeouts_disarm(struct timeouts *ts, struct timeout *t);
void timeouts_close(struct timeouts *ts);

#endif
