/* Leases: memory and gate slots for somebody who is no model. A lease that waits holds nothing; it
 * stands in the queue of each of its gates, and once it is at the head of all of them, with room in
 * each, it is a target like a model: a plan makes room for its bytes, and one grant gives it
 * everything. */
#include "core/core_priv.h"

/* A background waiter at a gate that waits longer is worth a word. */
#define STARVING_NS (300 * NS_PER_S)

static struct lease *entrant_lease(const struct core *c, struct gate_entrant *e)
{
    size_t at = (size_t)((char *)e - (char *)c->leases);
    return &c->leases[at / sizeof(struct lease)];
}

static uint32_t slot_of(const struct core *c, const struct lease *l)
{
    return (uint32_t)(l - c->leases);
}

static struct effect *say(struct core *c, enum effect_type type, const struct lease *l)
{
    struct effect *e = core_emit(c, type, CORE_SLOT_NONE);
    e->waiter = pool_id(&c->lease_pool, slot_of(c, l));
    e->tag = l->tag;
    e->class = l->ask.class;
    e->gate = l->ask.gate_count ? l->ask.gates[0] : CORE_SLOT_NONE;
    return e;
}

static void notice(struct core *c, enum notice what, const struct lease *l, enum reason why)
{
    struct effect *e = say(c, EFFECT_NOTICE, l);
    e->notice = what;
    e->reason = why;
    e->bytes = l->ask.bytes;
    core_effect_devices(e, l->hold.devices);
}

/* One line for each gate, as each gate sees it. */
static void trace(struct core *c, const struct lease *l, enum trace what, uint64_t ns)
{
    for (uint32_t i = 0; i < l->ask.gate_count; i++) {
        struct effect *e = say(c, EFFECT_TRACE, l);
        e->trace = what;
        e->gate = l->ask.gates[i];
        e->duration_ns = ns;
    }
}

static bool find(struct core *c, struct id id, struct lease **ret)
{
    if (!pool_alive(&c->lease_pool, id)) {
        c->stale_ids++;
        return false;
    }
    *ret = &c->leases[id.slot];
    return true;
}

static void free_lease(struct core *c, struct lease *l)
{
    uint32_t slot = slot_of(c, l);
    for (int i = 0; i < LEASE_DEADLINE__PER_LEASE; i++)
        deadline_clear(c, deadline_lease(c, slot, (enum lease_deadline)i));
    c->targets[want_of_lease(c, slot)].stood_ns = 0;
    pool_put(&c->lease_pool, slot);
}

static void earliest(uint64_t *at, uint64_t ns)
{
    if (!*at || *at > ns)
        *at = ns;
}

/* When it goes before others at all of its gates, by the shortest of their bounds; 0: never. */
static uint64_t overdue_at(const struct core *c, const struct lease *l)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < l->ask.gate_count; i++) {
        uint64_t max = c->gates[l->ask.gates[i]].wait_ns_max[l->ask.class];
        if (max)
            earliest(&at, l->since.ns + max);
    }
    return at;
}

/* The next thing that time brings: the end of its patience, its ttl, its grace, being told of, or
 * going before others at a gate. */
static void set_time(struct core *c, const struct lease *l)
{
    uint64_t at = l->expires.ns;
    bool may_starve = l->state == LEASE_WAITING && l->ask.gate_count && !l->starving &&
                      l->ask.class == CLASS_BACKGROUND;
    if (may_starve)
        earliest(&at, l->since.ns + STARVING_NS);
    if (l->state == LEASE_WAITING && !l->overdue && overdue_at(c, l))
        earliest(&at, overdue_at(c, l));
    uint32_t slot = deadline_lease(c, slot_of(c, l), LEASE_DEADLINE_TIME);
    if (at)
        deadline_set(c, slot, (struct mono){at});
    else
        deadline_clear(c, slot);
}

static void leave_gates(struct core *c, struct lease *l)
{
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        gate_leave(&c->gates[l->ask.gates[i]], &l->entrants[i]);
}

/* While deadlines run, all of them come first: others may become overdue at the same time. */
static void admit_all(struct core *c, const struct lease *l)
{
    if (c->ticking) {
        c->sweep |= l->ask.gate_count != 0;
        return;
    }
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        lease_admit(c, l->ask.gates[i]);
}

bool lease_gates_open(const struct core *c, const struct lease *l)
{
    for (uint32_t i = 0; i < l->ask.gate_count; i++) {
        const struct gate *g = &c->gates[l->ask.gates[i]];
        if (!gate_has_room(g) || gate_head(g) != &l->entrants[i])
            return false;
    }
    return true;
}

