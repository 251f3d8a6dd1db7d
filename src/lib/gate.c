/* A face on core/gate.c, which has the rules. It comes into play while somebody waits: until then
 * the gate is a number in one word, which who comes in counts up and who leaves counts down.
 * Whoever cannot do that takes the lock, and the number moves into the core's gate, until nobody
 * waits any more. So the order among waiters is the core's, and whoever need not wait does not pay
 * for it. */
#include "wharf/gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/gate.h"
#include "lib/cancel.h"
#include "lib/clock.h"
#include "lib/inbox.h"

/* The word: who is inside, how many have come in since it was last looked at, and whether the
 * core's gate has the number instead. */
#define INSIDE UINT64_C(0xffffff)
#define ENTERED_ONE (INSIDE + 1)
#define ENTERED_BITS 39
#define ENTERED (((UINT64_C(1) << ENTERED_BITS) - 1) * ENTERED_ONE)
#define SLOW (ENTERED + ENTERED_ONE)

#define STARVED_NS (300 * NS_PER_S)

struct wharf_gate {
    _Atomic uint64_t word;
    _Atomic uint32_t limit; /* changed with the lock */
    pthread_mutex_t lock;   /* of all below; not needed while the word is not SLOW */
    bool closed;
    struct gate gate;
    struct wharf_gate_stats stats; /* what was counted so far */
};

/* Somebody who waits. granted is called with the lock held, once it is inside, and the waiter is
 * not touched after that. */
struct waiter {
    struct gate_entrant entrant;
    uint64_t since_ns;
    void (*granted)(struct waiter *w);
    void (*closed)(struct waiter *w);
};

/* In wharf_gate_acquire, on its stack. */
struct blocked {
    struct waiter waiter;
    struct cancel_member member;
    struct wharf_gate *gate;
    pthread_cond_t cond;
    bool granted, cancelled, closed;
};

struct wharf_gate_wait {
    struct inbox_item item; /* in the inbox once it is inside */
    struct waiter waiter;
    struct wharf_gate *gate;
    struct wharf_inbox *inbox;
};

struct wharf_gate *wharf_gate_new(const struct wharf_gate_options *o)
{
    if (o->limit < 1 || o->limit > WHARF_GATE_LIMIT_MAX) {
        errno = EINVAL;
        return NULL;
    }
    struct wharf_gate *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    atomic_init(&g->limit, o->limit);
    must(pthread_mutex_init(&g->lock, NULL) == 0);
    gate_init(&g->gate, o->limit);
    g->gate.wait_ns_max[CLASS_FOREGROUND] = o->foreground_wait_ns_max;
    g->gate.wait_ns_max[CLASS_NORMAL] = o->normal_wait_ns_max;
    g->gate.wait_ns_max[CLASS_BACKGROUND] = o->background_wait_ns_max;
    return g;
}

void wharf_gate_free(struct wharf_gate *g)
{
    if (!g)
        return;
    must(gate_waiting(&g->gate) == 0);
    must(pthread_mutex_destroy(&g->lock) == 0);
    free(g);
}

static uint32_t limit_of(struct wharf_gate *g)
{
    return atomic_load_explicit(&g->limit, memory_order_relaxed);
}

