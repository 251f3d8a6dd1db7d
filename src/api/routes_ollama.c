/* Paths of Ollama's API. */
#include "api/ollama/calls.h"
#include "api/ollama/lists.h"
#include "api/routes.h"

#define OLLAMA(p, t)                                                                               \
    {                                                                                              \
        .method = "POST", .path = p, .kind = ROUTE_MODEL_BODY, .face = FACE_OLLAMA, .translate = t \
    }
#define OLLAMA_LOCAL(m, p, h)                                                                      \
    {                                                                                              \
        .method = m, .path = p, .kind = ROUTE_LOCAL, .face = FACE_OLLAMA, .right = RIGHT_LIST,     \
        .handle = h                                                                                \
    }

#define ALONE(p, r, h)                                                                             \
    {                                                                                              \
        .method = "GET", .path = p, .kind = ROUTE_LOCAL, .face = FACE_OLLAMA, .right = RIGHT_##r,  \
        .handle = h                                                                                \
    }

/* clang-format off */
static const struct route routes[] = {
    OLLAMA("/api/chat", ollama_call_chat),
    OLLAMA("/api/generate", ollama_call_generate),
    OLLAMA("/api/embed", ollama_call_embed),
    OLLAMA("/api/embeddings", ollama_call_embeddings),
    OLLAMA_LOCAL("GET", "/api/tags", ollama_tags),
    OLLAMA_LOCAL("GET", "/api/ps", ollama_ps),
    OLLAMA_LOCAL("POST", "/api/show", ollama_show),
    OLLAMA_LOCAL("POST", "/api/pull", ollama_cannot),
    OLLAMA_LOCAL("POST", "/api/push", ollama_cannot),
    OLLAMA_LOCAL("POST", "/api/create", ollama_cannot),
    OLLAMA_LOCAL("POST", "/api/copy", ollama_cannot),
    OLLAMA_LOCAL("DELETE", "/api/delete", ollama_cannot),
    OLLAMA_LOCAL("GET", "/api/blobs/*", ollama_cannot),
    OLLAMA_LOCAL("POST", "/api/blobs/*", ollama_cannot),
};

/* Where no other API is served; docs/http.md tells of them in words. */
static const struct route alone[] = {
    ALONE("/", NONE, ollama_running),
    ALONE("/api/version", LIST, ollama_version),
};
/* clang-format on */

const struct route_table routes_of_ollama = ROUTE_TABLE(routes);
const struct route_table routes_of_ollama_alone = ROUTE_TABLE(alone);