void lease_refresh(struct core *c, uint32_t slot)
{
    const struct lease *l = &c->leases[slot];
    uint32_t target = want_of_lease(c, slot);
    bool wanted = l->state == LEASE_WAITING && l->ask.bytes && !c->targets[target].plan.active &&
                  !c->draining && lease_gates_open(c, l);
    want_set(c, target, wanted);
    if (!wanted && !c->targets[target].plan.active)
        c->targets[target].plan.growths = 0;
}

static void grant(struct core *c, uint32_t slot, uint32_t devices)
{
    struct lease *l = &c->leases[slot];
    uint32_t target = want_of_lease(c, slot);
    must(l->state == LEASE_WAITING && lease_gates_open(c, l));
    if (c->targets[target].plan.active)
        transition_end(c, target);
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        gate_admit(&c->gates[l->ask.gates[i]], &l->entrants[i]);
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (devices & (1U << d))
            ledger_charge(c, &l->hold, d, l->ask.bytes);
    l->state = LEASE_GRANTED;
    l->granted_at = c->now;
    l->expires.ns = l->ask.ttl_ns ? c->now.ns + l->ask.ttl_ns : 0;
    c->leases_waiting--;
    c->leases_granted++;
    c->byte_leases += l->ask.bytes != 0;
    trace(c, l, TRACE_ACQUIRED, c->now.ns - l->since.ns);
    struct effect *e = say(c, EFFECT_LEASE_GRANT, l);
    e->duration_ns = c->now.ns - l->since.ns;
    e->bytes = l->ask.bytes;
    core_effect_devices(e, devices);
    notice(c, NOTICE_LEASE_GRANTED, l, REASON_NONE);
    set_time(c, l);
    lease_refresh(c, slot);
    /* Who stood behind it at its other gates may come in there. */
    c->sweep |= l->ask.gate_count > 1;
}

void lease_come_in(struct core *c, uint32_t slot, uint32_t devices)
{
    grant(c, slot, devices);
    admit_all(c, &c->leases[slot]); /* who stood behind it may come in beside it */
}

void lease_admit(struct core *c, uint32_t gate)
{
    struct gate *g = &c->gates[gate];
    struct gate_entrant *e;
    while (gate_has_room(g) && (e = gate_head(g))) {
        struct lease *l = entrant_lease(c, e);
        if (!core_has_room(c)) {
            c->sweep = true;
            return;
        }
        if (!c->booted || c->draining || !lease_gates_open(c, l))
            return;
        if (l->ask.bytes) {
            lease_refresh(c, slot_of(c, l)); /* it is a target now */
            return;
        }
        grant(c, slot_of(c, l), 0);
    }
}

void lease_retime(struct core *c)
{
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++)
        if (pool_used(&c->lease_pool, s) && c->leases[s].state == LEASE_WAITING)
            set_time(c, &c->leases[s]);
}

void lease_sweep(struct core *c)
{
    for (uint32_t i = 0; i < c->gate_count; i++)
        lease_admit(c, i);
    for (uint32_t s = 0; s < c->lease_pool.high_water && c->booted; s++) {
        struct lease *l = &c->leases[s];
        if (!pool_used(&c->lease_pool, s) || l->state != LEASE_WAITING)
            continue;
        if (!core_has_room(c)) {
            c->sweep = true;
            return;
        }
        if (l->ask.bytes)
            lease_refresh(c, s);
        else if (!l->ask.gate_count)
            grant(c, s, 0);
    }
}

/* Whether there are devices at all that could ever hold it. */
static bool can_ever_fit(const struct core *c, const struct core_lease_ask *ask)
{
    uint32_t count = 0;
    for (uint32_t d = 0; d < c->device_count; d++)
        count += (ask->device_mask & (1U << d)) && ledger_capacity(c, d) >= ask->bytes;
    return !ask->bytes || count >= (ask->device_count ? ask->device_count : 1);
}

static void refuse_ask(struct core *c, const struct event *ev, enum reason why)
{
    struct effect *e = core_emit(c, EFFECT_REFUSE, CORE_SLOT_NONE);
    e->tag = ev->lease.tag;
    e->class = ev->lease.ask->class;
    e->bytes = ev->lease.ask->bytes;
    e->reason = why;
}

