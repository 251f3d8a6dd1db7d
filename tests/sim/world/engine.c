/* Engines: what a model's process, or a backend, does with the orders it gets. */
#include "world_priv.h"

/* Bytes */

uint64_t engine_bytes(const struct world *w, uint32_t i, uint32_t device)
{
    const struct engine *e = &w->engines[i];
    uint64_t bytes = 0;
    if (e->alive && (e->devices >> device & 1))
        bytes += e->bytes;
    if (e->alive && (e->to_devices >> device & 1))
        bytes += e->to_bytes;
    return bytes;
}

bool engine_lingers(const struct world *w, uint32_t i, uint32_t device)
{
    const struct engine *e = &w->engines[i];
    return (e->linger_devices >> device & 1) && e->linger_until_ns > w->run.now_ns;
}

/* The driver gives memory back some time after its owner has gone. */
static void let_go(struct world *w, struct engine *e, uint32_t devices, uint64_t bytes)
{
    if (!devices || !bytes || !chance(w, ODDS_LINGERS))
        return;
    e->linger_devices = devices;
    e->linger_bytes = bytes;
    e->linger_seen = below(w, 2);
    e->linger_until_ns = w->run.now_ns + 1 + below(w, w->swarm.linger_ns);
}

static void die(struct world *w, uint32_t i)
{
    struct engine *e = &w->engines[i];
    if (e->alive)
        let_go(w, e, e->devices, e->bytes);
    e->alive = e->asleep = false;
    e->devices = e->to_devices = 0;
    client_cut_all(w, i);
}

/* Ends of what was ordered */

static struct event *post(struct world *w, uint32_t i, enum event_type type)
{
    struct engine *e = &w->engines[i];
    struct letter *l = world_post(w, type);
    l->note.ev.model.model = i;
    l->note.wrong_op = chance(w, ODDS_WRONG_OP);
    if (l->note.wrong_op) { /* and then the right one all the same */
        l = world_post(w, type);
        l->note.ev.model.model = i;
    }
    e->posted = true;
    world_set_timer(w, TIMER_ENGINE, i, WORLD_NEVER);
    return &l->note.ev;
}

static void finish_load(struct world *w, uint32_t i)
{
    struct engine *e = &w->engines[i];
    bool late = e->escalated && e->alive && chance(w, ODDS_ABORT_LATE);
    enum reason why = REASON_NONE;
    if (!e->alive)
        why = REASON_EXITED;
    else if (e->escalated && !late)
        why = REASON_ABORTED;
    else if (!late && chance(w, ODDS_LOAD_FAILS))
        why = REASON_LOAD_FAILED;
    else if (!late && chance(w, ODDS_LOAD_MEMORY))
        why = REASON_OUT_OF_MEMORY;
    if (why == REASON_NONE) {
        post(w, i, EVENT_MODEL_LOADED);
        return;
    }
    die(w, i);
    post(w, i, EVENT_MODEL_LOAD_FAILED)->model.why = why;
}

static void finish_unload(struct world *w, uint32_t i)
{
    struct engine *e = &w->engines[i];
    bool stuck = e->alive && e->escalated && chance(w, ODDS_END_STUCK);
    if (!stuck)
        die(w, i);
    post(w, i, EVENT_MODEL_UNLOADED)->model.stuck = stuck;
    if (stuck)
        world_set_timer(w, TIMER_EXIT, i, world_soon(w, 60 * NS_PER_S));
}

static enum outcome draw_outcome(struct world *w, const struct engine *e)
{
    if (!e->alive || e->escalated || chance(w, ODDS_WAY_GONE))
        return OUTCOME_GONE;
    if (chance(w, ODDS_WAY_STAYS))
        return OUTCOME_AT_SOURCE;
    return chance(w, ODDS_WAY_ARRIVES) ? OUTCOME_AT_TARGET : OUTCOME_DONE;
}

static void finish_way(struct world *w, uint32_t i)
{
    static const enum event_type types[] = {[WORK_MOVE] = EVENT_MODEL_MOVED,
                                            [WORK_SUSPEND] = EVENT_MODEL_SUSPENDED,
                                            [WORK_RESUME] = EVENT_MODEL_RESUMED};
    struct engine *e = &w->engines[i];
    enum outcome how = draw_outcome(w, e);
    bool arrived = how == OUTCOME_DONE || how == OUTCOME_AT_TARGET;
    uint64_t residue = w->run.judge->models[i].policy.suspended_bytes;
    if (how == OUTCOME_GONE)
        die(w, i);
    if (arrived && e->work == WORK_SUSPEND && chance(w, ODDS_RESIDUE))
        residue = 1 + below(w, residue + 10 * MIB);
    if (arrived && e->work == WORK_SUSPEND) {
        e->asleep = true;
        residue = residue < e->bytes ? residue : e->bytes;
        let_go(w, e, e->devices, e->bytes - residue);
        e->bytes = residue;
    } else if (arrived) {
        if (e->work == WORK_MOVE)
            let_go(w, e, e->devices, e->bytes);
        e->bytes = e->to_bytes + (e->work == WORK_RESUME ? e->bytes : 0);
        e->asleep = false;
        e->devices = e->to_devices;
        e->placement = e->to_placement;
    }
    e->to_devices = 0;
    struct event *ev = post(w, i, types[e->work]);
    ev->model.outcome = how;
    ev->model.residue_bytes = e->asleep && e->work == WORK_SUSPEND ? residue : 0;
}

