/* Requests and models. */
#include "server/metrics/metrics.h"
#include "server/metrics/samples.h"
#include "server/server.h"

/* ---- who there is ---- */

/* One model, or all that is of none; and one of its classes. */
struct place {
    const char *id;
    const struct metrics_model *counts;
    const struct metrics_load *load;
    enum class class;
};

/* False: nothing has happened to it. */
static bool place_at(const struct samples *s, uint32_t slot, struct place *ret)
{
    const struct server *server = s->server;
    const struct metrics *m = &server->metrics;
    *ret = (struct place){.load = &s->now->loads[slot]};
    if (slot == s->now->slot_count) {
        ret->id = METRICS_OTHER;
        ret->counts = &m->other;
        return true;
    }
    ret->id = server->roster.entries[slot].id;
    ret->counts = slot < m->model_count ? m->models[slot] : NULL;
    return ret->id && ret->counts;
}

static bool next_place(struct samples *s, struct place *ret)
{
    while (s->slot <= s->now->slot_count && !samples_pause(s))
        if (place_at(s, s->slot++, ret))
            return true;
    return false;
}

/* The next class of the next model of which there have been requests. */
static const struct metrics_class *next_class(struct samples *s, struct place *ret)
{
    for (; s->slot <= s->now->slot_count && !samples_pause(s); s->slot++, s->class = 0) {
        bool there = place_at(s, s->slot, ret);
        while (there && s->class < CLASS__COUNT) {
            ret->class = (enum class)s->class ++;
            if (ret->counts->classes[ret->class].seen)
                return &ret->counts->classes[ret->class];
        }
    }
    return NULL;
}

static void label_class(struct samples *s, const struct place *p)
{
    samples_label(s, p->id);
    samples_label(s, class_text(p->class));
}

/* ---- by class ---- */

#define EACH_CLASS(s, counts)                                                                      \
    struct place place;                                                                            \
    for (const struct metrics_class *counts; ((counts) = next_class(s, &place));)

/* Of which one has been, it stands there. */
static void put_counts(struct samples *s, const struct place *place, const uint64_t *counts,
                       const char *const *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!counts[i])
            continue;
        label_class(s, place);
        samples_label(s, words[i]);
        samples_put(s, counts[i]);
    }
}

void metrics_put_requests(struct samples *s)
{
    static const char *const words[METRICS_OUTCOME__COUNT] = {[METRICS_ANSWERED] = "answered",
                                                              [METRICS_ERROR] = "error",
                                                              [METRICS_FAILED] = "failed",
                                                              [METRICS_REFUSED] = "refused",
                                                              [METRICS_CANCELLED] = "cancelled"};
    EACH_CLASS(s, c)
    {
        put_counts(s, &place, c->outcomes, words, METRICS_OUTCOME__COUNT);
    }
}

void metrics_put_tokens(struct samples *s)
{
    static const char *const words[METRICS_TOKENS__COUNT] = {
        [METRICS_INPUT] = "input", [METRICS_OUTPUT] = "output", [METRICS_CACHED] = "cached"};
    EACH_CLASS(s, c)
    {
        put_counts(s, &place, c->tokens, words, METRICS_TOKENS__COUNT);
    }
}

static void put_histogram(struct samples *s, const struct place *place, const struct histogram *h)
{
    if (!histogram_count(h, s->metric->buckets))
        return;
    label_class(s, place);
    samples_put_histogram(s, h);
}

#define HISTOGRAM_OF(name, member)                                                                 \
    void metrics_put_##name(struct samples *s)                                                     \
    {                                                                                              \
        EACH_CLASS(s, c)                                                                           \
        {                                                                                          \
            put_histogram(s, &place, &c->member);                                                  \
        }                                                                                          \
    }
HISTOGRAM_OF(request_wait, wait)
HISTOGRAM_OF(request_first, first)
HISTOGRAM_OF(request_total, total)

#define LOAD_OF(member)                                                                            \
    void metrics_put_requests_##member(struct samples *s)                                          \
    {                                                                                              \
        EACH_CLASS(s, c)                                                                           \
        {                                                                                          \
            label_class(s, &place);                                                                \
            samples_put(s, place.load->member[place.class]);                                       \
        }                                                                                          \
    }
LOAD_OF(running)
LOAD_OF(waiting)

/* ---- by model ---- */

/* The next one of the configuration, or that has left it and is still there. */
static const char *next_model(struct samples *s, struct core_model_view *ret)
{
    const struct roster *r = &s->server->roster;
    while (s->slot < r->count && !samples_pause(s)) {
        uint32_t slot = s->slot++;
        if (!r->entries[slot].id)
            continue;
        core_view_model(s->server->runner.core, slot, ret);
        if (r->entries[slot].index != CORE_SLOT_NONE || ret->state != MODEL_UNLOADED)
            return r->entries[slot].id;
    }
    return NULL;
}

void metrics_put_model_state(struct samples *s)
{
    struct core_model_view v;
    for (const char *id; (id = next_model(s, &v));) {
        samples_label(s, id);
        samples_label(s, model_state_text(v.state));
        samples_put(s, 1);
    }
}

void metrics_put_model_bytes(struct samples *s)
{
    struct core_model_view v;
    for (const char *id; (id = next_model(s, &v));) {
        if (!v.charged_bytes)
            continue;
        samples_label(s, id);
        samples_put(s, v.charged_bytes);
    }
}

#define EACH_MODEL(name, put)                                                                      \
    void metrics_put_model_##name(struct samples *s)                                               \
    {                                                                                              \
        struct place p;                                                                            \
        while (next_place(s, &p))                                                                  \
            put;                                                                                   \
    }

static void put_load(struct samples *s, const struct place *p, bool whole)
{
    uint64_t count = histogram_count(&p->counts->load, &metrics_load_buckets);
    if (!count)
        return;
    samples_label(s, p->id);
    if (whole)
        samples_put_histogram(s, &p->counts->load);
    else
        samples_put(s, count);
}

static void put_some(struct samples *s, const struct place *p, uint64_t count)
{
    if (!count)
        return;
    samples_label(s, p->id);
    samples_put(s, count);
}

static void put_reload_seconds(struct samples *s, const struct place *p)
{
    if (!p->counts->reloads)
        return;
    samples_label(s, p->id);
    samples_put_ns(s, p->counts->reload_ns);
}

EACH_MODEL(loads, put_load(s, &p, false))
EACH_MODEL(load, put_load(s, &p, true))
EACH_MODEL(load_failures, samples_put_reasons(s, p.id, p.counts->failures, NULL))
EACH_MODEL(resumes, put_some(s, &p, p.counts->resumes))
EACH_MODEL(evictions, samples_put_reasons(s, p.id, p.counts->evictions, NULL))
EACH_MODEL(unloads, samples_put_reasons(s, p.id, p.counts->unloads, NULL))
EACH_MODEL(reloads, put_some(s, &p, p.counts->reloads))
EACH_MODEL(reload_seconds, put_reload_seconds(s, &p))

void metrics_put_reload_ratio(struct samples *s)
{
    const struct metrics *m = &s->server->metrics;
    uint32_t reloads = (uint32_t)__builtin_popcountll(m->recent);
    samples_put_decimal(s, m->recent_count ? reloads * 10000 / m->recent_count : 0, 4);
}
