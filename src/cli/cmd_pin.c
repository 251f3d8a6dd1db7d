/* cmd_pin.c: `wharf pin`, `wharf pin MODEL`, `wharf pin MODEL --off`. */
#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_op.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/text.h"

static json_t *pinned_among(const json_t *models)
{
    json_t *pinned = json_array();
    for (size_t i = 0; i < json_array_size(models); i++)
        if (json_is_true(json_object_get(json_array_get(models, i), "pinned")))
            json_array_append(pinned, json_array_get(models, i));
    return pinned;
}

static void write_pins(struct buf *out, const json_t *pinned)
{
    char device[SHOW_CELL_MAX];
    for (size_t i = 0; i < json_array_size(pinned); i++) {
        const json_t *m = json_array_get(pinned, i);
        text_escape_all(out, TEXT_LINE, show_text(m, "id"));
        buf_printf(out, ": %s", show_text(m, "state"));
        if (json_array_size(json_object_get(m, "devices"))) {
            buf_text(out, " on ");
            text_escape_all(out, TEXT_LINE, show_list(m, "devices", device));
        }
        buf_char(out, '\n');
    }
    if (json_array_size(pinned) == 0)
        buf_text(out, "no model is pinned\n");
}

static int list(const struct session *s)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/models", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    struct client_reply reply;
    struct buf out = {0};
    int status = session_fetch(s, &rq, "list the pinned models", &reply);
    if (status != CLI_DONE)
        return status;
    json_t *pinned = pinned_among(json_object_get(reply.json, "models"));
    if (s->wants_json) {
        json_t *all = json_pack("{s:O}", "models", pinned);
        auto_free char *text = json_dumps(all, SHOW_JSON);
        output_json(text, strlen(text));
        json_decref(all);
    } else {
        write_pins(&out, pinned);
        output_safe(&out);
    }
    buf_fini(&out);
    json_decref(pinned);
    client_reply_fini(&reply);
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    struct session s;
    if (!args->operand_count && cli_args_flag(args, "off")) {
        output_complain("pin: --off needs a MODEL; `wharf pin` lists those that are pinned");
        return CLI_USAGE;
    }
    int status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    if (!args->operand_count)
        return list(&s);
    const struct model_op op = {.verb = cli_args_flag(args, "off") ? MODEL_DO_UNPIN : MODEL_DO_PIN,
                                .id = args->operands[0]};
    return model_op(&s, &op);
}

static const struct cli_option options[] = {
    {.name = "off", .help = "Let it leave again, unless the configuration pins it."},
};

const struct cli_command cmd_pin = {
    .name = "pin",
    .summary = "keep a model from being made to leave, or list those that are kept",
    .description =
        "Without MODEL: the pinned models, a line each.\n\n"
        "A pinned model that is loaded does not make room for others and is not unloaded for "
        "idleness or by a mode; `wharf unload` still unloads it. Pinning does not load it, and "
        "holds until the daemon ends.",
    .operand = "MODEL",
    .operands_max = 1,
    .operand_takes = {CLI_A_MODEL},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf pin", "which are pinned?"},
                 {"wharf pin qwen", "it stays"},
                 {"wharf pin qwen --off", "it may leave again"}},
    .run = run,
};