static struct lease *new_lease(struct core *c, const struct event *ev)
{
    struct id id;
    if (!pool_get(&c->lease_pool, &id))
        return NULL;
    struct lease *l = &c->leases[id.slot];
    must(l->hold.devices == 0 && l->hold.settling_devices == 0);
    *l = (struct lease){.ask = *ev->lease.ask,
                        .tag = ev->lease.tag,
                        .seq = ++c->seq,
                        .since = core_since(c, ev->lease.since),
                        .victim_of = CORE_SLOT_NONE};
    must(l->ask.gate_count <= CORE_LEASE_GATES_MAX);
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        must(l->ask.gates[i] < c->gate_count);
    return l;
}

void lease_ask(struct core *c, const struct event *ev)
{
    enum reason why = c->draining ? REASON_SHUTDOWN : REASON_NONE;
    if (why == REASON_NONE && !can_ever_fit(c, ev->lease.ask))
        why = REASON_NO_ROOM;
    struct lease *l = why == REASON_NONE ? new_lease(c, ev) : NULL;
    if (!l) {
        refuse_ask(c, ev, why == REASON_NONE ? REASON_QUEUE_FULL : why);
        return;
    }
    c->leases_waiting++;
    uint32_t before = 0;
    for (uint32_t i = 0; i < l->ask.gate_count; i++) {
        struct gate *g = &c->gates[l->ask.gates[i]];
        gate_queue(g, &l->entrants[i], l->ask.class);
        if (i == 0)
            before = g->overdue.count;
        for (int class = 0; i == 0 && class <= (int)l->ask.class; class ++)
            before += g->waiting[class].count;
    }
    if (l->ask.wait_ns_max != UINT64_MAX)
        l->expires.ns = l->since.ns + l->ask.wait_ns_max;
    bool may_enter = c->booted && lease_gates_open(c, l);
    if (may_enter && !l->ask.bytes) {
        grant(c, slot_of(c, l), 0);
        return;
    }
    trace(c, l, TRACE_ENQUEUED, 0);
    struct effect *e = say(c, EFFECT_LEASE_WAIT, l);
    e->position = before;
    e->bytes = l->ask.bytes;
    set_time(c, l);
    if (may_enter)
        lease_refresh(c, slot_of(c, l));
}

void lease_restore(struct core *c, const struct event *ev)
{
    struct lease *l = new_lease(c, ev);
    if (!l) {
        refuse_ask(c, ev, REASON_QUEUE_FULL);
        return;
    }
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        gate_restore(&c->gates[l->ask.gates[i]], &l->entrants[i], l->ask.class);
    l->hold.restored = true;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX && l->ask.bytes; d++)
        if (ev->lease.devices & (1U << d))
            ledger_charge(c, &l->hold, d, l->ask.bytes);
    l->state = LEASE_GRANTED;
    l->granted_at = c->now;
    l->expires.ns = c->now.ns + ev->lease.grace_ns;
    c->leases_granted++;
    c->byte_leases += l->ask.bytes != 0;
    struct effect *e = say(c, EFFECT_LEASE_GRANT, l);
    e->bytes = l->ask.bytes;
    core_effect_devices(e, l->hold.devices);
    set_time(c, l);
}

void lease_renew(struct core *c, struct id id)
{
    struct lease *l;
    if (!find(c, id, &l) || l->state != LEASE_GRANTED)
        return;
    l->expires.ns = l->ask.ttl_ns ? c->now.ns + l->ask.ttl_ns : 0;
    if (l->revoked)
        earliest(&l->expires.ns, l->grace_ends.ns);
    set_time(c, l);
}

/* A granted lease is over. Its gates are free at once, its bytes when they are seen to be. */
static void end_granted(struct core *c, struct lease *l, enum reason why)
{
    uint32_t slot = slot_of(c, l);
    l->state = LEASE_ENDED;
    l->expires.ns = 0;
    set_time(c, l);
    c->leases_granted--;
    c->byte_leases -= l->ask.bytes != 0;
    leave_gates(c, l);
    trace(c, l, TRACE_RELEASED, c->now.ns - l->granted_at.ns);
    notice(c, NOTICE_LEASE_ENDED, l, why);
    ledger_release(c, &l->hold);
    transition_victim_gone(c, want_of_lease(c, slot));
    c->version++;
    admit_all(c, l);
    if (!l->hold.settling_devices)
        free_lease(c, l);
}

/* It waits no more. */
static void end_waiting(struct core *c, struct lease *l)
{
    uint32_t target = want_of_lease(c, slot_of(c, l));
    leave_gates(c, l);
    c->leases_waiting--;
    l->state = LEASE_ENDED;
    if (c->targets[target].plan.active)
        transition_end(c, target);
    want_set(c, target, false);
    admit_all(c, l);
    free_lease(c, l);
}

