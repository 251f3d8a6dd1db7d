/* GET /wharf/status: all that is known, at once. Of what is not known it says null. */
#include "api/json.h"
#include "base/build.h"
#include "config/config.h"
#include "server/gpus/devices.h"

static void put_flag(struct buf *b, const char *name, bool value)
{
    buf_printf(b, ",\"%s\":%s", name, value ? "true" : "false");
}

static void put_models(const struct server *s, const uint32_t *slots, uint32_t count, struct buf *b)
{
    buf_text(b, ",\"models\":[");
    for (uint32_t i = 0; i < count; i++) {
        buf_text(b, i ? "," : "");
        api_put_model(b, s, slots[i]);
    }
    buf_char(b, ']');
}

/* ---- what is not as it should be ---- */

static void put_degradation(const struct server *s, const struct degradation *it, struct buf *b)
{
    const struct config *c = s->roster.current->config;
    buf_printf(b, "{\"what\":\"%s\",\"name\":", degraded_words[it->what]);
    api_put_text(b, it->name);
    buf_text(b, ",\"reason\":");
    buf_json_text(b, it->reason);
    buf_text(b, ",\"since_s\":");
    api_put_age(b, it->since_ns);
    buf_text(b, ",\"retry_s\":");
    if (it->what == DEGRADED_BACKEND)
        api_put_seconds(b, c->backend_retry_ns);
    else
        buf_text(b, "null");
    put_models(s, it->models, it->model_count, b);
    buf_char(b, '}');
}

/* In one sentence: what is wrong with devices, else the oldest of the rest. */
static void put_degraded_text(const struct server *s, struct buf *b)
{
    const char *devices = devices_problem(s->devices);
    if (devices || s->degraded.count == 0) {
        api_put_text(b, devices);
        return;
    }
    struct buf text = {0};
    const struct degradation *it = &s->degraded.items[0];
    buf_printf(&text, "%s%s%s: %s", degraded_words[it->what], *it->name ? " " : "", it->name,
               it->reason);
    buf_json_text(b, text.data);
    buf_fini(&text);
}

static void put_degraded(const struct server *s, struct buf *b)
{
    buf_text(b, ",\"degraded\":");
    put_degraded_text(s, b);
    put_flag(b, "degraded_mode", s->degraded.count > 0 || devices_problem(s->devices));
    buf_text(b, ",\"degradations\":[");
    for (uint32_t i = 0; i < s->degraded.count; i++) {
        buf_text(b, i ? "," : "");
        put_degradation(s, &s->degraded.items[i], b);
    }
    buf_char(b, ']');
}

/* ---- the servers that models are left to ---- */

/* By the number that the core knows it by; false: it is none of that kind. */
static bool put_backend(struct server *s, const struct resident_ops *kind, uint32_t number,
                        struct buf *b)
{
    struct resident_backend is = {.name = NULL};
    if (!kind->backend || !kind->backend(s, number, &is) || is.unused)
        return false;
    const struct degradation *down = degraded_find(s, DEGRADED_BACKEND, is.name);
    buf_printf(b, "\"kind\":\"%s\",\"name\":", kind->word);
    api_put_text(b, is.name);
    put_flag(b, "up", down == NULL);
    buf_text(b, ",\"reason\":");
    api_put_text(b, down ? down->reason : NULL);
    put_models(s, is.models, is.model_count, b);
    if (kind->status)
        kind->status(s, number, b);
    return true;
}

void api_put_backends(struct server *s, struct buf *b)
{
    const char *sep = "{";
    buf_text(b, "\"backends\":[");
    for (uint32_t k = 0; k < s->residents.kind_count; k++) {
        for (uint32_t i = 1; i <= CORE_BACKENDS_MAX && s->residents.kinds[k]; i++) {
            struct buf one = {0};
            if (put_backend(s, s->residents.kinds[k], i, &one)) {
                buf_printf(b, "%s%s}", sep, one.data);
                sep = ",{";
            }
            buf_fini(&one);
        }
    }
    buf_char(b, ']');
}

/* ---- the bounds ---- */

static void put_limits(const struct server *s, struct buf *b)
{
    struct limit_now now[LIMIT__COUNT];
    limits_look(s, now);
    buf_text(b, ",\"limits\":{");
    for (int i = 0; i < LIMIT__COUNT; i++) {
        const struct limit_now *l = &now[i];
        buf_printf(b, "%s\"%s\":{\"unit\":\"%s\",\"setting\":", i ? "," : "", limit_names[i],
                   limit_unit((enum limit)i));
        api_put_text(b, limit_setting((enum limit)i));
        api_put_number(b, "used", l->used != LIMIT_UNKNOWN, l->used);
        api_put_number(b, "max", l->max != LIMIT_UNKNOWN, l->max);
        api_put_number(b, "refused", l->refused != LIMIT_UNKNOWN, l->refused);
        buf_char(b, '}');
    }
    buf_char(b, '}');
}

/* ---- the whole ---- */

static void put_jobs(const struct server *s, const struct core_view *v, struct buf *b)
{
    const struct traffic_totals *t = &s->metrics.totals;
    buf_printf(b, ",\"jobs\":{\"active\":%u,\"waiting\":%u", v->running + s->peers.requests,
               v->waiting);
    api_put_number(b, "processed", true, t->processed);
    api_put_number(b, "failed", true, t->failed);
    api_put_number(b, "cancelled", true, t->cancelled);
    buf_char(b, '}');
}

/* On all devices. */
static uint64_t leased_bytes(const struct server *s)
{
    uint64_t sum = 0;
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        struct core_device_view v;
        core_view_device(s->runner.core, d, &v);
        sum += v.leased_bytes;
    }
    return sum;
}

static void put_daemon(const struct server *s, const struct core_view *v, struct buf *b)
{
    const struct config *c = s->roster.current->config;
    buf_printf(b, "\"version\":\"%s\",\"commit\":\"%s\",\"build_date\":\"%s\",\"uptime_s\":",
               build.version, build.commit, build.date);
    api_put_seconds(b, uv_hrtime() - s->started_ns);
    buf_printf(b,
               ",\"state\":\"%s\",\"scheduler\":\"%s\",\"planner\":\"%s\",\"models\":%u,"
               "\"loaded\":%u,\"in_flight\":%u,\"waiting\":%u,\"connections\":%u,\"mode\":",
               s->stopping ? "stopping" : "serving", config_scheduler_words[c->scheduler],
               roster_planner(c), c->model_count, v->loaded, v->running, v->waiting,
               s->clients.count);
    buf_json_text(b, s->modes.name);
    uint32_t waiting, granted;
    leases_count(s, &waiting, &granted);
    api_put_number(b, "leases", true, granted);
    api_put_number(b, "leases_waiting", true, waiting);
    api_put_number(b, "leased_bytes", true, leased_bytes(s));
    put_flag(b, "mode_reached", modes_look(s) == MODE_REACHED);
}

void api_status(struct server *s, struct exchange *ex)
{
    struct core_view v;
    struct buf json = {0};
    core_view(s->runner.core, &v);
    buf_char(&json, '{');
    put_daemon(s, &v, &json);
    put_degraded(s, &json);
    buf_char(&json, ',');
    api_put_backends(s, &json);
    put_jobs(s, &v, &json);
    put_limits(s, &json);
    buf_text(&json, ",\"model_list\":");
    api_put_model_list(s, &json);
    buf_char(&json, ',');
    api_put_device_list(s, &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
