/* serial: exact arrival order, one at a time, and one model in memory: every other model leaves
 * before a switch. Nothing is reordered, batched, or kept beside. A lease of bytes counts as a
 * model; one of gates alone is outside it. */
#include "core/sched/sched.h"

#include "core/plan/plan.h"

/* What is next: a request, a LOAD command, or a lease of bytes. */
struct turn {
    uint64_t seq;
    uint32_t target; /* CORE_SLOT_NONE: nobody waits */
    struct waiter *waiter;
};

static void earlier(struct turn *turn, uint64_t seq, uint32_t target, struct waiter *waiter)
{
    if (turn->target != CORE_SLOT_NONE && turn->seq < seq)
        return;
    *turn = (struct turn){.seq = seq, .target = target, .waiter = waiter};
}

static struct turn next_turn(const struct core *c)
{
    struct turn turn = {.target = CORE_SLOT_NONE};
    const struct link *n = list_first(&c->arrivals);
    if (n) {
        struct waiter *w = list_entry((struct link *)(uintptr_t)n, struct waiter, order);
        earlier(&turn, w->seq, w->model, w);
    }
    list_each(n, &c->commands) {
        const struct command_waiting *cmd = list_entry(n, const struct command_waiting, link);
        bool to_load = cmd->what == COMMAND_LOAD && c->models[cmd->model].state != MODEL_LOADED;
        bool to_move = cmd->what == COMMAND_MOVE;
        if (to_load || to_move)
            earlier(&turn, cmd->seq, cmd->model, NULL);
    }
    for (uint32_t s = 0; c->leases_waiting && s < c->lease_pool.high_water; s++) {
        const struct lease *l = &c->leases[s];
        if (pool_used(&c->lease_pool, s) && l->state == LEASE_WAITING && l->ask.bytes &&
            lease_gates_open(c, l))
            earlier(&turn, l->seq, want_of_lease(c, s), NULL);
    }
    /* Wishes, and moves that nobody waits for any more. */
    for (uint32_t i = 0; turn.target == CORE_SLOT_NONE && c->wants.count && i < c->model_count; i++)
        if (heap_has(&c->wants, i))
            earlier(&turn, 0, i, NULL);
    return turn;
}

enum others { OTHERS_IDLE, OTHERS_BUSY, OTHERS_STUCK };

/* All other resident models, as victims. One that is stuck keeps others from coming in, and not
 * from being served. */
static enum others gather_others(struct core *c, uint32_t target, uint32_t *ret_victims)
{
    uint32_t count = 0;
    enum others result = OTHERS_IDLE;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        if (i == target || !model_resident(m) || model_pinned(m) ||
            c->backend_down[m->policy.backend])
            continue;
        bool idle = m->state == MODEL_SUSPENDED ||
                    (m->state == MODEL_LOADED && m->running.count == m->quiet_count);
        if (idle)
            c->victims[count++] = (struct victim){.target = i, .action = ACTION_UNLOAD};
        else if (m->state == MODEL_STUCK)
            result = OTHERS_STUCK;
        else
            return OTHERS_BUSY;
    }
    *ret_victims = count;
    return result;
}

/* Room beside what is not wharf's, with all other models gone: the first allowed devices that have
 * it; else the first that would. */
static enum plan_verdict choose_site(const struct core *c, uint32_t target, uint32_t allowed,
                                     uint32_t count, struct plan *ret)
{
    uint32_t found = 0, would = 0;
    for (uint32_t d = 0; d < c->device_count && found < count; d++) {
        uint64_t capacity = ledger_capacity(c, d);
        uint64_t need = ledger_need(c, target, ret->placement, d);
        if (!(allowed & (1U << d)) || need > capacity)
            continue;
        would++;
        if (need > minus(capacity, c->devices[d].foreign_bytes))
            continue;
        ret->devices |= 1U << d;
        ret->bytes[d] = need;
        found++;
    }
    if (found == count)
        return PLAN_GO;
    return would >= count ? PLAN_WAIT : PLAN_NEVER;
}

static enum plan_verdict choose(const struct core *c, uint32_t target, struct plan *ret)
{
    *ret = (struct plan){
        .how = plan_how(c, target), .placement = CORE_SLOT_NONE, .why = REASON_SERIAL};
    if (want_is_lease(c, target)) {
        const struct core_lease_ask *ask = &want_lease(c, target)->ask;
        ret->placement = 0;
        return choose_site(c, target, ask->device_mask, ask->device_count ? ask->device_count : 1,
                           ret);
    }
    const struct model *m = &c->models[target];
    if (!m->policy.placement_count)
        return PLAN_GO;
    enum plan_verdict best = PLAN_NEVER;
    bool only_wished =
        want_claim(c, target).rank == CLASS__COUNT && m->wish_placement < m->policy.placement_count;
    for (uint32_t p = 0; p < m->policy.placement_count; p++) {
        const struct core_placement *place = &m->policy.placements[p];
        if (ret->how == OP_MOVE && p != plan_placement(c, target))
            continue;
        if (ret->how == OP_RESUME && p != m->placement)
            continue;
        if (ret->how == OP_LOAD && only_wished && p != m->wish_placement)
            continue;
        struct plan one = {.how = ret->how,
                           .placement = p,
                           .why = REASON_SERIAL,
                           .unsized = ledger_need_unknown(c, target, p)};
        uint32_t allowed = ret->how == OP_RESUME ? m->home : place->device_mask;
        enum plan_verdict v = allowed
                                  ? choose_site(c, target, allowed,
                                                place->device_count ? place->device_count : 1, &one)
                                  : PLAN_GO;
        if (v < best) {
            best = v;
            *ret = one;
        }
    }
    return best;
}

