#include "describe.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/build.h"
#include "base/pure/check.h"
#include "cli/commands.h"
#include "cli/help.h"

static json_t *describe_options(const struct cli_command *c)
{
    static const char *const kinds[] = {
        [CLI_FLAG] = "flag", [CLI_TEXT] = "text", [CLI_NUMBER] = "number"};
    const struct cli_option *o;
    json_t *all = json_array();
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        const char letter[2] = {o->letter, '\0'};
        json_array_append_new(all, json_pack("{s:s, s:s?, s:s, s:s?, s:b, s:b, s:s?, s:s}", "name",
                                             o->name, "letter", o->letter ? letter : NULL, "kind",
                                             kinds[o->kind], "value", o->value, "required",
                                             o->is_required, "repeats", o->repeats, "environment",
                                             o->env, "help", o->help));
    }
    return all;
}

static json_t *describe_examples(const struct cli_command *c)
{
    json_t *all = json_array();
    for (size_t i = 0; i < CLI_EXAMPLES_MAX && c->examples[i].command; i++)
        json_array_append_new(all, json_pack("{s:s, s:s}", "command", c->examples[i].command,
                                             "what", c->examples[i].what));
    return all;
}

/* c: as of help_status_at. */
static json_t *describe_statuses(const struct cli_command *c)
{
    const struct help_status *s;
    json_t *all = json_array();
    for (uint32_t i = 0; (s = help_status_at(c, i)) != NULL; i++)
        json_array_append_new(all, json_pack("[i, s]", s->status, s->text));
    return all;
}

static json_t *describe(const struct cli_command *c)
{
    struct buf usage = {0};
    help_usage(&usage, c);
    json_t *most = c->operands_max == UINT32_MAX ? json_null() : json_integer(c->operands_max);
    json_t *all = json_pack(
        "{s:s, s:s, s:s%, s:s, s:s?, s:i, s:o, s:b, s:o, s:o, s:o, s:s?}", "name", c->name,
        "summary", c->summary, "usage", usage.data, usage.len - 1 /* the line feed */,
        "description", c->description, "operand", c->operand, "operands_min", (int)c->operands_min,
        "operands_max", most, "asks_daemon", (c->shared & CLI_WITH_DAEMON) != 0, "options",
        describe_options(c), "examples", describe_examples(c), "statuses", describe_statuses(c),
        "statuses_more", help_statuses_more(c));
    buf_fini(&usage);
    return all;
}

static json_t *describe_all(void)
{
    json_t *commands = json_array();
    for (uint32_t i = 0; i < cli_command_count; i++)
        json_array_append_new(commands, describe(cli_commands[i]));
    return json_pack("{s:s, s:o, s:o, s:s?}", "version", build.version, "commands", commands,
                     "statuses", describe_statuses(NULL), "statuses_more",
                     help_statuses_more(NULL));
}

void describe_put(struct buf *out, const struct cli_command *only)
{
    json_t *all = only ? describe(only) : describe_all();
    auto_free char *text = json_dumps(all, JSON_COMPACT);
    must(text);
    buf_printf(out, "%s\n", text);
    json_decref(all);
}
