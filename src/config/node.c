#include "config/node.h"

#include <string.h>

struct node *node_new(struct arena *a, enum node_kind kind, struct place at)
{
    struct node *n = arena_alloc(a, 1, sizeof(*n));
    n->kind = kind;
    n->at = at;
    n->text = "";
    return n;
}

void node_append(struct arena *a, struct node *parent, struct node *key, struct node *value)
{
    if (parent->count == parent->room) {
        uint32_t room = parent->room ? parent->room * 2 : 4;
        struct node_item *items = arena_alloc(a, room, sizeof(*items));
        if (parent->count)
            memcpy(items, parent->items, parent->count * sizeof(*items));
        parent->items = items;
        parent->room = room;
    }
    parent->items[parent->count++] = (struct node_item){.key = key, .value = value};
}

struct node *node_find(const struct node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->count; i++)
        if (strcmp(map->items[i].key->text, key) == 0)
            return map->items[i].value;
    return NULL;
}

struct node *node_remove(struct node *map, const char *key)
{
    struct node *value = node_find(map, key);
    if (!value)
        return NULL;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map->count; i++)
        if (map->items[i].value != value)
            map->items[kept++] = map->items[i];
    map->count = kept;
    return value;
}

bool node_says_null(const struct node *n)
{
    return n->kind == NODE_SCALAR && scalar_read(n).type == SCALAR_NULL;
}
