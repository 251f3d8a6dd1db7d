/* Fit: by bytes. For each allowed placement, each set of devices that it could take is looked at;
 * the one whose room costs least is chosen, where room costs what the models that must leave for it
 * will cost to bring back, times the likelihood of that. */
#include "core/plan/plan.h"

/* Up to so many candidates the cheapest set is found exactly, within a budget of nodes. */
#define EXACT_MAX 16
#define NODES_MAX 4096
/* So many may be chosen for one plan: the bits of a word. */
#define CHOSEN_MAX 64

/* A set of devices for one placement, and what is missing there. */
struct site {
    uint32_t placement, devices;
    uint64_t need[CORE_DEVICES_MAX];
    int64_t missing[CORE_DEVICES_MAX];
    int64_t spare; /* left over where least is */
    uint64_t cost;
    uint32_t victims;
};

static bool lacks(const int64_t *missing)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (missing[d] > 0)
            return true;
    return false;
}

static void take(const struct core *c, const struct victim *v, int64_t *missing, bool back)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        int64_t given = (int64_t)ledger_given(c, v->target, v->action, d);
        missing[d] += back ? given : -given;
    }
}

/* What it gives of that which is missing, in MiB. */
static uint64_t useful(const struct core *c, const struct victim *v, const int64_t *missing)
{
    uint64_t sum = 0;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        uint64_t given = ledger_given(c, v->target, v->action, d);
        if (missing[d] > 0)
            sum += given < (uint64_t)missing[d] ? given : (uint64_t)missing[d];
    }
    return sum ? sum / MIB + 1 : 0;
}

static struct mono last_used(const struct core *c, uint32_t target)
{
    return want_is_lease(c, target) ? want_lease(c, target)->granted_at
                                    : c->models[target].last_used;
}

/* Whether a is the better one to send away: idle first; then cheaper for what it gives; then less
 * recently used. */
static bool before(const struct core *c, const struct victim *a, const struct victim *b,
                   const int64_t *missing)
{
    if (a->busy != b->busy)
        return b->busy;
    uint64_t ka = a->cost, kb = b->cost;
    if (c->victim_kind != VICTIMS_LRU && !a->busy) {
        ka = a->cost * useful(c, b, missing);
        kb = b->cost * useful(c, a, missing);
    }
    if (ka != kb)
        return ka < kb;
    return last_used(c, a->target).ns < last_used(c, b->target).ns;
}

static uint32_t target_count(const struct core *c)
{
    return c->model_count + c->lease_pool.high_water;
}

/* Fills c->trial with all that may leave and would help, best first. */
static uint32_t gather(struct core *c, const struct claim *claim, const struct site *site)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < target_count(c); i++) {
        uint32_t t = i < c->model_count ? i : want_of_lease(c, i - c->model_count);
        struct victim v;
        if (!(ledger_holding(c, t)->devices & site->devices) || !victim_consider(c, t, claim, &v))
            continue;
        if (v.action == ACTION_SUSPEND && !useful(c, &v, site->missing))
            victim_set_action(c, &v, ACTION_UNLOAD); /* asleep it would hold as much */
        if (!useful(c, &v, site->missing))
            continue;
        uint32_t at = count++;
        for (; at > 0 && before(c, &v, &c->trial[at - 1], site->missing); at--)
            c->trial[at] = c->trial[at - 1];
        c->trial[at] = v;
    }
    return count;
}

static bool all_suffice(const struct core *c, const struct site *site, uint32_t count)
{
    int64_t missing[CORE_DEVICES_MAX];
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        missing[d] = site->missing[d];
    for (uint32_t i = 0; i < count; i++)
        take(c, &c->trial[i], missing, false);
    return !lacks(missing);
}

/* Takes candidates in order until nothing is missing, then drops those that are not needed after
 * all, dearest first; but plain LRU, which others are compared with, has no second thoughts.
 * Returns a bit mask over c->trial, or 0. */
