/* What happens, as it happens: counts and times, and no more than that. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "server/metrics/metrics.h"
#include "server/proxy/exchange.h"
#include "server/proxy/tap.h"
#include "server/server.h"

#define BUCKETS(name, ...)                                                                         \
    const struct histogram_buckets metrics_##name##_buckets = {                                    \
        .bounds = {__VA_ARGS__}, .count = sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)};
#include "server/metrics/metrics.def"

#define RECENT 64

/* ---- accounts ---- */

static struct metrics_model *account_of(struct server *s, uint32_t slot)
{
    struct metrics *m = &s->metrics;
    if (slot >= s->roster.count || !s->roster.entries[slot].id ||
        strcmp(s->roster.entries[slot].id, METRICS_OTHER) == 0)
        return &m->other;
    if (slot >= m->model_count) {
        m->models = alloc_grow(m->models, s->roster.count, sizeof(struct metrics_model *));
        while (m->model_count < s->roster.count)
            m->models[m->model_count++] = NULL;
    }
    if (!m->models[slot])
        m->models[slot] = alloc_zeroed(1, sizeof(struct metrics_model));
    return m->models[slot];
}

static struct metrics_class *class_of(struct exchange *ex)
{
    enum class class = ex->ask.class < CLASS__COUNT ? ex->ask.class : CLASS_NORMAL;
    return &account_of(ex->server, ex->slot)->classes[class];
}

void metrics_forget(struct server *s, uint32_t slot)
{
    struct metrics *m = &s->metrics;
    if (slot >= m->model_count)
        return;
    free(m->models[slot]);
    m->models[slot] = NULL;
}

/* ---- requests ---- */

void metrics_arrived(struct exchange *ex)
{
    ex->times.arrived_ns = ex->since_ns ? ex->since_ns : uv_hrtime();
}

/* It is for somebody else than wharf itself. */
static bool has_target(const struct exchange *ex)
{
    return ex->route && ex->route->kind != ROUTE_LOCAL && (ex->slot != CORE_SLOT_NONE || ex->peer);
}

void metrics_begun(struct exchange *ex)
{
    if (has_target(ex))
        class_of(ex)->seen = true;
}

void metrics_granted(struct exchange *ex)
{
    if (ex->times.granted_ns)
        return; /* its server had refused the connection */
    ex->times.granted_ns = uv_hrtime();
    histogram_observe(&class_of(ex)->wait, &metrics_request_buckets,
                      ex->times.granted_ns - ex->since_ns);
}

void metrics_content(struct exchange *ex)
{
    if (ex->times.first_ns || ex->answer_own || !has_target(ex))
        return;
    ex->times.first_ns = uv_hrtime();
    histogram_observe(&class_of(ex)->first, &metrics_request_buckets,
                      ex->times.first_ns - ex->times.arrived_ns);
}

static enum metrics_outcome outcome_of(const struct exchange *ex, enum ended how)
{
    bool let_through = ex->times.granted_ns || ex->peer;
    if (ex->answer_status == 101)
        return METRICS_ANSWERED;
    if (how == ENDED_GONE)
        return METRICS_CANCELLED;
    if (how == ENDED_DONE && !ex->answer_own)
        return ex->answer_status < 500 ? METRICS_ANSWERED : METRICS_ERROR;
    return let_through ? METRICS_FAILED : METRICS_REFUSED;
}

/* What wharf itself answers well was no request to a model, such as a load in Ollama's words; but
 * for a stream that tells of the wait, and which nobody reads to its end. */
static bool counts(const struct exchange *ex, enum ended how)
{
    bool own_well = ex->answer_own && ex->answer_status < 400;
    return ex->route && ex->route->kind != ROUTE_LOCAL &&
           (!own_well || (how == ENDED_GONE && has_target(ex)));
}

void metrics_over(struct exchange *ex, enum ended how)
{
    struct metrics *m = &ex->server->metrics;
    unsigned digit = ex->answer_status / 100;
    if (digit < countof(m->responses))
        m->responses[digit]++;
    if (!counts(ex, how))
        return;
    enum metrics_outcome outcome = outcome_of(ex, how);
    struct metrics_class *c = class_of(ex);
    c->seen = true;
    c->outcomes[outcome]++;
    if (outcome == METRICS_ANSWERED)
        histogram_observe(&c->total, &metrics_request_buckets, uv_hrtime() - ex->times.arrived_ns);
}

static uint64_t known(int64_t count)
{
    return count > 0 ? (uint64_t)count : 0;
}

