/* The ledger: whose bytes are where (own, leased, settling, foreign), and how many are left.
 *
 * room = min(total × limit − reserve − Σ charged − foreign − promised,
 *            free − Σ unseen − promised − reserve)
 * where charged counts settling too, unseen_i = max(0, charged_i − measured_i), and promised is
 * what committed plans and anchors will take of the room that is there, beyond what their own
 * victims give back. A sample proves only what was over before it was taken; without one, or with
 * one that is too old or says nothing, the first line alone holds. */
#include "core/core_priv.h"

#include <string.h>

/* Foreign use rises at once and falls after this many lower samples in a row. */
#define FOREIGN_LOWER_SAMPLES 3
/* A process that cannot be measured is taken to use its charge after so many samples. */
#define BLIND_SAMPLES 2
/* One that is not seen where it ought to be, in so many samples in a row, is worth a word. */
#define ABSENT_SAMPLES 3

static uint32_t holdings(const struct core *c)
{
    return c->model_count + c->lease_pool.high_water;
}

/* All of them, in index order: models, then leases. */
static struct holding *holding_at(const struct core *c, uint32_t i)
{
    return i < c->model_count ? &c->models[i].hold : &c->leases[i - c->model_count].hold;
}

static uint32_t target_at(const struct core *c, uint32_t i)
{
    return i < c->model_count ? i : want_of_lease(c, i - c->model_count);
}

struct holding *ledger_holding(const struct core *c, uint32_t target)
{
    return want_is_lease(c, target) ? &want_lease(c, target)->hold : &c->models[target].hold;
}

uint64_t ledger_capacity(const struct core *c, uint32_t device)
{
    const struct device *d = &c->devices[device];
    if (!d->present)
        return 0;
    /* Divided first: totals are far above 1000 bytes, and the product must not overflow. */
    uint64_t limited = d->total_bytes / 1000 * d->policy.limit_permille +
                       d->total_bytes % 1000 * d->policy.limit_permille / 1000;
    return minus(limited, d->policy.reserve_bytes);
}

/* An estimate may be wrong: where it is more than there is for anybody, it counts for nothing,
 * rather than keep the model out for ever. */
static uint64_t estimate_of(const struct core *c, const struct model *m, uint32_t placement)
{
    const struct core_placement *p = &m->policy.placements[placement];
    uint64_t estimate = m->estimated_bytes[placement];
    uint32_t wide_enough = 0;
    for (uint32_t d = 0; d < c->device_count; d++)
        wide_enough += (p->device_mask >> d & 1) &&
                       estimate <= minus(ledger_capacity(c, d), c->devices[d].foreign_bytes);
    return wide_enough && wide_enough >= p->device_count ? estimate : 0;
}

static uint64_t known_need(const struct core *c, uint32_t target, uint32_t placement)
{
    if (want_is_lease(c, target))
        return want_lease(c, target)->ask.bytes;
    const struct model *m = &c->models[target];
    uint64_t declared = m->policy.placements[placement].bytes;
    uint64_t learned = m->learned_bytes[placement];
    uint64_t known = declared > learned ? declared : learned;
    known = known ? known : estimate_of(c, m, placement);
    return known ? known + m->oom_bytes : 0;
}

bool ledger_need_unknown(const struct core *c, uint32_t target, uint32_t placement)
{
    return known_need(c, target, placement) == 0;
}

uint64_t ledger_need(const struct core *c, uint32_t target, uint32_t placement, uint32_t device)
{
    uint64_t known = known_need(c, target, placement);
    if (known)
        return known;
    uint64_t whole = minus(ledger_capacity(c, device), c->devices[device].foreign_bytes);
    return whole ? whole : 1; /* never nothing: with no byte to be had it has to wait */
}

uint64_t ledger_residue(const struct model *m)
{
    return m->residue_bytes ? m->residue_bytes : m->policy.suspended_bytes;
}

uint64_t ledger_given(const struct core *c, uint32_t victim, enum core_action how, uint32_t device)
{
    uint64_t charged = ledger_holding(c, victim)->charged[device];
    if (how == ACTION_SUSPEND)
        return minus(charged, ledger_residue(&c->models[victim]));
    return charged;
}

