#include "pure/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "wharf: broken invariant at %s:%d: %s\n", file, line, expr);
    abort();
}
