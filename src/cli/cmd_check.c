/* cmd_check.c: `wharf check FILE`: what `wharf serve` would say about a configuration. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/text.h"
#include "config/schema.h"
#include "config/sources.h"

static void write_json(struct buf *out, const char *path, const struct config *c,
                       const struct config_report *report)
{
    buf_text(out, "{\"file\":");
    buf_json_text(out, path);
    buf_printf(out, ",\"ok\":%s,\"models\":%u,\"errors\":%u,\"warnings\":%u,\"messages\":",
               c ? "true" : "false", c ? c->model_count : 0, report->errors, report->warnings);
    report_write_json(report, out);
    buf_text(out, "}\n");
}

static void write_text(struct buf *out, const char *path, const struct config *c, bool prints)
{
    struct buf line = {0};
    buf_printf(&line, "%s%s: ok, %u %s", prints ? "# " : "", path, c->model_count,
               c->model_count == 1 ? "model" : "models");
    text_escape(out, TEXT_LINE, line.data, line.len, false);
    buf_char(out, '\n');
    buf_fini(&line);
    if (!prints)
        return;
    struct buf yaml = {0};
    config_print(c, &yaml);
    text_escape(out, TEXT_LOG, yaml.data, yaml.len, false);
    buf_fini(&yaml);
}

static int print_schema(void)
{
    struct buf out = {0};
    config_schema(&out);
    output_safe(&out);
    buf_fini(&out);
    return CLI_DONE;
}

/* What is wrong with the words of the command, or NULL. */
static const char *usage_problem(const struct cli_args *args)
{
    bool prints = cli_args_flag(args, "print"), wants_json = cli_args_flag(args, "json");
    if (cli_args_flag(args, "schema"))
        return args->operand_count || cli_args_text(args, "config-dir") || prints
                   ? "check: --schema stands alone: it is the same for every file"
                   : NULL;
    if (args->operand_count == 0 && !cli_args_text(args, "config-dir"))
        return "check: FILE is missing, as in `wharf check wharf.yaml`, or --config-dir DIR";
    return prints && wants_json ? "check: --print and --json exclude each other" : NULL;
}

static int run(const struct cli_args *args)
{
    const char *problem = usage_problem(args);
    if (problem) {
        output_complain("%s", problem);
        return CLI_USAGE;
    }
    if (cli_args_flag(args, "schema"))
        return print_schema();
    const struct config_sources sources = {.file = args->operand_count ? args->operands[0] : NULL,
                                           .dir = cli_args_text(args, "config-dir")};
    const char *path = sources.file ? sources.file : sources.dir;
    bool prints = cli_args_flag(args, "print"), wants_json = cli_args_flag(args, "json");
    struct config_report report = {.errors = 0};
    struct buf out = {0};
    struct config *c = config_load(&sources, &report);
    if (wants_json)
        write_json(&out, path, c, &report);
    else
        report_complain(&report);
    if (c && !wants_json)
        write_text(&out, path, c, prints);
    output_safe(&out);
    int status = c ? CLI_DONE : CLI_USAGE;
    buf_fini(&out);
    config_report_fini(&report);
    config_free(c);
    return status;
}

static const struct cli_option options[] = {
    {.name = "config-dir",
     .kind = CLI_TEXT,
     .value = "DIR",
     .takes = CLI_A_FOLDER,
     .help =
         "A folder whose *.yml and *.yaml are read too, by their names, and merged with FILE, if "
         "one is given."},
    {.name = "print",
     .help = "Print the configuration as wharf understands it, as YAML: environment variables and "
             "macros expanded, defaults filled in. Secrets are replaced by ***."},
    {.name = "schema",
     .help = "Print a JSON Schema of the configuration, for editors; no FILE is read. It is JSON "
             "with --json and without."},
};

const struct cli_command cmd_check = {
    .name = "check",
    .summary = "check a configuration file",
    .description =
        "Reads a configuration as `wharf serve` would and prints every error and every warning, "
        "each with file, line and column. Nothing is started.\n\nExit status 0 when the daemon "
        "would start with it, warnings or not; 2 when it would not.",
    .operand = "FILE",
    .operands_max = 1,
    .operand_takes = {CLI_A_FILE},
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON,
    .examples = {{"wharf check wharf.yaml", "is it right?"},
                 {"wharf check wharf.yaml --print", "what does it come to?"},
                 {"wharf check --config-dir /etc/wharf.d", "are the files of a folder right?"},
                 {"wharf check --schema > wharf.schema.json", "for an editor that completes keys"}},
    .run = run,
};
