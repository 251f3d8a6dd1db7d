/* The messages of a chat: images, thoughts, and the calls of tools, which Ollama does not number.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/ollama/ask.h"
#include "api/ollama/words.h"
#include "base/alloc.h"
#include "base/pure/check.h"

/* ---- content ---- */

/* By the first characters of its base64: the magic bytes of the formats. */
static const char *image_type(const char *base64)
{
    static const struct {
        const char *begins, *type;
    } types[] = {
        {"iVBORw0KGgo", "image/png"},
        {"R0lGOD", "image/gif"},
        {"UklGR", "image/webp"},
        {"Qk", "image/bmp"},
    };
    for (size_t i = 0; i < countof(types); i++)
        if (strncmp(base64, types[i].begins, strlen(types[i].begins)) == 0)
            return types[i].type;
    return "image/jpeg";
}

static json_t *image(const char *base64)
{
    json_t *url = strncmp(base64, "data:", 5) == 0
                      ? json_string(base64)
                      : json_sprintf("data:%s;base64,%s", image_type(base64), base64);
    return json_pack("{s:s, s:{s:o}}", "type", "image_url", "image_url", "url", url);
}

json_t *ollama_content(struct ollama_ask *ask, const json_t *text, const json_t *images)
{
    size_t i;
    const json_t *item;
    if ((text && !json_is_string(text) && !json_is_null(text)) ||
        (images && !json_is_array(images) && !json_is_null(images))) {
        ollama_ask_fail(ask, "a message has a text and a list of images");
        return NULL;
    }
    const char *words = json_string_value(text) ? json_string_value(text) : "";
    size_t n = json_string_length(text);
    if (json_array_size(images) == 0)
        return json_stringn(words, n);
    json_t *parts = json_array();
    if (n)
        json_array_append_new(parts, json_pack("{s:s, s:s%}", "type", "text", "text", words, n));
    json_array_foreach(images, i, item)
    {
        if (!json_is_string(item)) {
            json_decref(parts);
            ollama_ask_fail(ask, "an image must be a text in base64");
            return NULL;
        }
        json_array_append_new(parts, image(json_string_value(item)));
    }
    return parts;
}

/* ---- tools ---- */

/* Calls that a model has made and that no result has come for yet, in their order. */
struct calls {
    json_t *open; /* a list of {id, name} */
    unsigned count;
};

static bool put_call(struct ollama_ask *ask, struct calls *calls, const json_t *call, json_t *list)
{
    const json_t *function = json_object_get(call, "function");
    const char *name = json_string_value(json_object_get(function, "name"));
    const char *id = json_string_value(json_object_get(call, "id"));
    const json_t *arguments = json_object_get(function, "arguments");
    char made[24];
    snprintf(made, sizeof(made), "call_%u", calls->count++);
    if (!name || (arguments && !json_is_object(arguments) && !json_is_null(arguments)))
        return ollama_ask_fail(
            ask, "a call of a tool has a function with a name and arguments, an object");
    char *text = json_is_object(arguments) ? json_dumps(arguments, JSON_COMPACT) : NULL;
    json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id && *id ? id : made,
                                          "type", "function", "function", "name", name, "arguments",
                                          text ? text : "{}"));
    json_array_append_new(calls->open,
                          json_pack("{s:s, s:s}", "id", id && *id ? id : made, "name", name));
    free(text);
    return true;
}

static bool put_calls(struct ollama_ask *ask, struct calls *calls, const json_t *in, json_t *out)
{
    const json_t *given = json_object_get(in, "tool_calls"), *call;
    size_t i;
    if (json_array_size(given) == 0)
        return true;
    json_t *list = json_array();
    bool ok = true;
    json_array_foreach(given, i, call) ok = ok && put_call(ask, calls, call, list);
    json_object_set_new(out, "tool_calls", list);
    return ok;
}

/* Which call a result is of: it says so, or it is the first that is open, of the tool if it names
 * one. */
static void put_result_of(struct calls *calls, const json_t *in, json_t *out)
{
    const char *id = json_string_value(json_object_get(in, "tool_call_id"));
    const char *name = json_string_value(json_object_get(in, "tool_name"));
    size_t i;
    const json_t *call;
    json_array_foreach(calls->open, i, call)
    {
        const char *its_id = json_string_value(json_object_get(call, "id"));
        const char *its_name = json_string_value(json_object_get(call, "name"));
        if (id && *id ? strcmp(id, its_id) != 0 : name && *name && strcmp(name, its_name) != 0)
            continue;
        json_object_set_new(out, "tool_call_id", json_string(its_id));
        json_array_remove(calls->open, i);
        return;
    }
    if (id && *id)
        json_object_set_new(out, "tool_call_id", json_string(id));
}

/* ---- messages ---- */

static bool put_message(struct ollama_ask *ask, struct calls *calls, const json_t *in, json_t *list)
{
    json_t *role = json_object_get(in, "role"), *thinking = json_object_get(in, "thinking");
    if (!json_string_length(role))
        return ollama_ask_fail(ask, "a message must have a role");
    json_t *content =
        ollama_content(ask, json_object_get(in, "content"), json_object_get(in, "images"));
    if (!content)
        return false;
    json_t *out = json_pack("{s:O, s:o}", "role", role, "content", content);
    if (json_string_length(thinking))
        json_object_set(out, "reasoning_content", thinking);
    if (strcmp(json_string_value(role), "tool") == 0)
        put_result_of(calls, in, out);
    json_array_append_new(list, out);
    return put_calls(ask, calls, in, out);
}

bool ollama_put_messages(struct ollama_ask *ask, const json_t *in, json_t *out)
{
    const json_t *given = json_object_get(in, "messages"), *message;
    struct calls calls = {.open = json_array()};
    json_t *list = json_array();
    bool ok = true;
    size_t i;
    json_array_foreach(given, i, message) ok = ok && put_message(ask, &calls, message, list);
    json_object_set_new(out, "messages", list);
    json_decref(calls.open);
    return ok;
}
