#include "cli/init/tell.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "cli/init/quote.h"
#include "cli/init/writer.h"
#include "cli/text.h"
#include "config/config.h"

/* ---- for people ---- */

static void line(struct buf *out, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void line(struct buf *out, const char *what, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    buf_printf(out, "%-14s", what);
    text_escape(out, TEXT_LINE, text.data, text.len, false);
    buf_char(out, '\n');
    buf_fini(&text);
}

static void tell_gpus(const struct found *f, struct buf *out)
{
    char size[UNITS_TEXT_MAX];
    if (f->gpu_problem)
        line(out, "GPUs:", "not known: %s", f->gpu_problem);
    else if (!f->gpu_count)
        line(out, "GPUs:", "none: models run on the processor, slowly");
    for (uint32_t i = 0; i < f->gpu_count; i++)
        line(out, i ? "" : "GPUs:", "%s, %s", f->gpus[i].name,
             f->gpus[i].bytes ? units_format_bytes(f->gpus[i].bytes, size) : "memory not known");
}

static const char *plural(uint32_t n)
{
    return n == 1 ? "model" : "models";
}

static void tell_finds(const struct found *f, struct buf *out)
{
    tell_gpus(f, out);
    line(out, "llama-server:", "%s",
         f->server ? f->server : "none: --llama-server PATH, or put it into $PATH");
    line(out, "GGUF files:", "%u %s%s", f->model_count, plural(f->model_count),
         f->model_count ? "" : "; --models DIR says where to look");
    if (f->ollama_answers)
        line(out, "Ollama:", "%s, %u %s", f->ollama, f->pulled_count, plural(f->pulled_count));
    else if (f->ollama)
        line(out, "Ollama:", "nobody answers at %s", f->ollama);
    if (f->notes.count)
        line(out, "Left out:", "%u, named at the end of the file", f->notes.count + f->notes.more);
}

/* What curl is given to reach it: the address as a client writes it. */
static void write_url(struct buf *out, const char *listen)
{
    struct config_listen is;
    must(config_parse_listen(listen, &is) == 0);
    if (is.is_unix) {
        buf_text(out, "--unix-socket ");
        quote_word(out, is.path);
        buf_text(out, " http://wharf");
    } else {
        bool any = !*is.host || strcmp(is.host, "0.0.0.0") == 0 || strcmp(is.host, "::") == 0;
        bool v6 = strchr(is.host, ':') != NULL && !any;
        buf_printf(out, "http://%s%s%s:%u", v6 ? "[" : "", any ? "127.0.0.1" : is.host,
                   v6 ? "]" : "", is.port);
    }
    config_listen_fini(&is);
}

struct example {
    const char *id, *path, *body; /* body: behind the model's name */
};

static bool find_example(const struct found *f, struct example *ret)
{
    static const struct example kinds[] = {
        [FOUND_CHAT] = {NULL, "/v1/chat/completions",
                        "\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]"},
        [FOUND_EMBEDS] = {NULL, "/v1/embeddings", "\"input\": \"Hello\""},
        [FOUND_RERANKS] = {NULL, "/v1/rerank",
                           "\"query\": \"a greeting\", \"documents\": [\"Hello\", \"42\"]"}};
    _Static_assert(countof(kinds) == FOUND_KIND__COUNT, "a row for each kind");
    *ret = (struct example){.id = NULL};
    for (int kind = 0; kind < FOUND_KIND__COUNT && !ret->id; kind++) {
        *ret = kinds[kind];
        for (uint32_t i = 0; f->server && i < f->model_count && !ret->id; i++)
            if ((int)f->models[i].kind == kind)
                ret->id = f->models[i].id;
        for (uint32_t i = 0; i < f->pulled_count && !ret->id; i++)
            if (f->pulled[i].embeds ? kind == FOUND_EMBEDS : kind == FOUND_CHAT)
                ret->id = f->pulled[i].id;
    }
    return ret->id != NULL;
}

static void tell_next(const struct found *f, const char *file, const char *listen, struct buf *out)
{
    struct example example;
    struct buf commands = {0}, body = {0};
    buf_text(&commands, "  wharf serve --config ");
    quote_word(&commands, file);
    if (find_example(f, &example)) {
        buf_text(&commands, "\n  curl ");
        write_url(&commands, listen);
        buf_text(&body, "{\"model\": ");
        buf_json_text(&body, example.id);
        buf_printf(&body, ", %s}", example.body);
        buf_printf(&commands, "%s -d ", example.path);
        quote_word(&commands, body.data);
    }
    buf_char(&commands, '\n');
    text_escape(out, TEXT_LOG, commands.data, commands.len, false);
    buf_fini(&body);
    buf_fini(&commands);
}

void tell_text(const struct found *f, const char *file, const char *listen, struct buf *out)
{
    uint32_t served = f->pulled_count + (f->server ? f->model_count : 0);
    struct buf text = {0};
    tell_finds(f, out);
    if (!writer_is_loopback(listen))
        line(out, "No key:", "whoever reaches %s may use it, until apiKeys asks for one", listen);
    buf_char(out, '\n');
    buf_printf(&text, "%s is written, with %u %s%s. Next:", file, served, plural(served),
               !f->server && f->model_count ? " (those that need llama-server are commented out)"
                                            : "");
    text_escape(out, TEXT_LINE, text.data, text.len, false);
    buf_char(out, '\n');
    buf_fini(&text);
    tell_next(f, file, listen, out);
}

/* ---- for programs ---- */

/* JSON holds UTF-8 only: anything else is escaped, as on a terminal. */
static json_t *text_value(const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    if (value)
        return value;
    struct buf safe = {0};
    text_escape_all(&safe, TEXT_LINE, text);
    value = json_string(safe.data);
    buf_fini(&safe);
    return value;
}

static json_t *bytes_value(uint64_t bytes)
{
    return bytes ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *gpus_value(const struct found *f)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < f->gpu_count; i++)
        must(json_array_append_new(
                 list, json_pack("{s:o, s:o, s:b}", "name", text_value(f->gpus[i].name), "bytes",
                                 bytes_value(f->gpus[i].bytes), "used", f->gpus[i].used)) == 0);
    return list;
}

