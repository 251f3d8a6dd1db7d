/* nearest.h: which known word somebody probably meant. */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Further apart than any two words that are worth suggesting. */
#define NEAREST_FAR UINT32_MAX

/* Edits (insert, delete, replace, swap of neighbours; upper and lower case are the same) from one
 * word to the other; NEAREST_FAR when they have too little in common to be a slip of the pen. */
uint32_t nearest_distance(const char *a, const char *b);

struct nearest {
    const char *word;
    const char *best; /* NULL: nothing near was offered; borrowed from the offer */
    uint32_t distance;
};

struct nearest nearest_to(const char *word);
void nearest_offer(struct nearest *n, const char *candidate);

#endif
