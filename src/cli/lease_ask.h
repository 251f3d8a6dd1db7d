/* lease_ask.h: what is asked of a lease, by every command that asks for one or about one: one table
 * of options, one way to read them, one JSON object made of them (docs/http.md, POST
 * /wharf/leases).
 */
#ifndef CLI_LEASE_ASK_H
#define CLI_LEASE_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pure/check.h"
#include "cli/args.h"

#define LEASE_ASK_NAMES_MAX 8
#define LEASE_ASK_GRACE_NS_DEFAULT (UINT64_C(10) * 1000000000)

/* Texts are borrowed from the command line. */
struct lease_ask {
    const char *name;    /* NULL: not given */
    const char *class;   /* NULL: not given */
    uint64_t vram_bytes; /* on each device; 0: none is wanted */
    uint64_t gpus;       /* 0: not given */
    const char *devices[LEASE_ASK_NAMES_MAX], *gates[LEASE_ASK_NAMES_MAX];
    uint32_t device_count, gate_count;
    bool waits_for_ever;
    uint64_t wait_ns; /* unless waits_for_ever */
    uint64_t ttl_ns;  /* 0: the lease is held */
    uint64_t run_ns;  /* 0: no limit */
    bool is_revocable;
    uint64_t grace_ns; /* between being asked back and the end */
};

/* Rows of the tables of all of them: what is to be had. */
#define LEASE_ASK_OPTIONS                                                                          \
    {.name = "vram",                                                                               \
     .kind = CLI_TEXT,                                                                             \
     .value = "SIZE",                                                                              \
     .takes = CLI_A_SIZE,                                                                          \
     .help = "How much memory the job wants on each of its GPUs, such as 6GiB."},                  \
        {.name = "gpus",                                                                           \
         .kind = CLI_NUMBER,                                                                       \
         .value = "N",                                                                             \
         .help = "With --vram: on how many GPUs at once; 1 by default."},                          \
        {.name = "device",                                                                         \
         .kind = CLI_TEXT,                                                                         \
         .repeats = true,                                                                          \
         .value = "NAME",                                                                          \
         .takes = CLI_A_DEVICE,                                                                    \
         .help = "With --vram: a device that will do; any does without."},                         \
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
         .help = "Who waits for whom: foreground, normal or background, which is the default "     \
                 "for a job."},                                                                    \
    {                                                                                              \
        .name = "run", .kind = CLI_TEXT, .value = "TIME", .takes = CLI_A_TIME,                     \
        .help = "The job ends within that time, such as 1h, and is ended if it does not. It may "  \
                "then pass larger jobs that cannot start yet."                                     \
    }

/* Of those that ask for one: how. */
#define LEASE_ASK_TERMS                                                                            \
    {.name = "name", .kind = CLI_TEXT, .value = "NAME", .help = "What lists call the job."},       \
        {.name = "wait",                                                                           \
         .kind = CLI_TEXT,                                                                         \
         .value = "TIME",                                                                          \
         .takes = CLI_A_TIME,                                                                      \
         .help = "Wait so long at most, such as 10m; 0 for not at all. Without it: for ever."},    \
    {                                                                                              \
        .name = "revocable", .kind = CLI_TEXT, .value = "TIME", .takes = CLI_A_TIME,               \
        .help = "The job may be made to leave for others, and has so long to end then."            \
    }

/* Whether any of LEASE_ASK_OPTIONS was given but --class, which a model has as well. */
bool lease_ask_given(const struct cli_args *args);
/* Reads those of the options above, and --ttl, that the command has. CLI_DONE, or CLI_USAGE after
 * saying why: also when neither memory nor a gate is asked for. */
int lease_ask_read(const struct cli_args *args, struct lease_ask *ret) warn_unused;
/* Its members, into an object that has begun. waited_ns: how much of the wait has passed. */
void lease_ask_write(const struct lease_ask *ask, uint64_t waited_ns, struct buf *out);

/* A member, with the comma before it where one is due; nothing for NULL. */
void lease_ask_text(struct buf *out, const char *name, const char *value);

#endif
