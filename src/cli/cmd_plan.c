/* cmd_plan.c: `wharf plan MODEL`, `wharf plan --vram SIZE`: what would happen. */
#include "cli/commands.h"
#include "cli/lease_ask.h"
#include "cli/output.h"
#include "cli/plan_text.h"
#include "cli/show.h"

static int ask(const struct cli_args *args, struct buf *body)
{
    const char *model = args->operand_count ? args->operands[0] : NULL;
    struct lease_ask lease;
    if (model && lease_ask_given(args)) {
        output_complain("plan: a MODEL excludes what is asked for a job, such as --vram and "
                        "--gate");
        return CLI_USAGE;
    }
    if (!model && !lease_ask_given(args)) {
        output_complain("plan: MODEL is missing, or --vram or --gate");
        return CLI_USAGE;
    }
    if (!model && lease_ask_read(args, &lease) != CLI_DONE)
        return CLI_USAGE;
    buf_text(body, model ? "{" : "{\"lease\":{");
    if (model) {
        lease_ask_text(body, "model", model);
        lease_ask_text(body, "class", cli_args_text(args, "class"));
    } else {
        lease_ask_write(&lease, 0, body);
    }
    buf_text(body, model ? "}" : "}}");
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    struct buf body = {0};
    int status = ask(args, &body);
    const struct client_request rq = {.method = "POST",
                                      .path = "/wharf/plan",
                                      .body = body.data,
                                      .body_len = body.len,
                                      .silence_ms_max = SESSION_SILENCE_MS_MAX};
    if (status == CLI_DONE)
        status = show_answer(args, &rq, "plan", plan_text);
    buf_fini(&body);
    return status;
}

static const struct cli_option options[] = {LEASE_ASK_OPTIONS};

const struct cli_command cmd_plan = {
    .name = "plan",
    .summary = "say what would happen if a model or memory were wanted",
    .description =
        "Asks what a request for MODEL, or a job that wants memory, would bring about now: whether "
        "it can come in, where, who would leave for it, and how long that would take. Nothing is "
        "done. Without --class it is the model's own.",
    .operand = "MODEL",
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf plan qwen", "who would have to leave for it?"},
                 {"wharf plan --vram 6GiB --gpus 2", "is there room for a job?"}},
    .run = run,
};
