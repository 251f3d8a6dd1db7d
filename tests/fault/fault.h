/* fault.h: makes calls of one process fail, dawdle or do less than was asked, from outside.
 *
 * libwharf-fault.so stands before libc (LD_PRELOAD) in the process that is the first to find the
 * control file, named by FAULT_CONTROL. Both are taken out of the environment there, and copies of
 * the process are let be, so that nothing that it starts is touched. The file is mapped: whoever
 * tests writes rules into it and reads counters, while the process runs. */
#ifndef FAULT_FAULT_H
#define FAULT_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_function {
#define FAULT(name) FAULT_##name,
#include "functions.def"
#undef FAULT
    FAULT__COUNT
};

enum fault_scope {
    FAULT_ANY,
    FAULT_SOCKETS,
    FAULT_FOLDER /* paths below the folder, and descriptors of such files */
};
enum fault_thread { FAULT_EACH, FAULT_LOOP, FAULT_OTHERS }; /* the loop's is the first thread */

/* Counts begin with 1 at the first call that the rule is about. */
struct fault_rule {
    uint32_t active, error; /* errno; 0: the call is made */
    uint32_t scope, thread;
    uint64_t first, last, every; /* which calls; last 0: for ever */
    uint64_t chance, seed;       /* instead of that, of 2^32; 0: none */
    uint64_t delay_us;           /* before it */
    uint64_t bytes_max;          /* of a read or write that is made; 0: all */
    uint64_t bytes_min;          /* memory: smaller ones are no calls that the rule is about */
    /* counted by the process */
    uint64_t calls; /* all, whatever the rule */
    uint64_t seen;  /* that the rule is about */
    uint64_t done;  /* that it was applied to */
};

struct fault_control {
    uint64_t pid;               /* whose calls these are; 0: not yet known */
    int64_t clock_ns;           /* added to CLOCK_REALTIME */
    uint64_t loop_folder_calls; /* by the first thread, on files below the folder */
    char folder[256];
    struct fault_rule rules[FAULT__COUNT];
};

/* What is to become of a call. */
struct fault {
    int error; /* 0: it is to be made */
    size_t bytes_max;
};

/* path: of what is opened, or NULL; fd: -1 for none. Waits where that is the rule. */
struct fault fault_of(enum fault_function what, const char *path, int fd, size_t bytes);
/* As above; true: errno is set, and the call fails. */
bool fault_fails(enum fault_function what, const char *path, int fd);
/* Nanoseconds that the wall clock is off by. */
int64_t fault_clock_ns(void);

#endif
