/* cmd_resume.c: `wharf resume MODEL`. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_op.h"

static int run(const struct cli_args *args)
{
    struct session s;
    const struct model_op op = {.verb = MODEL_DO_RESUME, .id = args->operands[0]};
    int status = session_open(args, &s);
    return status == CLI_DONE ? model_op(&s, &op) : status;
}

const struct cli_command cmd_resume = {
    .name = "resume",
    .summary = "wake a model that sleeps and wait until it is ready",
    .description =
        "Wakes a model that was sent to sleep, as a request for it would: in its turn, and after "
        "others have made room. Returns when it is ready to serve, or with the reason why it is "
        "not. Ctrl-C ends the waiting.",
    .operand = "MODEL",
    .operands_min = 1,
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf resume qwen", "have it ready before the next request comes"}},
    .run = run,
};
