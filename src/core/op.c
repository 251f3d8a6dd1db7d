/* Ops: loads, unloads, moves, suspends, resumes. A model has at most one open; the effect and its
 * completion carry the same id; a deadline escalates, and only the completion ends it. */
#include "core/core_priv.h"
#include "core/plan/plan.h"

/* What each kind of op is, from its order to its escalation. */
static const struct {
    enum effect_type order;
    enum notice notice;
    enum model_state state;
    bool loads; /* its time is that of a load; else that of an unload */
} kinds[] = {
    [OP_LOAD] = {EFFECT_LOAD, NOTICE_MODEL_LOADING, MODEL_LOADING, true},
    [OP_UNLOAD] = {EFFECT_UNLOAD, NOTICE_MODEL_UNLOADING, MODEL_UNLOADING, false},
    [OP_MOVE] = {EFFECT_MOVE, NOTICE_MOVING, MODEL_MOVING, true},
    [OP_SUSPEND] = {EFFECT_SUSPEND, NOTICE_SUSPENDING, MODEL_SUSPENDING, false},
    [OP_RESUME] = {EFFECT_RESUME, NOTICE_RESUMING, MODEL_RESUMING, true},
};

/* Growth of a footprint while it serves that is worth keeping: a sixteenth. */
#define LEARN_STEP 16
/* What ran out of memory needs a quarter more, until it is seen what it needs. */
#define OOM_STEP 4

static uint64_t sum_charged(const struct holding *h)
{
    uint64_t sum = 0;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        sum += h->charged[d];
    return sum;
}

static void start(struct core *c, uint32_t slot, struct op op)
{
    struct model *m = &c->models[slot];
    must(m->op.kind == OP_NONE && !c->backend_down[m->policy.backend]);
    if (c->targets[slot].plan.active && c->targets[slot].plan.how != op.kind)
        transition_end(c, slot); /* something else came first */
    op.id = ++c->op_id;
    op.started = c->now;
    m->op = op;
    model_set_state(c, slot, kinds[op.kind].state, op.why);
    struct effect *e = core_notice(c, kinds[op.kind].notice, slot, op.why);
    core_effect_devices(e, op.devices);
    e->placement = op.placement;
    e->bytes = op.bytes;
    uint64_t limit = kinds[op.kind].loads ? m->policy.load_ns_max : m->policy.unload_ns_max;
    deadline_set(c, deadline_model(slot, DEADLINE_OP), (struct mono){c->now.ns + limit});
    deadline_clear(c, deadline_model(slot, DEADLINE_IDLE));
    e = core_emit(c, kinds[op.kind].order, slot);
    e->op = m->op.id;
    e->reason = op.why;
    core_effect_devices(e, op.devices);
    e->placement = op.placement;
    e->bytes = op.bytes;
    model_refresh(c, slot);
}

static void charge_plan(struct core *c, uint32_t target, const struct plan *plan)
{
    struct holding *h = &c->models[target].hold;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        uint64_t have = plan->how == OP_RESUME ? h->charged[d] : 0;
        if (plan->bytes[d] > have)
            ledger_charge(c, h, d, plan->bytes[d] - have);
    }
}

static uint64_t most_bytes(const struct plan *plan)
{
    uint64_t most = 0;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (plan->bytes[d] > most)
            most = plan->bytes[d];
    return most;
}

static enum reason why_wanted(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    if (m->waiting_count && m->leaving != LEAVE_MOVE)
        return REASON_DEMAND;
    return m->loads_wanted || m->leaving == LEAVE_MOVE || !mode_wants_load(c, slot) ? REASON_COMMAND
                                                                                    : REASON_MODE;
}

void op_start_planned(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    const struct plan *plan = &c->targets[slot].plan;
    must(plan->active && plan->how != OP_NONE && !m->hold.settling_devices);
    enum reason why = why_wanted(c, slot);
    if (plan->how == OP_MOVE && mode_wants_move(c, slot) != CORE_SLOT_NONE)
        why = REASON_MODE;
    charge_plan(c, slot, plan);
    if (plan->unsized)
        m->hold.unsized_devices |= plan->devices;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX && !plan->unsized && plan->how != OP_MOVE; d++)
        if (m->hold.charged[d] <= plan->bytes[d]) /* else it has outgrown that, asleep */
            m->hold.unsized_devices &= ~(1U << d);
    if (plan->how != OP_MOVE)
        m->placement = plan->placement;
    if (plan->how == OP_LOAD)
        m->home = plan->devices;
    start(c, slot,
          (struct op){.kind = plan->how,
                      .why = why,
                      .placement = plan->placement,
                      .devices = plan->devices,
                      .bytes = most_bytes(plan)});
}