static json_t *models_value(const struct found *f)
{
    static const char *const kinds[] = {
        [FOUND_CHAT] = "chat", [FOUND_EMBEDS] = "embeddings", [FOUND_RERANKS] = "reranker"};
    json_t *list = json_array();
    for (uint32_t i = 0; i < f->model_count; i++) {
        const struct found_model *m = &f->models[i];
        json_t *value = json_pack(
            "{s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:b}", "id", text_value(m->id), "backend",
            "process", "path", text_value(m->path), "bytes", bytes_value(m->bytes), "context",
            bytes_value(m->head.context), "projector", text_value(m->projector), "kind",
            kinds[m->kind], "commented_out", f->server == NULL);
        must(json_array_append_new(list, value) == 0);
    }
    for (uint32_t i = 0; i < f->pulled_count; i++) {
        const struct found_pulled *p = &f->pulled[i];
        json_t *value =
            json_pack("{s:o, s:s, s:o, s:o, s:s, s:b}", "id", text_value(p->id), "backend",
                      "ollama", "model", text_value(p->name), "bytes", bytes_value(p->bytes),
                      "kind", kinds[p->embeds ? FOUND_EMBEDS : FOUND_CHAT], "commented_out", false);
        must(json_array_append_new(list, value) == 0);
    }
    return list;
}

void tell_json(const struct found *f, const char *file, struct buf *out)
{
    json_t *left_out = json_array();
    for (uint32_t i = 0; i < f->notes.count; i++)
        must(json_array_append_new(left_out, text_value(f->notes.items[i])) == 0);
    json_t *value = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "file", text_value(file), "gpus", gpus_value(f),
        "gpu_problem", text_value(f->gpu_problem), "llama_server", text_value(f->server), "ollama",
        text_value(f->ollama_answers ? f->ollama : NULL), "models", models_value(f), "left_out",
        left_out, "left_out_more", (json_int_t)f->notes.more);
    auto_free char *text = json_dumps(value, JSON_COMPACT);
    must(text != NULL);
    buf_text(out, text);
    json_decref(value);
}
