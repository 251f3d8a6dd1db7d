/* cmd_logs.c: `wharf logs [MODEL]`: what the daemon and its models have written. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/text.h"

/* Without --follow, a model's log is read from its stream, which begins with what was kept. A
 * daemon that does not know no-follow leaves the stream open: this much silence is its end then. */
#define HISTORY_SILENCE_MS 500

/* Prints the body as it comes, characters whole. */
static int print_body(struct client_answer *a, bool until_silence)
{
    struct buf raw = {0}, safe = {0};
    struct err e = {.set = false};
    const char *data;
    size_t n;
    int rc;
    while ((rc = client_read(a, &data, &n, &e)) > 0 && !output_broken()) {
        buf_append(&raw, data, n);
        buf_consume(&raw, text_escape(&safe, TEXT_LOG, raw.data, raw.len, true));
        output_safe(&safe);
        buf_clear(&safe);
    }
    text_escape(&safe, TEXT_LOG, raw.data, raw.len, false);
    output_safe(&safe);
    buf_fini(&raw);
    buf_fini(&safe);
    if (rc == -CLIENT_TIMEOUT && until_silence)
        rc = 0;
    return rc < 0 ? session_failed(rc, &e) : CLI_DONE;
}

static void write_path(struct buf *path, const char *model, bool follows)
{
    buf_text(path, model || follows ? "/logs/stream" : "/logs");
    if (model) {
        buf_char(path, '/');
        client_encode_segment(path, model);
    }
    if (model && !follows)
        buf_text(path, "?no-follow");
}

static int run(const struct cli_args *args)
{
    struct session s;
    struct err e = {.set = false};
    struct client_answer *a;
    struct buf path = {0};
    const char *model = args->operand_count > 0 ? args->operands[0] : NULL;
    bool follows = cli_args_flag(args, "follow");
    int status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    write_path(&path, model, follows);
    const struct client_request rq = {.method = "GET",
                                      .path = path.data,
                                      .accept = "text/plain, application/json", /* an error */
                                      .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int rc = client_open(&s.options, &rq, &a, &e);
    buf_fini(&path);
    if (rc < 0)
        return session_failed(rc, &e);
    status = session_check_stream(&s, a, "read the logs");
    if (follows)
        client_set_silence(a, 0);
    else if (model)
        client_set_silence(a, HISTORY_SILENCE_MS);
    if (status == CLI_DONE)
        status = print_body(a, model && !follows);
    client_close(a);
    return status;
}

static const struct cli_option options[] = {
    {.name = "follow", .letter = 'f', .help = "Go on as more is written."},
};

const struct cli_command cmd_logs = {
    .name = "logs",
    .summary = "print what the daemon and its models have written",
    .description =
        "Prints the daemon's own log, as far as it keeps it in memory, or one "
        "model's output. Control characters are shown escaped, so that a model cannot make the "
        "terminal do things.",
    .operand = "MODEL",
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_DAEMON,
    .examples = {{"wharf logs -f", "everything, as it is written"},
                 {"wharf logs qwen", "why did qwen not start?"}},
    .run = run,
};
