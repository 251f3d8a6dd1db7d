/* Models: the state table with its one mover, and where a model belongs. */
#include "core/core_priv.h"

/* A failed load leaves the model alone for 1, 2, 4 … 60 s. */
#define PAUSE_MAX (60 * NS_PER_S)

static const struct {
    bool resident, settled;
} states[MODEL__COUNT] = {
#define STATE(name, text, resident, settled) [MODEL_##name] = {resident, settled},
#include "states.def"
#undef STATE
};

#define BIT(name) (1U << MODEL_##name)
static const uint32_t allowed[MODEL__COUNT] = {
    [MODEL_UNLOADED] = BIT(LOADING) | BIT(LOADED) | BIT(SUSPENDED), /* the last two: adopted */
    [MODEL_LOADING] = BIT(LOADED) | BIT(UNLOADED) | BIT(ERROR),
    [MODEL_LOADED] = BIT(UNLOADING) | BIT(UNLOADED) | BIT(MOVING) | BIT(SUSPENDING),
    [MODEL_UNLOADING] = BIT(UNLOADED) | BIT(STUCK),
    [MODEL_MOVING] = BIT(LOADED) | BIT(UNLOADED),
    [MODEL_SUSPENDING] = BIT(SUSPENDED) | BIT(LOADED) | BIT(UNLOADED),
    [MODEL_SUSPENDED] = BIT(RESUMING) | BIT(UNLOADING) | BIT(UNLOADED),
    [MODEL_RESUMING] = BIT(LOADED) | BIT(SUSPENDED) | BIT(UNLOADED),
    [MODEL_ERROR] = BIT(UNLOADED),
    [MODEL_STUCK] = BIT(UNLOADED),
};

void model_init(struct model *m)
{
    *m = (struct model){.victim_of = CORE_SLOT_NONE,
                        .placement = CORE_SLOT_NONE,
                        .wish_placement = CORE_SLOT_NONE,
                        .move_to = CORE_SLOT_NONE};
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
    must(allowed[m->state] & (1U << to));
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

bool model_serves(const struct core *c, const struct model *m)
{
    return m->state == MODEL_LOADED && m->leaving == LEAVE_NOT && c->booted && !c->draining &&
           !c->backend_down[m->policy.backend];
}

bool model_busy(const struct model *m)
{
    return m->running.count > m->quiet_count || m->waiting_count;
}

bool model_pinned(const struct model *m)
{
    return m->pinned || m->policy.pinned;
}

bool model_may_suspend(const struct core *c, const struct model *m)
{
    uint64_t bytes = c->suspended_bytes;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        bytes += m->hold.charged[d];
    return bytes <= c->suspend_bytes_max;
}

static void give_up_suspend(struct core *c, uint32_t slot)
{
    c->models[slot].leaving = LEAVE_NOT;
    command_finish(c, slot, COMMAND_SUSPEND, REASON_NO_ROOM_NOW);
    c->version++;
    model_refresh(c, slot);
}

/* A model that is leaving goes as soon as nothing runs, and as there is room for the orders. */
static void leave_now(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    bool loading = m->state == MODEL_LOADING && !m->op.escalated;
    bool idle = m->state == MODEL_LOADED && m->running.count == m->quiet_count;
    if ((!loading && !idle && m->state != MODEL_SUSPENDED) || c->backend_down[m->policy.backend])
        return;
    if (m->leaving == LEAVE_MOVE)
        return; /* it is wanted at its new place: a plan moves it */
    if (!core_has_room(c))
        c->sweep = true;
    else if (loading)
        op_abort_load(c, slot, m->leaving_why);
    else if (m->leaving == LEAVE_SUSPEND && m->state == MODEL_LOADED && !model_may_suspend(c, m))
        give_up_suspend(c, slot);
    else if (m->leaving == LEAVE_SUSPEND && m->state == MODEL_LOADED)
        op_start_suspend(c, slot, m->leaving_why);
    else
        op_start_unload(c, slot, m->leaving_why);
}

/* Whether it has to be brought in, and no plan does so yet. */
static bool wanted(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    if (c->targets[slot].plan.active || c->draining || m->removed || m->hold.settling_devices ||
        c->backend_down[m->policy.backend] || m->victim_of != CORE_SLOT_NONE)
        return false;
    if (m->state == MODEL_LOADED && m->running.count == m->quiet_count)
        return m->leaving == LEAVE_MOVE || mode_wants_move(c, slot) != CORE_SLOT_NONE;
    if (m->state != MODEL_UNLOADED && m->state != MODEL_SUSPENDED)
        return false;
    if (m->leaving != LEAVE_NOT)
        return false;
    return m->waiting_count || m->loads_wanted || mode_wants_load(c, slot);
}

uint64_t model_ttl_ns(const struct model *m)
{
    if (m->kept)
        return m->keep_ns;
    return m->policy.ttl_ns ? m->policy.ttl_ns : UINT64_MAX;
}

static void refresh_idle(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    uint64_t ttl = model_ttl_ns(m), end = m->last_used.ns + ttl;
    bool idle = model_serves(c, m) && m->victim_of == CORE_SLOT_NONE && ttl != UINT64_MAX &&
                !model_busy(m) && !model_pinned(m) && !c->targets[slot].plan.active;
    uint32_t idle_slot = deadline_model(slot, DEADLINE_IDLE);
    if (!idle)
        deadline_clear(c, idle_slot);
    else if (!heap_has(&c->deadlines, idle_slot) ||
             heap_find(&c->deadlines, idle_slot)->key.major < end)
        deadline_set(c, idle_slot, (struct mono){end});
}

static bool home_is_lost(const struct core *c, const struct model *m)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((m->home >> d & 1) && !c->devices[d].present)
            return true;
    return false;
}

