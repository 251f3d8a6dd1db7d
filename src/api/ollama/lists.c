/* What there is, what runs, and what is known of one. Details come from the model's `metadata`,
 * where they have Ollama's names: family, families, format, parameter_size, quantization_level,
 * parent_model, capabilities, model_info. */
#include "api/ollama/lists.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/json.h"
#include "api/ollama/names.h"
#include "base/build.h"
#include "base/pure/errors.h"
#include "server/models/naming.h"
#include "server/proxy/routing.h"

/* What an expiry that never comes is: far away, as Ollama has it. */
#define NEVER_S 9214646400 /* 2262-01-01 */

/* One that can be asked for; model NULL: a peer's, a selector or a pin. */
struct entry {
    const char *name;
    const struct config_model *model;
    uint32_t slot;
};

/* ---- pieces ---- */

/* 64 digits, as a SHA-256 has, of the definition's two hashes. */
static void put_digest(const struct entry *e, struct buf *json)
{
    uint64_t hash[4] = {0xcbf29ce484222325};
    for (const char *p = e->name; *p; p++)
        hash[0] = (hash[0] ^ (unsigned char)*p) * 0x100000001b3;
    if (e->model) {
        hash[1] = e->model->hash_process;
        hash[2] = e->model->hash_policy;
    }
    hash[3] = (hash[0] ^ hash[1] ^ hash[2]) * 0x9e3779b97f4a7c15;
    buf_text(json, ",\"digest\":\"");
    for (size_t i = 0; i < countof(hash); i++)
        buf_printf(json, "%016llx", (unsigned long long)hash[i]);
    buf_char(json, '"');
}

static const char *text_of(const json_t *object, const char *name, const char *absent)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : absent;
}

static void put_details(const json_t *about, struct buf *json)
{
    const char *family = text_of(about, "family", "");
    const json_t *families = json_object_get(about, "families"), *one;
    size_t i;
    const char *sep = "";
    buf_text(json, ",\"details\":{\"parent_model\":");
    buf_json_text(json, text_of(about, "parent_model", ""));
    buf_text(json, ",\"format\":");
    buf_json_text(json, text_of(about, "format", ""));
    buf_text(json, ",\"family\":");
    buf_json_text(json, family);
    buf_text(json, ",\"families\":[");
    json_array_foreach(families, i, one)
    {
        buf_text(json, sep);
        buf_json_text(json, json_string_value(one) ? json_string_value(one) : "");
        sep = ",";
    }
    if (json_array_size(families) == 0 && *family)
        buf_json_text(json, family);
    buf_text(json, "],\"parameter_size\":");
    buf_json_text(json, text_of(about, "parameter_size", ""));
    buf_text(json, ",\"quantization_level\":");
    buf_json_text(json, text_of(about, "quantization_level", ""));
    buf_char(json, '}');
}

static json_t *about(const struct entry *e)
{
    return e->model ? json_loads(e->model->metadata, 0, NULL) : NULL;
}

static void put_name(const char *key, const char *name, struct buf *json)
{
    struct buf full = {0};
    ollama_name_put(name, &full);
    buf_printf(json, "\"%s\":", key);
    buf_json_text(json, full.data);
    buf_fini(&full);
}

static void put_names(const struct entry *e, struct buf *json)
{
    put_name("name", e->name, json);
    buf_char(json, ',');
    put_name("model", e->name, json);
}

/* The most that is known of what it takes. */
static uint64_t size_of(const struct server *s, const struct entry *e)
{
    struct core_model_view v;
    if (!e->model)
        return 0;
    core_view_model(s->runner.core, e->slot, &v);
    uint64_t share = v.learned_bytes ? v.learned_bytes : v.declared_bytes;
    const struct config_placement *p = config_model_on_gpu(e->model);
    return (share ? share : v.estimated_bytes) * (p ? p->gpu_count : 0);
}

static void put_modified(const struct server *s, struct buf *json)
{
    buf_text(json, ",\"modified_at\":");
    api_put_time(json, (int64_t)(s->started_wall_ns / NS_PER_S));
}

/* ---- GET /api/tags ---- */

static void put_tag(const struct server *s, const struct entry *e, struct buf *json)
{
    json_t *known = about(e);
    buf_text(json, json->data[json->len - 1] == '[' ? "{" : ",{");
    put_names(e, json);
    put_modified(s, json);
    buf_printf(json, ",\"size\":%llu", (unsigned long long)size_of(s, e));
    put_digest(e, json);
    put_details(known, json);
    buf_char(json, '}');
    json_decref(known);
}

