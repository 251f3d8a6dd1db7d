/* arena.h: memory that is released all at once.
 *
 * One load has two of them: a scratch arena for nodes and bound values, gone when the load returns,
 * and the configuration's own, which lives as long as the struct config. Nothing is released
 * singly. Every piece is an allocation of its own, so that the sanitizers see its bounds. */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include <stddef.h>

struct arena {
    struct arena_piece *pieces;
    size_t bytes; /* handed out so far */
};

/* All zero is a valid, empty arena. */
void arena_fini(struct arena *a);
/* Zeroed. */
void *arena_alloc(struct arena *a, size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));
char *arena_text(struct arena *a, const char *text) __attribute__((malloc, returns_nonnull));
char *arena_text_n(struct arena *a, const char *text, size_t n)
    __attribute__((malloc, returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((malloc, returns_nonnull, format(printf, 2, 3)));

#endif
