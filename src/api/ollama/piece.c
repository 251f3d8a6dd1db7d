#include "api/ollama/piece.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "http/json.h"

/* Of an error that is no JSON. */
#define RAW_ERROR_MAX 1024
#define MESSAGE_MAX 4096

#define FIRST                                                                                      \
    {                                                                                              \
        .name = "", .name_len = 0, .index = 0                                                      \
    }

/* name, its path: where things stand. DELTA of an event, MESSAGE of a whole answer. */
#define CHOICE JSON_NAME("choices"), FIRST
#define PATHS(PATH)                                                                                \
    PATH(DELTA_CONTENT, CHOICE, JSON_NAME("delta"), JSON_NAME("content"))                          \
    PATH(DELTA_THINKING, CHOICE, JSON_NAME("delta"), JSON_NAME("reasoning_content"))               \
    PATH(DELTA_REASONING, CHOICE, JSON_NAME("delta"), JSON_NAME("reasoning"))                      \
    PATH(DELTA_CALLS, CHOICE, JSON_NAME("delta"), JSON_NAME("tool_calls"))                         \
    PATH(MESSAGE_CONTENT, CHOICE, JSON_NAME("message"), JSON_NAME("content"))                      \
    PATH(MESSAGE_THINKING, CHOICE, JSON_NAME("message"), JSON_NAME("reasoning_content"))           \
    PATH(MESSAGE_REASONING, CHOICE, JSON_NAME("message"), JSON_NAME("reasoning"))                  \
    PATH(MESSAGE_CALLS, CHOICE, JSON_NAME("message"), JSON_NAME("tool_calls"))                     \
    PATH(TEXT, CHOICE, JSON_NAME("text"))                                                          \
    PATH(FINISH, CHOICE, JSON_NAME("finish_reason"))                                               \
    PATH(LOGPROBS, CHOICE, JSON_NAME("logprobs"), JSON_NAME("content"))                            \
    PATH(OWN_CONTENT, JSON_NAME("content"))                                                        \
    PATH(OWN_STOP, JSON_NAME("stop"))                                                              \
    PATH(OWN_STOP_TYPE, JSON_NAME("stop_type"))                                                    \
    PATH(OWN_PROMPT_TOKENS, JSON_NAME("tokens_evaluated"))                                         \
    PATH(OWN_TOKENS, JSON_NAME("tokens_predicted"))                                                \
    PATH(PROMPT_TOKENS, JSON_NAME("usage"), JSON_NAME("prompt_tokens"))                            \
    PATH(TOKENS, JSON_NAME("usage"), JSON_NAME("completion_tokens"))                               \
    PATH(PROMPT_MS, JSON_NAME("timings"), JSON_NAME("prompt_ms"))                                  \
    PATH(TOKENS_MS, JSON_NAME("timings"), JSON_NAME("predicted_ms"))                               \
    PATH(ERROR, JSON_NAME("error"))

enum {
#define PATH(name, ...) WANT_##name,
    PATHS(PATH)
#undef PATH
        WANT__COUNT
};

#define PATH(name, ...) static const struct json_step path_##name[] = {__VA_ARGS__};
PATHS(PATH)
#undef PATH

static const struct {
    const struct json_step *steps;
    uint32_t count;
} paths[WANT__COUNT] = {
#define PATH(name, ...) [WANT_##name] = {path_##name, countof(path_##name)},
    PATHS(PATH)
#undef PATH
};

/* The first of those that has something of that type; a text that is empty is the last resort. */
static struct ollama_span pick(const char *text, const struct json_want *wants, enum json_type type,
                               const int *which)
{
    struct ollama_span found = {0};
    for (; *which >= 0; which++) {
        const struct json_want *w = &wants[*which];
        if (w->type == type && w->len > found.n)
            found = (struct ollama_span){text + w->off, (size_t)w->len};
    }
    return found;
}

static double number(const char *text, const struct json_want *w)
{
    char copy[40];
    if (w->type != JSON_TYPE_NUMBER || w->len >= sizeof(copy))
        return -1;
    memcpy(copy, text + w->off, (size_t)w->len);
    copy[w->len] = '\0';
    double value = strtod(copy, NULL);
    return isfinite(value) ? value : -1; /* JSON has no word for the others */
}

static double either(double a, double b)
{
    return a >= 0 ? a : b;
}

