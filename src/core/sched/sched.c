/* Which scheduler holds. */
#include "core/sched/sched.h"

static const struct sched *const scheds[] = {[SCHEDULER_FIFO] = &sched_order,
                                             [SCHEDULER_SERIAL] = &sched_serial,
                                             [SCHEDULER_FAIR] = &sched_order};
bool sched_precedes(const struct core *c, uint32_t model, uint32_t other)
{
    return scheds[c->sched]->precedes(c, model, other);
}

bool sched_is_free(struct core *c, uint32_t model)
{
    return scheds[c->sched]->is_free(c, model);
}

void sched_dispatch(struct core *c)
{
    scheds[c->sched]->dispatch(c);
}
