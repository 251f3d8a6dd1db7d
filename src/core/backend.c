/* Backends that several models share, and that may be down as a whole. What was asked of one that
 * went down will not be answered: its models' open ops end as unknown, and their bytes stay charged
 * until they are measured to be free. */
#include "core/core_priv.h"

/* Within this, what is loaded there is reported; then what is not has gone. */
#define ADOPT_NS (3 * NS_PER_S)

static void say(struct core *c, enum effect_type type, uint32_t backend, enum notice notice)
{
    struct effect *e = core_emit(c, type, CORE_SLOT_NONE);
    e->notice = notice;
    e->backend = backend;
    e->reason = notice == NOTICE_BACKEND_UP ? REASON_NONE : REASON_BACKEND_DOWN;
}

/* Nobody knows what became of it; if it is there after all, ADOPTED says so. */
static void lose(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    queue_doom(c, slot, REASON_BACKEND_DOWN);
    command_finish_all(c, slot, REASON_BACKEND_DOWN);
    if (c->targets[slot].plan.active)
        transition_end(c, slot);
    if (m->op.kind == OP_NONE)
        return;
    m->op = (struct op){0};
    deadline_clear(c, deadline_model(slot, DEADLINE_OP));
    model_set_state(c, slot, MODEL_UNLOADED, REASON_BACKEND_DOWN);
    core_notice(c, NOTICE_MODEL_UNLOADED, slot, REASON_BACKEND_DOWN);
    model_gone(c, slot);
    deadline_clear(c, deadline_model(slot, DEADLINE_SETTLE));
}

void backend_sweep(struct core *c)
{
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (!c->backend_down[c->models[i].policy.backend])
            continue;
        if (!core_has_room(c)) {
            c->sweep = true;
            return;
        }
        lose(c, i);
        model_refresh(c, i);
    }
}

void backend_down(struct core *c, uint32_t backend)
{
    must(backend > 0 && backend <= CORE_BACKENDS_MAX);
    if (c->backend_down[backend])
        return;
    c->backend_down[backend] = true;
    say(c, EFFECT_NOTICE, backend, NOTICE_BACKEND_DOWN);
    deadline_set(c, deadline_backend(c, backend), (struct mono){c->now.ns + c->probe_ns});
    c->version++;
    /* They serve no more from now on, also those that this step does not come to. */
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].policy.backend == backend)
            model_refresh(c, i);
    backend_sweep(c);
}

void backend_up(struct core *c, uint32_t backend)
{
    must(backend > 0 && backend <= CORE_BACKENDS_MAX);
    if (!c->backend_down[backend])
        return;
    c->backend_down[backend] = false;
    deadline_clear(c, deadline_backend(c, backend));
    say(c, EFFECT_NOTICE, backend, NOTICE_BACKEND_UP);
    transition_outdate_all(c); /* planned as if its models were not there */
    c->version++;
    for (uint32_t i = 0; i < c->model_count; i++) {
        struct model *m = &c->models[i];
        if (m->policy.backend != backend)
            continue;
        m->wish_retry.ns = 0;
        if (m->hold.settling_devices)
            deadline_set(c, deadline_model(i, DEADLINE_SETTLE),
                         (struct mono){c->now.ns + ADOPT_NS});
        model_refresh(c, i);
    }
}

void backend_probe(struct core *c, uint32_t backend)
{
    say(c, EFFECT_BACKEND_PROBE, backend, NOTICE_BACKEND_DOWN);
    deadline_set(c, deadline_backend(c, backend), (struct mono){c->now.ns + c->probe_ns});
}
