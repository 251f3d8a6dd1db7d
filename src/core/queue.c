/* The one queue: who waits, who was granted, who left. */
#include "core/core_priv.h"

/* Refusals and waits carry an estimate within these bounds. */
#define RETRY_S_MIN 1
#define RETRY_S_MAX 600

static uint32_t waiter_slot(const struct core *c, const struct waiter *w)
{
    return (uint32_t)(w - c->waiters);
}

static struct waiter *link_waiter(struct link *n)
{
    return list_entry(n, struct waiter, link);
}

struct waiter *queue_head(const struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    for (int class = 0; class < CLASS__COUNT; class ++)
        if (m->waiting[class].count)
            return link_waiter(list_first(&m->waiting[class]));
    return NULL;
}

/* What is left of the load, or a whole one, and the work ahead shared by the slots. */
uint32_t queue_estimate_s(const struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    uint64_t load = m->load_ns_mean ? m->load_ns_mean
                                    : 2 * NS_PER_S + m->policy.bytes; /* 1 GB/s: a byte a ns */
    uint64_t serve = m->serve_ns_mean ? m->serve_ns_mean : NS_PER_S;
    uint32_t slots = m->policy.slots_max ? m->policy.slots_max : 1;
    uint64_t rounds = (m->waiting_count + m->running.count + slots) / slots;
    uint64_t ns = rounds * serve;
    if (m->state == MODEL_LOADING) {
        uint64_t done = c->now.ns - m->op.started.ns;
        ns += load > done ? load - done : 0;
    } else if (m->state != MODEL_LOADED) {
        ns += load;
    }
    uint64_t s = (ns + NS_PER_S - 1) / NS_PER_S;
    return (uint32_t)(s < RETRY_S_MIN ? RETRY_S_MIN : s > RETRY_S_MAX ? RETRY_S_MAX : s);
}

static struct effect *refuse(struct core *c, uint64_t tag, uint32_t model, enum reason why)
{
    struct effect *e = core_emit(c, EFFECT_REFUSE, model);
    e->tag = tag;
    e->reason = why;
    if (model < c->model_count) {
        const struct model *m = &c->models[model];
        e->bytes = m->policy.bytes;
        e->retry_after_s = queue_estimate_s(c, model);
        const struct heap_item *pause =
            heap_find(&c->deadlines, deadline_slot(model, DEADLINE_ERROR));
        if (pause && pause->key.major > c->now.ns)
            e->retry_after_s = (uint32_t)((pause->key.major - c->now.ns) / NS_PER_S + 1);
    }
    return e;
}

static void release(struct core *c, struct waiter *w)
{
    uint32_t slot = waiter_slot(c, w);
    heap_remove(&c->deadlines, core_deadline_waiter(c, slot));
    pool_put(&c->waiter_pool, slot);
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
    if (m->state == MODEL_ERROR)
        return REASON_PAUSED;
    if (m->state == MODEL_STUCK)
        return REASON_STUCK;
    return REASON_NONE;
}

/* Who is served at once does not wait, and needs no place in the queue. */
static bool served_at_once(const struct core *c, const struct model *m)
{
    if (c->sched == SCHEDULER_SERIAL && (c->running_count || c->arrivals.count))
        return false;
    return model_admits(c, m) && m->running.count < m->policy.slots_max && !m->waiting_count;
}

static enum reason refusal_at_door(const struct core *c, uint32_t model)
{
    enum reason why = refusal_of_model(c, model);
    if (why != REASON_NONE)
        return why;
    const struct model *m = &c->models[model];
    if (m->waiting_count >= m->policy.queue_max && !served_at_once(c, m))
        return REASON_QUEUE_FULL;
    return REASON_NONE;
}

static void enqueue(struct core *c, struct waiter *w)
{
    struct model *m = &c->models[w->model];
    list_push(&m->waiting[w->class], &w->link);
    list_push(&c->arrivals, &w->order);
    m->waiting_count++;
    heap_remove(&c->deadlines, deadline_slot(w->model, DEADLINE_IDLE));
}

static void dequeue(struct core *c, struct waiter *w)
{
    struct model *m = &c->models[w->model];
    list_remove(&m->waiting[w->class], &w->link);
    list_remove(&c->arrivals, &w->order);
    must(m->waiting_count > 0);
    m->waiting_count--;
}

