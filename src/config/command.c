#include "config/command.h"

#include <string.h>

static const char blanks[] = " \t\r\n\v\f";

void command_strip_comments(const char *text, struct buf *out)
{
    bool first = true;
    for (const char *line = text; line;) {
        size_t n = strcspn(line, "\n");
        const char *next = line[n] ? line + n + 1 : NULL;
        const char *start = line + strspn(line, blanks);
        const char *end = line + n;
        while (end > start && strchr(blanks, end[-1]))
            end--;
        bool comment = start < line + n && *start == '#';
        bool continued = start < end && end[-1] == '\\';
        if (!comment) {
            if (!first)
                buf_char(out, '\n');
            first = false;
            if (continued) {
                buf_append(out, start, (size_t)(end - start) - 1);
                buf_char(out, ' ');
            } else {
                buf_append(out, line, n);
            }
        }
        line = next;
    }
}

struct splitter {
    const char *p;
    struct buf word;
    bool in_word; /* an empty pair of quotes is a word, too */
};

/* One piece in quotes; p is behind the opening one. False when it is not closed. */
static bool read_quoted(struct splitter *s, char quote)
{
    for (; *s->p; s->p++) {
        if (*s->p == quote) {
            s->p++;
            return true;
        }
        if (quote == '"' && *s->p == '\\' && s->p[1] && strchr("$`\"\\\n", s->p[1])) {
            s->p++;
            if (*s->p == '\n')
                continue;
        }
        buf_char(&s->word, *s->p);
    }
    return false;
}

/* One word; p is at its first character. False when a quote is not closed. */
static bool read_word(struct splitter *s)
{
    while (*s->p && !strchr(" \t\n", *s->p)) {
        char c = *s->p++;
        if (c == '\'' || c == '"') {
            s->in_word = true;
            if (!read_quoted(s, c))
                return false;
        } else if (c != '\\') {
            s->in_word = true;
            buf_char(&s->word, c);
        } else if (*s->p) {
            if (*s->p != '\n') {
                s->in_word = true;
                buf_char(&s->word, *s->p);
            }
            s->p++;
        }
    }
    return true;
}

static void append_word(struct arena *a, struct config_strings *argv, uint32_t *room,
                        const struct buf *word)
{
    if (argv->count == *room) {
        uint32_t grown = *room ? *room * 2 : 16;
        char **items = arena_alloc(a, grown, sizeof(*items));
        if (argv->count)
            memcpy(items, argv->items, argv->count * sizeof(*items));
        argv->items = items;
        *room = grown;
    }
    argv->items[argv->count++] = arena_text_n(a, word->data ? word->data : "", word->len);
}

const char *config_split_command(struct arena *a, const char *text, struct config_strings *ret_argv,
                                 bool *ret_open)
{
    struct splitter s = {.p = text};
    struct config_strings argv = {0};
    uint32_t room = 0;
    bool closed = true;
    while (closed && *s.p) {
        s.p += strspn(s.p, " \t\n");
        s.in_word = false;
        buf_clear(&s.word);
        closed = read_word(&s);
        if (s.in_word)
            append_word(a, &argv, &room, &s.word);
    }
    buf_fini(&s.word);
    if (argv.count == 0)
        return "the command is empty";
    *ret_argv = argv;
    *ret_open = !closed;
    return NULL;
}