void metrics_tokens(struct exchange *ex, const struct tap_counts *counts)
{
    uint64_t *tokens = class_of(ex)->tokens;
    tokens[METRICS_INPUT] += known(counts->input);
    tokens[METRICS_OUTPUT] += known(counts->output);
    tokens[METRICS_CACHED] += known(counts->cached);
}

/* ---- models ---- */

static void came_in(struct server *s, const struct effect *e)
{
    struct metrics *m = &s->metrics;
    struct metrics_model *a = account_of(s, e->model);
    uint64_t began_ns = uv_hrtime() - e->duration_ns;
    bool reload = a->evicted_ns && began_ns < a->evicted_ns + METRICS_RELOAD_NS;
    if (e->notice == NOTICE_RESUMED)
        a->resumes++;
    else
        histogram_observe(&a->load, &metrics_load_buckets, e->duration_ns);
    a->reloads += reload;
    a->reload_ns += reload ? e->duration_ns : 0;
    a->evicted_ns = 0;
    m->recent = m->recent << 1 | reload;
    m->recent_count += m->recent_count < RECENT;
}

/* It is told to leave for another, in whatever way. */
static void put_out(struct server *s, const struct effect *e)
{
    struct metrics_model *a = account_of(s, e->model);
    a->evictions[e->reason]++;
    a->evicted_ns = uv_hrtime();
}

/* ---- leases ---- */

static void lease_granted(struct server *s, const struct effect *e)
{
    struct lease_view v;
    const struct lease *l = leases_by_core(s, e->waiter);
    if (!l)
        return;
    leases_look(s, l, &v);
    histogram_observe(&s->metrics.lease_waits[v.ask->class], &metrics_request_buckets, v.waited_ns);
}

void metrics_lease_refused(struct server *s, const struct effect *e)
{
    s->metrics.leases_refused[e->reason]++;
}

/* ---- what decides ---- */

void metrics_noticed(struct server *s, const struct effect *e)
{
    switch ((int)e->notice) {
    case NOTICE_MODEL_LOADED:
        if (e->reason != REASON_ADOPTED) /* nobody has seen that one begin */
            came_in(s, e);
        break;
    case NOTICE_RESUMED:
        came_in(s, e);
        break;
    case NOTICE_LOAD_FAILED:
        account_of(s, e->model)->failures[e->reason]++;
        break;
    case NOTICE_MOVING:
        account_of(s, e->model)->evicted_ns = 0; /* it goes on serving */
        break;
    case NOTICE_MODEL_UNLOADED:
        account_of(s, e->model)->unloads[e->reason]++;
        break;
    case NOTICE_LEASE_GRANTED:
        lease_granted(s, e);
        break;
    case NOTICE_LEASE_REVOKED:
        s->metrics.leases_revoked[e->reason]++;
        break;
    case NOTICE_LEASE_ENDED:
        s->metrics.leases_ended[e->reason]++;
        break;
    default:
        break;
    }
}

void metrics_decided(struct server *s, const struct effect *e, const char *type)
{
    uint32_t which = e->type == EFFECT_DECISION ? 0 : e->type == EFFECT_REFUSE ? 1 : e->notice + 2;
    s->metrics.decisions[which].type = type;
    s->metrics.decisions[which].counts[e->reason]++;
    if (e->type == EFFECT_DECISION)
        put_out(s, e);
}

void metrics_stepped(struct server *s, const struct event *ev, const struct effects *fx)
{
    struct metrics *m = &s->metrics;
    histogram_observe(&m->step, &metrics_step_buckets, uv_hrtime() - ev->now.ns);
    m->events[ev->type]++;
    for (uint32_t i = 0; i < fx->count; i++)
        m->effects[fx->items[i].type]++;
}

/* ---- the loop ---- */

/* Since the last turn, less what the loop has waited in it. */
void metrics_turn(struct server *s)
{
    struct metrics *m = &s->metrics;
    uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(s->loop);
    uint64_t passed = now - m->turn_ns, waited = idle - m->idle_ns;
    if (m->turn_ns)
        histogram_observe(&m->lag, &metrics_loop_buckets, passed > waited ? passed - waited : 0);
    m->turn_ns = now;
    m->idle_ns = idle;
}

void metrics_init(struct server *s)
{
    must(uv_loop_configure(s->loop, UV_METRICS_IDLE_TIME) == 0);
    uv_idle_init(s->loop, &s->metrics.spin);
    list_init(&s->metrics.scrapes);
}

void metrics_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->metrics.spin, NULL);
}

void metrics_fini(struct server *s)
{
    for (uint32_t i = 0; i < s->metrics.model_count; i++)
        free(s->metrics.models[i]);
    free(s->metrics.models);
}
