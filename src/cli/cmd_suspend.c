/* cmd_suspend.c: `wharf suspend MODEL`. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_op.h"

static int run(const struct cli_args *args)
{
    struct session s;
    const struct model_op op = {.verb = MODEL_DO_SUSPEND, .id = args->operands[0]};
    int status = session_open(args, &s);
    return status == CLI_DONE ? model_op(&s, &op) : status;
}

const struct cli_command cmd_suspend = {
    .name = "suspend",
    .summary = "send a model to sleep and wait until its memory is free",
    .description =
        "Has the engine of a loaded model give its GPU memory back while its process stays, as the "
        "model's `suspend` says. It finishes what it is serving first, and a request wakes it "
        "again. Returns when it sleeps; fails, with the reason, when it does not, also where its "
        "engine "
        "gave too little back and it was stopped for that.",
    .operand = "MODEL",
    .operands_min = 1,
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf suspend qwen", "free its memory, and have it back soon"}},
    .run = run,
};
