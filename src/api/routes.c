/* The table of paths. Order matters only between a prefix and what lies under it: first match. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/handlers.h"

#define BODY(p)                                                                                    \
    {                                                                                              \
        .method = "POST", .path = p, .kind = ROUTE_MODEL_BODY                                      \
    }
/* Paths that begin with /v/ are for servers without /v1: the /v is wharf's own. */
#define BODY_SKIP(p, n)                                                                            \
    {                                                                                              \
        .method = "POST", .path = p, .kind = ROUTE_MODEL_BODY, .upstream_skip = n                  \
    }
#define QUERY(p)                                                                                   \
    {                                                                                              \
        .method = "GET", .path = p, .kind = ROUTE_MODEL_QUERY                                      \
    }
#define LOCAL(m, p, h)                                                                             \
    {                                                                                              \
        .method = m, .path = p, .kind = ROUTE_LOCAL, .handle = h                                   \
    }
#define OPEN(m, p, h)                                                                              \
    {                                                                                              \
        .method = m, .path = p, .kind = ROUTE_LOCAL, .open = true, .handle = h                     \
    }
#define ANTHROPIC(p, n)                                                                            \
    {                                                                                              \
        .method = "POST", .path = p, .kind = ROUTE_MODEL_BODY, .face = FACE_ANTHROPIC,             \
        .upstream_skip = n                                                                         \
    }

/* clang-format off */
static const struct route routes[] = {
    BODY("/v1/chat/completions"),
    BODY("/v1/completions"),
    BODY("/v1/responses"),
    BODY("/v1/embeddings"),
    ANTHROPIC("/v1/messages", 0),
    ANTHROPIC("/v1/messages/count_tokens", 0),
    BODY("/v1/rerank"),
    BODY("/v1/reranking"),
    BODY("/rerank"),
    BODY("/reranking"),
    BODY("/infill"),
    BODY("/completion"),
    BODY("/tokenize"),
    BODY("/detokenize"),
    BODY("/apply-template"),
    BODY("/v1/audio/speech"),
    BODY("/v1/audio/voices"),
    BODY("/v1/audio/transcriptions"),
    BODY("/v1/audio/translations"),
    BODY("/v1/images/generations"),
    BODY("/v1/images/edits"),
    BODY("/v1/images/variations"),
    BODY("/v1/moderations"),
    BODY("/sdapi/v1/txt2img"),
    BODY("/sdapi/v1/img2img"),
    BODY_SKIP("/audioapi/v1/tasks/run", 9),
    BODY_SKIP("/v/chat/completions", 2),
    BODY_SKIP("/v/responses", 2),
    BODY_SKIP("/v/completions", 2),
    ANTHROPIC("/v/messages", 2),
    ANTHROPIC("/v/messages/count_tokens", 2),
    BODY_SKIP("/v/embeddings", 2),
    BODY_SKIP("/v/rerank", 2),
    BODY_SKIP("/v/reranking", 2),
    QUERY("/v1/audio/voices"),
    QUERY("/sdapi/v1/loras"),
    QUERY("/props"),

    {.path = "/upstream/*", .kind = ROUTE_MODEL_PATH, .upstream_skip = 10},

    OPEN("GET", "/health", api_health),
    OPEN("GET", "/wol-health", api_health),
    OPEN("GET", "/ready", api_health),
    OPEN("GET", "/", api_root),
    LOCAL("GET", "/v1/models", api_list_models),
    LOCAL("GET", "/models", api_list_models),
    LOCAL("GET", "/running", api_running),
    LOCAL("GET", "/unload", api_unload_all_text),
    LOCAL("POST", "/api/models/unload", api_unload_all_json),
    LOCAL("POST", "/api/models/unload/*", api_unload_one),
    LOCAL("GET", "/api/version", api_version),
    LOCAL("GET", "/logs", api_logs),
    LOCAL("GET", "/logs/stream", api_log_stream),
    LOCAL("GET", "/logs/stream/*", api_model_log_stream),

    LOCAL("GET", "/wharf/status", api_status),
    LOCAL("GET", "/wharf/devices", api_devices),
    LOCAL("GET", "/wharf/queue", api_queue),
    LOCAL("POST", "/wharf/plan", api_plan),
    LOCAL("GET", "/wharf/decisions", api_decisions),
    LOCAL("GET", "/wharf/mode", api_mode),
    LOCAL("PUT", "/wharf/mode", api_set_mode),
    LOCAL("GET", "/wharf/events", api_events),
    LOCAL("GET", "/wharf/models", api_models),
    LOCAL("GET", "/wharf/models/*", api_model),
    LOCAL("POST", "/wharf/models/*", api_model_op),
};
/* clang-format on */

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

static const struct route *find(const char *method, size_t method_len, const char *path,
                                size_t path_len, const char **ret_allow)
{
    static char allow[64]; /* methods are few, and each is named once */
    size_t at = 0;
    *ret_allow = NULL;
    for (size_t i = 0; i < countof(routes); i++) {
        const struct route *r = &routes[i];
        if (!path_matches(r, path, path_len))
            continue;
        if (method_matches(r, method, method_len))
            return r;
        const char *text = strcmp(r->method, "GET") == 0 ? "GET, HEAD" : r->method;
        if (at + strlen(text) + 3 < sizeof(allow))
            at += (size_t)snprintf(allow + at, sizeof(allow) - at, "%s%s", at ? ", " : "", text);
        *ret_allow = allow;
    }
    return NULL;
}

static const struct server_api table = {
    .find = find, .preflight = api_preflight, .format_problem = api_format_problem};

const struct server_api *api_table(void)
{
    return &table;
}
