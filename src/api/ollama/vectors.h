/* vectors.h: the embeddings of OpenAI's answer as lists of numbers, one after the other as they
 * come, each digit as it was: {"data": [{"embedding": […]}, …], "usage": {…}}. Of the answer no
 * more is kept than one element. */
#ifndef API_OLLAMA_VECTORS_H
#define API_OLLAMA_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define VECTORS_ITEM_MAX (1024 * 1024)

struct vectors {
    bool begun, one; /* one: there must be exactly one */
    bool broken;     /* it is not what it should be */
    bool seen;       /* there was a list */
    bool text, escaped, list, keeping;
    uint32_t depth, count;
    char name[16]; /* of the member of the outermost object, cut */
    uint32_t name_len;
    struct buf item;
    double prompt_tokens; /* -1: not said */
};

void vectors_init(struct vectors *v, bool one);
void vectors_fini(struct vectors *v);
/* Appends what has become whole, with commas between. */
void vectors_feed(struct vectors *v, const char *data, size_t n, struct buf *out);
/* Whether that was all that there should be. */
bool vectors_end(const struct vectors *v);

#endif
