/* complete_main.c: what a shell's script asks, and the lines that it gets. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/complete.h"
#include "cli/complete_line.h"
#include "cli/output.h"

static const char *const kinds[] = {[OFFER_WORD] = "word",
                                    [OFFER_BARE] = "bare",
                                    [OFFER_FILE] = "file",
                                    [OFFER_FOLDER] = "folder",
                                    [OFFER_PROGRAM] = "command"};

struct writer {
    const char *line;                 /* of bash; else NULL */
    const struct complete_line *read; /* of bash: the line taken apart */
    struct buf out;
};

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* The first sentence is enough beside a word. */
static void put_about(struct buf *out, const char *about)
{
    const char *end = strstr(about, ". ");
    size_t n = end ? (size_t)(end - about) : strlen(about);
    while (n > 0 && about[n - 1] == '.')
        n--;
    buf_append(out, about, n);
}

/* bash knows its words by what is on the line, the others by their number. */
static void put_program(struct writer *w, uint32_t word)
{
    if (!w->line) {
        buf_printf(&w->out, "command\t%u\n", word);
        return;
    }
    const char *rest = w->line + w->read->starts[word + 1]; /* behind the program's name */
    if (!has_control(rest))
        buf_printf(&w->out, "command\t%s\n", rest);
}

/* What would break the lines, or could not be typed, is left out. */
static void take_offer(void *arg, const struct offer *offer)
{
    struct writer *w = arg;
    struct buf text = {0};
    if (offer->kind == OFFER_PROGRAM) {
        put_program(w, offer->word);
        return;
    }
    if (!offer->text) {
        buf_printf(&w->out, "%s\n", kinds[offer->kind]);
        return;
    }
    bool fits = !has_control(offer->text);
    if (fits && w->read)
        fits = complete_line_put(w->read, offer->text, &text);
    else if (fits)
        buf_text(&text, offer->text);
    if (fits) {
        buf_printf(&w->out, "%s\t", kinds[offer->kind]);
        buf_append(&w->out, text.data, text.len);
        if (!w->read && offer->about && !has_control(offer->about)) {
            buf_char(&w->out, '\t');
            put_about(&w->out, offer->about);
        }
        buf_char(&w->out, '\n');
    }
    buf_fini(&text);
}

static void complete_bash(const char *breaks, const char *line, struct writer *w)
{
    struct complete_line read;
    const struct offers to = {.take = take_offer, .arg = w};
    complete_line_read(line, breaks, &read);
    w->line = line;
    w->read = &read;
    if (read.count > 1)
        complete_words(read.words + 1, read.count - 1, &to);
    w->line = NULL;
    w->read = NULL; /* it ends here */
    complete_line_fini(&read);
}

int complete_main(int argc, char *const *argv)
{
    struct writer w = {.line = NULL};
    const struct offers to = {.take = take_offer, .arg = &w};
    if (argc == 3 && strcmp(argv[0], "bash") == 0)
        complete_bash(argv[1], argv[2], &w);
    else if (argc > 1 && (strcmp(argv[0], "zsh") == 0 || strcmp(argv[0], "fish") == 0))
        complete_words(argv + 1, (uint32_t)argc - 1, &to);
    else
        return CLI_USAGE;
    output_safe(&w.out);
    buf_fini(&w.out);
    return CLI_DONE;
}
