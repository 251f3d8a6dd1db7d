#include "simulate/sources.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simulate/generate.h"
#include "simulate/trace.h"

#define PURPOSE_ASSIGN 1000 /* apart from those of the generators (generate.c) */
#define USERS_DEFAULT 4
#define KEEP_DEFAULT 0.9
#define USERS_MAX 1000000

void sources_init(struct sources *s)
{
    *s = (struct sources){.stretch = 1,
                          .zipf = 1,
                          .assign = {.users = USERS_DEFAULT, .keep = KEEP_DEFAULT},
                          .speed = {.prefill = 1500, .decode = 50}};
}

int sources_parse_assign(struct sources *s, const char *text, struct err *e)
{
    static const char sticky[] = "sticky";
    const char *p = text + strlen(sticky);
    char *end;
    if (strcmp(text, "independent") == 0) {
        s->assign.sticky = false;
        return 0;
    }
    if (strncmp(text, sticky, strlen(sticky)) != 0 || (*p && *p != ':'))
        return err_set(e, "'%.60s' is neither independent nor sticky[:USERS:KEEP]", text);
    s->assign.sticky = true;
    if (!*p)
        return 0;
    unsigned long users = strtoul(p + 1, &end, 10);
    if (p[1] < '0' || p[1] > '9' || users < 1 || users > USERS_MAX || *end != ':')
        return err_set(e, "'%.60s': USERS is a number from 1 to %d", text, USERS_MAX);
    p = end + 1;
    double keep = strtod(p, &end);
    if (end == p || *end || !(keep >= 0 && keep <= 1))
        return err_set(e, "'%.60s': KEEP is a chance from 0 to 1", text);
    s->assign.users = (uint32_t)users;
    s->assign.keep = keep;
    return 0;
}

static int read_traces(const struct sources *s, struct trace_context *ctx, struct workload *w,
                       struct err *e)
{
    for (uint32_t i = 0; i < s->trace_count; i++)
        if (trace_read(s->traces[i], ctx, w, e) < 0)
            return -1;
    workload_sort(w, 0);
    if (s->rows_max && w->count > s->rows_max)
        w->count = s->rows_max;
    struct draw_zipf zipf;
    struct rng rng = draw_stream(s->seed, PURPOSE_ASSIGN);
    draw_zipf_init(&zipf, ctx->config->model_count, s->zipf);
    workload_assign(w, 0, &s->assign, &zipf, ctx->keys.count, &rng);
    draw_zipf_fini(&zipf);
    return 0;
}

static int make_generators(const struct sources *s, struct trace_context *trace, struct workload *w,
                           struct err *e)
{
    struct generate_context ctx = {.config = trace->config,
                                   .assign = &s->assign,
                                   .keys = &trace->keys,
                                   .zipf = s->zipf,
                                   .seed = s->seed};
    for (ctx.number = 0; ctx.number < s->generator_count; ctx.number++)
        if (generate_add(s->generators[ctx.number], &ctx, w, e) < 0)
            return -1;
    workload_sort(w, 0);
    if (s->rows_max && w->count > s->rows_max)
        w->count = s->rows_max;
    return 0;
}

/* The stretch with which the rows end in time, or -1. */
static int stretch_of(const struct sources *s, const struct workload *w, double *ret, struct err *e)
{
    const double time_max_ns = 1e18;
    *ret = s->stretch;
    if (s->offered_load > 0) {
        *ret = workload_stretch_for(w, s->offered_load);
        if (*ret <= 0)
            return err_set(e, "the rows come all at once: no stretch gives them a load");
    }
    double span = w->count ? (double)(w->rows[w->count - 1].at_ns - w->rows[0].at_ns) : 0;
    if (span * *ret > time_max_ns)
        return err_set(e, "stretched by %g, it would take centuries", *ret);
    return 0;
}

static int read_all(const struct sources *s, struct trace_context *ctx, struct workload *w,
                    struct err *e)
{
    double stretch;
    if (s->trace_count ? read_traces(s, ctx, w, e) < 0 : make_generators(s, ctx, w, e) < 0)
        return -1;
    if (w->count == 0 && w->loop_count == 0 && w->lease_count == 0)
        return err_set(e, "there are no requests");
    if (stretch_of(s, w, &stretch, e) < 0)
        return -1;
    /* What a generator makes begins when it says so; a trace begins with its first row. */
    workload_stretch(w, stretch, s->trace_count ? w->rows[0].at_ns : 0);
    return 0;
}

int sources_read(const struct sources *s, const struct config *config, struct workload *ret,
                 struct err *e)
{
    struct trace_context ctx = {.config = config};
    struct workload w = {.speed = s->speed, .requests_max = s->rows_max};
    int rc = config->model_count ? read_all(s, &ctx, &w, e)
                                 : err_set(e, "the configuration has no models");
    w.keys = ctx.keys;
    ctx.keys = (struct names){.count = 0};
    trace_context_fini(&ctx);
    if (rc < 0)
        workload_fini(&w);
    else
        *ret = w;
    return rc;
}
