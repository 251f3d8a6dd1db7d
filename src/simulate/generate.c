#include "simulate/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "simulate/generate_spec.h"

enum purpose { PURPOSE_TIMES = 1, PURPOSE_LENGTHS, PURPOSE_MODELS, PURPOSE_LOOPS, PURPOSE__COUNT };

/* What all requests of one text have in common. */
struct plan {
    struct generate_spec spec;
    struct work_row row;
    struct work_length length;
    struct rng times, lengths, models;
    uint32_t zipf; /* of the workload */
    uint64_t end_ns;
};

static struct rng stream(const struct generate_context *ctx, enum purpose purpose)
{
    return draw_stream(ctx->seed, (uint64_t)ctx->number * PURPOSE__COUNT + purpose);
}

static int resolve(const struct generate_context *ctx, const struct generate_spec *s,
                   struct plan *ret, struct err *e)
{
    struct work_row row = {.model = WORK_DRAWN, .class = WORK_MODELS_CLASS};
    if (s->model[0]) {
        const struct config_model *m = config_find_model(ctx->config, s->model);
        if (!m)
            return err_set(e, "no model '%.80s' in the configuration", s->model);
        row.model = (uint32_t)(m - ctx->config->models);
    }
    if (s->class_name[0] && work_parse_class(s->class_name, &row.class, e) < 0)
        return -1;
    row.key = s->key[0] ? names_number(ctx->keys, s->key) : 0;
    *ret = (struct plan){
        .spec = *s,
        .row = row,
        .length = {s->prompt, s->output, s->seconds, strcmp(s->lengths, "fixed") == 0},
        .times = stream(ctx, PURPOSE_TIMES),
        .lengths = stream(ctx, PURPOSE_LENGTHS),
        .models = stream(ctx, PURPOSE_MODELS),
        .end_ns = s->from_ns + s->for_ns,
    };
    return 0;
}

static void add_row(struct plan *p, struct workload *w, const struct work_row *like, uint64_t at_ns)
{
    struct work_row *row = workload_add(w);
    *row = *like;
    row->at_ns = at_ns;
    work_draw_length(&w->speed, &p->length, &p->lengths, row);
}

/* The time between two events of a Poisson process whose rate is `mean_ns` apart on average, and
 * follows the hours: of a process of the highest rate, each event stays by the rate of its time. */
static uint64_t next_event(struct plan *p, uint64_t at_ns, double mean_ns)
{
    const double day_ns = 86400.0 * (double)NS_PER_S, turn = 2 * 3.14159265358979323846;
    double daily = p->spec.daily;
    for (;;) {
        at_ns += draw_exponential(&p->times, mean_ns / (1 + daily));
        if (daily <= 0)
            return at_ns;
        double rate = 1 - daily * cos(turn * fmod((double)at_ns, day_ns) / day_ns);
        if (at_ns >= p->end_ns || draw_unit(&p->times) * (1 + daily) < rate)
            return at_ns;
    }
}

static bool is_full(const struct plan *p, const struct workload *w, uint32_t first)
{
    return w->count - first >= p->spec.rows || w->count >= WORK_ROWS_MAX;
}

static void add_poisson(struct plan *p, struct workload *w)
{
    uint32_t first = w->count;
    double mean_ns = (double)NS_PER_S / p->spec.rate;
    uint64_t at = next_event(p, p->spec.from_ns, mean_ns);
    for (; at < p->end_ns && !is_full(p, w, first); at = next_event(p, at, mean_ns))
        add_row(p, w, &p->row, at);
}

static void add_every(struct plan *p, struct workload *w)
{
    uint32_t first = w->count;
    for (uint64_t at = p->spec.from_ns; at < p->end_ns && !is_full(p, w, first);
         at += p->spec.period_ns)
        add_row(p, w, &p->row, at);
}

static void assign(const struct generate_context *ctx, struct plan *p, struct workload *w,
                   uint32_t first)
{
    uint32_t known = ctx->keys->count;
    uint32_t used = workload_assign(w, first, ctx->assign, &w->zipfs[p->zipf], known, &p->models);
    for (uint32_t i = known; i < used; i++) {
        auto_free char *user = alloc_printf("user %u of %u", i - known + 1, ctx->number);
        names_number(ctx->keys, user);
    }
}

