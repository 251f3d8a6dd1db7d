#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"

struct entry {
    pid_t pid, ppid;
    bool is_ours;
};

struct listing {
    struct entry *items; /* owned; by pid */
    size_t count, max;
};

/* proc(5): the fields follow the LAST ')', since a command's name may contain one. False for a
 * process that has ended, which is a zombie until its parent looks. */
static bool read_parent(pid_t pid, pid_t *ret)
{
    char path[32], text[512], state;
    int ppid;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %c %d", &state, &ppid) != 2 || state == 'X')
        return false;
    *ret = ppid;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct listing list_all(void)
{
    struct listing l = {.items = NULL};
    DIR *dir = opendir("/proc");
    must(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct entry e = {.pid = (pid_t)strtol(d->d_name, NULL, 10)};
        if (e.pid <= 1 || !read_parent(e.pid, &e.ppid))
            continue;
        if (l.count == l.max) {
            l.max = l.max ? l.max * 2 : 256;
            l.items = alloc_grow(l.items, l.max, sizeof(*l.items));
        }
        l.items[l.count++] = e;
    }
    closedir(dir);
    if (l.count > 0)
        qsort(l.items, l.count, sizeof(*l.items), compare);
    return l;
}

static bool is_stranger(const struct tree *t, pid_t pid)
{
    for (size_t i = 0; i < t->stranger_count; i++)
        if (t->strangers[i] == pid)
            return true;
    return false;
}

static bool belongs(const struct tree *t, const struct listing *l, const struct entry *e)
{
    struct entry key = {.pid = e->ppid};
    if (e->ppid == getpid())
        return !is_stranger(t, e->pid);
    const struct entry *parent = bsearch(&key, l->items, l->count, sizeof(*l->items), compare);
    return parent && parent->is_ours;
}

static struct listing list_tree(const struct tree *t)
{
    struct listing l = list_all();
    bool has_changed = true;
    while (has_changed) {
        has_changed = false;
        for (size_t i = 0; i < l.count; i++)
            if (!l.items[i].is_ours && belongs(t, &l, &l.items[i]))
                l.items[i].is_ours = has_changed = true;
    }
    return l;
}

/* As siblings come: without waiting, and without taking anything. */
static bool has_children(void)
{
    siginfo_t si;
    return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void tree_init(struct tree *t)
{
    *t = (struct tree){.stranger_count = 0};
    must(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    if (!has_children())
        return;
    struct listing l = list_all();
    for (size_t i = 0; i < l.count && t->stranger_count < TREE_STRANGERS_MAX; i++)
        if (l.items[i].ppid == getpid())
            t->strangers[t->stranger_count++] = l.items[i].pid;
    free(l.items);
}

size_t tree_signal(const struct tree *t, int number, size_t *ret_seen)
{
    struct listing l = list_tree(t);
    size_t took = 0;
    *ret_seen = 0;
    for (size_t i = 0; i < l.count; i++) {
        if (!l.items[i].is_ours)
            continue;
        (*ret_seen)++;
        took += kill(l.items[i].pid, number) == 0;
    }
    free(l.items);
    return took;
}

/* One end of a child is waited for, and then all that have come. A process that a killed one had
 * just started is a child by then, and the next round finds it. */
bool tree_end(const struct tree *t)
{
    size_t seen;
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        size_t took = tree_signal(t, SIGKILL, &seen);
        if (took == 0)
            return seen == 0;
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
            return true;
    }
}
