#include "base/logform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/logtime.h"
#include "base/pure/check.h"
#include "base/utf8.h"

const char *const log_level_words[LOG_LEVEL__COUNT] = {"debug", "info", "warn", "error"};

/* ---- for people ---- */

struct line {
    char data[LOGFORM_LINE_MAX];
    size_t n;
};

static void put(struct line *l, const char *text, size_t n)
{
    size_t room = sizeof(l->data) - l->n;
    if (n > room)
        n = room;
    memcpy(l->data + l->n, text, n);
    l->n += n;
}

static void put_text(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* A word needs no quotes: whoever splits a line at its blanks finds it whole. */
static bool is_word(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return n > 0;
}

static void put_quoted(struct line *l, const char *text, size_t n)
{
    char quoted[LOGFORM_LINE_MAX];
    log_quote(text, n, quoted, sizeof(quoted));
    put_text(l, "\"");
    put_text(l, quoted);
    put_text(l, "\"");
}

static void put_field(struct line *l, const struct log_field *f)
{
    char number[24];
    put_text(l, " ");
    if (f->kind == LOG_FIELD_JSON) {
        put(l, f->text, f->n);
        return;
    }
    put_text(l, f->name);
    put_text(l, "=");
    if (f->kind == LOG_FIELD_NUMBER)
        put(l, number, (size_t)snprintf(number, sizeof(number), "%lld", (long long)f->number));
    else if (is_word(f->text, f->n))
        put(l, f->text, f->n);
    else
        put_quoted(l, f->text, f->n);
}

static void put_words(struct line *l, const struct log_entry *e)
{
    if (e->model) {
        put(l, e->model, strnlen(e->model, 200));
        put_text(l, " ");
    }
    put(l, e->text, e->n);
    for (size_t i = 0; i < e->fields.count; i++)
        if (e->fields.items[i].name && !e->fields.items[i].said)
            put_field(l, &e->fields.items[i]);
}

/* What a terminal would obey, and what would begin a line: C0 but for the tab, DEL, C1 as UTF-8 has
 * it (ECMA-48, sections 5.2 and 5.3), and the line and paragraph separators, at which some who read
 * lines break them. */
static bool is_unsafe(const unsigned char *s, size_t len)
{
    if (len == 1)
        return (*s < 0x20 && *s != '\t') || *s == 0x7f;
    if (len == 2)
        return s[0] == 0xc2 && s[1] < 0xa0;
    return len == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9);
}

/* Callers quote what comes from outside; what one of them has missed makes no line of its own all
 * the same. Nor does what is no UTF-8 go out. Returns the length. */
static size_t escape(const char *text, size_t n, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n;) {
        const unsigned char *s = (const unsigned char *)text + i;
        if (*s >= 0x20 && *s < 0x7f) { /* most are, and every request has a line */
            out[at++] = text[i++];
            continue;
        }
        size_t whole = utf8_len(s, n - i), len = whole ? whole : 1;
        bool unsafe = !whole || is_unsafe(s, len);
        for (size_t k = 0; k < len; k++) {
            if (unsafe)
                at += (size_t)snprintf(out + at, 5, "\\x%02x", s[k]);
            else
                out[at++] = (char)s[k];
        }
        i += len;
    }
    return at;
}

/* A line that was cut amid a character ends before it. */
static size_t whole_len(const struct line *l)
{
    size_t back = 1;
    if (l->n < sizeof(l->data))
        return l->n;
    while (back < 4 && ((unsigned char)l->data[l->n - back] & 0xc0) == 0x80)
        back++;
    return utf8_len((const unsigned char *)l->data + l->n - back, back) == back ? l->n
                                                                                : l->n - back;
}

static size_t copy(const char *text, char *out)
{
    size_t n = 0;
    for (; text[n]; n++)
        out[n] = text[n];
    return n;
}

