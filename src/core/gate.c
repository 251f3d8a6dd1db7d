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

bool gate_enter(struct gate *g, struct gate_entrant *e, enum class class, struct mono now)
{
    must(e->place == GATE_OUTSIDE);
    e->class = class;
    e->since = now;
    if (g->inside < g->limit && gate_waiting(g) == 0) {
        e->place = GATE_INSIDE;
        g->inside++;
        return true;
    }
    e->place = GATE_WAITING;
    list_push(&g->waiting[class], &e->link);
    return false;
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

struct gate_entrant *gate_next(struct gate *g)
{
    if (g->inside >= g->limit)
        return NULL;
    for (int class = 0; class < CLASS__COUNT; class ++) {
        struct link *n = list_pop(&g->waiting[class]);
        if (!n)
            continue;
        struct gate_entrant *e = list_entry(n, struct gate_entrant, link);
        e->place = GATE_INSIDE;
        g->inside++;
        return e;
    }
    return NULL;
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
