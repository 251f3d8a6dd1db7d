/* What has become of a mode's wishes, and those who wait for them. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "mapping/mapping.h"
#include "server/modes.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

/* ---- one wish ---- */

struct look {
    const struct server *server;
    const struct config *config;
    const struct config_wish *wish;
    uint32_t slot, placement; /* placement: in the core; CORE_SLOT_NONE: any, or none is there */
    struct core_model_view v;
    struct buf *why; /* or NULL */
};

static enum mode_standing say(const struct look *l, enum mode_standing standing, const char *why)
{
    if (l->why)
        buf_text(l->why, why);
    return standing;
}

/* The first line of what went wrong with it, behind a sentence. */
static enum mode_standing say_error(const struct look *l, enum mode_standing standing,
                                    const char *why)
{
    const char *error = l->server->roster.entries[l->slot].last_error;
    say(l, standing, why);
    if (l->why && error && *error) {
        buf_text(l->why, ": ");
        buf_append(l->why, error, strcspn(error, "\n"));
    }
    return standing;
}

static bool is_between(enum model_state state)
{
    return state == MODEL_LOADING || state == MODEL_UNLOADING || state == MODEL_MOVING ||
           state == MODEL_SUSPENDING || state == MODEL_RESUMING;
}

static enum mode_standing say_state(const struct look *l)
{
    if (l->why)
        buf_printf(l->why, "it is %s", model_state_text(l->v.state));
    return MODE_ON_WAY;
}

static enum mode_standing look_unloaded(const struct look *l)
{
    enum model_state state = l->v.state;
    if (state == MODEL_UNLOADED || state == MODEL_ERROR)
        return MODE_REACHED;
    if (state == MODEL_STUCK)
        return say(l, MODE_FAILED, "a process of it cannot be ended");
    if (is_between(state))
        return say_state(l);
    if (l->v.pinned)
        return say(l, MODE_FAILED, "it is pinned");
    return say(l, MODE_ON_WAY, l->v.running || l->v.waiting ? "it is in use" : "it was in use");
}

static bool may_move(const struct look *l)
{
    const struct config_model *m = &l->config->models[l->wish->model];
    return m->has_variants && mapping_placement_name(l->config, l->wish->model, 1) != NULL;
}

static enum mode_standing look_misplaced(const struct look *l)
{
    if (l->placement == CORE_SLOT_NONE)
        return say(l, MODE_FAILED, "no device for that is present");
    if (l->v.wish_rests)
        return say(l, MODE_FAILED, "it was moved by command");
    if (!may_move(l))
        return say(l, MODE_FAILED, "it is loaded elsewhere, and cannot be moved");
    if (l->v.wish_failed)
        return say_error(l, MODE_FAILED, "it could not be moved");
    return say(l, MODE_ON_WAY, l->v.running ? "it is in use elsewhere" : "it waits for room there");
}

/* Why it does not come in, when nothing went wrong with it. */
static const char *why_not(const struct look *l)
{
    struct core_plan_view plan;
    const char *down = degraded_backend_of(l->server, l->slot);
    if (down)
        return down;
    core_plan_model(l->server->runner.core, l->slot, CLASS_BACKGROUND, &plan);
    return plan.verdict != VERDICT_GO && plan.why != REASON_NONE ? reason_text(plan.why)
                                                                 : "it waits for room";
}

static enum mode_standing look_absent(const struct look *l)
{
    if (l->v.state == MODEL_STUCK)
        return say(l, MODE_FAILED, "a process of it cannot be ended");
    if (is_between(l->v.state))
        return say_state(l);
    if (l->v.wish_rests)
        return say(l, MODE_FAILED, "it was unloaded by command");
    enum mode_standing standing = l->v.wish_failed ? MODE_FAILED : MODE_ON_WAY;
    if (l->v.state == MODEL_ERROR)
        return say_error(l, standing, reason_text(l->v.reason));
    return say(l, standing, l->why ? why_not(l) : "");
}

static enum mode_standing look_loaded(const struct look *l)
{
    bool anywhere = l->wish->placement == CONFIG_PLACEMENT_ANY || !roster_fits(l->config);
    if (l->v.state != MODEL_LOADED)
        return look_absent(l);
    if (anywhere || (l->placement != CORE_SLOT_NONE && l->v.placement == l->placement))
        return MODE_REACHED;
    return look_misplaced(l);
}

/* The core's placement that the wish means. */
static uint32_t placement_of(const struct config_ref *ref, const struct config_wish *w)
{
    struct config_wish one_wish = *w;
    const struct config_mode one = {.wishes = &one_wish, .wish_count = 1};
    if (w->kind == CONFIG_WISH_UNLOADED || w->placement == CONFIG_PLACEMENT_ANY)
        return CORE_SLOT_NONE;
    struct core_wish *wish = mapping_wishes(ref->config, &one, ref->slots);
    uint32_t placement = wish->placement;
    free(wish);
    return placement;
}

