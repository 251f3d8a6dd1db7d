/* trace.h: the trace that a request is part of (W3C Trace Context,
 * https://www.w3.org/TR/trace-context/, section 3.2). */
#ifndef HTTP_TRACE_H
#define HTTP_TRACE_H

#include <stdbool.h>
#include <stddef.h>

#include "http/head.h"

/* With its NUL: of an id, and of a whole traceparent of version 00. */
#define TRACE_ID_MAX 33
#define TRACE_PARENT_MAX 56

/* Whether value[0 .. n) is a valid traceparent, of this version or one that is to come; then its
 * trace id. */
bool trace_parse(const char *value, size_t n, char ret[TRACE_ID_MAX]);
/* How many traceparent fields the head has; the id where it is one and valid, else "". */
unsigned trace_find(const struct http_head *h, const char *data, char ret[TRACE_ID_MAX]);

#endif
