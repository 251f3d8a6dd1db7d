/* Fit: by declared bytes. Of the allowed devices, the one where the fewest bytes have to leave; on
 * it, idle models leave in order of least recent use until there is room. */
#include "core/plan.h"

bool plan_evictable(const struct core *c, uint32_t slot)
{
    const struct model *m = &c->models[slot];
    return m->state == MODEL_LOADED && m->running.count == 0 && m->waiting_count == 0 &&
           m->victim_of == CORE_SLOT_NONE && !m->plan.active;
}

/* The idle model on the device that was used longest ago and is not among the first `taken`
 * entries of c->victims. */
static uint32_t least_recent(const struct core *c, uint32_t device, uint32_t target, uint32_t taken)
{
    uint32_t best = CORE_SLOT_NONE;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        bool chosen = false;
        if (i == target || m->device != device || !plan_evictable(c, i))
            continue;
        if (best != CORE_SLOT_NONE && m->last_used.ns >= c->models[best].last_used.ns)
            continue;
        for (uint32_t v = 0; v < taken; v++)
            chosen |= c->victims[v] == i;
        if (!chosen)
            best = i;
    }
    return best;
}

/* Drops victims that are not needed after all: earlier, smaller ones may be covered by later ones.
 * Most recently used first, since those are the dearest. */
static uint64_t prune(struct core *c, uint32_t *count, uint64_t freed, uint64_t missing)
{
    for (uint32_t v = *count; v-- > 0;) {
        uint64_t bytes = c->models[c->victims[v]].charged_bytes;
        if (freed - bytes < missing)
            continue;
        freed -= bytes;
        for (uint32_t k = v; k + 1 < *count; k++)
            c->victims[k] = c->victims[k + 1];
        --*count;
    }
    return freed;
}

/* Bytes on their way out that no plan has claimed: better waited for than added to. */
static uint64_t leaving_bytes(const struct core *c, uint32_t device)
{
    uint64_t sum = ledger_settling(c, device);
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].device == device && c->models[i].state == MODEL_UNLOADING &&
            c->models[i].victim_of == CORE_SLOT_NONE)
            sum += c->models[i].charged_bytes;
    return sum;
}

/* Fills c->victims for one device. Returns the bytes that would leave, or UINT64_MAX when it can't
 * be done now. */
static uint64_t choose_victims(struct core *c, uint32_t target, uint32_t device, uint32_t *count)
{
    uint64_t need = ledger_need(c, target, device);
    uint64_t room = ledger_room(c, device, target), freed = 0;
    *count = 0;
    if (room >= need)
        return 0;
    if (room + leaving_bytes(c, device) >= need)
        return UINT64_MAX;
    while (freed < need - room) {
        uint32_t v = least_recent(c, device, target, *count);
        if (v == CORE_SLOT_NONE)
            return UINT64_MAX;
        c->victims[(*count)++] = v;
        freed += c->models[v].charged_bytes;
    }
    return prune(c, count, freed, need - room);
}

static enum plan_verdict plan(struct core *c, uint32_t target, struct plan *ret_plan,
                              uint32_t *ret_victims)
{
    const struct model *m = &c->models[target];
    if (m->policy.device_mask == 0) {
        *ret_plan = (struct plan){.device = CORE_SLOT_NONE, .why = REASON_LRU};
        *ret_victims = 0;
        return PLAN_GO;
    }
    uint32_t best = CORE_SLOT_NONE, count;
    uint64_t best_bytes = UINT64_MAX;
    bool possible = false;
    for (uint32_t d = 0; d < c->device_count; d++) {
        if (!(m->policy.device_mask & (1U << d)) || !c->devices[d].present ||
            ledger_need(c, target, d) > ledger_capacity(c, d))
            continue;
        possible = true;
        if (c->devices[d].loader != CORE_SLOT_NONE)
            continue;
        uint64_t bytes = choose_victims(c, target, d, &count);
        if (bytes < best_bytes) {
            best = d;
            best_bytes = bytes;
        }
    }
    if (best == CORE_SLOT_NONE) {
        ret_plan->why = REASON_NO_ROOM;
        return possible ? PLAN_WAIT : PLAN_NEVER;
    }
    choose_victims(c, target, best, ret_victims);
    *ret_plan =
        (struct plan){.device = best, .bytes = ledger_need(c, target, best), .why = REASON_LRU};
    return PLAN_GO;
}

const struct planner plan_fit = {.plan = plan};