void op_start_unload(struct core *c, uint32_t slot, enum reason why)
{
    struct model *m = &c->models[slot];
    must(m->state == MODEL_LOADED || m->state == MODEL_SUSPENDED);
    m->kept = false;
    start(c, slot,
          (struct op){.kind = OP_UNLOAD,
                      .why = why,
                      .placement = m->placement,
                      .devices = m->hold.devices,
                      .bytes = sum_charged(&m->hold)});
}

void op_start_suspend(struct core *c, uint32_t slot, enum reason why)
{
    struct model *m = &c->models[slot];
    must(m->state == MODEL_LOADED && m->suspended_bytes == 0);
    /* Its bytes come to the host before they leave the devices. */
    m->suspended_bytes = sum_charged(&m->hold);
    c->suspended_bytes += m->suspended_bytes;
    start(c, slot,
          (struct op){.kind = OP_SUSPEND,
                      .why = why,
                      .placement = m->placement,
                      .devices = m->hold.devices,
                      .bytes = m->suspended_bytes});
}

void op_start_demote(struct core *c, uint32_t slot, uint32_t placement, enum reason why)
{
    must(c->models[slot].state == MODEL_LOADED);
    start(c, slot, (struct op){.kind = OP_MOVE, .why = why, .placement = placement});
}

void op_abort_load(struct core *c, uint32_t slot, enum reason why)
{
    struct model *m = &c->models[slot];
    must(m->state == MODEL_LOADING && m->op.kind == OP_LOAD && !m->op.escalated);
    m->op.escalated = true;
    m->op.why = why;
    deadline_clear(c, deadline_model(slot, DEADLINE_OP));
    struct effect *e = core_emit(c, EFFECT_ABORT, slot);
    e->op = m->op.id;
    e->reason = why;
}

void op_kill(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    must(m->op.kind != OP_NONE && m->op.kind != OP_LOAD);
    if (m->op.escalated)
        return;
    m->op.escalated = true;
    deadline_clear(c, deadline_model(slot, DEADLINE_OP));
    core_emit(c, EFFECT_KILL, slot)->op = m->op.id;
}

/* The op that the completion names, or false: late, or of an earlier life. */
static bool take(struct core *c, const struct event *ev, enum op_kind kind, struct op *ret)
{
    uint32_t slot = ev->model.model;
    if (slot >= c->model_count || c->models[slot].op.kind != kind ||
        c->models[slot].op.id != ev->model.op) {
        c->stale_ids++;
        return false;
    }
    *ret = c->models[slot].op;
    c->models[slot].op = (struct op){0};
    deadline_clear(c, deadline_model(slot, DEADLINE_OP));
    return true;
}

static struct effect *say_here(struct core *c, enum notice notice, uint32_t slot, enum reason why)
{
    const struct model *m = &c->models[slot];
    struct effect *e = core_notice(c, notice, slot, why);
    core_effect_devices(e, m->hold.devices);
    e->placement = m->placement;
    e->bytes = sum_charged(&m->hold);
    return e;
}

static void average(uint64_t *mean, uint64_t took)
{
    *mean = *mean ? (*mean * 3 + took) / 4 : took + 1;
}

/* The model has come in: service begins with those who waited for it. Plans that did not know it
 * there count on room beside it, which it has to leave if it gives way. */
static void open_gate(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    if (m->policy.yields && m->hold.devices)
        transition_outdate_all(c);
    m->gate_seq = c->seq;
    m->last_class = CLASS_BACKGROUND; /* nobody has used it yet */
    m->loaded_at = m->last_used = c->now;
}

