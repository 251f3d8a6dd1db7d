/* The ledger: whose bytes are where (own, settling, foreign), and how many are left.
 *
 * room = min(total × limit − reserve − Σ charged − foreign − promised,
 *            free − Σ unseen − promised − reserve)
 * where unseen_i = max(0, charged_i − measured_i) and promised is what committed plans will take of
 * the room that is there, beyond what their own victims give back. A sample proves only what was
 * over before it was taken; without one, the first line alone holds. */
#include "core/core_priv.h"

/* Foreign use rises at once and falls after this many lower samples in a row. */
#define FOREIGN_LOWER_SAMPLES 3

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
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

uint64_t ledger_need(const struct core *c, uint32_t model, uint32_t device)
{
    uint64_t whole = minus(ledger_capacity(c, device), c->devices[device].foreign_bytes);
    if (c->models[model].policy.bytes)
        return c->models[model].policy.bytes;
    return whole ? whole : 1; /* never nothing: with no byte to be had it has to wait */
}

/* What a committed plan still has to get from the free room: its need, less what its victims hold
 * and will give back. */
static uint64_t promised(const struct core *c, uint32_t device, uint32_t except)
{
    uint64_t sum = 0;
    const struct link *n;
    list_each(n, &c->active) {
        const struct model *t = list_entry(n, const struct model, active);
        uint32_t slot = (uint32_t)(t - c->models);
        if (slot == except || t->plan.device != device || t->state != MODEL_UNLOADED)
            continue;
        uint64_t held = 0;
        for (uint32_t i = 0; t->plan.victims_left && i < c->model_count; i++)
            if (c->models[i].victim_of == slot && c->models[i].device == device)
                held += c->models[i].charged_bytes;
        sum += minus(t->plan.bytes, held);
    }
    return sum;
}

uint64_t ledger_room(const struct core *c, uint32_t device, uint32_t except)
{
    const struct device *d = &c->devices[device];
    uint64_t charged = 0, unseen = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        if (m->device != device)
            continue;
        charged += m->charged_bytes;
        unseen += minus(m->charged_bytes, m->measured_bytes);
    }
    uint64_t claimed = promised(c, device, except);
    uint64_t by_ledger = minus(ledger_capacity(c, device), charged + d->foreign_bytes + claimed);
    if (d->sampled.ns == 0)
        return by_ledger;
    uint64_t by_sample =
        minus(minus(d->total_bytes, d->used_bytes), unseen + claimed + d->policy.reserve_bytes);
    return by_ledger < by_sample ? by_ledger : by_sample;
}

uint64_t ledger_settling(const struct core *c, uint32_t device)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].settling && c->models[i].device == device)
            sum += c->models[i].charged_bytes;
    return sum;
}

void ledger_charge(struct core *c, uint32_t model, uint32_t device, uint64_t bytes)
{
    struct model *m = &c->models[model];
    must(m->charged_bytes == 0 && !m->settling);
    m->device = device;
    m->charged_bytes = bytes;
    m->measured_bytes = 0;
    m->measured = false;
    m->unsized = m->policy.bytes == 0;
    core_emit(c, EFFECT_SAMPLE_NOW, CORE_SLOT_NONE)->device = device;
}

void ledger_release(struct core *c, uint32_t model)
{
    struct model *m = &c->models[model];
    if (m->device == CORE_SLOT_NONE)
        return;
    m->settling = true;
    m->gone_at = c->now;
    core_emit(c, EFFECT_SAMPLE_NOW, CORE_SLOT_NONE)->device = m->device;
}

void ledger_settle(struct core *c, uint32_t model)
{
    struct model *m = &c->models[model];
    must(m->settling);
    struct effect *e = core_notice(c, NOTICE_SETTLED, model, REASON_NONE);
    e->bytes = m->charged_bytes;
    e->device = m->device;
    m->settling = false;
    m->charged_bytes = m->measured_bytes = 0;
    m->device = CORE_SLOT_NONE;
    heap_remove(&c->deadlines, deadline_slot(model, DEADLINE_SETTLE));
    c->version++;
    model_refresh(c, model);
}

void ledger_device_found(struct core *c, uint32_t device, uint64_t total_bytes)
{
    struct device *d = &c->devices[device];
    d->present = true;
    d->total_bytes = total_bytes;
    if (total_bytes > d->total_bytes_most)
        d->total_bytes_most = total_bytes;
    c->version++;
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

/* A model without a declared footprint was charged the whole device until it can be measured. */
static void learn(struct core *c, struct model *m)
{
    if (!m->unsized || m->state != MODEL_LOADED || !m->measured || !m->measured_bytes)
        return;
    /* A size may have been declared meanwhile. */
    uint64_t bytes = m->measured_bytes > m->policy.bytes ? m->measured_bytes : m->policy.bytes;
    if (m->charged_bytes != bytes) {
        m->charged_bytes = bytes;
        c->version++;
    }
}

/* Bytes that models on their way in or out may hold though nobody is seen to hold them: a process
 * that has just begun or just ended cannot be told whose it is, and a sample taken before the end
 * shows it still. They are not somebody else's. */
static uint64_t passing_unseen(const struct core *c, uint32_t device, struct mono taken)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct model *m = &c->models[i];
        if (m->device == device && (m->state == MODEL_LOADING || m->state == MODEL_UNLOADING ||
                                    (m->settling && taken.ns <= m->gone_at.ns)))
            sum += minus(m->charged_bytes, m->measured_bytes);
    }
    return sum;
}

void ledger_sample(struct core *c, const struct event *ev)
{
    uint32_t device = ev->sample.device;
    must(device < CORE_DEVICES_MAX);
    struct device *d = &c->devices[device];
    uint64_t before = ledger_room(c, device, CORE_SLOT_NONE), own = 0;
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].device == device)
            c->models[i].measured_bytes = 0;
    for (uint32_t i = 0; i < ev->sample.use_count; i++) {
        const struct sample_use *use = &ev->sample.uses[i];
        if (use->model >= c->model_count || c->models[use->model].device != device)
            continue;
        c->models[use->model].measured_bytes += use->bytes;
        c->models[use->model].measured = true;
        own += use->bytes;
    }
    d->used_bytes = ev->sample.used_bytes;
    d->sampled = ev->sample.taken;
    set_foreign(d, minus(d->used_bytes, own + passing_unseen(c, device, ev->sample.taken)));
    bool again = false;
    for (uint32_t i = 0; i < c->model_count && core_has_room(c); i++) {
        struct model *m = &c->models[i];
        if (m->device != device)
            continue;
        learn(c, m);
        if (!m->settling)
            continue;
        if (ev->sample.taken.ns > m->gone_at.ns && m->measured_bytes == 0)
            ledger_settle(c, i);
        else
            again = true;
    }
    if (again)
        core_emit(c, EFFECT_SAMPLE_NOW, CORE_SLOT_NONE)->device = device;
    if (ledger_room(c, device, CORE_SLOT_NONE) != before)
        c->version++;
}
