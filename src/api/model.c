/* GET /wharf/models: what is known of each model. Of what is not known it says null. */
#include "api/json.h"
#include "config/config.h"
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

void api_put_model_whole(struct server *s, uint32_t slot, struct buf *b)
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
        api_put_model_whole(s, ref->slots[i], &json);
        sep = ",";
    }
    for (uint32_t i = 0; i < s->roster.count; i++) {
        if (!s->roster.entries[i].id || roster_model(&s->roster, i))
            continue;
        buf_text(&json, sep);
        api_put_model_whole(s, i, &json);
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
    api_put_model_whole(s, slot, &json);
    buf_char(&json, '\n');
    api_send_json(ex, 200, &json);
}
