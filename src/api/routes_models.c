/* Paths that go to a model's server, but for those of OpenAI's API. */
#include "api/routes.h"

/* The one model that llama-swap knows by name; its pages stand below /comfyui/. */
#define COMFYUI(p)                                                                                 \
    {                                                                                              \
        .path = p, .kind = ROUTE_MODEL_FIXED, .upstream_skip = 8, .model = "comfyui_auto"          \
    }

/* clang-format off */
static const struct route routes[] = {
    BODY("/rerank"),
    BODY("/reranking"),
    BODY("/infill"),
    BODY("/completion"),
    BODY("/tokenize"),
    BODY("/detokenize"),
    BODY("/apply-template"),
    BODY("/sdapi/v1/txt2img"),
    BODY("/sdapi/v1/img2img"),
    BODY_SKIP("/audioapi/v1/tasks/run", 9),
    /* For servers without /v1: the /v is wharf's own. */
    BODY_SKIP("/v/chat/completions", 2),
    BODY_SKIP("/v/responses", 2),
    BODY_SKIP("/v/completions", 2),
    ANTHROPIC("/v/messages", 2),
    ANTHROPIC("/v/messages/count_tokens", 2),
    BODY_SKIP("/v/embeddings", 2),
    BODY_SKIP("/v/rerank", 2),
    BODY_SKIP("/v/reranking", 2),
    QUERY("/sdapi/v1/loras"),
    QUERY("/props"),

    {.path = "/upstream/*", .kind = ROUTE_MODEL_PATH, .upstream_skip = 10},
    COMFYUI("/comfyui"),
    COMFYUI("/comfyui/"),
    COMFYUI("/comfyui/*"),
};
/* clang-format on */

const struct route_table routes_to_models = ROUTE_TABLE(routes);
