/* ollama_json.h: what an Ollama server says, as its API has it (docs/api.md of Ollama). */
#ifndef BACKEND_OLLAMA_JSON_H
#define BACKEND_OLLAMA_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pure/check.h"

/* Models that are loaded at once; further ones are not looked at. */
#define OLLAMA_LISTED_MAX 64
#define OLLAMA_NAME_BYTES 256
#define OLLAMA_ANSWER_BYTES_MAX ((size_t)256 * 1024)

struct ollama_listed {
    char name[OLLAMA_NAME_BYTES];
    uint64_t bytes;      /* in all; 0: not said */
    uint64_t vram_bytes; /* of it on GPUs, as Ollama reckons */
    bool brief;          /* it is to be unloaded some time, without being told to */
};

struct ollama_list {
    struct ollama_listed items[OLLAMA_LISTED_MAX];
    uint32_t count;
};

/* Of GET /api/ps. now_s: seconds since 1970. -1, and *ret untouched: it is none. */
int ollama_read_list(const char *json, size_t n, int64_t now_s,
                     struct ollama_list *ret) warn_unused;
/* Of an answer that is an error: its sentence, cut to size; "" where there is none. */
void ollama_read_error(const char *json, size_t n, char *ret, size_t size);
/* Of GET /api/version; "" where there is none. */
void ollama_read_version(const char *json, size_t n, char *ret, size_t size);

#endif
