/* The outer object is only followed by its brackets and texts; what counts of it, each element of
 * "data" and "usage", is kept until it is whole and then read strictly. */
#include "api/ollama/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "http/json.h"

#define DEPTH_MAX 64

void vectors_init(struct vectors *v, bool one)
{
    *v = (struct vectors){.begun = true, .one = one, .prompt_tokens = -1};
    v->item.max = VECTORS_ITEM_MAX;
}

void vectors_fini(struct vectors *v)
{
    buf_fini(&v->item);
}

static bool is_named(const struct vectors *v, const char *name)
{
    return v->name_len == strlen(name) && memcmp(v->name, name, v->name_len) == 0;
}

static void take_element(struct vectors *v, struct buf *out)
{
    static const struct json_step embedding[] = {JSON_NAME("embedding")};
    static const struct json_step index[] = {JSON_NAME("index")};
    struct json_want wants[] = {{.path = embedding, .steps = 1}, {.path = index, .steps = 1}};
    struct json_scan scan;
    json_scan_init(&scan, wants, countof(wants));
    bool fine = !v->item.overflow && json_scan_feed(&scan, v->item.data, v->item.len) == 0 &&
                json_scan_end(&scan) == 0 && wants[0].type == JSON_TYPE_ARRAY;
    /* Theirs are in the order of the inputs; so must these be. */
    if (fine && wants[1].type == JSON_TYPE_NUMBER)
        fine = strtoul(v->item.data + wants[1].off, NULL, 10) == v->count;
    if (!fine || (v->one && v->count)) {
        v->broken = true;
        return;
    }
    if (v->count++)
        buf_char(out, ',');
    buf_append(out, v->item.data + wants[0].off, (size_t)wants[0].len);
}

static void take_usage(struct vectors *v)
{
    static const struct json_step path[] = {JSON_NAME("prompt_tokens")};
    struct json_want want = {.path = path, .steps = 1};
    struct json_scan scan;
    json_scan_init(&scan, &want, 1);
    v->broken = v->broken || v->item.overflow ||
                json_scan_feed(&scan, v->item.data, v->item.len) < 0 || json_scan_end(&scan) < 0;
    double tokens =
        !v->broken && want.type == JSON_TYPE_NUMBER ? strtod(v->item.data + want.off, NULL) : -1;
    if (isfinite(tokens)) /* JSON has no word for the others */
        v->prompt_tokens = tokens;
}

static void open(struct vectors *v, char c)
{
    v->depth++;
    if (v->depth == 1 && c != '{')
        v->broken = true;
    if (v->depth == 2 && c == '[')
        v->list = is_named(v, "data");
    v->seen = v->seen || v->list;
    if ((v->depth == 3 && v->list && c == '{') ||
        (v->depth == 2 && c == '{' && is_named(v, "usage")))
        v->keeping = true;
    v->broken = v->broken || v->depth > DEPTH_MAX;
}

/* The bracket itself has been kept. */
static void close(struct vectors *v, struct buf *out)
{
    if (v->depth == 0) {
        v->broken = true;
        return;
    }
    v->depth--;
    bool element = v->list && v->depth == 2, usage = !v->list && v->depth == 1;
    if (v->keeping && (element || usage)) {
        if (element)
            take_element(v, out);
        else
            take_usage(v);
        v->keeping = false;
        buf_clear(&v->item);
    }
    if (v->depth == 1)
        v->list = false;
}

static void take_quote(struct vectors *v)
{
    v->text = !v->text;
    if (v->text && v->depth == 1)
        v->name_len = 0;
}

static void take(struct vectors *v, char c, struct buf *out)
{
    if (v->keeping)
        buf_char(&v->item, c);
    if (v->escaped) {
        v->escaped = false;
    } else if (c == '"') {
        take_quote(v);
    } else if (v->text) {
        v->escaped = c == '\\';
        if (v->depth == 1 && v->name_len < sizeof(v->name))
            v->name[v->name_len++] = c;
    } else if (c == '{' || c == '[') {
        open(v, c);
        if (v->keeping && v->item.len == 0)
            buf_char(&v->item, c);
    } else if (c == '}' || c == ']') {
        close(v, out);
    }
}

void vectors_feed(struct vectors *v, const char *data, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n && !v->broken; i++)
        take(v, data[i], out);
}

bool vectors_end(const struct vectors *v)
{
    return !v->broken && v->seen && v->depth == 0 && !v->text && (!v->one || v->count == 1);
}
