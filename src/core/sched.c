/* Which scheduler and planner hold; and fifo, llama-swap's order: a ready model serves at once,
 * waiters of one model share its load, and of the models that must come in, the first in the order
 * for which a plan can be made goes ahead. */
#include "core/sched.h"

#include "core/plan.h"

static const struct sched *const scheds[] = {
    [SCHEDULER_FIFO] = &sched_fifo, [SCHEDULER_SERIAL] = &sched_serial};
static const struct planner *const planners[] = {
    [PLAN_GROUP] = &plan_group, [PLAN_FIT] = &plan_fit};

const struct planner *plan_current(const struct core *c)
{
    return planners[c->plan];
}

void sched_dispatch(struct core *c)
{
    scheds[c->sched]->dispatch(c);
}

/* Tries to bring one wanted model in. */
static void try_load(struct core *c, uint32_t target)
{
    struct plan plan = {0};
    uint32_t victims = 0;
    if (!heap_has(&c->wants, target))
        return;
    switch (plan_current(c)->plan(c, target, &plan, &victims)) {
    case PLAN_GO:
        transition_commit(c, target, &plan, victims);
        break;
    case PLAN_WAIT:
        break;
    case PLAN_NEVER:
        queue_refuse_all(c, target, plan.why);
        c->version++; /* those behind it come into view */
        break;
    }
}

/* Takes the wanted models in order; those behind may overtake one that cannot come in now. */
static void scan_wants(struct core *c)
{
    uint32_t count = 0;
    const struct heap_item *item;
    struct heap_item order[SCAN_MAX];
    while (count < SCAN_MAX && (item = heap_peek(&c->wants))) {
        order[count] = *item;
        heap_remove(&c->wants, order[count++].slot);
    }
    for (uint32_t i = 0; i < count; i++)
        heap_set(&c->wants, order[i].slot, order[i].key);
    for (uint32_t i = 0; i < count; i++) {
        if (!core_has_room(c)) {
            c->version++; /* the next step looks again */
            return;
        }
        try_load(c, order[i].slot);
    }
}

static void dispatch_fifo(struct core *c)
{
    while (c->runnable.count && core_has_room(c)) {
        struct model *m = list_entry(list_first(&c->runnable), struct model, runnable);
        queue_grant_head(c, (uint32_t)(m - c->models));
    }
    while (c->version != c->scanned_version && core_has_room(c)) {
        c->scanned_version = c->version;
        scan_wants(c);
        transition_advance_all(c);
    }
}

const struct sched sched_fifo = {.dispatch = dispatch_fifo};
