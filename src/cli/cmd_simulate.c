/* cmd_simulate.c: `wharf simulate`: how would this machine fare under that policy? */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/config_findings.h"
#include "cli/output.h"
#include "cli/sim_gpus.h"
#include "cli/simulate_table.h"
#include "simulate/generate.h"
#include "simulate/results_json.h"
#include "simulate/simulate.h"
#include "simulate/sources.h"
#include "simulate/svg.h"

#define GB_PER_S UINT64_C(1000000000)
#define FACTOR_MAX 1e9

/* Everything that the command line says. */
struct simulation {
    struct config *config;
    struct sim_gpus gpus; /* in place of the configuration's, with --gpus */
    struct sources sources;
    struct workload work;
    struct sim_options options;
    struct sim_policies policies;
    struct sim_result results[POLICIES_MAX];
    struct timeline timelines[POLICIES_MAX];
    struct sim_history history;
    char *traces; /* owned; the paths, parted */
};

static int parse_factor(const struct cli_args *args, const char *name, double *ret, struct err *e)
{
    const char *text = cli_args_text(args, name);
    char *end;
    if (!text)
        return 0;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < 0 || value > FACTOR_MAX)
        return err_set(e, "--%s: '%.60s' is not a number from 0 to 1e9", name, text);
    *ret = value;
    return 0;
}

static int parse_duration(const struct cli_args *args, const char *name, uint64_t *ret,
                          struct err *e)
{
    const char *text = cli_args_text(args, name);
    if (text && !units_parse_duration(text, NS_PER_S, ret))
        return err_set(e, "--%s: '%.60s' is not a time such as 2s", name, text);
    return 0;
}

/* text: "24GiB", or "2GB/s" with per_s. */
static bool parse_size(const char *text, bool per_s, uint64_t *ret)
{
    char copy[UNITS_TEXT_MAX];
    size_t n = strlen(text);
    if (per_s && n > 2 && strcmp(text + n - 2, "/s") == 0)
        n -= 2;
    if (n >= sizeof(copy))
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return units_parse_bytes(copy, ret) && *ret > 0;
}

static int parse_costs(const struct cli_args *args, struct sim_costs *costs, struct err *e)
{
    const char *rate = cli_args_text(args, "load-rate"), *size = cli_args_text(args, "size");
    if (rate && !parse_size(rate, true, &costs->load_bytes_per_s))
        return err_set(e, "--load-rate: '%.60s' is not a rate such as 2GB/s", rate);
    if (size && !parse_size(size, false, &costs->unknown_bytes))
        return err_set(e, "--size: '%.60s' is not a size such as 8GiB", size);
    if (parse_duration(args, "load-fixed", &costs->load_fixed_ns, e) < 0)
        return -1;
    return parse_duration(args, "unload", &costs->unload_ns, e);
}

static int parse_speed(const struct cli_args *args, struct work_speed *speed, struct err *e)
{
    uint64_t prefill = speed->prefill, decode = speed->decode;
    cli_args_number(args, "prefill", &prefill);
    cli_args_number(args, "decode", &decode);
    if (prefill < 1 || prefill > UINT32_MAX || decode < 1 || decode > UINT32_MAX)
        return err_set(e, "--prefill and --decode are tokens a second, 1 or more");
    *speed = (struct work_speed){(uint32_t)prefill, (uint32_t)decode};
    return 0;
}

/* Each --trace may name several files. */
static int parse_traces(const struct cli_args *args, struct simulation *s, struct err *e)
{
    const char *lists[SOURCES_MAX];
    uint32_t count = cli_args_texts(args, "trace", lists, SOURCES_MAX);
    struct buf all = {0};
    for (uint32_t i = 0; i < count; i++) {
        buf_text(&all, i ? "," : "");
        buf_text(&all, lists[i]);
    }
    s->traces = buf_take(&all);
    for (char *p = s->traces; *p;) {
        size_t n = strcspn(p, ",");
        bool is_last = p[n] == '\0';
        p[n] = '\0';
        if (n == 0 || s->sources.trace_count == SOURCES_MAX)
            return err_set(e, n ? "--trace: more than %d files" : "--trace: a file without a name",
                           SOURCES_MAX);
        s->sources.traces[s->sources.trace_count++] = p;
        p += is_last ? n : n + 1;
    }
    return 0;
}

