#include "complete_line.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* What needs no quotes anywhere in a word; bytes from 0x80 on neither. */
static const char plain[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-";

/* The reading of one line. */
struct reader {
    struct complete_line *line;
    const char *breaks;
    struct buf word;
    bool in_word;
};

static void end_word(struct reader *r)
{
    struct complete_line *l = r->line;
    buf_append(&r->word, "", 1);
    l->words[l->count++] = buf_take(&r->word);
    r->in_word = false;
}

static void begin_word(struct reader *r, size_t at)
{
    r->in_word = true;
    r->line->starts[r->line->count] = at;
    r->line->kept = 0;
}

/* A character without quotes around it, and all that it does to those behind. Returns how many were
 * taken. */
static size_t take_bare(struct reader *r, const char *p)
{
    if (*p == '\\') {
        if (p[1] && p[1] != '\n')
            buf_char(&r->word, p[1]);
        return p[1] ? 2 : 1;
    }
    if (*p == '\'' || *p == '"') {
        r->line->quote = *p;
        r->line->kept = r->word.len;
        return 1;
    }
    buf_char(&r->word, *p);
    if (strchr(r->breaks, *p))
        r->line->kept = r->word.len;
    return 1;
}

/* One within quotes. */
static size_t take_quoted(struct reader *r, const char *p)
{
    if (*p == r->line->quote) {
        r->line->quote = '\0';
        r->line->kept = r->word.len;
        return 1;
    }
    if (r->line->quote == '"' && *p == '\\' && p[1] && strchr("$`\"\\", p[1])) {
        buf_char(&r->word, p[1]);
        return 2;
    }
    buf_char(&r->word, *p);
    return 1;
}

void complete_line_read(const char *line, const char *breaks, struct complete_line *ret)
{
    size_t size = strlen(line);
    struct reader r = {.line = ret, .breaks = breaks};
    *ret = (struct complete_line){.words = alloc_zeroed(size + 1, sizeof(*ret->words)),
                                  .starts = alloc_zeroed(size + 1, sizeof(*ret->starts))};
    for (size_t at = 0; at < size;) {
        if (!ret->quote && strchr(" \t\n", line[at])) {
            if (r.in_word)
                end_word(&r);
            at++;
            continue;
        }
        if (!r.in_word)
            begin_word(&r, at);
        at += ret->quote ? take_quoted(&r, line + at) : take_bare(&r, line + at);
    }
    if (!r.in_word)
        begin_word(&r, size);
    end_word(&r);
}

void complete_line_fini(struct complete_line *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        free(l->words[i]);
    free(l->words);
    free(l->starts);
    *l = (struct complete_line){.count = 0};
}

static void put_quoted(struct buf *out, char quote, char c)
{
    bool is_plain = (unsigned char)c >= 0x80 || strchr(plain, c);
    if (quote == '\'' && c == '\'') {
        buf_text(out, "'\\''");
        return;
    }
    if (quote == '"' ? strchr("$`\"\\", c) != NULL : !quote && !is_plain)
        buf_char(out, '\\');
    buf_char(out, c);
}

bool complete_line_put(const struct complete_line *l, const char *word, struct buf *out)
{
    const char *typed = l->words[l->count - 1];
    /* Between these quotes no backslash keeps bash from looking for it in its history. */
    bool fits = l->quote != '"' || !strchr(word, '!');
    if (!fits || strncmp(word, typed, strlen(typed)) != 0)
        return false;
    for (const char *p = word + l->kept; *p; p++)
        put_quoted(out, l->quote, *p);
    return true;
}
