#include "server/proxy/head_copy.h"

#include <string.h>

#include "base/alloc.h"

static size_t fixed_size(const struct http_head *head)
{
    return offsetof(struct http_head, fields) + head->field_count * sizeof(struct http_field);
}

struct http_head *head_copy(const struct http_head *head, const char *bytes)
{
    size_t fixed = fixed_size(head);
    char *copy = alloc_try(NULL, fixed + head->bytes, 1);
    if (!copy)
        return NULL;
    memcpy(copy, head, fixed);
    memcpy(copy + fixed, bytes, head->bytes);
    return (struct http_head *)(void *)copy;
}

char *head_copy_bytes(struct http_head *copy)
{
    return (char *)copy + fixed_size(copy);
}

size_t head_copy_size(const struct http_head *copy)
{
    return fixed_size(copy) + copy->bytes;
}
