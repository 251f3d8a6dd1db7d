/* cmd_logs.c: `wharf logs [MODEL]`: what the daemon and its models have written. */
#include <string.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/text.h"

/* Without --follow, a model's log is read from its stream, which begins with what was kept. A
 * daemon that does not know no-follow leaves the stream open: this much silence is its end then. */
#define HISTORY_SILENCE_MS 500

/* How the body is printed. */
struct printing {
    const char *model; /* NULL: the daemon's own log */
    bool as_json;      /* an object a line */
    struct buf raw, out;
};

static void print_line(struct printing *p, const char *line, size_t n)
{
    buf_text(&p->out, "{\"model\":");
    if (p->model)
        buf_json_text(&p->out, p->model);
    else
        buf_text(&p->out, "null");
    buf_text(&p->out, ",\"line\":");
    buf_json(&p->out, line, n > 0 && line[n - 1] == '\r' ? n - 1 : n);
    buf_char(&p->out, '}');
    output_json(p->out.data, p->out.len);
    buf_clear(&p->out);
}

/* Whole lines alone, until there are no more bytes to come. */
static void print_lines(struct printing *p, bool more)
{
    size_t at = 0;
    const char *lf;
    while (at < p->raw.len && (lf = memchr(p->raw.data + at, '\n', p->raw.len - at))) {
        print_line(p, p->raw.data + at, (size_t)(lf - p->raw.data) - at);
        at = (size_t)(lf - p->raw.data) + 1;
    }
    buf_consume(&p->raw, at);
    if (!more && p->raw.len > 0)
        print_line(p, p->raw.data, p->raw.len);
}

/* Characters whole. */
static void print_text(struct printing *p, bool more)
{
    buf_consume(&p->raw, text_escape(&p->out, TEXT_LOG, p->raw.data, p->raw.len, more));
    output_safe(&p->out);
    buf_clear(&p->out);
}

/* Prints the body as it comes. */
static int print_body(struct client_answer *a, struct printing *p, bool until_silence)
{
    struct err e = {.set = false};
    void (*print)(struct printing *, bool) = p->as_json ? print_lines : print_text;
    const char *data;
    size_t n;
    int rc;
    while ((rc = client_read(a, &data, &n, &e)) > 0 && !output_broken()) {
        buf_append(&p->raw, data, n);
        print(p, true);
    }
    print(p, false);
    buf_fini(&p->raw);
    buf_fini(&p->out);
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
        status = print_body(a, &(struct printing){.model = model, .as_json = s.wants_json},
                            model && !follows);
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
        "terminal do things. With --json, a line is an object, {\"model\",\"line\"}; the daemon's "
        "model is null.",
    .operand = "MODEL",
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf logs -f", "everything, as it is written"},
                 {"wharf logs qwen", "why did qwen not start?"}},
    .run = run,
};
