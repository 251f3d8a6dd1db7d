/* wharf's own API: status, models, devices, and operations on a model. */
#include <stdio.h>
#include <string.h>

#include "api/json.h"
#include "base/pure/errors.h"
#include "config/config.h"
#include "http/url.h"
#include "server/devices.h"

/* What it takes, on all of its devices together where it is there, else on each; and who says so.
 */
static void put_footprint(struct server *s, const struct core_model_view *v, struct buf *b)
{
    uint64_t known = v->declared_bytes > v->learned_bytes ? v->declared_bytes : v->learned_bytes;
    const char *source = known && known == v->declared_bytes ? "declared"
                         : known                             ? "learned"
                         : v->estimated_bytes                ? "estimated"
                         : v->charged_bytes                  ? "measured"
                                                             : "unknown";
    uint64_t bytes = v->charged_bytes ? v->charged_bytes : known ? known : v->estimated_bytes;
    const struct config *c = s->roster.current->config;
    bool placed = v->device != CORE_SLOT_NONE && v->device < c->gpu_count;
    buf_text(b, ",\"device\":");
    api_put_text(b, placed ? c->gpus[v->device].name : NULL);
    buf_text(b, ",\"devices\":");
    api_put_devices(b, s, v->devices);
    if (bytes)
        buf_printf(b, ",\"footprint_bytes\":%llu", (unsigned long long)bytes);
    else
        buf_text(b, ",\"footprint_bytes\":null");
    buf_printf(b, ",\"footprint_source\":\"%s\",\"settling\":%s", source,
               v->settling ? "true" : "false");
}

static const char *wish_text(enum wish w)
{
    return w == WISH_LOADED ? "loaded" : w == WISH_UNLOADED ? "unloaded" : NULL;
}

static void put_policy(const struct config_model *m, const struct core_model_view *v, struct buf *b)
{
    buf_printf(b, ",\"pinned\":%s,\"wish\":", v->pinned ? "true" : "false");
    api_put_text(b, wish_text(v->wish));
    buf_text(b, ",\"class\":");
    api_put_text(b, m ? config_class_words[m->class] : NULL);
}

