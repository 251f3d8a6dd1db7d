#include "api/ollama/names.h"

#include <stdio.h>
#include <string.h>

#define LATEST ":latest"

/* Slashes part a name, and a colon before one is a port's. */
static bool has_tag(const char *name)
{
    const char *slash = strrchr(name, '/');
    return strchr(slash ? slash : name, ':') != NULL;
}

static bool is_known(struct exchange *ex, const char *name)
{
    const struct config *c = ex->config->config;
    return config_find_name(c, name) || profiles_pin(ex->server, c, name);
}

const char *ollama_name_find(struct exchange *ex, const char *asked, char made[API_NAME_MAX])
{
    size_t n = strlen(asked), tag = sizeof(LATEST) - 1;
    if (is_known(ex, asked) || n + tag >= API_NAME_MAX)
        return asked;
    bool latest = n > tag && strcmp(asked + n - tag, LATEST) == 0;
    if (!latest && has_tag(asked))
        return asked;
    snprintf(made, API_NAME_MAX, "%.*s%s", (int)(latest ? n - tag : n), asked,
             latest ? "" : LATEST);
    return is_known(ex, made) ? made : asked;
}

void ollama_name_put(const char *name, struct buf *out)
{
    buf_text(out, name);
    if (!has_tag(name))
        buf_text(out, LATEST);
}