/* What a target still has to get from the free room there, for its plan: its need, less what it has
 * already and what its victims will give back. */
static uint64_t promised_to(const struct core *c, uint32_t target, uint32_t device)
{
    const struct plan *p = &c->targets[target].plan;
    uint64_t held = ledger_holding(c, target)->charged[device];
    if (p->how == OP_MOVE)
        held = 0; /* what it has now goes only after the move */
    for (uint32_t i = 0; p->victims_left && i < holdings(c); i++) {
        uint32_t v = target_at(c, i);
        uint32_t of =
            i < c->model_count ? c->models[i].victim_of : c->leases[i - c->model_count].victim_of;
        if (of != target)
            continue;
        enum core_action how = i < c->model_count ? c->models[i].victim_action : ACTION_REVOKE;
        held += ledger_given(c, v, how, device);
    }
    return minus(p->bytes[device], held);
}

static bool charged_already(const struct core *c, uint32_t target)
{
    return !want_is_lease(c, target) && c->models[target].op.kind != OP_NONE;
}

/* Bytes that are held there at the time by leases that end later, as far as that is known. One that
 * does not say when it ends may end at any time. */
static uint64_t leased_at(const struct core *c, uint32_t device, uint64_t ns)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++) {
        const struct lease *l = &c->leases[s];
        if (l->hold.charged[device] && l->state == LEASE_GRANTED && l->ask.run_ns_max &&
            l->granted_at.ns + l->ask.run_ns_max > ns)
            sum += l->hold.charged[device];
    }
    return sum;
}

/* Backfill: a lease that must end before the anchor could start, whoever else leaves, may pass it.
 */
static bool ends_before(const struct core *c, uint32_t device, uint32_t target, uint64_t need)
{
    if (target == CORE_SLOT_NONE || !want_is_lease(c, target) ||
        !want_lease(c, target)->ask.run_ns_max)
        return false;
    uint64_t end = c->now.ns + want_lease(c, target)->ask.run_ns_max;
    return minus(ledger_capacity(c, device), leased_at(c, device, end)) < need;
}

/* Charged there by what may be told to leave. What leaves for a plan already is that plan's. */
static uint64_t evictable(const struct core *c, uint32_t device)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        if (!model_pinned(m) && m->state != MODEL_STUCK && m->victim_of == CORE_SLOT_NONE)
            sum += m->hold.charged[device];
    }
    for (uint32_t s = 0; s < c->lease_pool.high_water; s++) {
        const struct lease *l = &c->leases[s];
        if (l->ask.revocable && l->state == LEASE_GRANTED && l->victim_of == CORE_SLOT_NONE)
            sum += l->hold.charged[device];
    }
    return sum;
}

/* What the anchor there will take that no plan of its own claims yet. */
static uint64_t kept(const struct core *c, uint32_t device, uint32_t except)
{
    uint32_t anchor = c->devices[device].anchor;
    if (anchor == CORE_SLOT_NONE || anchor == except || c->targets[anchor].plan.active)
        return 0;
    if (except != CORE_SLOT_NONE && c->targets[except].plan.active)
        return 0; /* its plan had its right to the room when it was made */
    if (except != CORE_SLOT_NONE && want_anyone(c, except) && want_precedes(c, except, anchor))
        return 0; /* it is kept from those behind */
    if (ends_before(c, device, except, ledger_need(c, anchor, 0, device)))
        return 0;
    uint32_t placement = 0;
    if (!want_is_lease(c, anchor) && c->models[anchor].policy.placement_count == 0)
        return 0;
    return minus(ledger_need(c, anchor, placement, device),
                 ledger_holding(c, anchor)->charged[device]);
}

static uint64_t anchored(const struct core *c, uint32_t device, uint32_t except)
{
    uint64_t need = kept(c, device, except);
    if (!need || except == CORE_SLOT_NONE || !want_is_lease(c, except))
        return need;
    /* What cannot be put out again may start if it fits beside the anchor once all others have
     * left; what can, would have to leave again. */
    return minus(need, evictable(c, device));
}

