#include "backend/ollama_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* keep_alive -1 comes to some 292 years. */
#define FOR_GOOD_S ((int64_t)365 * 24 * 3600)

static uint64_t read_bytes(const json_t *item, const char *name)
{
    json_int_t bytes = json_integer_value(json_object_get(item, name));
    return bytes > 0 ? (uint64_t)bytes : 0;
}

/* RFC 3339; of the offset a day's precision is more than is needed. What cannot be read is for
 * good: old versions do not say. */
static bool is_brief(const char *expires, int64_t now_s)
{
    struct tm tm = {0};
    if (!expires || !strptime(expires, "%Y-%m-%dT%H:%M:%S", &tm))
        return false;
    return (int64_t)timegm(&tm) < now_s + FOR_GOOD_S;
}

static bool read_item(const json_t *item, int64_t now_s, struct ollama_listed *ret)
{
    const char *name = json_string_value(json_object_get(item, "model"));
    if (!name || !*name)
        name = json_string_value(json_object_get(item, "name"));
    if (!name || !*name || strlen(name) >= sizeof(ret->name))
        return false;
    *ret = (struct ollama_listed){.bytes = read_bytes(item, "size"),
                                  .vram_bytes = read_bytes(item, "size_vram")};
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    ret->brief = is_brief(json_string_value(json_object_get(item, "expires_at")), now_s);
    return true;
}

int ollama_read_list(const char *json, size_t n, int64_t now_s, struct ollama_list *ret)
{
    json_t *root = json_loadb(json, n, 0, NULL);
    const json_t *models = json_object_get(root, "models");
    /* An empty one may be null, as Go writes it. */
    bool fine = json_is_array(models) || json_is_null(models);
    if (fine)
        ret->count = 0;
    for (size_t i = 0; fine && i < json_array_size(models); i++)
        if (ret->count < OLLAMA_LISTED_MAX &&
            read_item(json_array_get(models, i), now_s, &ret->items[ret->count]))
            ret->count++;
    json_decref(root);
    return fine ? 0 : -1;
}

static void read_text(const char *json, size_t n, const char *name, char *ret, size_t size)
{
    json_t *root = json_loadb(json, n, 0, NULL);
    const char *text = json_string_value(json_object_get(root, name));
    snprintf(ret, size, "%s", text ? text : "");
    json_decref(root);
}

void ollama_read_error(const char *json, size_t n, char *ret, size_t size)
{
    read_text(json, n, "error", ret, size);
}

void ollama_read_version(const char *json, size_t n, char *ret, size_t size)
{
    read_text(json, n, "version", ret, size);
}
