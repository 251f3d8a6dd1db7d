/* cmd_mode.c: `wharf mode`, `wharf mode NAME`. */
#include <jansson.h>

#include "cli/commands.h"
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
}

static void write_mode(struct buf *out, const json_t *answer)
{
    buf_text(out, "mode ");
    text_escape_all(out, TEXT_LINE, show_text(answer, "mode"));
    buf_char(out, '\n');
}

static int set(const struct cli_args *args, const char *name)
{
    struct buf body = {0};
    buf_text(&body, "{\"mode\":");
    buf_json_text(&body, name);
    buf_char(&body, '}');
    const struct client_request rq = {.method = "PUT",
                                      .path = "/wharf/mode",
                                      .body = body.data,
                                      .body_len = body.len,
                                      .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int status = show_answer(args, &rq, "set the mode", write_mode);
    buf_fini(&body);
    return status;
}

static int run(const struct cli_args *args)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/mode", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    if (args->operand_count)
        return set(args, args->operands[0]);
    return show_answer(args, &rq, "look at the mode", write_modes);
}

const struct cli_command cmd_mode = {
    .name = "mode",
    .summary = "show or set the mode",
    .description =
        "Without NAME: the mode that is set, and all modes with what they want of models. With "
        "NAME: sets it, and returns at once; models leave and come as they become idle and as room "
        "comes free. The mode idle wants nothing.",
    .operand = "NAME",
    .operands_max = 1,
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf mode", "which one is set, and which there are"},
                 {"wharf mode recording", "set that one"}},
    .run = run,
};