void engine_due(struct world *w, uint32_t i)
{
    const struct engine *e = &w->engines[i];
    if (e->work == WORK_NONE || e->posted || w->backend_lost[e->backend])
        return;
    if (e->work == WORK_LOAD)
        finish_load(w, i);
    else if (e->work == WORK_UNLOAD)
        finish_unload(w, i);
    else
        finish_way(w, i);
}

/* Orders */

static void begin(struct world *w, uint32_t i, enum work work, uint64_t ns_max)
{
    struct engine *e = &w->engines[i];
    bool hangs = chance(w, work == WORK_LOAD ? ODDS_LOAD_HANGS : ODDS_END_HANGS);
    uint64_t at = w->run.now_ns + 1 + below(w, ns_max);
    if (work == WORK_LOAD && chance(w, ODDS_LOAD_SLOW))
        at = w->run.now_ns + w->run.judge->models[i].policy.load_ns_max - NS_PER_MS +
             below(w, 2 * NS_PER_MS);
    e->work = work;
    e->posted = e->escalated = false;
    world_set_timer(w, TIMER_ENGINE, i, hangs ? WORLD_NEVER : at);
}

/* Nobody holds what is not there. */
static uint64_t bounded(const struct world *w, uint32_t devices, uint64_t bytes)
{
    for (uint32_t d = 0; d < w->swarm.devices; d++) {
        if (!(devices >> d & 1))
            continue;
        uint64_t used = sampler_used(w, d);
        uint64_t left = w->total[d] > used ? w->total[d] - used : 0;
        bytes = bytes < left ? bytes : left;
    }
    return bytes;
}

void engine_grow(struct world *w, uint32_t i, uint64_t bytes)
{
    w->engines[i].bytes += bounded(w, w->engines[i].devices, bytes);
}

static uint64_t really(struct world *w, struct engine *e, const struct effect *ef)
{
    uint64_t bytes = ef->bytes;
    const struct core_model_policy *m = &w->run.judge->models[ef->model].policy;
    if (ef->placement < m->placement_count && !m->placements[ef->placement].bytes)
        bytes = bytes / 5; /* it declares nothing, and was charged what there was */
    e->honesty = chance(w, ODDS_LIES) ? 300 + (uint32_t)below(w, 1200) : 1000;
    if (w->swarm.honest)
        return bytes;
    return bounded(w, ef->devices, bytes / 1000 * e->honesty + bytes % 1000 * e->honesty / 1000);
}

static void load(struct world *w, const struct effect *ef)
{
    struct engine *e = &w->engines[ef->model];
    e->backend = w->run.judge->models[ef->model].policy.backend;
    e->bytes = really(w, e, ef);
    e->alive = true;
    e->asleep = false;
    e->devices = ef->devices;
    e->placement = ef->placement;
    begin(w, ef->model, WORK_LOAD, w->swarm.load_ns);
}

static void go(struct world *w, const struct effect *ef, enum work work)
{
    struct engine *e = &w->engines[ef->model];
    if (e->alive && work != WORK_SUSPEND) {
        e->to_devices = ef->devices;
        e->to_placement = ef->placement;
        e->to_bytes = really(w, e, ef);
    }
    if (work == WORK_RESUME)
        e->to_bytes -= e->to_bytes < e->bytes ? e->to_bytes : e->bytes;
    begin(w, ef->model, work, w->swarm.end_ns);
}

static void escalate(struct world *w, uint32_t i)
{
    struct engine *e = &w->engines[i];
    e->escalated = true;
    if (!e->posted)
        world_set_timer(w, TIMER_ENGINE, i, world_soon(w, 2 * NS_PER_S));
}

void engine_effect(struct world *w, const struct effect *e)
{
    switch ((int)e->type) {
    case EFFECT_LOAD:
        load(w, e);
        break;
    case EFFECT_UNLOAD:
        begin(w, e->model, WORK_UNLOAD, w->swarm.end_ns);
        break;
    case EFFECT_MOVE:
        go(w, e, WORK_MOVE);
        break;
    case EFFECT_SUSPEND:
        go(w, e, WORK_SUSPEND);
        break;
    case EFFECT_RESUME:
        go(w, e, WORK_RESUME);
        break;
    default:
        escalate(w, e->model);
    }
}

