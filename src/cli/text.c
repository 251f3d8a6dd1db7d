#include "text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/pure/check.h"

#define REPLACEMENT 0xfffd
#define COLUMNS_MAX 10000
#define INDENT_MORE 4

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

size_t text_char(const char *text, uint32_t *ret)
{
    size_t n = strnlen(text, 4);
    size_t len = decode((const unsigned char *)text, n, ret);
    if (len > 0 && len <= n)
        return len;
    *ret = REPLACEMENT;
    return 1;
}

static bool is_among(const uint32_t (*ranges)[2], size_t count, uint32_t c)
{
    for (size_t i = 0; i < count && ranges[i][0] <= c; i++)
        if (c <= ranges[i][1])
            return true;
    return false;
}

size_t text_char_width(uint32_t c)
{
    static const uint32_t none[][2] = {{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd},
                                       {0x0610, 0x061a}, {0x064b, 0x065f}, {0x1ab0, 0x1aff},
                                       {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x20d0, 0x20ff},
                                       {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
    static const uint32_t wide[][2] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},
                                       {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
                                       {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
                                       {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    if (is_among(none, countof(none), c))
        return 0;
    return is_among(wide, countof(wide), c) ? 2 : 1;
}

size_t text_width(const char *text)
{
    size_t width = 0;
    uint32_t c = 0;
    for (const char *p = text; *p;) {
        p += text_char(p, &c);
        width += text_char_width(c);
    }
    return width;
}

static bool is_of_number(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == ',' || c == '%';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

size_t text_cut(const char *text, size_t width)
{
    const size_t dots = text_width(text_ellipsis());
    size_t at = 0, used = 0;
    uint32_t c;
    if (text_width(text) <= width)
        return strlen(text);
    for (size_t len; text[at]; at += len) {
        len = text_char(text + at, &c);
        if (used + text_char_width(c) + dots > width)
            break;
        used += text_char_width(c);
    }
    size_t start = at;
    while (start > 0 && is_of_number(text[start - 1]))
        start--;
    while (start < at && !is_digit(text[start]))
        start++;
    bool is_in_number = start > 0 && start < at && is_of_number(text[at]);
    if (is_in_number)
        at = start;
    while (at > 1 && text[at - 1] == ' ')
        at--;
    return at;
}

bool text_locale_is_utf8(void)
{
    static enum { UNKNOWN, NO, YES } is_utf8;
    if (is_utf8 == UNKNOWN) {
        setlocale(LC_CTYPE, "");
        is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? YES : NO;
    }
    return is_utf8 == YES;
}

const char *text_ellipsis(void)
{
    return text_locale_is_utf8() ? "\xe2\x80\xa6" : "...";
}

size_t text_terminal_columns(void)
{
    const char *given = getenv("COLUMNS");
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return 0;
    long columns = given ? strtol(given, NULL, 10) : 0;
    if (columns > 0 && columns <= COLUMNS_MAX)
        return (size_t)columns;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
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

void text_wrap_lines(struct buf *out, const char *text, size_t width)
{
    struct buf line = {0};
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "\n"), lead = strspn(p, " ");
        buf_clear(&line);
        buf_append(&line, p, len);
        if (width == 0 || len == 0 || text_width(line.data) <= width) {
            buf_append(out, p, len);
            buf_char(out, '\n');
        } else {
            /* The first word stands where it stood: text_wrap indents the others alone. */
            size_t first = lead + strcspn(line.data + lead, " ");
            buf_append(out, p, first);
            buf_char(out, ' ');
            size_t indent = lead + INDENT_MORE <= first ? lead + INDENT_MORE : first + 1;
            text_wrap(out, line.data + first, first + 1, indent, width + 1);
        }
        p += len + (p[len] == '\n');
    }
    buf_fini(&line);
}
