#include "sse.h"

#include <string.h>

void sse_init(struct sse *s)
{
    *s = (struct sse){.id = {.max = SSE_FIELD_BYTES_MAX},
                      .type = {.max = SSE_FIELD_BYTES_MAX},
                      .data = {.max = SSE_DATA_BYTES_MAX}};
}

void sse_fini(struct sse *s)
{
    buf_fini(&s->id);
    buf_fini(&s->type);
    buf_fini(&s->data);
}

static void clear_event(struct sse *s)
{
    buf_clear(&s->type);
    buf_clear(&s->data);
    s->is_closed = false;
    s->has_data = false;
}

static void set_field(struct buf *field, const char *value, size_t n)
{
    buf_clear(field);
    buf_append(field, value, n);
}

static void add_data(struct sse *s, const char *value, size_t n)
{
    if (s->has_data)
        buf_char(&s->data, '\n');
    buf_append(&s->data, value, n);
    s->has_data = true;
}

static bool is_name(const char *name, const char *line, size_t n)
{
    return n == strlen(name) && memcmp(name, line, n) == 0;
}

bool sse_line(struct sse *s, const char *line, size_t n)
{
    if (s->is_closed)
        clear_event(s);
    if (n == 0) {
        s->is_closed = true;
        return s->has_data && !s->data.overflow && !s->type.overflow;
    }
    const char *colon = memchr(line, ':', n);
    size_t name_len = colon ? (size_t)(colon - line) : n;
    const char *value = line + name_len + (colon ? 1 : 0);
    size_t value_len = n - (size_t)(value - line);
    if (value_len > 0 && value[0] == ' ') {
        value++;
        value_len--;
    }
    if (is_name("data", line, name_len))
        add_data(s, value, value_len);
    else if (is_name("event", line, name_len))
        set_field(&s->type, value, value_len);
    else if (is_name("id", line, name_len) && value_len <= SSE_FIELD_BYTES_MAX &&
             !memchr(value, '\0', value_len))
        set_field(&s->id, value, value_len);
    return false;
}
