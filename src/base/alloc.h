/* alloc.h: heap memory that either is there or ends the process.
 *
 * Everything whose size a client can choose is bounded before it is allocated, so running out of
 * memory is never a client's doing. Results are owned by the caller and released with free(). */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

void *alloc_zeroed(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *alloc_grow(void *ptr, size_t count, size_t size) __attribute__((returns_nonnull));
char *alloc_text(const char *text) __attribute__((malloc, returns_nonnull));
char *alloc_text_n(const char *text, size_t n) __attribute__((malloc, returns_nonnull));
char *alloc_printf(const char *fmt, ...) __attribute__((malloc, format(printf, 1, 2)));

/* Cleanup attributes for straight-line code (config, cli, tools); banned in callbacks. */
void alloc_cleanup_free(void *ptr_to_ptr);
void alloc_cleanup_close(const int *fd);
#define auto_free __attribute__((cleanup(alloc_cleanup_free)))
#define auto_close __attribute__((cleanup(alloc_cleanup_close)))

#endif
