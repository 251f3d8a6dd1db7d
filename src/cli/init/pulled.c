#include "cli/init/pulled.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "cli/init/quote.h"
#include "client/client.h"
#include "client/reply.h"

#define CONNECT_MS_MAX 1000
/* One that has just been woken up reads its models' files first. */
#define SILENCE_MS_MAX 5000
#define PULLED_MAX 500
#define NAME_BYTES_MAX 255

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* Families of models that make vectors are those of BERT; the others are known by name only. */
static bool is_embedder(const json_t *model, const char *name)
{
    const char *family = text_of(json_object_get(model, "details"), "family");
    return strcasestr(family, "bert") || strcasestr(name, "embed");
}

/* Why it is left out, or NULL. */
static const char *why_not(const json_t *model, const char *name)
{
    if (!quote_is_text(name) || strstr(name, "${") || strlen(name) > NAME_BYTES_MAX)
        return "its name has characters that a configuration cannot hold";
    if (*text_of(model, "remote_host") || *text_of(model, "remote_model"))
        return "it runs elsewhere";
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct found_pulled *)a)->name, ((const struct found_pulled *)b)->name);
}

static bool is_pulled(const struct found *f, const char *name)
{
    for (uint32_t i = 0; i < f->pulled_count; i++)
        if (strcmp(f->pulled[i].name, name) == 0)
            return true;
    return false;
}

int pulled_read(const struct json_t *tags, struct found *f)
{
    const json_t *models = json_object_get(tags, "models"), *model;
    size_t i;
    if (!json_is_array(models))
        return -1;
    must(f->pulled == NULL);
    f->pulled = alloc_zeroed(PULLED_MAX, sizeof(*f->pulled));
    json_array_foreach(models, i, model)
    {
        const char *name =
            *text_of(model, "name") ? text_of(model, "name") : text_of(model, "model");
        const char *why = why_not(model, name);
        json_int_t size = json_integer_value(json_object_get(model, "size"));
        if (!*name || f->pulled_count == PULLED_MAX || is_pulled(f, name))
            continue;
        if (why)
            found_note(&f->notes, "%s in Ollama: %s", name, why);
        else
            f->pulled[f->pulled_count++] =
                (struct found_pulled){.name = alloc_text(name),
                                      .bytes = size > 0 ? (uint64_t)size : 0,
                                      .embeds = is_embedder(model, name)};
    }
    if (f->pulled_count)
        qsort(f->pulled, f->pulled_count, sizeof(*f->pulled), by_name);
    return 0;
}

int pulled_look(struct found *f)
{
    struct client_options options = {.connect_ms_max = CONNECT_MS_MAX, .stop_fd = -1};
    const struct client_request request = {
        .method = "GET", .path = "/api/tags", .silence_ms_max = SILENCE_MS_MAX};
    struct client_reply reply;
    struct err e = {.set = false};
    if (client_address_parse(f->ollama, &options.address, &e) < 0) {
        found_note(&f->notes, "Ollama: %s", e.text);
        return -1;
    }
    int rc = client_fetch(&options, &request, &reply, &e);
    if (rc < 0) {
        if (rc != -CLIENT_UNREACHABLE)
            found_note(&f->notes, "Ollama: %s", e.text);
        return -1;
    }
    rc = client_reply_ok(&reply) ? pulled_read(reply.json, f) : -1;
    if (rc < 0)
        found_note(&f->notes, "Ollama: what answers at %s does not list models as Ollama does",
                   f->ollama);
    client_reply_fini(&reply);
    f->ollama_answers = rc == 0;
    return rc;
}
