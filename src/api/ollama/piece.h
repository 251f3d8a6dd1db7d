/* piece.h: what a model's server says in one event of a stream, or in a whole answer: a chat
 * completion, a completion, or llama.cpp's own form of one (/infill). No tree is built; texts are
 * spans of the JSON that was read, escapes and quotes included, to be put into other JSON. */
#ifndef API_OLLAMA_PIECE_H
#define API_OLLAMA_PIECE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/pure/check.h"

/* Of the JSON; n = 0: it is not there. */
struct ollama_span {
    const char *text;
    size_t n;
};

struct ollama_piece {
    struct ollama_span content, thinking; /* strings */
    struct ollama_span tool_calls;        /* a list */
    struct ollama_span logprobs;          /* a list */
    bool failed;                          /* it says that it failed (ollama_piece_error) */
    bool finished;                        /* there is no more text */
    char finish[24];                      /* why; "": not said */
    double prompt_tokens, tokens, prompt_ms, tokens_ms; /* -1: not said */
};

/* 0, or a negative error where it is no JSON object. */
int ollama_piece_read(const char *text, size_t n, struct ollama_piece *ret) warn_unused;
/* Appends the sentence that an error has, in whichever form; what is none as it is, cut. */
void ollama_piece_error(const char *text, size_t n, struct buf *out);

#endif
