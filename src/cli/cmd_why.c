/* cmd_why.c: `wharf why [MODEL]`: why models came, left and were refused. */
#include <jansson.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "cli/text.h"

static const char *verb_of(const char *type)
{
    static const struct {
        const char *type, *verb;
    } verbs[] = {{"evict", "left"},
                 {"refused", "was refused"},
                 {"model_loading", "began to load"},
                 {"model_unloading", "was unloaded"},
                 {"idle_unload", "was unloaded"},
                 {"load_failed", "failed to load"},
                 {"blocked", "cannot come in"},
                 {"stuck", "cannot be ended"},
                 {"lease_granted", "was granted"},
                 {"lease_revoked", "was asked back"},
                 {"starving", "has waited for five minutes"}};
    for (size_t i = 0; i < countof(verbs); i++)
        if (strcmp(verbs[i].type, type) == 0)
            return verbs[i].verb;
    return type;
}

/* Behind the first line may come a model's log: it belongs to the failure, and those who were
 * refused for it need not repeat it. */
static void write_detail(struct buf *out, const json_t *d)
{
    const char *line = json_string_value(json_object_get(d, "detail"));
    bool whole = strcmp(show_text(d, "type"), "load_failed") == 0;
    while (line) {
        size_t n = strcspn(line, "\n");
        buf_text(out, "\n    ");
        text_escape(out, TEXT_LINE, line, n, false);
        line = whole && line[n] ? line + n + 1 : NULL;
    }
}

static void write_decision(struct buf *out, const json_t *d)
{
    static const struct {
        const char *name, *words;
    } others[] = {
        {"for_model", " for "}, {"for_lease", " for lease "}, {"by_model", " because of "}};
    char bytes[SHOW_CELL_MAX], idle[SHOW_CELL_MAX], devices[SHOW_CELL_MAX];
    const char *model = json_string_value(json_object_get(d, "model"));
    json_int_t count = json_integer_value(json_object_get(d, "count"));
    text_escape_all(out, TEXT_LINE, show_text(d, "time"));
    buf_char(out, ' ');
    if (!model)
        buf_text(out, "lease ");
    text_escape_all(out, TEXT_LINE, model ? model : show_text(d, "lease"));
    buf_char(out, ' ');
    text_escape_all(out, TEXT_LINE, verb_of(show_text(d, "type")));
    for (size_t i = 0; i < countof(others); i++) {
        if (!json_is_string(json_object_get(d, others[i].name)))
            continue;
        buf_text(out, others[i].words);
        text_escape_all(out, TEXT_LINE, show_text(d, others[i].name));
    }
    buf_text(out, ": ");
    text_escape_all(out, TEXT_LINE, show_text(d, "reason"));
    if (json_is_integer(json_object_get(d, "bytes")))
        buf_printf(out, "; %s", show_bytes(d, "bytes", bytes));
    if (json_array_size(json_object_get(d, "devices"))) {
        buf_text(out, " on ");
        text_escape_all(out, TEXT_LINE, show_list(d, "devices", devices));
    }
    if (json_is_number(json_object_get(d, "last_used_s")))
        buf_printf(out, "; last used %s before", show_seconds(d, "last_used_s", idle));
    if (count > 1)
        buf_printf(out, " (%lld times)", (long long)count);
    write_detail(out, d);
    buf_char(out, '\n');
}

static void write_decisions(struct buf *out, const json_t *answer)
{
    const json_t *decisions = json_object_get(answer, "decisions");
    for (size_t i = 0; i < json_array_size(decisions); i++)
        write_decision(out, json_array_get(decisions, i));
    if (json_array_size(decisions) == 0)
        buf_text(out, "nothing was decided so far\n");
}

static int run(const struct cli_args *args)
{
    struct buf path = {0};
    uint64_t count = 0;
    buf_text(&path, "/wharf/decisions?");
    if (args->operand_count) {
        buf_text(&path, "model=");
        client_encode_segment(&path, args->operands[0]);
        buf_char(&path, '&');
    }
    if (cli_args_number(args, "count", &count))
        buf_printf(&path, "limit=%llu", (unsigned long long)count);
    const struct client_request rq = {
        .method = "GET", .path = path.data, .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int status = show_answer(args, &rq, "look at the decisions", write_decisions);
    buf_fini(&path);
    return status;
}

static const struct cli_option options[] = {
    {.name = "count",
     .letter = 'n',
     .kind = CLI_NUMBER,
     .value = "N",
     .help = "The last N of them; 100 by default. The daemon keeps 1000."},
};

const struct cli_command cmd_why = {
    .name = "why",
    .summary = "say why models came, left and were refused",
    .description =
        "The daemon's last decisions, the newest at the end: what was loaded and for whom, what "
        "left, for whom and why it and no other, what was refused and with which numbers. With "
        "MODEL, those about it.",
    .operand = "MODEL",
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf why", "what happened lately"},
                 {"wharf why qwen -n 5", "the last five that concern qwen"}},
    .run = run,
};
