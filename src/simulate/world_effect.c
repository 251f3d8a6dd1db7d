#include "simulate/world.h"

static struct sim_request *request_of(struct world *w, uint64_t tag)
{
    must(tag >= 1 && tag <= w->requests.count);
    return &w->requests.items[tag - 1];
}

static void show_waiting(struct world *w, int by)
{
    w->waiting = (uint32_t)((int)w->waiting + by);
    if (w->timeline)
        timeline_waiting(w->timeline, w->now_ns, w->waiting);
}

/* Requests */

static void do_wait(struct world *w, const struct effect *e)
{
    struct sim_request *r = request_of(w, e->tag);
    must(r->state == SIM_ASKING);
    r->state = SIM_WAITING;
    r->id = e->waiter;
    show_waiting(w, 1);
    bound_waits(&w->bound, &w->requests, (uint32_t)(e->tag - 1));
}

static void works(struct world *w, struct world_model *m)
{
    if (m->running++ > 0)
        return;
    m->working_ns = w->now_ns;
    for (uint32_t d = 0; d < w->device_count; d++)
        if (m->shown >> d & 1 && w->devices[d].running++ == 0)
            w->devices[d].busy_since_ns = w->now_ns;
}

static void do_grant(struct world *w, const struct effect *e)
{
    struct sim_request *r = request_of(w, e->tag);
    must(r->state == SIM_ASKING || (r->state == SIM_WAITING && id_equal(r->id, e->waiter)));
    if (r->state == SIM_WAITING)
        show_waiting(w, -1);
    bound_served(&w->bound, &w->requests, (uint32_t)(e->tag - 1), w->now_ns);
    r->state = SIM_SERVED;
    r->id = e->waiter;
    r->granted_ns = w->now_ns;
    const struct world_model *m = &w->models[r->model];
    uint64_t from_ns = m->begun_ns > r->at_ns ? m->begun_ns : r->at_ns;
    r->loading_ns = m->there_ns > from_ns ? m->there_ns - from_ns : 0;
    works(w, &w->models[r->model]);
    agenda_put(&w->agenda, (struct agenda_item){.at_ns = w->now_ns + r->serve_ns,
                                                .kind = WORLD_ENDS,
                                                .index = (uint32_t)(e->tag - 1)});
}

static void asks_again(struct world *w, const struct sim_request *r, uint64_t pause_ns)
{
    if (r->loop == SIM_NO_LOOP)
        return;
    uint64_t think_ns = w->work->loops[r->loop].think_ns;
    agenda_put(&w->agenda, (struct agenda_item){
                               .at_ns = w->now_ns + (think_ns > pause_ns ? think_ns : pause_ns),
                               .kind = WORLD_ASKS,
                               .index = r->loop});
}

static void do_refuse(struct world *w, const struct effect *e)
{
    if (world_is_lease(e->tag)) {
        world_lease_refused(w, e->tag);
        return;
    }
    struct sim_request *r = request_of(w, e->tag);
    must(r->state == SIM_ASKING || r->state == SIM_WAITING);
    if (r->state == SIM_WAITING) {
        show_waiting(w, -1);
        bound_left(&w->bound, &w->requests, (uint32_t)(e->tag - 1));
    }
    r->state = SIM_REFUSED;
    w->open--;
    w->result->refused++;
    uint64_t pause_s = e->retry_after_s ? e->retry_after_s : 1;
    asks_again(w, r, pause_s * NS_PER_S);
}

static void ends(struct world *w, uint32_t request)
{
    struct sim_request *r = &w->requests.items[request];
    struct world_model *m = &w->models[r->model];
    must(r->state == SIM_SERVED && m->running > 0);
    r->state = SIM_DONE;
    w->open--;
    w->result->served++;
    if (--m->running == 0) {
        for (uint32_t d = 0; d < w->device_count; d++)
            if (m->shown >> d & 1 && --w->devices[d].running == 0)
                w->devices[d].busy_ns += w->now_ns - w->devices[d].busy_since_ns;
        if (w->timeline)
            timeline_work(w->timeline, m->stay, m->working_ns, w->now_ns);
    }
    struct event ev = {.type = EVENT_REQUEST_ENDED, .ended = {r->id, ENDED_DONE}};
    asks_again(w, r, 0);
    world_step(w, &ev);
}

/* Models */

/* Its bytes are on these devices now, so many on each. */
static void hold_bytes(struct world *w, struct world_model *m, uint32_t devices, uint64_t bytes)
{
    for (uint32_t d = 0; d < w->device_count; d++) {
        struct world_device *device = &w->devices[d];
        if (m->devices >> d & 1)
            device->used_bytes -= m->held_bytes;
        if (devices >> d & 1)
            device->used_bytes += bytes;
        w->result->overcommits +=
            (devices & ~m->devices) >> d & 1 && device->used_bytes > device->total_bytes;
    }
    m->devices = devices;
    m->held_bytes = bytes;
}

