/* cmd_help.c: `wharf help [COMMAND]`. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/describe.h"
#include "cli/help.h"
#include "cli/output.h"

int cli_help_print(const struct cli_command *c)
{
    struct buf out = {0};
    if (output_mode() != OUTPUT_TEXT)
        describe_put(&out, c);
    else if (c)
        help_command(&out, c);
    else
        help_overview(&out, cli_commands, cli_command_count);
    output_safe(&out);
    buf_fini(&out);
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    const struct cli_command *c = NULL;
    if (args->operand_count > 0) {
        c = cli_command_find(args->operands[0]);
        if (!c)
            return cli_command_unknown(args->operands[0]);
    }
    return cli_help_print(c);
}

const struct cli_command cmd_help = {
    .name = "help",
    .summary = "list the commands, or describe one",
    .description = "Without a command: the list of all, the environment variables and the exit "
                   "statuses. With one: the same as `wharf COMMAND --help`. With --json the table "
                   "itself, each command with its options, for what is made of it.",
    .operand = "COMMAND",
    .operands_max = 1,
    .operand_takes = {CLI_A_COMMAND},
    .shared = CLI_WITH_JSON,
    .examples = {{"wharf help load", "how models are loaded"},
                 {"wharf help --json | jq -r '.commands[].name'", "the commands' names"}},
    .run = run,
};
