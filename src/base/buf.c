#include "buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "pure/check.h"
#include "pure/units.h"
#include "utf8.h"

#define BUF_CAP_MIN 64

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->data)
        b->data[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (n > SIZE_MAX / 2 - b->len || (b->max && b->len + n > b->max)) {
        b->overflow = true;
        return NULL;
    }
    if (b->len + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : BUF_CAP_MIN;
        while (cap < b->len + n + 1)
            cap *= 2;
        char *data = alloc_try(b->data, cap, 1);
        if (!data && b->max == 0)
            alloc_failed();
        b->overflow |= data == NULL;
        if (!data)
            return NULL;
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_commit(struct buf *b, size_t n)
{
    must(b->len + n < b->cap);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_append(struct buf *b, const void *data, size_t n)
{
    char *to = buf_reserve(b, n);
    if (!to)
        return;
    if (n)
        memcpy(to, data, n);
    buf_commit(b, n);
}

void buf_text(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_char(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_whole(struct buf *b, int64_t value)
{
    char digits[UNITS_DIGITS_MAX];
    size_t n = units_put_digits(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, digits);
    if (value < 0)
        buf_char(b, '-');
    buf_append(b, digits, n);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    must(n >= 0);
    char *to = buf_reserve(b, (size_t)n);
    if (!to)
        return;
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    buf_commit(b, (size_t)n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
    must(n <= b->len);
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    if (b->data)
        b->data[b->len] = '\0';
}

char *buf_take(struct buf *b)
{
    if (!b->data)
        buf_append(b, "", 0);
    char *data = b->data;
    size_t max = b->max;
    *b = (struct buf){.max = max};
    return data;
}

/* The number of the character at s, of len bytes, where it is better escaped than shown as it is:
 * what a terminal would obey (DEL, C1), and U+2028 and U+2029, at which some who read lines
 * break them. Else 0. Bytes below 0x20 are for
 * the caller to see. */
static unsigned unsafe_number(const unsigned char *s, size_t len)
{
    if (len == 1)
        return s[0] == 0x7f ? 0x7f : 0;
    if (len == 2)
        return s[0] == 0xc2 && s[1] < 0xa0 ? s[1] : 0;
    if (len == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9))
        return 0x2000U + (s[2] & 0x3fU);
    return 0;
}

static void put_escaped(struct buf *b, const unsigned char *s, size_t len)
{
    unsigned number = len ? unsafe_number(s, len) : 0;
    if (len == 0)
        buf_text(b, "\xef\xbf\xbd");
    else if (s[0] == '"' || s[0] == '\\')
        buf_printf(b, "\\%c", s[0]);
    else if (s[0] == '\n')
        buf_text(b, "\\n");
    else if (s[0] < 0x20 || number)
        buf_printf(b, "\\u%04x", number ? number : s[0]);
    else
        buf_append(b, s, len);
}

/* What needs no look goes in one piece. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void buf_json(struct buf *b, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    buf_char(b, '"');
    for (size_t i = 0; i < n;) {
        size_t run = i;
        while (run < n && is_plain(s[run]))
            run++;
        if (run > i) {
            buf_append(b, s + i, run - i);
            i = run;
            continue;
        }
        size_t len = utf8_len(s + i, n - i);
        put_escaped(b, s + i, len);
        i += len ? len : 1;
    }
    buf_char(b, '"');
}

void buf_json_text(struct buf *b, const char *text)
{
    buf_json(b, text, strlen(text));
}

void buf_base64(struct buf *b, const void *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;
    char *to = buf_reserve(b, (n + 2) / 3 * 4);
    size_t len = 0;
    if (!to)
        return;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                        (left > 2 ? p[i + 2] : 0);
        to[len++] = digits[bits >> 18];
        to[len++] = digits[bits >> 12 & 63];
        to[len++] = left > 1 ? digits[bits >> 6 & 63] : '=';
        to[len++] = left > 2 ? digits[bits & 63] : '=';
    }
    buf_commit(b, len);
}