void queue_arrive(struct core *c, const struct event *ev)
{
    uint32_t model = ev->request.model;
    enum reason why = refusal_at_door(c, model);
    struct id id;
    if (why == REASON_NONE && !pool_get(&c->waiter_pool, &id))
        why = REASON_QUEUE_FULL;
    if (why != REASON_NONE) {
        refuse(c, ev->request.tag, model, why);
        return;
    }
    struct waiter *w = &c->waiters[id.slot];
    *w = (struct waiter){.kind = WAITER_REQUEST,
                         .class = ev->request.class,
                         .model = model,
                         .tag = ev->request.tag,
                         .seq = ++c->seq,
                         .since = c->now};
    enqueue(c, w);
    if (ev->request.wait_ns_max != UINT64_MAX)
        core_set_deadline(c, core_deadline_waiter(c, id.slot),
                          (struct mono){c->now.ns + ev->request.wait_ns_max});
    c->arrived = id;
    model_refresh(c, model);
}

void queue_report_wait(struct core *c)
{
    struct id id = c->arrived;
    c->arrived = (struct id){0};
    if (id_none(id) || !pool_alive(&c->waiter_pool, id))
        return;
    const struct waiter *w = &c->waiters[id.slot];
    if (w->state != WAITER_WAITING)
        return;
    struct effect *e = core_emit(c, EFFECT_WAIT, w->model);
    e->waiter = id;
    e->tag = w->tag;
    /* It is the last of its class, and under serial the last of all. */
    for (int class = 0; class <= (int)w->class; class ++)
        e->position += c->models[w->model].waiting[class].count;
    if (c->sched == SCHEDULER_SERIAL)
        e->position = c->arrivals.count;
    e->retry_after_s = queue_estimate_s(c, w->model);
}

void queue_grant(struct core *c, uint32_t slot)
{
    struct waiter *w = &c->waiters[slot];
    struct model *m = &c->models[w->model];
    must(w->state == WAITER_WAITING && model_admits(c, m));
    must(m->running.count < m->policy.slots_max);
    dequeue(c, w);
    heap_remove(&c->deadlines, core_deadline_waiter(c, slot));
    w->state = WAITER_GRANTED;
    w->granted = c->now;
    list_push(&m->running, &w->link);
    c->running_count++;
    m->last_used = c->now;
    struct effect *e = core_emit(c, EFFECT_GRANT, w->model);
    e->waiter = pool_id(&c->waiter_pool, slot);
    e->tag = w->tag;
    e->duration_ns = c->now.ns - w->since.ns;
    model_refresh(c, w->model);
}

void queue_grant_head(struct core *c, uint32_t model)
{
    struct waiter *w = queue_head(c, model);
    must(w != NULL);
    queue_grant(c, waiter_slot(c, w));
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
    must(c->running_count > 0);
    c->running_count--;
    m->last_used = c->now;
    if (how == ENDED_DONE)
        m->serve_ns_mean = m->serve_ns_mean ? (m->serve_ns_mean * 7 + took) / 8 : took + 1;
    if (m->running.count == 0)
        c->version++;
    leave_removed(c, m);
}

void queue_end(struct core *c, struct id id, enum ended how)
{
    struct waiter *w;
    if (!core_find_waiter(c, id, &w))
        return;
    if (w->kind == WAITER_LEASE) {
        lease_end(c, id.slot);
        release(c, w);
        return;
    }
    uint32_t model = w->model;
    switch (w->state) {
    case WAITER_WAITING:
        dequeue(c, w);
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
}

void queue_bounce(struct core *c, struct id id)
{
    struct waiter *w;
    if (!core_find_waiter(c, id, &w))
        return;
    must(w->kind == WAITER_REQUEST && w->state == WAITER_GRANTED && !w->bounced);
    uint32_t model = w->model;
    end_running(c, w, ENDED_CUT);
    w->bounced = true;
    w->state = WAITER_WAITING;
    enum reason why = refusal_of_model(c, model);
    if (why != REASON_NONE)
        dismiss(c, w, why);
    else
        enqueue_in_place(c, w);
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

void queue_refuse_all(struct core *c, uint32_t model, enum reason why)
{
    queue_doom(c, model, why);
    command_finish(c, model, true, why);
    command_drain_answers(c);
    queue_drain_doomed(c);
}

void queue_expire(struct core *c, uint32_t slot)
{
    struct waiter *w = &c->waiters[slot];
    must(w->kind == WAITER_REQUEST);
    if (w->state == WAITER_DOOMED)
        return; /* its refusal is already on its way */
    must(w->state == WAITER_WAITING);
    uint32_t model = w->model;
    dequeue(c, w);
    dismiss(c, w, REASON_WAIT_EXPIRED);
    model_refresh(c, model);
}
