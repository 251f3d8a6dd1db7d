/* cmd_pin.c: `wharf pin MODEL`, `wharf pin MODEL --off`. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_op.h"

static int run(const struct cli_args *args)
{
    struct session s;
    int status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    return model_op(&s, args->operands[0], cli_args_flag(args, "off") ? "unpin" : "pin", NULL);
}

static const struct cli_option options[] = {
    {.name = "off", .help = "Let it leave again, unless the configuration pins it."},
};

const struct cli_command cmd_pin = {
    .name = "pin",
    .summary = "keep a model from being made to leave",
    .description =
        "A pinned model that is loaded does not make room for others and is not unloaded for "
        "idleness or by a mode; `wharf unload` still unloads it. Pinning does not load it, and "
        "holds until the daemon ends.",
    .operand = "MODEL",
    .operands_min = 1,
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf pin qwen", "it stays"}, {"wharf pin qwen --off", "it may leave again"}},
    .run = run,
};