static void emit_learned(struct core *c, uint32_t slot, uint32_t placement)
{
    const struct model *m = &c->models[slot];
    struct effect *e = core_emit(c, EFFECT_LEARNED, slot);
    e->placement = placement;
    e->bytes = m->learned_bytes[placement];
    e->residue_bytes = m->residue_bytes;
    e->hash_process = m->policy.hash_process;
    e->duration_ns = m->load_ns_mean[placement];
}

void op_learn_peak(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    if (m->placement >= CORE_PLACEMENTS_MAX)
        return;
    uint64_t *learned = &m->learned_bytes[m->placement];
    if (m->hold.peak_bytes <= *learned + *learned / LEARN_STEP)
        return;
    *learned = m->hold.peak_bytes;
    emit_learned(c, slot, m->placement);
}

/* The most that could come free for it on a device, were all gone that may. */
static uint64_t most_there(const struct core *c, const struct model *m, uint32_t placement)
{
    uint64_t most = 0;
    uint32_t by;
    enum reason why;
    for (uint32_t d = 0; d < c->device_count; d++) {
        uint64_t others = victim_fixed_bytes(c, d, &by, &why) + c->devices[d].foreign_bytes;
        uint64_t free = minus(ledger_capacity(c, d), others);
        if ((m->policy.placements[placement].device_mask >> d & 1) && free > most)
            most = free;
    }
    return most;
}

/* It ran out of device memory: it needs more than it was given. False: there is no more. */
static bool raise_need(struct core *c, uint32_t slot, uint32_t placement)
{
    struct model *m = &c->models[slot];
    struct effect *e = core_notice(c, NOTICE_OOM, slot, REASON_OUT_OF_MEMORY);
    core_effect_devices(e, m->hold.devices);
    e->placement = placement;
    m->oom_bytes = 0;
    if (placement >= m->policy.placement_count || ledger_need_unknown(c, slot, placement))
        return false;
    uint64_t had = ledger_need(c, slot, placement, 0), most = most_there(c, m, placement);
    m->oom_bytes = minus(had + had / OOM_STEP < most ? had + had / OOM_STEP : most, had);
    e->bytes = had + m->oom_bytes;
    return m->oom_bytes != 0;
}

/* With so much it came in. */
static void keep_need(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    if (m->oom_bytes && m->placement < m->policy.placement_count)
        m->learned_bytes[m->placement] = ledger_need(c, slot, m->placement, 0);
    m->oom_bytes = 0;
    m->oom_tried = false;
}

/* What it used at most is what it will need next time. */
static void learn_footprint(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    uint64_t peak = m->hold.peak_bytes;
    if (m->placement >= CORE_PLACEMENTS_MAX || !peak)
        return;
    uint64_t *learned = &m->learned_bytes[m->placement];
    uint64_t before = *learned;
    *learned = peak >= before ? peak : (before * 3 + peak) / 4;
    m->hold.peak_bytes = 0;
    if (*learned != before)
        emit_learned(c, slot, m->placement);
}

void op_on_loaded(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take(c, ev, OP_LOAD, &op))
        return;
    struct model *m = &c->models[slot];
    uint64_t took = c->now.ns - op.started.ns;
    model_set_state(c, slot, MODEL_LOADED, op.why);
    transition_end(c, slot);
    open_gate(c, slot);
    say_here(c, NOTICE_MODEL_LOADED, slot, op.why)->duration_ns = took;
    if (op.escalated) {
        /* LOADED crossed the abort on its way: what was called off still has to go. */
        op_start_unload(c, slot, op.why);
        return;
    }
    m->failures = 0;
    keep_need(c, slot);
    mode_granted(c, slot);
    m->wish_retry.ns = 0;
    uint32_t placement = op.placement < CORE_PLACEMENTS_MAX ? op.placement : 0;
    if (op.why != REASON_ADOPTED) { /* nobody has seen that one begin */
        average(&m->load_ns_mean[placement], took);
        emit_learned(c, slot, placement);
    }
    model_refresh(c, slot);
}

