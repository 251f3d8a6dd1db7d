#include "config/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"

struct arena_piece {
    struct arena_piece *next;
    max_align_t data[];
};

void arena_fini(struct arena *a)
{
    while (a->pieces) {
        struct arena_piece *next = a->pieces->next;
        free(a->pieces);
        a->pieces = next;
    }
    a->bytes = 0;
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    must(size == 0 || count <= (SIZE_MAX >> 1) / size);
    struct arena_piece *piece = alloc_zeroed(1, sizeof(*piece) + count * size);
    piece->next = a->pieces;
    a->pieces = piece;
    a->bytes += count * size;
    return piece->data;
}

char *arena_text_n(struct arena *a, const char *text, size_t n)
{
    char *copy = arena_alloc(a, n + 1, 1);
    memcpy(copy, text, n);
    return copy;
}

char *arena_text(struct arena *a, const char *text)
{
    return arena_text_n(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        alloc_failed();
    char *copy = arena_text_n(a, text, (size_t)n);
    free(text);
    return copy;
}
