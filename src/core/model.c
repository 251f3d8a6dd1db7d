/* Models: the state table with its one mover, ops, and where a model belongs. */
#include "core/core_priv.h"

/* A failed load leaves the model alone for 1, 2, 4 … 60 s. */
#define PAUSE_MAX (60 * NS_PER_S)
/* An unloaded model's bytes count as taken until a sample shows otherwise, or this long. */
#define SETTLE_NS_MAX (3 * NS_PER_S)

static const struct {
    bool resident, settled;
} states[MODEL__COUNT] = {
#define STATE(name, text, resident, settled) [MODEL_##name] = {resident, settled},
#include "states.def"
#undef STATE
};

/* clang-format off */
static const bool allowed[MODEL__COUNT][MODEL__COUNT] = {
    [MODEL_UNLOADED]  = {[MODEL_LOADING] = true},
    [MODEL_LOADING]   = {[MODEL_LOADED] = true, [MODEL_UNLOADED] = true, [MODEL_ERROR] = true},
    [MODEL_LOADED]    = {[MODEL_UNLOADING] = true, [MODEL_UNLOADED] = true},
    [MODEL_UNLOADING] = {[MODEL_UNLOADED] = true, [MODEL_STUCK] = true},
    [MODEL_ERROR]     = {[MODEL_UNLOADED] = true},
    [MODEL_STUCK]     = {[MODEL_UNLOADED] = true},
};
/* clang-format on */

void model_init(struct model *m)
{
    *m = (struct model){.victim_of = CORE_SLOT_NONE, .device = CORE_SLOT_NONE};
    for (int class = 0; class < CLASS__COUNT; class ++)
        list_init(&m->waiting[class]);
    list_init(&m->running);
    list_init(&m->doomed);
}

bool model_resident(const struct model *m)
{
    return states[m->state].resident;
}

void model_set_state(struct core *c, uint32_t slot, enum model_state to, enum reason why)
{
    struct model *m = &c->models[slot];
    must(allowed[m->state][to]);
    if (!states[m->state].settled) {
        must(c->ops_open > 0);
        c->ops_open--;
    }
    if (!states[to].settled)
        c->ops_open++;
    m->state = to;
    m->reason = why;
    m->state_since = c->now;
    c->version++;
}

bool model_admits(const struct core *c, const struct model *m)
{
    return m->state == MODEL_LOADED && m->victim_of == CORE_SLOT_NONE && !m->leaving && c->booted &&
           !c->draining;
}

/* Lower comes first: rank, then priority, then arrival. A command counts as foreground. */
static struct heap_key want_key(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    const struct waiter *head = queue_head(c, slot);
    enum class class = head ? head->class : CLASS_FOREGROUND;
    uint64_t seq = head ? head->seq : 0;
    uint64_t priority = (uint64_t)((int64_t)INT32_MAX - m->policy.priority);
    return (struct heap_key){((uint64_t) class << 33) | priority, seq};
}

/* A model that is leaving goes as soon as nothing runs, and as there is room for the orders. */
static void leave_now(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    bool loading = m->state == MODEL_LOADING && !m->op.escalated;
    if (!loading && !(m->state == MODEL_LOADED && m->running.count == 0))
        return;
    if (!core_has_room(c))
        c->sweep = true;
    else if (loading)
        model_abort_load(c, slot, m->leaving_why);
    else
        model_start_unload(c, slot, m->leaving_why);
}

void model_refresh(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    bool admits = model_admits(c, m);
    bool runnable = admits && m->waiting_count && m->running.count < m->policy.slots_max;
    if (runnable && !link_linked(&m->runnable))
        list_push(&c->runnable, &m->runnable);
    if (!runnable && link_linked(&m->runnable))
        list_remove(&c->runnable, &m->runnable);

    bool wanted = (m->waiting_count || m->loads_wanted) && m->state == MODEL_UNLOADED &&
                  !m->settling && !m->plan.active && !c->draining && !m->removed;
    if (wanted && !heap_has(&c->wants, slot))
        c->version++;
    if (wanted)
        heap_set(&c->wants, slot, want_key(c, slot));
    else
        heap_remove(&c->wants, slot);
    if (!wanted && !m->plan.active)
        m->plan.growths = 0;

    bool idle = admits && m->policy.ttl_ns && !m->waiting_count && !m->running.count;
    uint32_t idle_slot = deadline_slot(slot, DEADLINE_IDLE);
    if (!idle)
        heap_remove(&c->deadlines, idle_slot);
    else if (!heap_has(&c->deadlines, idle_slot))
        core_set_deadline(c, idle_slot, (struct mono){m->last_used.ns + m->policy.ttl_ns});

    if (m->leaving)
        leave_now(c, slot);
}

