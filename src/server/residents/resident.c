#include "server/residents/resident.h"

#include <stdlib.h>

#include "base/log.h"
#include "server/residents/residents.h"
#include "server/server.h"

/* What the core is told when an op, or nothing, is open and this happens. */
struct result {
    enum event_type type; /* EVENT_CONFIG, 0: nothing */
    bool closes;          /* the op is over */
    bool leaves;          /* nothing of it is there for the model any more */
    bool stuck;
    enum outcome outcome;
    enum reason why; /* where the kind has no better one */
};

/* Ends that are not listed say nothing and change nothing: they have come too late, or what they
 * announce will be said by the end that follows. */
static const struct result results[RESIDENT_OPEN__COUNT][RESIDENT_END__COUNT] = {
    [RESIDENT_IDLE] =
        {
            [RESIDENT_GONE] = {EVENT_MODEL_EXITED, .leaves = true, .why = REASON_EXITED},
            [RESIDENT_BROKEN] = {EVENT_UPSTREAM_BROKEN, .why = REASON_BROKEN},
        },
    [RESIDENT_LOAD] =
        {
            [RESIDENT_DONE] = {EVENT_MODEL_LOADED, .closes = true},
            [RESIDENT_FAILED] = {EVENT_MODEL_LOAD_FAILED, true, true, .why = REASON_LOAD_FAILED},
            [RESIDENT_AT_SOURCE] = {EVENT_MODEL_LOAD_FAILED, true, true, .why = REASON_LOAD_FAILED},
            [RESIDENT_GONE] = {EVENT_MODEL_LOAD_FAILED, true, true, .why = REASON_EXITED},
            /* What cannot be ended may still be there; the model is rid of it. */
            [RESIDENT_STUCK] = {EVENT_MODEL_LOAD_FAILED, true, true, .why = REASON_LOAD_FAILED},
            [RESIDENT_UNKNOWN] = {.closes = true, .leaves = true},
        },
    [RESIDENT_UNLOAD] =
        {
            [RESIDENT_DONE] = {EVENT_MODEL_UNLOADED, true, true},
            [RESIDENT_GONE] = {EVENT_MODEL_UNLOADED, true, true},
            [RESIDENT_STUCK] = {EVENT_MODEL_UNLOADED, true, false, .stuck = true,
                                .why = REASON_STUCK},
            [RESIDENT_UNKNOWN] = {.closes = true, .leaves = true},
        },
#define CHANGE(event)                                                                              \
    [RESIDENT_DONE] = {event, .closes = true, .outcome = OUTCOME_DONE},                            \
    [RESIDENT_FAILED] = {event, .closes = true, .outcome = OUTCOME_AT_SOURCE},                     \
    [RESIDENT_AT_SOURCE] = {event, .closes = true, .outcome = OUTCOME_AT_SOURCE},                  \
    [RESIDENT_GONE] = {event, true, true, .outcome = OUTCOME_GONE},                                \
    [RESIDENT_STUCK] = {event, true, true, .outcome = OUTCOME_GONE},                               \
    [RESIDENT_UNKNOWN] = {.closes = true, .leaves = true}
    [RESIDENT_MOVE] = {CHANGE(EVENT_MODEL_MOVED), [RESIDENT_AT_TARGET] = {EVENT_MODEL_MOVED,
                                                                          .closes = true,
                                                                          .outcome =
                                                                              OUTCOME_AT_TARGET}},
    [RESIDENT_SUSPEND] = {CHANGE(EVENT_MODEL_SUSPENDED)},
    [RESIDENT_RESUME] = {CHANGE(EVENT_MODEL_RESUMED)},
#undef CHANGE
};

static struct resident **place_of(const struct resident *r)
{
    return &r->server->roster.entries[r->slot].resident;
}

void resident_begin(struct resident *r, const struct resident_ops *ops, struct server *s,
                    uint32_t slot, const struct resident_order *order)
{
    *r = (struct resident){.ops = ops,
                           .server = s,
                           .config = config_ref_get(s->roster.current),
                           .model = roster_model(&s->roster, slot),
                           .slot = slot,
                           .placement = CORE_SLOT_NONE};
    must(r->model != NULL && *place_of(r) == NULL);
    *place_of(r) = r;
    if (order)
        resident_take_over(r, order);
}

void resident_take_over(struct resident *r, const struct resident_order *order)
{
    must(r->open == RESIDENT_IDLE && *place_of(r) == r);
    r->open = RESIDENT_LOAD;
    r->order = *order;
    r->placement = order->placement;
    r->devices = order->devices;
}

void resident_adopt(struct resident *r, uint32_t placement, uint32_t devices, enum adopted how)
{
    must(r->open == RESIDENT_IDLE);
    r->placement = placement;
    r->devices = devices;
    runner_event(&r->server->runner, (struct event){.type = EVENT_MODEL_ADOPTED,
                                                    .model = {.model = r->slot,
                                                              .placement = placement,
                                                              .devices = devices,
                                                              .adopted = how}});
}

