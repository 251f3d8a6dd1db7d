/* alloc.h: heap memory that either is there or ends the process.
 *
 * Everything whose size a client can choose is bounded before it is allocated, and where that is
 * much, it is asked for with alloc_try, which may say no: that request fails. Results are owned by
 * the caller and released with free(). */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pure/check.h"

/* Says so in one line, and ends the process. */
_Noreturn void alloc_failed(void);
/* That has happened: what follows is the end. */
extern bool alloc_ended;
void *alloc_zeroed(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* As alloc_grow, but NULL where there is none; then ptr stays as it was. */
void *alloc_try(void *ptr, size_t count, size_t size) warn_unused;
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
