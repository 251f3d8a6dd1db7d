/* cmd_load.c: `wharf load MODEL`. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_op.h"

static int run(const struct cli_args *args)
{
    struct session s;
    const struct model_op op = {.verb = MODEL_DO_LOAD, .id = args->operands[0]};
    int status = session_open(args, &s);
    return status == CLI_DONE ? model_op(&s, &op) : status;
}

const struct cli_command cmd_load = {
    .name = "load",
    .summary = "load a model and wait until it is ready",
    .description =
        "Loads a model as a request for it would: in its turn, and after others have made room. "
        "Returns when it is ready to serve, or with the reason why it is not. Ctrl-C ends the "
        "waiting.",
    .operand = "MODEL",
    .operands_min = 1,
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf load qwen", "have it ready before the first request comes"}},
    .run = run,
};
