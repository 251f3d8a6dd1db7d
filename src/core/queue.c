/* The one queue: who waits, who was granted, who left. */
#include "core/core_priv.h"
#include "core/plan/plan.h"
#include "core/sched/sched.h"

static uint32_t waiter_slot(const struct core *c, const struct waiter *w)
{
    return (uint32_t)(w - c->waiters);
}

static struct waiter *link_waiter(struct link *n)
{
    return list_entry(n, struct waiter, link);
}

static bool find(struct core *c, struct id id, struct waiter **ret)
{
    if (!pool_alive(&c->waiter_pool, id)) {
        c->stale_ids++;
        return false;
    }
    *ret = &c->waiters[id.slot];
    return true;
}

/* The one that has been overdue longest, of the heads of all classes; NULL: none is. */
static struct waiter *overdue_head(const struct core *c, const struct model *m, uint64_t seq_max)
{
    struct waiter *best = NULL;
    struct mono at, best_at = {0};
    for (int class = 0; class < CLASS__COUNT; class ++) {
        if (!m->waiting[class].count)
            continue;
        struct waiter *w = link_waiter(list_first(&m->waiting[class]));
        if (w->seq > seq_max || !want_waiter_deadline(c, w, &at) || at.ns > c->now.ns)
            continue;
        if (!best || at.ns < best_at.ns) {
            best = w;
            best_at = at;
        }
    }
    return best;
}

struct waiter *queue_next(const struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    if (!m->waiting_count)
        return NULL;
    if (m->victim_of != CORE_SLOT_NONE && c->sched != SCHEDULER_FAIR)
        return NULL;
    uint64_t seq_max = m->victim_of == CORE_SLOT_NONE ? UINT64_MAX : m->gate_seq;
    struct waiter *overdue = overdue_head(c, m, seq_max);
    if (overdue)
        return overdue;
    for (int class = 0; class < CLASS__COUNT; class ++) {
        if (!m->waiting[class].count)
            continue;
        struct waiter *w = link_waiter(list_first(&m->waiting[class]));
        if (w->seq <= seq_max)
            return w;
    }
    return NULL;
}

static struct effect *refuse(struct core *c, uint64_t tag, uint32_t model, enum reason why)
{
    struct effect *e = core_emit(c, EFFECT_REFUSE, model);
    e->tag = tag;
    e->reason = why;
    if (model < c->model_count) {
        const struct model *m = &c->models[model];
        e->bytes = m->policy.placements[0].bytes;
        e->retry_after_s = estimate_own_s(c, model, 1);
        const struct heap_item *pause =
            heap_find(&c->deadlines, deadline_model(model, DEADLINE_ERROR));
        if (pause && pause->key.major > c->now.ns)
            e->retry_after_s = (uint32_t)((pause->key.major - c->now.ns) / NS_PER_S + 1);
    }
    return e;
}

static void release(struct core *c, struct waiter *w)
{
    uint32_t slot = waiter_slot(c, w);
    deadline_clear(c, deadline_waiter(c, slot));
    pool_put(&c->waiter_pool, slot);
}

/* It is on no list. */
static void begin_running(struct core *c, struct waiter *w)
{
    struct model *m = &c->models[w->model];
    w->state = WAITER_GRANTED;
    m->running_class[w->class]++;
    m->last_class = w->class;
    w->granted = c->now;
    list_push(&m->running, &w->link);
    c->running_count++;
    m->last_used = c->now;
    struct effect *e = core_emit(c, EFFECT_GRANT, w->model);
    e->waiter = pool_id(&c->waiter_pool, waiter_slot(c, w));
    e->tag = w->tag;
    e->duration_ns = c->now.ns - w->since.ns;
}

/* Tells a waiter that is on no list any more. */
static void dismiss(struct core *c, struct waiter *w, enum reason why)
{
    refuse(c, w->tag, w->model, why)->waiter = pool_id(&c->waiter_pool, waiter_slot(c, w));
    release(c, w);
}