static uint64_t greedy(const struct core *c, const struct site *site, uint32_t count)
{
    int64_t missing[CORE_DEVICES_MAX];
    uint64_t chosen = 0;
    uint32_t taken = 0;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        missing[d] = site->missing[d];
    for (; taken < count && taken < CHOSEN_MAX && lacks(missing); taken++) {
        if (!useful(c, &c->trial[taken], missing))
            continue;
        take(c, &c->trial[taken], missing, false);
        chosen |= UINT64_C(1) << taken;
    }
    if (lacks(missing)) /* so many may go at once; those that must go besides, later */
        return taken == CHOSEN_MAX && all_suffice(c, site, count) ? chosen : 0;
    if (c->victim_kind == VICTIMS_LRU)
        return chosen;
    for (uint32_t i = taken; i-- > 0;) {
        if (!(chosen >> i & 1))
            continue;
        take(c, &c->trial[i], missing, true);
        if (lacks(missing))
            take(c, &c->trial[i], missing, false);
        else
            chosen &= ~(UINT64_C(1) << i);
    }
    return chosen;
}

static uint64_t cost_of(const struct core *c, uint64_t chosen)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < CHOSEN_MAX; i++)
        if (chosen >> i & 1)
            sum += c->trial[i].cost;
    return sum;
}

struct search {
    const struct core *c;
    uint32_t count, nodes;
    uint64_t best, best_cost;
    int64_t missing[CORE_DEVICES_MAX];
};

/* Each candidate with or without, cheapest first; what costs as much as the best is not followed.
 * NOLINTNEXTLINE: as deep as there are candidates */
static void search(struct search *s, uint32_t at, uint64_t chosen, uint64_t cost)
{
    if (cost >= s->best_cost || ++s->nodes > NODES_MAX)
        return;
    if (!lacks(s->missing)) {
        s->best = chosen;
        s->best_cost = cost;
        return;
    }
    if (at == s->count)
        return;
    const struct victim *v = &s->c->trial[at];
    if (useful(s->c, v, s->missing)) {
        take(s->c, v, s->missing, false);
        search(s, at + 1, chosen | UINT64_C(1) << at, cost + v->cost);
        take(s->c, v, s->missing, true);
    }
    search(s, at + 1, chosen, cost);
}

/* What sleeps leaves something behind. Where that is too much, those that were to sleep have to go
 * altogether. Returns which. */
static uint64_t unload_sleepers(struct core *c, uint32_t count)
{
    uint64_t unloaded = 0;
    for (uint32_t i = 0; i < count && i < CHOSEN_MAX; i++) {
        if (c->trial[i].action != ACTION_SUSPEND)
            continue;
        victim_set_action(c, &c->trial[i], ACTION_UNLOAD);
        unloaded |= UINT64_C(1) << i;
    }
    return unloaded;
}

/* Of those, as many as can be may sleep all the same. */
static void let_sleep(struct core *c, const struct site *site, uint64_t chosen, uint64_t unloaded)
{
    int64_t missing[CORE_DEVICES_MAX];
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        missing[d] = site->missing[d];
    for (uint32_t i = 0; i < CHOSEN_MAX; i++)
        if (chosen >> i & 1)
            take(c, &c->trial[i], missing, false);
    for (uint32_t i = 0; i < CHOSEN_MAX; i++) {
        struct victim *v = &c->trial[i];
        if (!((chosen & unloaded) >> i & 1))
            continue;
        take(c, v, missing, true);
        victim_set_action(c, v, ACTION_SUSPEND);
        take(c, v, missing, false);
        if (!lacks(missing))
            continue;
        take(c, v, missing, true);
        victim_set_action(c, v, ACTION_UNLOAD);
        take(c, v, missing, false);
    }
}

/* The cheapest of the sets of candidates that make the room; 0: there is none. */
static uint64_t cheapest(struct core *c, const struct site *site, uint32_t count)
{
    uint64_t chosen = greedy(c, site, count);
    if (!chosen || count > EXACT_MAX || c->victim_kind == VICTIMS_LRU)
        return chosen;
    struct search s = {.c = c, .count = count, .best = chosen, .best_cost = cost_of(c, chosen)};
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        s.missing[d] = site->missing[d];
    search(&s, 0, 0, 0);
    return s.best;
}

