#include "simple_http.h"

#include <string.h>
#include <strings.h>

#include "base/pure/check.h"

/* What the fields say about the body. */
struct framing {
    bool has_length, chunked;
    size_t length;
};

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static size_t hex_value(char c)
{
    return (size_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* The place of CR LF in the bytes; n: it is not there. */
static size_t line_length(const char *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (p[i] == '\r' && p[i + 1] == '\n')
            return i;
    return n;
}

static bool is_digits(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return n > 0 && n < 19;
}

static enum reading take_field(struct framing *f, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (!colon || memchr(line, '\n', n) || memchr(line, '\r', n))
        return READING_BAD;
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t len = (size_t)(end - value);
    if (name == 14 && strncasecmp(line, "content-length", 14) == 0) {
        if (f->has_length || !is_digits(value, len))
            return READING_BAD;
        f->has_length = true;
        for (size_t i = 0; i < len; i++)
            f->length = f->length * 10 + (size_t)(value[i] - '0');
    }
    if (name == 17 && strncasecmp(line, "transfer-encoding", 17) == 0) {
        if (f->chunked || len != 7 || strncasecmp(value, "chunked", 7) != 0)
            return READING_BAD;
        f->chunked = true;
    }
    return READING_WHOLE;
}

static enum reading read_request_line(struct message *m, const char *line, size_t n)
{
    const char *first = memchr(line, ' ', n);
    const char *second = first ? memchr(first + 1, ' ', n - (size_t)(first + 1 - line)) : NULL;
    if (!second || line + n - second != 9 || memcmp(second + 1, "HTTP/1.", 7) != 0)
        return READING_BAD;
    buf_append(&m->method, line, (size_t)(first - line));
    buf_append(&m->target, first + 1, (size_t)(second - first - 1));
    return READING_WHOLE;
}

static enum reading read_status_line(struct message *m, const char *line, size_t n)
{
    if (n < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || !is_digits(line + 9, 3))
        return READING_BAD;
    m->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0';
    return n == 12 || line[12] == ' ' ? READING_WHOLE : READING_BAD;
}

/* RFC 9112, section 7.1; from p, bytes of m->used are there already. */
static enum reading read_chunks(struct message *m, const char *p, size_t n)
{
    for (size_t at = 0;;) {
        size_t line = line_length(p + at, n - at), size = 0, digits = 0;
        if (line == n - at)
            return READING_CUT;
        while (digits < line && is_hex(p[at + digits]))
            size = size << 4 | hex_value(p[at + digits++]);
        if (digits == 0 || digits > 15 || memchr(p + at, '\n', line) || memchr(p + at, '\r', line))
            return READING_BAD;
        at += line + 2;
        if (size == 0) {
            while ((line = line_length(p + at, n - at)) > 0) {
                if (line == n - at)
                    return READING_CUT;
                at += line + 2;
            }
            m->used += at + 2;
            return n - at >= 2 ? READING_WHOLE : READING_CUT;
        }
        size_t there = size < n - at ? size : n - at;
        buf_append(&m->body, p + at, there);
        at += there;
        if (n - at < 2)
            return n - at == 1 && p[at] != '\r' ? READING_BAD : READING_CUT;
        if (p[at] != '\r' || p[at + 1] != '\n')
            return READING_BAD;
        at += 2;
    }
}

static bool has_no_body(const struct simple_how *how, const struct message *m)
{
    return !how->is_request &&
           (how->no_body || m->status < 200 || m->status == 204 || m->status == 304);
}

static enum reading read_body(const struct simple_how *how, const struct framing *f, const char *p,
                              size_t n, struct message *m)
{
    if (f->chunked && f->has_length)
        return READING_BAD;
    if (has_no_body(how, m))
        return READING_WHOLE;
    if (f->chunked)
        return read_chunks(m, p, n);
    m->until_close = !how->is_request && !f->has_length;
    size_t length = m->until_close ? n : f->length, there = length < n ? length : n;
    buf_append(&m->body, p, there);
    m->used += there;
    return there < length || (m->until_close && !how->ended) ? READING_CUT : READING_WHOLE;
}

enum reading simple_read(const struct simple_how *how, const char *data, size_t n,
                         struct message *ret)
{
    struct framing f = {0};
    size_t at = 0, line;
    bool first = true;
    buf_clear(&ret->method);
    buf_clear(&ret->target);
    buf_clear(&ret->body);
    ret->used = ret->head = 0;
    ret->status = 0;
    ret->until_close = false;
    if (n == 0)
        return READING_CUT;
    while (how->is_request && n - at >= 2 && memcmp(data + at, "\r\n", 2) == 0)
        at += 2;
    for (; (line = line_length(data + at, n - at)) != n - at; at += line + 2, first = false) {
        if (line == 0)
            break;
        enum reading r = !first            ? take_field(&f, data + at, line)
                         : how->is_request ? read_request_line(ret, data + at, line)
                                           : read_status_line(ret, data + at, line);
        if (r == READING_BAD) /* which nobody needs to say before the head is there */
            return memmem(data, n, "\r\n\r\n", 4) ? r : READING_CUT;
    }
    if (line == n - at)
        return READING_CUT;
    ret->used = ret->head = at + 2;
    return first ? READING_BAD : read_body(how, &f, data + at + 2, n - at - 2, ret);
}

void message_fini(struct message *m)
{
    buf_fini(&m->method);
    buf_fini(&m->target);
    buf_fini(&m->body);
}
