/* cmd_version.c: `wharf version`. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"

#ifndef WHARF_VERSION /* the build sets it */
#define WHARF_VERSION "unknown"
#endif

static int run(const struct cli_args *args)
{
    struct buf out = {0};
    buf_text(&out, cli_args_flag(args, "json") ? "{\"version\":\"" WHARF_VERSION "\"}\n"
                                               : "wharf " WHARF_VERSION "\n");
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
