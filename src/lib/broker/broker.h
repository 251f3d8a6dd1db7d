/* broker.h: a core with a lock around it, and the threads that carry out what it orders.
 *
 * Everything is under the lock but what the program's own functions do. One thread runs the core's
 * deadlines and tells of events; each op has a thread of its own while it lasts. */
#ifndef LIB_BROKER_BROKER_H
#define LIB_BROKER_BROKER_H

#include <pthread.h>

#include "core/core.h"
#include "lib/broker/names.h"
#include "lib/cancel.h"
#include "lib/inbox.h"
#include "wharf/broker.h"

struct broker_event {
    struct link link;
    struct wharf_event event;
};

struct wharf_broker {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* of the thread: a deadline, an event, the end */
    pthread_cond_t idle; /* no work is under way, or a sample has ended */
    pthread_t thread;
    bool closing; /* nothing is sampled any more */
    bool ending;
    struct core *core; /* its own */
    struct names names;
    struct wharf_broker_ops ops;
    void *arg;
    struct list calls;       /* struct wharf_call, under way */
    struct list events;      /* struct broker_event, not yet told */
    struct list work;        /* struct work, under way */
    struct list work_spare;  /* the others: an order of the core can always be carried out */
    struct work *work_items; /* all of them */
    uint32_t sampling;       /* devices that are being sampled; a mask */
    uint32_t sample_again;   /* of these: after that once more */
    uint32_t sample_due;     /* the core has asked for these, too soon after the last time */
    uint64_t sample_began_ns[CORE_DEVICES_MAX];
    uint64_t sampled_ns;                /* all of them, the last time */
    uint64_t samples[CORE_DEVICES_MAX]; /* of each, that have come in */
    pthread_cond_t sampled;             /* one has */
    struct sample_use *uses;            /* room for one a model */
    uint32_t mode;                      /* CORE_SLOT_NONE: none */
    uint64_t mode_seq;                  /* of setting one */
};

/* Which list of the core an id that the program is given is of. */
#define ID_OF_LEASE (UINT64_C(1) << 31)

static inline uint64_t broker_id(struct id id, bool lease)
{
    return (uint64_t)id.gen << 32 | id.slot | (lease ? ID_OF_LEASE : 0);
}

void broker_lock(struct wharf_broker *b);
void broker_unlock(struct wharf_broker *b);
/* With the lock: one event, and all that follows. */
void broker_step(struct wharf_broker *b, struct event ev);

/* calls.c: what the core says of them. With the lock. */
void call_waits(struct wharf_broker *b, const struct effect *e);
void call_granted(struct wharf_broker *b, const struct effect *e);
void call_refused(struct wharf_broker *b, const struct effect *e);
void call_commanded(struct wharf_broker *b, const struct effect *e);
/* After each step: whether modes that somebody waits for have come about. */
void calls_look_at_modes(struct wharf_broker *b);
/* Ends those whose time is over. False: none; *next_ns is no later than when the next one's is. */
bool calls_expire(struct wharf_broker *b, uint64_t now_ns, uint64_t *next_ns);

/* work.c: orders of the core. With the lock, but for init, which comes after the names. */
int work_init(struct wharf_broker *b) warn_unused;
void work_begin(struct wharf_broker *b, const struct effect *e);
/* The time of that op is over: the core is told so, and the rest when the program's function is
 * done. */
void work_give_up(struct wharf_broker *b, const struct effect *e);
void work_sample(struct wharf_broker *b, uint32_t device);
/* The core asks again and again while something has not come free: not more often than it may. */
void work_sample_soon(struct wharf_broker *b, uint32_t device);
/* False: none is due; *next_ns is no later than when the next one is. */
bool work_sample_due(struct wharf_broker *b, uint64_t now_ns, uint64_t *next_ns);
/* Tells the core of one that could not begin, or was given up. False: there is none. */
bool work_report(struct wharf_broker *b);
/* Waits until nothing is under way. */
void work_wait(struct wharf_broker *b);

#endif
