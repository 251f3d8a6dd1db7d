/* cmd_history.c: `wharf history [TABLE]`: what wharf has kept of what happened. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/date.h"
#include "base/pure/units.h"
#include "cli/commands.h"
#include "cli/history_text.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/show.h"

/* Rows of a table for people, unless they say. */
#define LIMIT_DEFAULT 50
#define PAGE 1000

enum form { FORM_TABLE, FORM_JSON, FORM_CSV };

struct asking {
    struct session session;
    const struct history_table *table;
    enum form form;
    struct buf range; /* of the query */
    bool all;         /* there is no limit: pages are written as they come, the oldest first */
    uint64_t left;
    char after[64];
    bool headed; /* CSV: the headings are written */
};

/* ---- the question ---- */

/* A span of time back from now becomes a time; what is a time already the daemon reads. */
static void put_time(struct buf *out, const char *name, const char *text)
{
    uint64_t ns;
    char value[DATE_TEXT_MAX];
    if (!text)
        return;
    if (!units_parse_duration(text, 0, &ns)) {
        buf_printf(out, "&%s=", name);
        client_encode_segment(out, text);
        return;
    }
    int64_t now = (int64_t)time(NULL), back = (int64_t)(ns / NS_PER_S);
    buf_printf(out, "&%s=%s", name, date_format_seconds(now > back ? now - back : 0, value));
}

static int fetch(struct asking *a, const char *more, struct client_reply *ret)
{
    struct buf path = {0};
    uint64_t limit = a->all || a->left > PAGE ? PAGE : a->left;
    limit = limit ? limit : 1; /* of none, the headings are wanted */
    buf_printf(&path, "/wharf/history/%s?limit=%" PRIu64 "&order=%s%s%s", a->table->name, limit,
               a->all ? "asc" : "desc", more, a->range.data ? a->range.data : "");
    if (*a->after)
        buf_printf(&path, "&after=%s", a->after);
    const struct client_request rq = {
        .method = "GET", .path = path.data, .silence_ms_max = SESSION_SILENCE_MS_MAX};
    auto_free char *what = alloc_printf("read the %s", a->table->name);
    int status = *more ? CLI_DONE : session_fetch(&a->session, &rq, what, ret);
    struct err e = {.set = false};
    if (*more) { /* no JSON */
        int rc = client_fetch(&a->session.options, &rq, ret, &e);
        status = rc < 0 ? session_failed(rc, &e) : CLI_DONE;
        if (rc == 0 && !client_reply_ok(ret)) {
            status = session_refused(&a->session, ret, what);
            client_reply_fini(ret);
        }
    }
    buf_fini(&path);
    return status;
}

/* ---- the answer ---- */

/* With no rows at all there is nothing to take the names from: the daemon says them. */
static int put_headings(struct asking *a, const json_t *row)
{
    struct client_reply r;
    struct buf out = {0};
    if (a->headed)
        return CLI_DONE;
    a->headed = true;
    if (row) {
        history_text_headings(&out, row);
        output_safe(&out);
        buf_fini(&out);
        return CLI_DONE;
    }
    int status = fetch(a, "&format=csv", &r);
    if (status != CLI_DONE)
        return status;
    const char *end = r.body.data ? strstr(r.body.data, "\r\n") : NULL;
    if (end) /* nobody asked for rows, should there be any */
        buf_append(&out, r.body.data, (size_t)(end - r.body.data) + 2);
    output_safe(&out);
    buf_fini(&out);
    client_reply_fini(&r);
    return CLI_DONE;
}

static int write_row(struct asking *a, const json_t *row)
{
    struct buf out = {0};
    int status = CLI_DONE;
    if (a->form == FORM_JSON) {
        auto_free char *text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(15));
        output_json(text, strlen(text));
        return CLI_DONE;
    }
    status = put_headings(a, row);
    history_text_csv(&out, row);
    output_safe(&out);
    buf_fini(&out);
    return status;
}

static int write_rows(struct asking *a, const json_t *rows, bool backwards)
{
    size_t count = json_array_size(rows);
    int status = CLI_DONE;
    for (size_t i = 0; i < count && status == CLI_DONE && !output_broken(); i++)
        status = write_row(a, json_array_get(rows, backwards ? count - 1 - i : i));
    return status;
}

static int write_table(const struct asking *a, const json_t *rows)
{
    struct buf out = {0};
    history_text_table(&out, a->table, rows);
    output_safe(&out);
    buf_fini(&out);
    return CLI_DONE;
}