static int parse_sources(const struct cli_args *args, struct simulation *s, struct err *e)
{
    struct sources *src = &s->sources;
    const char *assign = cli_args_text(args, "assign");
    uint64_t rows = 0;
    sources_init(src);
    cli_args_number(args, "seed", &src->seed);
    if (cli_args_number(args, "rows", &rows) && (rows < 1 || rows > WORK_ROWS_MAX))
        return err_set(e, "--rows: a number from 1 to %d", WORK_ROWS_MAX);
    src->rows_max = (uint32_t)rows;
    if (assign && sources_parse_assign(src, assign, e) < 0)
        return err_wrap(e, "--assign");
    if (parse_traces(args, s, e) < 0 || parse_speed(args, &src->speed, e) < 0 ||
        parse_factor(args, "stretch", &src->stretch, e) < 0 ||
        parse_factor(args, "offered-load", &src->offered_load, e) < 0 ||
        parse_factor(args, "zipf", &src->zipf, e) < 0)
        return -1;
    src->generator_count = cli_args_texts(args, "generate", src->generators, SOURCES_MAX);
    if ((src->trace_count > 0) == (src->generator_count > 0))
        return err_set(e, "give either --trace FILE or --generate SPEC");
    return 0;
}

static int choose_policies(const struct cli_args *args, struct simulation *s, struct err *e)
{
    const char *list = cli_args_text(args, "policies");
    bool fits = simulate_fits(s->config), foresees = s->sources.trace_count > 0;
    for (uint32_t i = 0; i < s->sources.generator_count; i++)
        foresees |= s->work.loop_count == 0;
    if (!list) {
        policies_default(fits, simulate_has_matrix(s->config), foresees, &s->policies);
        return 0;
    }
    if (policies_parse(list, &s->policies, e) < 0)
        return err_wrap(e, "--policies");
    for (uint32_t i = 0; i < s->policies.count; i++) {
        const struct sim_policy *p = &s->policies.items[i];
        if (p->plan == PLAN_FIT && !fits)
            return err_set(
                e, "%s: the configuration has no `gpus` of kind `sim`: give --gpus 24GiB", p->name);
        if (p->plan == PLAN_MATRIX && !simulate_has_matrix(s->config))
            return err_set(e, "%s: the configuration has no matrix", p->name);
        if (p->victims == VICTIMS_FORESEEN && !foresees)
            return err_set(e, "%s: what closed clients will ask for cannot be foreseen", p->name);
    }
    return 0;
}

static int write_plot(const struct simulation *s, const char *path)
{
    struct svg_panel panels[POLICIES_MAX];
    struct buf svg = {0};
    for (uint32_t i = 0; i < s->policies.count; i++)
        panels[i] = (struct svg_panel){s->policies.items[i].name, &s->timelines[i]};
    svg_write(&svg, s->config, panels, s->policies.count);
    FILE *f = fopen(path, "we");
    bool written = f && fwrite(svg.data, 1, svg.len, f) == svg.len;
    bool closed = f && fclose(f) == 0;
    if (!written || !closed)
        output_complain("simulate: %s: %s", path, strerror(errno));
    buf_fini(&svg);
    return written && closed ? CLI_DONE : CLI_FAILED;
}

/* Monday, 2024-01-01: when a simulated world begins. */
#define HISTORY_EPOCH_S UINT64_C(1704067200)

static int write_history(struct simulation *s, const char *folder)
{
    struct err e = {.set = false};
    if (sim_history_write(&s->history, s->config, &s->work, HISTORY_EPOCH_S * NS_PER_S, folder,
                          &e) == 0)
        return CLI_DONE;
    output_complain("simulate: %s", e.text);
    return CLI_FAILED;
}

