/* Who comes in next: the order among models and leases that need room, who is overdue, and for whom
 * devices are kept free.
 *
 * Order: overdue first, by deadline alone; else rank, priority, arrival. The clock that makes one
 * overdue stands still while the target could not be served whoever left (blocked). */
#include "core/core_priv.h"

/* Under fair, each one more that waits for a model counts as if the first had come this much
 * earlier, and the time to load it as if that one had come later by as much: a load serves all that
 * wait, so the one that serves more, sooner, goes first. Found by simulation (docs/simulate.md):
 * under load, half of all requests wait for less, and none is harmed, since who is overdue goes by
 * deadline. */
#define PER_WAITER_NS (4500 * NS_PER_MS)
/* Keys of those that are not overdue sort behind all deadlines. */
#define NOT_OVERDUE (UINT64_C(1) << 63)

bool want_is_lease(const struct core *c, uint32_t target)
{
    return target >= c->limits.models_max;
}

struct lease *want_lease(const struct core *c, uint32_t target)
{
    must(want_is_lease(c, target));
    return &c->leases[target - c->limits.models_max];
}

uint32_t want_of_lease(const struct core *c, uint32_t lease_slot)
{
    return c->limits.models_max + lease_slot;
}

uint64_t want_stood_ns(const struct core *c, uint32_t target)
{
    const struct target *t = &c->targets[target];
    return t->stood_ns + (t->blocked ? c->now.ns - t->blocked_since.ns : 0);
}

bool want_waiter_deadline(const struct core *c, const struct waiter *w, struct mono *ret_at)
{
    uint64_t max = c->sched == SCHEDULER_FAIR ? c->fair.wait_ns_max[w->class] : 0;
    if (!max || c->targets[w->model].blocked)
        return false;
    ret_at->ns = w->since.ns + max + want_stood_ns(c, w->model) - w->stood_ns;
    return true;
}

bool want_deadline(const struct core *c, uint32_t target, struct mono *ret_at)
{
    struct mono at;
    bool any = false;
    if (want_is_lease(c, target)) {
        const struct lease *l = want_lease(c, target);
        uint64_t max = c->sched == SCHEDULER_FAIR ? c->fair.wait_ns_max[l->ask.class] : 0;
        if (!max || c->targets[target].blocked)
            return false;
        ret_at->ns = l->since.ns + max + want_stood_ns(c, target) - l->stood_ns;
        return true;
    }
    const struct model *m = &c->models[target];
    for (int class = 0; class < CLASS__COUNT; class ++) {
        if (!m->waiting[class].count)
            continue;
        struct waiter *w = list_entry(list_first(&m->waiting[class]), struct waiter, link);
        if (want_waiter_deadline(c, w, &at) && (!any || at.ns < ret_at->ns)) {
            *ret_at = at;
            any = true;
        }
    }
    return any;
}

static uint32_t rank_of_model(const struct model *m)
{
    if (m->loads_wanted || m->leaving == LEAVE_MOVE)
        return CLASS_FOREGROUND; /* somebody said so */
    for (uint32_t class = 0; class < CLASS__COUNT; class ++)
        if (m->waiting[class].count)
            return class;
    return CLASS__COUNT;
}

struct claim want_claim(const struct core *c, uint32_t target)
{
    struct mono at;
    struct claim claim = {.target = target};
    if (want_is_lease(c, target))
        claim.rank = want_lease(c, target)->ask.class;
    else
        claim.rank = rank_of_model(&c->models[target]);
    claim.overdue = want_deadline(c, target, &at) && at.ns <= c->now.ns;
    return claim;
}

bool want_anyone(const struct core *c, uint32_t target)
{
    if (want_is_lease(c, target)) {
        const struct lease *l = want_lease(c, target);
        return l->state == LEASE_WAITING;
    }
    const struct model *m = &c->models[target];
    return m->waiting_count || m->loads_wanted || m->leaving == LEAVE_MOVE ||
           mode_wants_load(c, target) || mode_wants_move(c, target) != CORE_SLOT_NONE;
}

