/* GET /wharf/models: what is known of each model. Of what is not known it says null. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "api/json.h"
#include "config/config.h"
#include "mapping/mapping.h"
#include "server/gpus/devices.h"

static const char *placement_name(const struct server *s, uint32_t slot, uint32_t placement)
{
    uint32_t model = s->roster.entries[slot].index;
    if (placement == CORE_SLOT_NONE || model == CORE_SLOT_NONE)
        return NULL;
    return mapping_placement_name(s->roster.current->config, model, placement);
}

/* Without those that it has left, where its bytes are not yet seen to be free. */
static uint32_t sits_on(const struct server *s, uint32_t slot, const struct core_model_view *v)
{
    const struct resident *r = resident_at(s, slot);
    return r && v->settling ? v->devices & r->devices : v->devices;
}

static const char *first_name(const struct config *c, uint32_t devices)
{
    for (uint32_t i = 0; i < c->gpu_count; i++)
        if (devices >> i & 1)
            return c->gpus[i].name;
    return NULL;
}

/* Those among which it may be moved; none where the configuration gives it no `devices`. */
static void put_placements(const struct server *s, uint32_t slot, struct buf *b)
{
    uint32_t index = s->roster.entries[slot].index;
    const struct config_model *m =
        index == CORE_SLOT_NONE ? NULL : &s->roster.current->config->models[index];
    buf_text(b, ",\"placements\":[");
    for (uint32_t i = 0; m && m->has_variants && i < m->placement_count; i++) {
        buf_text(b, i ? "," : "");
        buf_json_text(b, m->placements[i].id);
    }
    buf_char(b, ']');
}

/* Where it is, or is to be in a moment. */
static void put_place(const struct server *s, uint32_t slot, const struct core_model_view *v,
                      struct buf *b)
{
    uint32_t devices = sits_on(s, slot, v);
    bool is_there = v->state != MODEL_UNLOADED && v->state != MODEL_ERROR;
    buf_text(b, ",\"placement\":");
    api_put_text(b, is_there ? placement_name(s, slot, v->placement) : NULL);
    put_placements(s, slot, b);
    buf_text(b, ",\"device\":");
    api_put_text(b, first_name(s->roster.current->config, devices));
    buf_text(b, ",\"devices\":");
    api_put_devices(b, s, devices);
}

/* What the store knows of it. */
static void put_learned(const struct server *s, uint32_t slot, const struct core_model_view *v,
                        const char *source, struct buf *b)
{
    uint32_t place = v->placement < CORE_PLACEMENTS_MAX ? v->placement : 0;
    const struct footprint_row *row = footprints_find(s, slot, place);
    bool learned = row && strcmp(source, "learned") == 0;
    buf_printf(b, ",\"source\":\"%s\"", learned ? footprint_source_words[row->source] : source);
    api_put_number(b, "samples", true, row ? row->samples : 0);
    api_put_number(b, "residue_bytes", v->residue_bytes != 0, v->residue_bytes);
    buf_text(b, ",\"measured_at\":");
    if (row && row->measured_s)
        api_put_time(b, row->measured_s);
    else
        buf_text(b, "null");
}

/* What it takes, on all of its devices together where it is there, else on each; and who says so.
 */
static void put_footprint(const struct server *s, uint32_t slot, const struct core_model_view *v,
                          struct buf *b)
{
    uint64_t known = v->declared_bytes > v->learned_bytes ? v->declared_bytes : v->learned_bytes;
    const char *source = known && known == v->declared_bytes ? "declared"
                         : known                             ? "learned"
                         : v->estimated_bytes                ? "estimated"
                         : v->charged_bytes                  ? "measured"
                                                             : "unknown";
    uint64_t bytes = v->charged_bytes ? v->charged_bytes : known ? known : v->estimated_bytes;
    api_put_number(b, "footprint_bytes", bytes != 0, bytes);
    buf_printf(b, ",\"footprint_source\":\"%s\",\"settling\":%s", source,
               v->settling ? "true" : "false");
    buf_text(b, ",\"footprint\":{\"bytes\":");
    if (bytes)
        buf_printf(b, "%" PRIu64, bytes);
    else
        buf_text(b, "null");
    put_learned(s, slot, v, source, b);
    buf_char(b, '}');
}

