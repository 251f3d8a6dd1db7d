#include "server/settles.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

struct settles_wait {
    struct link link;
    uint64_t tag; /* of the exchange */
    uint32_t slot;
    uint64_t until_ns;
    void (*on_done)(struct exchange *ex);
};

void settles_init(struct server *s)
{
    list_init(&s->settles.waiting);
    uv_timer_init(s->loop, &s->settles.timer);
}

static void arm(struct server *s);

/* Ends it, whatever on_done does. */
static void finish(struct server *s, struct settles_wait *w)
{
    struct exchange *ex = exchange_find(s, w->tag);
    void (*on_done)(struct exchange *) = w->on_done;
    list_remove(&s->settles.waiting, &w->link);
    free(w);
    if (ex)
        on_done(ex);
}

static struct settles_wait *first(const struct server *s)
{
    struct link *n = list_first(&s->settles.waiting);
    return n ? list_entry(n, struct settles_wait, link) : NULL;
}

static void on_timer(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, settles.timer);
    struct settles_wait *w;
    while ((w = first(s)) && w->until_ns <= uv_hrtime())
        finish(s, w);
    arm(s);
}

static void arm(struct server *s)
{
    const struct settles_wait *w = first(s);
    uint64_t now = uv_hrtime();
    uv_timer_stop(&s->settles.timer);
    uv_update_time(s->loop);
    if (w)
        uv_timer_start(&s->settles.timer, on_timer,
                       w->until_ns > now ? (w->until_ns - now) / NS_PER_MS + 1 : 0, 0);
}

void settles_await(struct exchange *ex, uint32_t slot, void (*on_done)(struct exchange *ex))
{
    struct server *s = ex->server;
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    if (!v.settling) {
        on_done(ex);
        return;
    }
    struct settles_wait *w = alloc_zeroed(1, sizeof(*w));
    *w = (struct settles_wait){.tag = exchange_tag(ex),
                               .slot = slot,
                               .until_ns = uv_hrtime() + SETTLES_NS_MAX,
                               .on_done = on_done};
    list_push(&s->settles.waiting, &w->link);
    arm(s);
}

void settles_over(struct server *s, uint32_t slot)
{
    struct link *n, *next;
    list_each_safe(n, next, &s->settles.waiting) {
        struct settles_wait *w = list_entry(n, struct settles_wait, link);
        if (w->slot == slot)
            finish(s, w);
    }
}

void settles_close(struct server *s)
{
    struct link *n, *next;
    list_each_safe(n, next, &s->settles.waiting) {
        list_remove(&s->settles.waiting, n);
        free(list_entry(n, struct settles_wait, link));
    }
    uv_close((uv_handle_t *)&s->settles.timer, NULL);
}
