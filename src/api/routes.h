/* routes.h: the tables of paths, one a file, and the words that their rows are written in. A path
 * belongs to the first row that fits, table by table as routes.c lists them: only between a prefix
 * and what lies under it does the order matter, and no row may hide all of a later one (which
 * tests/unit/test_api_routes.c sees to). tools/gen-docs reads the rows. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api/handlers.h"
#include "base/pure/check.h"

/* routes_openai.c: what is below /v1 */
extern const struct route_table routes_of_openai;
/* routes_models.c: other paths that go to a model's server */
extern const struct route_table routes_to_models;
/* routes_llamaswap.c: what llama-swap answers itself */
extern const struct route_table routes_of_llamaswap;
/* routes_native.c: wharf's own API */
extern const struct route_table routes_of_wharf;

/* routes_ollama.c: Ollama's API, and what belongs to it where it is alone */
extern const struct route_table routes_of_ollama;
extern const struct route_table routes_of_ollama_alone;

#define ROUTE_TABLE(array)                                                                         \
    {                                                                                              \
        .routes = array, .count = countof(array)                                                   \
    }

#define BODY(p)                                                                                    \
    {                                                                                              \
        .method = "POST", .path = p, .kind = ROUTE_MODEL_BODY                                      \
    }
/* Chat, which a model's sendLoadingState is about. */
#define CHAT(p)                                                                                    \
    {                                                                                              \
        .method = "POST", .path = p, .kind = ROUTE_MODEL_BODY, .tells_loading = true               \
    }
/* The model's server does not see the first n characters of the path. */
#define BODY_SKIP(p, n)                                                                            \
    {                                                                                              \
        .method = "POST", .path = p, .kind = ROUTE_MODEL_BODY, .upstream_skip = n                  \
    }
#define QUERY(p)                                                                                   \
    {                                                                                              \
        .method = "GET", .path = p, .kind = ROUTE_MODEL_QUERY                                      \
    }
/* r: a right, without RIGHT_. */
#define LOCAL(m, p, r, h)                                                                          \
    {                                                                                              \
        .method = m, .path = p, .kind = ROUTE_LOCAL, .right = RIGHT_##r, .handle = h               \
    }
#define ANTHROPIC(p, n)                                                                            \
    {                                                                                              \
        .method = "POST", .path = p, .kind = ROUTE_MODEL_BODY, .face = FACE_ANTHROPIC,             \
        .upstream_skip = n                                                                         \
    }

#endif
