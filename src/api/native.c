/* wharf's own API: status, models, devices, and operations on a model. */
#include <stdio.h>
#include <string.h>

#include "api/handlers.h"
#include "base/pure/errors.h"
#include "config/config.h"
#include "http/url.h"
#include "server/devices.h"

static uint64_t now_ns(void)
{
    return uv_hrtime();
}

static void put_age(struct buf *b, uint64_t then_ns)
{
    if (then_ns == 0 || then_ns > now_ns())
        buf_text(b, "null");
    else
        api_put_seconds(b, now_ns() - then_ns);
}

static void put_string_or_null(struct buf *b, const char *text)
{
    if (text && *text)
        buf_json_text(b, text);
    else
        buf_text(b, "null");
}

static void put_idle_deadline(struct buf *b, uint64_t at_ns)
{
    uint64_t now = now_ns();
    if (at_ns == 0)
        buf_text(b, "null");
    else
        api_put_seconds(b, at_ns > now ? at_ns - now : 0);
}

static void put_footprint(struct server *s, const struct config_model *m,
                          const struct core_model_view *v, struct buf *b)
{
    const struct config *c = s->roster.current->config;
    bool placed = v->device != CORE_SLOT_NONE && v->device < c->gpu_count;
    uint64_t declared = m && m->vram == CONFIG_VRAM_BYTES ? m->vram_bytes : 0;
    uint64_t bytes = v->charged_bytes ? v->charged_bytes : declared;
    buf_text(b, ",\"device\":");
    put_string_or_null(b, placed ? c->gpus[v->device].name : NULL);
    if (bytes)
        buf_printf(b, ",\"footprint_bytes\":%llu,\"footprint_source\":\"%s\"",
                   (unsigned long long)bytes, declared ? "declared" : "measured");
    else
        buf_text(b, ",\"footprint_bytes\":null,\"footprint_source\":\"unknown\"");
    buf_printf(b, ",\"settling\":%s", v->settling ? "true" : "false");
}

static void put_model(struct server *s, uint32_t slot, struct buf *b)
{
    const struct config_model *m = roster_model(&s->roster, slot);
    const struct roster_entry *e = &s->roster.entries[slot];
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    buf_text(b, "{\"id\":");
    buf_json_text(b, e->id);
    buf_printf(b, ",\"state\":\"%s\"", model_state_text(v.state));
    put_footprint(s, m, &v, b);
    buf_printf(b, ",\"in_flight\":%u,\"waiting\":%u,\"last_used_s\":", v.running, v.waiting);
    put_age(b, v.last_used.ns);
    buf_text(b, ",\"idle_unload_s\":");
    put_idle_deadline(b, v.idle_deadline.ns);
    buf_text(b, ",\"load_s\":");
    if (v.load_ns_mean)
        api_put_seconds(b, v.load_ns_mean);
    else
        buf_text(b, "null");
    int pid;
    uint16_t port;
    server_model_process(s, slot, &pid, &port);
    if (pid)
        buf_printf(b, ",\"pid\":%d,\"port\":%u", pid, port);
    else
        buf_text(b, ",\"pid\":null,\"port\":null");
    buf_text(b, ",\"reason\":");
    put_string_or_null(b, v.reason == REASON_NONE ? NULL : reason_text(v.reason));
    buf_text(b, ",\"error\":");
    put_string_or_null(b, v.state == MODEL_ERROR ? e->last_error : NULL);
    buf_text(b, ",\"aliases\":[");
    for (uint32_t i = 0; m && i < m->aliases.count; i++) {
        buf_text(b, i ? "," : "");
        buf_json_text(b, m->aliases.items[i]);
    }
    buf_text(b, "]}");
}

void api_models(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    const char *sep = "";
    buf_text(&json, "{\"models\":[");
    /* In the order of the configuration; then those that are on their way out of it. */
    const struct config_ref *ref = s->roster.current;
    for (uint32_t i = 0; i < ref->config->model_count; i++) {
        buf_text(&json, sep);
        put_model(s, ref->slots[i], &json);
        sep = ",";
    }
    for (uint32_t i = 0; i < s->roster.count; i++) {
        if (!s->roster.entries[i].id || roster_model(&s->roster, i))
            continue;
        buf_text(&json, sep);
        put_model(s, i, &json);
        sep = ",";
    }
    buf_text(&json, "]}\n");
    api_send_json(ex, 200, &json);
}

void api_model(struct server *s, struct exchange *ex)
{
    uint32_t slot;
    if (!api_path_model(ex, &slot))
        return;
    struct buf json = {0};
    put_model(s, slot, &json);
    buf_char(&json, '\n');
    api_send_json(ex, 200, &json);
}

