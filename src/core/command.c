/* Commands: on somebody's word. A command waits until what it asked for is so. */
#include "core/core_priv.h"

static void answer(struct core *c, uint64_t tag, uint32_t model, enum reason why)
{
    struct effect *e = core_emit(c, EFFECT_COMMAND_DONE, model);
    e->tag = tag;
    e->reason = why;
}

static struct command_waiting *link_command(struct link *n)
{
    return list_entry(n, struct command_waiting, link);
}

static void release(struct core *c, struct command_waiting *cmd)
{
    pool_put(&c->command_pool, (uint32_t)(cmd - c->command_slots));
}

static void stop_waiting(struct core *c, struct command_waiting *cmd)
{
    if (cmd->what == COMMAND_LOAD) {
        must(c->models[cmd->model].loads_wanted > 0);
        if (--c->models[cmd->model].loads_wanted == 0)
            c->version++;
    }
    list_remove(&c->commands, &cmd->link);
}

static bool keep(struct core *c, const struct event *ev)
{
    struct id id;
    if (!pool_get(&c->command_pool, &id)) {
        answer(c, ev->command.tag, ev->command.model, REASON_QUEUE_FULL);
        return false;
    }
    struct command_waiting *cmd = &c->command_slots[id.slot];
    enum command what = ev->command.what == COMMAND_UNLOAD_NOW ? COMMAND_UNLOAD : ev->command.what;
    *cmd = (struct command_waiting){.tag = ev->command.tag,
                                    .seq = ++c->seq,
                                    .model = ev->command.model,
                                    .what = what,
                                    .why = ev->command.why};
    list_push(&c->commands, &cmd->link);
    if (cmd->what == COMMAND_LOAD)
        c->models[cmd->model].loads_wanted++;
    return true;
}

static enum reason start_load(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->command.model;
    struct model *m = &c->models[slot];
    if (m->state == MODEL_LOADED && m->leaving == LEAVE_NOT && m->victim_of == CORE_SLOT_NONE)
        return REASON_NONE;
    if (m->state == MODEL_STUCK)
        return REASON_STUCK;
    if (m->state == MODEL_ERROR)
        model_end_error(c, slot, REASON_COMMAND);
    if (keep(c, ev))
        m->wish_new = m->wish_rests = false; /* as if it had been asked for */
    model_refresh(c, slot);
    return REASON__COUNT;
}

/* What waits for the model is told that it was unloaded: else it would bring it straight back.
 * Those that come later may. */
static enum reason start_unload(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->command.model;
    struct model *m = &c->models[slot];
    queue_doom(c, slot, REASON_UNLOADED);
    command_finish(c, slot, COMMAND_LOAD, REASON_UNLOADED);
    command_finish(c, slot, COMMAND_MOVE, REASON_UNLOADED);
    m->wish_rests = true; /* the mode does not bring it straight back either */
    if (!model_resident(m))
        return REASON_NONE;
    if (m->state == MODEL_STUCK)
        return REASON_STUCK;
    if (!keep(c, ev))
        return REASON__COUNT;
    bool now = ev->command.what == COMMAND_UNLOAD_NOW;
    if (now && m->op.kind != OP_NONE && m->op.kind != OP_LOAD && m->op.kind != OP_UNLOAD)
        op_kill(c, slot); /* and what comes of it is unloaded */
    if ((m->state == MODEL_LOADED && now) || m->state == MODEL_SUSPENDED)
        op_start_unload(c, slot, REASON_COMMAND);
    else if (m->state != MODEL_UNLOADING)
        model_leave(c, slot, LEAVE_UNLOAD, REASON_COMMAND);
    return REASON__COUNT;
}

/* Neither is begun while something else is being done with the model. */
static enum reason refusal_of_change(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    if (m->op.kind != OP_NONE || m->leaving != LEAVE_NOT || m->victim_of != CORE_SLOT_NONE ||
        c->targets[slot].plan.active)
        return REASON_BUSY;
    return m->state == MODEL_LOADED ? REASON_NONE : REASON_NOT_POSSIBLE;
}

/* As much as the placement wants to be free before anybody comes there. */
static bool has_least_room(const struct core *c, uint32_t slot, uint32_t placement)
{
    const struct core_placement *p = &c->models[slot].policy.placements[placement];
    uint32_t enough = 0;
    for (uint32_t d = 0; d < c->device_count; d++)
        enough += (p->device_mask >> d & 1) && c->devices[d].present &&
                  ledger_room(c, d, slot) >= (int64_t)p->free_bytes_min;
    return !p->device_mask || !p->free_bytes_min ||
           enough >= (p->device_count ? p->device_count : 1);
}

static enum reason start_move(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->command.model, to = ev->command.placement;
    struct model *m = &c->models[slot];
    enum reason why = refusal_of_change(c, slot);
    if (!m->policy.movable || to >= m->policy.placement_count)
        return REASON_NOT_POSSIBLE;
    if (why != REASON_NONE)
        return why;
    if (m->placement == to)
        return REASON_NONE;
    if (!has_least_room(c, slot, to))
        return REASON_NO_ROOM_NOW;
    if (!keep(c, ev))
        return REASON__COUNT;
    m->move_to = to;
    model_leave(c, slot, LEAVE_MOVE, REASON_COMMAND);
    return REASON__COUNT;
}