static void leave(struct resident *r)
{
    if (*place_of(r) == r)
        *place_of(r) = NULL;
}

void resident_complete(struct resident *r, enum resident_end end, enum reason why,
                       uint64_t residue_bytes)
{
    const struct result *is = &results[r->open][end];
    struct event ev = {.type = is->type,
                       .model = {.op = r->order.op,
                                 .model = r->slot,
                                 .why = why == REASON_NONE ? is->why : why,
                                 .stuck = is->stuck,
                                 .outcome = is->outcome,
                                 .residue_bytes = residue_bytes}};
    /* One that was given up is no news, whatever becomes of it. */
    bool ours = *place_of(r) == r;
    if (!ours || (is->type == EVENT_CONFIG && !is->closes)) {
        r->server->residents.late++;
        return;
    }
    bool goes = r->open == RESIDENT_MOVE || r->open == RESIDENT_RESUME;
    if (is->closes && goes && !is->leaves && is->outcome != OUTCOME_AT_SOURCE) {
        r->placement = r->order.placement;
        r->devices = r->order.devices;
    }
    if (is->closes) {
        r->open = RESIDENT_IDLE;
        r->order = (struct resident_order){0};
    }
    /* Before the core hears of it: it may load anew at once. */
    if (is->leaves)
        leave(r);
    if (is->type != EVENT_CONFIG)
        runner_event(&r->server->runner, ev);
}

void resident_fini(struct resident *r)
{
    leave(r);
    config_ref_put(r->config);
    r->config = NULL;
}

/* ---- orders ---- */

const struct resident_ops *resident_kind_of(const struct server *s, const struct config_model *m)
{
    must(m->backend < s->residents.kind_count);
    return s->residents.kinds[m->backend];
}

static struct resident_order order_of(const struct effect *e)
{
    return (struct resident_order){
        .op = e->op, .placement = e->placement, .devices = e->devices, .bytes = e->bytes};
}

void resident_load(struct server *s, const struct effect *e)
{
    const struct resident_order order = order_of(e);
    const struct config_model *m = roster_model(&s->roster, e->model);
    must(m != NULL);
    resident_kind_of(s, m)->load(s, e->model, &order);
}

/* Opens the op; NULL: nobody is there, and the core is told so. */
static struct resident *open_op(struct server *s, const struct effect *e, enum resident_open what)
{
    struct resident *r = resident_at(s, e->model);
    if (!r) {
        const struct result *gone = &results[what][RESIDENT_GONE];
        runner_event(
            &s->runner,
            (struct event){.type = gone->type,
                           .model = {.op = e->op, .model = e->model, .outcome = gone->outcome}});
        return NULL;
    }
    must(r->open == RESIDENT_IDLE);
    r->open = what;
    r->order = order_of(e);
    r->open_ns = 0;
    r->overdue = false;
    return r;
}

static void perform(struct server *s, const struct effect *e, enum resident_open what)
{
    struct resident *r = open_op(s, e, what);
    if (!r)
        return;
    void (*const how[RESIDENT_OPEN__COUNT])(struct resident *) = {
        [RESIDENT_UNLOAD] = r->ops->unload,
        [RESIDENT_MOVE] = r->ops->move,
        [RESIDENT_SUSPEND] = r->ops->suspend,
        [RESIDENT_RESUME] = r->ops->resume,
    };
    if (how[what])
        how[what](r);
    else
        resident_complete(r, RESIDENT_AT_SOURCE, REASON_NONE, 0);
}

void resident_unload(struct server *s, const struct effect *e)
{
    perform(s, e, RESIDENT_UNLOAD);
}

void resident_move(struct server *s, const struct effect *e)
{
    perform(s, e, RESIDENT_MOVE);
}

void resident_suspend(struct server *s, const struct effect *e)
{
    perform(s, e, RESIDENT_SUSPEND);
}

void resident_resume(struct server *s, const struct effect *e)
{
    perform(s, e, RESIDENT_RESUME);
}

/* The one whose op is open; NULL: its end has crossed the hurry. */
static struct resident *opened(struct server *s, const struct effect *e, bool load)
{
    struct resident *r = resident_at(s, e->model);
    if (r && r->open != RESIDENT_IDLE && r->order.op == e->op && (r->open == RESIDENT_LOAD) == load)
        return r;
    s->residents.late++;
    return NULL;
}

void resident_abort(struct server *s, const struct effect *e)
{
    struct resident *r = opened(s, e, true);
    if (!r)
        return;
    r->called_off = e->reason != REASON_LOAD_TIMEOUT;
    r->ops->abort(r);
}

void resident_kill(struct server *s, const struct effect *e)
{
    struct resident *r = opened(s, e, false);
    if (r)
        r->ops->kill(r);
}

void resident_probe(struct server *s, const struct effect *e)
{
    for (uint32_t i = 0; i < s->residents.kind_count; i++)
        if (s->residents.kinds[i] && s->residents.kinds[i]->probe)
            s->residents.kinds[i]->probe(s, e->backend);
}
