/* GET /wharf/timeline: who was loaded where, and how full and busy the devices were. */
#include "server/tell/residency.h"

#include <inttypes.h>

#include "api/json.h"
#include "api/query.h"
#include "config/config.h"

static void put_change(const struct server *s, const struct residency_change *c, struct buf *b)
{
    buf_printf(b, "{\"time_ms\":%" PRIu64 ",\"model\":", c->at_ms);
    buf_json_text(b, c->model);
    buf_printf(b, ",\"state\":\"%s\",\"devices\":", model_state_text(c->state));
    api_put_devices(b, s, c->devices);
    buf_printf(b, ",\"bytes\":%" PRIu64 "}", c->bytes);
}

static void put_device(const struct residency_device *d, struct buf *b)
{
    buf_text(b, "{\"used_bytes\":");
    if (d->has_used)
        buf_printf(b, "%" PRIu64, d->used_bytes);
    else
        buf_text(b, "null");
    api_put_number(b, "utilisation_percent", d->has_utilisation, d->utilisation_percent);
    buf_text(b, ",\"power_w\":");
    if (d->has_power)
        buf_printf(b, "%" PRIu32 ".%03" PRIu32, d->power_mw / 1000, d->power_mw % 1000);
    else
        buf_text(b, "null");
    buf_char(b, '}');
}

static void put_sample(const struct residency_sample *x, uint32_t devices, struct buf *b)
{
    buf_printf(b,
               "{\"time_ms\":%" PRIu64 ",\"waiting\":%" PRIu32 ",\"in_flight\":%" PRIu32
               ",\"devices\":[",
               x->at_ms, x->waiting, x->running);
    for (uint32_t i = 0; i < devices; i++) {
        buf_text(b, i ? "," : "");
        put_device(&x->devices[i], b);
    }
    buf_text(b, "]}");
}

static void put_changes(const struct server *s, uint64_t since_ms, struct buf *b)
{
    const struct residency_change *c;
    uint64_t back = 0;
    while ((c = residency_change_at(s, back)) && c->at_ms > since_ms)
        back++;
    buf_text(b, ",\"changes\":[");
    for (uint64_t i = back; i-- > 0;) {
        put_change(s, residency_change_at(s, i), b);
        buf_text(b, i ? "," : "");
    }
    buf_char(b, ']');
}

static void put_samples(const struct server *s, uint64_t since_ms, struct buf *b)
{
    const struct residency_sample *x;
    uint64_t back = 0;
    while ((x = residency_sample_at(s, back)) && x->at_ms > since_ms)
        back++;
    buf_text(b, ",\"samples\":[");
    for (uint64_t i = back; i-- > 0;) {
        put_sample(residency_sample_at(s, i), s->roster.current->config->gpu_count, b);
        buf_text(b, i ? "," : "");
    }
    buf_char(b, ']');
}

void api_timeline(struct server *s, struct exchange *ex)
{
    const struct config *c = s->roster.current->config;
    uint64_t since_ms = api_query_number(ex, "since", 0);
    struct buf json = {0};
    buf_printf(&json, "{\"now_ms\":%" PRIu64 ",\"devices\":[", residency_now_ms());
    for (uint32_t i = 0; i < c->gpu_count; i++) {
        buf_text(&json, i ? "," : "");
        buf_json_text(&json, c->gpus[i].name);
    }
    buf_char(&json, ']');
    put_changes(s, since_ms, &json);
    put_samples(s, since_ms, &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
