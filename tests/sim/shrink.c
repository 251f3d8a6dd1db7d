/* Makes a failing tape short: events go in chunks, then one by one; then settings and times become
 * plain, as far as the same rule is still broken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

struct shrink {
    struct tape *tape;
    enum rule rule;
    char text[200];
    struct replay_how how;
    unsigned tries;
};

static bool same(const struct shrink *s, const struct replay *r)
{
    return r->broken == s->rule && (s->rule != RULE_CHECK || strcmp(r->text, s->text) == 0);
}

/* Whether it still breaks the rule with these items; then the tape becomes what was heard. */
static bool attempt(struct shrink *s, const bool *keep)
{
    struct replay r;
    s->how.keep = keep;
    s->tries++;
    replay_tape(s->tape, &s->how, &r);
    s->how.keep = NULL;
    bool still = same(s, &r);
    if (!still) {
        replay_fini(&r);
        return false;
    }
    if (s->how.peace) {
        /* What the peace told is not part of the tape. */
        replay_fini(&r);
        return true;
    }
    tape_fini(s->tape);
    *s->tape = r.heard;
    return true;
}

static void drop_items(struct tape *t, const bool *keep)
{
    size_t count = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (keep[i]) {
            t->items[count++] = t->items[i];
            continue;
        }
        free(t->items[i].payload);
        free(t->items[i].use_tags);
    }
    t->count = count;
}

/* Without a start nobody is ever served, and without devices nobody who wants some. */
static bool essential(const struct shrink *s, size_t i)
{
    enum event_type t = s->tape->items[i].note.ev.type;
    return s->how.peace && (t == EVENT_BOOT_DONE || t == EVENT_DEVICE_FOUND);
}

/* One sweep with chunks of this size. */
static bool sweep(struct shrink *s, size_t chunk)
{
    bool shorter = false;
    for (size_t at = s->tape->count; at > 1;) {
        size_t from = at > chunk + 1 ? at - chunk : 1; /* the first, a CONFIG, always stays */
        bool *keep = malloc(s->tape->count * sizeof(bool));
        if (!keep)
            abort();
        for (size_t i = 0; i < s->tape->count; i++)
            keep[i] = i < from || i >= at || essential(s, i);
        size_t before = s->tape->count;
        if (attempt(s, keep) && s->how.peace)
            drop_items(s->tape, keep);
        shorter |= s->tape->count < before; /* TICKs come by themselves */
        free(keep);
        /* What was heard may be shorter still; go on below the chunk. */
        at = from < s->tape->count ? from : s->tape->count;
    }
    return shorter;
}

static void drop_events(struct shrink *s)
{
    size_t chunk = s->tape->count / 2 + 1;
    for (;;) {
        bool shorter = sweep(s, chunk);
        if (chunk == 1 && !shorter)
            return;
        if (chunk > 1)
            chunk /= 2;
    }
}

/* Values: a change to all configurations of the tape at once, undone if it matters. */

static bool try_value(struct shrink *s, void *place, size_t bytes, const void *value)
{
    char old[512];
    if (bytes > sizeof(old) || memcmp(place, value, bytes) == 0)
        return false;
    memcpy(old, place, bytes);
    memcpy(place, value, bytes);
    struct replay r;
    s->tries++;
    replay_tape(s->tape, &s->how, &r);
    bool still = same(s, &r);
    replay_fini(&r);
    if (!still)
        memcpy(place, old, bytes);
    return still;
}

#define TRY(s, field, value)                                                                       \
    do {                                                                                           \
        __typeof__(field) try_new = (value);                                                       \
        try_value((s), &(field), sizeof(field), &try_new);                                         \
    } while (0)

/* Policies are the tape's own copies, which nobody else sees. */
static struct core_model_policy *own_models(const struct core_config *c)
{
    return (struct core_model_policy *)(uintptr_t)c->models;
}

