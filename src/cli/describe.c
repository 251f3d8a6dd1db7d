#include "describe.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"

static json_t *describe_options(const struct cli_command *c)
{
    const struct cli_option *o;
    json_t *all = json_array();
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++) {
        const char letter[2] = {o->letter, '\0'};
        json_array_append_new(all, json_pack("{s:s, s:s?, s:s?, s:b, s:b, s:s?, s:s}", "name",
                                             o->name, "letter", o->letter ? letter : NULL, "value",
                                             o->value, "required", o->is_required, "repeats",
                                             o->repeats, "env", o->env, "help", o->help));
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
    return json_pack("{s:s, s:s, s:s, s:s?, s:b, s:o, s:o, s:o, s:s?}", "name", c->name, "summary",
                     c->summary, "description", c->description, "operand", c->operand,
                     "operand_required", c->operands_min > 0, "options", describe_options(c),
                     "examples", describe_examples(c), "statuses", describe_statuses(c),
                     "statuses_more", help_statuses_more(c));
}

int describe_main(void)
{
    json_t *commands = json_array();
    struct buf out = {0};
    for (uint32_t i = 0; i < cli_command_count; i++)
        json_array_append_new(commands, describe(cli_commands[i]));
    json_t *all = json_pack("{s:o, s:o, s:s?}", "commands", commands, "statuses",
                            describe_statuses(NULL), "statuses_more", help_statuses_more(NULL));
    auto_free char *text = json_dumps(all, JSON_INDENT(1));
    must(text);
    buf_printf(&out, "%s\n", text);
    output_safe(&out);
    buf_fini(&out);
    json_decref(all);
    return CLI_DONE;
}
