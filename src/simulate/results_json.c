#include "simulate/results_json.h"

#include <inttypes.h>

#include "base/pure/units.h"

static void write_count(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, ",\"%s\":%" PRIu64, name, value);
}

static void write_thousandths(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, ",\"%s\":%" PRIu64 ".%03" PRIu64, name, value / 1000, value % 1000);
}

static void write_seconds(struct buf *out, const char *name, uint64_t ns)
{
    write_thousandths(out, name, ns / NS_PER_MS);
}

static void write_waits(struct buf *out, const struct sim_waits *w)
{
    write_count(out, "served", w->count);
    write_seconds(out, "wait_mean_s", w->mean_ns);
    write_seconds(out, "wait_p50_s", w->p50_ns);
    write_seconds(out, "wait_p95_s", w->p95_ns);
    write_seconds(out, "wait_p99_s", w->p99_ns);
    write_seconds(out, "wait_max_s", w->max_ns);
}

static void write_classes(struct buf *out, const struct sim_result *r)
{
    bool first = true;
    buf_text(out, ",\"classes\":[");
    for (int k = 0; k < CLASS__COUNT; k++) {
        if (r->classes[k].count == 0)
            continue;
        buf_printf(out, "%s{\"class\":\"%s\"", first ? "" : ",", class_text((enum class)k));
        write_waits(out, &r->classes[k]);
        buf_char(out, '}');
        first = false;
    }
    buf_char(out, ']');
}

static void write_models(struct buf *out, const struct config *c, const struct sim_result *r)
{
    buf_text(out, ",\"models\":[");
    for (uint32_t i = 0; i < r->model_count; i++) {
        buf_text(out, i ? ",{\"model\":" : "{\"model\":");
        buf_json_text(out, c->models[i].id);
        write_count(out, "loads", r->models[i].loads);
        write_waits(out, &r->models[i].waits);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

uint64_t results_ratio_permille(const struct sim_result *results, uint32_t count, uint32_t i)
{
    for (uint32_t k = 0; k < count; k++)
        if (results[k].policy.plan == PLAN_FIT && results[k].policy.victims == VICTIMS_FORESEEN &&
            results[k].load_ns)
            return (uint64_t)((double)results[i].load_ns / (double)results[k].load_ns * 1000 + 0.5);
    return 0;
}

static void write_result(struct buf *out, const struct config *c, const struct sim_result *r,
                         uint64_t ratio_permille)
{
    buf_text(out, "{\"policy\":");
    buf_json_text(out, r->policy.name);
    write_count(out, "loads", r->loads);
    write_seconds(out, "reload_s", r->load_ns);
    if (ratio_permille)
        write_thousandths(out, "reload_ratio", ratio_permille);
    write_count(out, "evictions", r->evictions);
    write_count(out, "unloads", r->unloads);
    write_count(out, "aborts", r->aborts);
    write_waits(out, &r->waits);
    write_count(out, "requests", r->requests);
    write_count(out, "refused", r->refused);
    write_count(out, "unserved", r->unserved);
    write_count(out, "overdue", r->overdue);
    write_count(out, "violations", r->violations);
    write_thousandths(out, "bound_used_max", r->bound_permille_max);
    write_count(out, "overcommits", r->overcommits);
    write_thousandths(out, "gpu_busy", r->busy_permille);
    write_seconds(out, "span_s", r->span_ns);
    write_thousandths(out, "waiting_mean",
                      r->span_ns ? r->wait_sum_ns / (r->span_ns / 1000 + 1) : 0);
    write_count(out, "events", r->events);
    write_count(out, "events_per_s", r->events * NS_PER_MS / (r->spent_ns / 1000 + 1));
    buf_text(out, ",\"note\":");
    buf_json_text(out, r->note);
    write_classes(out, r);
    write_models(out, c, r);
    buf_char(out, '}');
}

void results_json_write(struct buf *out, const struct config *c, const struct sim_result *results,
                        uint32_t count)
{
    buf_char(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        buf_text(out, i ? ",\n " : "");
        write_result(out, c, &results[i], results_ratio_permille(results, count, i));
    }
    buf_char(out, ']');
}
