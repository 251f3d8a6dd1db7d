#include "help.h"

#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "base/pure/check.h"
#include "cli/text.h"

#define WIDTH 80
#define USAGE "usage: "
#define OPTION_COLUMN 24 /* where an option's text begins */

static const char *const status_texts[] = {
    [CLI_DONE] = "done",
    [CLI_FAILED] = "the operation failed",
    [CLI_USAGE] = "wrong usage, an error in the configuration, or what is not there",
    [CLI_UNREACHABLE] = "the daemon cannot be reached",
};
_Static_assert(countof(status_texts) == CLI__STATUS_COUNT, "a text for each status");

static void write_statuses(struct buf *out, bool has_daemon)
{
    buf_text(out, "\nExit status:\n");
    for (size_t i = 0; i < countof(status_texts); i++)
        if (i != CLI_UNREACHABLE || has_daemon)
            buf_printf(out, "  %zu  %s\n", i, status_texts[i]);
    if (has_daemon)
        buf_text(out, "A command ended by Ctrl-C ends by the signal (130 in a shell).\n");
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
    write_statuses(out, true);
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
    if (c->statuses)
        buf_printf(out, "\nExit status:\n%s", c->statuses);
    else
        write_statuses(out, c->shared & CLI_WITH_DAEMON);
}

/* ---- for programs ---- */

static void put_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, ",\"%s\":", name);
    if (text)
        buf_json_text(out, text);
    else
        buf_text(out, "null");
}

static void put_option(struct buf *out, const struct cli_option *o)
{
    static const char *const kinds[] = {
        [CLI_FLAG] = "flag", [CLI_TEXT] = "text", [CLI_NUMBER] = "number"};
    const char letter[2] = {o->letter};
    buf_text(out, "{\"name\":");
    buf_json_text(out, o->name);
    put_text(out, "letter", o->letter ? letter : NULL);
    put_text(out, "kind", kinds[o->kind]);
    put_text(out, "value", o->value);
    buf_printf(out, ",\"required\":%s,\"repeats\":%s", o->is_required ? "true" : "false",
               o->repeats ? "true" : "false");
    put_text(out, "environment", o->env);
    put_text(out, "help", o->help);
    buf_char(out, '}');
}

static void put_operands(struct buf *out, const struct cli_command *c)
{
    put_text(out, "operand", c->operand);
    buf_printf(out, ",\"operands_min\":%u,\"operands_max\":", c->operands_min);
    if (c->operands_max == UINT32_MAX)
        buf_text(out, "null");
    else
        buf_printf(out, "%u", c->operands_max);
}

static void put_command(struct buf *out, const struct cli_command *c)
{
    const struct cli_option *o;
    struct buf usage = {0};
    help_usage(&usage, c);
    usage.data[--usage.len] = '\0'; /* the line feed */
    buf_text(out, "{\"name\":");
    buf_json_text(out, c->name);
    put_text(out, "summary", c->summary);
    put_text(out, "usage", usage.data);
    put_text(out, "description", c->description);
    put_operands(out, c);
    buf_printf(out, ",\"asks_daemon\":%s,\"options\":[",
               c->shared & CLI_WITH_DAEMON ? "true" : "false");
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        buf_text(out, i ? "," : "");
        put_option(out, o);
    }
    buf_text(out, "],\"examples\":[");
    for (size_t i = 0; i < CLI_EXAMPLES_MAX && c->examples[i].command; i++) {
        buf_text(out, i ? ",{\"command\":" : "{\"command\":");
        buf_json_text(out, c->examples[i].command);
        put_text(out, "what", c->examples[i].what);
        buf_char(out, '}');
    }
    buf_text(out, "]}");
    buf_fini(&usage);
}

void help_json(struct buf *out, const struct cli_command *only,
               const struct cli_command *const *commands, uint32_t count)
{
    if (only) {
        put_command(out, only);
    } else {
        buf_text(out, "{\"version\":");
        buf_json_text(out, build.version);
        buf_text(out, ",\"commands\":[");
        for (uint32_t i = 0; i < count; i++) {
            buf_text(out, i ? "," : "");
            put_command(out, commands[i]);
        }
        buf_text(out, "]}");
    }
    buf_char(out, '\n');
}
