/* /api/generate: a chat of one message, since that is what has the model's template put around it;
 * a plain completion where the client brings that itself (raw), or llama.cpp's infill where the
 * text goes on behind (suffix). */
#include <jansson.h>

#include "api/ollama/ask.h"
#include "api/ollama/words.h"

static const char *text_of(const json_t *in, const char *name)
{
    const char *text = json_string_value(json_object_get(in, name));
    return text ? text : "";
}

static bool is_right(struct ollama_ask *ask, const json_t *in)
{
    static const char *const texts[] = {"prompt", "suffix", "system", "template"};
    const json_t *raw = json_object_get(in, "raw");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const json_t *value = json_object_get(in, texts[i]);
        if (value && !json_is_string(value) && !json_is_null(value))
            return ollama_ask_fail(ask, "\"%s\" must be a text", texts[i]);
    }
    if (raw && !json_is_boolean(raw) && !json_is_null(raw))
        return ollama_ask_fail(ask, "\"raw\" must be true or false");
    if (*text_of(in, "template"))
        return ollama_ask_fail(ask, "\"template\" cannot be changed: the model's server has its "
                                    "own; with \"raw\" the prompt goes there as it is");
    if (json_array_size(json_object_get(in, "context")))
        return ollama_ask_fail(ask, "\"context\" is not supported; /api/chat takes what was said");
    if ((json_is_true(raw) || *text_of(in, "suffix")) &&
        json_array_size(json_object_get(in, "images")))
        return ollama_ask_fail(ask, "images need the model's template: not with raw or suffix");
    return true;
}

static bool put_chat(struct ollama_ask *ask, const json_t *in, json_t *out)
{
    json_t *messages = json_array(), *system = json_object_get(in, "system");
    json_object_set_new(out, "messages", messages);
    if (*text_of(in, "system"))
        json_array_append_new(messages,
                              json_pack("{s:s, s:O}", "role", "system", "content", system));
    json_t *content =
        ollama_content(ask, json_object_get(in, "prompt"), json_object_get(in, "images"));
    if (!content)
        return false;
    json_array_append_new(messages, json_pack("{s:s, s:o}", "role", "user", "content", content));
    ask->path = "/v1/chat/completions";
    return ollama_put_think(ask, in, out);
}

bool ollama_generate(struct ollama_ask *ask, const json_t *in, json_t *out)
{
    json_t *prompt = json_object_get(in, "prompt"), *suffix = json_object_get(in, "suffix");
    bool raw = json_is_true(json_object_get(in, "raw")), infill = *text_of(in, "suffix");
    if (!is_right(ask, in))
        return false;
    ask->empty = !*text_of(in, "prompt"); /* whatever else there is, as Ollama has it */
    bool ok = true;
    if (infill) {
        ask->path = "/infill";
        json_object_set_new(out, "input_prefix", json_string(text_of(in, "prompt")));
        json_object_set(out, "input_suffix", suffix);
    } else if (raw) {
        ask->path = "/v1/completions";
        json_object_set(out, "prompt", prompt);
    } else {
        ok = put_chat(ask, in, out);
    }
    bool chat = !infill && !raw;
    return ok && ollama_put_options(ask, in, out) && ollama_put_format(ask, in, chat, out) &&
           ollama_put_logprobs(ask, in, chat, out);
}
