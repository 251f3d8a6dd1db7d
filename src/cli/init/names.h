/* names.h: what the names of model files say, and the ids that models get by them. Pure. */
#ifndef CLI_INIT_NAMES_H
#define CLI_INIT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/init/found.h"

#define NAMES_SUFFIX ".gguf"

/* The last component of a path. */
const char *names_base(const char *path);
/* Whether it ends in .gguf, in small letters or large ones. */
bool names_is_gguf(const char *base);
/* Of "x-00002-of-00003.gguf", part 2 of 3; false: it is no part. */
bool names_part(const char *base, uint32_t *ret_part, uint32_t *ret_of);
/* Whether llama.cpp's conversion calls it a projector (mmproj). */
bool names_is_projector(const char *base);

/* An id of small letters, digits, '.', '_' and '-', with the quantisation: "qwen3-8b-q4_k_m". Never
 * empty; the caller frees it. */
char *names_long_id(const char *base);
/* Without it: "qwen3-8b". Where the file's name says nothing ("model-q4_0.gguf"), what the file
 * says of itself (title, or ""). */
char *names_short_id(const char *base, const char *title);
/* What is left of a projector's name without that word and the quantisation: the model's name, or
 * "". */
char *names_projected(const char *base);

/* Gives every model an id that nobody else has: the short one where it is alone, else the long one,
 * else a number behind it. Ollama's are called as they are there, without ":latest". */
void names_assign(struct found *f);

#endif