static uint64_t promised_to_plans(const struct core *c, uint32_t device, uint32_t except)
{
    uint64_t sum = 0;
    const struct link *n;
    list_each(n, &c->active) {
        uint32_t target = (uint32_t)(list_entry(n, const struct target, active) - c->targets);
        if (target != except && (c->targets[target].plan.devices & (1U << device)) &&
            !charged_already(c, target))
            sum += promised_to(c, target, device);
    }
    return sum;
}

bool ledger_fits_beside_anchor(const struct core *c, uint32_t device, uint32_t target,
                               uint64_t bytes)
{
    uint64_t need = kept(c, device, target);
    const struct device *d = &c->devices[device];
    return !need || !want_is_lease(c, target) ||
           bytes + need + promised_to_plans(c, device, target) + d->foreign_bytes <=
               minus(ledger_capacity(c, device) + evictable(c, device), d->charged_bytes);
}

static bool sample_counts(const struct core *c, const struct device *d)
{
    return d->sampled.ns && d->used_known &&
           (!d->policy.stale_ns || c->now.ns - d->sampled.ns <= d->policy.stale_ns);
}

uint32_t ledger_unknown_devices(const struct core *c, uint32_t model)
{
    const struct model *m = &c->models[model];
    if (m->state == MODEL_SUSPENDED)
        return 0;
    return m->hold.devices & m->hold.unsized_devices & ~m->hold.seen_devices;
}

int64_t ledger_room(const struct core *c, uint32_t device, uint32_t target)
{
    for (uint32_t i = 0; i < c->model_count; i++)
        if (i != target && (ledger_unknown_devices(c, i) >> device & 1))
            return 0;
    return ledger_room_beside(c, device, target);
}

int64_t ledger_room_beside(const struct core *c, uint32_t device, uint32_t target)
{
    const struct device *d = &c->devices[device];
    uint64_t claimed = anchored(c, device, target) + promised_to_plans(c, device, target);
    int64_t by_ledger = (int64_t)ledger_capacity(c, device) -
                        (int64_t)(d->charged_bytes + d->foreign_bytes + claimed);
    if (!sample_counts(c, d))
        return by_ledger;
    int64_t by_sample = (int64_t)minus(d->total_bytes, d->used_bytes) -
                        (int64_t)(d->unseen_bytes + claimed + d->policy.reserve_bytes);
    return by_ledger < by_sample ? by_ledger : by_sample;
}

uint64_t ledger_settling(const struct core *c, uint32_t device)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < holdings(c); i++)
        sum += holding_at(c, i)->settling[device];
    return sum;
}

static uint64_t unseen(const struct holding *h, uint32_t device)
{
    return minus(h->charged[device] + h->settling[device], h->measured[device]);
}

/* The one place that changes a holding, so that the device's sums follow. */
static void put(struct core *c, struct holding *h, uint32_t device, uint64_t charged,
                uint64_t settling, uint64_t measured)
{
    struct device *d = &c->devices[device];
    uint32_t bit = 1U << device;
    d->charged_bytes -= h->charged[device] + h->settling[device];
    d->unseen_bytes -= unseen(h, device);
    h->charged[device] = charged;
    h->settling[device] = settling;
    h->measured[device] = measured;
    d->charged_bytes += charged + settling;
    d->unseen_bytes += unseen(h, device);
    h->devices = charged ? h->devices | bit : h->devices & ~bit;
    h->settling_devices = settling ? h->settling_devices | bit : h->settling_devices & ~bit;
}

void ledger_charge(struct core *c, struct holding *h, uint32_t device, uint64_t bytes)
{
    if (!h->devices) {
        h->peak_bytes = 0;
        h->blind_samples = h->seen_devices = h->stray_devices = 0;
        memset(h->absent_samples, 0, sizeof(h->absent_samples));
    }
    put(c, h, device, h->charged[device] + bytes, h->settling[device], h->measured[device]);
    core_emit(c, EFFECT_SAMPLE_NOW, CORE_SLOT_NONE)->device = device;
    c->version++;
}