/* llama.cpp's own words for it are others. */
static void read_finish(const struct json_want *wants, const char *own, struct ollama_piece *ret)
{
    ret->finished =
        wants[WANT_FINISH].type == JSON_TYPE_STRING || wants[WANT_OWN_STOP].type == JSON_TYPE_TRUE;
    if (wants[WANT_OWN_STOP].type == JSON_TYPE_TRUE)
        snprintf(ret->finish, sizeof(ret->finish), "%s",
                 strcmp(own, "limit") == 0 ? "length" : "stop");
}

int ollama_piece_read(const char *text, size_t n, struct ollama_piece *ret)
{
    static const int content[] = {WANT_DELTA_CONTENT, WANT_MESSAGE_CONTENT, WANT_TEXT,
                                  WANT_OWN_CONTENT, -1};
    static const int thinking[] = {WANT_DELTA_THINKING, WANT_DELTA_REASONING, WANT_MESSAGE_THINKING,
                                   WANT_MESSAGE_REASONING, -1};
    static const int calls[] = {WANT_DELTA_CALLS, WANT_MESSAGE_CALLS, -1};
    static const int logprobs[] = {WANT_LOGPROBS, -1};
    struct json_want wants[WANT__COUNT] = {{0}};
    struct json_scan scan;
    char own[24] = "";
    *ret = (struct ollama_piece){0};
    for (int i = 0; i < WANT__COUNT; i++)
        wants[i] = (struct json_want){.path = paths[i].steps, .steps = paths[i].count};
    wants[WANT_FINISH].text = ret->finish;
    wants[WANT_FINISH].text_size = sizeof(ret->finish);
    wants[WANT_OWN_STOP_TYPE].text = own;
    wants[WANT_OWN_STOP_TYPE].text_size = sizeof(own);
    json_scan_init(&scan, wants, WANT__COUNT);
    int rc = json_scan_feed(&scan, text, n);
    if (rc == 0)
        rc = json_scan_end(&scan);
    if (rc < 0)
        return rc;
    ret->content = pick(text, wants, JSON_TYPE_STRING, content);
    ret->thinking = pick(text, wants, JSON_TYPE_STRING, thinking);
    ret->tool_calls = pick(text, wants, JSON_TYPE_ARRAY, calls);
    ret->logprobs = pick(text, wants, JSON_TYPE_ARRAY, logprobs);
    ret->failed =
        wants[WANT_ERROR].type == JSON_TYPE_OBJECT || wants[WANT_ERROR].type == JSON_TYPE_STRING;
    read_finish(wants, own, ret);
    ret->prompt_tokens = either(number(text, &wants[WANT_PROMPT_TOKENS]),
                                number(text, &wants[WANT_OWN_PROMPT_TOKENS]));
    ret->tokens = either(number(text, &wants[WANT_TOKENS]), number(text, &wants[WANT_OWN_TOKENS]));
    ret->prompt_ms = number(text, &wants[WANT_PROMPT_MS]);
    ret->tokens_ms = number(text, &wants[WANT_TOKENS_MS]);
    return 0;
}

void ollama_piece_error(const char *text, size_t n, struct buf *out)
{
    static const struct json_step paths_of[][2] = {{JSON_NAME("error"), JSON_NAME("message")},
                                                   {JSON_NAME("error")},
                                                   {JSON_NAME("message")},
                                                   {JSON_NAME("detail")}};
    char messages[countof(paths_of)][MESSAGE_MAX];
    struct json_want wants[countof(paths_of)] = {{0}};
    struct json_scan scan;
    for (size_t i = 0; i < countof(paths_of); i++)
        wants[i] = (struct json_want){.path = paths_of[i],
                                      .steps = i == 0 ? 2 : 1,
                                      .text = messages[i],
                                      .text_size = sizeof(messages[i])};
    json_scan_init(&scan, wants, countof(wants));
    bool json = json_scan_feed(&scan, text, n) == 0 && json_scan_end(&scan) == 0;
    for (size_t i = 0; json && i < countof(wants); i++) {
        if (wants[i].type == JSON_TYPE_STRING && *messages[i]) {
            buf_text(out, messages[i]);
            return;
        }
    }
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    buf_append(out, text, n < RAW_ERROR_MAX ? n : RAW_ERROR_MAX);
}