static void simplify_model(struct shrink *s, struct core_model_policy *m)
{
    const struct core_model_policy none = {0};
    if (!m->present || try_value(s, m, sizeof(*m), &none))
        return;
    TRY(s, m->movable, false);
    TRY(s, m->yields, false);
    TRY(s, m->suspends, false);
    TRY(s, m->pinned, false);
    TRY(s, m->ttl_ns, 0);
    TRY(s, m->backend, 0);
    TRY(s, m->priority, 0);
    TRY(s, m->slots_max, 1);
    TRY(s, m->queue_max, 100);
    TRY(s, m->group, 0);
    TRY(s, m->evict_cost, 0);
    TRY(s, m->hash_process, 1);
    TRY(s, m->load_retries_max, 0);
    TRY(s, m->suspended_bytes, 0);
    TRY(s, m->placement_count, m->placement_count ? 1U : 0U);
    TRY(s, m->placement_count, 0);
    TRY(s, m->load_ns_max, 60 * NS_PER_S);
    TRY(s, m->unload_ns_max, 10 * NS_PER_S);
    for (uint32_t k = 0; k < m->placement_count; k++) {
        TRY(s, m->placements[k].free_bytes_min, 0);
        TRY(s, m->placements[k].device_mask, 1);
        TRY(s, m->placements[k].device_count, 1);
        TRY(s, m->placements[k].bytes, m->placements[k].bytes / GIB * GIB);
        TRY(s, m->placements[k].bytes, GIB);
    }
}

static void simplify_config(struct shrink *s, const struct tape_item *item)
{
    struct core_config *c = tape_config(item);
    for (uint32_t i = c->model_count; i-- > 0;)
        simplify_model(s, &own_models(c)[i]);
    while (c->model_count && !c->models[c->model_count - 1].present) {
        uint32_t before = c->model_count;
        TRY(s, c->model_count, before - 1);
        if (c->model_count == before)
            break;
    }
    for (int class = 0; class < CLASS__COUNT; class ++)
        TRY(s, c->fair.wait_ns_max[class], 0);
    TRY(s, c->fair.min_resident_ns, 0);
    TRY(s, c->matrix.set_count, 0);
    TRY(s, c->suspend_bytes_max, 0);
    TRY(s, c->victims, VICTIMS_LRU);
    TRY(s, c->sched, SCHEDULER_FIFO);
    TRY(s, c->plan, PLAN_FIT);
    TRY(s, c->plan, PLAN_GROUP);
    for (uint32_t d = 0; d < c->device_count; d++) {
        struct core_device_policy *p = (struct core_device_policy *)(uintptr_t)&c->devices[d];
        TRY(s, p->reserve_bytes, 0);
        TRY(s, p->limit_permille, 1000);
        TRY(s, p->stale_ns, 0);
    }
}

static void simplify_event(struct shrink *s, struct tape_item *item)
{
    struct event *ev = &item->note.ev;
    if (ev->type == EVENT_REQUEST_ARRIVED) {
        TRY(s, ev->request.class, CLASS_NORMAL);
        TRY(s, ev->request.wait_ns_max, UINT64_MAX);
        TRY(s, ev->request.key, 0);
        TRY(s, item->note.lease_tag, 0);
    } else if (ev->type == EVENT_LEASE_ASKED || ev->type == EVENT_LEASE_RESTORED) {
        struct core_lease_ask *a = &item->note.ask;
        TRY(s, a->wait_ns_max, UINT64_MAX);
        TRY(s, a->gate_count, 0);
        TRY(s, a->gate_count, a->gate_count ? 1U : 0U);
        TRY(s, a->ttl_ns, 0);
        TRY(s, a->run_ns_max, 0);
        TRY(s, a->revocable, false);
        TRY(s, a->device_mask, 0);
        TRY(s, a->device_mask, 1);
        TRY(s, a->device_count, 1);
        TRY(s, a->bytes, a->bytes >= GIB ? a->bytes / GIB * GIB : a->bytes);
        TRY(s, a->class, CLASS_NORMAL);
    } else if (ev->type == EVENT_DEVICE_SAMPLE) {
        TRY(s, ev->sample.use_count, 0);
        TRY(s, ev->sample.used_unknown, false);
        TRY(s, ev->sample.uses_unknown, false);
    }
}

