#include "alloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool alloc_ended;

/* What stands here is all that is said: whoever sees the signal (server/abort.h) need not say more.
 */
_Noreturn void alloc_failed(void)
{
    static const char text[] = "wharf: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    errno = 0;
    alloc_ended = true;
    abort();
}

static void *checked(void *ptr)
{
    if (!ptr)
        alloc_failed();
    return ptr;
}

void *alloc_zeroed(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *alloc_try(void *ptr, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    size_t bytes = count * size;
    return realloc(ptr, bytes ? bytes : 1);
}

void *alloc_grow(void *ptr, size_t count, size_t size)
{
    return checked(alloc_try(ptr, count, size));
}

char *alloc_text(const char *text)
{
    return checked(strdup(text));
}

char *alloc_text_n(const char *text, size_t n)
{
    char *copy = alloc_zeroed(n + 1, 1);
    memcpy(copy, text, n);
    return copy;
}

char *alloc_printf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return checked(n < 0 ? NULL : text);
}

void alloc_cleanup_free(void *ptr_to_ptr)
{
    free(*(void **)ptr_to_ptr);
}

void alloc_cleanup_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