/* Who has to leave so that nothing is missing; 0: it cannot be. */
static uint64_t choose(struct core *c, const struct claim *claim, const struct site *site)
{
    uint32_t count = gather(c, claim, site);
    uint64_t chosen = cheapest(c, site, count);
    uint64_t unloaded = chosen ? 0 : unload_sleepers(c, count);
    if (!unloaded)
        return chosen;
    chosen = cheapest(c, site, count);
    let_sleep(c, site, chosen, unloaded);
    return chosen;
}

/* Bytes on their way out that no plan has claimed: better waited for than added to. */
static uint64_t leaving_bytes(const struct core *c, uint32_t device)
{
    uint64_t sum = ledger_settling(c, device);
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        bool leaving = m->state == MODEL_UNLOADING || (m->op.kind == OP_MOVE && !m->op.devices);
        if (leaving && m->victim_of == CORE_SLOT_NONE)
            sum += m->hold.charged[device];
    }
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++)
        if (c->leases[s].revoked && c->leases[s].state == LEASE_GRANTED &&
            c->leases[s].victim_of == CORE_SLOT_NONE)
            sum += c->leases[s].hold.charged[device];
    return sum;
}

static bool enough_is_leaving(const struct core *c, const struct site *site)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (site->missing[d] > 0 && (uint64_t)site->missing[d] > leaving_bytes(c, d))
            return false;
    return true;
}

/* Could it fit there at all, and if everybody left who may be told to? */
static enum plan_verdict feasible(const struct core *c, const struct claim *claim,
                                  struct site *site, struct planned *ret)
{
    enum plan_verdict verdict = PLAN_GO;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        if (!(site->devices & (1U << d)))
            continue;
        uint32_t by;
        enum reason why;
        uint64_t capacity = ledger_capacity(c, d);
        uint64_t fixed = victim_fixed_bytes(c, d, &by, &why);
        uint64_t own = plan_how(c, claim->target) == OP_MOVE
                           ? ledger_holding(c, claim->target)->charged[d]
                           : 0; /* stays until it has arrived */
        uint64_t others = fixed + c->devices[d].foreign_bytes;
        if (ledger_need_unknown(c, claim->target, site->placement)) {
            uint64_t left = minus(capacity, others);
            site->need[d] = left ? left : 1;
        } else {
            site->need[d] = ledger_need(c, claim->target, site->placement, d);
        }
        if (site->need[d] > minus(capacity, own)) {
            ret->plan.why = REASON_NO_ROOM;
            return PLAN_NEVER;
        }
        if (site->need[d] > minus(capacity, others + own)) {
            ret->plan.why = why;
            ret->by = by;
            if (why == REASON_STUCK)
                return PLAN_NEVER;
            verdict = PLAN_BLOCKED;
        }
    }
    return verdict;
}

static uint64_t held_already(const struct core *c, uint32_t target, uint32_t device)
{
    return plan_how(c, target) == OP_RESUME ? ledger_holding(c, target)->charged[device] : 0;
}

static void measure(const struct core *c, const struct claim *claim, struct site *site)
{
    site->spare = INT64_MAX;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        site->missing[d] = 0;
        if (!(site->devices & (1U << d)))
            continue;
        int64_t need = (int64_t)minus(site->need[d], held_already(c, claim->target, d));
        int64_t spare = ledger_room_beside(c, d, claim->target) - need;
        site->missing[d] = -spare;
        if (spare < site->spare)
            site->spare = spare;
    }
}

/* Whether the model has to leave the site, whether its bytes are needed or not: one that gives way
 * to everything, as long as it can be moved away, and one that nobody may be beside. */
static bool must_leave(const struct core *c, uint32_t slot, const struct claim *claim,
                       const struct site *site, bool *ret_moves)
{
    const struct model *m = &c->models[slot];
    enum op_kind how = plan_how(c, claim->target);
    bool comes = how == OP_LOAD || how == OP_RESUME;
    *ret_moves = false;
    if (slot == claim->target || !(m->hold.devices & site->devices))
        return false;
    if (ledger_unknown_devices(c, slot) & site->devices)
        return true;
    *ret_moves = comes && m->policy.yields && !c->models[claim->target].policy.yields;
    return *ret_moves;
}

