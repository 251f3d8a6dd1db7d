#include "gpu/pids.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

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
