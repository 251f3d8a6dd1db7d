/* cmd_mode.c: `wharf mode`, `wharf mode NAME`. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "cli/text.h"

static void write_wishes(struct buf *out, json_t *wishes)
{
    const char *sep = ": ";
    for (void *at = json_object_iter(wishes); at; at = json_object_iter_next(wishes, at)) {
        const char *what = json_string_value(json_object_iter_value(at));
        buf_text(out, sep);
        text_escape_all(out, TEXT_LINE, json_object_iter_key(at));
        buf_char(out, ' ');
        text_escape_all(out, TEXT_LINE, what ? what : "-");
        sep = ", ";
    }
}

/* Those that are not as the mode that is set wants them, and why. */
static void write_missing(struct buf *out, const json_t *models)
{
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i);
        if (json_is_true(json_object_get(m, "reached")))
            continue;
        text_escape_all(out, TEXT_LINE, show_text(m, "model"));
        buf_text(out, " is not ");
        const char *wish = show_text(m, "wish");
        buf_text(out, strcmp(wish, "loaded") != 0 && strcmp(wish, "unloaded") != 0 ? "on " : "");
        text_escape_all(out, TEXT_LINE, wish);
        buf_text(out, json_is_true(json_object_get(m, "failed")) ? ": " : " yet: ");
        text_escape_all(out, TEXT_LINE, show_text(m, "why"));
        buf_char(out, '\n');
    }
}

static void write_modes(struct buf *out, const json_t *answer)
{
    const char *now = show_text(answer, "mode");
    json_t *modes = json_object_get(answer, "modes");
    buf_text(out, "mode ");
    text_escape_all(out, TEXT_LINE, now);
    if (json_is_false(json_object_get(answer, "reached")))
        buf_text(out, " (not reached yet)");
    buf_char(out, '\n');
    for (void *at = json_object_iter(modes); at; at = json_object_iter_next(modes, at)) {
        buf_text(out, "  ");
        text_escape_all(out, TEXT_LINE, json_object_iter_key(at));
        write_wishes(out, json_object_iter_value(at));
        buf_char(out, '\n');
    }
    write_missing(out, json_object_get(answer, "models"));
}

static void write_mode(struct buf *out, const json_t *answer)
{
    buf_text(out, "mode ");
    text_escape_all(out, TEXT_LINE, show_text(answer, "mode"));
    buf_char(out, '\n');
}

static int set(const struct cli_args *args, const char *name)
{
    struct buf body = {0}, path = {0};
    bool waits = cli_args_flag(args, "wait");
    uint64_t seconds;
    buf_printf(&path, "/wharf/mode%s", waits ? "?wait=1" : "");
    if (cli_args_number(args, "timeout", &seconds))
        buf_printf(&path, "&timeout=%" PRIu64, seconds);
    buf_text(&body, "{\"mode\":");
    buf_json_text(&body, name);
    buf_char(&body, '}');
    const struct client_request rq = {.method = "PUT",
                                      .path = path.data,
                                      .body = body.data,
                                      .body_len = body.len,
                                      .silence_ms_max = waits ? 0 : SESSION_SILENCE_MS_MAX};
    struct session s;
    int status = session_open(args, &s);
    if (status == CLI_DONE)
        status = show_answer_of(&s, &rq, waits ? "reach the mode" : "set the mode",
                                waits ? progress_of_mode(&s) : NULL, write_mode);
    if (status != CLI_DONE && waits && session_interrupted())
        output_complain("no longer waiting; `wharf mode` shows what becomes of it");
    buf_fini(&body);
    buf_fini(&path);
    return status;
}

static int run(const struct cli_args *args)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/mode", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    uint64_t seconds;
    bool timed = cli_args_number(args, "timeout", &seconds);
    bool waits = cli_args_flag(args, "wait");
    if ((waits && !args->operand_count) || (timed && !waits)) {
        output_complain(timed && !waits ? "mode: --timeout belongs to --wait"
                                        : "mode: --wait needs the NAME of a mode");
        return CLI_USAGE;
    }
    if (args->operand_count)
        return set(args, args->operands[0]);
    return show_answer(args, &rq, "look at the mode", write_modes);
}

static const struct cli_option options[] = {
    {.name = "wait",
     .letter = 'w',
     .help = "Return when every model is as the mode wants it, or fail with those that cannot be "
             "and why, or when another mode is set."},
    {.name = "timeout",
     .kind = CLI_NUMBER,
     .value = "SECONDS",
     .help = "Wait so long at most. The mode stays set."},
};

const struct cli_command cmd_mode = {
    .name = "mode",
    .summary = "show or set the mode",
    .description =
        "Without NAME: the mode that is set, all modes with what they want of models, and which "
        "models are not as the mode wants them, and why. With "
        "NAME: sets it, and returns at once unless told to wait; models leave and come as they "
        "become idle and as room "
        "comes free. The mode idle wants nothing.",
    .operand = "NAME",
    .operands_max = 1,
    .operand_takes = {CLI_A_MODE},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf mode", "which one is set, and which there are"},
                 {"wharf mode recording", "set that one"},
                 {"wharf mode recording --wait", "and return when all is as it wants"}},
    .run = run,
};
