#include "simulate/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define SIZE_MIN 64

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint32_t hash_of(const char *text)
{
    uint32_t h = 2166136261U;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619U;
    return h;
}

/* Where the text stands in the table, or would. */
static uint32_t *place_of(struct names *n, const char *text)
{
    uint32_t at = hash_of(text) & (n->table_size - 1);
    while (n->table[at] && strcmp(n->texts[n->table[at] - 1], text) != 0)
        at = (at + 1) & (n->table_size - 1);
    return &n->table[at];
}

static void grow(struct names *n)
{
    free(n->table);
    n->table_size = n->table_size ? n->table_size * 2 : SIZE_MIN;
    n->table = alloc_zeroed(n->table_size, sizeof(*n->table));
    n->texts = alloc_grow(n->texts, n->table_size / 2, sizeof(*n->texts));
    for (uint32_t i = 0; i < n->count; i++)
        *place_of(n, n->texts[i]) = i + 1;
}

uint32_t names_number(struct names *n, const char *text)
{
    if (n->count == n->table_size / 2)
        grow(n);
    uint32_t *place = place_of(n, text);
    if (!*place) {
        n->texts[n->count++] = alloc_text(text);
        *place = n->count;
    }
    return *place;
}

void names_fini(struct names *n)
{
    for (uint32_t i = 0; i < n->count; i++)
        free(n->texts[i]);
    free(n->texts);
    free(n->table);
    *n = (struct names){.count = 0};
}
