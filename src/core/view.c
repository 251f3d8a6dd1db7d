/* Looking at the core from outside; nothing here changes anything that matters. */
#include "core/core_priv.h"
#include "core/plan/plan.h"

static bool is_settling(const struct core *c)
{
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].hold.settling_devices || c->models[i].state == MODEL_ERROR)
            return true;
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++)
        if (pool_used(&c->lease_pool, s) && c->leases[s].state == LEASE_ENDED)
            return true;
    return false;
}

/* By somebody or something that wharf cannot make leave: it says so (NOTICE_BLOCKED). */
static bool is_blocked(const struct core *c)
{
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->targets[i].blocked || c->backend_down[c->models[i].policy.backend])
            return true;
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++)
        if (pool_used(&c->lease_pool, s) && c->targets[c->limits.models_max + s].blocked)
            return true;
    return false;
}

static bool is_pending(const struct core *c)
{
    return !c->booted || c->draining || c->more || c->sweep || c->ops_open || c->running_count ||
           c->leases_granted || deadline_replans(c) || is_settling(c) || is_blocked(c);
}

void core_view(const struct core *c, struct core_view *ret)
{
    *ret = (struct core_view){.waiting = c->arrivals.count,
                              .running = c->running_count,
                              .stale_ids = c->stale_ids,
                              .leases_waiting = c->leases_waiting,
                              .leases_granted = c->leases_granted,
                              .draining = c->draining,
                              .booted = c->booted,
                              .pending = is_pending(c)};
    for (uint32_t i = 0; i < c->model_count; i++)
        ret->loaded += c->models[i].state == MODEL_LOADED;
}

static uint32_t next_permille(const struct core *c, uint32_t model)
{
    uint64_t p = reuse_probability(&c->reuse, &c->models[model].reuse, model);
    return (uint32_t)((p * 1000 + REUSE_ONE / 2) / REUSE_ONE);
}

void core_view_model(const struct core *c, uint32_t model, struct core_model_view *ret)
{
    must(model < c->model_count);
    const struct model *m = &c->models[model];
    const struct heap_item *idle = heap_find(&c->deadlines, deadline_model(model, DEADLINE_IDLE));
    uint32_t shown = m->placement < CORE_PLACEMENTS_MAX ? m->placement : 0;
    *ret = (struct core_model_view){.state = m->state,
                                    .reason = m->reason,
                                    .running = m->running.count,
                                    .waiting = m->waiting_count,
                                    .placement = m->placement,
                                    .devices = m->hold.devices | m->hold.settling_devices,
                                    .declared_bytes = m->policy.placements[shown].bytes,
                                    .learned_bytes = m->learned_bytes[shown],
                                    .estimated_bytes = m->estimated_bytes[shown],
                                    .settling = m->hold.settling_devices != 0,
                                    .pinned = model_pinned(m),
                                    .wish = m->wish,
                                    .last_used = core_time(c, m->last_used),
                                    .state_since = core_time(c, m->state_since),
                                    .load_ns_mean = m->load_ns_mean[shown],
                                    .resume_ns_mean = m->resume_ns_mean,
                                    .next_permille = next_permille(c, model),
                                    .peak_bytes = m->hold.peak_bytes,
                                    .residue_bytes = m->residue_bytes,
                                    .ttl_ns = model_ttl_ns(m),
                                    .failures = m->failures,
                                    .wish_failed = m->wish_failed,
                                    .wish_rests = m->wish_rests};
    if (idle)
        ret->idle_deadline = core_time(c, (struct mono){idle->key.major});
    ret->device = mask_first(ret->devices);
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        ret->charged_bytes += m->hold.charged[d] + m->hold.settling[d];
}