static int simulate(const struct cli_args *args, struct simulation *s)
{
    const char *plot = cli_args_text(args, "plot"), *history = cli_args_text(args, "history");
    struct buf out = {0};
    s->options.history = history ? &s->history : NULL;
    for (uint32_t i = 0; i < s->policies.count; i++)
        simulate_run(&s->options, &s->policies.items[i], plot ? &s->timelines[i] : NULL,
                     &s->results[i]);
    if (cli_args_flag(args, "json"))
        results_json_write(&out, s->config, s->results, s->policies.count);
    else
        simulate_table_write(&out, s->results, s->policies.count, simulate_own_policy(s->config));
    if (cli_args_flag(args, "json"))
        output_json(out.data, out.len);
    else
        output_safe(&out);
    buf_fini(&out);
    int status = plot ? write_plot(s, plot) : CLI_DONE;
    int written = history ? write_history(s, history) : CLI_DONE;
    return status == CLI_DONE ? written : status;
}

static int prepare(const struct cli_args *args, struct simulation *s, struct err *e)
{
    const char *gpus = cli_args_text(args, "gpus");
    s->options = (struct sim_options){
        .config = s->config,
        .work = &s->work,
        .costs = {.load_fixed_ns = 2 * NS_PER_S,
                  .load_bytes_per_s = 2 * GB_PER_S,
                  .unknown_bytes = 8 * GIB},
        .checks = cli_args_flag(args, "check"),
    };
    if (parse_costs(args, &s->options.costs, e) < 0 ||
        (gpus && sim_gpus_replace(s->config, gpus, &s->gpus, e) < 0) ||
        parse_sources(args, s, e) < 0 || sources_read(&s->sources, s->config, &s->work, e) < 0)
        return -1;
    s->options.seed = s->sources.seed;
    if (choose_policies(args, s, e) < 0)
        return -1;
    if (cli_args_text(args, "history") && s->policies.count != 1)
        return err_set(e, "--history is of one policy: give --policies just that one");
    return 0;
}

static void release(struct simulation *s)
{
    for (uint32_t i = 0; i < s->policies.count; i++) {
        sim_result_fini(&s->results[i]);
        timeline_fini(&s->timelines[i]);
    }
    sim_history_fini(&s->history);
    workload_fini(&s->work);
    config_free(s->config);
    free(s->traces);
    free(s);
}

static int run(const struct cli_args *args)
{
    struct simulation *s = alloc_zeroed(1, sizeof(*s));
    struct config_report report = {.errors = 0};
    struct err e = {.set = false};
    int status = CLI_USAGE;
    s->config = config_load_file(cli_args_text(args, "config"), &report);
    if (!s->config)
        config_findings_complain(&report);
    else if (prepare(args, s, &e) < 0)
        output_complain("simulate: %s", e.text);
    else
        status = simulate(args, s);
    config_report_fini(&report);
    release(s);
    return status;
}

