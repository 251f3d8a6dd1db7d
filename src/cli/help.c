#include "help.h"

#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "base/pure/check.h"
#include "cli/text.h"

#define WIDTH 80
#define USAGE "usage: "
#define OPTION_COLUMN 24 /* where an option's text begins */

#define STATUS_COLUMN 7 /* where a status's text begins */

static const struct {
    struct help_status status;
    bool with_daemon;  /* only of commands that talk to one */
    bool with_program; /* only of those that run a command of the user's */
} statuses[] = {
    {{CLI_DONE, "done"}, false, false},
    {{CLI_FAILED, "the operation failed"}, false, false},
    {{CLI_USAGE, "wrong usage, an error in the configuration, or asked for what is not there or "
                 "can never be"},
     false,
     false},
    {{CLI_UNREACHABLE, "the daemon cannot be reached"}, true, false},
    {{CLI_TRY_LATER, "not now: a wait is over, the queue is full, or something is in the way"},
     true,
     false},
    {{CLI_NOT_RUNNABLE, "CMD cannot be run"}, false, true},
    {{CLI_NOT_FOUND, "there is no such CMD"}, false, true},
};

const struct help_status *help_status_at(const struct cli_command *c, uint32_t i)
{
    bool has_daemon = !c || c->shared & CLI_WITH_DAEMON;
    bool has_program = !c || c->operand_takes[0] == CLI_A_PROGRAM;
    for (size_t k = 0; k < countof(statuses); k++) {
        if ((statuses[k].with_daemon && !has_daemon) || (statuses[k].with_program && !has_program))
            continue;
        if (i-- == 0)
            return &statuses[k].status;
    }
    return NULL;
}

const char *help_statuses_more(const struct cli_command *c)
{
    if (c && c->statuses)
        return c->statuses;
    if (!c || c->shared & CLI_WITH_DAEMON)
        return "A command ended by Ctrl-C ends by the signal (130 in a shell).";
    return NULL;
}

/* c: as of help_status_at. */
static void write_statuses(struct buf *out, const struct cli_command *c)
{
    const struct help_status *s;
    buf_text(out, "\nExit status:\n");
    for (uint32_t i = 0; (s = help_status_at(c, i)) != NULL; i++) {
        buf_printf(out, "  %-*d", STATUS_COLUMN - 2, s->status);
        text_wrap(out, s->text, STATUS_COLUMN, STATUS_COLUMN, WIDTH);
    }
    const char *more = help_statuses_more(c);
    if (more)
        text_wrap(out, more, 0, 0, WIDTH);
}

void help_overview(struct buf *out, const struct cli_command *const *commands, uint32_t count)
{
    buf_text(out, "wharf: shares a machine's GPUs among model servers, jobs and people\n\n"
                  "usage: wharf COMMAND [OPTIONS]\n\nCommands:\n");
    for (uint32_t i = 0; i < count; i++)
        buf_printf(out, "  %-12s%s\n", commands[i]->name, commands[i]->summary);
    buf_text(out,
             "\n`wharf COMMAND --help` says more about each. Options may be written\n"
             "`--opt value` or `--opt=value`, in any order.\n"
             "\nEnvironment:\n"
             "  WHARF_URL  where the daemon is, as --url\n"
             "  WHARF_KEY  the API key, as --key\n"
             "\nWith --json stdout has JSON alone: one object, or one a line where more may\n"
             "follow. What fails ends with {\"error\":{\"code\",\"message\"}} there, and says "
             "why\non stderr as well. `wharf run`, whose stdout is its command's, has its JSON "
             "on\nstderr. `wharf serve` and `wharf llama-swap` print logs, and have no --json.\n");
    write_statuses(out, NULL);
}

static void write_option_names(char *out, size_t size, const struct cli_option *o)
{
    char letter[8] = "    ";
    if (o->letter)
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    snprintf(out, size, "  %s--%s%s%s", letter, o->name, o->value ? " " : "",
             o->value ? o->value : "");
}

static void write_option(struct buf *out, const struct cli_option *o)
{
    char names[64];
    struct buf text = {0};
    write_option_names(names, sizeof(names), o);
    buf_text(out, names);
    size_t column = text_width(names);
    if (column + 2 > OPTION_COLUMN) {
        buf_char(out, '\n');
        column = 0;
    }
    buf_text(&text, o->help);
    if (o->repeats)
        buf_text(&text, " May be given more than once.");
    if (o->env)
        buf_printf(&text, " Also read from $%s.", o->env);
    text_wrap(out, text.data, column, OPTION_COLUMN, WIDTH);
    buf_fini(&text);
}

void help_usage(struct buf *out, const struct cli_command *c)
{
    struct buf line = {0};
    const struct cli_option *o;
    buf_printf(&line, "wharf %s", c->name);
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        if (strcmp(o->name, CLI_HELP_OPTION) == 0)
            continue;
        /* An option and its value stay on one line: \x01 is a space that does not break. */
        buf_printf(&line, o->is_required ? " --%s%s%s%s" : " [--%s%s%s]%s", o->name,
                   o->value ? "\x01" : "", o->value ? o->value : "", o->repeats ? "..." : "");
    }
    if (c->operand)
        buf_printf(&line, c->operands_min ? " %s" : " [%s]", c->operand);
    size_t start = out->len;
    buf_text(out, USAGE);
    text_wrap(out, line.data, strlen(USAGE), strlen(USAGE), WIDTH);
    for (size_t i = start; i < out->len; i++)
        if (out->data[i] == '\x01')
            out->data[i] = ' ';
    buf_fini(&line);
}

void help_command(struct buf *out, const struct cli_command *c)
{
    const struct cli_option *o;
    buf_printf(out, "wharf %s: %s\n\n", c->name, c->summary);
    help_usage(out, c);
    buf_char(out, '\n');
    text_wrap(out, c->description, 0, 0, WIDTH);
    buf_text(out, "\nOptions:\n");
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        write_option(out, o);
    if (c->examples[0].command)
        buf_text(out, "\nExamples:\n");
    for (size_t i = 0; i < CLI_EXAMPLES_MAX && c->examples[i].command; i++)
        buf_printf(out, "  %s\n      %s\n", c->examples[i].command, c->examples[i].what);
    write_statuses(out, c);
}
