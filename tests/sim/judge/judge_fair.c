/* The bound of `fair` (CORE 5), from what the judge knows by itself:
 *
 *     wait <= maxWait + D + load(X) + sum over other models Y (load(Y) + gate(Y)) + ahead(X)
 *
 * D: the longest that work in flight may take, serveMax. load: the longest unload, settling and
 * load together, as the world's terms promise. gate(Y): what waited for Y when the waiter became
 * overdue, in rounds of its slots, or minResident if that is longer, and the drain of what came
 * after. ahead(X): the rounds of X's own slots over those that were there. All of it is taken at
 * the moment at which the waiter becomes overdue: who comes later has a later deadline. It holds
 * in calm worlds alone, where nothing hinders a load: all sizes fit, and nothing is pinned. */
#include <inttypes.h>

#include "judge_priv.h"

static uint64_t swap_ns(const struct judge *j)
{
    return j->terms.unload_ns_max + j->terms.settle_ns_max + j->terms.load_ns_max +
           2 * CALM_DELAY_NS;
}

static uint64_t rounds_ns(const struct judge *j, uint32_t count, uint32_t slots)
{
    return (count + slots - 1) / slots * (j->config.fair.serve_ns_max + CALM_DELAY_NS);
}

static uint64_t bound_of(const struct judge *j, const struct party *p)
{
    const struct judge_model *x = &j->models[p->model];
    uint64_t serve = j->config.fair.serve_ns_max + CALM_DELAY_NS, sum = serve + swap_ns(j);
    for (uint32_t i = 0; i < j->model_count; i++) {
        const struct judge_model *y = &j->models[i];
        if (y == x || (y->waiting_count == 0 && y->seat == SEAT_GONE))
            continue;
        uint64_t gate = rounds_ns(j, y->waiting_count + y->running, y->policy.slots_max);
        if (gate < j->config.fair.min_resident_ns)
            gate = j->config.fair.min_resident_ns;
        sum += swap_ns(j) + gate + serve;
    }
    return sum + rounds_ns(j, x->waiting_count + x->running + 1, x->policy.slots_max);
}

static uint64_t overdue_at(const struct judge *j, const struct party *p)
{
    return p->since_ns + j->config.fair.wait_ns_max[p->class] + (j->gap_ns - p->gap_ns);
}

void judge_fair_settle(struct judge *j)
{
    const struct link *n;
    list_each(n, &j->arrivals[0]) {
        struct party *p = list_entry(n, struct party, order);
        if (p->bound_ns || !j->config.fair.wait_ns_max[p->class] || overdue_at(j, p) > j->now_ns)
            continue;
        p->bound_ns = overdue_at(j, p) + bound_of(j, p) - j->gap_ns;
    }
}

void judge_fair_grant(struct judge *j, const struct party *p)
{
    if (p->bound_ns && j->now_ns > p->bound_ns + j->gap_ns)
        judge_break(j, RULE_BOUND,
                    "#%" PRIu64 " waited %" PRIu64 " ms, %" PRIu64 " ms longer than its bound",
                    p->tag, (j->now_ns - p->since_ns) / NS_PER_MS,
                    (j->now_ns - p->bound_ns - j->gap_ns) / NS_PER_MS);
}
