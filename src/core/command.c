/* Commands: load and unload on somebody's word. A command waits until what it asked for is so. */
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
        c->models[cmd->model].loads_wanted--;
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
    *cmd = (struct command_waiting){.tag = ev->command.tag,
                                    .seq = ++c->seq,
                                    .model = ev->command.model,
                                    .what = ev->command.what,
                                    .why = ev->command.why};
    list_push(&c->commands, &cmd->link);
    if (cmd->what == COMMAND_LOAD)
        c->models[cmd->model].loads_wanted++;
    return true;
}

static void start_load(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->command.model;
    struct model *m = &c->models[slot];
    if (m->state == MODEL_LOADED && !m->leaving && m->victim_of == CORE_SLOT_NONE) {
        answer(c, ev->command.tag, slot, REASON_NONE);
        return;
    }
    if (m->state == MODEL_STUCK) {
        answer(c, ev->command.tag, slot, REASON_STUCK);
        return;
    }
    if (m->state == MODEL_ERROR)
        model_end_error(c, slot, REASON_COMMAND);
    if (keep(c, ev))
        model_refresh(c, slot);
}

/* What waits for the model is told that it was unloaded: else it would bring it straight back.
 * Those that come later may. */
static void start_unload(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->command.model;
    struct model *m = &c->models[slot];
    queue_doom(c, slot, REASON_UNLOADED);
    command_finish(c, slot, true, REASON_UNLOADED);
    if (!model_resident(m)) {
        answer(c, ev->command.tag, slot, REASON_NONE);
        return;
    }
    if (m->state == MODEL_STUCK) {
        answer(c, ev->command.tag, slot, REASON_STUCK);
        return;
    }
    if (!keep(c, ev))
        return;
    if (m->state == MODEL_LOADED && ev->command.what == COMMAND_UNLOAD_NOW)
        model_start_unload(c, slot, REASON_COMMAND);
    else if (m->state == MODEL_LOADED || m->state == MODEL_LOADING)
        model_leave(c, slot, REASON_COMMAND);
}

void command_start(struct core *c, const struct event *ev)
{
    uint32_t slot = ev->command.model;
    if (c->draining)
        answer(c, ev->command.tag, slot, REASON_SHUTDOWN);
    else if (slot >= c->model_count || !c->models[slot].policy.present || c->models[slot].removed)
        answer(c, ev->command.tag, slot, REASON_MODEL_UNKNOWN);
    else if (ev->command.what == COMMAND_LOAD)
        start_load(c, ev);
    else
        start_unload(c, ev);
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

void command_finish(struct core *c, uint32_t model, bool loads, enum reason why)
{
    struct link *n, *next;
    list_each_safe(n, next, &c->commands) {
        struct command_waiting *cmd = link_command(n);
        if (cmd->model != model || (cmd->what == COMMAND_LOAD) != loads)
            continue;
        stop_waiting(c, cmd);
        cmd->answer = why;
        list_push(&c->answers, &cmd->link);
    }
    model_refresh(c, model);
}

void command_drain_answers(struct core *c)
{
    while (c->answers.count && core_has_room(c)) {
        struct command_waiting *cmd = link_command(list_pop(&c->answers));
        answer(c, cmd->tag, cmd->model, cmd->answer);
        release(c, cmd);
    }
}
