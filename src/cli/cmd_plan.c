/* cmd_plan.c: `wharf plan MODEL`, `wharf plan --vram SIZE`: what would happen. */
#include <jansson.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/lease_body.h"
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

static int run(const struct cli_args *args)
{
    struct buf body = {0};
    bool is_lease = lease_body_asked(args);
    if (is_lease == (args->operand_count > 0)) {
        output_complain(is_lease ? "plan: a MODEL excludes --vram and --gate"
                                 : "plan: MODEL is missing, or --vram or --gate");
        return CLI_USAGE;
    }
    if (is_lease) {
        buf_text(&body, "{\"lease\":{");
        lease_body_put(&body, args);
        buf_text(&body, "}}");
    } else {
        buf_char(&body, '{');
        lease_body_text(&body, "model", args->operands[0]);
        lease_body_text(&body, "class", cli_args_text(args, "class"));
        buf_char(&body, '}');
    }
    const struct client_request rq = {.method = "POST",
                                      .path = "/wharf/plan",
                                      .body = body.data,
                                      .body_len = body.len,
                                      .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int status = show_answer(args, &rq, "plan", write_plan);
    buf_fini(&body);
    return status;
}

static const struct cli_option options[] = {
    {.name = "vram",
     .kind = CLI_TEXT,
     .value = "SIZE",
     .takes = CLI_A_SIZE,
     .help = "Ask for memory for a job, on each of its GPUs, such as 6GiB, and not for a model."},
    {.name = "gpus",
     .kind = CLI_NUMBER,
     .value = "N",
     .help = "With --vram: on how many GPUs at once; 1 by default."},
    {.name = "gate",
     .kind = CLI_TEXT,
     .repeats = true,
     .value = "NAME",
     .takes = CLI_A_GATE,
     .help = "Ask for a slot of that gate, for a job. May be given four times."},
    {.name = "class",
     .kind = CLI_TEXT,
     .value = "CLASS",
     .takes = CLI_A_WORD,
     .words = CLI_CLASSES,
     .help = "foreground, normal or background; absent: the model's own, or background for a job."},
};

const struct cli_command cmd_plan = {
    .name = "plan",
    .summary = "say what would happen if a model or memory were wanted",
    .description =
        "Asks what a request for MODEL, or a job that wants memory, would bring about now: whether "
        "it can come in, where, who would leave for it, and how long that would take. Nothing is "
        "done.",
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
