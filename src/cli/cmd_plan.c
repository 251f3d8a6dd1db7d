/* cmd_plan.c: `wharf plan MODEL`, `wharf plan --vram SIZE`: what would happen. */
#include <jansson.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/lease_ask.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/text.h"

static const char *verdict_words(const char *verdict)
{
    static const struct {
        const char *verdict, *words;
    } all[] = {{"here", "is loaded"},
               {"go", "can come in"},
               {"wait", "has to wait"},
               {"blocked", "cannot come in now"},
               {"never", "can never come in"}};
    for (size_t i = 0; i < countof(all); i++)
        if (strcmp(all[i].verdict, verdict) == 0)
            return all[i].words;
    return verdict;
}

static void write_leaver(struct buf *out, const json_t *v)
{
    char bytes[SHOW_CELL_MAX];
    const char *model = json_string_value(json_object_get(v, "model"));
    buf_printf(out, "  %s ", show_text(v, "action"));
    if (!model)
        buf_text(out, "lease ");
    text_escape_all(out, TEXT_LINE, model ? model : show_text(v, "lease"));
    buf_printf(out, ", which gives %s", show_bytes(v, "bytes", bytes));
    if (json_is_true(json_object_get(v, "busy")))
        buf_text(out, ", when it has finished its work");
    buf_char(out, '\n');
}

static void write_plan(struct buf *out, const json_t *answer)
{
    char bytes[SHOW_CELL_MAX], devices[SHOW_CELL_MAX], seconds[SHOW_CELL_MAX];
    char total[SHOW_CELL_MAX], room[SHOW_CELL_MAX];
    const char *model = json_string_value(json_object_get(answer, "model"));
    const json_t *leaves = json_object_get(answer, "leaves"), *rooms;
    text_escape_all(out, TEXT_LINE, model ? model : "a lease");
    buf_printf(out, " %s", verdict_words(show_text(answer, "verdict")));
    if (json_array_size(json_object_get(answer, "devices"))) {
        buf_text(out, " on ");
        text_escape_all(out, TEXT_LINE, show_list(answer, "devices", devices));
    }
    if (json_is_integer(json_object_get(answer, "bytes")))
        buf_printf(out, ", taking %s", show_bytes(answer, "bytes", bytes));
    if (json_is_number(json_object_get(answer, "seconds")))
        buf_printf(out, ", in about %s", show_seconds(answer, "seconds", seconds));
    if (json_is_string(json_object_get(answer, "why"))) {
        buf_text(out, ": ");
        text_escape_all(out, TEXT_LINE, show_text(answer, "why"));
    }
    buf_char(out, '\n');
    for (size_t i = 0; i < json_array_size(leaves); i++)
        write_leaver(out, json_array_get(leaves, i));
    rooms = json_object_get(answer, "room");
    for (size_t i = 0; i < json_array_size(rooms); i++) {
        const json_t *r = json_array_get(rooms, i);
        buf_text(out, "  ");
        text_escape_all(out, TEXT_LINE, show_text(r, "device"));
        buf_printf(out, " has room for %s of %s now\n", show_bytes(r, "room_bytes", room),
                   show_bytes(r, "total_bytes", total));
    }
}

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
        status = show_answer(args, &rq, "plan", write_plan);
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
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf plan qwen", "who would have to leave for it?"},
                 {"wharf plan --vram 6GiB --gpus 2", "is there room for a job?"}},
    .run = run,
};