void lease_end(struct core *c, struct id id)
{
    struct lease *l;
    if (!find(c, id, &l))
        return;
    if (l->state == LEASE_ENDED) {
        if (l->hold.lingers)
            ledger_let_go(c, &l->hold);
        return;
    }
    if (l->state == LEASE_GRANTED) {
        end_granted(c, l, REASON_NONE);
        return;
    }
    trace(c, l, TRACE_CANCELLED, c->now.ns - l->since.ns);
    end_waiting(c, l);
}

void lease_remains(struct core *c, struct id id)
{
    struct lease *l;
    if (find(c, id, &l) && l->state == LEASE_ENDED)
        l->hold.lingers = true;
}

void lease_settled(struct core *c, uint32_t slot)
{
    struct lease *l = &c->leases[slot];
    deadline_clear(c, deadline_lease(c, slot, LEASE_DEADLINE_SETTLE));
    if (l->state == LEASE_ENDED)
        free_lease(c, l);
}

void lease_revoke(struct core *c, uint32_t slot, enum reason why, uint32_t other)
{
    struct lease *l = &c->leases[slot];
    must(l->state == LEASE_GRANTED && !l->revoked);
    l->revoked = true;
    l->grace_ends.ns = c->now.ns + l->ask.grace_ns;
    earliest(&l->expires.ns, l->grace_ends.ns);
    struct effect *e = say(c, EFFECT_LEASE_REVOKE, l);
    e->reason = why;
    e->duration_ns = l->ask.grace_ns;
    if (other != CORE_SLOT_NONE && !want_is_lease(c, other))
        e->other = other;
    notice(c, NOTICE_LEASE_REVOKED, l, why);
    set_time(c, l);
}

void lease_doom(struct core *c, uint32_t slot, enum reason why)
{
    struct lease *l = &c->leases[slot];
    must(l->state == LEASE_WAITING);
    struct effect *e = say(c, EFFECT_REFUSE, l);
    e->reason = why;
    e->bytes = l->ask.bytes;
    end_waiting(c, l);
}

void lease_refuse_waiting(struct core *c)
{
    for (uint32_t s = 0; s < c->lease_pool.high_water && core_has_room(c); s++)
        if (pool_used(&c->lease_pool, s) && c->leases[s].state == LEASE_WAITING)
            lease_doom(c, s, REASON_SHUTDOWN);
}

static void run_time(struct core *c, struct lease *l)
{
    if (l->state == LEASE_GRANTED) {
        say(c, EFFECT_LEASE_END, l)->reason = l->revoked ? REASON_REVOKED : REASON_LEASE_EXPIRED;
        end_granted(c, l, l->revoked ? REASON_REVOKED : REASON_LEASE_EXPIRED);
        return;
    }
    if (l->expires.ns && l->expires.ns <= c->now.ns) {
        lease_doom(c, slot_of(c, l), REASON_WAIT_EXPIRED);
        return;
    }
    if (l->ask.class == CLASS_BACKGROUND && !l->starving && l->ask.gate_count &&
        l->since.ns + STARVING_NS <= c->now.ns) {
        l->starving = true;
        struct effect *e = say(c, EFFECT_NOTICE, l);
        e->notice = NOTICE_STARVING;
        e->duration_ns = c->now.ns - l->since.ns;
    }
    if (!l->overdue && overdue_at(c, l) && overdue_at(c, l) <= c->now.ns) {
        l->overdue = true;
        for (uint32_t i = 0; i < l->ask.gate_count; i++)
            gate_overdue(&c->gates[l->ask.gates[i]], &l->entrants[i]);
        c->sweep = true; /* another may stand at the head of its gates now */
    }
    set_time(c, l);
}

void lease_run_deadline(struct core *c, uint32_t slot, enum lease_deadline which)
{
    struct lease *l = &c->leases[slot];
    switch (which) {
    case LEASE_DEADLINE_TIME:
        run_time(c, l);
        break;
    case LEASE_DEADLINE_SETTLE:
        if (l->hold.lingers)
            ledger_keep(c, &l->hold);
        else
            ledger_settle(c, want_of_lease(c, slot));
        break;
    case LEASE_DEADLINE_OVERDUE:
        c->version++;
        lease_refresh(c, slot);
        break;
    case LEASE_DEADLINE__PER_LEASE:
        never("not a deadline");
    }
}
