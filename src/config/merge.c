#include "config/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"

/* Mappings whose keys are names: what two sources say about one of them is not put together. */
static const char *const named[] = {
    "models",
    "groups",
    "profiles",
    "selectors",
    "peers",
    "matrix",
    "gates",
    "modes",
    "routing.router.settings.groups",
    "routing.router.settings.matrix",
};

struct merger {
    struct arena *arena;
    struct diag *diag;
};

static void merge_maps(struct merger *m, const char *path, struct node *to,
                       const struct node *from);

static int by_key(const void *pa, const void *pb)
{
    const struct node_item *a = *(struct node_item *const *)pa, *b = *(struct node_item *const *)pb;
    return strcmp(a->key->text, b->key->text);
}

static int by_name(const void *name, const void *item)
{
    return strcmp(name, (*(struct node_item *const *)item)->key->text);
}

static bool keys_are_names(const char *path)
{
    for (size_t i = 0; i < countof(named); i++)
        if (strcmp(path, named[i]) == 0)
            return true;
    return false;
}

static bool is_empty(const struct node *n)
{
    return node_is_null(n) || (n->kind == NODE_SCALAR && n->text[0] == '\0');
}

static bool is_same(const struct node *a, const struct node *b)
{
    return scalar_read(a).type == scalar_read(b).type && strcmp(a->text, b->text) == 0;
}

static const char *kind_of(const struct node *n)
{
    return n->kind == NODE_MAP ? "a mapping" : n->kind == NODE_LIST ? "a list" : "a single value";
}

/* "conf/a.yaml, line 3" */
static const char *place_text(struct merger *m, struct place at)
{
    return arena_printf(m->arena, "%s, line %u", at.file, at.line);
}

/* The value of one key that both have. */
static void merge_values(struct merger *m, const char *path, struct node_item *to,
                         const struct node_item *from)
{
    struct node *a = to->value, *b = from->value;
    if (a->broken || b->broken || is_empty(b))
        return;
    if (is_empty(a)) {
        *to = *from;
    } else if (a->kind != b->kind) {
        diag_error(m->diag, b->at, "conflict at %s: %s here, but %s in %s",
                   diag_quote(m->diag, path), kind_of(b), kind_of(a), place_text(m, a->at));
    } else if (a->kind == NODE_MAP) {
        merge_maps(m, path, a, b);
    } else if (a->kind == NODE_LIST) {
        for (uint32_t i = 0; i < b->count; i++)
            node_append(m->arena, a, NULL, b->items[i].value);
    } else if (!is_same(a, b)) {
        diag_error(m->diag, b->at, "conflict at %s: it has another value in %s",
                   diag_quote(m->diag, path), place_text(m, a->at));
    }
}

/* Keys of `from` are looked up among those that `to` had, of which it has each once. */
static void merge_maps(struct merger *m, const char *path, struct node *to, const struct node *from)
{
    uint32_t had = to->count;
    bool names = keys_are_names(path);
    struct node_item **sorted = arena_alloc(m->arena, had + 1, sizeof(struct node_item *));
    struct node_item *items = arena_alloc(m->arena, had + from->count + 1, sizeof(*items));
    if (had)
        memcpy(items, to->items, had * sizeof(*items));
    to->items = items;
    to->room = had + from->count + 1;
    for (uint32_t i = 0; i < had; i++)
        sorted[i] = &items[i];
    if (had)
        qsort(sorted, had, sizeof(struct node_item *), by_key);
    for (uint32_t i = 0; i < from->count; i++) {
        const struct node_item *item = &from->items[i];
        const char *key = item->key->text;
        struct node_item **found =
            had ? bsearch(key, sorted, had, sizeof(struct node_item *), by_name) : NULL;
        if (!found)
            node_append(m->arena, to, item->key, item->value);
        else if (names)
            diag_error(m->diag, item->key->at, "duplicate %s in %s: it stands in %s already",
                       diag_quote(m->diag, key), path, place_text(m, (*found)->key->at));
        else
            merge_values(m, *path ? arena_printf(m->arena, "%s.%s", path, key) : key, *found, item);
    }
    to->anchored |= from->anchored;
}

void merge_root(struct arena *a, struct diag *d, struct node *root, const struct node *from)
{
    struct merger m = {.arena = a, .diag = d};
    merge_maps(&m, "", root, from);
}