static void start_op(struct core *c, uint32_t slot, enum op_kind kind, enum reason why)
{
    struct model *m = &c->models[slot];
    must(m->op.kind == OP_NONE);
    m->op = (struct op){.kind = kind, .id = ++c->op_id, .started = c->now, .why = why};
    uint64_t limit = kind == OP_LOAD ? m->policy.load_ns_max : m->policy.unload_ns_max;
    core_set_deadline(c, deadline_slot(slot, DEADLINE_OP), (struct mono){c->now.ns + limit});
    struct effect *e = core_emit(c, kind == OP_LOAD ? EFFECT_LOAD : EFFECT_UNLOAD, slot);
    e->op = m->op.id;
    e->reason = why;
    e->device = m->device;
    e->bytes = m->charged_bytes;
}

void model_start_load(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    must(!m->settling && m->plan.active);
    if (m->plan.device != CORE_SLOT_NONE)
        ledger_charge(c, slot, m->plan.device, m->plan.bytes);
    enum reason why = m->waiting_count ? REASON_DEMAND : REASON_COMMAND;
    model_set_state(c, slot, MODEL_LOADING, why);
    struct effect *e = core_notice(c, NOTICE_MODEL_LOADING, slot, why);
    e->device = m->device;
    e->bytes = m->charged_bytes;
    start_op(c, slot, OP_LOAD, why);
    model_refresh(c, slot);
}

void model_start_unload(struct core *c, uint32_t slot, enum reason why)
{
    struct model *m = &c->models[slot];
    must(m->state == MODEL_LOADED);
    model_set_state(c, slot, MODEL_UNLOADING, why);
    core_notice(c, NOTICE_MODEL_UNLOADING, slot, why);
    start_op(c, slot, OP_UNLOAD, why);
    model_refresh(c, slot);
}

void model_abort_load(struct core *c, uint32_t slot, enum reason why)
{
    struct model *m = &c->models[slot];
    must(m->state == MODEL_LOADING && m->op.kind == OP_LOAD);
    if (m->op.escalated)
        return;
    m->op.escalated = true;
    m->op.why = why;
    heap_remove(&c->deadlines, deadline_slot(slot, DEADLINE_OP));
    struct effect *e = core_emit(c, EFFECT_ABORT, slot);
    e->op = m->op.id;
    e->reason = why;
}

void model_leave(struct core *c, uint32_t slot, enum reason why)
{
    struct model *m = &c->models[slot];
    m->leaving = true;
    m->leaving_why = why;
    model_refresh(c, slot);
}

/* The op that the completion names, or false: late, or of an earlier life. */
static bool take_op(struct core *c, const struct event *ev, enum op_kind kind, struct op *ret)
{
    uint32_t slot = ev->model.model;
    if (slot >= c->model_count || c->models[slot].op.kind != kind ||
        c->models[slot].op.id != ev->model.op) {
        c->stale_ids++;
        return false;
    }
    *ret = c->models[slot].op;
    c->models[slot].op = (struct op){0};
    heap_remove(&c->deadlines, deadline_slot(slot, DEADLINE_OP));
    return true;
}

void model_on_loaded(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take_op(c, ev, OP_LOAD, &op))
        return;
    struct model *m = &c->models[slot];
    uint64_t took = c->now.ns - op.started.ns;
    model_set_state(c, slot, MODEL_LOADED, op.why);
    transition_end(c, slot);
    m->last_used = c->now;
    struct effect *e = core_notice(c, NOTICE_MODEL_LOADED, slot, op.why);
    e->duration_ns = took;
    e->bytes = m->charged_bytes;
    e->device = m->device;
    if (op.escalated) {
        /* LOADED crossed the abort on its way: what was called off still has to go. */
        model_start_unload(c, slot, op.why);
        return;
    }
    m->failures = 0;
    m->load_ns_mean = m->load_ns_mean ? (m->load_ns_mean * 3 + took) / 4 : took + 1;
    command_finish(c, slot, true, REASON_NONE);
    model_refresh(c, slot);
}

/* What follows from being gone, whatever the way. */
static void on_gone(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    m->leaving = false;
    heap_remove(&c->deadlines, deadline_slot(slot, DEADLINE_IDLE));
    ledger_release(c, slot);
    if (m->settling)
        core_set_deadline(c, deadline_slot(slot, DEADLINE_SETTLE),
                          (struct mono){c->now.ns + SETTLE_NS_MAX});
    command_finish(c, slot, false, REASON_NONE);
    transition_victim_gone(c, slot);
    reload_take_next(c, slot);
}

