/* Modes: what is wished of models. Wishes stand: after each change the core moves towards them
 * again, unloading and demoting first, then loading and promoting, in the order of all plans and
 * behind everybody who waits. What somebody uses is left alone until it is idle. */
#include "core/core_priv.h"

/* A wish that could not be carried out is tried again after this. */
#define RETRY_NS (30 * NS_PER_S)

void mode_give_up(struct core *c, uint32_t model)
{
    struct model *m = &c->models[model];
    if (m->wish != WISH_LOADED)
        return;
    m->wish_retry.ns = c->now.ns + RETRY_NS;
    m->wish_failed = true;
    deadline_replan(c, m->wish_retry);
    c->version++;
    c->more = true; /* the others may be all that is left of the mode */
}

/* What could not be had has come: the mode may be reached anew. */
void mode_granted(struct core *c, uint32_t model)
{
    struct model *m = &c->models[model];
    if (m->wish_failed)
        c->wishes_reached = false;
    m->wish_failed = false;
}

void mode_set(struct core *c, const struct core_wish *wishes, uint32_t count)
{
    for (uint32_t i = 0; i < c->model_count; i++) {
        c->models[i].wish = WISH_NONE;
        c->models[i].wish_placement = CORE_SLOT_NONE;
        c->models[i].wish_retry.ns = 0;
        c->models[i].wish_rests = c->models[i].wish_failed = false;
    }
    c->wishes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (wishes[i].model >= c->model_count || wishes[i].what == WISH_NONE ||
            !c->models[wishes[i].model].policy.present) {
            c->stale_ids += wishes[i].what != WISH_NONE;
            continue;
        }
        struct model *m = &c->models[wishes[i].model];
        m->wish = wishes[i].what;
        m->wish_placement = m->wish == WISH_LOADED ? wishes[i].placement : CORE_SLOT_NONE;
        m->wish_new = true;
        c->wishes++;
    }
    c->wishes_reached = false;
    c->version++;
    for (uint32_t i = 0; i < c->model_count; i++)
        model_refresh(c, i);
}

bool mode_wants_load(const struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    return m->wish == WISH_LOADED && !m->wish_rests && !m->wish_retry.ns && !c->wishes_open &&
           (m->state == MODEL_UNLOADED || m->state == MODEL_SUSPENDED ||
            (m->state == MODEL_LOADING && !m->op.escalated));
}

static bool misplaced(const struct model *m)
{
    return m->wish == WISH_LOADED && m->wish_placement < m->policy.placement_count &&
           m->state == MODEL_LOADED && m->placement != m->wish_placement && m->policy.movable &&
           !m->wish_retry.ns;
}

uint32_t mode_wants_move(const struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    bool promoted = misplaced(m) && m->policy.placements[m->wish_placement].device_mask;
    return promoted && !c->wishes_open && !model_busy(m) ? m->wish_placement : CORE_SLOT_NONE;
}

static bool free_to_go(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    return (m->state == MODEL_LOADED || m->state == MODEL_SUSPENDED) && !model_busy(m) &&
           m->leaving == LEAVE_NOT && m->victim_of == CORE_SLOT_NONE &&
           !c->targets[slot].plan.active && !c->backend_down[m->policy.backend];
}

/* One that was loaded on demand under this mode stays as long as anything that came in does. */
static bool stays_for_demand(struct core *c, const struct model *m)
{
    uint64_t until = m->last_used.ns + c->fair.min_resident_ns;
    if (m->wish_new || until <= c->now.ns)
        return false;
    deadline_replan(c, (struct mono){until});
    return true;
}

static void demote(struct core *c, uint32_t slot)
{
    struct model *m = &c->models[slot];
    if (!free_to_go(c, slot))
        return;
    if (m->wish == WISH_UNLOADED && !model_pinned(m) && !stays_for_demand(c, m))
        op_start_unload(c, slot, REASON_MODE);
    else if (misplaced(m) && !m->policy.placements[m->wish_placement].device_mask)
        op_start_demote(c, slot, m->wish_placement, REASON_MODE);
}

/* Whether the mode still has something to hope for. */
static bool unreached(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    if (m->wish == WISH_NONE || m->wish_retry.ns || m->wish_rests)
        return false;
    if (m->wish == WISH_UNLOADED)
        return model_resident(m) && m->wish_new;
    return m->state != MODEL_LOADED || misplaced(m);
}

void mode_advance(struct core *c)
{
    uint32_t open = 0, left = 0;
    if (!c->wishes || c->wished_version == c->version)
        return;
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (c->models[i].wish == WISH_NONE)
            continue;
        if (!core_has_room(c))
            return;
        if (c->models[i].wish_retry.ns && c->models[i].wish_retry.ns <= c->now.ns) {
            c->models[i].wish_retry.ns = 0;
            model_refresh(c, i);
        } else if (c->models[i].wish_retry.ns) {
            deadline_replan(c, c->models[i].wish_retry); /* an earlier time may have replaced it */
        }
        demote(c, i);
        open += c->models[i].op.kind != OP_NONE && c->models[i].op.why == REASON_MODE &&
                (c->models[i].op.kind == OP_UNLOAD || !c->models[i].op.devices);
    }
    bool changed = (open == 0) != (c->wishes_open == 0);
    c->wishes_open = open;
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (changed && c->models[i].wish == WISH_LOADED)
            model_refresh(c, i);
        left += unreached(c, i);
    }
    if (!left && !c->wishes_reached) {
        c->wishes_reached = true;
        core_notice(c, NOTICE_MODE_REACHED, CORE_SLOT_NONE, REASON_MODE);
    }
    c->wished_version = c->version;
}
