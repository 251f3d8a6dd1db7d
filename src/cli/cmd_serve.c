/* cmd_serve.c: `wharf serve`: the daemon itself, in the foreground. */
#include "cli/commands.h"
#include "cli/serving.h"

static int run(const struct cli_args *args)
{
    return serving_run(&(struct serving){.args = args,
                                         .listen_default = "127.0.0.1:8080",
                                         .tls_listen_default = "127.0.0.1:8443",
                                         .refused = CLI_USAGE});
}

static const struct cli_option options[] = {
    SERVING_OPTIONS,
    {.name = "listen",
     .kind = CLI_TEXT,
     .repeats = true,
     .value = "HOST:PORT",
     .help = "Where to listen, instead of what the configuration says; 127.0.0.1:8080 when that "
             "says nothing either, and 127.0.0.1:8443 with TLS. unix:/PATH is a socket. With port "
             "0 the system picks one, and "
             "the file `listen` in the state folder says which."},
};

const struct cli_command cmd_serve = {
    .name = "serve",
    .summary = "run the daemon in the foreground",
    .description =
        "Serves the models of a configuration: starts them when they are asked for, makes room "
        "for them, and stops them again. Logs go to stderr; GET /health answers 200 once it "
        "serves.\n\nSIGTERM and Ctrl-C stop it and all its models, SIGHUP has it read its "
        "configuration again. With errors in the configuration it prints all of them and does not "
        "start.\n\nUnder systemd it tells when it is ready, reloads and stops, answers a watchdog, "
        "and takes "
        "the sockets that are handed over for the addresses that it listens on."
        "\n\nllama-swap's flags are taken as llama-swap writes them, with one dash: "
        "`-config FILE`, `-watch-config=true`.",
    .options = options,
    .option_count = countof(options),
    .style = CLI_WORDS,
    .examples = {{"wharf serve --config wharf.yaml", "serve on 127.0.0.1:8080"},
                 {"wharf serve --config wharf.yaml --listen :8080", "on all interfaces"},
                 {"wharf serve --config-dir /etc/wharf.d --watch-config",
                  "with the files of a folder, and their changes"}},
    .run = run,
};