static void pause_model(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    uint64_t pause = NS_PER_S;
    for (uint32_t i = 0; i < m->failures && pause < PAUSE_MAX; i++)
        pause *= 2;
    m->failures++;
    core_set_deadline(c, deadline_slot(slot, DEADLINE_ERROR),
                      (struct mono){c->now.ns + (pause < PAUSE_MAX ? pause : PAUSE_MAX)});
}

void model_on_load_failed(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take_op(c, ev, OP_LOAD, &op))
        return;
    bool called_off = op.escalated && op.why != REASON_LOAD_TIMEOUT;
    enum reason why = op.escalated ? op.why : ev->model.why;
    transition_end(c, slot);
    model_set_state(c, slot, called_off ? MODEL_UNLOADED : MODEL_ERROR, why);
    if (called_off) {
        core_notice(c, NOTICE_MODEL_UNLOADED, slot, why);
    } else {
        core_notice(c, NOTICE_LOAD_FAILED, slot, why)->duration_ns = c->now.ns - op.started.ns;
        pause_model(c, slot);
        queue_doom(c, slot, why);
        command_finish(c, slot, true, why);
    }
    on_gone(c, slot);
    model_refresh(c, slot);
}

void model_on_unloaded(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take_op(c, ev, OP_UNLOAD, &op))
        return;
    struct model *m = &c->models[slot];
    if (ev->model.stuck) {
        uint32_t target = m->victim_of;
        model_set_state(c, slot, MODEL_STUCK, op.why);
        core_notice(c, NOTICE_STUCK, slot, op.why);
        queue_doom(c, slot, REASON_STUCK);
        command_finish(c, slot, false, REASON_STUCK);
        command_finish(c, slot, true, REASON_STUCK);
        if (target != CORE_SLOT_NONE) {
            transition_victim_gone(c, slot);
            /* Those that come while the other victims leave need a plan that knows of this. */
            c->models[target].plan.stale = true;
            queue_doom(c, target, REASON_STUCK);
            command_finish(c, target, true, REASON_STUCK);
        }
        return;
    }
    model_set_state(c, slot, MODEL_UNLOADED, op.why);
    core_notice(c, NOTICE_MODEL_UNLOADED, slot, op.why)->duration_ns = c->now.ns - op.started.ns;
    on_gone(c, slot);
    model_refresh(c, slot);
}

void model_on_exited(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->model.model;
    if (slot >= c->model_count || c->models[slot].op.kind != OP_NONE ||
        !model_resident(&c->models[slot])) {
        c->stale_ids++;
        return;
    }
    model_set_state(c, slot, MODEL_UNLOADED, REASON_EXITED);
    core_notice(c, NOTICE_MODEL_UNLOADED, slot, REASON_EXITED);
    on_gone(c, slot);
    model_refresh(c, slot);
}

void model_on_broken(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->model.model;
    if (slot >= c->model_count || c->models[slot].state != MODEL_LOADED) {
        c->stale_ids++;
        return;
    }
    model_start_unload(c, slot, ev->model.why == REASON_NONE ? REASON_BROKEN : ev->model.why);
}

void model_kill(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    must(m->op.kind == OP_UNLOAD);
    if (m->op.escalated)
        return;
    m->op.escalated = true;
    heap_remove(&c->deadlines, deadline_slot(slot, DEADLINE_OP));
    core_emit(c, EFFECT_KILL, slot)->op = m->op.id;
}

void model_end_error(struct core *c, uint32_t slot, enum reason why)
{
    heap_remove(&c->deadlines, deadline_slot(slot, DEADLINE_ERROR));
    model_set_state(c, slot, MODEL_UNLOADED, why);
    core_notice(c, NOTICE_ERROR_OVER, slot, why);
}

void model_run_deadline(struct core *c, uint32_t slot, enum deadline which)
{
    struct model *m = &c->models[slot];
    switch (which) {
    case DEADLINE_OP:
        if (m->op.kind == OP_LOAD)
            model_abort_load(c, slot, REASON_LOAD_TIMEOUT);
        else
            model_kill(c, slot);
        break;
    case DEADLINE_IDLE:
        must(m->state == MODEL_LOADED && m->running.count == 0 && m->waiting_count == 0);
        core_notice(c, NOTICE_IDLE_UNLOAD, slot, REASON_IDLE)->duration_ns =
            c->now.ns - m->last_used.ns;
        model_start_unload(c, slot, REASON_IDLE);
        break;
    case DEADLINE_ERROR:
        model_end_error(c, slot, m->reason);
        model_refresh(c, slot);
        break;
    case DEADLINE_SETTLE:
        ledger_settle(c, slot);
        break;
    case DEADLINE__PER_MODEL:
        never("not a deadline");
    }
}