static void put_name_tag(const struct server *s, const struct exchange *ex, const char *name,
                         struct buf *json)
{
    if (api_lists_name(ex, name))
        put_tag(s, &(struct entry){.name = name}, json);
}

static void put_other_tags(const struct server *s, const struct exchange *ex, struct buf *json)
{
    const struct config *c = s->roster.current->config;
    const struct config_profile *p = profiles_active(s, c);
    for (uint32_t i = 0; i < c->peer_count; i++)
        for (uint32_t k = 0; k < c->peers[i].models.count; k++)
            put_name_tag(s, ex, c->peers[i].names.items[k], json);
    for (uint32_t i = 0; i < c->selector_count; i++)
        if (!c->selectors[i].unlisted)
            put_name_tag(s, ex, c->selectors[i].id, json);
    for (uint32_t i = 0; p && i < p->pin_count; i++)
        if (*p->pins[i].target && !config_find_name(c, p->pins[i].name))
            put_name_tag(s, ex, p->pins[i].name, json);
}

void ollama_tags(struct server *s, struct exchange *ex)
{
    const struct config_ref *ref = s->roster.current;
    const struct config *c = ref->config;
    struct buf json = {0};
    buf_text(&json, "{\"models\":[");
    for (uint32_t i = 0; i < c->model_count; i++) {
        const struct config_model *m = &c->models[i];
        struct entry e = {.name = m->id, .model = m, .slot = ref->slots[i]};
        if (m->unlisted || !api_lists(ex, m))
            continue;
        put_tag(s, &e, &json);
        for (uint32_t k = 0; c->observe.aliases_in_list && k < m->aliases.count; k++) {
            e.name = m->aliases.items[k];
            put_tag(s, &e, &json);
        }
    }
    put_other_tags(s, ex, &json);
    buf_text(&json, "]}\n");
    api_send_json(ex, 200, &json);
}

/* ---- GET /api/ps ---- */

static void put_expiry(const struct core_model_view *v, struct buf *json)
{
    uint64_t now_ns = uv_hrtime(), at_ns = v->idle_deadline.ns;
    int64_t now = (int64_t)time(NULL);
    buf_text(json, ",\"expires_at\":");
    if (at_ns == 0)
        api_put_time(json, NEVER_S);
    else
        api_put_time(json, now + (at_ns > now_ns ? (int64_t)((at_ns - now_ns) / NS_PER_S) : 0));
}

static void put_running(const struct server *s, const struct entry *e, struct buf *json)
{
    struct core_model_view v;
    json_t *known = about(e);
    core_view_model(s->runner.core, e->slot, &v);
    uint64_t vram = v.device == CORE_SLOT_NONE ? 0 : v.charged_bytes;
    uint64_t size = vram ? vram : size_of(s, e);
    buf_text(json, json->data[json->len - 1] == '[' ? "{" : ",{");
    put_names(e, json);
    buf_printf(json, ",\"size\":%llu", (unsigned long long)size);
    put_digest(e, json);
    put_details(known, json);
    put_expiry(&v, json);
    buf_printf(json, ",\"size_vram\":%llu,\"context_length\":%llu}", (unsigned long long)vram,
               (unsigned long long)e->model->capabilities.context_tokens);
    json_decref(known);
}

void ollama_ps(struct server *s, struct exchange *ex)
{
    const struct config_ref *ref = s->roster.current;
    struct buf json = {0};
    buf_text(&json, "{\"models\":[");
    for (uint32_t i = 0; i < ref->config->model_count; i++) {
        const struct config_model *m = &ref->config->models[i];
        struct core_model_view v;
        core_view_model(s->runner.core, ref->slots[i], &v);
        if (!api_lists(ex, m))
            continue;
        if (v.state == MODEL_LOADED || v.state == MODEL_MOVING || v.state == MODEL_UNLOADING)
            put_running(s, &(struct entry){.name = m->id, .model = m, .slot = ref->slots[i]},
                        &json);
    }
    buf_text(&json, "]}\n");
    api_send_json(ex, 200, &json);
}

/* ---- POST /api/show ---- */

