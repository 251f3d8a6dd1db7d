#include "core/gate.h"

void gate_init(struct gate *g, uint32_t limit)
{
    *g = (struct gate){.limit = limit};
    for (int class = 0; class < CLASS__COUNT; class ++)
        list_init(&g->waiting[class]);
}

uint32_t gate_waiting(const struct gate *g)
{
    uint32_t count = 0;
    for (int class = 0; class < CLASS__COUNT; class ++)
        count += g->waiting[class].count;
    return count;
}

bool gate_has_room(const struct gate *g)
{
    return g->inside < g->limit;
}

void gate_queue(struct gate *g, struct gate_entrant *e, enum class class, struct mono now)
{
    must(e->place == GATE_OUTSIDE);
    e->class = class;
    e->since = now;
    e->place = GATE_WAITING;
    list_push(&g->waiting[class], &e->link);
}

bool gate_enter(struct gate *g, struct gate_entrant *e, enum class class, struct mono now)
{
    bool free = gate_has_room(g) && gate_waiting(g) == 0;
    gate_queue(g, e, class, now);
    if (free)
        gate_admit(g, e);
    return free;
}

void gate_restore(struct gate *g, struct gate_entrant *e, enum class class, struct mono now)
{
    must(e->place == GATE_OUTSIDE);
    e->class = class;
    e->since = now;
    e->place = GATE_INSIDE;
    g->inside++;
}

void gate_leave(struct gate *g, struct gate_entrant *e)
{
    if (e->place == GATE_WAITING)
        list_remove(&g->waiting[e->class], &e->link);
    if (e->place == GATE_INSIDE) {
        must(g->inside > 0);
        g->inside--;
    }
    e->place = GATE_OUTSIDE;
}

static struct gate_entrant *first_of(const struct gate *g, int class)
{
    struct link *n = list_first(&g->waiting[class]);
    return n ? list_entry(n, struct gate_entrant, link) : NULL;
}

struct gate_entrant *gate_head(const struct gate *g, struct mono now)
{
    struct gate_entrant *first = NULL, *overdue = NULL;
    uint64_t overdue_at = 0;
    for (int class = 0; class < CLASS__COUNT; class ++) {
        struct gate_entrant *e = first_of(g, class);
        if (!e)
            continue;
        if (!first)
            first = e;
        uint64_t at = e->since.ns + g->wait_ns_max[class];
        if (!g->wait_ns_max[class] || at > now.ns || (overdue && at >= overdue_at))
            continue;
        overdue = e;
        overdue_at = at;
    }
    return overdue ? overdue : first;
}

void gate_admit(struct gate *g, struct gate_entrant *e)
{
    must(e->place == GATE_WAITING && gate_has_room(g));
    list_remove(&g->waiting[e->class], &e->link);
    e->place = GATE_INSIDE;
    g->inside++;
}

struct gate_entrant *gate_next(struct gate *g, struct mono now)
{
    struct gate_entrant *e = gate_head(g, now);
    if (!e || !gate_has_room(g))
        return NULL;
    gate_admit(g, e);
    return e;
}

void gate_check(const struct gate *g)
{
    for (int class = 0; class < CLASS__COUNT; class ++) {
        const struct link *n;
        uint32_t count = 0;
        list_each(n, &g->waiting[class]) {
            const struct gate_entrant *e = list_entry(n, const struct gate_entrant, link);
            must(e->place == GATE_WAITING && (int)e->class == class);
            count++;
        }
        must(count == g->waiting[class].count);
    }
}
