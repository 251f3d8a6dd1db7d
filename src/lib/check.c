/* In a process of somebody else's, a broken invariant of the library ends it too: nothing that it
 * would say after that could be relied on. */
#include "base/pure/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "libwharf: broken invariant at %s:%d: %s\n", file, line, expr);
    abort();
}
