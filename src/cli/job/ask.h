/* ask.h: what a job asks for, from the options that `wharf run` and `wharf submit` share. */
#ifndef CLI_JOB_ASK_H
#define CLI_JOB_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "cli/args.h"
#include "cli/lease_ask.h"

/* Texts are borrowed from the command line. */
struct job_ask {
    struct lease_ask lease; /* its name is never NULL: the command's own where none was given */
    int end_signal;         /* what the job is ended with */
    bool is_quiet;
    char **argv; /* owned, NULL at its end; the texts borrowed */
};

/* CLI_DONE, or CLI_USAGE after saying why. Either way *ret is for job_ask_fini. */
int job_ask_read(const struct cli_args *args, struct job_ask *ret) warn_unused;
void job_ask_fini(struct job_ask *ask);
/* The body of POST /wharf/leases. waited_ns: how much of the wait has passed. */
void job_ask_write(const struct job_ask *ask, uint64_t waited_ns, struct buf *out);
/* Whether execvp would find the command. CLI_DONE, or the status that a shell would give after
 * saying why: who waits an hour wants to know of a slip beforehand. */
int job_ask_find_command(const struct job_ask *ask) warn_unused;

/* Rows of both commands' tables. */
#define JOB_OPTIONS                                                                                \
    LEASE_ASK_OPTIONS, LEASE_ASK_TERMS,                                                            \
        {.name = "signal",                                                                         \
         .kind = CLI_TEXT,                                                                         \
         .value = "SIGNAL",                                                                        \
         .takes = CLI_A_WORD,                                                                      \
         .words = "TERM INT HUP QUIT KILL USR1 USR2",                                              \
         .help = "What the job is told to end with, such as INT; TERM by default."},               \
    {                                                                                              \
        .name = "quiet", .letter = 'q', .help = "Say nothing while it waits."                      \
    }

#endif