static uint64_t seq_of(const struct core *c, uint32_t target, uint32_t rank)
{
    if (want_is_lease(c, target))
        return want_lease(c, target)->seq;
    const struct model *m = &c->models[target];
    if (m->loads_wanted || m->leaving == LEAVE_MOVE)
        return 0;
    if (rank >= CLASS__COUNT)
        return target;
    return list_entry(list_first(&m->waiting[rank]), const struct waiter, link)->seq;
}

/* In milliseconds, and by arrival within one. */
static uint64_t place_at(uint64_t ns, uint64_t seq)
{
    return ns / NS_PER_MS << 24 | (seq & 0xffffff);
}

/* Among equals in rank and priority. */
static uint64_t place_of(const struct core *c, uint32_t target, uint32_t rank)
{
    uint64_t seq = seq_of(c, target, rank);
    if (c->sched != SCHEDULER_FAIR || rank >= CLASS__COUNT)
        return seq;
    if (want_is_lease(c, target))
        return place_at(want_lease(c, target)->since.ns, seq);
    const struct model *m = &c->models[target];
    if (!m->waiting[rank].count || m->loads_wanted || m->leaving == LEAVE_MOVE)
        return seq;
    const struct waiter *head =
        list_entry(list_first(&m->waiting[rank]), const struct waiter, link);
    uint64_t ns = head->since.ns + model_load_ns(m, 0);
    return place_at(minus(ns, (m->waiting_count - 1) * PER_WAITER_NS), seq);
}

static struct heap_key key_of(const struct core *c, uint32_t target)
{
    struct claim claim = want_claim(c, target);
    struct mono at;
    uint64_t place = place_of(c, target, claim.rank);
    if (claim.overdue && want_deadline(c, target, &at))
        return (struct heap_key){at.ns, place};
    int64_t priority = want_is_lease(c, target) ? 0 : c->models[target].policy.priority;
    uint64_t order = (uint64_t)((int64_t)INT32_MAX - priority);
    return (struct heap_key){NOT_OVERDUE | (uint64_t)claim.rank << 33 | order, place};
}

bool want_precedes(const struct core *c, uint32_t target, uint32_t other)
{
    struct heap_key a = key_of(c, target), b = key_of(c, other);
    if (a.major == b.major && a.minor == b.minor)
        return target < other; /* one of two comes first, or each would wait for the other */
    return heap_key_before(a, b);
}

static uint32_t overdue_slot(const struct core *c, uint32_t target)
{
    return want_is_lease(c, target)
               ? deadline_lease(c, target - c->limits.models_max, LEASE_DEADLINE_OVERDUE)
               : deadline_model(target, DEADLINE_OVERDUE);
}

/* Wakes the core when the target turns overdue. */
static void watch(struct core *c, uint32_t target)
{
    uint32_t slot = overdue_slot(c, target);
    struct mono at;
    const struct heap_item *set = heap_find(&c->deadlines, slot);
    if (!want_deadline(c, target, &at) || at.ns <= c->now.ns)
        deadline_clear(c, slot);
    else if (!set || set->key.major != at.ns)
        deadline_set(c, slot, at);
}

/* Who outranks more, or is overdue by now, may have more put out than when it was tried last. */
static bool claims_more(const struct core *c, uint32_t target)
{
    const struct target *t = &c->targets[target];
    struct claim claim = want_claim(c, target);
    return claim.rank < t->tried.rank || (claim.overdue && !t->tried.overdue);
}

