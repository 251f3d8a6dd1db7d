/* cmd_report.c: `wharf report`: what a day or a week looked like. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/date.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/config_findings.h"
#include "cli/output.h"
#include "cli/report_fetch.h"
#include "cli/report_text.h"
#include "cli/sim_gpus.h"
#include "cli/text.h"
#include "report/policies.h"

#define DAY_S UINT64_C(86400)
#define FORMATS "text html svg json"

enum format { FORMAT_TEXT, FORMAT_HTML, FORMAT_SVG, FORMAT_JSON, FORMAT__COUNT };

/* What is looked at, as far as the command line says. */
struct span {
    uint64_t from_ns, to_ns;
    bool has_from;
};

struct reporting {
    const struct cli_args *args;
    bool from_files;
    enum format format;
    struct span span;
    struct session session; /* unless from_files */
    struct past record;
    struct report report;
};

/* ---- when ---- */

/* Midnight where we are, of "2024-01-31", and so many days later; false: it is no day. */
static bool parse_day(const char *text, int days, uint64_t *ret_ns)
{
    struct tm tm = {.tm_isdst = -1};
    char rest;
    if (sscanf(text, "%4d-%2d-%2d%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &rest) != 3 ||
        strlen(text) != strlen("2024-01-31") || tm.tm_year < 1970 || tm.tm_mon < 1 ||
        tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    struct tm same = tm;
    int month = tm.tm_mon;
    tm.tm_mday += days;
    time_t at = mktime(&tm);
    /* The 31st of February comes back as a day of March. */
    if (at < 0 || mktime(&same) < 0 || same.tm_mon != month)
        return false;
    *ret_ns = (uint64_t)at * NS_PER_S;
    return true;
}

/* A date, a day, or how long before the end. */
static int parse_when(const char *name, const char *text, uint64_t end_ns, uint64_t *ret_ns,
                      struct err *e)
{
    uint64_t ago_ns;
    if (date_parse(text, ret_ns) || parse_day(text, 0, ret_ns))
        return 0;
    if (!units_parse_duration(text, 0, &ago_ns))
        return err_set(e, "--%s: '%.60s' is neither a time such as 7d or 12h ago, nor a date", name,
                       text);
    *ret_ns = end_ns > ago_ns ? end_ns - ago_ns : 0;
    return 0;
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* end_ns: now, or the end of the files. */
static int parse_span(const struct cli_args *args, uint64_t end_ns, struct span *ret, struct err *e)
{
    const char *since = cli_args_text(args, "since"), *until = cli_args_text(args, "until");
    const char *day = cli_args_text(args, "day");
    bool week = cli_args_flag(args, "week");
    *ret = (struct span){.to_ns = end_ns};
    if ((since != NULL) + (day != NULL) + week > 1 || (until && day))
        return err_set(e, "--since, --day and --week say the same thing: give one of them");
    if (day) {
        ret->has_from = true;
        if (!parse_day(day, 0, &ret->from_ns) || !parse_day(day, 1, &ret->to_ns))
            return err_set(e, "--day: '%.60s' is no day such as 2024-01-31", day);
        return 0;
    }
    if (until && parse_when("until", until, end_ns, &ret->to_ns, e) < 0)
        return -1;
    ret->has_from = since || week;
    uint64_t span_ns = (week ? 7 : 1) * DAY_S * NS_PER_S;
    ret->from_ns = ret->to_ns > span_ns ? ret->to_ns - span_ns : 0;
    if (since && parse_when("since", since, ret->to_ns, &ret->from_ns, e) < 0)
        return -1;
    if (ret->from_ns >= ret->to_ns && end_ns)
        return err_set(e, "it would end before it begins");
    return 0;
}

/* ---- what ---- */

static int read_files(struct reporting *w, struct err *e)
{
    for (int kind = 0; kind < PAST__KINDS; kind++) {
        const char *path = cli_args_text(w->args, past_kind_text((enum past_kind)kind));
        if (path && past_read_file(&w->record, (enum past_kind)kind, path, e) < 0)
            return -1;
    }
    if (parse_span(w->args, past_end(&w->record), &w->span, e) < 0)
        return -1;
    if (!w->span.has_from) /* files are what they are: all of them, unless somebody says less */
        w->span.from_ns = past_begin(&w->record);
    if (w->span.from_ns >= w->span.to_ns && w->span.to_ns != past_end(&w->record))
        return err_set(e, "--until: that is before all that is in the files");
    return 0;
}

static int read_daemon(struct reporting *w)
{
    struct err e = {.set = false};
    if (parse_span(w->args, now_ns(), &w->span, &e) < 0) {
        output_complain("report: %s", e.text);
        return CLI_USAGE;
    }
    int status = session_open(w->args, &w->session);
    if (status != CLI_DONE)
        return status;
    return report_fetch(&w->session, w->span.from_ns, w->span.to_ns, &w->record);
}

static int read_all(struct reporting *w)
{
    struct err e = {.set = false};
    if (!w->from_files)
        return read_daemon(w);
    if (read_files(w, &e) == 0)
        return CLI_DONE;
    output_complain("report: %s", e.text);
    return CLI_USAGE;
}

/* ---- policies ---- */

/* With the devices' sizes, as --gpus takes them, in place of those of the configuration. */
static int simulate(struct reporting *w, struct config *c, const char *gpus)
{
    struct sim_gpus store;
    struct err e = {.set = false};
    if (gpus && sim_gpus_replace(c, gpus, &store, &e) < 0) {
        output_complain("report: %s", e.text);
        return CLI_USAGE;
    }
    report_simulate(&w->report, c);
    return CLI_DONE;
}

static int simulate_file(struct reporting *w, const char *path, const char *gpus)
{
    struct config_report findings = {.errors = 0};
    struct config *c = config_load_file(path, &findings);
    if (!c)
        config_findings_complain(&findings);
    int status = c ? simulate(w, c, gpus) : CLI_USAGE;
    config_report_fini(&findings);
    config_free(c);
    return status;
}

static void tell_why_not(struct reporting *w, const char *why)
{
    struct buf text = {0};
    buf_printf(&text,
               "What another policy would have saved can be told with a key with 'admin: true', or "
               "with --config FILE, the daemon's configuration: %s.",
               why);
    report_simulate_not(&w->report, text.data);
    buf_fini(&text);
}

/* What the daemon does not say is no failure: the rest of the report is there. */
static int simulate_daemon(struct reporting *w, const char *gpus)
{
    struct config_report findings = {.errors = 0};
    struct buf text = {0}, sizes = {0};
    struct err e = {.set = false};
    struct config *c = NULL;
    int status = CLI_DONE;
    if (report_fetch_config(&w->session, &text, &sizes, &e) == 0)
        c = config_check_text("the daemon's configuration", text.data, text.len, &findings);
    if (c)
        status = simulate(w, c, gpus || !sizes.len ? gpus : sizes.data);
    else
        tell_why_not(w, e.set ? e.text : "it cannot be read here");
    config_report_fini(&findings);
    config_free(c);
    buf_fini(&text);
    buf_fini(&sizes);
    return status;
}

static int compare_policies(struct reporting *w)
{
    const char *path = cli_args_text(w->args, "config"), *gpus = cli_args_text(w->args, "gpus");
    if (cli_args_flag(w->args, "no-policies"))
        return CLI_DONE;
    if (path)
        return simulate_file(w, path, gpus);
    if (!w->from_files)
        return simulate_daemon(w, gpus);
    report_simulate_not(&w->report, "What another policy would have saved can be told with "
                                    "--config FILE, the daemon's configuration.");
    return CLI_DONE;
}

/* ---- how ---- */

static void write_report(const struct reporting *w, struct buf *out)
{
    struct buf raw = {0};
    bool to_terminal = !cli_args_text(w->args, "output");
    switch (w->format) {
    case FORMAT_TEXT:
        report_text_write(out, &w->report, to_terminal ? text_terminal_columns() : 0);
        break;
    case FORMAT_HTML:
        report_write_html(&raw, &w->report);
        break;
    case FORMAT_SVG:
        report_write_svg(&raw, &w->report);
        break;
    case FORMAT_JSON:
    case FORMAT__COUNT:
        report_write_json(out, &w->report);
        break;
    }
    /* Names may hold what a terminal obeys, or what turns text about in a browser. */
    text_escape(out, TEXT_LOG, raw.data ? raw.data : "", raw.len, false);
    buf_fini(&raw);
}

static int put_out(const struct reporting *w)
{
    const char *path = cli_args_text(w->args, "output");
    struct buf out = {0};
    int status = CLI_DONE;
    write_report(w, &out);
    if (!path && w->format == FORMAT_JSON) {
        output_json(out.data, out.len);
    } else if (!path) {
        output_safe(&out);
    } else {
        FILE *f = fopen(path, "we");
        bool written = f && fwrite(out.data, 1, out.len, f) == out.len;
        if ((f && fclose(f) != 0) || !written) {
            output_complain("report: %s: %s", path, strerror(errno));
            status = CLI_FAILED;
        }
    }
    buf_fini(&out);
    return status;
}

static int choose_format(struct reporting *w, struct err *e)
{
    static const char *const words[] = {"text", "html", "svg", "json"};
    _Static_assert(countof(words) == FORMAT__COUNT, "a word a format");
    const char *word = cli_args_text(w->args, "format");
    w->format = cli_args_flag(w->args, "json") ? FORMAT_JSON : FORMAT_TEXT;
    for (size_t i = 0; word && i < countof(words); i++)
        if (strcmp(words[i], word) == 0) {
            w->format = (enum format)i;
            word = NULL;
        }
    if (word)
        return err_set(e, "--format: '%.60s' is none of " FORMATS, word);
    return 0;
}

static int prepare(struct reporting *w, struct err *e)
{
    const char *requests = cli_args_text(w->args, "requests");
    const char *swaps = cli_args_text(w->args, "swaps");
    w->from_files = requests || swaps || cli_args_text(w->args, "leases");
    if (w->from_files && (!requests || !swaps))
        return err_set(e, "from files it takes both --requests and --swaps");
    return choose_format(w, e);
}

static int run(const struct cli_args *args)
{
    struct reporting w = {.args = args};
    struct err e = {.set = false};
    if (prepare(&w, &e) < 0) {
        output_complain("report: %s", e.text);
        return CLI_USAGE;
    }
    int status = read_all(&w);
    if (status == CLI_DONE) {
        past_window(&w.record, w.span.from_ns, w.span.to_ns);
        report_make(&w.record, &w.report);
        status = compare_policies(&w);
    }
    if (status == CLI_DONE)
        status = put_out(&w);
    report_fini(&w.report);
    past_fini(&w.record);
    return status;
}

static const struct cli_option options[] = {
    {.name = "since",
     .kind = CLI_TEXT,
     .value = "WHEN",
     .takes = CLI_A_TIME,
     .help = "From when on: 7d, 12h (before the end), 2024-01-31, or 2024-01-31T12:00:00Z. A day "
             "before the end by default, or all that is in the files."},
    {.name = "until",
     .kind = CLI_TEXT,
     .value = "WHEN",
     .takes = CLI_A_TIME,
     .help = "Until when, likewise: now by default, or the end of the files."},
    {.name = "day",
     .kind = CLI_TEXT,
     .value = "DATE",
     .help = "That day, such as 2024-01-31, from midnight to midnight."},
    {.name = "week", .help = "The last seven days."},
    {.name = "format",
     .kind = CLI_TEXT,
     .value = "FORMAT",
     .takes = CLI_A_WORD,
     .words = FORMATS,
     .help = "text, html (one file that needs no other), svg (the pictures alone) or json."},
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     .value = "FILE",
     .takes = CLI_A_FILE,
     .help = "Write there instead of stdout."},
    {.name = "config",
     .letter = 'c',
     .kind = CLI_TEXT,
     .value = "FILE",
     .takes = CLI_A_FILE,
     .help = "The configuration with which other policies are simulated: the daemon's by default, "
             "which takes a key with admin."},
    {.name = "gpus",
     .kind = CLI_TEXT,
     .value = "SIZE,...",
     .takes = CLI_A_SIZE,
     .help = "The devices' memory for that: what the daemon or the configuration says by default."},
    {.name = "no-policies", .help = "Do not say what another policy would have saved."},
    {.name = "requests",
     .kind = CLI_TEXT,
     .value = "FILE",
     .takes = CLI_A_FILE,
     .help = "Requests as lines of JSON, instead of the daemon's history."},
    {.name = "swaps",
     .kind = CLI_TEXT,
     .value = "FILE",
     .takes = CLI_A_FILE,
     .help = "With it: loads and unloads."},
    {.name = "leases",
     .kind = CLI_TEXT,
     .value = "FILE",
     .takes = CLI_A_FILE,
     .help = "With it: leases."},
};

const struct cli_command cmd_report = {
    .name = "report",
    .summary = "what a day or a week looked like, and who made others wait",
    .description =
        "Reads the history of requests, swaps and leases, of the running daemon or from files, and "
        "says which models were asked for, who waited how long and why, which loads were in vain, "
        "and who cost the others most: the model, client or lease for which models had to leave "
        "that others then waited for, with what to do about it; and what another policy would have "
        "saved, by the engine of `wharf simulate`, with the daemon's configuration or that of "
        "--config.",
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples =
        {{"wharf report", "the last day"},
         {"wharf report --week --format html -o week.html",
          "a week, with what another policy would have saved, to be looked at in a browser"},
         {"wharf report --requests requests.jsonl --swaps swaps.jsonl",
          "what `wharf simulate --history` wrote, or another machine's history"}},
    .run = run,
};
