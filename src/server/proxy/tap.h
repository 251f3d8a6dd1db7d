/* tap.h: what an answer says about its own cost, read as it passes by: tokens and speeds, or why it
 * failed. No I/O; the bytes come in pieces of any size and are not kept.
 *
 * Read are OpenAI's and Anthropic's "usage", llama.cpp's "timings" and vLLM's "metrics", in JSON
 * bodies and in each event of a stream (text/event-stream). An answer that is neither has no
 * counts. A tap has at most TAP_OBJECT_MAX bytes of each of the six objects that it looks for, or
 * TAP_ERROR_MAX of a failed answer. */
#ifndef SERVER_PROXY_TAP_H
#define SERVER_PROXY_TAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TAP_OBJECT_MAX 4096
#define TAP_ERROR_MAX 4096
/* Of the sentence that an error is cut to. */
#define TAP_MESSAGE_MAX 500

struct tap;
struct text;

struct tap_answer {
    unsigned status;
    const char *type; /* Content-Type; borrowed during tap_new */
    size_t type_len;
    bool encoded; /* with a Content-Encoding that changes the bytes */
};

/* Tokens and tokens a second. Where nothing was understood all are 0; else what was not said is 0
 * for input and output, and -1 for the others. */
struct tap_counts {
    int64_t input, output, cached, drafted, draft_accepted;
    double prompt_per_second, output_per_second;
    uint64_t measured_ms; /* what the engine says that it worked; 0: it does not say */
};

/* What it takes to read a text, between two that are read: most are read in one go, so that one
 * does for all. Begins all zero. */
struct tap_spare {
    struct text *text; /* owned; or NULL */
};

void tap_spare_fini(struct tap_spare *spare);

/* Owned by the caller; the spare lives longer. */
struct tap *tap_new(const struct tap_answer *answer, struct tap_spare *spare);
void tap_feed(struct tap *t, const char *data, size_t n);
/* The answer is over. Appends to error why it failed, if its status says so. */
void tap_end(struct tap *t, struct tap_counts *ret, struct buf *error);
/* NULL is legal. */
void tap_free(struct tap *t);

#endif
