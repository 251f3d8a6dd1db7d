/* Commands: answered once, and truly. */
#include <inttypes.h>

#include "judge_priv.h"

static struct judge_command *find(struct judge *j, uint64_t tag)
{
    struct judge_command *c = &j->commands[tag % JUDGE_COMMANDS_MAX];
    return c->open && c->tag == tag ? c : NULL;
}

/* Until it is unloaded next; and as if it had been used. */
static void kept(const struct judge *j, struct judge_model *m, uint64_t ttl_ns)
{
    m->kept = true;
    m->keep_ns = ttl_ns;
    if (m->seat == SEAT_HERE)
        m->used_ns = j->now_ns - j->gap_ns;
}

static void started(struct judge *j, const struct event *ev)
{
    struct judge_command *c = &j->commands[ev->command.tag % JUDGE_COMMANDS_MAX];
    must(!c->open);
    *c = (struct judge_command){.open = true,
                                .tag = ev->command.tag,
                                .model = ev->command.model,
                                .placement = ev->command.placement,
                                .what = ev->command.what};
    if (c->model >= j->model_count || j->draining)
        return;
    struct judge_model *m = &j->models[c->model];
    j->touched = c->model;
    if (!m->policy.present)
        return;
    if (c->what == COMMAND_UNLOAD_NOW && m->seat != SEAT_GONE)
        m->forced = true;
    if (c->what == COMMAND_KEEP)
        kept(j, m, ev->command.ttl_ns);
    if (c->what != COMMAND_PIN && c->what != COMMAND_UNPIN)
        return;
    m->was_pinned |= m->pinned;
    m->pinned = c->what == COMMAND_PIN;
}

void judge_command_event(struct judge *j, const struct event *ev)
{
    if (ev->type == EVENT_COMMAND) {
        started(j, ev);
        return;
    }
    struct judge_command *c = find(j, ev->command.tag);
    if (c)
        c->open = false;
}

/* It was so in this step, if no longer: something else has been begun with the model. */
static bool done_truly(const struct judge *j, const struct judge_command *c)
{
    const struct judge_model *m = &j->models[c->model];
    if (seat_passes(m->seat) && m->op_since_ns == j->now_ns)
        return true;
    switch (c->what) {
    case COMMAND_LOAD:
        return m->seat == SEAT_HERE;
    case COMMAND_UNLOAD:
    case COMMAND_UNLOAD_NOW:
        return m->seat == SEAT_GONE;
    case COMMAND_MOVE:
        return m->seat == SEAT_HERE && m->at.placement == c->placement;
    case COMMAND_SUSPEND:
        return m->seat == SEAT_ASLEEP;
    case COMMAND_PIN:
    case COMMAND_UNPIN:
    case COMMAND_KEEP:
    case COMMAND__COUNT:
        return true;
    }
    return false;
}

void judge_command_done(struct judge *j, const struct effect *e)
{
    struct judge_command *c = find(j, e->tag);
    if (!c) {
        judge_break(j, RULE_COMMAND, "an answer to !%" PRIu64 ", which nobody waits for", e->tag);
        return;
    }
    c->open = false;
    if (e->reason == REASON_NONE && (c->model >= j->model_count || !done_truly(j, c)))
        judge_break(j, RULE_COMMAND, "!%" PRIu64 " is said to be done, and is not", e->tag);
    if (e->reason == REASON_MODEL_UNKNOWN && c->model < j->model_count &&
        j->models[c->model].policy.present)
        judge_break(j, RULE_REASON, "!%" PRIu64 ": m%u is configured", e->tag, c->model);
}