static enum reason start_suspend(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->command.model;
    struct model *m = &c->models[slot];
    if (m->state == MODEL_SUSPENDED && !c->targets[slot].plan.active)
        return REASON_NONE;
    enum reason why = refusal_of_change(c, slot);
    if (!m->policy.suspends)
        return REASON_NOT_POSSIBLE;
    if (why != REASON_NONE)
        return why;
    if (!model_may_suspend(c, m))
        return REASON_NO_ROOM_NOW;
    queue_doom(c, slot, REASON_UNLOADED);
    if (keep(c, ev))
        model_leave(c, slot, LEAVE_SUSPEND, REASON_COMMAND);
    return REASON__COUNT;
}

static enum reason pin(struct core *c, const struct event *ev)
{
    struct model *m = &c->models[ev->command.model];
    m->pinned = ev->command.what == COMMAND_PIN;
    if (m->pinned && m->victim_of != CORE_SLOT_NONE)
        c->targets[m->victim_of].plan.stale = true; /* unless it has gone already */
    c->version++;
    model_refresh(c, ev->command.model);
    return REASON_NONE;
}

/* It also counts as a use: somebody means to come back. */
static enum reason start_keep(struct core *c, const struct event *ev)
{
    struct model *m = &c->models[ev->command.model];
    m->kept = true;
    m->keep_ns = ev->command.ttl_ns;
    if (m->state == MODEL_LOADED)
        m->last_used = c->now;
    deadline_clear(c, deadline_model(ev->command.model, DEADLINE_IDLE)); /* it may be sooner now */
    c->version++;
    model_refresh(c, ev->command.model);
    return REASON_NONE;
}

/* Whether the command cannot be carried out, since the model's backend cannot be told. */
static bool out_of_reach(const struct core *c, uint32_t slot, enum command what)
{
    const struct model *m = &c->models[slot];
    bool tells = what != COMMAND_PIN && what != COMMAND_UNPIN && what != COMMAND_KEEP;
    return c->backend_down[m->policy.backend] && tells &&
           (what == COMMAND_LOAD || model_resident(m));
}

void command_start(struct core *c, const struct event *ev)
{
    static enum reason (*const starts[])(struct core * c, const struct event *ev) = {
        [COMMAND_LOAD] = start_load,
        [COMMAND_UNLOAD] = start_unload,
        [COMMAND_UNLOAD_NOW] = start_unload,
        [COMMAND_MOVE] = start_move,
        [COMMAND_SUSPEND] = start_suspend,
        [COMMAND_PIN] = pin,
        [COMMAND_UNPIN] = pin,
        [COMMAND_KEEP] = start_keep,
    };
    _Static_assert(countof(starts) == COMMAND__COUNT, "a start for each command");
    uint32_t slot = ev->command.model;
    enum reason why;
    if (c->draining)
        why = REASON_SHUTDOWN;
    else if (slot >= c->model_count || !c->models[slot].policy.present || c->models[slot].removed)
        why = REASON_MODEL_UNKNOWN;
    else if (out_of_reach(c, slot, ev->command.what))
        why = REASON_BACKEND_DOWN;
    else
        why = starts[ev->command.what](c, ev);
    if (why != REASON__COUNT) /* that is: later */
        answer(c, ev->command.tag, slot, why);
}

void command_cancel(struct core *c, uint64_t tag)
{
    struct link *n;
    list_each(n, &c->commands) {
        struct command_waiting *cmd = link_command(n);
        if (cmd->tag != tag)
            continue;
        stop_waiting(c, cmd);
        release(c, cmd);
        model_refresh(c, cmd->model);
        return;
    }
    c->stale_ids++; /* it has been answered, or is about to be */
}

static void finish(struct core *c, uint32_t model, enum command what, enum reason why)
{
    struct link *n, *next;
    list_each_safe(n, next, &c->commands) {
        struct command_waiting *cmd = link_command(n);
        if (cmd->model != model || cmd->what != what)
            continue;
        stop_waiting(c, cmd);
        cmd->answer = why;
        list_push(&c->answers, &cmd->link);
    }
}

void command_finish(struct core *c, uint32_t model, enum command what, enum reason why)
{
    if (!c->commands.count)
        return;
    finish(c, model, what, why);
    model_refresh(c, model);
}

void command_finish_all(struct core *c, uint32_t model, enum reason why)
{
    command_finish(c, model, COMMAND_LOAD, why);
    command_finish(c, model, COMMAND_UNLOAD, why);
    command_finish(c, model, COMMAND_MOVE, why);
    command_finish(c, model, COMMAND_SUSPEND, why);
}

void command_drain_answers(struct core *c)
{
    while (c->answers.count && core_has_room(c)) {
        struct command_waiting *cmd = link_command(list_pop(&c->answers));
        answer(c, cmd->tag, cmd->model, cmd->answer);
        release(c, cmd);
    }
}