/* Why nobody may wait for the model at present. */
static enum reason refusal_of_model(const struct core *c, uint32_t model)
{
    if (c->draining)
        return REASON_SHUTDOWN;
    if (model >= c->model_count || !c->models[model].policy.present || c->models[model].removed)
        return REASON_MODEL_UNKNOWN;
    const struct model *m = &c->models[model];
    if (c->backend_down[m->policy.backend])
        return REASON_BACKEND_DOWN;
    if (m->state == MODEL_ERROR && m->failures > m->policy.load_retries_max)
        return REASON_PAUSED;
    if (m->state == MODEL_STUCK)
        return REASON_STUCK;
    return REASON_NONE;
}

/* Who is served at once does not wait, and needs no place in the queue. */
static bool served_at_once(struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    return model_serves(c, m) && m->victim_of == CORE_SLOT_NONE &&
           m->running.count < m->policy.slots_max && sched_is_free(c, model);
}

/* A holder waits for nothing, so it must not wait for its own end. Under serial a lease of bytes is
 * served like a model, and everything else waits for it. */
static bool waits_for_own_lease(const struct core *c, uint32_t model, struct id lease)
{
    if (!pool_alive(&c->lease_pool, lease) || !c->leases[lease.slot].hold.devices ||
        c->leases[lease.slot].state != LEASE_GRANTED)
        return false;
    return c->sched == SCHEDULER_SERIAL || plan_lease_in_the_way(c, model, lease.slot);
}

static enum reason refusal_at_door(struct core *c, const struct event *ev)
{
    enum reason why = refusal_of_model(c, ev->request.model);
    if (why != REASON_NONE)
        return why;
    const struct model *m = &c->models[ev->request.model];
    if (served_at_once(c, ev->request.model))
        return REASON_NONE;
    if (waits_for_own_lease(c, ev->request.model, ev->request.lease))
        return REASON_OWN_LEASE;
    if (ev->request.wait_ns_max == 0)
        return REASON_BUSY;
    return m->waiting_count >= m->policy.queue_max ? REASON_QUEUE_FULL : REASON_NONE;
}

static void enqueue(struct core *c, struct waiter *w)
{
    struct model *m = &c->models[w->model];
    list_push(&m->waiting[w->class], &w->link);
    list_push(&c->arrivals, &w->order);
    m->waiting_count++;
    w->stood_ns = want_stood_ns(c, w->model);
    deadline_clear(c, deadline_model(w->model, DEADLINE_IDLE));
}

static void dequeue(struct core *c, struct waiter *w)
{
    struct model *m = &c->models[w->model];
    list_remove(&m->waiting[w->class], &w->link);
    list_remove(&c->arrivals, &w->order);
    must(m->waiting_count > 0);
    m->waiting_count--;
}

/* It may have become idle, or nobody wants it any more: plans may change. */
static void note_left(struct core *c, const struct model *m)
{
    if (m->waiting_count == 0)
        c->version++;
}

static struct waiter new_waiter(struct core *c, const struct event *ev)
{
    return (struct waiter){.class = ev->request.class,
                           .model = ev->request.model,
                           .key = ev->request.key,
                           .weight = ev->request.weight,
                           .lease = ev->request.lease,
                           .tag = ev->request.tag,
                           .seq = ++c->seq,
                           .patience_ns = ev->request.wait_ns_max,
                           .since = core_since(c, ev->request.since)};
}

/* It has its place with the model's server: with how many others, an earlier life has decided. */
static void take_running(struct core *c, const struct event *ev)
{
    uint32_t model = ev->request.model;
    enum reason why = refusal_of_model(c, model);
    struct id id;
    must(!c->booted);
    if (why == REASON_NONE && c->models[model].state != MODEL_LOADED)
        why = REASON_UNLOADED;
    if (why == REASON_NONE && !pool_get(&c->waiter_pool, &id))
        why = REASON_QUEUE_FULL;
    if (why != REASON_NONE) {
        refuse(c, ev->request.tag, model, why);
        return;
    }
    c->waiters[id.slot] = new_waiter(c, ev);
    begin_running(c, &c->waiters[id.slot]);
    model_refresh(c, model);
}