static void set_settle_deadline(struct core *c, const struct holding *h)
{
    struct mono at = {c->now.ns + c->settle_ns_max};
    const char *p = (const char *)h;
    if (p >= (const char *)c->leases && p < (const char *)(c->leases + c->limits.leases_max)) {
        const struct lease *l = container_of(h, struct lease, hold);
        deadline_set(c, deadline_lease(c, (uint32_t)(l - c->leases), LEASE_DEADLINE_SETTLE), at);
    } else {
        const struct model *m = container_of(h, struct model, hold);
        deadline_set(c, deadline_model((uint32_t)(m - c->models), DEADLINE_SETTLE), at);
    }
}

void ledger_reduce(struct core *c, struct holding *h, uint32_t device, uint64_t bytes)
{
    uint64_t freed = minus(h->charged[device], bytes);
    if (!freed)
        return;
    put(c, h, device, bytes, h->settling[device] + freed, h->measured[device]);
    h->gone_at = c->now;
    c->version++;
    set_settle_deadline(c, h);
    core_emit(c, EFFECT_SAMPLE_NOW, CORE_SLOT_NONE)->device = device;
}

void ledger_release(struct core *c, struct holding *h)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        ledger_reduce(c, h, d, 0);
}

static void settle_device(struct core *c, struct holding *h, uint32_t device)
{
    put(c, h, device, h->charged[device], 0, h->charged[device] ? h->measured[device] : 0);
    if (!h->charged[device])
        h->unsized_devices &= ~(1U << device);
    if (!h->devices && !h->settling_devices)
        h->restored = false;
    c->version++;
}

/* What follows once nothing of it settles any more. */
static void settled(struct core *c, uint32_t target, uint32_t devices, uint64_t bytes)
{
    if (want_is_lease(c, target)) {
        lease_settled(c, target - c->limits.models_max);
        return;
    }
    deadline_clear(c, deadline_model(target, DEADLINE_SETTLE));
    struct effect *e = core_notice(c, NOTICE_SETTLED, target, REASON_NONE);
    core_effect_devices(e, devices);
    e->bytes = bytes;
    model_refresh(c, target);
}

void ledger_settle(struct core *c, uint32_t target)
{
    struct holding *h = ledger_holding(c, target);
    uint64_t bytes = 0;
    uint32_t devices = h->settling_devices;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        bytes += h->settling[d];
        if (h->settling[d])
            settle_device(c, h, d);
    }
    settled(c, target, devices, bytes);
}

void ledger_keep(struct core *c, struct holding *h)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (h->settling[d])
            put(c, h, d, h->charged[d] + h->settling[d], 0, h->measured[d]);
    c->version++;
}

void ledger_let_go(struct core *c, struct holding *h)
{
    h->lingers = false;
    h->gone_at = c->now;
    set_settle_deadline(c, h);
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        if (!h->charged[d] && !h->settling[d])
            continue;
        put(c, h, d, 0, h->settling[d] + h->charged[d], h->measured[d]);
        core_emit(c, EFFECT_SAMPLE_NOW, CORE_SLOT_NONE)->device = d;
    }
    c->version++;
}

void ledger_take_back(struct core *c, uint32_t target)
{
    struct holding *h = ledger_holding(c, target);
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (h->settling[d])
            settle_device(c, h, d);
    deadline_clear(c, deadline_model(target, DEADLINE_SETTLE));
}

void ledger_device_found(struct core *c, uint32_t device, uint64_t total_bytes)
{
    must(device < CORE_DEVICES_MAX);
    struct device *d = &c->devices[device];
    d->present = true;
    d->total_bytes = total_bytes;
    if (total_bytes > d->total_bytes_most)
        d->total_bytes_most = total_bytes;
    c->version++;
}

void ledger_device_lost(struct core *c, uint32_t device)
{
    must(device < CORE_DEVICES_MAX);
    c->devices[device].present = false;
    const struct link *n;
    list_each(n, &c->active) {
        struct target *t = list_entry(n, struct target, active);
        t->plan.stale |= (t->plan.devices & (1U << device)) != 0;
    }
    c->version++;
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].home >> device & 1)
            model_refresh(c, i);
}