static bool has(const struct config_strings *words, const char *word)
{
    for (uint32_t i = 0; i < words->count; i++)
        if (strcmp(words->items[i], word) == 0)
            return true;
    return false;
}

/* What the definition says, and what `metadata` says besides: there are no words in capabilities
 * for embedding and thinking. */
static void put_capabilities(const struct entry *e, const json_t *known, struct buf *json)
{
    static const struct config_capabilities unknown;
    const struct config_capabilities *c = e->model ? &e->model->capabilities : &unknown;
    const json_t *more = json_object_get(known, "capabilities"), *word;
    json_t *list = json_array();
    size_t i;
    bool embeds = false;
    json_array_foreach(more, i, word) embeds =
        embeds || (json_is_string(word) && strcmp(json_string_value(word), "embedding") == 0);
    bool speaks = !c->configured || c->out.count == 0 || has(&c->out, "text");
    if (speaks && !embeds && !c->reranker)
        json_array_append_new(list, json_string("completion"));
    if (c->tools)
        json_array_append_new(list, json_string("tools"));
    if (has(&c->in, "image"))
        json_array_append_new(list, json_string("vision"));
    json_array_foreach(more, i, word) if (json_is_string(word))
        json_array_append_new(list, json_string(json_string_value(word)));
    char *text = json_dumps(list, JSON_COMPACT);
    buf_printf(json, ",\"capabilities\":%s", text);
    free(text);
    json_decref(list);
}

/* Clients look for ARCHITECTURE.context_length. */
static void put_info(const struct entry *e, const json_t *known, struct buf *json)
{
    const json_t *given = json_object_get(known, "model_info");
    json_t *info = json_is_object(given) ? json_deep_copy(given) : json_object();
    const char *family = text_of(info, "general.architecture", text_of(known, "family", ""));
    uint64_t context = e->model ? e->model->capabilities.context_tokens : 0;
    struct buf name = {0};
    if (*family || context)
        json_object_set_new(info, "general.architecture",
                            json_string(*family ? family : "unknown"));
    buf_printf(&name, "%s.context_length", *family ? family : "unknown");
    if (context && !json_object_get(info, name.data))
        json_object_set_new(info, name.data, json_integer((json_int_t)context));
    char *text = json_dumps(info, JSON_COMPACT);
    buf_printf(json, ",\"model_info\":%s", text ? text : "{}");
    free(text);
    buf_fini(&name);
    json_decref(info);
}

static void show(struct server *s, struct exchange *ex, const struct entry *e)
{
    struct buf json = {0};
    json_t *known = about(e);
    buf_text(&json, "{\"license\":\"\",\"modelfile\":\"\",\"parameters\":\"\",\"template\":\"\","
                    "\"system\":\"\"");
    put_details(known, &json);
    put_info(e, known, &json);
    put_capabilities(e, known, &json);
    put_modified(s, &json);
    buf_text(&json, "}\n");
    json_decref(known);
    api_send_json(ex, 200, &json);
}

void ollama_show(struct server *s, struct exchange *ex)
{
    char made[API_NAME_MAX];
    const char *asked;
    struct naming who;
    json_t *body = api_read_json(ex);
    if (!body)
        return;
    bool older = !json_object_get(body, "model");
    if (api_read_text(ex, body, older ? "name" : "model", true, &asked)) {
        const char *name = ollama_name_find(ex, asked, made);
        if (exchange_name(ex, name, &who))
            show(s, ex, &(struct entry){.name = who.asked, .model = who.model, .slot = who.slot});
    }
    json_decref(body);
}

/* ---- of itself ---- */

void ollama_version(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    (void)s;
    buf_printf(&json,
               "{\"version\":\"" OLLAMA_API_VERSION
               "\",\"wharf\":\"%s\",\"commit\":\"%s\",\"build_date\":\"%s\"}\n",
               build.version, build.commit, build.date);
    api_send_json(ex, 200, &json);
}

void ollama_running(struct server *s, struct exchange *ex)
{
    static const char text[] = "Ollama is running";
    (void)s;
    exchange_reply(ex, 200, "text/plain; charset=utf-8", NULL, text, sizeof(text) - 1);
}

void ollama_cannot(struct server *s, struct exchange *ex)
{
    (void)s;
    exchange_fail_error(ex, ERR_NOT_SERVED,
                        "models are defined in wharf's configuration; they are not pulled, pushed, "
                        "created, copied or deleted here");
}