void queue_arrive(struct core *c, const struct event *ev)
{
    uint32_t model = ev->request.model;
    if (ev->request.running) {
        take_running(c, ev);
        return;
    }
    enum reason why = refusal_at_door(c, ev);
    struct id id;
    if (why == REASON_NONE && !pool_get(&c->waiter_pool, &id))
        why = REASON_QUEUE_FULL;
    if (why != REASON_NONE) {
        refuse(c, ev->request.tag, model, why);
        return;
    }
    struct waiter *w = &c->waiters[id.slot];
    *w = new_waiter(c, ev);
    struct model *m = &c->models[model];
    m->wish_new = m->wish_rests = false;
    reuse_learn(&c->reuse, &m->reuse, model, ev->request.key);
    enqueue(c, w);
    if (ev->request.wait_ns_max != UINT64_MAX && ev->request.wait_ns_max != 0)
        deadline_set(c, deadline_waiter(c, id.slot),
                     (struct mono){w->since.ns + ev->request.wait_ns_max});
    c->arrived = id;
    model_refresh(c, model);
}

void queue_report_wait(struct core *c)
{
    struct id id = c->arrived;
    c->arrived = (struct id){0};
    if (id_none(id) || !pool_alive(&c->waiter_pool, id))
        return;
    struct waiter *w = &c->waiters[id.slot];
    if (w->state != WAITER_WAITING)
        return;
    if (w->patience_ns == 0) {
        /* There was no room left in this step to serve it. */
        uint32_t model = w->model;
        dequeue(c, w);
        dismiss(c, w, REASON_BUSY);
        model_refresh(c, model);
        return;
    }
    struct effect *e = core_emit(c, EFFECT_WAIT, w->model);
    e->waiter = id;
    e->tag = w->tag;
    /* It is the last of its class, and under serial the last of all. */
    for (int class = 0; class <= (int)w->class; class ++)
        e->position += c->models[w->model].waiting[class].count;
    if (c->sched == SCHEDULER_SERIAL)
        e->position = c->arrivals.count;
    e->retry_after_s = estimate_own_s(c, w->model, 0);
}

void queue_grant(struct core *c, uint32_t slot)
{
    struct waiter *w = &c->waiters[slot];
    struct model *m = &c->models[w->model];
    must(w->state == WAITER_WAITING && model_serves(c, m));
    must(m->running.count < m->policy.slots_max);
    dequeue(c, w);
    deadline_clear(c, deadline_waiter(c, slot));
    begin_running(c, w);
    if (c->overdue_parked && m->waiting_count)
        c->version++; /* who waits for it now may be due later than somebody else */
    model_refresh(c, w->model);
}

/* The slot of a removed model is free when the last that refers to it has gone. */
static void leave_removed(struct core *c, const struct model *m)
{
    if (m->removed && m->running.count == 0 && m->doomed.count == 0)
        c->sweep = true;
}

static void end_running(struct core *c, struct waiter *w, enum ended how)
{
    struct model *m = &c->models[w->model];
    uint64_t took = c->now.ns - w->granted.ns;
    list_remove(&m->running, &w->link);
    must(c->running_count > 0 && m->running_class[w->class] > 0);
    c->running_count--;
    m->running_class[w->class]--;
    m->quiet_count -= w->quiet;
    w->quiet = false;
    m->last_used = c->now;
    if (how == ENDED_DONE)
        m->serve_ns_mean = m->serve_ns_mean ? (m->serve_ns_mean * 7 + took) / 8 : took + 1;
    if (m->running.count == m->quiet_count && (!m->waiting_count || m->victim_of != CORE_SLOT_NONE))
        c->version++; /* idle, or drained */
    leave_removed(c, m);
}