void core_view_device(const struct core *c, uint32_t device, struct core_device_view *ret)
{
    must(device < CORE_DEVICES_MAX);
    const struct device *d = &c->devices[device];
    int64_t room = ledger_room(c, device, CORE_SLOT_NONE);
    *ret = (struct core_device_view){.present = d->present,
                                     .total_bytes = d->total_bytes,
                                     .used_bytes = d->used_bytes,
                                     .foreign_bytes = d->foreign_bytes,
                                     .settling_bytes = ledger_settling(c, device),
                                     .room_bytes = room > 0 ? (uint64_t)room : 0,
                                     .loader = d->loader,
                                     .sampled = core_time(c, d->sampled)};
    for (uint32_t i = 0; i < c->model_count; i++)
        ret->own_bytes += c->models[i].hold.charged[device];
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++)
        ret->leased_bytes += c->leases[s].hold.charged[device];
    ret->charged_bytes = ret->own_bytes + ret->leased_bytes;
}

/* Under serial there is one queue, whatever the model and the class. */
static uint32_t place_of(const struct core *c, const struct waiter *w)
{
    const struct model *m = &c->models[w->model];
    const struct link *n;
    uint32_t place = 0;
    if (c->sched == SCHEDULER_SERIAL) {
        list_each(n, &c->arrivals) {
            place++;
            if (n == &w->order)
                break;
        }
        return place;
    }
    for (int class = 0; class < (int)w->class; class ++)
        place += m->waiting[class].count;
    list_each(n, &m->waiting[w->class]) {
        place++;
        if (n == &w->link)
            break;
    }
    return place;
}

void core_view_waiter(const struct core *c, struct id id, uint32_t *ret_position,
                      uint32_t *ret_estimate_s)
{
    *ret_position = *ret_estimate_s = 0;
    if (!pool_alive(&c->waiter_pool, id))
        return;
    const struct waiter *w = &c->waiters[id.slot];
    if (w->state != WAITER_WAITING)
        return;
    *ret_position = place_of(c, w);
    *ret_estimate_s = estimate_waiter_s(c, w->model);
}

bool core_view_next_waiting(const struct core *c, struct id *cursor, struct core_waiting *ret)
{
    const struct link *n = c->arrivals.head.next;
    struct mono deadline;
    if (!id_none(*cursor))
        n = c->waiters[cursor->slot].order.next;
    if (n == &c->arrivals.head)
        return false;
    const struct waiter *w = list_entry(n, const struct waiter, order);
    *cursor = pool_id(&c->waiter_pool, (uint32_t)(w - c->waiters));
    *ret = (struct core_waiting){.id = *cursor,
                                 .tag = w->tag,
                                 .model = w->model,
                                 .class = w->class,
                                 .since = core_time(c, w->since)};
    if (want_waiter_deadline(c, w, &deadline))
        ret->deadline = core_time(c, deadline);
    return true;
}

bool core_view_next_lease(const struct core *c, struct id *cursor, struct core_lease_view *ret)
{
    uint32_t s = id_none(*cursor) ? 0 : cursor->slot + 1;
    while (s < c->lease_pool.high_water && !pool_used(&c->lease_pool, s))
        s++;
    if (s >= c->lease_pool.high_water)
        return false;
    const struct lease *l = &c->leases[s];
    *cursor = pool_id(&c->lease_pool, s);
    *ret = (struct core_lease_view){.id = *cursor,
                                    .tag = l->tag,
                                    .granted = l->state == LEASE_GRANTED,
                                    .revoked = l->revoked,
                                    .ended = l->state == LEASE_ENDED,
                                    .ask = l->ask,
                                    .devices = l->hold.devices | l->hold.settling_devices,
                                    .since = core_time(c, l->since),
                                    .granted_at = core_time(c, l->granted_at),
                                    .deadline = core_time(c, l->expires)};
    return true;
}

static enum core_verdict verdict_of(enum plan_verdict v)
{
    static const enum core_verdict verdicts[] = {[PLAN_GO] = VERDICT_GO,
                                                 [PLAN_WAIT] = VERDICT_WAIT,
                                                 [PLAN_BLOCKED] = VERDICT_BLOCKED,
                                                 [PLAN_NEVER] = VERDICT_NEVER};
    return verdicts[v];
}

