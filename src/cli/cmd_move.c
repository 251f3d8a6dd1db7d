/* cmd_move.c: `wharf move MODEL DEVICE`. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_op.h"

static int run(const struct cli_args *args)
{
    struct session s;
    const struct model_op op = {
        .verb = MODEL_DO_MOVE, .id = args->operands[0], .place = args->operands[1]};
    int status = session_open(args, &s);
    return status == CLI_DONE ? model_op(&s, &op) : status;
}

const struct cli_command cmd_move = {
    .name = "move",
    .summary = "move a loaded model to another of its devices",
    .description =
        "Moves MODEL to DEVICE: one of its `devices` in the configuration, such as cpu or cuda, or "
        "a GPU that one of them names. Requests that run are served to their end first, and those "
        "that come meanwhile wait. A worker moves by itself and checks what it has moved; of a "
        "process another one is started there, and takes its place when it is ready. Returns when "
        "it has moved, or with the reason why it stays where it is.",
    .operand = "MODEL DEVICE",
    .operands_min = 2,
    .operands_max = 2,
    .operand_takes = {CLI_A_MODEL, CLI_A_PLACE},
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf move clip cpu", "free the GPU"},
                 {"wharf move clip cuda", "and take it back"}},
    .run = run,
};
