/* ask.h: what a job asks for, from the options that `wharf run` and `wharf submit` share. */
#ifndef CLI_JOB_ASK_H
#define CLI_JOB_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "cli/args.h"

#define JOB_NAMES_MAX 16
#define JOB_GRACE_NS_DEFAULT (UINT64_C(10) * 1000000000)

/* Texts are borrowed from the command line. */
struct job_ask {
    const char *name;         /* never NULL: the command's own where none was given */
    const char *vram, *class; /* NULL: not given */
    uint64_t vram_bytes;      /* on each device */
    uint64_t gpus;            /* 0: not given */
    const char *devices[JOB_NAMES_MAX], *gates[JOB_NAMES_MAX];
    uint32_t device_count, gate_count;
    bool waits_for_ever;
    uint64_t wait_ns; /* unless waits_for_ever */
    uint64_t ttl_ns;  /* 0: the lease is held */
    uint64_t run_ns;  /* 0: no limit */
    bool is_revocable;
    uint64_t grace_ns; /* between the first signal and SIGKILL */
    int end_signal;    /* what the job is ended with */
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
    {.name = "vram",                                                                               \
     .kind = CLI_TEXT,                                                                             \
     .value = "SIZE",                                                                              \
     .takes = CLI_A_SIZE,                                                                          \
     .help = "How much memory the job wants on each of its GPUs, such as 6GiB."},                  \
        {.name = "gpus",                                                                           \
         .kind = CLI_NUMBER,                                                                       \
         .value = "N",                                                                             \
         .help = "On how many GPUs at once; 1 by default."},                                       \
        {.name = "device",                                                                         \
         .kind = CLI_TEXT,                                                                         \
         .repeats = true,                                                                          \
         .value = "NAME",                                                                          \
         .takes = CLI_A_DEVICE,                                                                    \
         .help = "A device that will do; any does without."},                                      \
        {.name = "gate",                                                                           \
         .kind = CLI_TEXT,                                                                         \
         .repeats = true,                                                                          \
         .value = "NAME",                                                                          \
         .takes = CLI_A_GATE,                                                                      \
         .help = "Take a slot of that gate."},                                                     \
        {.name = "class",                                                                          \
         .kind = CLI_TEXT,                                                                         \
         .value = "CLASS",                                                                         \
         .takes = CLI_A_WORD,                                                                      \
         .words = CLI_CLASSES,                                                                     \
         .help = "Who waits for whom: foreground, normal or background, which is the default."},   \
        {.name = "name", .kind = CLI_TEXT, .value = "NAME", .help = "What lists call the job."},   \
        {.name = "wait",                                                                           \
         .kind = CLI_TEXT,                                                                         \
         .value = "TIME",                                                                          \
         .takes = CLI_A_TIME,                                                                      \
         .help = "Wait so long at most, such as 10m; 0 for not at all. Without it: for ever."},    \
        {.name = "run",                                                                            \
         .kind = CLI_TEXT,                                                                         \
         .value = "TIME",                                                                          \
         .takes = CLI_A_TIME,                                                                      \
         .help = "The job ends within that time, such as 1h, and is ended if it does not. It may " \
                 "then pass larger jobs that cannot start yet."},                                  \
        {.name = "revocable",                                                                      \
         .kind = CLI_TEXT,                                                                         \
         .value = "TIME",                                                                          \
         .takes = CLI_A_TIME,                                                                      \
         .help = "The job may be made to leave for others: it gets the signal, and so long to "    \
                 "end."},                                                                          \
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