/* For the history: the op that begins. */
static void record_op(struct world *w, const struct effect *e, enum sim_swap_kind kind)
{
    struct world_model *m = &w->models[e->model];
    uint32_t devices =
        kind == SIM_SWAP_UNLOAD || kind == SIM_SWAP_SUSPEND ? m->devices : e->devices;
    struct sim_swap swap = {.at_ns = w->now_ns,
                            .took_ns = UINT64_MAX,
                            .model = e->model,
                            .devices = devices,
                            .bytes = m->bytes * (uint64_t)__builtin_popcount(devices),
                            .leaves = {CORE_SLOT_NONE, CORE_SLOT_NONE},
                            .kind = kind,
                            .reason = e->reason};
    bool is_eviction = kind == SIM_SWAP_UNLOAD || kind == SIM_SWAP_SUSPEND || kind == SIM_SWAP_MOVE;
    if (!w->history)
        return;
    if (is_eviction && e->reason != REASON_IDLE && e->reason != REASON_COMMAND)
        swap.leaves = m->leaves;
    m->swap = sim_history_swap(w->history, &swap);
}

static void begin_op(struct world *w, const struct effect *e, enum event_type completes,
                     uint64_t duration_ns)
{
    struct world_model *m = &w->models[e->model];
    must(e->model < w->model_count && m->op == 0);
    m->op = e->op;
    m->completes = completes;
    m->aborted = false;
    agenda_put(&w->agenda, (struct agenda_item){.at_ns = w->now_ns + duration_ns,
                                                .kind = WORLD_OP,
                                                .index = e->model,
                                                .token = e->op});
}

static void do_load(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->models[e->model];
    record_op(w, e, SIM_SWAP_LOAD);
    begin_op(w, e, EVENT_MODEL_LOADED, m->load_ns);
    m->begun_ns = w->now_ns;
    /* Without a device of its own it is still somewhere, to be looked at. */
    m->shown = e->devices ? e->devices : w->device_count > 0;
    hold_bytes(w, m, e->devices, m->bytes);
    bound_begins(&w->bound, &w->requests, e->model, w->now_ns);
    if (w->timeline)
        m->stay = timeline_come(w->timeline, e->model, m->shown, w->now_ns);
}

static uint64_t copy_ns(const struct world *w, const struct world_model *m)
{
    return (uint64_t)((double)m->bytes / (double)w->opt->costs.load_bytes_per_s * (double)NS_PER_S);
}

static void do_unload(struct world *w, const struct effect *e)
{
    record_op(w, e, SIM_SWAP_UNLOAD);
    begin_op(w, e, EVENT_MODEL_UNLOADED, w->opt->costs.unload_ns);
    w->result->unloads++;
    w->result->evictions += e->reason != REASON_IDLE && e->reason != REASON_COMMAND;
}

static void do_move(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->models[e->model];
    record_op(w, e, SIM_SWAP_MOVE);
    begin_op(w, e, EVENT_MODEL_MOVED, copy_ns(w, m));
    hold_bytes(w, m, e->devices, m->bytes);
}

static void do_suspend(struct world *w, const struct effect *e)
{
    record_op(w, e, SIM_SWAP_SUSPEND);
    begin_op(w, e, EVENT_MODEL_SUSPENDED, copy_ns(w, &w->models[e->model]));
    w->result->evictions++;
}

static void do_resume(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->models[e->model];
    record_op(w, e, SIM_SWAP_RESUME);
    begin_op(w, e, EVENT_MODEL_RESUMED, copy_ns(w, m));
    hold_bytes(w, m, e->devices, m->bytes);
}

/* The op is over at once: a load has failed, what had to stop has stopped. */
static void do_escalate(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->models[e->model];
    if (m->op != e->op)
        return;
    m->aborted = true;
    agenda_put(&w->agenda,
               (struct agenda_item){
                   .at_ns = w->now_ns, .kind = WORLD_OP, .index = e->model, .token = e->op});
}

static void leave(struct world *w, struct world_model *m)
{
    hold_bytes(w, m, 0, 0);
    bound_gone(&w->bound, (uint32_t)(m - w->models));
    if (w->timeline)
        timeline_leave(w->timeline, m->stay, w->now_ns);
    m->shown = 0;
}