static const struct cli_option options[] = {
    {.name = "config",
     .letter = 'c',
     .kind = CLI_TEXT,
     .is_required = true,
     .value = "FILE",
     .takes = CLI_A_FILE,
     .help = "The configuration: its models with their vram and concurrencyLimit, its groups, its "
             "classes, and its gpus of kind `sim`."},
    {.name = "trace",
     .kind = CLI_TEXT,
     .repeats = true,
     .value = "FILE,...",
     .takes = CLI_A_FILE,
     .help = "Recorded requests, CSV or JSONL; several files are merged by time."},
    {.name = "generate",
     .kind = CLI_TEXT,
     .repeats = true,
     .value = "SPEC",
     .help = "Requests made up: KIND:key=value,... as below."},
    {.name = "policies",
     .kind = CLI_TEXT,
     .value = "LIST",
     .help = "What to compare: SCHEDULER+PLANNER, parted by commas. Schedulers: fair, fifo, "
             "serial. Planners: group, matrix, fit, fit-lru (fit, but the least recently used "
             "leaves first), clairvoyant (fit, but it knows the future). Absent: all that make "
             "sense here."},
    {.name = "rows", .kind = CLI_NUMBER, .value = "N", .help = "Only the first N requests."},
    {.name = "stretch",
     .kind = CLI_TEXT,
     .value = "F",
     .help = "The time between requests is F times as long (1)."},
    {.name = "offered-load",
     .kind = CLI_TEXT,
     .value = "L",
     .help = "Stretch so that L requests would be running on average if none had to wait."},
    {.name = "seed", .kind = CLI_NUMBER, .value = "N", .help = "Of all that is drawn (0)."},
    {.name = "assign",
     .kind = CLI_TEXT,
     .value = "HOW",
     .takes = CLI_A_WORD,
     .words = "independent sticky",
     .help = "Which model a request is for that does not say: independent (each is drawn), or "
             "sticky[:USERS:KEEP]: each comes from one of USERS (4), who keeps to his model with "
             "the chance KEEP (0.9), and draws another one else."},
    {.name = "zipf",
     .kind = CLI_TEXT,
     .value = "S",
     .help = "How unevenly models are drawn (1): the n-th by id with a weight of 1/n^S."},
    {.name = "prefill",
     .kind = CLI_NUMBER,
     .value = "N",
     .help = "Tokens of a prompt that a model reads in a second (1500)."},
    {.name = "decode",
     .kind = CLI_NUMBER,
     .value = "N",
     .help = "Tokens that it writes in a second (50)."},
    {.name = "load-fixed",
     .kind = CLI_TEXT,
     .value = "TIME",
     .takes = CLI_A_TIME,
     .help = "What every load takes (2s), besides its bytes."},
    {.name = "load-rate",
     .kind = CLI_TEXT,
     .value = "RATE",
     .help = "How fast a model's bytes are loaded (2GB/s)."},
    {.name = "unload",
     .kind = CLI_TEXT,
     .value = "TIME",
     .takes = CLI_A_TIME,
     .help = "What an unload takes (0s)."},
    {.name = "size",
     .kind = CLI_TEXT,
     .value = "SIZE",
     .takes = CLI_A_SIZE,
     .help = "What a model takes whose vram is not given (8GiB)."},
    {.name = "gpus",
     .kind = CLI_TEXT,
     .value = "SIZE,...",
     .takes = CLI_A_SIZE,
     .help = "The devices' memory, instead of what the configuration says."},
    {.name = "plot",
     .kind = CLI_TEXT,
     .value = "FILE.svg",
     .takes = CLI_A_FILE,
     .help = "Draw which model was where, and how many requests waited, over time."},
    {.name = "history",
     .kind = CLI_TEXT,
     .value = "DIR",
     .takes = CLI_A_FOLDER,
     .help = "Write what happened under the one policy that --policies names, as records for "
             "`wharf report`: requests.jsonl, swaps.jsonl and leases.jsonl. The simulated world "
             "begins on Monday, 2024-01-01."},
    {.name = "check", .help = "Check the core's invariants after every step: slower."},
};

#define KEY(name, type, field, value, kinds, doc) "\n\n  " #name ": " doc " [" kinds "]"

const struct cli_command cmd_simulate = {
    .name = "simulate",
    .summary = "compare policies on a recorded or made-up workload",
    .description =
        "Runs wharf's own decisions on a virtual clock, with the models of a configuration and a "
        "trace of requests, once for each policy, and prints what each came to. No model is "
        "started.\n\nA trace has a request a line, with columns or members by name: time (seconds, "
        "or a date) or timestamp (milliseconds, or a date), model, class, key (who asks), and "
        "prompt_tokens and output_tokens, or seconds. The traces of Azure and Mooncake are read as "
        "they are.\n\nSPEC is poisson (rate), bursty (rate, burst, gap), every (period), closed "
        "(clients, think) or lease (period, size, hold), a colon, and key=value, parted by commas. "
        "The keys, and by first letter "
        "which of them know it:" GENERATE_KEYS(KEY),
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON,
    .examples =
        {{"wharf simulate -c wharf.yaml --trace requests.csv", "which policy for my box?"},
         {"wharf simulate -c wharf.yaml --gpus 24GiB --generate poisson:rate=0.2",
          "without a trace, and with one GPU of 24 GiB"},
         {"wharf simulate -c wharf.yaml --trace requests.csv --policies fair+fit,fifo+group "
          "--plot plot.svg",
          "two policies, and a picture of each"}},
    .run = run,
};

#undef KEY
