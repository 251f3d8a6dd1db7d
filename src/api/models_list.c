/* GET /v1/models: everything that a client may ask for, as llama-swap lists it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/handlers.h"
#include "base/alloc.h"
#include "config/config.h"
#include "http/json_path.h"
#include "server/proxy/entry.h"

/* A row of the list; texts that are not bufs are the configuration's. */
struct row {
    const char *id, *description;
    struct buf name;
    struct buf meta; /* what the user says of it, with wharf's words on top: a JSON object */
    const struct config_capabilities *capabilities; /* NULL: none are configured */
    bool loaded;
};

struct rows {
    struct row *items; /* owned */
    uint32_t count, cap;
};

static struct row *add(struct rows *rows, const char *id, const char *metadata)
{
    if (rows->count == rows->cap) {
        rows->cap = rows->cap ? 2 * rows->cap : 16;
        rows->items = alloc_grow(rows->items, rows->cap, sizeof(*rows->items));
    }
    struct row *row = &rows->items[rows->count++];
    *row = (struct row){.id = id, .description = ""};
    buf_text(&row->meta, metadata);
    return row;
}

/* In place of what stands there under that name; json is emptied. */
static void put_member(struct buf *object, const char *name, struct buf *json)
{
    must(json_path_change(object, name, json->data) == 0);
    buf_fini(json);
}

static void put_text(struct buf *object, const char *name, const char *text)
{
    struct buf json = {0};
    buf_json_text(&json, text);
    put_member(object, name, &json);
}

static void put_list(struct buf *object, const char *name, const struct config_strings *words)
{
    struct buf json = {0};
    buf_char(&json, '[');
    for (uint32_t i = 0; i < words->count; i++) {
        buf_text(&json, i ? "," : "");
        buf_json_text(&json, words->items[i]);
    }
    buf_char(&json, ']');
    put_member(object, name, &json);
}

/* The aliases of the file, then the names of setParamsByID that are none of them. The list is the
 * caller's, its texts are not. */
static struct config_strings aliases_of(const struct config_model *m)
{
    struct config_strings all = {0};
    uint32_t max = m->aliases.count + m->filters.variant_count;
    all.items = alloc_zeroed(max, sizeof(*all.items));
    for (uint32_t i = 0; i < m->aliases.count; i++)
        all.items[all.count++] = m->aliases.items[i];
    for (uint32_t i = 0; i < m->filters.variant_count; i++) {
        char *id = m->filters.variants[i].id;
        bool known = strcmp(id, m->id) == 0;
        for (uint32_t k = 0; k < m->aliases.count && !known; k++)
            known = strcmp(id, m->aliases.items[k]) == 0;
        if (!known)
            all.items[all.count++] = id;
    }
    return all;
}

static struct row *add_of_model(struct rows *rows, const struct config_model *m, const char *id,
                                bool loaded)
{
    static const char *const told[] = {"architecture", "capabilities", "supported_parameters",
                                       "context_length"};
    struct row *row = add(rows, id, m->metadata);
    buf_text(&row->name, m->name);
    row->description = m->description;
    row->loaded = loaded;
    row->capabilities = m->capabilities.configured ? &m->capabilities : NULL;
    for (uint32_t i = 0; row->capabilities && i < countof(told); i++)
        must(json_path_change(&row->meta, told[i], NULL) == 0);
    return row;
}

static void add_models(const struct server *s, const struct exchange *ex, struct rows *rows)
{
    const struct config_ref *ref = s->roster.current;
    for (uint32_t i = 0; i < ref->config->model_count; i++) {
        const struct config_model *m = &ref->config->models[i];
        bool loaded = api_counts_as_loaded(s, ref->slots[i]);
        if (m->unlisted || !api_lists(ex, m))
            continue;
        struct config_strings aliases = aliases_of(m);
        struct row *row = add_of_model(rows, m, m->id, loaded);
        put_text(&row->meta, "type", "model");
        if (aliases.count)
            put_list(&row->meta, "aliases", &aliases);
        for (uint32_t k = 0; ref->config->observe.aliases_in_list && k < aliases.count; k++) {
            const char *alias = aliases.items[k];
            if (alias[strspn(alias, " \t\r\n")] == '\0')
                continue;
            row = add_of_model(rows, m, alias, loaded);
            put_text(&row->meta, "type", "alias");
            put_text(&row->meta, "modelID", m->id);
        }
        free(aliases.items);
    }
}

