/* What is changed in request bodies, of models and of peers. */
#include <stdlib.h>
#include <string.h>

#include "config/json.h"
#include "config/resolve.h"

#define MODEL_MEMBER "model"

static int by_text(const void *pa, const void *pb)
{
    const char *const *a = pa, *const *b = pb;
    return strcmp(*a, *b);
}

static int by_name(const void *pa, const void *pb)
{
    const struct config_param *a = pa, *b = pb;
    return strcmp(a->name, b->name);
}

static int by_id(const void *pa, const void *pb)
{
    const struct config_variant *a = pa, *b = pb;
    return strcmp(a->id, b->id);
}

/* llama-swap finds this out at each request, and answers 500. */
static bool is_path(const char *name)
{
    for (const char *p = name; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (strchr("*?#", *p))
            return false;
    }
    return *name != '\0';
}

/* Whether the path leads to the body's `model`, or into it, however its first name is spelled: a
 * colon says that it is a name, and any character of it may have a backslash before it. */
static bool is_models(const char *name)
{
    const char *member = MODEL_MEMBER;
    name += *name == ':';
    for (; *name && *name != '.'; name++, member++) {
        name += *name == '\\' && name[1];
        if (*name != *member)
            return false;
    }
    return *member == '\0';
}

static bool is_usable(struct resolver *r, const char *key, const char *name, struct place at)
{
    if (is_models(name))
        diag_warn(r->diag, at, "%s: 'model' is ignored; write useModelName to change it", key);
    else if (!is_path(name))
        diag_warn(r->diag, at, "%s: %s is no path in a request body, ignored", key,
                  diag_quote(r->diag, name));
    else
        return true;
    return false;
}

static struct config_strings read_strip(struct resolver *r, const struct value *v, const char *key)
{
    struct config_strings strip = {0};
    uint32_t room = 1;
    for (const char *p = v->text; *p; p++)
        room += *p == ',';
    strip.items = arena_alloc(r->arena, room, sizeof(*strip.items));
    for (const char *p = v->text; *p;) {
        size_t n = strcspn(p, ",");
        char *name = resolve_trimmed(r, arena_text_n(r->scratch, p, n));
        if (*name && is_usable(r, key, name, v->at))
            strip.items[strip.count++] = name;
        p += n + (p[n] == ',');
    }
    if (strip.count)
        qsort(strip.items, strip.count, sizeof(*strip.items), by_text);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < strip.count; i++)
        if (kept == 0 || strcmp(strip.items[kept - 1], strip.items[i]) != 0)
            strip.items[kept++] = strip.items[i];
    strip.count = kept;
    return strip;
}

static struct config_params read_params(struct resolver *r, const struct node *n, const char *key)
{
    struct config_params set = {0};
    uint32_t count = n && n->kind == NODE_MAP ? n->count : 0;
    set.items = arena_alloc(r->arena, count, sizeof(*set.items));
    for (uint32_t i = 0; i < count; i++) {
        const struct node *name = n->items[i].key;
        if (!is_usable(r, key, name->text, name->at))
            continue;
        set.items[set.count++] =
            (struct config_param){.name = arena_text(r->arena, name->text),
                                  .json = json_from_node(r->arena, r->diag, n->items[i].value)};
    }
    if (set.count)
        qsort(set.items, set.count, sizeof(*set.items), by_name);
    return set;
}

struct config_filters resolve_filters(struct resolver *r, const struct bound *b)
{
    const struct value *strip = bound_value(b, SET_FILTERS_stripParams);
    const struct value *old = bound_value(b, SET_FILTERS_strip_params);
    const struct node *variants = bound_value(b, SET_FILTERS_setParamsByID)->node;
    uint32_t count = variants ? variants->count : 0;
    struct config_filters f = {0};
    if (*strip->text == '\0')
        f.strip = read_strip(r, old, "strip_params");
    else
        f.strip = read_strip(r, strip, "stripParams");
    f.set = read_params(r, bound_value(b, SET_FILTERS_setParams)->node, "setParams");
    f.variants = arena_alloc(r->arena, count, sizeof(*f.variants));
    f.variant_count = count;
    for (uint32_t i = 0; i < count; i++)
        f.variants[i] = (struct config_variant){
            .id = arena_text(r->arena, variants->items[i].key->text),
            .set = read_params(r, variants->items[i].value, "setParamsByID")};
    if (count)
        qsort(f.variants, count, sizeof(*f.variants), by_id);
    return f;
}

static int compare_id(const void *key, const void *member)
{
    return strcmp(key, ((const struct config_variant *)member)->id);
}

const struct config_variant *config_find_variant(const struct config_filters *f, const char *name)
{
    if (f->variant_count == 0)
        return NULL;
    return bsearch(name, f->variants, f->variant_count, sizeof(f->variants[0]), compare_id);
}
