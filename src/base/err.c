#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_format(struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    e->set = true;
}

void err_format_around(struct err *e, const char *fmt, ...)
{
    char inner[ERR_TEXT_MAX];
    va_list ap;
    memcpy(inner, e->text, sizeof(inner));
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof(e->text))
        snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %.400s", inner);
    e->set = true;
}