/* What its processes were seen to use. */
static void put_measured(struct server *s, uint32_t slot, struct buf *b)
{
    uint64_t used, peak = s->roster.entries[slot].vram_peak_bytes;
    bool known = devices_model_uses(s->devices, slot, &used);
    api_put_number(b, "used_bytes", known, known ? used : 0);
    api_put_number(b, "peak_bytes", peak != 0, peak);
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
    put_footprint(s, &v, b);
    put_measured(s, slot, b);
    put_policy(m, &v, b);
    buf_printf(b, ",\"in_flight\":%u,\"waiting\":%u,\"last_used_s\":", v.running, v.waiting);
    api_put_age(b, v.last_used.ns);
    buf_text(b, ",\"idle_unload_s\":");
    api_put_left(b, v.idle_deadline.ns);
    buf_text(b, ",\"load_s\":");
    if (v.load_ns_mean)
        api_put_seconds(b, v.load_ns_mean);
    else
        buf_text(b, "null");
    struct resident_view its;
    resident_describe(s, slot, &its);
    if (its.pid)
        buf_printf(b, ",\"pid\":%d,\"port\":%u", its.pid, its.port);
    else
        buf_text(b, ",\"pid\":null,\"port\":null");
    buf_text(b, ",\"reason\":");
    api_put_text(b, v.reason == REASON_NONE ? NULL : reason_text(v.reason));
    buf_text(b, ",\"error\":");
    api_put_text(b, v.state == MODEL_ERROR ? e->last_error : NULL);
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

/* What left is not gone before its memory can be used. */
static void answer_unloaded(struct exchange *ex)
{
    if (ex->command_result != REASON_NONE)
        answer_op(ex);
    else
        settles_await(ex, ex->slot, answer_op);
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

/* What a model can be told to do. */
struct model_op {
    const char *suffix;
    enum command what, forced;
    bool resume; /* only what is suspended can be loaded so */
};

static void run_op(struct server *s, struct exchange *ex, const struct model_op *op, char *name)
{
    name[strlen(name) - strlen(op->suffix)] = '\0';
    uint32_t slot = roster_find(&s->roster, name);
    if (slot == CORE_SLOT_NONE) {
        exchange_fail_unknown(ex, name);
        return;
    }
    enum command what = query_flag(ex, "force", false) ? op->forced : op->what;
    struct core_model_view v;
    core_view_model(s->runner.core, slot, &v);
    if (op->resume && v.state != MODEL_SUSPENDED) {
        api_fail_reason(ex, slot, REASON_NOT_POSSIBLE);
        return;
    }
    uint32_t placement = CORE_SLOT_NONE;
    if (what == COMMAND_MOVE && !api_read_placement(s, ex, slot, &placement))
        return;
    bool waits = query_flag(ex, "wait", true);
    if (waits)
        ex->slot = slot;
    if (waits && what == COMMAND_MOVE) {
        exchange_move(ex, slot, placement, answer_op);
    } else if (waits) {
        exchange_command(ex, slot, what,
                         what == COMMAND_UNLOAD || what == COMMAND_UNLOAD_NOW ? answer_unloaded
                                                                              : answer_op);
    } else if (what == COMMAND_MOVE) {
        runner_move(&s->runner, SERVER_TAG_NOBODY, slot, placement);
        answer_begun(s, ex, slot);
    } else {
        runner_command(&s->runner, SERVER_TAG_NOBODY, slot, what, REASON_COMMAND);
        answer_begun(s, ex, slot);
    }
}

void api_model_op(struct server *s, struct exchange *ex)
{
    static const struct model_op ops[] = {{"/load", COMMAND_LOAD, COMMAND_LOAD, false},
                                          {"/unload", COMMAND_UNLOAD, COMMAND_UNLOAD_NOW, false},
                                          {"/pin", COMMAND_PIN, COMMAND_PIN, false},
                                          {"/unpin", COMMAND_UNPIN, COMMAND_UNPIN, false},
                                          {"/suspend", COMMAND_SUSPEND, COMMAND_SUSPEND, false},
                                          {"/resume", COMMAND_LOAD, COMMAND_LOAD, true},
                                          {"/move", COMMAND_MOVE, COMMAND_MOVE, false}};
    char name[API_NAME_MAX];
    if (api_refuse_cross_site(ex) || !api_path_tail(ex, name, sizeof(name)))
        return;
    for (size_t i = 0; i < countof(ops); i++) {
        size_t n = strlen(name), k = strlen(ops[i].suffix);
        if (n <= k || strcmp(name + n - k, ops[i].suffix) != 0)
            continue;
        run_op(s, ex, &ops[i], name);
        return;
    }
    exchange_fail(ex, &(struct problem){.error = ERR_ROUTE_UNKNOWN,
                                        .detail = "a model can be told: load, unload, pin, unpin, "
                                                  "suspend, resume, move"});
}

static void put_degradations(const struct server *s, struct buf *b)
{
    buf_text(b, ",\"degradations\":[");
    for (uint32_t i = 0; i < s->degraded.count; i++) {
        const struct degradation *it = &s->degraded.items[i];
        buf_printf(b, "%s{\"what\":\"%s\",\"name\":", i ? "," : "", degraded_words[it->what]);
        api_put_text(b, it->name);
        buf_text(b, ",\"reason\":");
        buf_json_text(b, it->reason);
        buf_text(b, ",\"since_s\":");
        api_put_age(b, it->since_ns);
        buf_text(b, ",\"models\":[");
        for (uint32_t k = 0; k < it->model_count; k++) {
            buf_text(b, k ? "," : "");
            api_put_model(b, s, it->models[k]);
        }
        buf_text(b, "]}");
    }
    buf_char(b, ']');
}

void api_status(struct server *s, struct exchange *ex)
{
    const struct config *c = s->roster.current->config;
    struct core_view v;
    struct buf json = {0};
    core_view(s->runner.core, &v);
    buf_text(&json, "{\"version\":\"" WHARF_VERSION "\",\"uptime_s\":");
    api_put_seconds(&json, uv_hrtime() - s->started_ns);
    buf_printf(&json,
               ",\"state\":\"%s\",\"scheduler\":\"%s\",\"planner\":\"%s\",\"models\":%u,"
               "\"loaded\":%u,\"in_flight\":%u,\"waiting\":%u,\"connections\":%u,\"mode\":",
               s->stopping ? "stopping" : "serving", config_scheduler_words[c->scheduler],
               roster_planner(c), c->model_count, v.loaded, v.running, v.waiting, s->clients.count);
    buf_json_text(&json, s->modes.name);
    buf_text(&json, ",\"degraded\":");
    api_put_text(&json, devices_problem(s->devices));
    put_degradations(s, &json);
    buf_char(&json, ',');
    api_put_backends(s, &json);
    buf_char(&json, ',');
    api_put_device_list(s, &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
