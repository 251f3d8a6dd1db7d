/* words.h: pieces of a request that several calls of Ollama's API share, in OpenAI's words. Each
 * adds its members to `out`; false: it cannot be done, which ask says. */
#ifndef API_OLLAMA_WORDS_H
#define API_OLLAMA_WORDS_H

#include <stdbool.h>

struct json_t; /* <jansson.h> */
struct ollama_ask;

/* options.c: "options", "think", "format" and "logprobs" */
bool ollama_put_options(struct ollama_ask *ask, const struct json_t *in, struct json_t *out);
bool ollama_put_think(struct ollama_ask *ask, const struct json_t *in, struct json_t *out);
/* chat: for /v1/chat/completions; else the words are those of llama.cpp's completions too. */
bool ollama_put_format(struct ollama_ask *ask, const struct json_t *in, bool chat,
                       struct json_t *out);
bool ollama_put_logprobs(struct ollama_ask *ask, const struct json_t *in, bool chat,
                         struct json_t *out);
/* "keep_alive", into the ask itself. */
bool ollama_read_keep(struct ollama_ask *ask, const struct json_t *in);

/* messages.c */
/* "messages": roles, images, thoughts, calls of tools and their results. */
bool ollama_put_messages(struct ollama_ask *ask, const struct json_t *in, struct json_t *out);
/* The content of a message: a text, or a list of it and of the images. NULL: it cannot be done. */
struct json_t *ollama_content(struct ollama_ask *ask, const struct json_t *text,
                              const struct json_t *images);

#endif
