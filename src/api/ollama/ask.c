#include "api/ollama/ask.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/ollama/words.h"
#include "base/alloc.h"
#include "base/pure/errors.h"

bool ollama_ask_fail(struct ollama_ask *ask, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    buf_clear(&ask->why);
    buf_vprintf(&ask->why, format, ap);
    va_end(ap);
    ask->error = ERR_BODY_INVALID;
    return false;
}

static bool read_common(struct ollama_ask *ask, const json_t *in)
{
    const json_t *model = json_object_get(in, "model"), *stream = json_object_get(in, "stream");
    if (!json_string_length(model)) {
        ask->error = ERR_MODEL_MISSING;
        return false;
    }
    if (strlen(json_string_value(model)) != json_string_length(model))
        return ollama_ask_fail(ask, "the model's name holds a NUL");
    ask->model = alloc_text(json_string_value(model));
    if (stream && !json_is_boolean(stream) && !json_is_null(stream))
        return ollama_ask_fail(ask, "\"stream\" must be true or false");
    bool embeds = ask->call == OLLAMA_EMBED || ask->call == OLLAMA_EMBEDDINGS;
    ask->stream = !embeds && !json_is_false(stream); /* absent is true */
    return ollama_read_keep(ask, in);
}

static bool translate(struct ollama_ask *ask, const json_t *in, json_t *out)
{
    json_object_set_new(out, "model", json_string(ask->model));
    if (ask->call == OLLAMA_CHAT)
        return ollama_chat(ask, in, out);
    if (ask->call == OLLAMA_GENERATE)
        return ollama_generate(ask, in, out);
    return ollama_embed(ask, in, out);
}

static void put_stream(const struct ollama_ask *ask, json_t *out)
{
    bool embeds = ask->call == OLLAMA_EMBED || ask->call == OLLAMA_EMBEDDINGS;
    if (embeds)
        return;
    json_object_set_new(out, "stream", json_boolean(ask->stream));
    if (ask->stream)
        json_object_set_new(out, "stream_options", json_pack("{s:b}", "include_usage", 1));
}

static void read_object(struct ollama_ask *ask, const json_t *in)
{
    json_t *out = json_object();
    if (read_common(ask, in) && translate(ask, in, out) && !ask->empty) {
        put_stream(ask, out);
        ask->body = json_dumps(out, JSON_COMPACT);
        ask->body_len = ask->body ? strlen(ask->body) : 0;
        if (!ask->body)
            ollama_ask_fail(ask, "the body holds a number or text that cannot be written again");
    }
    json_decref(out);
}

/* At least as many values as it has, if it is JSON. */
static size_t count_values(const char *text, size_t n)
{
    size_t count = 1;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted)
            i += c == '\\';
        else
            count += c == ',' || c == '[' || c == '{';
    }
    return count;
}

void ollama_ask_read(struct ollama_ask *ask, const char *text, size_t n)
{
    json_error_t where;
    if (count_values(text, n) > OLLAMA_VALUES_MAX) {
        ask->error = ERR_BODY_TOO_LARGE;
        buf_printf(&ask->why, "requests that are translated may have %d values", OLLAMA_VALUES_MAX);
        return;
    }
    json_t *in = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (json_is_object(in)) {
        read_object(ask, in);
    } else {
        ask->error = ERR_JSON_INVALID;
        buf_printf(&ask->why, "the body is not one valid JSON object, at byte offset %d",
                   in ? 0 : where.position);
    }
    json_decref(in);
}

void ollama_ask_fini(struct ollama_ask *ask)
{
    free(ask->model);
    free(ask->body);
    buf_fini(&ask->why);
}