static bool is_chosen(const struct core *c, uint64_t chosen, uint32_t target)
{
    for (uint32_t i = 0; i < CHOSEN_MAX; i++)
        if ((chosen >> i & 1) && c->trial[i].target == target)
            return true;
    return false;
}

/* What it costs that those leave, too. False: one of them cannot now, and another site may do. */
static bool price_leaving(struct core *c, const struct claim *claim, struct site *site,
                          uint64_t chosen)
{
    for (uint32_t i = 0; i < c->model_count; i++) {
        struct victim v;
        bool moves;
        if (!must_leave(c, i, claim, site, &moves) || is_chosen(c, chosen, i))
            continue;
        if (c->models[i].op.kind != OP_NONE || !victim_consider(c, i, claim, &v))
            return false;
        if (!moves || v.action == ACTION_MOVE)
            site->cost += v.cost;
    }
    return true;
}

/* Adds those to the victims. */
static void add_leaving(struct core *c, const struct claim *claim, struct site *site)
{
    for (uint32_t i = 0; i < c->model_count; i++) {
        bool moves, chosen = false;
        if (!must_leave(c, i, claim, site, &moves))
            continue;
        for (uint32_t v = 0; v < site->victims; v++)
            chosen |= c->victims[v].target == i;
        if (chosen)
            continue;
        must(victim_consider(c, i, claim, &c->victims[site->victims]));
        if (!moves || c->victims[site->victims].action == ACTION_MOVE)
            site->victims++;
    }
}

static uint32_t bits(uint32_t mask)
{
    uint32_t count = 0;
    for (; mask; mask &= mask - 1)
        count++;
    return count;
}

/* One that wants the loaders of several devices at once would never find them free together, if
 * those behind it went on taking them one by one. */
static bool loader_kept(const struct core *c, uint32_t device, uint32_t target)
{
    uint32_t anchor = c->devices[device].anchor;
    return anchor != CORE_SLOT_NONE && anchor != target && !c->targets[anchor].plan.active &&
           bits(c->targets[anchor].anchor) > 1 && !want_is_lease(c, anchor) &&
           !want_precedes(c, target, anchor);
}

static bool loaders_free(const struct core *c, uint32_t devices, uint32_t target)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((devices & (1U << d)) &&
            (c->devices[d].loader != CORE_SLOT_NONE || loader_kept(c, d, target)))
            return false;
    return true;
}

/* What others give up would not be for the claim: they could leave for the anchor as well. */
static bool hinders_anchor(const struct core *c, const struct claim *claim, const struct site *site)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (site->missing[d] > 0 && !ledger_fits_beside_anchor(c, d, claim->target, site->need[d]))
            return true;
    return false;
}

/* What it would take to come in there. On PLAN_GO c->trial has the candidates and *ret_chosen says
 * which of them. */
static enum plan_verdict try_site(struct core *c, const struct claim *claim, struct site *site,
                                  struct planned *ret, uint64_t *ret_chosen)
{
    enum plan_verdict verdict = feasible(c, claim, site, ret);
    enum op_kind how = plan_how(c, claim->target);
    *ret_chosen = 0;
    site->cost = 0;
    if (verdict != PLAN_GO)
        return verdict;
    if (how != OP_NONE && !loaders_free(c, site->devices, claim->target))
        return PLAN_WAIT;
    measure(c, claim, site);
    if (lacks(site->missing)) {
        if (how == OP_MOVE && claim->rank == CLASS__COUNT)
            return PLAN_WAIT; /* a mode moves models to where there is room */
        if (enough_is_leaving(c, site) || hinders_anchor(c, claim, site))
            return PLAN_WAIT;
        *ret_chosen = choose(c, claim, site);
        if (!*ret_chosen)
            return PLAN_WAIT;
        site->cost = cost_of(c, *ret_chosen);
    }
    return price_leaving(c, claim, site, *ret_chosen) ? PLAN_GO : PLAN_WAIT;
}

static void keep_victims(struct core *c, struct site *site, uint64_t chosen)
{
    site->victims = 0;
    for (uint32_t i = 0; i < CHOSEN_MAX; i++)
        if (chosen >> i & 1)
            c->victims[site->victims++] = c->trial[i];
}

