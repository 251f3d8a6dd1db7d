#include "config/text.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"

/* Private use (U+E000, U+E001), in UTF-8. */
#define BRACE_OPEN "\xee\x80\x80"
#define BRACE_CLOSE "\xee\x80\x81"
#define ENV_START "${env."
#define ENV_HIDDEN "$" BRACE_OPEN "env."

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789-";

/* Bytes of the UTF-8 sequence at p, 0 when there is none (RFC 3629, section 4). */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max, len;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
            continue;
        size_t len = forms[i].len;
        if (len > left || (len > 1 && (p[1] < forms[i].second_min || p[1] > forms[i].second_max)))
            return 0;
        for (size_t k = 2; k < len; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return len;
    }
    return 0;
}

const char *text_invalid_at(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        size_t len = utf8_length((const unsigned char *)text + i, n - i);
        bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
        if (len == 0 || control)
            return text + i;
        i += len;
    }
    return NULL;
}

void text_position(const char *text, const char *at, uint32_t *ret_line, uint32_t *ret_column)
{
    uint32_t line = 1, column = 1;
    for (const char *p = text; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xc0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

uint32_t text_tab_indent_near(const char *text, size_t n, uint32_t line)
{
    const char *p = text, *end = text + n;
    for (uint32_t number = 1; p < end && number <= line + 1; number++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        bool tab = false;
        while (p < stop && (*p == ' ' || *p == '\t'))
            tab |= *p++ == '\t';
        if (tab && p < stop && *p != '\r' && number + 1 >= line)
            return number;
        p = stop + 1;
    }
    return 0;
}

const char *text_reference(const char *p)
{
    for (; *p; p++)
        if (p[0] == '$' && p[1] == '{')
            return p;
    return NULL;
}

size_t text_macro_at(const char *p)
{
    if (p[0] != '$' || p[1] != '{')
        return 0;
    size_t len = 0;
    while (p[2 + len] && strchr(name_chars, p[2 + len]))
        len++;
    return p[2 + len] == '}' ? len : 0;
}

size_t text_env_at(const char *p)
{
    if (strncmp(p, ENV_START, strlen(ENV_START)) != 0)
        return 0;
    p += strlen(ENV_START);
    if (!*p || !strchr(letters, *p))
        return 0;
    size_t len = 0;
    while (p[len] && p[len] != '-' && strchr(name_chars, p[len]))
        len++;
    return p[len] == '}' ? len : 0;
}

char *text_hide_references(struct arena *a, const char *text, size_t n)
{
    struct buf out = {0};
    const char *copy = arena_text_n(a, text, n), *p = copy;
    for (const char *at; (at = strstr(p, ENV_START)) != NULL;) {
        buf_append(&out, p, (size_t)(at - p));
        size_t len = text_env_at(at);
        const char *name = at + strlen(ENV_START);
        if (len) {
            buf_text(&out, ENV_HIDDEN);
            buf_append(&out, name, len);
            buf_text(&out, BRACE_CLOSE);
            p = name + len + 1;
        } else {
            buf_text(&out, ENV_START);
            p = name;
        }
    }
    buf_text(&out, p);
    char *result = arena_text_n(a, out.data ? out.data : "", out.len);
    buf_fini(&out);
    return result;
}

char *text_restore_references(struct arena *a, const char *text, size_t n)
{
    char *out = arena_text_n(a, text, n);
    char *to = out;
    bool inside = false;
    for (const char *p = out; *p;) {
        if (strncmp(p, ENV_HIDDEN, strlen(ENV_HIDDEN)) == 0) {
            memcpy(to, ENV_START, strlen(ENV_START));
            to += strlen(ENV_START);
            p += strlen(ENV_HIDDEN);
            inside = true;
        } else if (inside && strncmp(p, BRACE_CLOSE, strlen(BRACE_CLOSE)) == 0) {
            *to++ = '}';
            p += strlen(BRACE_CLOSE);
            inside = false;
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
    return out;
}

/* Bytes of the line break at p; 0: there is none. */
static size_t break_length(const char *p, const char *end)
{
    if (p == end || (*p != '\r' && *p != '\n'))
        return 0;
    return *p == '\r' && end - p > 1 && p[1] == '\n' ? 2 : 1;
}

/* Passes over a line break, the empty lines behind it and the next one's indentation. How many
 * breaks those were. */
static size_t pass_breaks(const char **p, const char *end)
{
    size_t breaks = 0, n;
    while ((n = break_length(*p, end)) > 0) {
        breaks++;
        *p += n;
        *p += strspn(*p, " \t");
    }
    return breaks;
}

char *text_of_single_quoted(struct arena *a, const char *raw, size_t n)
{
    const char *p = arena_text_n(a, raw, n), *end = p + n;
    char *text = arena_alloc(a, n + 1, 1);
    size_t len = 0, line = 0; /* line: where its last one began */
    while (p < end) {
        if (break_length(p, end) == 0) {
            text[len++] = *p;
            p += *p == '\'' && end - p > 1 ? 2 : 1;
            continue;
        }
        while (len > line && (text[len - 1] == ' ' || text[len - 1] == '\t'))
            len--;
        size_t breaks = pass_breaks(&p, end);
        memset(text + len, breaks == 1 ? ' ' : '\n', breaks == 1 ? 1 : breaks - 1);
        len += breaks == 1 ? 1 : breaks - 1;
        line = len;
    }
    text[len] = '\0';
    return text;
}