static void show_victim(const struct core *c, const struct victim *v, struct core_plan_victim *ret)
{
    *ret = (struct core_plan_victim){.action = v->action, .model = CORE_SLOT_NONE, .busy = v->busy};
    if (want_is_lease(c, v->target))
        ret->lease = pool_id(&c->lease_pool, v->target - c->limits.models_max);
    else
        ret->model = v->target;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        ret->bytes += ledger_given(c, v->target, v->action, d);
}

static void show_plan(struct core *c, const struct claim *claim, struct core_plan_view *ret)
{
    struct planned planned = {.by = CORE_SLOT_NONE};
    enum plan_verdict v = plan_for(c, claim->target)->plan(c, claim, &planned);
    *ret = (struct core_plan_view){.verdict = verdict_of(v),
                                   .why = v == PLAN_WAIT ? REASON_BUSY : planned.plan.why,
                                   .placement = planned.plan.placement,
                                   .devices = planned.plan.devices};
    if (v != PLAN_GO)
        return;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (planned.plan.bytes[d] > ret->bytes)
            ret->bytes = planned.plan.bytes[d];
    ret->victim_count = planned.victims;
    for (uint32_t i = 0; i < planned.victims && i < CORE_PLAN_VICTIMS_MAX; i++)
        show_victim(c, &c->victims[i], &ret->victims[i]);
}

void core_plan_model(struct core *c, uint32_t model, enum class class, struct core_plan_view *ret)
{
    must(model < c->model_count);
    const struct model *m = &c->models[model];
    struct claim claim = {.target = model, .rank = class};
    *ret = (struct core_plan_view){.placement = m->placement, .devices = m->hold.devices};
    bool comes = m->state == MODEL_UNLOADED || m->state == MODEL_SUSPENDED;
    if (m->state == MODEL_LOADED)
        ret->verdict = VERDICT_HERE;
    else if (m->state == MODEL_STUCK || m->state == MODEL_ERROR)
        ret->verdict = VERDICT_BLOCKED;
    else if (!comes || c->targets[model].plan.active)
        ret->verdict = VERDICT_WAIT; /* it is on its way, in or out */
    else
        show_plan(c, &claim, ret);
    if (ret->verdict == VERDICT_BLOCKED && !ret->why)
        ret->why = m->reason;
    ret->estimate_ns = estimate_ns(c, model, 1);
}

void core_plan_lease(struct core *c, const struct core_lease_ask *ask, struct core_plan_view *ret)
{
    struct id id;
    *ret = (struct core_plan_view){.verdict = VERDICT_WAIT, .why = REASON_QUEUE_FULL};
    if (!pool_get(&c->lease_pool, &id))
        return;
    /* It is never more than looked at: it enters no gate and stays on no list. */
    c->leases[id.slot] = (struct lease){
        .ask = *ask, .seq = c->seq + 1, .since = c->now, .victim_of = CORE_SLOT_NONE};
    struct claim claim = {.target = want_of_lease(c, id.slot), .rank = ask->class};
    if (ask->bytes)
        show_plan(c, &claim, ret);
    if (ret->verdict == VERDICT_GO)
        ret->estimate_ns = estimate_victims_ns(c, ret->victim_count);
    else if (ret->verdict == VERDICT_WAIT)
        ret->estimate_ns = estimate_room_ns(c, ask->device_mask);
    if (!ask->bytes)
        *ret = (struct core_plan_view){.verdict = VERDICT_GO};
    for (uint32_t i = 0; i < ask->gate_count && ret->verdict == VERDICT_GO; i++)
        if (!gate_has_room(&c->gates[ask->gates[i]]) || gate_waiting(&c->gates[ask->gates[i]]))
            ret->verdict = VERDICT_WAIT, ret->why = REASON_BUSY;
    pool_put(&c->lease_pool, id.slot);
}
