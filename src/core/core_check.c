/* Every invariant, walked from scratch: nothing here trusts a counter. */
#include "core/core_priv.h"

static void check_waiter(const struct core *c, const struct waiter *w, enum waiter_state state,
                         uint32_t model)
{
    must(pool_used(&c->waiter_pool, (uint32_t)(w - c->waiters)));
    must(w->state == state && w->model == model);
    must((state == WAITER_WAITING) == link_linked(&w->order));
    must(!w->quiet || state == WAITER_GRANTED);
}

static uint32_t check_list(const struct core *c, const struct list *l, enum waiter_state state,
                           uint32_t model)
{
    uint32_t count = 0;
    uint64_t seq = 0;
    const struct link *n;
    list_each(n, l) {
        const struct waiter *w = list_entry(n, const struct waiter, link);
        check_waiter(c, w, state, model);
        /* First come first served within a class. */
        must(state != WAITER_WAITING || w->seq > seq);
        seq = w->seq;
        count++;
    }
    must(count == l->count);
    return count;
}

static void check_running(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    uint32_t by_class[CLASS__COUNT] = {0}, quiet = 0;
    const struct link *n;
    list_each(n, &m->running) {
        const struct waiter *w = list_entry(n, const struct waiter, link);
        by_class[w->class]++;
        quiet += w->quiet;
    }
    for (int class = 0; class < CLASS__COUNT; class ++)
        must(by_class[class] == m->running_class[class]);
    must(quiet == m->quiet_count);
}

static void check_places(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    const struct target *t = &c->targets[slot];
    bool runnable = m->waiting_count && model_serves(c, m) &&
                    m->running.count < m->policy.slots_max && queue_next(c, slot);
    must(link_linked(&m->runnable) == runnable);
    must(link_linked(&m->doom) == (m->doomed.count > 0));
    /* What waits for a model that nobody brings in is never forgotten. */
    bool known = heap_has(&c->wants, slot) || link_linked(&t->parked);
    must(!(m->waiting_count && m->state == MODEL_UNLOADED && !m->hold.settling_devices &&
           !t->plan.active && !c->draining && !m->removed && m->leaving == LEAVE_NOT &&
           !c->backend_down[m->policy.backend]) ||
         known);
    /* Only an idle, serving model has an idle deadline. */
    must(!heap_has(&c->deadlines, deadline_model(slot, DEADLINE_IDLE)) ||
         (model_serves(c, m) && !model_busy(m)));
}

static void check_op(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    must((m->op.kind == OP_LOAD) == (m->state == MODEL_LOADING));
    must((m->op.kind == OP_UNLOAD) == (m->state == MODEL_UNLOADING));
    must((m->op.kind == OP_MOVE) == (m->state == MODEL_MOVING));
    must((m->op.kind == OP_SUSPEND) == (m->state == MODEL_SUSPENDING));
    must((m->op.kind == OP_RESUME) == (m->state == MODEL_RESUMING));
    must(heap_has(&c->deadlines, deadline_model(slot, DEADLINE_OP)) ==
         (m->op.kind != OP_NONE && !m->op.escalated));
    must(heap_has(&c->deadlines, deadline_model(slot, DEADLINE_ERROR)) ==
         (m->state == MODEL_ERROR));
    must(m->hold.settling_devices ||
         !heap_has(&c->deadlines, deadline_model(slot, DEADLINE_SETTLE)));
    must(!m->hold.devices || model_resident(m));
    must((m->suspended_bytes > 0) <= (m->state == MODEL_SUSPENDING || m->state == MODEL_SUSPENDED ||
                                      m->state == MODEL_RESUMING || m->state == MODEL_UNLOADING ||
                                      m->state == MODEL_STUCK));
}

static uint32_t count_victims(const struct core *c, uint32_t target)
{
    uint32_t victims = 0;
    for (uint32_t i = 0; i < c->model_count; i++)
        victims += c->models[i].victim_of == target;
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++)
        victims += pool_used(&c->lease_pool, s) && c->leases[s].victim_of == target;
    return victims;
}

static void check_target(const struct core *c, uint32_t slot)
{
    const struct target *t = &c->targets[slot];
    const struct plan *plan = &t->plan;
    must(link_linked(&t->active) == plan->active);
    must(!(heap_has(&c->wants, slot) && link_linked(&t->parked)));
    must(!(plan->active && (heap_has(&c->wants, slot) || link_linked(&t->parked))));
    must(plan->active || (plan->victims_left == 0 && !plan->token));
    if (plan->victims_left)
        must(count_victims(c, slot) == plan->victims_left);
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        must((c->devices[d].loader == slot) == (plan->token && (plan->devices >> d & 1)));
        must((c->devices[d].anchor == slot) == (t->anchor >> d & 1));
    }
    /* Only who waits has anything kept free, or a clock that could stand. */
    must(!(t->anchor || t->blocked) || heap_has(&c->wants, slot) || link_linked(&t->parked));
}

static void check_model_plan(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    const struct plan *plan = &c->targets[slot].plan;
    must(!(plan->active && m->victim_of != CORE_SLOT_NONE));
    must(m->victim_of == CORE_SLOT_NONE || c->targets[m->victim_of].plan.victims_left > 0);
    must(m->state != MODEL_LOADING || plan->active);
    must(m->state != MODEL_RESUMING || plan->active);
    if (plan->active && m->op.kind == OP_NONE)
        must(m->state == (plan->how == OP_MOVE     ? MODEL_LOADED
                          : plan->how == OP_RESUME ? MODEL_SUSPENDED
                                                   : MODEL_UNLOADED));
    /* A victim that stays has something that keeps it, or could not be told yet. */
    must(m->victim_of == CORE_SLOT_NONE || m->op.kind != OP_NONE ||
         c->targets[m->victim_of].plan.ordering);
    /* What has to leave is on its way out as soon as it can be. */
    must(m->leaving == LEAVE_NOT || m->leaving == LEAVE_MOVE || c->sweep || m->op.kind != OP_NONE ||
         (m->state == MODEL_LOADED && m->running.count > m->quiet_count) ||
         m->state == MODEL_STUCK || c->backend_down[m->policy.backend]);
    check_target(c, slot);
}

