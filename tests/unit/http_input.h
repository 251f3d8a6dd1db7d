/* http_input.h: test input flush against pages that cannot be touched.
 *
 * A parser that reads one byte too far, on either side, ends in SIGSEGV instead of passing. */
#ifndef TESTS_HTTP_INPUT_H
#define TESTS_HTTP_INPUT_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A text with its length, for inputs that hold NUL bytes. */
#define TEXT(s) (s), sizeof(s) - 1

#define INPUT_BYTES_MAX (256 * 1024)

enum input_edge { INPUT_AT_END, INPUT_AT_START };

static inline char *input_area(void)
{
    static char *area; /* INPUT_BYTES_MAX bytes between two guard pages */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (area)
        return area;
    char *map =
        mmap(NULL, INPUT_BYTES_MAX + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + page, INPUT_BYTES_MAX, PROT_READ | PROT_WRITE) != 0)
        abort();
    area = map + page;
    return area;
}

/* Copies n bytes to that edge of the area. Valid until the next call. */
static inline const char *input_put(enum input_edge edge, const char *data, size_t n)
{
    if (n > INPUT_BYTES_MAX)
        abort();
    char *to = edge == INPUT_AT_START ? input_area() : input_area() + INPUT_BYTES_MAX - n;
    return n ? memcpy(to, data, n) : to;
}

#endif