static const char *wish_text(enum wish w)
{
    return w == WISH_LOADED ? "loaded" : w == WISH_UNLOADED ? "unloaded" : NULL;
}

static void put_policy(const struct config_model *m, const struct core_model_view *v, struct buf *b)
{
    bool sleeps = m && m->suspend != CONFIG_SUSPEND_NONE;
    buf_printf(b, ",\"can_suspend\":%s,\"pinned\":%s,\"wish\":", sleeps ? "true" : "false",
               v->pinned ? "true" : "false");
    api_put_text(b, wish_text(v->wish));
    buf_text(b, ",\"class\":");
    api_put_text(b, m ? config_class_words[m->class] : NULL);
}

/* Whether it runs on the CPU: where it was told to, or since it is not seen on its device. */
static void put_on_cpu(const struct server *s, uint32_t slot, const struct core_model_view *v,
                       bool used, struct buf *b)
{
    bool planned = v->placement != CORE_SLOT_NONE;
    bool is_there = v->state == MODEL_LOADED && planned;
    bool elsewhere = s->roster.entries[slot].told.elsewhere && !used;
    buf_text(b, ",\"on_cpu\":");
    if (is_there && (v->device == CORE_SLOT_NONE || elsewhere))
        buf_text(b, "true");
    else
        buf_text(b, is_there && used ? "false" : "null");
}

/* What its processes were seen to use. */
static void put_measured(struct server *s, uint32_t slot, const struct core_model_view *v,
                         struct buf *b)
{
    uint64_t used = 0, peak = s->roster.entries[slot].vram_peak_bytes;
    bool known = devices_model_uses(s->devices, slot, &used);
    api_put_number(b, "used_bytes", known, used);
    api_put_number(b, "peak_bytes", peak != 0, peak);
    put_on_cpu(s, slot, v, used != 0, b);
}

/* What runs it, and by what name. */
static void put_backend(const struct server *s, uint32_t slot, const struct config_model *m,
                        struct buf *b)
{
    struct resident_view its;
    resident_describe(s, slot, &its);
    bool other = m && m->backend != CONFIG_BACKEND_PROCESS;
    buf_text(b, ",\"backend\":");
    api_put_text(b, m ? config_backend_words[m->backend] : NULL);
    buf_text(b, ",\"backend_model\":");
    api_put_text(b, other ? m->backend_model : NULL);
    buf_text(b, ",\"endpoint\":");
    api_put_text(b, other ? m->endpoint : NULL);
    buf_text(b, ",\"backend_reason\":");
    api_put_text(b, degraded_backend_of(s, slot));
    api_put_number(b, "pid", its.pid != 0, (uint64_t)its.pid);
    api_put_number(b, "port", its.pid != 0, its.port);
}

static void put_span(struct buf *b, const char *name, uint64_t ns)
{
    buf_printf(b, ",\"%s\":", name);
    if (ns)
        api_put_seconds(b, ns);
    else
        buf_text(b, "null");
}

/* When it was used, and until when it stays for that. */
static void put_times(const struct roster_entry *e, const struct core_model_view *v, struct buf *b)
{
    uint64_t ago = v->last_used.ns ? uv_hrtime() - v->last_used.ns : 0;
    buf_text(b, ",\"last_used\":");
    if (v->last_used.ns)
        api_put_time(b, (int64_t)time(NULL) - (int64_t)(ago / NS_PER_S));
    else
        buf_text(b, "null");
    buf_text(b, ",\"last_used_s\":");
    api_put_age(b, v->last_used.ns);
    buf_text(b, ",\"ttl_s\":");
    if (v->ttl_ns != UINT64_MAX)
        api_put_seconds(b, v->ttl_ns);
    else
        buf_text(b, "null");
    buf_text(b, ",\"idle_unload_s\":");
    api_put_left(b, v->idle_deadline.ns);
    put_span(b, "load_s", v->load_ns_mean);
    put_span(b, "last_load_s", e->told.load_ns);
}