/* Says the true state, whatever was asked for. */
static void answer_op(struct exchange *ex)
{
    struct server *s = ex->server;
    uint32_t slot = ex->slot;
    if (ex->command_result != REASON_NONE) {
        api_fail_reason(ex, slot, ex->command_result);
        return;
    }
    struct buf json = {0};
    put_model(s, slot, &json);
    buf_char(&json, '\n');
    api_send_json(ex, 200, &json);
}

/* ?wait=0: what was begun is answered with 202; the command goes on without us. */
static void answer_begun(struct server *s, struct exchange *ex, uint32_t slot)
{
    struct buf json = {0};
    put_model(s, slot, &json);
    buf_char(&json, '\n');
    api_send_json(ex, 202, &json);
}

static bool query_flag(const struct exchange *ex, const char *name, bool absent)
{
    char value[16];
    struct http_span q = ex->head->query;
    if (url_query_find(ex->bytes + q.off, q.len, name, value, sizeof(value)) < 1)
        return absent;
    return strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

void api_model_op(struct server *s, struct exchange *ex)
{
    static const struct {
        const char *suffix;
        enum command what, forced;
    } ops[] = {{"/load", COMMAND_LOAD, COMMAND_LOAD},
               {"/unload", COMMAND_UNLOAD, COMMAND_UNLOAD_NOW}};
    char name[API_NAME_MAX];
    if (api_refuse_cross_site(ex) || !api_path_tail(ex, name, sizeof(name)))
        return;
    for (size_t i = 0; i < countof(ops); i++) {
        size_t n = strlen(name), k = strlen(ops[i].suffix);
        if (n <= k || strcmp(name + n - k, ops[i].suffix) != 0)
            continue;
        name[n - k] = '\0';
        uint32_t slot = roster_find(&s->roster, name);
        enum command what = query_flag(ex, "force", false) ? ops[i].forced : ops[i].what;
        if (slot == CORE_SLOT_NONE) {
            exchange_fail_unknown(ex, name);
        } else if (query_flag(ex, "wait", true)) {
            ex->slot = slot;
            exchange_command(ex, slot, what, answer_op);
        } else {
            runner_command(&s->runner, SERVER_TAG_NOBODY, slot, what, REASON_COMMAND);
            answer_begun(s, ex, slot);
        }
        return;
    }
    exchange_fail(ex, &(struct problem){.error = ERR_ROUTE_UNKNOWN,
                                        .detail = "a model can be told: load, unload"});
}

static void put_device(struct server *s, uint32_t index, struct buf *b)
{
    const struct config_gpu *gpu = &s->roster.current->config->gpus[index];
    struct core_device_view v;
    core_view_device(s->runner.core, index, &v);
    buf_text(b, "{\"name\":");
    buf_json_text(b, gpu->name);
    buf_printf(b,
               ",\"present\":%s,\"total_bytes\":%llu,\"used_bytes\":%llu,\"own_bytes\":%llu,"
               "\"settling_bytes\":%llu,\"foreign_bytes\":%llu,\"room_bytes\":%llu,\"sampled_s\":",
               v.present ? "true" : "false", (unsigned long long)v.total_bytes,
               (unsigned long long)v.used_bytes, (unsigned long long)v.charged_bytes,
               (unsigned long long)v.settling_bytes, (unsigned long long)v.foreign_bytes,
               (unsigned long long)v.room_bytes);
    put_age(b, v.sampled.ns);
    buf_char(b, '}');
}

static void put_devices(struct server *s, struct buf *b)
{
    uint32_t count = s->roster.current->config->gpu_count;
    buf_text(b, "\"devices\":[");
    for (uint32_t i = 0; i < count && i < CORE_DEVICES_MAX; i++) {
        buf_text(b, i ? "," : "");
        put_device(s, i, b);
    }
    buf_char(b, ']');
}

void api_devices(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    buf_char(&json, '{');
    put_devices(s, &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}

void api_status(struct server *s, struct exchange *ex)
{
    const struct config *c = s->roster.current->config;
    struct core_view v;
    struct buf json = {0};
    core_view(s->runner.core, &v);
    buf_text(&json, "{\"version\":\"" WHARF_VERSION "\",\"uptime_s\":");
    api_put_seconds(&json, now_ns() - s->started_ns);
    buf_printf(&json,
               ",\"state\":\"%s\",\"scheduler\":\"%s\",\"planner\":\"%s\",\"models\":%u,"
               "\"loaded\":%u,\"in_flight\":%u,\"waiting\":%u,\"connections\":%u,"
               "\"degraded\":",
               s->stopping ? "stopping" : "serving", config_scheduler_words[c->scheduler],
               roster_fits(c) ? "fit" : "group", c->model_count, v.loaded, v.running, v.waiting,
               s->clients.count);
    put_string_or_null(&json, devices_problem(s->devices));
    buf_char(&json, ',');
    put_devices(s, &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