enum mode_standing modes_standing(const struct server *s, uint32_t wish, struct buf *why)
{
    const struct config_ref *ref = s->roster.current;
    const struct config_mode *mode = modes_find(ref->config, s->modes.name);
    must(mode && wish < mode->wish_count);
    const struct config_wish *w = &mode->wishes[wish];
    struct look l = {.server = s,
                     .config = ref->config,
                     .wish = w,
                     .slot = ref->slots[w->model],
                     .placement = placement_of(ref, w),
                     .why = why};
    core_view_model(s->runner.core, l.slot, &l.v);
    return w->kind == CONFIG_WISH_UNLOADED ? look_unloaded(&l) : look_loaded(&l);
}

enum mode_standing modes_look(const struct server *s)
{
    const struct config_mode *mode = modes_find(s->roster.current->config, s->modes.name);
    enum mode_standing worst = MODE_REACHED;
    for (uint32_t i = 0; mode && i < mode->wish_count; i++) {
        enum mode_standing is = modes_standing(s, i, NULL);
        if (is > worst)
            worst = is;
    }
    return worst;
}

/* ---- who waits ---- */

struct mode_wait {
    struct link link;
    struct exchange *exchange; /* NULL once it was told, or has ended */
    uv_timer_t timer;
    bool expired, replaced;
    void (*on_end)(struct exchange *ex, enum mode_wait_end end);
};

static void on_timer_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct mode_wait, timer));
}

/* The exchange goes on without it. */
static void part(struct mode_wait *w)
{
    list_remove(&w->exchange->server->modes.waits, &w->link);
    w->exchange->on_local_end = NULL;
    w->exchange->local = NULL;
    w->exchange = NULL;
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

static void on_local_end(struct exchange *ex)
{
    part(ex->local);
}

/* False: it goes on waiting. */
static bool is_over(const struct server *s, const struct mode_wait *w, enum mode_standing standing,
                    enum mode_wait_end *ret)
{
    *ret = s->stopping                ? MODE_WAIT_STOPPED
           : w->replaced              ? MODE_WAIT_REPLACED
           : standing == MODE_REACHED ? MODE_WAIT_REACHED
           : standing == MODE_FAILED  ? MODE_WAIT_FAILED
                                      : MODE_WAIT_EXPIRED;
    return *ret != MODE_WAIT_EXPIRED || w->expired;
}

static struct mode_wait *first_over(struct server *s, enum mode_wait_end *ret)
{
    enum mode_standing standing = modes_look(s);
    struct link *n;
    list_each(n, &s->modes.waits) {
        struct mode_wait *w = list_entry(n, struct mode_wait, link);
        if (is_over(s, w, standing, ret))
            return w;
    }
    return NULL;
}

void modes_turn(struct server *s)
{
    struct mode_wait *w;
    enum mode_wait_end end;
    /* Not between a configuration and its wishes. */
    if (s->modes.due || s->modes.waits.count == 0 ||
        !modes_find(s->roster.current->config, s->modes.name))
        return;
    /* From the beginning each time: whoever is told may end, or begin, other waits. */
    while ((w = first_over(s, &end))) {
        struct exchange *ex = w->exchange;
        void (*on_end)(struct exchange *, enum mode_wait_end) = w->on_end;
        part(w);
        on_end(ex, end);
    }
}

static void on_expired(uv_timer_t *timer)
{
    struct mode_wait *w = container_of(timer, struct mode_wait, timer);
    w->expired = true;
    modes_turn(w->exchange->server);
}

void modes_wait(struct server *s, struct exchange *ex, uint64_t wait_ns_max,
                void (*on_end)(struct exchange *ex, enum mode_wait_end end))
{
    struct mode_wait *w = alloc_zeroed(1, sizeof(*w));
    w->exchange = ex;
    w->on_end = on_end;
    uv_timer_init(s->loop, &w->timer);
    ex->local = w;
    ex->on_local_end = on_local_end;
    list_push(&s->modes.waits, &w->link);
    if (wait_ns_max != UINT64_MAX) {
        uv_update_time(s->loop);
        uv_timer_start(&w->timer, on_expired, (wait_ns_max + NS_PER_MS - 1) / NS_PER_MS, 0);
    }
    modes_turn(s);
}

void modes_replaced(struct modes *m)
{
    struct link *n;
    list_each(n, &m->waits)
        list_entry(n, struct mode_wait, link)->replaced = true;
}