void op_on_load_failed(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take(c, ev, OP_LOAD, &op))
        return;
    struct model *m = &c->models[slot];
    bool called_off = op.escalated && op.why != REASON_LOAD_TIMEOUT;
    enum reason why = op.escalated ? op.why : ev->model.why;
    transition_end(c, slot);
    if (called_off) {
        model_set_state(c, slot, MODEL_UNLOADED, why);
        core_notice(c, NOTICE_MODEL_UNLOADED, slot, why);
        model_gone(c, slot);
        model_refresh(c, slot);
        return;
    }
    core_notice(c, NOTICE_LOAD_FAILED, slot, why)->duration_ns = c->now.ns - op.started.ns;
    bool oom = why == REASON_OUT_OF_MEMORY;
    bool again = oom && raise_need(c, slot, op.placement) && !m->oom_tried;
    m->oom_tried = again;
    if (!again)
        m->oom_bytes = 0;
    model_set_state(c, slot, again ? MODEL_UNLOADED : MODEL_ERROR, why);
    if (!again) {
        model_pause(c, slot);
        if (m->failures > m->policy.load_retries_max) {
            mode_give_up(c, slot);
            queue_doom(c, slot, why);
            command_finish(c, slot, COMMAND_LOAD, why);
        }
    }
    model_gone(c, slot);
    model_refresh(c, slot);
}

/* It cannot be ended: its bytes stay charged, and nobody can wait for it, nor for its room. */
static void become_stuck(struct core *c, uint32_t slot, enum reason why)
{
    struct model *m = &c->models[slot];
    uint32_t target = m->victim_of;
    model_set_state(c, slot, MODEL_STUCK, why);
    core_notice(c, NOTICE_STUCK, slot, why);
    m->leaving = LEAVE_NOT;
    queue_doom(c, slot, REASON_STUCK);
    command_finish_all(c, slot, REASON_STUCK);
    if (target == CORE_SLOT_NONE)
        return;
    transition_victim_gone(c, slot);
    /* The room has to be found elsewhere. */
    c->targets[target].plan.stale = true;
}

void op_on_unloaded(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take(c, ev, OP_UNLOAD, &op))
        return;
    if (ev->model.stuck) {
        become_stuck(c, slot, op.why);
        return;
    }
    learn_footprint(c, slot);
    if (op.why == REASON_OUT_OF_MEMORY) /* its server had ended of it before */
        raise_need(c, slot, c->models[slot].placement);
    model_set_state(c, slot, MODEL_UNLOADED, op.why);
    core_notice(c, NOTICE_MODEL_UNLOADED, slot, op.why)->duration_ns = c->now.ns - op.started.ns;
    model_gone(c, slot);
    model_refresh(c, slot);
}

/* An op ended with the model gone, as by an exit. */
static void end_gone(struct core *c, uint32_t slot, enum reason why)
{
    struct target *t = &c->targets[slot];
    if (t->plan.active)
        transition_end(c, slot);
    model_set_state(c, slot, MODEL_UNLOADED, why);
    core_notice(c, NOTICE_MODEL_UNLOADED, slot, why);
    model_gone(c, slot);
    model_refresh(c, slot);
}

static void say_failed(struct core *c, uint32_t slot)
{
    core_notice(c, NOTICE_OP_FAILED, slot, REASON_OP_FAILED);
}

/* A victim that would not go in the way it was asked to has to go altogether. */
static void retry_as_unload(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    if (m->victim_of == CORE_SLOT_NONE)
        return;
    m->victim_action = ACTION_UNLOAD;
    c->targets[m->victim_of].plan.ordering = true;
    c->version++;
}

static void finish_move(struct core *c, uint32_t slot, const struct op *op,
                        const struct plan *there)
{
    struct model *m = &c->models[slot];
    learn_footprint(c, slot);
    m->placement = op->placement;
    m->home = op->devices;
    mode_granted(c, slot);
    if (m->policy.yields && op->devices)
        transition_outdate_all(c);
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        ledger_reduce(c, &m->hold, d, there->bytes[d]);
    if (!there->unsized)
        m->hold.unsized_devices &= ~there->devices;
    say_here(c, NOTICE_DEVICE_CHANGED, slot, op->why)->duration_ns = c->now.ns - op->started.ns;
    transition_victim_gone(c, slot);
}

