/* Where the values of a configuration stand in its files.
 *
 * What is printed of a configuration is YAML with the same keys as its files; so a printed value is
 * looked up by its path. What has no place there is a default, or was made of other values. */
#include "config/origins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/arena.h"
#include "config/diag.h"
#include "config/source.h"

#define FNV_START 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u
#define DEPTH_MAX 32

/* Keys that are printed elsewhere than they may stand, as paths with '/'. */
static const struct {
    const char *written, *printed;
} moved[] = {
    {"groups", "routing/router/settings/groups"},
    {"matrix", "routing/router/settings/matrix"},
};

static uint64_t step(uint64_t path, const char *name)
{
    for (const char *p = name; *p; p++)
        path = (path ^ (uint8_t)*p) * FNV_PRIME;
    return (path ^ 0xff) * FNV_PRIME; /* no byte of UTF-8 */
}

static uint64_t step_of(uint64_t path, const struct node *parent, uint32_t i)
{
    char index[16];
    if (parent->kind == NODE_MAP)
        return step(path, parent->items[i].key->text);
    snprintf(index, sizeof(index), "%u", i);
    return step(path, index);
}

static uint64_t path_of(const char *words)
{
    uint64_t path = FNV_START;
    while (*words) {
        char word[32];
        size_t n = strcspn(words, "/");
        snprintf(word, sizeof(word), "%.*s", (int)n, words);
        path = step(path, word);
        words += n + (words[n] == '/');
    }
    return path;
}

struct gathering {
    struct config *config;
    struct config_origin *items;
    uint32_t count, room;
    const char *last_file, *last_copy;
};

static uint32_t count_below(const struct node *n, int depth)
{
    uint32_t sum = n->count;
    for (uint32_t i = 0; i < n->count && depth < DEPTH_MAX; i++)
        sum += count_below(n->items[i].value, depth + 1);
    return sum;
}

static const char *copy_of(struct gathering *g, const char *file)
{
    if (file != g->last_file) {
        g->last_file = file;
        g->last_copy = arena_text(g->config->memory, file ? file : "");
    }
    return g->last_copy;
}

static void gather(struct gathering *g, const struct node *n, uint64_t path, int depth)
{
    for (uint32_t i = 0; i < n->count && g->count < g->room; i++) {
        const struct node *value = n->items[i].value, *key = n->items[i].key;
        uint64_t below = step_of(path, n, i);
        struct place at = key ? key->at : value->at;
        g->items[g->count++] =
            (struct config_origin){.path = below, .file = copy_of(g, at.file), .line = at.line};
        if (depth < DEPTH_MAX)
            gather(g, value, below, depth + 1);
    }
}

static int by_path(const void *a, const void *b)
{
    const struct config_origin *x = a, *y = b;
    return x->path < y->path ? -1 : x->path > y->path;
}

void origins_gather(struct config *c, const struct node *root)
{
    struct gathering g = {.config = c};
    /* What has moved is there twice. */
    g.room = 2 * count_below(root, 0);
    g.items = arena_alloc(c->memory, g.room + 1, sizeof(*g.items));
    gather(&g, root, FNV_START, 0);
    for (size_t m = 0; m < countof(moved); m++) {
        const struct node *value = node_find(root, moved[m].written);
        if (value)
            gather(&g, value, path_of(moved[m].printed), 0);
    }
    qsort(g.items, g.count, sizeof(*g.items), by_path);
    c->origins = g.items;
    c->origin_count = g.count;
}

static const struct config_origin *find(const struct config *c, uint64_t path)
{
    const struct config_origin key = {.path = path};
    return c->origin_count ? bsearch(&key, c->origins, c->origin_count, sizeof(key), by_path)
                           : NULL;
}

/* Of each printed line, from 1, where what it says stands; NULL: nowhere. */
struct lines {
    const struct config *config;
    const struct config_origin **origins;
    uint32_t count;
};

static void look_up(struct lines *l, const struct node *n, uint64_t path, int depth)
{
    for (uint32_t i = 0; i < n->count && depth < DEPTH_MAX; i++) {
        const struct node *value = n->items[i].value, *key = n->items[i].key;
        uint64_t below = step_of(path, n, i);
        uint32_t line = key ? key->at.line : value->at.line;
        /* Of several values on one line, such as a list, the line's own key. */
        if (line <= l->count && !l->origins[line])
            l->origins[line] = find(l->config, below);
        look_up(l, value, below, depth + 1);
    }
}

static void put_lines(const struct lines *l, const struct buf *text, struct buf *json)
{
    const char *at = text->data, *end = text->data + text->len;
    for (uint32_t line = 1; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const struct config_origin *from = line <= l->count ? l->origins[line] : NULL;
        stop = stop ? stop : end;
        buf_text(json, line > 1 ? ",{\"text\":" : "{\"text\":");
        buf_json(json, at, (size_t)(stop - at));
        buf_text(json, ",\"file\":");
        if (from)
            buf_json_text(json, from->file);
        else
            buf_text(json, "null");
        if (from)
            buf_printf(json, ",\"line\":%u}", from->line);
        else
            buf_text(json, ",\"line\":null}");
        at = stop + 1;
    }
}

void origins_print(const struct config *c, struct buf *json)
{
    struct arena scratch = {0};
    struct buf text = {0};
    struct diag d = {.arena = &scratch, .file = ""};
    config_print(c, &text);
    struct lines l = {.config = c};
    for (size_t i = 0; i < text.len; i++)
        l.count += text.data[i] == '\n';
    l.origins = arena_alloc(&scratch, l.count + 2, sizeof(*l.origins));
    /* A configuration beyond the parser's limits, with all defaults written out, has no origins. */
    const struct node *root = source_parse(&scratch, &d, text.data, text.len);
    if (root)
        look_up(&l, root, FNV_START, 0);
    buf_char(json, '[');
    put_lines(&l, &text, json);
    buf_char(json, ']');
    buf_fini(&text);
    arena_fini(&scratch);
}