static void set_foreign(struct device *d, uint64_t bytes)
{
    if (bytes >= d->foreign_bytes) {
        d->foreign_bytes = bytes;
        d->foreign_lower_count = 0;
        return;
    }
    if (d->foreign_lower_count == 0 || bytes > d->foreign_lower)
        d->foreign_lower = bytes;
    if (++d->foreign_lower_count >= FOREIGN_LOWER_SAMPLES) {
        d->foreign_bytes = d->foreign_lower;
        d->foreign_lower_count = 0;
    }
}

static bool measured_elsewhere(const struct holding *h, uint32_t device)
{
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (d != device && h->charged[d] && h->measured[d])
            return true;
    return false;
}

/* One that ought to have bytes there, and is not seen to have any, may be running on the CPU. */
static void look_for(struct core *c, struct model *m, uint32_t device)
{
    struct holding *h = &m->hold;
    if (m->state != MODEL_LOADED || c->devices[device].blind || !h->charged[device])
        return;
    if (h->measured[device] || h->absent_samples[device] >= ABSENT_SAMPLES) {
        if (h->measured[device])
            h->absent_samples[device] = 0;
        return;
    }
    if (++h->absent_samples[device] < ABSENT_SAMPLES)
        return;
    if (h->stray_devices && measured_elsewhere(h, device)) {
        m->home &= ~(1U << device);
        ledger_reduce(c, h, device, 0);
        return;
    }
    struct effect *e = core_notice(c, NOTICE_ELSEWHERE, (uint32_t)(m - c->models), REASON_NONE);
    core_effect_devices(e, 1U << device);
    e->bytes = h->charged[device];
}

/* What is measured of a model that is there: its peak, and, where it was charged the whole device
 * for want of a footprint, its charge. */
static void follow(struct core *c, struct model *m, uint32_t device)
{
    struct holding *h = &m->hold;
    look_for(c, m, device);
    uint64_t measured = h->measured[device];
    bool there = m->state == MODEL_LOADED || (m->state == MODEL_SUSPENDED && !h->settling[device]);
    if (!there || !(h->seen_devices >> device & 1) || !measured || !h->charged[device])
        return;
    if (measured > h->peak_bytes)
        h->peak_bytes = measured;
    if (m->state == MODEL_LOADED)
        op_learn_peak(c, (uint32_t)(m - c->models));
    if (h->stray_devices >> device & 1) {
        if (measured > h->charged[device])
            ledger_charge(c, h, device, measured - h->charged[device]);
        return;
    }
    if (measured > h->charged[device])
        h->unsized_devices |= 1U << device; /* it has outgrown what was known of it */
    /* A size may have been declared meanwhile. */
    bool placed = m->placement != CORE_SLOT_NONE;
    uint64_t declared = placed ? m->policy.placements[m->placement].bytes : 0;
    uint64_t charged = h->charged[device];
    if (placed && !declared && charged == m->estimated_bytes[m->placement] &&
        charged != m->learned_bytes[m->placement])
        h->unsized_devices |= 1U << device; /* it was charged by a guess, which is over now */
    if (m->state == MODEL_SUSPENDED)
        declared = m->policy.suspended_bytes;
    if ((h->unsized_devices >> device & 1) && h->charged[device] != h->peak_bytes) {
        put(c, h, device, h->peak_bytes > declared ? h->peak_bytes : declared, h->settling[device],
            measured);
        c->version++;
    }
}

/* Bytes that models on their way in or out may hold though nobody is seen to hold them: a process
 * that has just begun or just ended cannot be told whose it is, and a sample taken before the end
 * shows it still. They are not somebody else's. */
static uint64_t passing_unseen(const struct core *c, const struct event *ev)
{
    uint32_t device = ev->sample.device;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < holdings(c); i++) {
        const struct holding *h = holding_at(c, i);
        bool passing = h->settling[device] && core_clock(c, ev->sample.taken).ns <= h->gone_at.ns;
        passing |= ev->sample.uses_unknown && h->blind_samples < BLIND_SAMPLES;
        if (i < c->model_count)
            passing |= c->models[i].op.kind != OP_NONE;
        if (passing)
            sum += unseen(h, device);
    }
    return sum;
}

