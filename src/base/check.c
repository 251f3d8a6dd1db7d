#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/pure/check.h"

static void (*dump_cb)(int fd);

void check_set_dump(void (*dump)(int fd))
{
    dump_cb = dump;
}

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "wharf: broken invariant at %s:%d: %s\n", file, line, expr);
    if (dump_cb)
        dump_cb(STDERR_FILENO);
    errno = 0; /* it was none of the system's */
    abort();
}
