/* The step driver: records one fact, decides once, hands out what was decided. */
#include "core/core_priv.h"

#include <string.h>

static size_t align16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

static uint32_t deadline_slots(const struct core_limits *l)
{
    return l->models_max * DEADLINE__PER_MODEL + l->waiters_max + 1;
}

/* The memory's layout, once: with base NULL it only counts. */
static size_t lay_out(struct core *c, char *base, const struct core_limits *l)
{
    size_t at = align16(sizeof(struct core));
    struct {
        void **place;
        size_t bytes;
    } parts[] = {
        {c ? (void **)&c->models : NULL, l->models_max * sizeof(struct model)},
        {c ? (void **)&c->groups : NULL, l->groups_max * sizeof(struct core_group_policy)},
        {c ? (void **)&c->gates : NULL, l->gates_max * sizeof(struct gate)},
        {c ? (void **)&c->command_slots : NULL, l->commands_max * sizeof(struct command_waiting)},
        {c ? (void **)&c->waiters : NULL, l->waiters_max * sizeof(struct waiter)},
        {c ? (void **)&c->victims : NULL, l->models_max * sizeof(uint32_t)},
        {c ? (void **)&c->waiter_pool.gen : NULL, pool_bytes(l->waiters_max)},
        {c ? (void **)&c->command_pool.gen : NULL, pool_bytes(l->commands_max)},
        {c ? (void **)&c->wants.items : NULL, heap_bytes(l->models_max)},
        {c ? (void **)&c->deadlines.items : NULL, heap_bytes(deadline_slots(l))},
    };
    for (size_t i = 0; i < countof(parts); i++) {
        if (parts[i].place)
            *parts[i].place = base + at;
        at += align16(parts[i].bytes);
    }
    return at;
}

size_t core_size(const struct core_limits *limits)
{
    return lay_out(NULL, NULL, limits);
}

struct core *core_init(void *mem, const struct core_limits *limits, uint64_t seed)
{
    struct core *c = mem;
    (void)seed; /* nothing is random yet; callers already give one, so that replays stay whole */
    c->limits = *limits;
    lay_out(c, mem, limits);
    pool_init(&c->waiter_pool, c->waiter_pool.gen, limits->waiters_max);
    pool_init(&c->command_pool, c->command_pool.gen, limits->commands_max);
    heap_init(&c->wants, c->wants.items, limits->models_max);
    heap_init(&c->deadlines, c->deadlines.items, deadline_slots(limits));
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        c->devices[d].loader = CORE_SLOT_NONE;
    list_init(&c->arrivals);
    list_init(&c->runnable);
    list_init(&c->doom);
    list_init(&c->active);
    list_init(&c->commands);
    list_init(&c->answers);
    return c;
}

struct effect *core_emit(struct core *c, enum effect_type type, uint32_t model)
{
    must(c->effect_count < EFFECTS_MAX);
    struct effect *e = &c->effects[c->effect_count++];
    *e = (struct effect){
        .type = type, .model = model, .other = CORE_SLOT_NONE, .device = CORE_SLOT_NONE};
    return e;
}

struct effect *core_notice(struct core *c, enum notice notice, uint32_t model, enum reason why)
{
    struct effect *e = core_emit(c, EFFECT_NOTICE, model);
    e->notice = notice;
    e->reason = why;
    return e;
}

bool core_has_room(struct core *c)
{
    if (c->effect_count + EFFECTS_MARGIN <= EFFECTS_MAX)
        return true;
    c->more = true;
    return false;
}

void core_set_deadline(struct core *c, uint32_t slot, struct mono at)
{
    heap_set(&c->deadlines, slot, (struct heap_key){at.ns, ++c->seq});
}

uint32_t core_deadline_waiter(const struct core *c, uint32_t waiter_slot)
{
    return c->limits.models_max * DEADLINE__PER_MODEL + waiter_slot;
}

uint32_t core_deadline_drain(const struct core *c)
{
    return c->deadlines.slots_max - 1;
}

bool core_find_waiter(struct core *c, struct id id, struct waiter **ret)
{
    if (!pool_alive(&c->waiter_pool, id)) {
        c->stale_ids++;
        return false;
    }
    *ret = &c->waiters[id.slot];
    return true;
}

/* Time in which the daemon stood still counts against nobody. */
static void shift_deadlines(struct core *c, uint64_t gap_ns)
{
    for (uint32_t i = 0; i < c->deadlines.count; i++)
        c->deadlines.items[i].key.major += gap_ns;
}

static void run_deadlines(struct core *c)
{
    const struct heap_item *due;
    uint32_t drain = core_deadline_drain(c);
    while ((due = heap_peek(&c->deadlines)) && due->key.major <= c->now.ns && core_has_room(c)) {
        uint32_t slot = due->slot;
        heap_remove(&c->deadlines, slot);
        if (slot == drain)
            c->drain_expired = true;
        else if (slot >= c->limits.models_max * DEADLINE__PER_MODEL)
            queue_expire(c, slot - c->limits.models_max * DEADLINE__PER_MODEL);
        else
            model_run_deadline(c, slot / DEADLINE__PER_MODEL,
                               (enum deadline)(slot % DEADLINE__PER_MODEL));
    }
}