/* All times in whole steps, if that changes nothing. */
static void round_times(struct shrink *s)
{
    static const uint64_t units[] = {NS_PER_S, 100 * NS_PER_MS, NS_PER_MS};
    size_t bytes = s->tape->count * sizeof(uint64_t);
    uint64_t *old = malloc(bytes);
    if (!old)
        abort();
    for (size_t i = 0; i < s->tape->count; i++)
        old[i] = s->tape->items[i].note.ev.now.ns;
    for (size_t u = 0; u < countof(units); u++) {
        struct replay r;
        for (size_t i = 0; i < s->tape->count; i++)
            s->tape->items[i].note.ev.now.ns = old[i] / units[u] * units[u];
        s->tries++;
        replay_tape(s->tape, &s->how, &r);
        bool still = same(s, &r);
        replay_fini(&r);
        if (still)
            break;
        for (size_t i = 0; i < s->tape->count; i++)
            s->tape->items[i].note.ev.now.ns = old[i];
    }
    free(old);
}

/* The model that an event is about; CORE_SLOT_NONE: none. */
static uint32_t model_of(const struct event *ev)
{
    if (ev->type == EVENT_REQUEST_ARRIVED)
        return ev->request.model;
    if (note_about_model(ev->type))
        return ev->model.model;
    if (ev->type == EVENT_COMMAND)
        return ev->command.model;
    return ev->type == EVENT_LEARNED || ev->type == EVENT_FOOTPRINT ? ev->learned.model
                                                                    : CORE_SLOT_NONE;
}

/* Models that no event is about go all at once, or, where that is too much, in halves. */
static void drop_models(struct shrink *s, uint32_t from, uint32_t to, const bool *named)
{
    size_t count = s->tape->count;
    struct core_model_policy *old = malloc(count * sizeof(*old) * JUDGE_MODELS_MAX);
    if (!old)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct tape_item *item = &s->tape->items[i];
        if (item->note.ev.type != EVENT_CONFIG)
            continue;
        struct core_model_policy *models = own_models(tape_config(item));
        memcpy(&old[i * JUDGE_MODELS_MAX], models, JUDGE_MODELS_MAX * sizeof(*models));
        for (uint32_t m = from; m < to; m++)
            if (!named[m])
                models[m] = (struct core_model_policy){0};
    }
    struct replay r;
    s->tries++;
    replay_tape(s->tape, &s->how, &r);
    bool still = same(s, &r);
    replay_fini(&r);
    for (size_t i = 0; i < count && !still; i++)
        if (s->tape->items[i].note.ev.type == EVENT_CONFIG)
            memcpy(own_models(tape_config(&s->tape->items[i])), &old[i * JUDGE_MODELS_MAX],
                   JUDGE_MODELS_MAX * sizeof(*old));
    free(old);
    if (still || to - from < 2)
        return;
    drop_models(s, from, from + (to - from) / 2, named);
    drop_models(s, from + (to - from) / 2, to, named);
}

static void drop_unnamed(struct shrink *s)
{
    bool named[JUDGE_MODELS_MAX + 1] = {0};
    for (size_t i = 0; i < s->tape->count; i++) {
        uint32_t m = model_of(&s->tape->items[i].note.ev);
        named[m < JUDGE_MODELS_MAX ? m : JUDGE_MODELS_MAX] = true;
    }
    drop_models(s, 0, JUDGE_MODELS_MAX, named);
}

static void simplify(struct shrink *s)
{
    drop_unnamed(s);
    for (size_t i = 0; i < s->tape->count; i++) {
        if (s->tape->items[i].note.ev.type == EVENT_CONFIG)
            simplify_config(s, &s->tape->items[i]);
        else
            simplify_event(s, &s->tape->items[i]);
    }
    round_times(s);
}

bool shrink_tape(struct tape *t, enum rule rule, const char *text, struct replay_how *how)
{
    struct shrink s = {.tape = t, .rule = rule};
    snprintf(s.text, sizeof(s.text), "%s", text);
    s.how =
        (struct replay_how){.ticks = true, .peace = how->peace, .unchecked = rule != RULE_CHECK};
    if (!attempt(&s, NULL)) {
        s.how.ticks = false;
        if (!attempt(&s, NULL))
            return false;
    }
    drop_events(&s);
    simplify(&s);
    drop_events(&s);
    how->ticks = s.how.ticks;
    return true;
}
