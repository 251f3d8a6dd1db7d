#include "api/ollama/tools.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/alloc.h"

void ollama_tools_fini(struct ollama_tools *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        buf_fini(&t->items[i].id);
        buf_fini(&t->items[i].name);
        buf_fini(&t->items[i].arguments);
    }
    free(t->items);
    *t = (struct ollama_tools){0};
}

static void add_text(struct ollama_tools *t, struct buf *to, const json_t *text)
{
    t->bytes += json_string_length(text);
    if (t->bytes <= OLLAMA_TOOLS_BYTES_MAX)
        buf_append(to, json_string_value(text), json_string_length(text));
}

/* Some servers send arguments as the object that they are. */
static void add_arguments(struct ollama_tools *t, struct buf *to, const json_t *arguments)
{
    char *text = json_is_object(arguments) ? json_dumps(arguments, JSON_COMPACT) : NULL;
    json_t *made = text ? json_string(text) : NULL;
    add_text(t, to, made ? made : arguments);
    json_decref(made);
    free(text);
}

static int add_piece(struct ollama_tools *t, const json_t *piece, size_t place)
{
    const json_t *index = json_object_get(piece, "index");
    const json_t *function = json_object_get(piece, "function");
    json_int_t at = json_is_integer(index) ? json_integer_value(index) : (json_int_t)place;
    if (!json_is_object(piece) || at < 0 || at >= OLLAMA_TOOLS_MAX)
        return -1;
    if (at >= t->count) {
        t->items = alloc_grow(t->items, (size_t)at + 1, sizeof(*t->items));
        while (t->count <= at)
            t->items[t->count++] = (struct ollama_tool){0};
    }
    struct ollama_tool *tool = &t->items[at];
    if (tool->id.len == 0)
        add_text(t, &tool->id, json_object_get(piece, "id"));
    add_text(t, &tool->name, json_object_get(function, "name"));
    add_arguments(t, &tool->arguments, json_object_get(function, "arguments"));
    return t->bytes <= OLLAMA_TOOLS_BYTES_MAX ? 0 : -1;
}

int ollama_tools_add(struct ollama_tools *t, const char *json, size_t n)
{
    json_t *list = n <= OLLAMA_TOOLS_BYTES_MAX ? json_loadb(json, n, JSON_ALLOW_NUL, NULL) : NULL;
    const json_t *piece;
    size_t i;
    int rc = json_is_array(list) ? 0 : -1;
    json_array_foreach(list, i, piece) rc = rc == 0 ? add_piece(t, piece, i) : rc;
    json_decref(list);
    return rc;
}

static int put_tool(const struct ollama_tool *tool, uint32_t index, struct buf *out)
{
    const char *arguments = tool->arguments.len ? tool->arguments.data : "{}";
    json_t *object = json_loads(arguments, JSON_ALLOW_NUL, NULL);
    /* Written anew: a line break in it would end the line that it is going to be on. */
    char *text = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
        return -1;
    buf_char(out, '{');
    if (tool->id.len) {
        buf_text(out, "\"id\":");
        buf_json(out, tool->id.data, tool->id.len);
        buf_char(out, ',');
    }
    buf_printf(out, "\"function\":{\"index\":%u,\"name\":", index);
    buf_json(out, tool->name.len ? tool->name.data : "", tool->name.len);
    buf_printf(out, ",\"arguments\":%s}}", text);
    free(text);
    return 0;
}

int ollama_tools_put(const struct ollama_tools *t, struct buf *out)
{
    int rc = 0;
    buf_char(out, '[');
    for (uint32_t i = 0; i < t->count && rc == 0; i++) {
        buf_text(out, i ? "," : "");
        rc = put_tool(&t->items[i], i, out);
    }
    buf_char(out, ']');
    return rc;
}