/* By themselves */

void engine_exit(struct world *w, uint32_t i)
{
    struct engine *e = &w->engines[i];
    if (!e->alive || e->exit_posted)
        return;
    die(w, i);
    if (w->backend_lost[e->backend])
        return; /* told when the backend is up again */
    e->exit_posted = true;
    struct letter *l = world_post(w, EVENT_MODEL_EXITED);
    l->note.ev.model.model = i;
    l->note.ev.model.why = REASON_EXITED;
}

void engine_crash(struct world *w, uint32_t i)
{
    struct engine *e = &w->engines[i];
    if (!e->alive || e->posted)
        return;
    if (e->work == WORK_NONE) {
        engine_exit(w, i);
        return;
    }
    die(w, i);
    world_set_timer(w, TIMER_ENGINE, i, w->run.now_ns + 1); /* its end is the end of the op */
}

/* A backend that is lost loses its models, or keeps them; what was asked of it is not answered.
 * When it is back it says what is there. */
void engine_backend(struct world *w, uint32_t backend, bool lost)
{
    for (uint32_t i = 0; i < w->config.model_count; i++) {
        struct engine *e = &w->engines[i];
        if (e->backend != backend)
            continue;
        if (lost) {
            e->work = WORK_NONE;
            e->to_devices = 0;
            if (below(w, 2))
                die(w, i);
            world_set_timer(w, TIMER_ENGINE, i, WORLD_NEVER);
            continue;
        }
        if (e->asleep)
            die(w, i);
        struct letter *l = world_post(w, e->alive ? EVENT_MODEL_ADOPTED : EVENT_MODEL_EXITED);
        l->note.ev.model.model = i;
        l->note.ev.model.why = REASON_EXITED;
        l->note.ev.model.devices = e->devices;
        l->note.ev.model.placement = e->placement;
    }
}

/* It may sit anywhere that its policy allows; false: nowhere. */
static bool draw_seat(struct world *w, uint32_t i, struct event *ev)
{
    const struct core_model_policy *m = &w->config.models[i];
    ev->model.placement = CORE_SLOT_NONE;
    if (w->config.plan != PLAN_FIT || !m->placement_count)
        return true;
    ev->model.placement = (uint32_t)below(w, m->placement_count);
    const struct core_placement *pl = &m->placements[ev->model.placement];
    uint32_t want = !pl->device_mask ? 0 : pl->device_count ? pl->device_count : 1;
    for (uint32_t d = 0; d < w->swarm.devices && want; d++)
        if (pl->device_mask >> d & 1) {
            ev->model.devices |= 1U << d;
            want--;
        }
    return want == 0;
}

static bool loads_there(const struct world *w, uint32_t devices)
{
    for (uint32_t i = 0; i < w->config.model_count; i++)
        if (w->engines[i].work == WORK_LOAD && (w->engines[i].devices & devices))
            return true;
    return false;
}

void engine_adopt(struct world *w, uint32_t i)
{
    const struct core_model_policy *m = &w->config.models[i];
    struct engine *e = &w->engines[i];
    struct note n = {.ev = {.type = EVENT_MODEL_ADOPTED, .model.model = i}};
    if (!m->present || e->alive || !draw_seat(w, i, &n.ev))
        return;
    if (below(w, 3) == 0 && !loads_there(w, n.ev.model.devices)) {
        n.ev.model.adopted = ADOPTED_LOADING; /* and LOAD follows */
        world_tell(w, &n);
        return;
    }
    uint64_t declared =
        n.ev.model.placement < m->placement_count ? m->placements[n.ev.model.placement].bytes : 0;
    e->alive = true;
    e->backend = m->backend;
    e->devices = n.ev.model.devices;
    e->placement = n.ev.model.placement;
    if (m->suspends && below(w, 2)) {
        e->asleep = true;
        declared = m->suspended_bytes < declared ? m->suspended_bytes : declared;
        n.ev.model.adopted = ADOPTED_SUSPENDED;
    }
    e->bytes = 0;
    e->bytes = bounded(w, e->devices, declared ? declared : below(w, w->total[0] / 4));
    world_tell(w, &n);
}

/* What the core is about to hear is no longer under way. */
void engine_told(struct world *w, const struct note *n)
{
    struct engine *e = &w->engines[n->ev.model.model];
    if (n->ev.type == EVENT_MODEL_EXITED)
        e->exit_posted = false;
    if (n->ev.type < EVENT_MODEL_LOADED || n->ev.type > EVENT_MODEL_RESUMED || n->wrong_op)
        return;
    e->work = WORK_NONE;
    e->posted = false;
}
