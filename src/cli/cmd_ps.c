/* cmd_ps.c: `wharf ps`: the models and what they are doing. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/pure/units.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/text.h"

static const char *const headings[] = {"MODEL", "STATE",   "DEVICE",    "SIZE",
                                       "BUSY",  "WAITING", "IDLE/UNTIL"};

#define CELL_MAX 64

static const char *text_of(const json_t *model, const char *name)
{
    const char *text = json_string_value(json_object_get(model, name));
    return text && *text ? text : "-";
}

static void format_size(const json_t *model, char out[CELL_MAX])
{
    const json_t *bytes = json_object_get(model, "footprint_bytes");
    char size[UNITS_TEXT_MAX];
    if (!json_is_integer(bytes) || json_integer_value(bytes) < 0) {
        snprintf(out, CELL_MAX, "-");
        return;
    }
    bool is_guess = strcmp(text_of(model, "footprint_source"), "estimated") == 0;
    snprintf(out, CELL_MAX, "%s%s", is_guess ? "~" : "",
             units_format_bytes((uint64_t)json_integer_value(bytes), size));
}

static void format_count(const json_t *model, const char *name, char out[CELL_MAX])
{
    snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(json_object_get(model, name)));
}

static const char *format_seconds(const json_t *seconds, char out[UNITS_TEXT_MAX])
{
    const double seconds_max = 1e9;
    double s = json_number_value(seconds);
    if (!json_is_number(seconds) || !(s >= 0 && s <= seconds_max))
        return "-";
    if (s < 1)
        return "0s";
    return units_format_duration((uint64_t)s * NS_PER_S, out);
}

/* For how long it has been idle, and in how long it will be unloaded for that. */
static void format_idle(const json_t *model, char out[CELL_MAX])
{
    char idle[UNITS_TEXT_MAX], until[UNITS_TEXT_MAX];
    const json_t *left = json_object_get(model, "idle_unload_s");
    snprintf(out, CELL_MAX, json_is_number(left) ? "%s/%s" : "%s",
             format_seconds(json_object_get(model, "last_used_s"), idle),
             format_seconds(left, until));
}

static void add_model(struct text_table *table, const json_t *model)
{
    char size[CELL_MAX], busy[CELL_MAX], waiting[CELL_MAX], idle[CELL_MAX];
    format_size(model, size);
    format_count(model, "in_flight", busy);
    format_count(model, "waiting", waiting);
    format_idle(model, idle);
    const char *cells[] = {text_of(model, "id"),
                           text_of(model, "state"),
                           text_of(model, "device"),
                           size,
                           busy,
                           waiting,
                           idle};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
}

/* Why a model is not loaded. Reasons are sentences, which would tear a column apart; of an error it
 * is the first line, behind which comes the end of the model's log. */
static void write_reason(struct buf *out, const json_t *model)
{
    const char *reason = json_string_value(json_object_get(model, "reason"));
    const char *error = json_string_value(json_object_get(model, "error"));
    if (strcmp(text_of(model, "state"), "loaded") == 0 || (!reason && !error))
        return;
    text_escape_all(out, TEXT_LINE, text_of(model, "id"));
    buf_text(out, ": ");
    if (reason)
        text_escape_all(out, TEXT_LINE, reason);
    if (reason && error)
        buf_text(out, ": ");
    if (error)
        text_escape(out, TEXT_LINE, error, strcspn(error, "\n"), false);
    buf_char(out, '\n');
}

static void write_models(struct buf *out, const json_t *models)
{
    struct text_table table = {.columns = countof(headings)};
    text_table_add(&table, headings);
    for (size_t i = 0; i < json_array_size(models); i++)
        add_model(&table, json_array_get(models, i));
    text_table_print(&table, out);
    text_table_fini(&table);
    for (size_t i = 0; i < json_array_size(models); i++)
        write_reason(out, json_array_get(models, i));
}

static int run(const struct cli_args *args)
{
    struct session s;
    struct client_reply reply;
    struct buf out = {0};
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/models", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    int status = session_open(args, &s);
    if (status == CLI_DONE)
        status = session_fetch(&s, &rq, "list the models", &reply);
    if (status != CLI_DONE)
        return status;
    if (s.wants_json) {
        output_json(reply.body.data, reply.body.len);
    } else {
        write_models(&out, json_object_get(reply.json, "models"));
        output_safe(&out);
    }
    buf_fini(&out);
    client_reply_fini(&reply);
    return CLI_DONE;
}

const struct cli_command cmd_ps = {
    .name = "ps",
    .summary = "list the models and what they are doing",
    .description =
        "One line a model: its state, the device it sits on, the memory it takes there (with ~ "
        "where that is an estimate), the requests it is serving and those that wait for it, how "
        "long ago it was last used, and, behind the slash, how long until it is unloaded for "
        "idleness. Below, for models that are not loaded, why.",
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf ps", "the table"},
                 {"wharf ps --json | jq -r '.models[].id'", "the ids alone"}},
    .run = run,
};