/* The first request of each burst is made first and given its model, which the others share. */
static void add_bursty(const struct generate_context *ctx, struct plan *p, struct workload *w)
{
    uint32_t first = w->count, total = 0, bursts = 0, bursts_max = 0;
    uint32_t *sizes = NULL;
    double mean_ns = (double)NS_PER_S / p->spec.rate * p->spec.burst;
    uint64_t at = next_event(p, p->spec.from_ns, mean_ns);
    while (at < p->end_ns && total < p->spec.rows && first + total < WORK_ROWS_MAX) {
        uint32_t size = draw_geometric(&p->times, p->spec.burst), left = p->spec.rows - total;
        uint32_t room = WORK_ROWS_MAX - first - total;
        size = size < left ? size : left;
        size = size < room ? size : room;
        add_row(p, w, &p->row, at);
        if (bursts == bursts_max) {
            bursts_max = bursts_max ? 2 * bursts_max : 256;
            sizes = alloc_grow(sizes, bursts_max, sizeof(*sizes));
        }
        sizes[bursts++] = size;
        total += size;
        at = next_event(p, at, mean_ns);
    }
    assign(ctx, p, w, first);
    for (uint32_t i = 0; i < bursts; i++) {
        struct work_row leader = w->rows[first + i];
        at = leader.at_ns;
        for (uint32_t k = 1; k < sizes[i]; k++) {
            at += draw_exponential(&p->times, (double)p->spec.gap_ns);
            add_row(p, w, &leader, at);
        }
    }
    free(sizes);
    workload_sort(w, first);
}

static void add_loops(const struct generate_context *ctx, const struct plan *p, struct workload *w)
{
    struct rng seeds = stream(ctx, PURPOSE_LOOPS);
    for (uint32_t i = 0; i < p->spec.clients; i++) {
        auto_free char *client = alloc_printf("client %u of %u", i + 1, ctx->number);
        *workload_add_loop(w) = (struct work_loop){
            .model = p->row.model,
            .key = p->row.key ? p->row.key : names_number(ctx->keys, client),
            .class = p->row.class,
            .length = p->length,
            .think_ns = p->spec.think_ns,
            .from_ns = p->spec.from_ns,
            .until_ns = p->end_ns,
            .zipf = p->zipf,
            .seed = rng_next(&seeds),
        };
    }
}

static void add_leases(const struct generate_context *ctx, const struct plan *p, struct workload *w)
{
    uint32_t first = w->lease_count;
    for (uint64_t at = p->spec.from_ns; at < p->end_ns && w->lease_count - first < p->spec.rows &&
                                        w->lease_count < WORK_LEASES_MAX;
         at += p->spec.period_ns) {
        struct work_lease *l = workload_add_lease(w);
        l->at_ns = at;
        l->hold_ns = p->spec.hold_ns;
        l->bytes = p->spec.size;
        l->name = names_number(ctx->keys, p->spec.name[0] ? p->spec.name : "job");
        if (p->row.class != WORK_MODELS_CLASS)
            l->class = p->row.class;
    }
}

int generate_add(const char *text, const struct generate_context *ctx, struct workload *w,
                 struct err *e)
{
    struct generate_spec spec;
    struct plan p;
    if (generate_spec_parse(text, &spec, e) < 0 || resolve(ctx, &spec, &p, e) < 0)
        return err_wrap(e, "%.100s", text);
    p.zipf = workload_add_zipf(w, ctx->config->model_count, spec.zipf < 0 ? ctx->zipf : spec.zipf);
    uint32_t first = w->count;
    switch (spec.kind) {
    case GENERATE_POISSON:
        add_poisson(&p, w);
        break;
    case GENERATE_EVERY:
        add_every(&p, w);
        break;
    case GENERATE_BURSTY:
        add_bursty(ctx, &p, w);
        return 0;
    case GENERATE_CLOSED:
        add_loops(ctx, &p, w);
        return 0;
    case GENERATE_LEASE:
        add_leases(ctx, &p, w);
        return 0;
    case GENERATE__KINDS:
        never("no such kind");
    }
    assign(ctx, &p, w, first);
    return 0;
}
