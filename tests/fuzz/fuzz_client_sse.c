/* Any lines as server-sent events. The oracle reads the standard literally (WHATWG HTML, section
 * 9.2.6), keeps everything, and leaves out what is beyond the bounds in the end. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/pure/check.h"
#include "client/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct oracle {
    struct buf id, type, data;
    bool any;
};

static void take_field(struct oracle *o, const char *name, size_t name_n, const char *value,
                       size_t n)
{
    if (name_n == 4 && memcmp(name, "data", 4) == 0) {
        if (o->any)
            buf_char(&o->data, '\n');
        buf_append(&o->data, value, n);
        o->any = true;
    } else if (name_n == 5 && memcmp(name, "event", 5) == 0) {
        buf_clear(&o->type);
        buf_append(&o->type, value, n);
    } else if (name_n == 2 && memcmp(name, "id", 2) == 0 && !memchr(value, '\0', n) &&
               n <= SSE_FIELD_BYTES_MAX) {
        buf_clear(&o->id);
        buf_append(&o->id, value, n);
    }
}

static void take_line(struct oracle *o, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (colon == line)
        return; /* a comment */
    size_t name_n = colon ? (size_t)(colon - line) : n;
    const char *value = colon ? colon + 1 : line + n;
    size_t value_n = n - (size_t)(value - line);
    if (value_n && *value == ' ')
        value++, value_n--;
    take_field(o, line, name_n, value, value_n);
}

static void same(const struct buf *a, const struct buf *b)
{
    must(a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct sse s;
    struct oracle o = {.any = false};
    const char *at = (const char *)input, *end = at + size;
    sse_init(&s);
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        char *line = alloc_zeroed(n + 1, 1); /* so that a byte too many is seen */
        memcpy(line, at, n);
        bool closed = sse_line(&s, line, n);
        must(closed == (n == 0 && o.any && o.type.len <= SSE_FIELD_BYTES_MAX &&
                        o.data.len <= SSE_DATA_BYTES_MAX));
        if (closed) {
            same(&s.data, &o.data);
            same(&s.type, &o.type);
            same(&s.id, &o.id);
        }
        if (n == 0) {
            o.any = false;
            buf_clear(&o.data);
            buf_clear(&o.type);
        } else {
            take_line(&o, line, n);
        }
        free(line);
        at += n + 1;
    }
    sse_fini(&s);
    buf_fini(&o.id);
    buf_fini(&o.type);
    buf_fini(&o.data);
    return 0;
}