static uint32_t present_devices(const struct core *c)
{
    uint32_t mask = 0;
    for (uint32_t d = 0; d < c->device_count; d++)
        if (c->devices[d].present)
            mask |= 1U << d;
    return mask;
}

/* Whether this is what is said of all that were tried: of the best; of those that can never be, of
 * one where something is stuck, which is not for ever. */
static bool is_to_be_said(enum plan_verdict v, enum reason why, enum plan_verdict best)
{
    return v < best || (v == PLAN_NEVER && best == PLAN_NEVER && why == REASON_STUCK);
}

/* Tries all sets of `count` of the devices in `allowed`. */
static enum plan_verdict try_placement(struct core *c, const struct claim *claim, struct site *best,
                                       uint32_t allowed, uint32_t count, struct planned *ret)
{
    enum plan_verdict verdict = PLAN_NEVER;
    struct site site = {.placement = best->placement};
    uint64_t chosen;
    allowed &= present_devices(c);
    ret->plan.why = bits(allowed) < count ? REASON_NO_DEVICE : REASON_NO_ROOM;
    struct planned said = *ret;
    for (uint32_t mask = 1; mask < 1U << c->device_count; mask++) {
        if ((mask & allowed) != mask || bits(mask) != count)
            continue;
        site.devices = mask;
        enum plan_verdict v = try_site(c, claim, &site, ret, &chosen);
        if (is_to_be_said(v, ret->plan.why, verdict))
            said = *ret;
        bool better =
            v < verdict ||
            (v == PLAN_GO && verdict == PLAN_GO &&
             (site.cost < best->cost || (site.cost == best->cost && site.spare > best->spare)));
        if (!better)
            continue;
        verdict = v;
        *best = site;
        if (v == PLAN_GO)
            keep_victims(c, best, chosen);
    }
    *ret = said;
    return verdict;
}

static void fill_plan(const struct core *c, const struct claim *claim, const struct site *site,
                      struct planned *ret)
{
    ret->plan = (struct plan){.how = plan_how(c, claim->target),
                              .placement = site->placement,
                              .devices = site->devices,
                              .unsized = ledger_need_unknown(c, claim->target, site->placement),
                              .why = c->victim_kind == VICTIMS_LRU ? REASON_LRU : REASON_CHEAPEST};
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (site->devices & (1U << d))
            ret->plan.bytes[d] = site->need[d];
    ret->victims = site->victims;
    for (uint32_t v = 0; v < site->victims; v++)
        if (c->victims[v].busy || c->victims[v].action == ACTION_REVOKE)
            ret->plan.why = claim->overdue ? REASON_OVERDUE : REASON_OUTRANKED;
}

/* A move by wish goes only where the placement says that there is enough. */
static bool wish_has_room(const struct core *c, const struct claim *claim, const struct site *site)
{
    if (plan_how(c, claim->target) != OP_MOVE || claim->rank != CLASS__COUNT)
        return true;
    uint64_t least = c->models[claim->target].policy.placements[site->placement].free_bytes_min;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((site->devices & (1U << d)) && ledger_room(c, d, claim->target) < (int64_t)least)
            return false;
    return true;
}

static enum plan_verdict finish(struct core *c, const struct claim *claim, struct site *site,
                                enum plan_verdict verdict, struct planned *ret)
{
    if (verdict == PLAN_WAIT || verdict == PLAN_BLOCKED)
        ret->plan.devices = site->devices;
    if (verdict != PLAN_GO)
        return verdict;
    if (!wish_has_room(c, claim, site)) {
        ret->plan.devices = site->devices;
        return PLAN_WAIT;
    }
    add_leaving(c, claim, site);
    fill_plan(c, claim, site, ret);
    return PLAN_GO;
}

static enum plan_verdict plan_lease(struct core *c, const struct claim *claim, struct planned *ret)
{
    const struct core_lease_ask *ask = &want_lease(c, claim->target)->ask;
    struct site best = {.cost = UINT64_MAX};
    uint32_t count = ask->device_count ? ask->device_count : 1;
    enum plan_verdict v = try_placement(c, claim, &best, ask->device_mask, count, ret);
    return finish(c, claim, &best, v, ret);
}