void model_refresh(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    bool stands = m->state == MODEL_LOADED || m->state == MODEL_SUSPENDED;
    if (stands && m->leaving == LEAVE_NOT && home_is_lost(c, m)) {
        m->leaving = LEAVE_UNLOAD; /* it can serve or wake there no more, but be loaded elsewhere */
        m->leaving_why = REASON_NO_DEVICE;
    }
    bool runnable = m->waiting_count && model_serves(c, m) &&
                    m->running.count < m->policy.slots_max && queue_next(c, slot);
    if (runnable && !link_linked(&m->runnable))
        list_push(&c->runnable, &m->runnable);
    if (!runnable && link_linked(&m->runnable))
        list_remove(&c->runnable, &m->runnable);
    bool is_wanted = wanted(c, slot);
    want_set(c, slot, is_wanted);
    if (!is_wanted && !c->targets[slot].plan.active)
        c->targets[slot].plan.growths = 0;
    refresh_idle(c, slot);
    if (m->loads_wanted && m->state == MODEL_LOADED && m->leaving == LEAVE_NOT &&
        m->victim_of == CORE_SLOT_NONE)
        command_finish(c, slot, COMMAND_LOAD, REASON_NONE);
    if (m->leaving != LEAVE_NOT)
        leave_now(c, slot);
}

void model_leave(struct core *c, uint32_t slot, enum leave how, enum reason why)
{
    struct model *m = &c->models[slot];
    m->leaving = how;
    m->leaving_why = why;
    c->version++;
    model_refresh(c, slot);
}

/* What follows from being gone, whatever the way. */
void model_gone(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    command_finish(c, slot, COMMAND_MOVE, m->reason);
    m->leaving = LEAVE_NOT;
    m->placement = CORE_SLOT_NONE;
    must(c->suspended_bytes >= m->suspended_bytes);
    c->suspended_bytes -= m->suspended_bytes;
    m->suspended_bytes = 0;
    deadline_clear(c, deadline_model(slot, DEADLINE_IDLE));
    ledger_release(c, &m->hold);
    command_finish(c, slot, COMMAND_UNLOAD, REASON_NONE);
    command_finish(c, slot, COMMAND_SUSPEND, m->reason);
    transition_victim_gone(c, slot);
    reload_take_next(c, slot);
}

void model_pause(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    uint64_t pause = NS_PER_S;
    for (uint32_t i = 0; i < m->failures && pause < PAUSE_MAX; i++)
        pause *= 2;
    m->failures++;
    deadline_set(c, deadline_model(slot, DEADLINE_ERROR),
                 (struct mono){c->now.ns + (pause < PAUSE_MAX ? pause : PAUSE_MAX)});
}

void model_end_error(struct core *c, uint32_t slot, enum reason why)
{
    deadline_clear(c, deadline_model(slot, DEADLINE_ERROR));
    model_set_state(c, slot, MODEL_UNLOADED, why);
    core_notice(c, NOTICE_ERROR_OVER, slot, why);
}

static void run_op_deadline(struct core *c, uint32_t slot)
{
    if (c->models[slot].op.kind == OP_LOAD)
        op_abort_load(c, slot, REASON_LOAD_TIMEOUT);
    else
        op_kill(c, slot);
}

static void leave_for_idleness(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    must(m->state == MODEL_LOADED && !model_busy(m));
    m->wish_rests = true;
    core_notice(c, NOTICE_IDLE_UNLOAD, slot, REASON_IDLE)->duration_ns =
        c->now.ns - m->last_used.ns;
    op_start_unload(c, slot, REASON_IDLE);
}

void model_run_deadline(struct core *c, uint32_t slot, enum deadline which)
{
    switch (which) {
    case DEADLINE_OP:
        run_op_deadline(c, slot);
        break;
    case DEADLINE_IDLE:
        leave_for_idleness(c, slot);
        break;
    case DEADLINE_ERROR:
        model_end_error(c, slot, c->models[slot].reason);
        model_refresh(c, slot);
        break;
    case DEADLINE_SETTLE:
        ledger_settle(c, slot);
        break;
    case DEADLINE_OVERDUE:
        c->version++;
        model_refresh(c, slot);
        break;
    case DEADLINE__PER_MODEL:
        never("not a deadline");
    }
}
