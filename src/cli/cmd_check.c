/* cmd_check.c: `wharf check FILE`: what `wharf serve` would say about a configuration. */
#include <time.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/config_findings.h"
#include "cli/output.h"
#include "cli/text.h"
#include "config/schema.h"
#include "config/sources.h"
#include "server/net/tls.h"

static void write_json(struct buf *out, const char *path, const struct config *c,
                       const struct config_report *report)
{
    buf_text(out, "{\"file\":");
    buf_json_text(out, path);
    buf_printf(out, ",\"ok\":%s,\"models\":%u,\"errors\":%u,\"warnings\":%u,\"messages\":",
               report->errors ? "false" : "true", c ? c->model_count : 0, report->errors,
               report->warnings);
    config_report_put_json(report, out);
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

/* Appends to the report what is wrong with the certificate that `serve` would be given. */
static void check_certificate(const struct cli_args *args, struct config_report *report)
{
    const char *cert = cli_args_text(args, "tls-cert-file"),
               *key = cli_args_text(args, "tls-key-file");
    char text[CERTIFICATE_TEXT_MAX];
    struct err err = {.set = false};
    if (!cert)
        return;
    struct tls_context *tls = tls_context_server(cert, key, &err);
    if (!tls) {
        buf_printf(&report->text, "%s: error: %s\n", cert, err.text);
        report->errors++;
    } else if (certificate_describe(tls_context_life(tls), time(NULL), text)) {
        buf_printf(&report->text, "%s: warning: the certificate %s\n", cert, text);
        report->warnings++;
    }
    tls_context_free(tls);
}

/* What is wrong with the words of the command, or NULL. */
static const char *usage_problem(const struct cli_args *args)
{
    if (!cli_args_text(args, "tls-cert-file") != !cli_args_text(args, "tls-key-file"))
        return "check: --tls-cert-file and --tls-key-file belong together";
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
    check_certificate(args, &report);
    if (wants_json)
        write_json(&out, path, c, &report);
    else
        config_findings_complain(&report);
    if (!report.errors && !wants_json)
        write_text(&out, path, c, prints);
    output_safe(&out);
    int status = report.errors ? CLI_USAGE : CLI_DONE;
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
    {.name = "tls-cert-file",
     .kind = CLI_TEXT,
     .value = "FILE",
     .takes = CLI_A_FILE,
     .help =
         "Look at this certificate too, with its key: whether they can be used, fit each other, "
         "and are valid for a while."},
    {.name = "tls-key-file",
     .kind = CLI_TEXT,
     .value = "FILE",
     .takes = CLI_A_FILE,
     .help = "The key of that certificate."},
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