/* Behind the last page after is empty. */
static int next_page(struct asking *a, json_t **ret_rows)
{
    struct client_reply r;
    int status = fetch(a, "", &r);
    if (status != CLI_DONE)
        return status;
    const char *next = json_string_value(json_object_get(r.json, "next"));
    snprintf(a->after, sizeof(a->after), "%.*s", (int)sizeof(a->after) - 1, next ? next : "");
    *ret_rows = json_incref(json_object_get(r.json, a->table->name));
    client_reply_fini(&r);
    return CLI_DONE;
}

/* Of a limited number the newest, which come first, are wanted; but they are shown last. */
static int limited(struct asking *a)
{
    json_t *rows = json_array(), *page = NULL;
    int status = CLI_DONE;
    do {
        status = next_page(a, &page);
        if (status != CLI_DONE)
            break;
        a->left -= json_array_size(page) < a->left ? json_array_size(page) : a->left;
        json_array_extend(rows, page);
        json_decref(page);
    } while (*a->after && a->left);
    if (status == CLI_DONE)
        status = a->form == FORM_TABLE ? write_table(a, rows) : write_rows(a, rows, true);
    json_decref(rows);
    return status;
}

static int unlimited(struct asking *a)
{
    json_t *page = NULL;
    int status;
    do {
        status = next_page(a, &page);
        if (status != CLI_DONE)
            return status;
        status = write_rows(a, page, false);
        json_decref(page);
    } while (status == CLI_DONE && *a->after && !output_broken() && !session_interrupted());
    return status;
}

static int ask(struct asking *a)
{
    int status = a->all ? unlimited(a) : a->left ? limited(a) : CLI_DONE;
    if (status == CLI_DONE && a->form == FORM_CSV)
        status = put_headings(a, NULL);
    return status;
}

static int run(const struct cli_args *args)
{
    const char *name = args->operand_count ? args->operands[0] : "requests";
    const char *model = cli_args_text(args, "model");
    struct asking a = {.table = history_table_find(name)};
    bool csv = cli_args_flag(args, "csv");
    if (!a.table) {
        output_complain(
            "history: '%.40s' is none of requests, swaps, leases, decisions and samples", name);
        return CLI_USAGE;
    }
    int status = session_open(args, &a.session);
    if (status != CLI_DONE)
        return status;
    if (csv && a.session.wants_json) {
        output_complain("history: --csv and --json are two different answers");
        return CLI_USAGE;
    }
    a.form = csv ? FORM_CSV : a.session.wants_json ? FORM_JSON : FORM_TABLE;
    a.left = LIMIT_DEFAULT;
    a.all = !cli_args_number(args, "limit", &a.left) && a.form != FORM_TABLE;
    put_time(&a.range, "start", cli_args_text(args, "since"));
    put_time(&a.range, "end", cli_args_text(args, "until"));
    if (model) {
        buf_printf(&a.range, "&%s=", a.table->filter);
        client_encode_segment(&a.range, model);
    }
    status = ask(&a);
    buf_fini(&a.range);
    return status;
}

static const struct cli_option options[] = {
    {.name = "since",
     .kind = CLI_TEXT,
     .value = "TIME",
     .takes = CLI_A_TIME,
     .help = "From then on: a time of RFC 3339, seconds since 1970, or how long ago, as in 1h or "
             "7d."},
    {.name = "until",
     .kind = CLI_TEXT,
     .value = "TIME",
     .takes = CLI_A_TIME,
     .help = "Up to then, likewise."},
    {.name = "model",
     .letter = 'm',
     .kind = CLI_TEXT,
     .value = "NAME",
     .takes = CLI_A_MODEL,
     .help = "Of this model alone; of leases, those of this name; of samples, this device."},
    {.name = "limit",
     .letter = 'n',
     .kind = CLI_NUMBER,
     .value = "N",
     .help = "The newest N of them; 50 by default, with --json and --csv all."},
    {.name = "csv", .kind = CLI_FLAG, .help = "Print CSV (RFC 4180), with headings."},
};

const struct cli_command cmd_history = {
    .name = "history",
    .summary = "print what was kept: requests, swaps, leases, decisions, samples",
    .description =
        "What wharf has kept of what happened, the newest at the end: the requests that are over; "
        "`swaps`, models that were loaded, unloaded, moved, put to sleep and woken; `leases` that "
        "have ended; `decisions`, why models came, left and were refused, and who else could have "
        "left; `samples`, what the devices' memory, load, power and temperature were. How long and "
        "how much is kept the configuration says (history).\n\n"
        "With --json, each line is an object.",
    .operand = "requests|swaps|leases|decisions|samples",
    .operands_max = 1,
    .operand_takes = {CLI_A_WORD},
    .operand_words = "requests swaps leases decisions samples",
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf history --since 1h", "the requests of the last hour"},
                 {"wharf history swaps -m qwen", "when was qwen loaded and unloaded, and why?"},
                 {"wharf history --csv --since 7d > week.csv", "a week for a spreadsheet"}},
    .run = run,
};
