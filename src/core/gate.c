#include "core/gate.h"

void gate_init(struct gate *g, uint32_t limit)
{
    *g = (struct gate){.limit = limit};
    list_init(&g->overdue);
    for (int class = 0; class < CLASS__COUNT; class ++)
        list_init(&g->waiting[class]);
}

uint32_t gate_waiting(const struct gate *g)
{
    uint32_t count = g->overdue.count;
    for (int class = 0; class < CLASS__COUNT; class ++)
        count += g->waiting[class].count;
    return count;
}

bool gate_has_room(const struct gate *g)
{
    return g->inside < g->limit;
}

static struct list *queue_of(struct gate *g, const struct gate_entrant *e)
{
    return e->overdue ? &g->overdue : &g->waiting[e->class];
}

void gate_queue(struct gate *g, struct gate_entrant *e, enum class class)
{
    must(e->place == GATE_OUTSIDE);
    e->class = class;
    e->overdue = false;
    e->place = GATE_WAITING;
    list_push(queue_of(g, e), &e->link);
}

bool gate_enter(struct gate *g, struct gate_entrant *e, enum class class)
{
    bool free = gate_has_room(g) && gate_waiting(g) == 0;
    gate_queue(g, e, class);
    if (free)
        gate_admit(g, e);
    return free;
}

void gate_restore(struct gate *g, struct gate_entrant *e, enum class class)
{
    must(e->place == GATE_OUTSIDE);
    e->class = class;
    e->overdue = false;
    e->place = GATE_INSIDE;
    g->inside++;
}

void gate_overdue(struct gate *g, struct gate_entrant *e)
{
    must(e->place == GATE_WAITING && !e->overdue);
    list_remove(queue_of(g, e), &e->link);
    e->overdue = true;
    list_push(queue_of(g, e), &e->link);
}

void gate_leave(struct gate *g, struct gate_entrant *e)
{
    if (e->place == GATE_WAITING)
        list_remove(queue_of(g, e), &e->link);
    if (e->place == GATE_INSIDE) {
        must(g->inside > 0);
        g->inside--;
    }
    e->place = GATE_OUTSIDE;
}

static struct gate_entrant *first_of(const struct list *queue)
{
    struct link *n = list_first(queue);
    return n ? list_entry(n, struct gate_entrant, link) : NULL;
}

struct gate_entrant *gate_head(const struct gate *g)
{
    struct gate_entrant *e = first_of(&g->overdue);
    for (int class = 0; !e && class < CLASS__COUNT; class ++)
        e = first_of(&g->waiting[class]);
    return e;
}

void gate_admit(struct gate *g, struct gate_entrant *e)
{
    must(e->place == GATE_WAITING && gate_has_room(g));
    list_remove(queue_of(g, e), &e->link);
    e->place = GATE_INSIDE;
    g->inside++;
}

struct gate_entrant *gate_next(struct gate *g)
{
    struct gate_entrant *e = gate_head(g);
    if (!e || !gate_has_room(g))
        return NULL;
    gate_admit(g, e);
    return e;
}

static void check_queue(const struct list *queue, int class)
{
    const struct link *n;
    uint32_t count = 0;
    list_each(n, queue) {
        const struct gate_entrant *e = list_entry(n, const struct gate_entrant, link);
        must(e->place == GATE_WAITING && e->overdue == (class == CLASS__COUNT));
        must(e->overdue || (int)e->class == class);
        count++;
    }
    must(count == queue->count);
}

void gate_check(const struct gate *g)
{
    check_queue(&g->overdue, CLASS__COUNT);
    for (int class = 0; class < CLASS__COUNT; class ++)
        check_queue(&g->waiting[class], class);
}
