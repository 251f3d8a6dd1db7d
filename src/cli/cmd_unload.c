/* cmd_unload.c: `wharf unload MODEL`, `wharf unload --all`. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_op.h"
#include "cli/output.h"

static int unload_all(const struct session *s)
{
    /* llama-swap's path, which stops every model at once and answers in plain text. */
    const struct client_request rq = {.method = "GET", .path = "/unload"};
    struct client_reply reply;
    struct err e = {.set = false};
    struct buf out = {0};
    int status = CLI_DONE;
    int rc = client_fetch(&s->options, &rq, &reply, &e);
    if (rc < 0)
        return session_failed(rc, &e);
    if (client_reply_ok(&reply)) {
        buf_text(&out, s->wants_json ? "{\"ok\":true}\n" : "all models: unloaded\n");
        output_safe(&out);
        buf_fini(&out);
    } else {
        status = session_refused(s, &reply, "unload all models");
    }
    client_reply_fini(&reply);
    return status;
}

static int run(const struct cli_args *args)
{
    struct session s;
    bool is_all = cli_args_flag(args, "all");
    if (is_all == (args->operand_count > 0)) {
        output_complain(is_all ? "unload: a MODEL and --all exclude each other"
                               : "unload: MODEL is missing, or --all");
        return CLI_USAGE;
    }
    int status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    if (is_all)
        return unload_all(&s);
    const struct model_op op = {.verb = MODEL_DO_UNLOAD,
                                .id = args->operands[0],
                                .is_forced = cli_args_flag(args, "force")};
    return model_op(&s, &op);
}

static const struct cli_option options[] = {
    {.name = "force",
     .help = "Stop the model at once: the requests that it is serving end with an error."},
    {.name = "all", .help = "Stop every model at once, as with --force."},
};

const struct cli_command cmd_unload = {
    .name = "unload",
    .summary = "unload a model and wait until its memory is free",
    .description =
        "Unloads a model. It finishes what it is serving first and takes nothing new meanwhile; "
        "--force and --all do not wait for that. Returns when it has gone and its memory is seen "
        "to be "
        "free, for which it waits 3.5 seconds at most; with --all, when all have gone.",
    .operand = "MODEL",
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf unload qwen", "let it finish, then stop it"},
                 {"wharf unload --all", "free the GPUs now"}},
    .run = run,
};