void want_set(struct core *c, uint32_t target, bool wanted)
{
    struct target *t = &c->targets[target];
    bool parked = link_linked(&t->parked);
    if (!wanted) {
        if (parked)
            list_remove(&c->parked, &t->parked);
        heap_remove(&c->wants, target);
        deadline_clear(c, overdue_slot(c, target));
        want_set_anchor(c, target, 0);
        want_unblock(c, target);
        return;
    }
    watch(c, target);
    if (parked) {
        if (claims_more(c, target))
            c->version++;
        return;
    }
    const struct heap_item *old = heap_find(&c->wants, target);
    struct heap_key key = key_of(c, target);
    if (!old)
        c->version++;
    if (!old || old->key.major != key.major || old->key.minor != key.minor)
        heap_set(&c->wants, target, key);
}

void want_park(struct core *c, uint32_t target)
{
    heap_remove(&c->wants, target);
    list_push(&c->parked, &c->targets[target].parked);
    c->targets[target].tried = want_claim(c, target);
}

void want_unpark_all(struct core *c)
{
    struct link *n;
    while ((n = list_pop(&c->parked))) {
        uint32_t target = (uint32_t)(list_entry(n, struct target, parked) - c->targets);
        heap_set(&c->wants, target, key_of(c, target));
    }
}

/* More than is known that it needs, after it ran out of memory, is asked for once: where that
 * cannot be had, what is known has to do. */
static bool ask_for_less(struct core *c, uint32_t target)
{
    if (want_is_lease(c, target) || !c->models[target].oom_bytes)
        return false;
    c->models[target].oom_bytes = 0;
    c->version++;
    c->more = true;
    return true;
}

void want_block(struct core *c, uint32_t target, enum reason why, uint32_t by)
{
    struct target *t = &c->targets[target];
    if (t->blocked || ask_for_less(c, target))
        return;
    t->blocked = true;
    t->blocked_since = c->now;
    deadline_clear(c, overdue_slot(c, target));
    struct effect *e =
        core_notice(c, NOTICE_BLOCKED, want_is_lease(c, target) ? CORE_SLOT_NONE : target, why);
    e->other = by;
    if (want_is_lease(c, target))
        e->waiter = pool_id(&c->lease_pool, target - c->limits.models_max);
}

void want_unblock(struct core *c, uint32_t target)
{
    struct target *t = &c->targets[target];
    if (!t->blocked)
        return;
    t->blocked = false;
    t->anchor_doubted = (struct mono){0};
    t->stood_ns += c->now.ns - t->blocked_since.ns;
    if (heap_has(&c->wants, target) || link_linked(&t->parked))
        watch(c, target);
}

void want_set_anchor(struct core *c, uint32_t target, uint32_t devices)
{
    struct target *t = &c->targets[target];
    if (t->anchor == devices)
        return;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        if (t->anchor & (1U << d))
            c->devices[d].anchor = CORE_SLOT_NONE;
        if (devices & (1U << d))
            c->devices[d].anchor = target;
    }
    if (t->anchor & ~devices)
        c->version++; /* what was kept free is there for others */
    t->anchor = devices;
    t->anchor_doubted = (struct mono){0};
}

void want_refuse(struct core *c, uint32_t target, enum reason why)
{
    if (want_is_lease(c, target)) {
        lease_doom(c, target - c->limits.models_max, why);
        return;
    }
    struct model *m = &c->models[target];
    if (ask_for_less(c, target))
        return;
    if (m->state == MODEL_SUSPENDED && (why == REASON_NO_ROOM || why == REASON_NO_DEVICE)) {
        model_leave(c, target, LEAVE_UNLOAD, why); /* not there, but perhaps elsewhere, anew */
        return;
    }
    /* It was to be moved: it stays where it is, and serves; or leaves at once, if its devices went,
     * and those that wait are served elsewhere. */
    bool was_loaded = m->state == MODEL_LOADED;
    mode_give_up(c, target);
    if (m->leaving == LEAVE_MOVE) {
        m->leaving = LEAVE_NOT;
        command_finish(c, target, COMMAND_MOVE, why);
    }
    if (!was_loaded) {
        queue_doom(c, target, why);
        command_finish(c, target, COMMAND_LOAD, why);
    }
    command_drain_answers(c);
    queue_drain_doomed(c);
    model_refresh(c, target);
}
