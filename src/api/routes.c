/* Finding the route of a request, in the tables of an API. */
#include "api/routes.h"

#include <stdio.h>
#include <string.h>

#include "api/api.h"

static bool path_matches(const struct route *r, const char *path, size_t n)
{
    size_t len = strlen(r->path);
    if (r->path[len - 1] == '*')
        return n > len - 1 && memcmp(path, r->path, len - 1) == 0;
    return n == len && memcmp(path, r->path, n) == 0;
}

/* A route for GET also answers HEAD. */
static bool method_matches(const struct route *r, const char *method, size_t n)
{
    if (!r->method || (n == strlen(r->method) && memcmp(method, r->method, n) == 0))
        return true;
    return n == 4 && memcmp(method, "HEAD", 4) == 0 && strcmp(r->method, "GET") == 0;
}

/* What is looked for, and what was found on the way: the methods of the path. */
struct search {
    const struct route_request *want;
    char *allow; /* methods are few, and each is named once */
    size_t size, at;
};

static const struct route *find_in(const struct route_table *t, struct search *s)
{
    const struct route_request *want = s->want;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct route *r = &t->routes[i];
        if (!path_matches(r, want->path, want->path_len))
            continue;
        if (method_matches(r, want->method, want->method_len))
            return r;
        const char *text = strcmp(r->method, "GET") == 0 ? "GET, HEAD" : r->method;
        if (s->at + strlen(text) + 3 < s->size)
            s->at += (size_t)snprintf(s->allow + s->at, s->size - s->at, "%s%s", s->at ? ", " : "",
                                      text);
    }
    return NULL;
}

static const struct route *find(const struct server_api *api, const struct route_request *want,
                                const char **ret_allow)
{
    static char allow[64];
    struct search s = {.want = want, .allow = allow, .size = sizeof(allow)};
    const struct route *r = NULL;
    for (const struct route_table *const *t = api->tables; *t && !r; t++)
        r = find_in(*t, &s);
    *ret_allow = !r && s.at ? allow : NULL;
    return r;
}

static const struct route_table *const tables[] = {&routes_of_openai,    &routes_to_models,
                                                   &routes_of_llamaswap, &routes_of_wharf,
                                                   &routes_of_ollama,    NULL};

static const struct server_api table = {.tables = tables,
                                        .find = find,
                                        .preflight = api_preflight,
                                        .format_problem = api_format_problem};

const struct server_api *api_table(void)
{
    return &table;
}

/* Ollama serves OpenAI's paths too. */
static const struct route_table *const tables_of_ollama[] = {
    &routes_of_ollama_alone, &routes_of_ollama, &routes_of_openai, NULL};

static const struct server_api ollama = {.tables = tables_of_ollama,
                                         .face = FACE_OLLAMA,
                                         .find = find,
                                         .preflight = api_preflight,
                                         .format_problem = api_format_problem};

const struct server_api *api_table_ollama(void)
{
    return &ollama;
}