/* A lease whose processes are not known takes up growth that is nobody else's, up to its size: what
 * was there before its grant is not its own. */
static uint64_t absorb(struct core *c, const struct event *ev, uint64_t unattributed)
{
    uint32_t device = ev->sample.device;
    uint64_t taken_ns = core_clock(c, ev->sample.taken).ns;
    for (uint32_t s = 0; s < c->lease_pool.high_water && unattributed; s++) {
        struct holding *h = &c->leases[s].hold;
        if (!h->charged[device] || (h->seen_devices >> device & 1) ||
            c->leases[s].granted_at.ns >= taken_ns)
            continue;
        uint64_t take = unattributed < unseen(h, device) ? unattributed : unseen(h, device);
        put(c, h, device, h->charged[device], h->settling[device], h->measured[device] + take);
        unattributed -= take;
    }
    return unattributed;
}

/* What leases have taken up so, by the sample before: they have it still, whatever else is new
 * there. A blind sample took each to use its charge, which proves nothing. */
static uint64_t absorbed_before(const struct core *c, uint32_t device)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; !c->devices[device].blind && s < c->lease_pool.high_water; s++) {
        const struct holding *h = &c->leases[s].hold;
        if (h->charged[device] && !(h->seen_devices >> device & 1))
            sum += h->measured[device];
    }
    return sum;
}

/* A model is charged where it is seen: it may have been loaded while bytes did not matter, and some
 * engines choose among their devices themselves. */
static void charge_seen(struct core *c, const struct sample_use *use, uint32_t device)
{
    struct model *m = &c->models[use->model];
    struct holding *h = &m->hold;
    if (c->plan != PLAN_FIT || m->state != MODEL_LOADED || h->charged[device] ||
        use->bytes == SAMPLE_UNMEASURED || !use->bytes || !m->policy.placement_count ||
        m->placement >= m->policy.placement_count ||
        !(m->policy.placements[m->placement].device_mask & (1U << device)))
        return;
    uint64_t known = known_need(c, use->model, m->placement);
    if (h->devices) {
        h->stray_devices |= 1U << device;
        known = 0; /* how much of it is there is not how much it is */
    }
    h->restored = true;
    m->home |= 1U << device;
    ledger_charge(c, h, device, known > use->bytes ? known : use->bytes);
    c->devices[device].foreign_bytes = minus(c->devices[device].foreign_bytes, use->bytes);
}

static struct holding *used_by(struct core *c, const struct sample_use *use, uint32_t device)
{
    struct holding *h = NULL;
    if (use->model != CORE_SLOT_NONE && use->model < c->model_count) {
        charge_seen(c, use, device);
        h = &c->models[use->model].hold;
    }
    if (use->model == CORE_SLOT_NONE && pool_alive(&c->lease_pool, use->lease))
        h = &c->leases[use->lease.slot].hold;
    return h && (h->charged[device] || h->settling[device]) ? h : NULL;
}

/* One that is there, though nobody can measure it, has all that it is charged and what settles; on
 * its way in, it may not have taken any of it yet. */
static uint64_t take_use(struct core *c, const struct sample_use *use, uint32_t device)
{
    struct holding *h = used_by(c, use, device);
    if (!h)
        return 0;
    bool coming = use->model != CORE_SLOT_NONE && c->models[use->model].op.kind == OP_LOAD;
    bool unmeasured = use->bytes == SAMPLE_UNMEASURED;
    uint64_t bytes = !unmeasured ? use->bytes : coming ? 0 : unseen(h, device);
    put(c, h, device, h->charged[device], h->settling[device], h->measured[device] + bytes);
    h->seen_devices |= coming || unmeasured ? 0 : 1U << device;
    return bytes;
}