static void start_drain(struct core *c, uint64_t grace_ns)
{
    if (!c->draining)
        for (uint32_t i = 0; i < c->model_count; i++) {
            queue_doom(c, i, REASON_SHUTDOWN);
            command_finish(c, i, true, REASON_SHUTDOWN);
        }
    /* Asked for again: what runs and what does not go by itself gets no more time. */
    c->drain_hurried = c->draining;
    c->draining = true;
    for (uint32_t i = 0; i < c->model_count; i++)
        model_refresh(c, i);
    core_set_deadline(c, core_deadline_drain(c), (struct mono){c->now.ns + grace_ns});
}

/* Brings everything down, as far as this step's effects reach. */
static void advance_drain(struct core *c)
{
    uint32_t resident = 0;
    lease_refuse_waiting(c);
    for (uint32_t i = 0; i < c->model_count && core_has_room(c); i++) {
        struct model *m = &c->models[i];
        if (m->state == MODEL_LOADING && !m->op.escalated)
            model_abort_load(c, i, REASON_SHUTDOWN);
        if (m->state == MODEL_LOADED && (m->running.count == 0 || c->drain_expired))
            model_start_unload(c, i, REASON_SHUTDOWN);
        if (m->state == MODEL_UNLOADING && c->drain_hurried && c->drain_expired)
            model_kill(c, i);
        resident += model_resident(m) && m->state != MODEL_STUCK;
    }
    if (resident || c->more || c->drained || c->doom.count || c->answers.count)
        return;
    if (c->running_count > 0 && !c->drain_expired)
        return;
    c->drained = true;
    core_notice(c, NOTICE_DRAINED, CORE_SLOT_NONE, REASON_SHUTDOWN);
}

static void record(struct core *c, const struct event *ev)
{
    switch (ev->type) {
    case EVENT_CONFIG:
        reload_apply(c, ev->config);
        break;
    case EVENT_BOOT_DONE:
        c->booted = true;
        c->version++;
        break;
    case EVENT_TICK:
        shift_deadlines(c, ev->tick.gap_ns);
        run_deadlines(c);
        break;
    case EVENT_REQUEST_ARRIVED:
        queue_arrive(c, ev);
        break;
    case EVENT_REQUEST_ENDED:
    case EVENT_LEASE_ENDED:
        queue_end(c, ev->ended.waiter, ev->ended.how);
        break;
    case EVENT_REQUEST_BOUNCED:
        queue_bounce(c, ev->ended.waiter);
        break;
    case EVENT_LEASE_ASKED:
        lease_ask(c, ev);
        break;
    case EVENT_MODEL_LOADED:
        model_on_loaded(c, ev);
        break;
    case EVENT_MODEL_LOAD_FAILED:
        model_on_load_failed(c, ev);
        break;
    case EVENT_MODEL_UNLOADED:
        model_on_unloaded(c, ev);
        break;
    case EVENT_MODEL_EXITED:
        model_on_exited(c, ev);
        break;
    case EVENT_UPSTREAM_BROKEN:
        model_on_broken(c, ev);
        break;
    case EVENT_DEVICE_FOUND:
        must(ev->found.device < CORE_DEVICES_MAX);
        ledger_device_found(c, ev->found.device, ev->found.total_bytes);
        break;
    case EVENT_DEVICE_LOST:
        must(ev->found.device < CORE_DEVICES_MAX);
        c->devices[ev->found.device].present = false;
        c->version++;
        break;
    case EVENT_DEVICE_SAMPLE:
        ledger_sample(c, ev);
        break;
    case EVENT_COMMAND:
        command_start(c, ev);
        break;
    case EVENT_COMMAND_CANCELLED:
        command_cancel(c, ev->command.tag);
        break;
    case EVENT_DRAIN:
        start_drain(c, ev->drain.grace_ns);
        break;
    case EVENT__COUNT:
        never("not an event");
    }
}

struct effects core_step(struct core *c, const struct event *ev)
{
    must(!c->stepping);
    must(ev->now.ns >= c->now.ns);
    c->stepping = true;
    c->now = ev->now;
    c->effect_count = 0;
    c->more = false;
    record(c, ev);
    command_drain_answers(c);
    queue_drain_doomed(c);
    if (c->sweep)
        reload_sweep(c);
    if (c->booted && !c->draining) {
        transition_advance_all(c);
        sched_dispatch(c);
    }
    queue_report_wait(c);
    if (c->draining)
        advance_drain(c);
    c->stepping = false;
    return (struct effects){c->effects, c->effect_count, c->more || c->sweep};
}

bool core_deadline(const struct core *c, struct mono *ret_at)
{
    const struct heap_item *first = heap_peek(&c->deadlines);
    if (!first)
        return false;
    *ret_at = (struct mono){first->key.major};
    return true;
}
