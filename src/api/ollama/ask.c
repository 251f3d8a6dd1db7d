#include "api/ollama/ask.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/ollama/words.h"
#include "base/alloc.h"
#include "base/pure/errors.h"
#include "http/chars.h"

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
    ask->read = ollama_read_keep(ask, in);
    return ask->read;
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

/* The unit of UTF-16 that "\\uXXXX" at p says; -1: there is no such thing. */
static int unit_at(const char *p, const char *end)
{
    int unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = chars_hex_value(p[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Half a surrogate pair is U+FFFD, as Go's reader has it, and so Ollama; Jansson refuses it. It is
 * what is left of an emoji where a client has cut a text. */
static void mend_surrogates(char *text, size_t n)
{
    static const char replacement[] = {'f', 'f', 'f', 'd'};
    char *end = text + n, *p = text;
    while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL && end - p > 1) {
        int unit = unit_at(p, end), next = unit_at(end - p > 6 ? p + 6 : end, end);
        bool high = unit >= 0xd800 && unit < 0xdc00, low = unit >= 0xdc00 && unit < 0xe000;
        bool pair = high && next >= 0xdc00 && next < 0xe000;
        if ((high || low) && !pair)
            memcpy(p + 2, replacement, sizeof(replacement));
        p += pair ? 12 : unit >= 0 ? 6 : 2;
    }
}

void ollama_ask_read(struct ollama_ask *ask, char *text, size_t n)
{
    json_error_t where;
    if (count_values(text, n) > OLLAMA_VALUES_MAX) {
        ask->error = ERR_BODY_TOO_LARGE;
        buf_printf(&ask->why, "requests that are translated may have %d values", OLLAMA_VALUES_MAX);
        return;
    }
    mend_surrogates(text, n);
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
