/* Paths below /v1: OpenAI's API, and Anthropic's beside it. */
#include "api/routes.h"

/* clang-format off */
static const struct route routes[] = {
    CHAT("/v1/chat/completions"),
    BODY("/v1/completions"),
    BODY("/v1/responses"),
    BODY("/v1/embeddings"),
    ANTHROPIC("/v1/messages", 0),
    ANTHROPIC("/v1/messages/count_tokens", 0),
    BODY("/v1/rerank"),
    BODY("/v1/reranking"),
    BODY("/v1/audio/speech"),
    BODY("/v1/audio/voices"),
    BODY("/v1/audio/transcriptions"),
    BODY("/v1/audio/translations"),
    BODY("/v1/images/generations"),
    BODY("/v1/images/edits"),
    BODY("/v1/images/variations"),
    BODY("/v1/moderations"),
    QUERY("/v1/audio/voices"),
    LOCAL("GET", "/v1/models", LIST, api_list_models),
};
/* clang-format on */

const struct route_table routes_of_openai = ROUTE_TABLE(routes);
