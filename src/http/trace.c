#include "http/trace.h"

#include <string.h>

/* version-traceid-parentid-flags, in lower-case hexadecimal digits. */
#define ID_AT 3
#define PARENT_AT 36
#define FLAGS_AT 53
#define LENGTH 55

static bool is_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] != '0')
            return false;
    return true;
}

bool trace_parse(const char *value, size_t n, char ret[TRACE_ID_MAX])
{
    if (n < LENGTH || value[ID_AT - 1] != '-' || value[PARENT_AT - 1] != '-' ||
        value[FLAGS_AT - 1] != '-')
        return false;
    bool digits = is_hex(value, ID_AT - 1) && is_hex(value + ID_AT, TRACE_ID_MAX - 1) &&
                  is_hex(value + PARENT_AT, FLAGS_AT - 1 - PARENT_AT) &&
                  is_hex(value + FLAGS_AT, LENGTH - FLAGS_AT);
    /* Version ff is none. What a later one has more stands behind another dash. */
    bool first = memcmp(value, "00", 2) == 0;
    bool length = n == LENGTH || (!first && value[LENGTH] == '-');
    if (!digits || !length || memcmp(value, "ff", 2) == 0 ||
        is_zero(value + ID_AT, TRACE_ID_MAX - 1) ||
        is_zero(value + PARENT_AT, FLAGS_AT - 1 - PARENT_AT))
        return false;
    memcpy(ret, value + ID_AT, TRACE_ID_MAX - 1);
    ret[TRACE_ID_MAX - 1] = '\0';
    return true;
}

unsigned trace_find(const struct http_head *h, const char *data, char ret[TRACE_ID_MAX])
{
    unsigned count = 0;
    bool valid = false;
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        if (f->known != HTTP_FIELD_OTHER || !http_span_equal_case(data, f->name, "traceparent"))
            continue;
        valid = trace_parse(data + f->value.off, f->value.len, ret);
        count++;
    }
    if (count != 1 || !valid)
        ret[0] = '\0';
    return count;
}
