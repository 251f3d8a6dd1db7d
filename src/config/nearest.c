#include "config/nearest.h"

#include <string.h>
#include <strings.h>

#include "base/pure/check.h"

/* Longer words are compared by their first letters only. */
#define WORD_MAX 64

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment over three rows of the usual table. */
static uint32_t edits(const char *a, size_t na, const char *b, size_t nb)
{
    uint32_t rows[3][WORD_MAX + 1];
    for (uint32_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (uint32_t i = 1; i <= na; i++) {
        uint32_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= nb; j++) {
            uint32_t change = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + change);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

uint32_t nearest_distance(const char *a, const char *b)
{
    size_t na = strnlen(a, WORD_MAX), nb = strnlen(b, WORD_MAX);
    if (na == 0 || nb == 0)
        return NEAREST_FAR;
    uint32_t distance = edits(a, na, b, nb);
    size_t shorter = na < nb ? na : nb;
    /* A shortened name is a likely slip, but a worse match than a typing error. */
    if (shorter >= 3 && strncasecmp(a, b, shorter) == 0)
        return least(distance, 3);
    return distance <= 1 + shorter / 3 && distance < shorter ? distance : NEAREST_FAR;
}

struct nearest nearest_to(const char *word)
{
    return (struct nearest){.word = word, .best = NULL, .distance = NEAREST_FAR};
}

void nearest_offer(struct nearest *n, const char *candidate)
{
    uint32_t distance = nearest_distance(n->word, candidate);
    if (distance < n->distance) {
        n->best = candidate;
        n->distance = distance;
    }
}
