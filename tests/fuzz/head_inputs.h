/* head_inputs.h: heads to try parsers on: given ones, and what chance makes of them.
 *
 * Whole lines are inserted, doubled, dropped and moved as often as bytes are changed, so that many
 * mutations are still heads. The same seed makes the same inputs. */
#ifndef TESTS_HEAD_INPUTS_H
#define TESTS_HEAD_INPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pure/rng.h"

#define HEAD_INPUT_BYTES_MAX 1024
#define HEAD_POOL_MAX 256

struct head_input {
    bool response, to_head;
    size_t len;
    char data[HEAD_INPUT_BYTES_MAX];
};

struct head_pool {
    size_t count;
    struct head_input inputs[HEAD_POOL_MAX];
};

void head_pool_add(struct head_pool *pool, bool response, const char *data, size_t n);
/* The files of a corpus of fuzz_http_head.c. Returns how many. */
size_t head_pool_add_folder(struct head_pool *pool, const char *path);
/* One of the pool, with one to four changes. */
void head_pool_mutate(const struct head_pool *pool, struct rng *r, struct head_input *ret);

#endif
