/* tools.h: the calls of tools in a model's answer. OpenAI sends them in pieces, their arguments as
 * text; Ollama whole, their arguments as an object. */
#ifndef API_OLLAMA_TOOLS_H
#define API_OLLAMA_TOOLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pure/check.h"

/* In one answer, with names and arguments. */
#define OLLAMA_TOOLS_MAX 128
#define OLLAMA_TOOLS_BYTES_MAX (256 * 1024)

struct ollama_tool {
    struct buf id, name, arguments;
};

/* All zero: none. */
struct ollama_tools {
    struct ollama_tool *items; /* owned */
    uint32_t count;
    size_t bytes;
};

void ollama_tools_fini(struct ollama_tools *t);
/* The list "tool_calls" of an event or a whole answer. 0, or -1: it is none, or there are too many.
 */
int ollama_tools_add(struct ollama_tools *t, const char *json, size_t n) warn_unused;
/* Appends them as a list. 0, or -1 when the arguments of one are no JSON object. */
int ollama_tools_put(const struct ollama_tools *t, struct buf *out) warn_unused;

#endif
