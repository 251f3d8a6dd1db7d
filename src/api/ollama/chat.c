/* /api/chat as a chat completion. */
#include <jansson.h>

#include "api/ollama/ask.h"
#include "api/ollama/words.h"

bool ollama_chat(struct ollama_ask *ask, const json_t *in, json_t *out)
{
    const json_t *messages = json_object_get(in, "messages");
    json_t *tools = json_object_get(in, "tools");
    if ((messages && !json_is_array(messages) && !json_is_null(messages)) ||
        (tools && !json_is_array(tools) && !json_is_null(tools)))
        return ollama_ask_fail(ask, "\"messages\" and \"tools\" must be lists");
    ask->path = "/v1/chat/completions";
    ask->empty = json_array_size(messages) == 0;
    if (json_array_size(tools))
        json_object_set(out, "tools", tools);
    return ollama_put_messages(ask, in, out) && ollama_put_options(ask, in, out) &&
           ollama_put_format(ask, in, true, out) && ollama_put_think(ask, in, out) &&
           ollama_put_logprobs(ask, in, true, out);
}