static void add_peers(const struct config *c, const struct exchange *ex, struct rows *rows)
{
    for (uint32_t i = 0; i < c->peer_count; i++) {
        const struct config_peer *peer = &c->peers[i];
        for (uint32_t k = 0; k < peer->models.count; k++) {
            if (!api_lists_name(ex, peer->names.items[k]))
                continue;
            struct row *row = add(rows, peer->names.items[k], "{}");
            buf_printf(&row->name, "%s: %s", peer->id, peer->models.items[k]);
            put_text(&row->meta, "type", "peer");
            put_text(&row->meta, "peerID", peer->id);
        }
    }
}

static bool has_loaded_target(const struct server *s, const struct config_selector *sel)
{
    const struct config_ref *ref = s->roster.current;
    uint32_t count = sel->strategy == CONFIG_STRATEGY_PIN ? 1 : sel->target_count;
    for (uint32_t i = 0; i < count; i++) {
        struct core_model_view v;
        if (sel->targets[i].model == CONFIG_NO_MODEL)
            continue;
        core_view_model(s->runner.core, ref->slots[sel->targets[i].model], &v);
        if (v.state == MODEL_LOADED || v.state == MODEL_LOADING)
            return true;
    }
    return false;
}

static void add_selectors(const struct server *s, const struct exchange *ex, struct rows *rows)
{
    const struct config *c = s->roster.current->config;
    for (uint32_t i = 0; i < c->selector_count; i++) {
        const struct config_selector *sel = &c->selectors[i];
        struct buf targets = {0}, spillover = {0};
        if (sel->unlisted || !api_lists_name(ex, sel->id))
            continue;
        struct row *row = add(rows, sel->id, sel->metadata);
        buf_text(&row->name, sel->name);
        row->description = sel->description;
        row->loaded = has_loaded_target(s, sel);
        put_text(&row->meta, "type", "selector");
        put_text(&row->meta, "strategy", config_strategy_words[sel->strategy]);
        for (uint32_t k = 0; k < sel->target_count; k++) {
            buf_char(&targets, k ? ',' : '[');
            buf_json_text(&targets, sel->targets[k].name);
        }
        buf_char(&targets, ']');
        put_member(&row->meta, "targets", &targets);
        buf_printf(&spillover, "%u", sel->spillover);
        if (sel->strategy == CONFIG_STRATEGY_SPILLOVER)
            put_member(&row->meta, "spillover", &spillover);
        buf_fini(&spillover);
    }
}

/* What only the active profile knows: names of nobody else. */
static void add_pins(const struct server *s, const struct exchange *ex, struct rows *rows)
{
    const struct config *c = s->roster.current->config;
    const struct config_profile *p = profiles_active(s, c);
    for (uint32_t i = 0; p && i < p->pin_count; i++) {
        if (!*p->pins[i].target || config_find_name(c, p->pins[i].name) ||
            !api_lists_name(ex, p->pins[i].name))
            continue;
        struct row *row = add(rows, p->pins[i].name, "{}");
        put_text(&row->meta, "type", "profile");
    }
}

/* ---- rows as JSON ---- */

static bool can(const struct config_strings *kinds, const char *kind)
{
    for (uint32_t i = 0; i < kinds->count; i++)
        if (strcmp(kinds->items[i], kind) == 0)
            return true;
    return false;
}

static void put_joined(struct buf *out, const struct config_strings *words)
{
    for (uint32_t i = 0; i < words->count; i++)
        buf_printf(out, "%s%s", i ? "+" : "", words->items[i]);
}

