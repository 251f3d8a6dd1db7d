#include "server/net/timeouts.h"

static void shift(struct timeouts *ts, uint64_t ms)
{
    struct link *n;
    for (int kind = 0; kind < TIMEOUT__COUNT; kind++) {
        list_each(n, &ts->armed[kind]) {
            list_entry(n, struct timeout, link)->at_ms += ms;
        }
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct timeouts *ts = container_of(timer, struct timeouts, timer);
    uint64_t now = uv_now(ts->loop), gap = now - ts->ticked_ms;
    uint32_t left = 0;
    ts->ticked_ms = now;
    /* The machine or the daemon stood still: what has arrived meanwhile is read first, and the time
     * counts against nobody. */
    if (gap > TIMEOUTS_GAP_MS)
        shift(ts, gap - TIMEOUTS_TICK_MS);
    for (int kind = 0; kind < TIMEOUT__COUNT; kind++) {
        struct link *n;
        while ((n = list_first(&ts->armed[kind]))) {
            struct timeout *t = list_entry(n, struct timeout, link);
            if (t->at_ms > now)
                break;
            timeouts_disarm(ts, t);
            ts->on_expired(t, (enum timeout_kind)kind);
        }
        left += ts->armed[kind].count;
    }
    if (left == 0) {
        uv_timer_stop(&ts->timer);
        ts->running = false;
    }
}

void timeouts_init(struct timeouts *ts, uv_loop_t *loop,
                   void (*on_expired)(struct timeout *t, enum timeout_kind kind))
{
    *ts = (struct timeouts){.loop = loop, .on_expired = on_expired};
    for (int kind = 0; kind < TIMEOUT__COUNT; kind++)
        list_init(&ts->armed[kind]);
    uv_timer_init(loop, &ts->timer);
}

void timeouts_arm(struct timeouts *ts, struct timeout *t, enum timeout_kind kind)
{
    timeouts_arm_ms(ts, t, kind, ts->length_ms[kind]);
}

void timeouts_arm_ms(struct timeouts *ts, struct timeout *t, enum timeout_kind kind, uint64_t ms)
{
    timeouts_disarm(ts, t);
    if (ms == 0 || uv_is_closing((uv_handle_t *)&ts->timer))
        return;
    t->kind = kind;
    t->at_ms = uv_now(ts->loop) + ms;
    struct link *at = ts->armed[kind].head.prev;
    while (at != &ts->armed[kind].head && list_entry(at, struct timeout, link)->at_ms > t->at_ms)
        at = at->prev;
    list_insert_before(&ts->armed[kind], at->next, &t->link);
    if (!ts->running) {
        ts->running = true;
        ts->ticked_ms = uv_now(ts->loop);
        uv_timer_start(&ts->timer, on_tick, TIMEOUTS_TICK_MS, TIMEOUTS_TICK_MS);
    }
}

void timeouts_disarm(struct timeouts *ts, struct timeout *t)
{
    if (link_linked(&t->link))
        list_remove(&ts->armed[t->kind], &t->link);
    t->kind = TIMEOUT_NONE;
}

void timeouts_close(struct timeouts *ts)
{
    uv_close((uv_handle_t *)&ts->timer, NULL);
}
