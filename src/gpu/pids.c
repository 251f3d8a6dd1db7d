#include "gpu/pids.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "gpu/files.h"

/* The first pid namespace has this number on every machine (PROC_PID_INIT_INO, Linux 3.8 on). */
#define FIRST_NAMESPACE "pid:[4026531836]"

bool pids_are_the_hosts(const char *root)
{
    char link[64], *name = alloc_printf("%s/proc/self/ns/pid", root);
    ssize_t n = readlink(name, link, sizeof(link) - 1);
    free(name);
    link[n > 0 ? n : 0] = '\0';
    return strcmp(link, FIRST_NAMESPACE) == 0;
}

bool pids_has(const char *root, int32_t pid)
{
    char *name = alloc_printf("%s/proc/%d", root, pid);
    bool there = access(name, F_OK) == 0;
    free(name);
    return there;
}

uint64_t pids_start_ticks(const char *root, int32_t pid)
{
    char path[32];
    struct buf text = {0};
    uint64_t ticks = 0;
    snprintf(path, sizeof(path), "/proc/%" PRId32 "/stat", pid);
    /* The fields follow the last ')', since a command's name may contain one; the 22nd is it. */
    const char *rest = files_read(root, path, &text) ? strrchr(text.data, ')') : NULL;
    if (rest && sscanf(rest + 1,
                       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                       "%*d %" SCNu64,
                       &ticks) != 1)
        ticks = 0;
    buf_fini(&text);
    return ticks;
}
