/* head_copy.h: a head that is kept beyond the read that it came in: its used part and its bytes, in
 * one piece of memory, which the caller frees with free(). */
#ifndef SERVER_PROXY_HEAD_COPY_H
#define SERVER_PROXY_HEAD_COPY_H

#include <stddef.h>

#include "http/head.h"

/* NULL: there is no memory for it. */
struct http_head *head_copy(const struct http_head *head, const char *bytes)
    __attribute__((malloc));
/* Of a copy only: the bytes that its offsets are of, and the memory that it takes. */
char *head_copy_bytes(struct http_head *copy);
size_t head_copy_size(const struct http_head *copy);

#endif
