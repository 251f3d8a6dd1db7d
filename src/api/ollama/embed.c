/* /api/embed and the older /api/embeddings. */
#include <jansson.h>

#include "api/ollama/ask.h"
#include "api/ollama/words.h"

static bool is_input(const json_t *input)
{
    size_t i;
    const json_t *text;
    bool fine = json_is_array(input) || json_is_string(input) || json_is_null(input);
    json_array_foreach(input, i, text) fine = fine && json_is_string(text);
    return fine;
}

bool ollama_embed(struct ollama_ask *ask, const json_t *in, json_t *out)
{
    bool older = ask->call == OLLAMA_EMBEDDINGS;
    const char *name = older ? "prompt" : "input";
    json_t *input = json_object_get(in, name), *dimensions = json_object_get(in, "dimensions");
    if (input && (older ? !json_is_string(input) : !is_input(input)))
        return ollama_ask_fail(ask, "\"%s\" must be a text%s", name,
                               older ? "" : " or a list of texts");
    if (dimensions && !json_is_integer(dimensions) && !json_is_null(dimensions))
        return ollama_ask_fail(ask, "\"dimensions\" must be a number");
    ask->path = "/v1/embeddings";
    ask->empty = json_string_length(input) == 0 && json_array_size(input) == 0;
    json_object_set(out, "input", input);
    json_object_set_new(out, "encoding_format", json_string("float"));
    if (json_integer_value(dimensions) > 0)
        json_object_set(out, "dimensions", dimensions);
    return true;
}
