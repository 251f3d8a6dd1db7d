#include "text.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"

#define GAP 2 /* spaces between columns */

/* The length of the UTF-8 sequence that begins with byte c, 0 when none does (RFC 3629). */
static size_t sequence_len(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Decodes the character at s. Returns its length; 0 when it is malformed; n + 1 when it is cut off
 * by the end. */
static size_t decode(const unsigned char *s, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = sequence_len(s[0]);
    if (len <= 1) {
        *ret = s[0];
        return len;
    }
    uint32_t c = s[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if (i >= n)
            return n + 1;
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return len;
}

/* Unicode's bidirectional controls, line and paragraph separators, and invisible joiners. */
static bool is_deceptive(uint32_t c)
{
    return c == 0x061c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

static void escape_char(struct buf *out, enum text_mode mode, uint32_t c)
{
    if (mode == TEXT_JSON && c < 0x20)
        buf_char(out, ' ');
    else if (mode == TEXT_JSON)
        buf_printf(out, "\\u%04x", c);
    else if (mode == TEXT_LOG && (c == '\n' || c == '\t'))
        buf_char(out, (char)c);
    else if (c == '\n')
        buf_text(out, "\\n");
    else if (c == '\r')
        buf_text(out, "\\r");
    else if (c == '\t')
        buf_text(out, "\\t");
    else if (c < 0x80)
        buf_printf(out, "\\x%02x", c);
    else
        buf_printf(out, "\\u{%x}", c);
}

size_t text_escape(struct buf *out, enum text_mode mode, const char *text, size_t n, bool more)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t at = 0, plain = 0; /* text[plain .. at) needs no escape */
    while (at < n) {
        uint32_t c = 0;
        size_t len = decode(s + at, n - at, &c);
        if (len > n - at && more)
            break;
        bool is_valid = len > 0 && len <= n - at;
        if (is_valid && !is_control(c) && !is_deceptive(c)) {
            at += len;
            continue;
        }
        buf_append(out, text + plain, at - plain);
        if (is_valid)
            escape_char(out, mode, c);
        else
            buf_printf(out, "\\x%02x", s[at]);
        at += is_valid ? len : 1;
        plain = at;
    }
    buf_append(out, text + plain, at - plain);
    return at;
}

void text_escape_all(struct buf *out, enum text_mode mode, const char *text)
{
    text_escape(out, mode, text, strlen(text), false);
}

size_t text_width(const char *text)
{
    size_t width = 0;
    for (const char *p = text; *p; p++)
        width += ((unsigned char)*p & 0xc0) != 0x80;
    return width;
}

static void pad(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(out, ' ');
}

void text_wrap(struct buf *out, const char *text, size_t column, size_t indent, size_t width)
{
    bool line_empty = true;
    for (const char *p = text; *p;) {
        if (*p == '\n') {
            buf_char(out, '\n');
            column = 0;
            line_empty = true;
            p++;
            continue;
        }
        if (*p == ' ') {
            p++;
            continue;
        }
        size_t len = strcspn(p, " \n");
        if (!line_empty && column + 1 + len >= width) {
            buf_char(out, '\n');
            column = 0;
            line_empty = true;
        }
        if (!line_empty)
            buf_char(out, ' ');
        else if (column < indent)
            pad(out, indent - column);
        column = line_empty ? (column < indent ? indent : column) + len : column + 1 + len;
        line_empty = false;
        buf_append(out, p, len);
        p += len;
    }
    buf_char(out, '\n');
}

void text_table_add(struct text_table *t, const char *const *cells)
{
    must(t->columns > 0 && t->columns <= TEXT_COLUMNS_MAX);
    if (t->row_count == t->rows_max) {
        t->rows_max = t->rows_max ? t->rows_max * 2 : 16;
        t->cells = alloc_grow(t->cells, (size_t)t->rows_max * t->columns, sizeof(*t->cells));
    }
    for (uint32_t i = 0; i < t->columns; i++) {
        struct buf cell = {0};
        text_escape_all(&cell, TEXT_LINE, cells[i]);
        t->cells[t->row_count * t->columns + i] = buf_take(&cell);
    }
    t->row_count++;
}

void text_table_print(const struct text_table *t, struct buf *out)
{
    size_t widths[TEXT_COLUMNS_MAX] = {0};
    for (uint32_t i = 0; i < t->row_count * t->columns; i++) {
        size_t width = text_width(t->cells[i]);
        if (width > widths[i % t->columns])
            widths[i % t->columns] = width;
    }
    for (uint32_t i = 0; i < t->row_count * t->columns; i++) {
        bool is_last = (i + 1) % t->columns == 0;
        buf_text(out, t->cells[i]);
        if (is_last)
            buf_char(out, '\n');
        else
            pad(out, widths[i % t->columns] - text_width(t->cells[i]) + GAP);
    }
}

void text_table_fini(struct text_table *t)
{
    for (uint32_t i = 0; i < t->row_count * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct text_table){.columns = 0};
}