size_t logform_human(const struct log_entry *e, const struct logtime *time, bool colours,
                     char out[LOGFORM_HUMAN_MAX])
{
    static const char *const begin[LOG_LEVEL__COUNT] = {"\033[2m", "\033[32m", "\033[33m",
                                                        "\033[1;31m"};
    static const char *const words[LOG_LEVEL__COUNT] = {"debug ", "info  ", "warn  ", "error "};
    struct line l = {.n = 0};
    /* What models print may have left a colour behind, or have hidden what comes. */
    size_t at = colours ? copy("\033[m", out) : 0;
    size_t n = logtime_format(time, e->at, out + at);
    at += n;
    if (n)
        out[at++] = ' ';
    if (colours)
        at += copy(begin[e->level], out + at);
    at += copy(words[e->level], out + at);
    if (colours)
        at += copy("\033[m", out + at);
    _Static_assert(LOGTIME_MAX + 32 < LOGFORM_LINE_MAX, "there is room for more");
    l.n = at; /* counts towards what a line may have */
    put_words(&l, e);
    at += escape(l.data + at, whole_len(&l) - at, out + at);
    out[at++] = '\n';
    return at;
}

/* ---- JSON ---- */

static void put_member(struct buf *out, const struct log_field *f)
{
    buf_text(out, ",\"");
    buf_text(out, f->name);
    buf_text(out, "\":");
    if (f->kind == LOG_FIELD_NUMBER)
        buf_whole(out, f->number);
    else if (f->kind == LOG_FIELD_JSON)
        buf_append(out, f->text, f->n);
    else
        buf_json(out, f->text, f->n);
}

void logform_json(const struct log_entry *e, struct buf *out)
{
    char time[LOGTIME_MAX];
    buf_text(out, "{\"time\":\"");
    buf_append(out, time, logtime_format(NULL, e->at, time));
    buf_text(out, "\",\"level\":\"");
    buf_text(out, log_level_words[e->level]);
    buf_text(out, "\",\"msg\":");
    buf_json(out, e->text, e->n);
    if (e->model)
        put_member(out, &LOG_BYTES("model", e->model, strlen(e->model)));
    for (size_t i = 0; i < e->fields.count; i++)
        if (e->fields.items[i].name)
            put_member(out, &e->fields.items[i]);
    buf_text(out, "}\n");
}

/* ---- the journal ---- */

/* A value with a newline has its length in front, 64 bits with the lowest first. */
static void put_entry(struct buf *out, const char *text, size_t n)
{
    if (!memchr(text, '\n', n)) {
        buf_char(out, '=');
    } else {
        buf_char(out, '\n');
        for (int i = 0; i < 8; i++)
            buf_char(out, (char)((uint64_t)n >> (8 * i) & 0xff));
    }
    buf_append(out, text, n);
    buf_char(out, '\n');
}

static void put_own(struct buf *out, const struct log_field *f)
{
    char number[24] = "";
    size_t n = (size_t)snprintf(number, sizeof(number), "%lld", (long long)f->number);
    buf_text(out, "WHARF_");
    for (const char *c = f->name; *c; c++)
        buf_char(out, (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c));
    if (f->kind == LOG_FIELD_NUMBER)
        put_entry(out, number, n);
    else
        put_entry(out, f->text, f->n);
}

void logform_journald(const struct log_entry *e, struct buf *out)
{
    static const char priorities[LOG_LEVEL__COUNT] = {'7', '6', '4', '3'}; /* syslog(3) */
    struct line l = {.n = 0};
    char safe[LOGFORM_HUMAN_MAX] = "";
    put_words(&l, e);
    buf_text(out, "PRIORITY=");
    buf_char(out, priorities[e->level]);
    buf_text(out, "\nSYSLOG_IDENTIFIER");
    put_entry(out, program_invocation_short_name, strlen(program_invocation_short_name));
    buf_text(out, "MESSAGE");
    size_t n = escape(l.data, whole_len(&l), safe);
    put_entry(out, safe, n);
    if (e->model)
        put_own(out, &LOG_BYTES("model", e->model, strlen(e->model)));
    for (size_t i = 0; i < e->fields.count; i++)
        if (e->fields.items[i].name)
            put_own(out, &e->fields.items[i]);
}