static void put_architecture(const struct config_capabilities *c, struct buf *json)
{
    struct buf object = {0}, both = {0};
    if (c->in.count)
        put_list(&object, "input_modalities", &c->in);
    if (c->out.count)
        put_list(&object, "output_modalities", &c->out);
    if (c->in.count && c->out.count) {
        put_joined(&both, &c->in);
        buf_text(&both, "->");
        put_joined(&both, &c->out);
        put_text(&object, "modality", both.data);
    }
    if (object.len)
        buf_printf(json, ",\"architecture\":%s", object.data);
    buf_fini(&object);
    buf_fini(&both);
}

void api_put_capabilities(const struct config_capabilities *c, struct buf *json)
{
    const struct {
        const char *name;
        bool is;
    } flags[] = {
        {"vision", can(&c->in, "image")},
        {"audio_transcriptions", can(&c->in, "audio") && can(&c->out, "text")},
        {"audio_speech", can(&c->in, "text") && can(&c->out, "audio")},
        {"image_generation", can(&c->in, "text") && can(&c->out, "image")},
        {"image_to_image", can(&c->in, "image") && can(&c->out, "image")},
        {"function_calling", c->tools},
        {"reranker", c->reranker},
    };
    struct buf object = {0};
    for (uint32_t i = 0; i < countof(flags); i++)
        if (flags[i].is)
            must(json_path_change(&object, flags[i].name, "true") == 0);
    if (object.len)
        buf_printf(json, ",\"capabilities\":%s", object.data);
    buf_fini(&object);
}

void api_put_context(const struct config_capabilities *c, struct buf *json)
{
    if (c->context_tokens)
        buf_printf(json, ",\"context_length\":%llu", (unsigned long long)c->context_tokens);
}

static void put_row(const struct row *row, struct buf *json)
{
    const struct config_capabilities *c = row->capabilities;
    buf_text(json, "{\"id\":");
    buf_json_text(json, row->id);
    buf_printf(json, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"llama-swap\"",
               (long long)time(NULL));
    if (row->name.len) {
        buf_text(json, ",\"name\":");
        buf_json_text(json, row->name.data);
    }
    if (row->description[0]) {
        buf_text(json, ",\"description\":");
        buf_json_text(json, row->description);
    }
    if (c) {
        put_architecture(c, json);
        api_put_capabilities(c, json);
        if (c->tools)
            buf_text(json, ",\"supported_parameters\":[\"tools\",\"tool_choice\"]");
        api_put_context(c, json);
    }
    buf_printf(json, ",\"meta\":{\"llamaswap\":%s", row->meta.data);
    if (c && c->context_tokens)
        buf_printf(json, ",\"n_ctx\":%llu", (unsigned long long)c->context_tokens);
    buf_printf(json, "},\"status\":{\"value\":\"%s\"}}", row->loaded ? "loaded" : "unloaded");
}

static int by_id(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    return strcmp(a->id, b->id);
}

void api_list_models(struct server *s, struct exchange *ex)
{
    const struct http_field *origin = http_head_find(ex->head, HTTP_FIELD_ORIGIN);
    struct buf json = {0}, fields = {0};
    struct rows rows = {0};
    add_models(s, ex, &rows);
    add_peers(s->roster.current->config, ex, &rows);
    add_selectors(s, ex, &rows);
    add_pins(s, ex, &rows);
    if (rows.count)
        qsort(rows.items, rows.count, sizeof(*rows.items), by_id);
    buf_text(&json, "{\"data\":[");
    for (uint32_t i = 0; i < rows.count; i++) {
        if (i)
            buf_char(&json, ',');
        put_row(&rows.items[i], &json);
        buf_fini(&rows.items[i].name);
        buf_fini(&rows.items[i].meta);
    }
    buf_text(&json, "],\"object\":\"list\"}\n");
    free(rows.items);
    if (origin && origin->value.len <= CONFIG_ORIGIN_BYTES_MAX &&
        entry_trust(ex) == SITE_MODELS) /* one that may do all is told anyway */
        buf_printf(&fields, "Access-Control-Allow-Origin: %.*s\r\n", (int)origin->value.len,
                   ex->bytes + origin->value.off);
    exchange_reply(ex, 200, "application/json", fields.data, json.data, json.len);
    buf_fini(&json);
    buf_fini(&fields);
}