/* Writes down who was measured to use what. Returns the sum. */
static uint64_t take_uses(struct core *c, const struct event *ev)
{
    uint32_t device = ev->sample.device;
    uint64_t own = 0;
    for (uint32_t i = 0; i < holdings(c); i++) {
        struct holding *h = holding_at(c, i);
        if (!h->charged[device] && !h->settling[device])
            continue;
        uint64_t measured = 0;
        if (ev->sample.uses_unknown && h->charged[device]) {
            bool coming = i < c->model_count && c->models[i].op.kind != OP_NONE;
            h->blind_samples += h->blind_samples < BLIND_SAMPLES && !coming;
            measured = h->blind_samples >= BLIND_SAMPLES ? h->charged[device] : 0;
            own += measured;
        }
        put(c, h, device, h->charged[device], h->settling[device], measured);
    }
    for (uint32_t i = 0; i < ev->sample.use_count; i++)
        own += take_use(c, &ev->sample.uses[i], device);
    return own;
}

/* Whether what settles there is seen to be free. */
static bool seen_free(const struct core *c, const struct holding *h, uint32_t device,
                      const struct event *ev)
{
    if (core_clock(c, ev->sample.taken).ns <= h->gone_at.ns || ev->sample.uses_unknown)
        return false;
    return h->measured[device] <= h->charged[device];
}

/* Memory may come free some time after the process has gone: what is in use there that nobody is
 * seen to use, and that was not somebody else's before, is taken to be what still settles. */
static uint64_t late_bytes(const struct core *c, const struct event *ev, uint64_t strange)
{
    uint32_t device = ev->sample.device;
    uint64_t settling = 0, more = minus(strange, c->devices[device].foreign_bytes);
    for (uint32_t i = 0; i < holdings(c); i++) {
        const struct holding *h = holding_at(c, i);
        if (h->lingers)
            settling += unseen(h, device);
        else if (seen_free(c, h, device, ev))
            settling += h->settling[device];
    }
    return more < settling ? more : settling;
}

void ledger_sample(struct core *c, const struct event *ev)
{
    uint32_t device = ev->sample.device;
    must(device < CORE_DEVICES_MAX);
    struct device *d = &c->devices[device];
    int64_t before = ledger_room(c, device, CORE_SLOT_NONE);
    uint64_t foreign_before = d->foreign_bytes;
    uint64_t absorbed = absorbed_before(c, device), own = take_uses(c, ev);
    d->used_known = !ev->sample.used_unknown;
    d->blind = ev->sample.uses_unknown;
    d->used_bytes = d->used_known ? ev->sample.used_bytes : 0;
    d->sampled = core_clock(c, ev->sample.taken);
    uint64_t strange = minus(d->used_bytes, own + passing_unseen(c, ev));
    uint64_t late = 0;
    if (d->used_known) {
        uint64_t old = strange < absorbed ? strange : absorbed;
        strange -= old - absorb(c, ev, old);
        late = late_bytes(c, ev, strange);
        /* What was somebody else's before is no growth. */
        uint64_t rest = strange - late, growth = minus(rest, d->foreign_bytes);
        set_foreign(d, rest - growth + absorb(c, ev, growth));
    }
    bool again = false;
    for (uint32_t i = 0; i < holdings(c) && core_has_room(c); i++) {
        struct holding *h = holding_at(c, i);
        if (i < c->model_count)
            follow(c, &c->models[i], device);
        if (h->lingers)
            late = minus(late, unseen(h, device));
        if (!h->settling[device] || h->lingers)
            continue;
        bool free = seen_free(c, h, device, ev);
        if (free && late) {
            uint64_t left = late < h->settling[device] ? late : h->settling[device];
            c->version += left != h->settling[device];
            put(c, h, device, h->charged[device], left, h->measured[device]);
            late -= left;
            free = false;
        }
        if (!free) {
            again = !ev->sample.uses_unknown;
            continue;
        }
        uint64_t bytes = h->settling[device];
        settle_device(c, h, device);
        if (!h->settling_devices)
            settled(c, target_at(c, i), 1U << device, bytes);
    }
    if (again)
        core_emit(c, EFFECT_SAMPLE_NOW, CORE_SLOT_NONE)->device = device;
    if (ledger_room(c, device, CORE_SLOT_NONE) != before || d->foreign_bytes != foreign_before)
        c->version++;
}
