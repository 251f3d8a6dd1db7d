/* ask.h: what a request of Ollama's API wants, and the same in OpenAI's words.
 *
 * Reading it is pure: it looks at nothing but the text, so that it can be done off the loop. The
 * fields of Ollama's API are those of its documentation (docs/api.md of Ollama). */
#ifndef API_OLLAMA_ASK_H
#define API_OLLAMA_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json_t; /* <jansson.h> */

enum ollama_call { OLLAMA_CHAT, OLLAMA_GENERATE, OLLAMA_EMBED, OLLAMA_EMBEDDINGS };

#define OLLAMA_FOREVER UINT64_MAX
/* Values that a body may have: each takes some 200 bytes while it is read, but 3 in the body. */
#define OLLAMA_VALUES_MAX 250000

struct ollama_ask {
    enum ollama_call call;
    char *model; /* owned; as it was asked for */
    bool stream; /* the answer is to come line by line */
    bool empty;  /* there is nothing to answer to: the model is to be loaded, or to leave */
    bool read;   /* all above and keep_alive: the rest is about a translation */
    bool keeps;  /* keep_alive is given: */
    uint64_t keep_ns;
    const char *path; /* of the model's server; static */
    char *body;       /* owned; what is posted there */
    size_t body_len;
    int error; /* enum error_code: it cannot be done, and `why` says why; 0: fine */
    struct buf why;
};

/* call is set, all else is zero. What text has of half surrogate pairs is changed in place. */
void ollama_ask_read(struct ollama_ask *ask, char *text, size_t n);
void ollama_ask_fini(struct ollama_ask *ask);

/* ---- for the files that translate one call each ---- */

/* Says what is wrong: 400. Returns false. */
bool ollama_ask_fail(struct ollama_ask *ask, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Each adds to `out`, the body in OpenAI's words, what `in` comes to. False: it cannot be done. */
bool ollama_chat(struct ollama_ask *ask, const struct json_t *in, struct json_t *out);
bool ollama_generate(struct ollama_ask *ask, const struct json_t *in, struct json_t *out);
bool ollama_embed(struct ollama_ask *ask, const struct json_t *in, struct json_t *out);

#endif