void op_on_moved(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take(c, ev, OP_MOVE, &op))
        return;
    struct model *m = &c->models[slot];
    const struct plan plan = c->targets[slot].plan; /* all zero for a way that needed none */
    bool ordered = m->leaving == LEAVE_MOVE;
    if (ev->model.outcome == OUTCOME_GONE) {
        end_gone(c, slot, REASON_OP_FAILED);
        return;
    }
    bool arrived = ev->model.outcome != OUTCOME_AT_SOURCE;
    model_set_state(c, slot, MODEL_LOADED, op.why);
    if (plan.active)
        transition_end(c, slot);
    if (arrived) {
        finish_move(c, slot, &op, &plan);
    } else {
        /* What had been charged for the way there is not wanted any more. */
        for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
            ledger_reduce(c, &m->hold, d, minus(m->hold.charged[d], plan.bytes[d]));
        mode_give_up(c, slot);
        say_failed(c, slot);
        retry_as_unload(c, slot);
    }
    if (ordered) {
        m->leaving = LEAVE_NOT;
        m->wish_rests |= arrived; /* the mode does not bring it straight back */
        command_finish(c, slot, COMMAND_MOVE, arrived ? REASON_NONE : REASON_OP_FAILED);
    }
    c->version++;
    model_refresh(c, slot);
}

static void learn_residue(struct core *c, uint32_t slot, uint64_t bytes)
{
    struct model *m = &c->models[slot];
    uint64_t before = m->residue_bytes;
    if (!bytes)
        return;
    m->residue_bytes = bytes >= before ? bytes : (before * 3 + bytes) / 4;
    if (m->residue_bytes != before && m->placement < CORE_PLACEMENTS_MAX)
        emit_learned(c, slot, m->placement);
}

void op_on_suspended(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take(c, ev, OP_SUSPEND, &op))
        return;
    struct model *m = &c->models[slot];
    if (ev->model.outcome == OUTCOME_GONE) {
        end_gone(c, slot, REASON_OP_FAILED);
        return;
    }
    if (m->leaving == LEAVE_SUSPEND)
        m->leaving = LEAVE_NOT;
    bool suspended = ev->model.outcome != OUTCOME_AT_SOURCE;
    if (!suspended) {
        c->suspended_bytes -= m->suspended_bytes;
        m->suspended_bytes = 0;
        m->cannot_suspend = true;
        model_set_state(c, slot, MODEL_LOADED, op.why);
        say_failed(c, slot);
        retry_as_unload(c, slot);
    } else {
        uint64_t residue =
            ev->model.residue_bytes ? ev->model.residue_bytes : m->policy.suspended_bytes;
        learn_residue(c, slot, ev->model.residue_bytes);
        learn_footprint(c, slot);
        model_set_state(c, slot, MODEL_SUSPENDED, op.why);
        for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
            if (m->hold.charged[d] > residue)
                ledger_reduce(c, &m->hold, d, residue);
        say_here(c, NOTICE_SUSPENDED, slot, op.why)->duration_ns = c->now.ns - op.started.ns;
        transition_victim_gone(c, slot);
    }
    command_finish(c, slot, COMMAND_SUSPEND, suspended ? REASON_NONE : REASON_OP_FAILED);
    model_refresh(c, slot);
}

void op_on_resumed(struct core *c, const struct event *ev)
{
    struct op op;
    uint32_t slot = ev->model.model;
    if (!take(c, ev, OP_RESUME, &op))
        return;
    struct model *m = &c->models[slot];
    transition_end(c, slot);
    if (ev->model.outcome == OUTCOME_GONE) {
        model_set_state(c, slot, MODEL_UNLOADED, op.why);
        core_notice(c, NOTICE_MODEL_UNLOADED, slot, op.why);
        model_gone(c, slot);
    } else if (ev->model.outcome == OUTCOME_AT_SOURCE) {
        /* It would not wake: it has to be loaded anew. */
        model_set_state(c, slot, MODEL_SUSPENDED, op.why);
        say_failed(c, slot);
        m->leaving = LEAVE_UNLOAD;
        m->leaving_why = REASON_OP_FAILED;
    } else {
        uint64_t took = c->now.ns - op.started.ns;
        c->suspended_bytes -= m->suspended_bytes;
        m->suspended_bytes = 0;
        model_set_state(c, slot, MODEL_LOADED, op.why);
        open_gate(c, slot);
        average(&m->resume_ns_mean, took);
        say_here(c, NOTICE_RESUMED, slot, op.why)->duration_ns = took;
    }
    model_refresh(c, slot);
}