static bool to_bring_in(const struct core *c, uint32_t target)
{
    if (want_is_lease(c, target))
        return true;
    const struct model *m = &c->models[target];
    return m->state == MODEL_UNLOADED || m->state == MODEL_SUSPENDED ||
           (m->state == MODEL_LOADED && heap_has(&c->wants, target));
}

/* One wish does not undo another. */
static bool undoes_wish(const struct core *c, uint32_t victims)
{
    for (uint32_t i = 0; i < victims; i++) {
        const struct model *m = &c->models[c->victims[i].target];
        if (m->wish == WISH_LOADED && !m->wish_rests)
            return true;
    }
    return false;
}

/* False: there is nothing more to do for now. */
static bool bring_in(struct core *c, uint32_t target, uint32_t victims)
{
    struct plan plan;
    if (want_is_lease(c, target))
        lease_refresh(c, target - c->limits.models_max); /* its turn may have come just now */
    if (!heap_has(&c->wants, target))
        return false;
    enum plan_verdict verdict = choose(c, target, &plan);
    if (verdict == PLAN_NEVER) {
        want_refuse(c, target, REASON_NO_ROOM);
        return !heap_has(&c->wants, target);
    }
    if (verdict == PLAN_WAIT)
        want_block(c, target, REASON_FOREIGN, CORE_SLOT_NONE);
    else
        want_unblock(c, target);
    if (verdict == PLAN_WAIT)
        return false;
    transition_commit(c, target, &plan, victims);
    transition_advance_all(c);
    return true;
}

static bool take_turn(struct core *c)
{
    uint32_t victims = 0;
    struct turn turn = next_turn(c);
    if (turn.target == CORE_SLOT_NONE)
        return false;
    enum others others = gather_others(c, turn.target, &victims);
    if (want_claim(c, turn.target).rank == CLASS__COUNT && undoes_wish(c, victims))
        return false;
    const struct model *m = want_is_lease(c, turn.target) ? NULL : &c->models[turn.target];
    if (others == OTHERS_BUSY || (m && (m->hold.settling_devices || m->leaving == LEAVE_UNLOAD ||
                                        m->leaving == LEAVE_SUSPEND)))
        return false;
    bool comes_in = to_bring_in(c, turn.target);
    if (comes_in && others == OTHERS_STUCK) {
        want_refuse(c, turn.target, REASON_STUCK);
        return true;
    }
    if (comes_in)
        return bring_in(c, turn.target, victims);
    if (victims) {
        for (uint32_t i = 0; i < victims && core_has_room(c); i++)
            op_start_unload(c, c->victims[i].target, REASON_SERIAL);
        return true;
    }
    if (!turn.waiter || !model_serves(c, m))
        return false;
    queue_grant(c, (uint32_t)(turn.waiter - c->waiters));
    return true;
}

/* Nothing is served, and nothing is under way. */
static bool at_rest(const struct core *c)
{
    return c->running_count == 0 && c->byte_leases == 0 && c->ops_open == 0 && c->active.count == 0;
}

static void dispatch(struct core *c)
{
    while (at_rest(c) && core_has_room(c))
        if (!take_turn(c))
            return;
}

static bool is_free(struct core *c, uint32_t model)
{
    uint32_t victims = 0;
    return at_rest(c) && next_turn(c).target == CORE_SLOT_NONE &&
           gather_others(c, model, &victims) != OTHERS_BUSY && victims == 0;
}

static uint64_t first_seq(const struct core *c, uint32_t model)
{
    uint64_t seq = UINT64_MAX;
    for (int class = 0; class < CLASS__COUNT; class ++) {
        const struct list *waiting = &c->models[model].waiting[class];
        if (waiting->count && list_entry(list_first(waiting), const struct waiter, link)->seq < seq)
            seq = list_entry(list_first(waiting), const struct waiter, link)->seq;
    }
    return seq;
}

static bool precedes(const struct core *c, uint32_t model, uint32_t other)
{
    return first_seq(c, model) < first_seq(c, other);
}

const struct sched sched_serial = {.dispatch = dispatch, .is_free = is_free, .precedes = precedes};
