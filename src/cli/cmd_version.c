/* cmd_version.c: `wharf version`. */
#include "base/build.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"

static int run(const struct cli_args *args)
{
    struct buf out = {0};
    buf_printf(&out, cli_args_flag(args, "json") ? "{\"version\":\"%s\"}\n" : "wharf %s\n",
               build.version);
    output_safe(&out);
    buf_fini(&out);
    return CLI_DONE;
}

const struct cli_command cmd_version = {
    .name = "version",
    .summary = "print the version of this program",
    .description = "Prints the version of this program, which may be another than that of a "
                   "running daemon.",
    .shared = CLI_WITH_JSON,
    .examples = {{"wharf version --json", "the same, for a program"}},
    .run = run,
};
