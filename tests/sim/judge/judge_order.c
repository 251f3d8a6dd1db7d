/* The order of leases that ask for bytes alone: one of a lower class, or that came later, does not
 * come in where one that waits could have sat with as much or less.
 *
 * What the core does not say is not judged: while a model that is used may be draining for one of
 * them, and where others have left for either. Nor is one that may be overdue, or that promises to
 * end soon, which may pass whom devices are kept for. */
#include <inttypes.h>

#include "judge_priv.h"

static uint32_t count_of(const struct party *p)
{
    return p->ask.device_count ? p->ask.device_count : 1;
}

static bool may_be_overdue(const struct judge *j, const struct party *p)
{
    uint64_t max = j->config.fair.wait_ns_max[p->class];
    return j->config.sched == SCHEDULER_FAIR && max && judge_over(j, p->since_ns + max, p->gap_ns);
}

static bool came_before(const struct party *a, const struct party *b)
{
    if (a->class < b->class)
        return true;
    return a->class == b->class && a->seq < b->seq &&
           a->since_ns - a->gap_ns <= b->since_ns - b->gap_ns;
}

static bool could_sit_there(const struct party *p, const struct party *other)
{
    return p->ask.gate_count == 0 && count_of(p) == count_of(other) &&
           (other->at.devices & ~p->ask.device_mask) == 0 && p->ask.bytes <= other->ask.bytes;
}

static bool passes_by_its_end(const struct party *p, const struct party *passed)
{
    return p->ask.run_ns_max &&
           (!passed->ask.run_ns_max || passed->ask.run_ns_max > p->ask.run_ns_max);
}

/* Somebody may be told to leave there later, for whom is not known before. */
static bool may_drain(const struct judge *j, uint32_t devices)
{
    for (uint32_t i = 0; i < j->model_count; i++) {
        const struct judge_model *m = &j->models[i];
        uint32_t there = m->at.devices | m->to.devices | m->strayed;
        if (m->ghost)
            return true;
        if (m->seat != SEAT_GONE && (there & devices) &&
            (m->running || m->waiting_count || judge_out_of_reach(j, i)))
            return true;
    }
    return false;
}

void judge_order_grant(struct judge *j, const struct party *p)
{
    const struct link *n;
    if (!p->ask.device_mask || p->made_way_for || j->config.sched == SCHEDULER_SERIAL ||
        may_be_overdue(j, p))
        return;
    list_each(n, &j->arrivals[1]) {
        const struct party *o = list_entry(n, const struct party, order);
        if (o->ask.device_mask && !o->made_way_for && came_before(o, p) && could_sit_there(o, p) &&
            !passes_by_its_end(p, o) && !may_drain(j, o->ask.device_mask))
            judge_break(j, RULE_LEASE_ORDER, "#%" PRIu64 " was granted before #%" PRIu64, p->tag,
                        o->tag);
    }
}

void judge_order_decided(struct judge *j, const struct effect *e)
{
    struct party *p = id_none(e->waiter) ? NULL : judge_party_by_id(j, true, e->waiter);
    if (p)
        p->made_way_for = true;
}

/* Of those that are revoked, nobody says for whom. */
void judge_order_revoked(struct judge *j)
{
    struct link *n;
    list_each(n, &j->arrivals[1])
        list_entry(n, struct party, order)->made_way_for = true;
}