/* What is under way, in the words of the state; how much of it is done can be told where something
 * comes: by what is seen of it already, and by the time that it took before. */
static void put_operation(struct server *s, uint32_t slot, const struct core_model_view *v,
                          struct buf *b)
{
    static const bool is_operation[MODEL__COUNT] = {
        [MODEL_LOADING] = true,    [MODEL_UNLOADING] = true, [MODEL_MOVING] = true,
        [MODEL_SUSPENDING] = true, [MODEL_RESUMING] = true,
    };
    uint64_t each = v->declared_bytes > v->learned_bytes ? v->declared_bytes : v->learned_bytes;
    uint64_t used = 0, all = 0, span_ns = 0;
    buf_text(b, ",\"operation\":");
    if (!is_operation[v->state]) {
        buf_text(b, "null");
        return;
    }
    if (v->state == MODEL_LOADING || v->state == MODEL_MOVING)
        span_ns = v->load_ns_mean;
    if (v->state == MODEL_RESUMING)
        span_ns = v->resume_ns_mean;
    if (v->state == MODEL_LOADING || v->state == MODEL_RESUMING)
        all = (each ? each : v->estimated_bytes) * (uint32_t)__builtin_popcount(v->devices);
    bool is_seen = all > 0 && devices_model_uses(s->devices, slot, &used);
    buf_printf(b, "{\"what\":\"%s\",\"since_s\":", model_state_text(v->state));
    api_put_age(b, v->state_since.ns);
    put_span(b, "expected_s", span_ns);
    api_put_number(b, "bytes", is_seen, used);
    api_put_number(b, "expected_bytes", all != 0, all);
    buf_char(b, '}');
}

static void put_troubles(const struct config_model *m, const struct core_model_view *v,
                         const char *error, struct buf *b)
{
    buf_text(b, ",\"reason\":");
    api_put_text(b, v->reason == REASON_NONE ? NULL : reason_text(v->reason));
    buf_text(b, ",\"error\":");
    api_put_text(b, v->state == MODEL_ERROR ? error : NULL);
    buf_printf(b, ",\"retries\":{\"failed\":%u", v->failures);
    api_put_number(b, "max", m != NULL, m ? m->load_retries_max : 0);
    buf_char(b, '}');
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
    put_place(s, slot, &v, b);
    put_footprint(s, slot, &v, b);
    put_measured(s, slot, &v, b);
    put_policy(m, &v, b);
    buf_printf(b, ",\"in_flight\":%u,\"waiting\":%u", v.running, v.waiting);
    put_times(e, &v, b);
    put_operation(s, slot, &v, b);
    put_backend(s, slot, m, b);
    put_troubles(m, &v, e->last_error, b);
    buf_text(b, ",\"aliases\":[");
    for (uint32_t i = 0; m && i < m->aliases.count; i++) {
        buf_text(b, i ? "," : "");
        buf_json_text(b, m->aliases.items[i]);
    }
    buf_text(b, "]}");
}

void api_put_model_list(struct server *s, struct buf *b)
{
    const char *sep = "";
    /* In the order of the configuration; then those that are on their way out of it. */
    const struct config_ref *ref = s->roster.current;
    buf_char(b, '[');
    for (uint32_t i = 0; i < ref->config->model_count; i++) {
        buf_text(b, sep);
        api_put_model_whole(s, ref->slots[i], b);
        sep = ",";
    }
    for (uint32_t i = 0; i < s->roster.count; i++) {
        if (!s->roster.entries[i].id || roster_model(&s->roster, i))
            continue;
        buf_text(b, sep);
        api_put_model_whole(s, i, b);
        sep = ",";
    }
    buf_char(b, ']');
}

void api_models(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    buf_text(&json, "{\"models\":");
    api_put_model_list(s, &json);
    buf_text(&json, "}\n");
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
