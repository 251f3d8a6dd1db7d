/* names.h: texts as small numbers, in the order in which they first came. */
#ifndef SIMULATE_NAMES_H
#define SIMULATE_NAMES_H

#include <stdint.h>

/* All zero is an empty set. */
struct names {
    char **texts; /* owned; texts[i] is number i + 1 */
    uint32_t count;
    uint32_t *table; /* owned; numbers by hash, 0: free; table_size is a power of two */
    uint32_t table_size;
};

/* The text's number, from 1 on. */
uint32_t names_number(struct names *n, const char *text);
void names_fini(struct names *n);

#endif