void op_on_exited(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->model.model;
    if (slot >= c->model_count || c->models[slot].op.kind != OP_NONE ||
        !model_resident(&c->models[slot])) {
        c->stale_ids++;
        return;
    }
    learn_footprint(c, slot);
    bool oom = ev->model.why == REASON_OUT_OF_MEMORY;
    if (oom)
        raise_need(c, slot, c->models[slot].placement);
    end_gone(c, slot, oom ? REASON_OUT_OF_MEMORY : REASON_EXITED);
}

void op_on_broken(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->model.model;
    if (slot >= c->model_count || c->models[slot].state != MODEL_LOADED ||
        c->backend_down[c->models[slot].policy.backend]) {
        c->stale_ids++;
        return;
    }
    op_start_unload(c, slot, ev->model.why == REASON_NONE ? REASON_BROKEN : ev->model.why);
}

/* Charged on somebody's word: it is there, whether there is room or not. */
static void charge_adopted(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    ledger_take_back(c, slot);
    m->hold.restored = true;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX && m->placement != CORE_SLOT_NONE; d++) {
        if (!(m->home & (1U << d)))
            continue;
        if (ledger_need_unknown(c, slot, m->placement))
            m->hold.unsized_devices |= 1U << d;
        ledger_charge(c, &m->hold, d, ledger_need(c, slot, m->placement, d));
    }
}

static void adopt_loaded(struct core *c, uint32_t slot)
{
    charge_adopted(c, slot);
    transition_outdate_all(c); /* planned without it */
    model_set_state(c, slot, MODEL_LOADED, REASON_ADOPTED);
    open_gate(c, slot);
    say_here(c, NOTICE_MODEL_LOADED, slot, REASON_ADOPTED);
}

static void adopt_loading(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    charge_adopted(c, slot);
    transition_outdate_all(c);
    transition_adopt(c, slot);
    start(c, slot,
          (struct op){.kind = OP_LOAD,
                      .why = REASON_ADOPTED,
                      .placement = m->placement,
                      .devices = m->home,
                      .bytes = most_bytes(&c->targets[slot].plan)});
}

static void adopt_suspended(struct core *c, uint32_t slot, uint64_t residue_bytes)
{
    struct model *m = &c->models[slot];
    uint64_t residue = residue_bytes ? residue_bytes : ledger_residue(m);
    charge_adopted(c, slot);
    m->suspended_bytes = sum_charged(&m->hold);
    c->suspended_bytes += m->suspended_bytes;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (m->hold.charged[d] > residue)
            ledger_reduce(c, &m->hold, d, residue);
    transition_outdate_all(c);
    model_set_state(c, slot, MODEL_SUSPENDED, REASON_ADOPTED);
    m->last_used = c->now;
    say_here(c, NOTICE_SUSPENDED, slot, REASON_ADOPTED);
}

void op_on_adopted(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->model.model, placement = ev->model.placement;
    bool absent = slot < c->model_count &&
                  (c->models[slot].state == MODEL_UNLOADED || c->models[slot].state == MODEL_ERROR);
    if (!absent ||
        (ev->model.adopted == ADOPTED_LOADING && c->backend_down[c->models[slot].policy.backend])) {
        c->stale_ids++;
        return;
    }
    struct model *m = &c->models[slot];
    if (m->state == MODEL_ERROR)
        model_end_error(c, slot, REASON_ADOPTED); /* it has come in all the same */
    if (c->targets[slot].plan.active)
        transition_end(c, slot); /* there it is */
    must(placement == CORE_SLOT_NONE || placement < m->policy.placement_count);
    m->placement = placement;
    m->home = ev->model.devices;
    if (ev->model.adopted == ADOPTED_LOADING)
        adopt_loading(c, slot);
    else if (ev->model.adopted == ADOPTED_SUSPENDED)
        adopt_suspended(c, slot, ev->model.residue_bytes);
    else
        adopt_loaded(c, slot);
    model_refresh(c, slot);
}
