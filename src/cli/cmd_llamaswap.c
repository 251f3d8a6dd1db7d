/* cmd_llamaswap.c: `wharf llama-swap`, which a link named llama-swap runs at once. */
#include "cli/commands.h"
#include "cli/serving.h"

static int run(const struct cli_args *args)
{
    return serving_run(&(struct serving){.args = args,
                                         .listen_default = ":8080",
                                         .tls_listen_default = ":8443",
                                         .logs_to_stdout = true,
                                         .refused = CLI_FAILED});
}

/* No `repeats`: of a flag given twice, Go takes the last. */
static const struct cli_option options[] = {
    SERVING_OPTIONS,
    {.name = "listen",
     .kind = CLI_TEXT,
     .value = "HOST:PORT",
     .help = "Where to listen, instead of what the configuration says; :8080, which is all "
             "interfaces, when that says nothing either, and :8443 with TLS."},
};

const struct cli_command cmd_llamaswap = {
    .name = "llama-swap",
    .summary = "run the daemon as llama-swap would run",
    .description =
        "`wharf serve` with llama-swap's command line and defaults, for scripts and services that "
        "call llama-swap: a link of that name to wharf does the same, and `make install` makes "
        "one.\n\nFlags are read as Go reads them: one dash or two, `-flag value` or `-flag=value`, "
        "the last one counts, and what follows the first word that is no flag is ignored. It "
        "listens on all interfaces unless told otherwise, with a warning. Its log goes to stdout, "
        "unless "
        "logToStdout says otherwise. When it cannot start, the status is 1; with a flag that there "
        "is not, 2.",
    .options = options,
    .option_count = countof(options),
    .style = CLI_GO,
    .examples = {{"llama-swap -config config.yaml", "serve on port 8080 of all interfaces"},
                 {"llama-swap -config config.yaml -listen localhost:9292 -watch-config",
                  "for this machine, and with an eye on the file"}},
    .run = run,
};