static void op_done(struct world *w, uint32_t model, uint64_t op)
{
    struct world_model *m = &w->models[model];
    struct event ev = {.type = m->completes,
                       .model = {.op = op, .model = model, .outcome = OUTCOME_DONE}};
    if (m->op != op)
        return; /* it was escalated, and is over */
    m->op = 0;
    if (w->history) {
        w->history->swaps[m->swap].took_ns = w->now_ns - w->history->swaps[m->swap].at_ns;
        w->history->swaps[m->swap].ok = !m->aborted || m->completes == EVENT_MODEL_UNLOADED;
    }
    if (m->completes == EVENT_MODEL_LOADED) {
        m->there_ns = w->now_ns;
        w->result->load_ns += w->now_ns - m->begun_ns;
        if (w->timeline && !m->aborted)
            timeline_loaded(w->timeline, m->stay, w->now_ns);
    }
    if (m->completes == EVENT_MODEL_LOADED && !m->aborted) {
        w->result->loads++;
        m->loads++;
        bound_loaded(&w->bound, model, w->now_ns);
    } else if (m->completes == EVENT_MODEL_LOADED) {
        ev.type = EVENT_MODEL_LOAD_FAILED;
        ev.model.why = REASON_ABORTED;
        w->result->aborts++;
        bound_failed(&w->bound, model, w->now_ns);
        leave(w, m);
    } else if (m->completes == EVENT_MODEL_UNLOADED || m->aborted) {
        ev.model.outcome = OUTCOME_GONE;
        leave(w, m);
    } else if (m->completes == EVENT_MODEL_SUSPENDED) {
        hold_bytes(w, m, m->devices, m->suspended_bytes);
    }
    world_step(w, &ev);
}

/* Devices */

static void do_sample_now(struct world *w, const struct effect *e)
{
    must(e->device < w->device_count);
    if (w->devices[e->device].sample_due)
        return;
    w->devices[e->device].sample_due = true;
    /* A moment later: a sample proves only what was over before it. */
    agenda_put(&w->agenda, (struct agenda_item){
                               .at_ns = w->now_ns + 1, .kind = WORLD_SAMPLE, .index = e->device});
}

static void read_device(struct world *w, uint32_t device)
{
    struct event ev = {.type = EVENT_DEVICE_SAMPLE, .sample = {.device = device}};
    w->devices[device].sample_due = false;
    for (uint32_t i = 0; i < w->model_count; i++)
        if (w->models[i].devices >> device & 1 && w->models[i].held_bytes)
            w->sample[ev.sample.use_count++] =
                (struct sample_use){.model = i, .bytes = w->models[i].held_bytes};
    ev.sample.use_count += world_lease_uses(w, device, &w->sample[ev.sample.use_count]);
    ev.sample.taken.ns = w->now_ns;
    ev.sample.used_bytes = w->devices[device].used_bytes;
    ev.sample.uses = w->sample;
    world_step(w, &ev);
}

/* Whom the model that is told to go makes room for. */
static void do_decide(struct world *w, const struct effect *e)
{
    struct world_model *m = &w->models[e->model];
    if (e->model >= w->model_count)
        return; /* it is a lease that has to go */
    m->leaves = (struct sim_for){e->other, CORE_SLOT_NONE};
    for (uint32_t i = 0; e->other == CORE_SLOT_NONE && i < w->work->lease_count; i++)
        if (id_equal(w->leases[i].id, e->waiter))
            m->leaves.lease = i;
}

static void do_nothing(struct world *w, const struct effect *e)
{
    (void)w;
    (void)e;
}

void world_effect(struct world *w, const struct effect *e)
{
    static void (*const table[])(struct world *, const struct effect *) = {
        [EFFECT_WAIT] = do_wait,
        [EFFECT_GRANT] = do_grant,
        [EFFECT_REFUSE] = do_refuse,
        [EFFECT_LEASE_WAIT] = world_lease_waits,
        [EFFECT_LEASE_GRANT] = world_lease_granted,
        [EFFECT_LEASE_REVOKE] = world_lease_revoked,
        [EFFECT_LEASE_END] = world_lease_ended,
        [EFFECT_LOAD] = do_load,
        [EFFECT_ABORT] = do_escalate,
        [EFFECT_UNLOAD] = do_unload,
        [EFFECT_MOVE] = do_move,
        [EFFECT_SUSPEND] = do_suspend,
        [EFFECT_RESUME] = do_resume,
        [EFFECT_KILL] = do_escalate,
        [EFFECT_SAMPLE_NOW] = do_sample_now,
        [EFFECT_BACKEND_PROBE] = do_nothing,
        [EFFECT_COMMAND_DONE] = do_nothing,
        [EFFECT_MODEL_RETIRED] = do_nothing,
        [EFFECT_LEARNED] = do_nothing,
        [EFFECT_NOTICE] = do_nothing,
        [EFFECT_DECISION] = do_decide,
        [EFFECT_TRACE] = do_nothing,
    };
    _Static_assert(countof(table) == EFFECT__COUNT, "a function an effect");
    table[e->type](w, e);
}

void world_happens(struct world *w, const struct agenda_item *item)
{
    switch ((enum world_kind)item->kind) {
    case WORLD_ENDS:
        ends(w, item->index);
        break;
    case WORLD_OP:
        op_done(w, item->index, item->token);
        break;
    case WORLD_SAMPLE:
        read_device(w, item->index);
        break;
    case WORLD_ASKS:
        world_asks(w, item->index);
        break;
    case WORLD_LEASE_ASKS:
        world_lease_asks(w, item->index);
        break;
    case WORLD_LEASE_OVER:
        world_lease_over(w, item->index);
        break;
    }
}