void queue_end(struct core *c, struct id id, enum ended how)
{
    struct waiter *w;
    if (!find(c, id, &w))
        return;
    uint32_t model = w->model;
    switch (w->state) {
    case WAITER_WAITING:
        dequeue(c, w);
        note_left(c, &c->models[model]);
        break;
    case WAITER_DOOMED:
        list_remove(&c->models[model].doomed, &w->link);
        if (c->models[model].doomed.count == 0)
            list_remove(&c->doom, &c->models[model].doom);
        leave_removed(c, &c->models[model]);
        break;
    case WAITER_GRANTED:
        end_running(c, w, how);
        break;
    }
    release(c, w);
    model_refresh(c, model);
}

/* The place it had: before the first of its class that came later. */
static void enqueue_in_place(struct core *c, struct waiter *w)
{
    struct model *m = &c->models[w->model];
    struct link *at;
    list_each(at, &m->waiting[w->class]) {
        if (link_waiter(at)->seq > w->seq)
            break;
    }
    list_insert_before(&m->waiting[w->class], at, &w->link);
    list_each(at, &c->arrivals) {
        if (list_entry(at, struct waiter, order)->seq > w->seq)
            break;
    }
    list_insert_before(&c->arrivals, at, &w->order);
    m->waiting_count++;
    w->stood_ns = want_stood_ns(c, w->model);
}

void queue_quiet(struct core *c, struct id id, bool quiet)
{
    struct waiter *w;
    if (!find(c, id, &w))
        return;
    struct model *m = &c->models[w->model];
    if (w->state != WAITER_GRANTED || w->quiet == quiet)
        return;
    w->quiet = quiet;
    if (quiet)
        m->quiet_count++;
    else
        m->quiet_count--;
    if (quiet && m->running.count == m->quiet_count)
        c->version++;
    model_refresh(c, w->model);
}

void queue_bounce(struct core *c, struct id id)
{
    struct waiter *w;
    if (!find(c, id, &w))
        return;
    must(w->state == WAITER_GRANTED && !w->bounced);
    uint32_t model = w->model;
    end_running(c, w, ENDED_CUT);
    w->bounced = true;
    w->state = WAITER_WAITING;
    enum reason why = refusal_of_model(c, model);
    if (why != REASON_NONE)
        dismiss(c, w, why);
    else
        enqueue_in_place(c, w);
    if (why == REASON_NONE && w->patience_ns != UINT64_MAX)
        deadline_set(c, deadline_waiter(c, id.slot), (struct mono){c->now.ns + w->patience_ns});
    model_refresh(c, model);
}

void queue_doom(struct core *c, uint32_t model, enum reason why)
{
    struct model *m = &c->models[model];
    struct link *n;
    if (m->waiting_count == 0)
        return;
    if (m->doomed.count == 0)
        list_push(&c->doom, &m->doom);
    for (int class = 0; class < CLASS__COUNT; class ++) {
        list_each(n, &m->waiting[class]) {
            struct waiter *w = link_waiter(n);
            w->state = WAITER_DOOMED;
            w->doom = why;
            list_remove(&c->arrivals, &w->order);
        }
        list_splice(&m->doomed, &m->waiting[class]);
    }
    m->waiting_count = 0;
    c->version++;
    model_refresh(c, model);
}

void queue_drain_doomed(struct core *c)
{
    while (c->doom.count && core_has_room(c)) {
        struct model *m = list_entry(list_first(&c->doom), struct model, doom);
        struct waiter *w = link_waiter(list_pop(&m->doomed));
        dismiss(c, w, w->doom);
        if (m->doomed.count == 0)
            list_remove(&c->doom, &m->doom);
        leave_removed(c, m);
    }
}

void queue_expire(struct core *c, uint32_t slot)
{
    struct waiter *w = &c->waiters[slot];
    if (w->state == WAITER_DOOMED)
        return; /* its refusal is already on its way */
    must(w->state == WAITER_WAITING);
    uint32_t model = w->model;
    dequeue(c, w);
    note_left(c, &c->models[model]);
    /* At once or not at all: its server had been there, and was dead. */
    dismiss(c, w, w->patience_ns ? REASON_WAIT_EXPIRED : REASON_BUSY);
    model_refresh(c, model);
}
