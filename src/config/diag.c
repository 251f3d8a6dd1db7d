#include "config/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file that is no configuration at all must not flood the terminal. */
#define MESSAGES_MAX 200
#define QUOTE_MAX 80
#define MESSAGE_MAX 1024

struct diag_message {
    struct place at;
    uint32_t source; /* the file's place among several */
    uint32_t sequence;
    bool warning;
    const char *text;
};

bool diag_full(const struct diag *d)
{
    return d->count >= MESSAGES_MAX;
}

static void add(struct diag *d, struct place at, bool warning, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

/* By the pointer: places have the file's name as the load was given it. */
static uint32_t source_of(const struct diag *d, struct place at)
{
    uint32_t i = 0;
    while (i < d->file_count && d->files[i] != at.file)
        i++;
    return i;
}

static void add(struct diag *d, struct place at, bool warning, const char *fmt, va_list ap)
{
    char text[MESSAGE_MAX];
    vsnprintf(text, sizeof(text), fmt, ap);
    for (uint32_t i = 0; i < d->count; i++)
        if (d->messages[i].at.file == at.file && d->messages[i].at.line == at.line &&
            d->messages[i].at.column == at.column && strcmp(d->messages[i].text, text) == 0)
            return;
    d->errors += !warning;
    d->warnings += warning;
    if (diag_full(d))
        return;
    if (d->count == d->room) {
        uint32_t room = d->room ? d->room * 2 : 16;
        struct diag_message *grown = arena_alloc(d->arena, room, sizeof(*grown));
        if (d->count)
            memcpy(grown, d->messages, d->count * sizeof(*grown));
        d->messages = grown;
        d->room = room;
    }
    d->messages[d->count] = (struct diag_message){.at = at,
                                                  .source = source_of(d, at),
                                                  .sequence = d->count,
                                                  .warning = warning,
                                                  .text = arena_text(d->arena, text)};
    d->count++;
}

void diag_error(struct diag *d, struct place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(d, at, false, fmt, ap);
    va_end(ap);
}

void diag_warn(struct diag *d, struct place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(d, at, true, fmt, ap);
    va_end(ap);
}

const char *diag_quote(struct diag *d, const char *text)
{
    char out[QUOTE_MAX * 4 + 8];
    size_t at = 0, n = strnlen(text, QUOTE_MAX);
    bool cut = text[n] != '\0';
    /* Not within a UTF-8 sequence. */
    while (cut && n && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    out[at++] = '\'';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(out + at, 5, "\\x%02x", c);
        else
            out[at++] = (char)c;
    }
    memcpy(out + at, cut ? "...'" : "'", cut ? 5 : 2);
    return arena_text(d->arena, out);
}

const char *diag_hint(struct diag *d, const char *nearest)
{
    return nearest ? arena_printf(d->arena, "; did you mean %s?", diag_quote(d, nearest)) : "";
}

static int by_place(const void *pa, const void *pb)
{
    const struct diag_message *a = pa, *b = pb;
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    if (a->at.line != b->at.line)
        return a->at.line < b->at.line ? -1 : 1;
    if (a->at.column != b->at.column)
        return a->at.column < b->at.column ? -1 : 1;
    return a->sequence < b->sequence ? -1 : 1;
}

void diag_report(const struct diag *d, struct config_report *report)
{
    if (d->count)
        qsort(d->messages, d->count, sizeof(d->messages[0]), by_place);
    for (uint32_t i = 0; i < d->count; i++) {
        const struct diag_message *m = &d->messages[i];
        buf_text(&report->text, m->at.file);
        if (m->at.line)
            buf_printf(&report->text, ":%u:%u", m->at.line, m->at.column);
        buf_printf(&report->text, ": %s: %s\n", m->warning ? "warning" : "error", m->text);
    }
    uint32_t all = d->errors + d->warnings;
    if (all > d->count)
        buf_printf(&report->text, "%s: error: %u more errors and warnings are not shown\n", d->file,
                   all - d->count);
    report->errors += d->errors;
    report->warnings += d->warnings;
}
