/* What is done to requests and said in lists, and names that are no models of their own, as YAML.
 * JSON is YAML, so free data stands there as it is. */
#include <string.h>

#include "config/print/print.h"

/* Behind the text in quotes at p. */
static const char *text_end(const char *p)
{
    for (p++; *p != '"'; p++)
        p += *p == '\\';
    return p + 1;
}

/* A text that is the value of a key that sounds secret is masked. */
static void mask_json(struct buf *out, const char *json)
{
    bool secret = false;
    for (const char *p = json; *p;) {
        const char *end = *p == '"' ? text_end(p) : p + 1;
        bool is_key = *p == '"' && *end == ':';
        if (secret && *p == '"' && !is_key)
            buf_text(out, "\"" PRINT_MASK "\"");
        else
            buf_append(out, p, (size_t)(end - p));
        if (is_key)
            secret = print_is_secret(p + 1, (size_t)(end - p) - 2);
        else if (*p != ':' && *p != '[' && *p != ',' && *p != '"')
            secret = false;
        p = end;
    }
}

void print_json(struct buf *out, int depth, const char *key, const char *json)
{
    if (strcmp(json, "{}") == 0)
        return;
    print_indent(out, depth);
    buf_printf(out, "%s: ", key);
    mask_json(out, json);
    buf_char(out, '\n');
}

/* Behind the name of what they are set for. */
static void print_params(struct buf *out, int depth, const struct config_params *set)
{
    buf_text(out, set->count ? "\n" : " {}\n");
    for (uint32_t i = 0; i < set->count; i++) {
        const struct config_param *p = &set->items[i];
        bool secret = p->json[0] == '"' && print_is_secret(p->name, strlen(p->name));
        print_key(out, depth, p->name);
        buf_char(out, ' ');
        if (secret)
            buf_text(out, "\"" PRINT_MASK "\"");
        else
            mask_json(out, p->json);
        buf_char(out, '\n');
    }
}

void print_filters(struct buf *out, int depth, const struct config_filters *f)
{
    if (f->strip.count + f->set.count + f->variant_count == 0)
        return;
    print_indent(out, depth);
    buf_text(out, "filters:\n");
    if (f->strip.count) {
        struct buf names = {0};
        for (uint32_t i = 0; i < f->strip.count; i++) {
            buf_text(&names, i ? ", " : "");
            buf_text(&names, f->strip.items[i]);
        }
        print_indent(out, depth + 1);
        buf_text(out, "stripParams: ");
        buf_json(out, names.data, names.len);
        buf_char(out, '\n');
        buf_fini(&names);
    }
    if (f->set.count) {
        print_indent(out, depth + 1);
        buf_text(out, "setParams:");
        print_params(out, depth + 2, &f->set);
    }
    if (f->variant_count == 0)
        return;
    print_indent(out, depth + 1);
    buf_text(out, "setParamsByID:\n");
    for (uint32_t i = 0; i < f->variant_count; i++) {
        print_key(out, depth + 2, f->variants[i].id);
        print_params(out, depth + 3, &f->variants[i].set);
    }
}

void print_model_faces(struct buf *out, const struct config_model *m)
{
    const struct config_capabilities *c = &m->capabilities;
    print_filters(out, 2, &m->filters);
    print_json(out, 2, "metadata", m->metadata);
    if (c->configured) {
        buf_text(out, "    capabilities:\n");
        print_texts(out, 3, "in", &c->in);
        print_texts(out, 3, "out", &c->out);
        print_scope(out, 3, SCOPE_CAPABILITIES, m);
    }
    buf_printf(out, "    sendLoadingState: %s\n    compat:\n",
               m->sends_loading_state ? "true" : "false");
    print_scope(out, 3, SCOPE_COMPAT, m);
}

static void print_peer(struct buf *out, const struct config_peer *peer)
{
    print_key(out, 1, peer->id);
    buf_text(out, "\n    proxy: ");
    print_url(out, peer->proxy);
    if (*peer->api_key)
        buf_text(out, "    apiKey: \"" PRINT_MASK "\"\n");
    print_texts(out, 2, "models", &peer->models);
    print_filters(out, 2, &peer->filters);
    buf_text(out, "    timeouts:\n");
    print_scope(out, 3, SCOPE_PEER_TIMEOUTS, peer);
}

static void print_selector(struct buf *out, const struct config_selector *s)
{
    struct buf targets = {0};
    print_key(out, 1, s->id);
    buf_char(out, '\n');
    print_scope(out, 2, SCOPE_SELECTOR, s);
    for (uint32_t i = 0; i < s->target_count; i++) {
        buf_text(&targets, i ? ", " : "");
        buf_json_text(&targets, s->targets[i].name);
    }
    buf_printf(out, "    targets: [%s]\n", targets.data);
    buf_printf(out, "    settings: {spillover: %u}\n", s->spillover);
    print_json(out, 2, "metadata", s->metadata);
    buf_fini(&targets);
}

static void print_profile(struct buf *out, const struct config_profile *p)
{
    print_key(out, 1, p->id);
    buf_char(out, '\n');
    print_scope(out, 2, SCOPE_PROFILE, p);
    buf_text(out, "    pins:\n");
    for (uint32_t i = 0; i < p->pin_count; i++) {
        print_key(out, 3, p->pins[i].name);
        buf_char(out, ' ');
        buf_json_text(out, p->pins[i].target);
        buf_char(out, '\n');
    }
}

void print_names(struct buf *out, const struct config *c)
{
    buf_text(out, c->peer_count ? "peers:\n" : "");
    for (uint32_t i = 0; i < c->peer_count; i++)
        print_peer(out, &c->peers[i]);
    buf_text(out, c->selector_count ? "selectors:\n" : "");
    for (uint32_t i = 0; i < c->selector_count; i++)
        print_selector(out, &c->selectors[i]);
    buf_text(out, c->profile_count ? "profiles:\n" : "");
    for (uint32_t i = 0; i < c->profile_count; i++)
        print_profile(out, &c->profiles[i]);
}