static void check_model(const struct core *c, uint32_t slot, uint32_t *waiting, uint32_t *running)
{
    const struct model *m = &c->models[slot];
    uint32_t count = 0;
    for (int class = 0; class < CLASS__COUNT; class ++)
        count += check_list(c, &m->waiting[class], WAITER_WAITING, slot);
    must(count == m->waiting_count);
    *waiting += count;
    *running += check_list(c, &m->running, WAITER_GRANTED, slot);
    *waiting += check_list(c, &m->doomed, WAITER_DOOMED, slot);
    check_running(c, slot);
    check_places(c, slot);
    check_op(c, slot);
    check_model_plan(c, slot);
}

static void check_holding(const struct core *c, const struct holding *h, uint32_t device,
                          uint64_t *charged, uint64_t *unseen, uint64_t *certain)
{
    uint64_t bytes = h->charged[device] + h->settling[device];
    (void)c;
    must((h->devices >> device & 1) == (h->charged[device] > 0));
    must((h->settling_devices >> device & 1) == (h->settling[device] > 0));
    *charged += bytes;
    *unseen += minus(bytes, h->measured[device]);
    if (!(h->unsized_devices >> device & 1) && !h->restored)
        *certain += bytes;
}

/* What was charged never exceeds what there was to hand out, whatever the samples say. */
static void check_devices(const struct core *c)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        const struct device *dev = &c->devices[d];
        uint64_t charged = 0, unseen = 0, certain = 0;
        for (uint32_t i = 0; i < c->model_count; i++)
            check_holding(c, &c->models[i].hold, d, &charged, &unseen, &certain);
        for (uint32_t s = 0; s < c->lease_pool.high_water; s++)
            check_holding(c, &c->leases[s].hold, d, &charged, &unseen, &certain);
        must(charged == dev->charged_bytes && unseen == dev->unseen_bytes);
        must(certain <= dev->total_bytes_most);
    }
}

static void check_lease(const struct core *c, uint32_t slot)
{
    const struct lease *l = &c->leases[slot];
    uint32_t target = want_of_lease(c, slot);
    enum gate_place place = l->state == LEASE_WAITING   ? GATE_WAITING
                            : l->state == LEASE_GRANTED ? GATE_INSIDE
                                                        : GATE_OUTSIDE;
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        must(l->entrants[i].place == place);
    must(l->state == LEASE_WAITING || !c->targets[target].plan.active);
    must(!l->hold.lingers || l->state == LEASE_ENDED);
    must(!l->hold.devices || l->state == LEASE_GRANTED || l->hold.lingers);
    must(l->state != LEASE_ENDED || l->hold.settling_devices || l->hold.devices);
    must(l->victim_of == CORE_SLOT_NONE || l->state == LEASE_GRANTED);
    /* One that lacks nothing but bytes is a target. */
    bool wants = heap_has(&c->wants, target) || link_linked(&c->targets[target].parked);
    must(!(l->state == LEASE_WAITING && l->ask.bytes && c->booted && !c->draining && !c->sweep &&
           lease_gates_open(c, l)) ||
         wants || c->targets[target].plan.active);
    check_target(c, target);
}

static void check_leases(const struct core *c)
{
    uint32_t used = 0, waiting = 0, granted = 0, bytes = 0, inside = 0, held = 0;
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++) {
        const struct lease *l = &c->leases[s];
        if (!pool_used(&c->lease_pool, s))
            continue;
        used++;
        check_lease(c, s);
        waiting += l->state == LEASE_WAITING;
        granted += l->state == LEASE_GRANTED;
        bytes += l->state == LEASE_GRANTED && l->ask.bytes;
        inside += l->state == LEASE_GRANTED ? l->ask.gate_count : 0;
    }
    must(used == c->lease_pool.used);
    must(waiting == c->leases_waiting && granted == c->leases_granted && bytes == c->byte_leases);
    for (uint32_t g = 0; g < c->gate_count; g++) {
        gate_check(&c->gates[g]);
        held += c->gates[g].inside;
    }
    must(held == inside);
}

void core_check(const struct core *c)
{
    uint32_t waiting = 0, running = 0, doomed = 0, ops = 0, loads = 0, parked = 0;
    uint64_t suspended = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        check_model(c, i, &waiting, &running);
        doomed += c->models[i].doomed.count;
        ops += c->models[i].op.kind != OP_NONE;
        loads += c->models[i].loads_wanted;
        suspended += c->models[i].suspended_bytes;
        parked += link_linked(&c->targets[i].parked);
    }
    must(running == c->running_count && ops == c->ops_open);
    must(waiting - doomed == c->arrivals.count);
    must(suspended == c->suspended_bytes);
    must(loads <= c->commands.count && parked <= c->parked.count);
    must(c->commands.count + c->answers.count == c->command_pool.used);
    /* Nobody is on two lists, and nobody is on none. */
    must(waiting + running == c->waiter_pool.used);
    check_leases(c);
    check_devices(c);
    heap_check(&c->wants);
    heap_check(&c->deadlines);
}
