/* serving.h: what `wharf serve` and `wharf llama-swap` have in common: from a command line to the
 * running daemon. */
#ifndef CLI_SERVING_H
#define CLI_SERVING_H

#include <stdbool.h>

#include "cli/args.h"

struct serving {
    const struct cli_args *args;    /* of a command with SERVING_OPTIONS and a `listen` */
    const char *listen_default;     /* where neither flag nor configuration says it */
    const char *tls_listen_default; /* likewise, with TLS */
    bool logs_to_stdout;            /* unless logToStdout says otherwise; else only if it says so */
    int refused;                    /* the exit status when it is asked for what cannot be */
};

/* Returns the exit status. Prints its own errors. */
int serving_run(const struct serving *serving) warn_unused;

/* Rows of both commands' tables. */
#define SERVING_OPTIONS                                                                            \
    {.name = "config",                                                                             \
     .letter = 'c',                                                                                \
     .kind = CLI_TEXT,                                                                             \
     .value = "FILE",                                                                              \
     .takes = CLI_A_FILE,                                                                          \
     .help = "The configuration: which models there are and how they are started. A llama-swap "   \
             "config.yaml will do. Read again on SIGHUP."},                                        \
        {.name = "config-dir",                                                                     \
         .kind = CLI_TEXT,                                                                         \
         .value = "DIR",                                                                           \
         .takes = CLI_A_FOLDER,                                                                    \
         .help = "A folder whose *.yml and *.yaml are read too, by their names, and merged with "  \
                 "the file, if one is given."},                                                    \
        {.name = "watch-config",                                                                   \
         .help = "Read the configuration again whenever a file of it changes. One with errors "    \
                 "changes nothing."},                                                              \
        {.name = "state",                                                                          \
         .kind = CLI_TEXT,                                                                         \
         .value = "DIR",                                                                           \
         .takes = CLI_A_FOLDER,                                                                    \
         .help = "The folder for what outlives the daemon. Default: `state` of the "               \
                 "configuration, else /var/lib/wharf for root, $XDG_STATE_HOME/wharf or "          \
                 "~/.local/state/wharf for others."},                                              \
        {.name = "log-format",                                                                     \
         .kind = CLI_TEXT,                                                                         \
         .value = "FORMAT",                                                                        \
         .takes = CLI_A_WORD,                                                                      \
         .words = CONFIG_LOG_FORMAT_WORDS(CLI__WORD),                                              \
         .help = "The form of the log, instead of what `log.format` of the configuration says: "   \
                 "human, json, journald, or auto, which is journald where the log goes to the "    \
                 "journal, and else human."},                                                      \
        {.name = "no-color",                                                                       \
         .help = "Use no colours in the log on a terminal. Neither are there any where $NO_COLOR " \
                 "is set."},                                                                       \
        {.name = "tls-cert-file",                                                                  \
         .kind = CLI_TEXT,                                                                         \
         .value = "FILE",                                                                          \
         .takes = CLI_A_FILE,                                                                      \
         .help = "Speak TLS on TCP, with this certificate and those that follow it in the file, "  \
                 "as PEM; unix sockets stay plain. Read again on SIGHUP."},                        \
        {.name = "tls-key-file",                                                                   \
         .kind = CLI_TEXT,                                                                         \
         .value = "FILE",                                                                          \
         .takes = CLI_A_FILE,                                                                      \
         .help = "The certificate's key, as PEM, without a password."},                            \
    {                                                                                              \
        .name = "version", .help = "Print the version as llama-swap does, and end."                \
    }

#endif