/* False: by the lock, then. */
static bool enter_fast(struct wharf_gate *g)
{
    uint64_t word = atomic_load_explicit(&g->word, memory_order_relaxed);
    while (!(word & SLOW) && (word & INSIDE) < limit_of(g) && (word & ENTERED) != ENTERED)
        if (atomic_compare_exchange_weak_explicit(&g->word, &word, word + 1 + ENTERED_ONE,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static bool leave_fast(struct wharf_gate *g)
{
    uint64_t word = atomic_load_explicit(&g->word, memory_order_relaxed);
    while (!(word & SLOW) && (word & INSIDE))
        if (atomic_compare_exchange_weak_explicit(&g->word, &word, word - 1, memory_order_release,
                                                  memory_order_relaxed))
            return true;
    return false;
}

/* With the lock: from here to unlock, the core's gate has the number. */
static void take_over(struct wharf_gate *g)
{
    uint64_t word = atomic_fetch_or_explicit(&g->word, SLOW, memory_order_acq_rel);
    if (word & SLOW)
        return;
    g->gate.inside = (uint32_t)(word & INSIDE);
    g->stats.entered += (word & ENTERED) / ENTERED_ONE;
}

static void lock(struct wharf_gate *g)
{
    must(pthread_mutex_lock(&g->lock) == 0);
    take_over(g);
}

static void unlock(struct wharf_gate *g)
{
    if (!g->closed && gate_waiting(&g->gate) == 0)
        atomic_store_explicit(&g->word, g->gate.inside, memory_order_release);
    must(pthread_mutex_unlock(&g->lock) == 0);
}

static struct waiter *waiter_of(struct gate_entrant *e)
{
    return container_of(e, struct waiter, entrant);
}

/* Those whose time has come go before the others, in the order in which it came. Of a class, its
 * first is the first for whom it does. */
static void call_overdue(struct gate *g, uint64_t now_ns)
{
    for (;;) {
        struct waiter *next = NULL;
        uint64_t next_ns = UINT64_MAX;
        for (int class = 0; class < CLASS__COUNT; class ++) {
            struct link *n = list_first(&g->waiting[class]);
            if (!n || !g->wait_ns_max[class])
                continue;
            struct waiter *w = waiter_of(list_entry(n, struct gate_entrant, link));
            uint64_t at_ns = w->since_ns + g->wait_ns_max[class];
            if (at_ns > now_ns || at_ns >= next_ns)
                continue;
            next = w;
            next_ns = at_ns;
        }
        if (!next)
            return;
        gate_overdue(g, &next->entrant);
    }
}

static void count_wait(struct wharf_gate_stats *s, const struct waiter *w, uint64_t now_ns)
{
    uint64_t waited_ns = now_ns - w->since_ns;
    s->entered++;
    s->waited++;
    s->wait_ns += waited_ns;
    if (waited_ns > s->wait_ns_max)
        s->wait_ns_max = waited_ns;
    s->starved += w->entrant.class == CLASS_BACKGROUND && waited_ns > STARVED_NS;
}

/* Somebody has left. */
static void admit(struct wharf_gate *g)
{
    struct gate_entrant *e;
    if (!gate_has_room(&g->gate) || gate_waiting(&g->gate) == 0)
        return;
    uint64_t now_ns = clock_ns();
    call_overdue(&g->gate, now_ns);
    while ((e = gate_next(&g->gate))) {
        count_wait(&g->stats, waiter_of(e), now_ns);
        waiter_of(e)->granted(waiter_of(e));
    }
}

/* It does not wait any more, and has not come in. */
static void give_up(struct wharf_gate *g, struct waiter *w)
{
    gate_leave(&g->gate, &w->entrant);
    g->stats.cancelled++;
}

/* With the lock. True: it is inside. False: it waits. */
static bool enter_or_wait(struct wharf_gate *g, struct waiter *w, enum class class)
{
    w->since_ns = clock_ns();
    bool inside = gate_enter(&g->gate, &w->entrant, class);
    g->stats.entered += inside;
    return inside;
}

static bool find_class(enum wharf_class c, enum class *ret)
{
    switch (c) {
    case WHARF_FOREGROUND:
        *ret = CLASS_FOREGROUND;
        return true;
    case WHARF_NORMAL:
        *ret = CLASS_NORMAL;
        return true;
    case WHARF_BACKGROUND:
        *ret = CLASS_BACKGROUND;
        return true;
    }
    return false;
}

static void blocked_granted(struct waiter *w)
{
    struct blocked *b = container_of(w, struct blocked, waiter);
    b->granted = true;
    must(pthread_cond_signal(&b->cond) == 0);
}

static void blocked_closed(struct waiter *w)
{
    struct blocked *b = container_of(w, struct blocked, waiter);
    b->closed = true;
    must(pthread_cond_signal(&b->cond) == 0);
}

static void blocked_wake(struct cancel_member *m)
{
    struct blocked *b = container_of(m, struct blocked, member);
    must(pthread_mutex_lock(&b->gate->lock) == 0);
    b->cancelled = true;
    must(pthread_cond_signal(&b->cond) == 0);
    must(pthread_mutex_unlock(&b->gate->lock) == 0);
}

/* With the lock; it waits. */
static int block(struct wharf_gate *g, struct blocked *b, int64_t timeout_ns)
{
    uint64_t end_ns = clock_end_ns(b->waiter.since_ns, timeout_ns);
    bool in_time = true;
    while (!b->granted && !b->cancelled && !b->closed && in_time) {
        in_time = clock_cond_wait(&b->cond, &g->lock, end_ns);
        take_over(g); /* others had the lock meanwhile, and may have left it as the last */
    }
    if (b->granted)
        return 0;
    if (b->closed)
        return -ESHUTDOWN;
    give_up(g, &b->waiter);
    admit(g); /* it may have stood before others */
    return b->cancelled ? -ECANCELED : -ETIMEDOUT;
}

static int acquire_slow(struct wharf_gate *g, struct blocked *b, enum class class,
                        int64_t timeout_ns)
{
    int rc = 0;
    lock(g);
    if (g->closed)
        rc = -ESHUTDOWN;
    else if (timeout_ns == 0 && (!gate_has_room(&g->gate) || gate_waiting(&g->gate)))
        rc = -ETIMEDOUT;
    else if (!enter_or_wait(g, &b->waiter, class))
        rc = block(g, b, timeout_ns);
    unlock(g);
    return rc;
}

int wharf_gate_acquire(struct wharf_gate *g, enum wharf_class c, int64_t timeout_ns,
                       struct wharf_cancel *cancel)
{
    enum class class;
    if (!find_class(c, &class))
        return -EINVAL;
    if (enter_fast(g))
        return 0;
    struct blocked b = {.waiter = {.granted = blocked_granted, .closed = blocked_closed},
                        .member = {.wake = blocked_wake},
                        .gate = g};
    if (!cancel_join(cancel, &b.member))
        return -ECANCELED;
    clock_cond_init(&b.cond);
    int rc = acquire_slow(g, &b, class, timeout_ns);
    cancel_leave(cancel, &b.member);
    must(pthread_cond_destroy(&b.cond) == 0);
    return rc;
}

int wharf_gate_release(struct wharf_gate *g)
{
    if (leave_fast(g))
        return 0;
    lock(g);
    bool was_inside = g->gate.inside > 0;
    if (was_inside) {
        g->gate.inside--;
        admit(g);
    }
    unlock(g);
    return was_inside ? 0 : -EPERM;
}

static void wait_granted(struct waiter *w)
{
    struct wharf_gate_wait *wait = container_of(w, struct wharf_gate_wait, waiter);
    inbox_put(wait->inbox, &wait->item);
}

/* Its owner is told by nothing: it ends the wait when it ends itself. */
static void wait_closed(struct waiter *w)
{
    (void)w;
}

static void wait_free(struct inbox_item *item)
{
    free(container_of(item, struct wharf_gate_wait, item));
}

int wharf_gate_begin(struct wharf_gate *g, enum wharf_class c, struct wharf_inbox *inbox, void *arg,
                     struct wharf_gate_wait **ret_wait)
{
    enum class class;
    if (!find_class(c, &class))
        return -EINVAL;
    if (enter_fast(g))
        return 0;
    struct wharf_gate_wait *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct wharf_gate_wait){.item = {.arg = arg, .free = wait_free},
                                  .waiter = {.granted = wait_granted, .closed = wait_closed},
                                  .gate = g,
                                  .inbox = inbox};
    lock(g);
    int rc = g->closed ? -ESHUTDOWN : enter_or_wait(g, &w->waiter, class) ? 0 : -EINPROGRESS;
    unlock(g);
    if (rc == -EINPROGRESS)
        *ret_wait = w;
    else
        free(w);
    return rc;
}

void wharf_gate_cancel(struct wharf_gate_wait *w)
{
    struct wharf_gate *g = w->gate;
    lock(g);
    if (inbox_remove(w->inbox, &w->item)) {
        gate_leave(&g->gate, &w->waiter.entrant);
        admit(g);
    } else if (w->waiter.entrant.place == GATE_WAITING) {
        give_up(g, &w->waiter);
        admit(g);
    }
    unlock(g);
    free(w);
}

int wharf_gate_resize(struct wharf_gate *g, uint32_t limit)
{
    if (limit < 1 || limit > WHARF_GATE_LIMIT_MAX)
        return -EINVAL;
    lock(g);
    atomic_store_explicit(&g->limit, limit, memory_order_relaxed);
    g->gate.limit = limit;
    admit(g);
    unlock(g);
    return 0;
}

void wharf_gate_close(struct wharf_gate *g)
{
    lock(g);
    g->closed = true; /* from here on the word stays SLOW */
    for (struct gate_entrant *e; (e = gate_head(&g->gate));) {
        struct waiter *w = waiter_of(e);
        give_up(g, w);
        w->closed(w);
    }
    unlock(g);
}

void wharf_gate_stats(struct wharf_gate *g, struct wharf_gate_stats *ret)
{
    lock(g);
    *ret = g->stats;
    ret->limit = limit_of(g);
    ret->inside = g->gate.inside;
    struct link *n;
    uint32_t waiting[CLASS__COUNT];
    for (int class = 0; class < CLASS__COUNT; class ++)
        waiting[class] = g->gate.waiting[class].count;
    list_each(n, &g->gate.overdue)
        waiting[list_entry(n, struct gate_entrant, link)->class]++;
    ret->foreground_waiting = waiting[CLASS_FOREGROUND];
    ret->normal_waiting = waiting[CLASS_NORMAL];
    ret->background_waiting = waiting[CLASS_BACKGROUND];
    unlock(g);
}
