/* cmd_status.c: `wharf status`: how the daemon stands, in a few lines. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "cli/text.h"

static void write_text(struct buf *out, const json_t *object, const char *name)
{
    text_escape_all(out, TEXT_LINE, show_text(object, name));
}

static void write_daemon(struct buf *out, const json_t *s)
{
    char uptime[SHOW_CELL_MAX];
    buf_text(out, "wharf ");
    write_text(out, s, "version");
    buf_text(out, ", ");
    write_text(out, s, "state");
    buf_printf(out, " for %s\nmode ", show_seconds(s, "uptime_s", uptime));
    write_text(out, s, "mode");
    bool reached = json_is_true(json_object_get(s, "mode_reached"));
    buf_printf(out, "%s\nscheduler ", reached ? "" : " (not reached yet)");
    write_text(out, s, "scheduler");
    buf_text(out, ", planner ");
    write_text(out, s, "planner");
    buf_char(out, '\n');
}

static void write_jobs(struct buf *out, const json_t *jobs)
{
    static const char *const names[] = {"active", "waiting", "processed", "failed", "cancelled"};
    char count[SHOW_CELL_MAX];
    buf_text(out, "jobs: ");
    for (size_t i = 0; i < countof(names); i++)
        buf_printf(out, "%s%s %s", i ? ", " : "", show_count(jobs, names[i], count), names[i]);
    buf_char(out, '\n');
}

/* "models: 2 of 5 loaded: clip on cpu, vlm on cuda" */
static void write_models(struct buf *out, const json_t *s)
{
    char loaded[SHOW_CELL_MAX], all[SHOW_CELL_MAX];
    const json_t *models = json_object_get(s, "model_list");
    const char *sep = ": ";
    buf_printf(out, "models: %s of %s loaded", show_count(s, "loaded", loaded),
               show_count(s, "models", all));
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i);
        if (strcmp(show_text(m, "state"), "loaded") != 0)
            continue;
        buf_text(out, sep);
        write_text(out, m, "id");
        if (json_is_string(json_object_get(m, "placement"))) {
            buf_text(out, " on ");
            write_text(out, m, "placement");
        }
        sep = ", ";
    }
    buf_char(out, '\n');
}

static void write_devices(struct buf *out, const json_t *devices)
{
    char used[SHOW_CELL_MAX], total[SHOW_CELL_MAX], peak[SHOW_CELL_MAX], busy[SHOW_CELL_MAX];
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *d = json_array_get(devices, i);
        buf_text(out, "device ");
        write_text(out, d, "name");
        if (!json_is_true(json_object_get(d, "present"))) {
            buf_text(out, ": absent\n");
            continue;
        }
        buf_printf(out, ": %s of %s used", show_bytes(d, "used_bytes", used),
                   show_bytes(d, "total_bytes", total));
        if (json_is_integer(json_object_get(d, "peak_bytes")))
            buf_printf(out, ", %s at most", show_bytes(d, "peak_bytes", peak));
        if (json_is_integer(json_object_get(d, "utilisation_percent")))
            buf_printf(out, ", %s%% busy", show_count(d, "utilisation_percent", busy));
        buf_char(out, '\n');
    }
}

static void write_backends(struct buf *out, const json_t *backends)
{
    for (size_t i = 0; i < json_array_size(backends); i++) {
        const json_t *b = json_array_get(backends, i);
        write_text(out, b, "kind");
        buf_char(out, ' ');
        write_text(out, b, "name");
        buf_text(out, json_is_false(json_object_get(b, "up")) ? ": down\n" : ": up\n");
    }
}

static void write_degradations(struct buf *out, const json_t *all)
{
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *d = json_array_get(all, i);
        buf_text(out, "degraded: ");
        write_text(out, d, "what");
        if (json_is_string(json_object_get(d, "name"))) {
            buf_char(out, ' ');
            write_text(out, d, "name");
        }
        buf_text(out, ": ");
        write_text(out, d, "reason");
        buf_char(out, '\n');
    }
}

/* Those that somebody was refused for, and those that are nearly used up. */
static bool is_worth_a_line(const json_t *limit)
{
    double used = json_number_value(json_object_get(limit, "used"));
    double max = json_number_value(json_object_get(limit, "max"));
    return json_integer_value(json_object_get(limit, "refused")) > 0 ||
           (max > 0 && used >= 0.9 * max && json_is_string(json_object_get(limit, "setting")));
}

static void write_limits(struct buf *out, json_t *limits)
{
    const char *name;
    json_t *l;
    char used[SHOW_CELL_MAX], max[SHOW_CELL_MAX], refused[SHOW_CELL_MAX];
    json_object_foreach(limits, name, l)
    {
        if (!is_worth_a_line(l))
            continue;
        bool bytes = strcmp(show_text(l, "unit"), "bytes") == 0;
        buf_text(out, "limit ");
        text_escape_all(out, TEXT_LINE, name);
        buf_text(out, ": ");
        if (json_is_integer(json_object_get(l, "used")))
            buf_printf(out, "%s of ",
                       bytes ? show_bytes(l, "used", used) : show_count(l, "used", used));
        buf_printf(out, "%s%s", bytes ? show_bytes(l, "max", max) : show_count(l, "max", max),
                   bytes ? "" : " ");
        if (!bytes)
            write_text(out, l, "unit");
        if (json_is_integer(json_object_get(l, "refused")))
            buf_printf(out, ", refused %s", show_count(l, "refused", refused));
        buf_char(out, '\n');
    }
}

static void write_status(struct buf *out, const json_t *answer)
{
    write_daemon(out, answer);
    write_jobs(out, json_object_get(answer, "jobs"));
    write_models(out, answer);
    write_devices(out, json_object_get(answer, "devices"));
    write_backends(out, json_object_get(answer, "backends"));
    write_limits(out, json_object_get(answer, "limits"));
    write_degradations(out, json_object_get(answer, "degradations"));
}

static int run(const struct cli_args *args)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/status", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    return show_answer(args, &rq, "ask for the status", write_status);
}

const struct cli_command cmd_status = {
    .name = "status",
    .summary = "show how the daemon stands",
    .description =
        "A few lines: the daemon and its mode, the requests that are and were, which models are "
        "loaded and where, each device's memory, the servers that models are left to, the limits "
        "that somebody was refused for or that are nearly reached, and what is not as it should "
        "be. With --json all that is known.",
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf status", "the lines"},
                 {"wharf status --json | jq .degraded", "what is wrong, or null"}},
    .run = run,
};
