/* The step driver: records one fact, decides once, hands out what was decided. */
#include "core/core_priv.h"
#include "core/sched/sched.h"

#include <string.h>

/* To cache lines, as far as the memory itself is aligned: a waiter is two of them. */
static size_t align_line(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* The memory's layout, once: with base NULL it only counts. */
static size_t lay_out(struct core *c, char *base, const struct core_limits *l)
{
    size_t at = align_line(sizeof(struct core));
    uint32_t targets = l->models_max + l->leases_max;
    struct {
        void **place;
        size_t bytes;
    } parts[] = {
        {c ? (void **)&c->models : NULL, l->models_max * sizeof(struct model)},
        {c ? (void **)&c->targets : NULL, targets * sizeof(struct target)},
        {c ? (void **)&c->groups : NULL, l->groups_max * sizeof(struct core_group_policy)},
        {c ? (void **)&c->set_ends : NULL, l->sets_max * sizeof(uint32_t)},
        {c ? (void **)&c->set_members : NULL, l->set_members_max * sizeof(uint32_t)},
        {c ? (void **)&c->gates : NULL, l->gates_max * sizeof(struct gate)},
        {c ? (void **)&c->command_slots : NULL, l->commands_max * sizeof(struct command_waiting)},
        {c ? (void **)&c->waiters : NULL, l->waiters_max * sizeof(struct waiter)},
        {c ? (void **)&c->leases : NULL, l->leases_max * sizeof(struct lease)},
        {c ? (void **)&c->victims : NULL, targets * sizeof(struct victim)},
        {c ? (void **)&c->trial : NULL, targets * sizeof(struct victim)},
        {c ? (void **)&c->waiter_pool.gen : NULL, pool_bytes(l->waiters_max)},
        {c ? (void **)&c->lease_pool.gen : NULL, pool_bytes(l->leases_max)},
        {c ? (void **)&c->command_pool.gen : NULL, pool_bytes(l->commands_max)},
        {c ? (void **)&c->wants.items : NULL, heap_bytes(targets)},
        {c ? (void **)&c->deadlines.items : NULL, heap_bytes(deadline_slots(l))},
    };
    for (size_t i = 0; i < countof(parts); i++) {
        if (parts[i].place)
            *parts[i].place = base + at;
        at += align_line(parts[i].bytes);
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
    (void)seed; /* nothing is random; callers give one all the same, so that replays stay whole */
    c->limits = *limits;
    lay_out(c, mem, limits);
    pool_init(&c->waiter_pool, c->waiter_pool.gen, limits->waiters_max);
    pool_init(&c->lease_pool, c->lease_pool.gen, limits->leases_max);
    pool_init(&c->command_pool, c->command_pool.gen, limits->commands_max);
    heap_init(&c->wants, c->wants.items, limits->models_max + limits->leases_max);
    heap_init(&c->deadlines, c->deadlines.items, deadline_slots(limits));
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        c->devices[d].loader = c->devices[d].anchor = CORE_SLOT_NONE;
    list_init(&c->arrivals);
    list_init(&c->runnable);
    list_init(&c->doom);
    list_init(&c->active);
    list_init(&c->parked);
    list_init(&c->commands);
    list_init(&c->answers);
    return c;
}

struct effect *core_emit(struct core *c, enum effect_type type, uint32_t model)
{
    must(c->effect_count < EFFECTS_MAX);
    struct effect *e = &c->effects[c->effect_count++];
    *e = (struct effect){.type = type,
                         .model = model,
                         .other = CORE_SLOT_NONE,
                         .gate = CORE_SLOT_NONE,
                         .placement = CORE_SLOT_NONE,
                         .device = CORE_SLOT_NONE};
    return e;
}

struct effect *core_notice(struct core *c, enum notice notice, uint32_t model, enum reason why)
{
    struct effect *e = core_emit(c, EFFECT_NOTICE, model);
    e->notice = notice;
    e->reason = why;
    return e;
}

void core_effect_devices(struct effect *e, uint32_t devices)
{
    e->devices = devices;
    e->device = mask_first(devices);
}

bool core_has_room(struct core *c)
{
    if (c->effect_count + EFFECTS_MARGIN <= EFFECTS_MAX)
        return true;
    c->more = true;
    return false;
}

static void start_drain(struct core *c, uint64_t grace_ns, bool keep)
{
    c->drain_keeps = keep && (!c->draining || c->drain_keeps);
    if (!c->draining)
        for (uint32_t i = 0; i < c->model_count; i++) {
            queue_doom(c, i, REASON_SHUTDOWN);
            command_finish(c, i, COMMAND_LOAD, REASON_SHUTDOWN);
            command_finish(c, i, COMMAND_MOVE, REASON_SHUTDOWN);
        }
    /* Asked for again: what runs and what does not go by itself gets no more time. */
    c->drain_hurried = c->draining;
    c->draining = true;
    for (uint32_t i = 0; i < c->model_count; i++)
        model_refresh(c, i);
    deadline_set(c, deadline_drain(c), (struct mono){c->now.ns + grace_ns});
}

static void drain_model(struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    bool hurried = c->drain_hurried && c->drain_expired;
    if (c->backend_down[m->policy.backend])
        return; /* what it holds there stays */
    if (m->state == MODEL_LOADING && !m->op.escalated)
        op_abort_load(c, slot, REASON_SHUTDOWN);
    if (m->state == MODEL_SUSPENDED ||
        (m->state == MODEL_LOADED && (m->running.count == 0 || c->drain_expired)))
        op_start_unload(c, slot, REASON_SHUTDOWN);
    /* Where it moves or wakes, nobody wants it any more. */
    bool comes = m->op.kind == OP_MOVE || m->op.kind == OP_RESUME;
    if (comes || (m->op.kind != OP_NONE && m->op.kind != OP_LOAD && hurried))
        op_kill(c, slot);
}

/* Brings everything down, as far as this step's effects reach. */
static void advance_drain(struct core *c)
{
    uint32_t resident = 0;
    lease_refuse_waiting(c);
    for (uint32_t i = 0; i < c->model_count && c->drain_keeps && !c->drain_hurried; i++)
        resident += c->models[i].op.kind != OP_NONE && c->models[i].op.kind != OP_LOAD &&
                    !c->backend_down[c->models[i].policy.backend];
    for (uint32_t i = 0; i < c->model_count && !c->drain_keeps && core_has_room(c); i++) {
        drain_model(c, i);
        resident += model_resident(&c->models[i]) && c->models[i].state != MODEL_STUCK &&
                    !c->backend_down[c->models[i].policy.backend];
    }
    if (resident || c->more || c->drained || c->doom.count || c->answers.count)
        return;
    if (c->running_count > 0 && !c->drain_expired)
        return;
    c->drained = true;
    core_notice(c, NOTICE_DRAINED, CORE_SLOT_NONE, REASON_SHUTDOWN);
}

static void learn(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->learned.model, placement = ev->learned.placement;
    must(placement < CORE_PLACEMENTS_MAX);
    if (slot >= c->model_count) {
        c->stale_ids++;
        return;
    }
    struct model *m = &c->models[slot];
    if (ev->type == EVENT_FOOTPRINT) {
        m->estimated_bytes[placement] = ev->learned.bytes;
    } else {
        m->learned_bytes[placement] = ev->learned.bytes;
        m->load_ns_mean[placement] = ev->learned.load_ns;
        if (ev->learned.residue_bytes)
            m->residue_bytes = ev->learned.residue_bytes;
    }
    c->targets[slot].plan.stale = true;
    c->version++;
}

static void on_config(struct core *c, const struct event *ev)
{
    reload_apply(c, ev->config);
}

static void on_mode(struct core *c, const struct event *ev)
{
    mode_set(c, ev->mode.wishes, ev->mode.count);
}

static void on_boot_done(struct core *c, const struct event *ev)
{
    (void)ev;
    c->booted = c->sweep = true;
    c->version++;
    for (uint32_t i = 0; i < c->model_count; i++)
        model_refresh(c, i);
}

static void on_tick(struct core *c, const struct event *ev)
{
    (void)ev;
    deadline_run_due(c);
}

static void on_ended(struct core *c, const struct event *ev)
{
    queue_end(c, ev->ended.waiter, ev->ended.how);
}

static void on_bounced(struct core *c, const struct event *ev)
{
    queue_bounce(c, ev->ended.waiter);
}

static void on_quiet(struct core *c, const struct event *ev)
{
    queue_quiet(c, ev->quiet.waiter, ev->quiet.quiet);
}

static void on_renewed(struct core *c, const struct event *ev)
{
    lease_renew(c, ev->lease_id.lease);
}

static void on_lease_ended(struct core *c, const struct event *ev)
{
    lease_end(c, ev->lease_id.lease);
}

static void on_lease_remains(struct core *c, const struct event *ev)
{
    lease_remains(c, ev->lease_id.lease);
}

static void on_backend_down(struct core *c, const struct event *ev)
{
    backend_down(c, ev->backend.backend);
}

static void on_backend_up(struct core *c, const struct event *ev)
{
    backend_up(c, ev->backend.backend);
}

static void on_found(struct core *c, const struct event *ev)
{
    ledger_device_found(c, ev->found.device, ev->found.total_bytes);
}

static void on_lost(struct core *c, const struct event *ev)
{
    ledger_device_lost(c, ev->found.device);
}

static void on_cancelled(struct core *c, const struct event *ev)
{
    command_cancel(c, ev->command.tag);
}

static void on_foreseen(struct core *c, const struct event *ev)
{
    must(ev->foreseen.model < c->model_count);
    c->models[ev->foreseen.model].foreseen = core_clock(c, ev->foreseen.at);
}

static void on_drain(struct core *c, const struct event *ev)
{
    start_drain(c, ev->drain.grace_ns, ev->drain.keep);
}

static void (*const handlers[])(struct core *c, const struct event *ev) = {
    [EVENT_CONFIG] = on_config,
    [EVENT_MODE] = on_mode,
    [EVENT_LEARNED] = learn,
    [EVENT_FOOTPRINT] = learn,
    [EVENT_MODEL_ADOPTED] = op_on_adopted,
    [EVENT_LEASE_RESTORED] = lease_restore,
    [EVENT_BOOT_DONE] = on_boot_done,
    [EVENT_TICK] = on_tick,
    [EVENT_REQUEST_ARRIVED] = queue_arrive,
    [EVENT_REQUEST_ENDED] = on_ended,
    [EVENT_REQUEST_BOUNCED] = on_bounced,
    [EVENT_REQUEST_QUIET] = on_quiet,
    [EVENT_LEASE_ASKED] = lease_ask,
    [EVENT_LEASE_RENEWED] = on_renewed,
    [EVENT_LEASE_ENDED] = on_lease_ended,
    [EVENT_LEASE_REMAINS] = on_lease_remains,
    [EVENT_MODEL_LOADED] = op_on_loaded,
    [EVENT_MODEL_LOAD_FAILED] = op_on_load_failed,
    [EVENT_MODEL_UNLOADED] = op_on_unloaded,
    [EVENT_MODEL_MOVED] = op_on_moved,
    [EVENT_MODEL_SUSPENDED] = op_on_suspended,
    [EVENT_MODEL_RESUMED] = op_on_resumed,
    [EVENT_MODEL_EXITED] = op_on_exited,
    [EVENT_UPSTREAM_BROKEN] = op_on_broken,
    [EVENT_BACKEND_DOWN] = on_backend_down,
    [EVENT_BACKEND_UP] = on_backend_up,
    [EVENT_DEVICE_FOUND] = on_found,
    [EVENT_DEVICE_LOST] = on_lost,
    [EVENT_DEVICE_SAMPLE] = ledger_sample,
    [EVENT_COMMAND] = command_start,
    [EVENT_COMMAND_CANCELLED] = on_cancelled,
    [EVENT_FORESEEN] = on_foreseen,
    [EVENT_DRAIN] = on_drain,
};
_Static_assert(countof(handlers) == EVENT__COUNT, "a handler for each event");

struct mono core_clock(const struct core *c, struct mono t)
{
    return t.ns == UINT64_MAX ? t : (struct mono){minus(t.ns, c->gap_ns)};
}

struct mono core_time(const struct core *c, struct mono t)
{
    return t.ns ? (struct mono){t.ns + c->gap_ns} : t;
}

struct mono core_since(const struct core *c, struct mono t)
{
    struct mono since = t.ns ? core_clock(c, t) : c->now;
    return since.ns < c->now.ns ? since : c->now;
}

static void set_clock(struct core *c, const struct event *ev)
{
    must(ev->now.ns >= core_time(c, c->now).ns);
    uint64_t passed = ev->now.ns - core_time(c, c->now).ns;
    if (ev->type == EVENT_TICK)
        c->gap_ns += ev->tick.gap_ns < passed ? ev->tick.gap_ns : passed;
    c->now = core_clock(c, ev->now);
}

struct effects core_step(struct core *c, const struct event *ev)
{
    must(!c->stepping);
    c->stepping = true;
    set_clock(c, ev);
    c->effect_count = 0;
    c->more = false;
    must(ev->type < EVENT__COUNT);
    handlers[ev->type](c, ev);
    bool recorded = !c->more; /* else the fact is not whole yet: the next step decides */
    command_drain_answers(c);
    queue_drain_doomed(c);
    if (c->sweep)
        reload_sweep(c);
    if (c->booted && !c->draining && recorded) {
        mode_advance(c);
        transition_advance_all(c);
        sched_dispatch(c);
    }
    queue_report_wait(c);
    if (c->draining)
        advance_drain(c);
    c->stepping = false;
    /* What was decided may be due at once: a revocation without grace. */
    bool due = ev->type == EVENT_TICK && deadline_due(c);
    bool more = c->more || c->sweep || c->doom.count || c->answers.count || due;
    return (struct effects){c->effects, c->effect_count, more};
}

bool core_deadline(const struct core *c, struct mono *ret_at)
{
    const struct heap_item *first = heap_peek(&c->deadlines);
    if (!first)
        return false;
    *ret_at = core_time(c, (struct mono){first->key.major});
    return true;
}
