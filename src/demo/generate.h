/* generate.h: answers made from a prompt, in the dialect of the endpoint that was asked.
 *
 * The text is a function of the model's name and the last message of the user or of a tool:
 * "demo-model NAME says:" and the message's words, one token each. Where tools.h says so, tools are
 * called instead. */
#ifndef DEMO_GENERATE_H
#define DEMO_GENERATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "engine.h"
#include "http.h"
#include "tools.h"

struct generation {
    struct engine *engine;
    struct http_conn *conn;
    const struct dialect *dialect;
    json_t *request;    /* owned */
    const char *model;  /* as the client named it; borrowed from request or flags */
    struct buf prompt;  /* text that the answer repeats, cut into words by NUL bytes */
    const char **words; /* owned; point into prompt */
    uint32_t word_count;
    struct tool_calls tools;
    uint32_t prompt_tokens; /* words of the whole conversation */
    uint32_t token_count;   /* of the answer */
    bool cut;               /* by the client's limit */
    uint32_t events;        /* of a stream, so far, where its dialect counts them */
    bool stream, include_usage;
    uint64_t number;   /* of the request, for ids */
    int64_t created_s; /* Unix time */
    struct mono started;
};

/* How an endpoint words an answer; each function appends to out. Streams are server-sent events. An
 * answer that calls tools has no text. */
struct dialect {
    void (*whole)(struct generation *g, const char *text, struct buf *out);
    void (*begin)(struct generation *g, struct buf *out);
    void (*token)(struct generation *g, const char *text, struct buf *out);
    void (*end)(struct generation *g, const char *text, struct buf *out);
    /* The call of that index; NULL where the dialect knows no tools. */
    void (*call_begin)(struct generation *g, uint32_t index, struct buf *out);
    void (*call_token)(struct generation *g, uint32_t index, const char *text, struct buf *out);
    void (*call_end)(struct generation *g, uint32_t index, struct buf *out);
};

extern const struct dialect dialect_chat, dialect_text, dialect_responses;
extern const struct dialect dialect_messages, dialect_llama;

/* Parses the body that was read, generates, answers. False: the connection must end. */
bool generate_answer(struct engine *e, struct http_conn *c, const struct dialect *dialect);
/* Appends all text found in a message, a list of parts or a plain string. */
void generate_gather_text(const json_t *value, struct buf *out);
uint32_t generate_count_words(const char *text);
/* Time since the request began, in ms, never 0. */
double generate_elapsed_ms(const struct generation *g);

#endif
