/* Deadlines: one heap over everything that has one; TICK alone runs them. */
#include "core/core_priv.h"

uint32_t deadline_slots(const struct core_limits *l)
{
    return l->models_max * DEADLINE__PER_MODEL + l->waiters_max +
           l->leases_max * LEASE_DEADLINE__PER_LEASE + CORE_BACKENDS_MAX + 1 + 2;
}

uint32_t deadline_model(uint32_t model, enum deadline which)
{
    return model * DEADLINE__PER_MODEL + (uint32_t)which;
}

static uint32_t first_waiter(const struct core *c)
{
    return c->limits.models_max * DEADLINE__PER_MODEL;
}

static uint32_t first_lease(const struct core *c)
{
    return first_waiter(c) + c->limits.waiters_max;
}

static uint32_t first_backend(const struct core *c)
{
    return first_lease(c) + c->limits.leases_max * LEASE_DEADLINE__PER_LEASE;
}

uint32_t deadline_waiter(const struct core *c, uint32_t waiter_slot)
{
    return first_waiter(c) + waiter_slot;
}

uint32_t deadline_lease(const struct core *c, uint32_t lease_slot, enum lease_deadline which)
{
    return first_lease(c) + lease_slot * LEASE_DEADLINE__PER_LEASE + (uint32_t)which;
}

uint32_t deadline_backend(const struct core *c, uint32_t backend)
{
    return first_backend(c) + backend;
}

uint32_t deadline_drain(const struct core *c)
{
    return c->deadlines.slots_max - 1;
}

static uint32_t replan_slot(const struct core *c)
{
    return c->deadlines.slots_max - 2;
}

void deadline_set(struct core *c, uint32_t slot, struct mono at)
{
    heap_set(&c->deadlines, slot, (struct heap_key){at.ns, ++c->seq});
}

void deadline_clear(struct core *c, uint32_t slot)
{
    heap_remove(&c->deadlines, slot);
}

void deadline_replan(struct core *c, struct mono at)
{
    const struct heap_item *now = heap_find(&c->deadlines, replan_slot(c));
    if (!now || now->key.major > at.ns)
        deadline_set(c, replan_slot(c), at);
}

bool deadline_replans(const struct core *c)
{
    return heap_has(&c->deadlines, replan_slot(c));
}

static void run(struct core *c, uint32_t slot)
{
    if (slot == deadline_drain(c)) {
        c->drain_expired = true;
    } else if (slot == replan_slot(c)) {
        c->version++;
    } else if (slot >= first_backend(c)) {
        backend_probe(c, slot - first_backend(c));
    } else if (slot >= first_lease(c)) {
        uint32_t at = slot - first_lease(c);
        lease_run_deadline(c, at / LEASE_DEADLINE__PER_LEASE,
                           (enum lease_deadline)(at % LEASE_DEADLINE__PER_LEASE));
    } else if (slot >= first_waiter(c)) {
        queue_expire(c, slot - first_waiter(c));
    } else {
        model_run_deadline(c, slot / DEADLINE__PER_MODEL,
                           (enum deadline)(slot % DEADLINE__PER_MODEL));
    }
}

bool deadline_due(const struct core *c)
{
    const struct heap_item *first = heap_peek(&c->deadlines);
    return first && first->key.major <= c->now.ns;
}

void deadline_run_due(struct core *c)
{
    c->ticking = true;
    while (deadline_due(c) && core_has_room(c)) {
        uint32_t slot = heap_peek(&c->deadlines)->slot;
        heap_remove(&c->deadlines, slot);
        run(c, slot);
    }
    c->ticking = false;
}
