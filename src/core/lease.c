/* Leases: for now of gate slots alone. They share ids and arrival order with requests. */
#include "core/core_priv.h"

static struct waiter *entrant_waiter(struct gate_entrant *e)
{
    return list_entry(e, struct waiter, gate);
}

static void admit(struct core *c, struct waiter *w)
{
    w->state = WAITER_GRANTED;
    w->granted = c->now;
    struct effect *e = core_emit(c, EFFECT_LEASE_GRANT, CORE_SLOT_NONE);
    e->waiter = pool_id(&c->waiter_pool, (uint32_t)(w - c->waiters));
    e->tag = w->tag;
    e->duration_ns = c->now.ns - w->since.ns;
}

void lease_ask(struct core *c, const struct event *ev)
{
    struct id id;
    must(ev->lease.gate < c->gate_count);
    if (c->draining || !pool_get(&c->waiter_pool, &id)) {
        struct effect *e = core_emit(c, EFFECT_REFUSE, CORE_SLOT_NONE);
        e->tag = ev->lease.tag;
        e->reason = c->draining ? REASON_SHUTDOWN : REASON_QUEUE_FULL;
        return;
    }
    struct waiter *w = &c->waiters[id.slot];
    *w = (struct waiter){.kind = WAITER_LEASE,
                         .class = ev->lease.class,
                         .model = ev->lease.gate,
                         .tag = ev->lease.tag,
                         .seq = ++c->seq,
                         .since = c->now};
    struct gate *g = &c->gates[ev->lease.gate];
    if (gate_enter(g, &w->gate, w->class, c->now)) {
        admit(c, w);
        return;
    }
    struct effect *e = core_emit(c, EFFECT_LEASE_WAIT, CORE_SLOT_NONE);
    e->waiter = id;
    e->tag = w->tag;
    for (int class = 0; class <= (int)w->class; class ++)
        e->position += g->waiting[class].count;
}

void lease_admit(struct core *c, uint32_t gate)
{
    struct gate *g = &c->gates[gate];
    while (g->inside < g->limit && gate_waiting(g) > 0) {
        if (!core_has_room(c)) {
            c->sweep = true;
            return;
        }
        admit(c, entrant_waiter(gate_next(g)));
    }
}

void lease_end(struct core *c, uint32_t slot)
{
    struct waiter *w = &c->waiters[slot];
    gate_leave(&c->gates[w->model], &w->gate);
    lease_admit(c, w->model);
}

void lease_refuse_waiting(struct core *c)
{
    for (uint32_t i = 0; i < c->gate_count; i++) {
        struct gate *g = &c->gates[i];
        for (int class = 0; class < CLASS__COUNT; class ++) {
            struct link *n;
            while ((n = list_first(&g->waiting[class])) && core_has_room(c)) {
                struct waiter *w = entrant_waiter(list_entry(n, struct gate_entrant, link));
                uint32_t slot = (uint32_t)(w - c->waiters);
                struct effect *e = core_emit(c, EFFECT_REFUSE, CORE_SLOT_NONE);
                e->waiter = pool_id(&c->waiter_pool, slot);
                e->tag = w->tag;
                e->reason = REASON_SHUTDOWN;
                gate_leave(g, &w->gate);
                pool_put(&c->waiter_pool, slot);
            }
        }
    }
}
