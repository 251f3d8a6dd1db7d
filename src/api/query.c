#include "api/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "http/url.h"

static int find(const struct exchange *ex, const char *name, char *value, size_t size)
{
    struct http_span q = ex->head->query;
    return url_query_find(ex->bytes + q.off, q.len, name, value, size);
}

bool api_query_value(const struct exchange *ex, const char *name, char *value, size_t size)
{
    int found = find(ex, name, value, size);
    if (found < 0)
        snprintf(value, size, "?");
    return found != 0 && *value;
}

bool api_query_has(const struct exchange *ex, const char *name)
{
    char value[8];
    return find(ex, name, value, sizeof(value)) != 0;
}

bool api_query_flag(const struct exchange *ex, const char *name, bool absent)
{
    char value[16];
    if (find(ex, name, value, sizeof(value)) < 1)
        return absent;
    return strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

uint64_t api_query_number(const struct exchange *ex, const char *name, uint64_t absent)
{
    char value[24];
    if (!api_query_value(ex, name, value, sizeof(value)) || strlen(value) > 18 ||
        value[strspn(value, "0123456789")])
        return absent;
    return strtoull(value, NULL, 10);
}
