/* Options of the model, thinking, formats and keep_alive. */
#include <jansson.h>
#include <string.h>

#include "api/ollama/ask.h"
#include "api/ollama/words.h"
#include "base/pure/check.h"
#include "base/pure/units.h"

/* ---- options ---- */

enum option_kind { OPTION_NUMBER, OPTION_COUNT };

/* What a request can choose. The others of Ollama's (num_ctx, num_gpu, num_thread, …) say how a
 * model is loaded, which is its definition's to say. */
static const struct option {
    const char *name, *theirs;
    enum option_kind kind; /* COUNT: whole, and negative stands for not given */
} options[] = {
    {"temperature", "temperature", OPTION_NUMBER},
    {"top_p", "top_p", OPTION_NUMBER},
    {"min_p", "min_p", OPTION_NUMBER},
    {"typical_p", "typical_p", OPTION_NUMBER},
    {"top_k", "top_k", OPTION_NUMBER},
    {"seed", "seed", OPTION_NUMBER},
    {"num_predict", "max_tokens", OPTION_COUNT},
    {"num_keep", "n_keep", OPTION_NUMBER},
    {"repeat_last_n", "repeat_last_n", OPTION_NUMBER},
    {"repeat_penalty", "repeat_penalty", OPTION_NUMBER},
    {"presence_penalty", "presence_penalty", OPTION_NUMBER},
    {"frequency_penalty", "frequency_penalty", OPTION_NUMBER},
    {"mirostat", "mirostat", OPTION_NUMBER},
    {"mirostat_tau", "mirostat_tau", OPTION_NUMBER},
    {"mirostat_eta", "mirostat_eta", OPTION_NUMBER},
};

static bool put_stop(struct ollama_ask *ask, json_t *stop, json_t *out)
{
    size_t i;
    const json_t *text;
    bool texts = json_is_array(stop) || json_is_string(stop);
    json_array_foreach(stop, i, text) texts = texts && json_is_string(text);
    if (!texts)
        return ollama_ask_fail(ask, "option \"stop\" must be a list of texts");
    if (json_is_string(stop))
        json_object_set_new(out, "stop", json_pack("[O]", stop));
    else if (json_array_size(stop))
        json_object_set(out, "stop", stop);
    return true;
}

bool ollama_put_options(struct ollama_ask *ask, const json_t *in, json_t *out)
{
    const json_t *given = json_object_get(in, "options");
    json_t *stop = json_object_get(given, "stop");
    if (given && !json_is_object(given) && !json_is_null(given))
        return ollama_ask_fail(ask, "\"options\" must be an object");
    for (size_t i = 0; i < countof(options); i++) {
        const struct option *o = &options[i];
        json_t *value = json_object_get(given, o->name);
        if (!value || json_is_null(value))
            continue;
        if (!json_is_number(value))
            return ollama_ask_fail(ask, "option \"%s\" must be a number", o->name);
        if (o->kind == OPTION_COUNT && json_number_value(value) < 0)
            continue;
        json_object_set(out, o->theirs, value);
    }
    return !stop || json_is_null(stop) || put_stop(ask, stop, out);
}

/* ---- thinking ---- */

/* The switch of a model's chat template, as llama-server and vLLM pass it on; a level is also
 * OpenAI's own word. */
bool ollama_put_think(struct ollama_ask *ask, const json_t *in, json_t *out)
{
    static const char *const levels[] = {"low", "medium", "high"};
    const json_t *think = json_object_get(in, "think");
    const char *level = json_string_value(think);
    bool known = !level;
    for (size_t i = 0; level && i < countof(levels); i++)
        known = known || strcmp(level, levels[i]) == 0;
    if (!think || json_is_null(think))
        return true;
    if ((!level && !json_is_boolean(think)) || !known)
        return ollama_ask_fail(ask, "\"think\" must be true, false, low, medium or high");
    json_t *template = json_pack("{s:b}", "enable_thinking", !json_is_false(think));
    if (level) {
        json_object_set_new(template, "reasoning_effort", json_string(level));
        json_object_set_new(out, "reasoning_effort", json_string(level));
    }
    json_object_set_new(out, "chat_template_kwargs", template);
    return true;
}

/* ---- formats ---- */

bool ollama_put_format(struct ollama_ask *ask, const json_t *in, bool chat, json_t *out)
{
    json_t *format = json_object_get(in, "format");
    const char *word = json_string_value(format);
    if (!format || json_is_null(format) || (word && !*word))
        return true;
    if (!json_is_object(format) && (!word || strcmp(word, "json") != 0))
        return ollama_ask_fail(ask, "\"format\" must be \"json\" or a JSON schema");
    if (!chat) /* llama.cpp's word: plain completions have none of OpenAI's */
        json_object_set_new(out, "json_schema", word ? json_object() : json_incref(format));
    if (word)
        json_object_set_new(out, "response_format", json_pack("{s:s}", "type", "json_object"));
    else
        json_object_set_new(out, "response_format",
                            json_pack("{s:s, s:{s:s, s:b, s:O}}", "type", "json_schema",
                                      "json_schema", "name", "format", "strict", 1, "schema",
                                      format));
    return true;
}

bool ollama_put_logprobs(struct ollama_ask *ask, const json_t *in, bool chat, json_t *out)
{
    const json_t *wanted = json_object_get(in, "logprobs");
    json_t *top = json_object_get(in, "top_logprobs");
    if (top && !json_is_integer(top) && !json_is_null(top))
        return ollama_ask_fail(ask, "\"top_logprobs\" must be a number");
    if (!json_is_true(wanted))
        return true;
    if (!chat) {
        json_object_set_new(out, "logprobs", json_integer(json_integer_value(top)));
        return true;
    }
    json_object_set_new(out, "logprobs", json_true());
    if (json_integer_value(top) > 0)
        json_object_set(out, "top_logprobs", top);
    return true;
}

/* ---- keep_alive ---- */

bool ollama_read_keep(struct ollama_ask *ask, const json_t *in)
{
    const json_t *keep = json_object_get(in, "keep_alive");
    const char *text = json_string_value(keep);
    bool fine = json_is_number(keep), negative = fine && json_number_value(keep) < 0;
    uint64_t ns = 0;
    if (!keep || json_is_null(keep) || (text && !*text))
        return true;
    if (fine && !negative) {
        double seconds = json_number_value(keep);
        ns = seconds < 1e9 ? (uint64_t)(seconds * (double)NS_PER_S) : OLLAMA_FOREVER;
    }
    if (text) {
        negative = *text == '-';
        fine = units_parse_duration(text + negative, NS_PER_S, &ns);
    }
    if (!fine)
        return ollama_ask_fail(
            ask, "\"keep_alive\" must be a number of seconds or a duration, such as 300 or \"5m\"");
    ask->keeps = true;
    ask->keep_ns = negative ? OLLAMA_FOREVER : ns;
    return true;
}