/* In order of preference; the next placement only where this one cannot be had, or where the model
 * can be moved to the better one later. */
static enum plan_verdict plan(struct core *c, const struct claim *claim, struct planned *ret)
{
    if (want_is_lease(c, claim->target))
        return plan_lease(c, claim, ret);
    const struct model *m = &c->models[claim->target];
    enum op_kind how = plan_how(c, claim->target);
    enum plan_verdict verdict = PLAN_NEVER;
    uint32_t wished = mode_wants_move(c, claim->target);
    uint32_t to = m->leaving == LEAVE_MOVE ? m->move_to : wished;
    /* One that came in before bytes were planned wakes as it fell asleep. */
    bool nowhere = how == OP_RESUME && m->placement == CORE_SLOT_NONE;
    if (m->policy.placement_count == 0 || nowhere) {
        ret->plan = (struct plan){.how = how, .placement = CORE_SLOT_NONE, .why = REASON_LRU};
        ret->victims = 0;
        return PLAN_GO;
    }
    for (uint32_t p = 0; p < m->policy.placement_count; p++) {
        const struct core_placement *place = &m->policy.placements[p];
        struct planned one = {.by = CORE_SLOT_NONE};
        if ((how == OP_MOVE && p != to) || (how == OP_RESUME && p != m->placement) ||
            (how == OP_LOAD && m->wish_placement != CORE_SLOT_NONE && claim->rank == CLASS__COUNT &&
             p != m->wish_placement))
            continue;
        uint32_t allowed = how == OP_RESUME ? m->home : place->device_mask;
        uint32_t count = how == OP_RESUME      ? bits(m->home)
                         : place->device_count ? place->device_count
                                               : 1;
        struct site best = {.placement = p, .cost = UINT64_MAX};
        enum plan_verdict v = PLAN_GO;
        best.cost = UINT64_MAX;
        if (!allowed)
            best = (struct site){.placement = p};
        else
            v = try_placement(c, claim, &best, allowed, count, &one);
        v = finish(c, claim, &best, v, &one);
        if (is_to_be_said(v, one.plan.why, verdict) || ret->plan.why == REASON_NONE)
            *ret = one;
        verdict = v < verdict ? v : verdict;
        if (v == PLAN_GO || (v == PLAN_WAIT && !m->policy.movable))
            break;
    }
    return verdict;
}

/* Devices that the placement could use if all went that may. with: the lease stays; else it ends.
 */
static uint32_t count_possible(const struct core *c, uint32_t model, uint32_t placement,
                               const struct lease *l, bool with)
{
    uint32_t count = 0, by;
    enum reason why;
    for (uint32_t d = 0; d < c->device_count; d++) {
        uint64_t others = victim_fixed_bytes(c, d, &by, &why) + c->devices[d].foreign_bytes;
        if (l->ask.revocable && with)
            others += l->hold.charged[d];
        if (!l->ask.revocable && !with)
            others -= l->hold.charged[d];
        bool allowed = c->models[model].policy.placements[placement].device_mask >> d & 1;
        count +=
            allowed && ledger_need(c, model, placement, d) <= minus(ledger_capacity(c, d), others);
    }
    return count;
}

bool plan_lease_in_the_way(const struct core *c, uint32_t model, uint32_t lease_slot)
{
    const struct model *m = &c->models[model];
    bool without = false;
    if (c->plan != PLAN_FIT || model_resident(m) || !m->policy.placement_count)
        return false;
    for (uint32_t p = 0; p < m->policy.placement_count; p++) {
        const struct core_placement *place = &m->policy.placements[p];
        uint32_t wanted = place->device_count ? place->device_count : 1;
        const struct lease *l = &c->leases[lease_slot];
        if (!place->device_mask || count_possible(c, model, p, l, true) >= wanted)
            return false;
        without |= count_possible(c, model, p, l, false) >= wanted;
    }
    return without;
}

static bool conflicts(const struct core *c, uint32_t target, uint32_t other)
{
    (void)c, (void)target, (void)other;
    return false; /* bytes decide, and anchors keep them */
}

const struct planner plan_fit = {.plan = plan, .conflicts = conflicts};
