/* cmd_ps.c: `wharf ps`: the models and what they are doing. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/text_table.h"

static const struct text_column headings[] = {
    {"MODEL", 9, 12}, {"STATE", 8, 8}, {"PLACEMENT", 3, 6}, {"DEVICE", 2, 6},
    {"SIZE", 5, 0},   {"BUSY", 6, 0},  {"WAITING", 7, 0},   {"IDLE/UNTIL", 4, 0},
};

static void format_size(const json_t *model, char out[SHOW_CELL_MAX])
{
    char size[SHOW_CELL_MAX];
    bool is_guess = strcmp(show_text(model, "footprint_source"), "estimated") == 0;
    bool is_known = json_is_integer(json_object_get(model, "footprint_bytes"));
    snprintf(out, SHOW_CELL_MAX, "%s%.40s", is_guess && is_known ? "~" : "",
             show_bytes(model, "footprint_bytes", size));
}

/* Where it is, or where it should be and is not. */
static void format_device(const json_t *model, char out[SHOW_CELL_MAX])
{
    bool elsewhere = json_is_true(json_object_get(model, "on_cpu")) &&
                     json_is_string(json_object_get(model, "device"));
    snprintf(out, SHOW_CELL_MAX, "%s%.40s", elsewhere ? "cpu, not " : "",
             show_text(model, "device"));
}

/* For how long it has been idle, and in how long it will be unloaded for that. */
static void format_idle(const json_t *model, char out[SHOW_CELL_MAX])
{
    char idle[SHOW_CELL_MAX], until[SHOW_CELL_MAX];
    bool leaves = json_is_number(json_object_get(model, "idle_unload_s"));
    snprintf(out, SHOW_CELL_MAX, leaves ? "%.30s/%.30s" : "%.30s",
             show_seconds(model, "last_used_s", idle), show_seconds(model, "idle_unload_s", until));
}

static void add_model(struct text_table *table, const json_t *model)
{
    char device[SHOW_CELL_MAX];
    char size[SHOW_CELL_MAX], busy[SHOW_CELL_MAX], waiting[SHOW_CELL_MAX], idle[SHOW_CELL_MAX];
    format_device(model, device);
    format_size(model, size);
    format_idle(model, idle);
    bool pinned = json_is_true(json_object_get(model, "pinned"));
    struct buf state = {0};
    buf_printf(&state, "%s%s", show_text(model, "state"), pinned ? " (pinned)" : "");
    const char *cells[] = {show_text(model, "id"),
                           state.data,
                           show_text(model, "placement"),
                           device,
                           size,
                           show_count(model, "in_flight", busy),
                           show_count(model, "waiting", waiting),
                           idle};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
    buf_fini(&state);
}

/* Why a model is not loaded, or not within reach. Reasons are sentences, which would tear a column
 * apart; of an error it is the first line, behind which comes the end of the model's log. */
static void write_reason(struct buf *out, const json_t *model)
{
    const char *reason = json_string_value(json_object_get(model, "reason"));
    const char *error = json_string_value(json_object_get(model, "error"));
    const char *down = json_string_value(json_object_get(model, "backend_reason"));
    if (down) {
        text_escape_all(out, TEXT_LINE, show_text(model, "id"));
        buf_text(out, ": ");
        text_escape_all(out, TEXT_LINE, down);
        buf_char(out, '\n');
        return;
    }
    if (strcmp(show_text(model, "state"), "loaded") == 0 || (!reason && !error))
        return;
    text_escape_all(out, TEXT_LINE, show_text(model, "id"));
    buf_text(out, ": ");
    if (reason)
        text_escape_all(out, TEXT_LINE, reason);
    if (reason && error)
        buf_text(out, ": ");
    if (error)
        text_escape(out, TEXT_LINE, error, strcspn(error, "\n"), false);
    buf_char(out, '\n');
}

static void write_models(struct buf *out, const json_t *answer)
{
    const json_t *models = json_object_get(answer, "models");
    struct text_table table;
    text_table_begin(&table, headings, countof(headings));
    for (size_t i = 0; i < json_array_size(models); i++)
        add_model(&table, json_array_get(models, i));
    text_table_print_within(&table, text_terminal_columns(), out);
    text_table_fini(&table);
    for (size_t i = 0; i < json_array_size(models); i++)
        write_reason(out, json_array_get(models, i));
}

static int run(const struct cli_args *args)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/models", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    return show_answer(args, &rq, "list the models", write_models);
}

const struct cli_command cmd_ps = {
    .name = "ps",
    .summary = "list the models and what they are doing",
    .description =
        "One line a model: its state, and whether it is pinned, the place it sits at, by the name "
        "that the configuration has for that, the device (\"cpu, not\" where nothing is seen of it "
        "there), the memory it takes there (with ~ where that is an estimate), the requests it is "
        "serving and those that wait for it, how "
        "long ago it was last used, and, behind the slash, how long until it is unloaded for "
        "idleness. Below, for models that are not loaded, or whose backend does not answer, why.",
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf ps", "the table"},
                 {"wharf ps --json | jq -r '.models[].id'", "the ids alone"}},
    .run = run,
};
