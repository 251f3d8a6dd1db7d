#include "server/process/proctree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"

/* Environments beyond this are read in part; the kernel allows 128 KiB for one string (execve(2)),
 * and wharf puts its mark first. */
#define ENVIRON_BYTES_MAX ((size_t)256 * 1024)

/* More generations than that are between no worker and its process. */
#define ANCESTORS_MAX 32

/* One scan's buffers, so that a scan over thousands of processes allocates a few times only. */
struct scan {
    const struct proc_mark *mark;
    const struct proc_list *known;
    struct proc_list *list;
    char *env; /* ENVIRON_BYTES_MAX bytes */
    pid_t sid; /* 0: sessions tell nothing */
    bool incomplete;
};

struct stat_fields {
    char state;
    pid_t ppid, sid;
    long threads;
    uint64_t start_ticks;
};

/* Whole file, or as much as fits; -1 when it cannot be read. */
static ssize_t read_proc(pid_t pid, const char *file, char *out, size_t out_size)
{
    char path[48];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t used = 0;
    ssize_t n = 0;
    while (used < out_size && (n = read(fd, out + used, out_size - used)) > 0)
        used += (size_t)n;
    close(fd);
    return n < 0 ? -1 : (ssize_t)used;
}

void proctree_name(pid_t pid, char out[PROCTREE_NAME_MAX])
{
    ssize_t n = read_proc(pid, "comm", out, PROCTREE_NAME_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* proc(5): the fields follow the LAST ')', since a command's name may contain one. */
static bool read_stat(pid_t pid, struct stat_fields *ret)
{
    char text[1024];
    ssize_t n = read_proc(pid, "stat", text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    struct stat_fields f = {0};
    /* 3 state, 4 ppid, 6 session, 20 num_threads, 22 starttime */
    if (!rest || sscanf(rest + 1,
                        " %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld "
                        "%*d %" SCNu64,
                        &f.state, &f.ppid, &f.sid, &f.threads, &f.start_ticks) != 5)
        return false;
    *ret = f;
    return true;
}

/* A process whose first thread ended before the others is shown as Z too, but lives. */
static bool ended(const struct stat_fields *f)
{
    return f->state == 'X' || (f->state == 'Z' && f->threads <= 1);
}

static bool environ_has(pid_t pid, const struct proc_mark *mark, char *env)
{
    ssize_t n = read_proc(pid, "environ", env, ENVIRON_BYTES_MAX);
    size_t want = strlen(mark->text);
    for (ssize_t at = 0; at < n;) {
        size_t left = (size_t)(n - at);
        size_t len = strnlen(env + at, left);
        if (len >= want && memcmp(env + at, mark->text, want) == 0 && (mark->prefix || len == want))
            return true;
        at += (ssize_t)len + 1;
    }
    return false;
}

void proc_list_fini(struct proc_list *l)
{
    free(l->items);
    *l = (struct proc_list){0};
}

static struct proc *append(struct proc_list *l)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->items = alloc_grow(l->items, l->cap, sizeof(*l->items));
    }
    return &l->items[l->count++];
}

static bool listed(const struct proc_list *l, const struct proc *p)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].pid == p->pid && l->items[i].start_ticks == p->start_ticks)
            return true;
    }
    return false;
}

bool proc_list_add(struct proc_list *l, pid_t pid)
{
    struct stat_fields f;
    if (!read_stat(pid, &f) || ended(&f))
        return false;
    struct proc p = {.pid = pid, .ppid = f.ppid, .start_ticks = f.start_ticks, .ours = true};
    if (listed(l, &p))
        return false;
    *append(l) = p;
    return true;
}

static bool exhausted(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static void consider(struct scan *s, pid_t pid)
{
    const struct proc_mark *mark = s->mark;
    struct stat_fields f;
    errno = 0;
    bool known = read_stat(pid, &f);
    s->incomplete = s->incomplete || exhausted(errno);
    if (!known || ended(&f) || f.start_ticks < mark->start_ticks_min)
        return;
    errno = 0;
    struct proc p = {.pid = pid, .ppid = f.ppid, .start_ticks = f.start_ticks};
    p.ours =
        (s->sid != 0 && f.sid == s->sid) || listed(s->known, &p) || environ_has(pid, mark, s->env);
    s->incomplete = s->incomplete || exhausted(errno);
    *append(s->list) = p;
}

static int compare_pid(const void *a, const void *b)
{
    const struct proc *pa = a, *pb = b;
    return (pa->pid > pb->pid) - (pa->pid < pb->pid);
}

/* Children of ours are ours, whatever they did to session and environment. */
static void claim_by_parent(struct proc_list *l)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < l->count; i++) {
            struct proc key = {.pid = l->items[i].ppid};
            if (l->items[i].ours)
                continue;
            const struct proc *parent =
                bsearch(&key, l->items, l->count, sizeof(*l->items), compare_pid);
            if (parent && parent->ours)
                l->items[i].ours = changed = true;
        }
    }
}

static void drop_others(struct proc_list *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].ours)
            l->items[kept++] = l->items[i];
    }
    l->count = kept;
}

/* A session's number stays taken while it has members. When its leader has been reaped and another
 * process has that number, the session was empty, and its number may name a stranger's session. */
static pid_t usable_sid(const struct proc_mark *mark)
{
    struct stat_fields f;
    return mark->sid_reaped && read_stat(mark->sid, &f) ? 0 : mark->sid;
}

bool proctree_scan(const struct proc_mark *mark, struct proc_list *list)
{
    struct proc_list now = {0};
    struct scan s = {.mark = mark, .known = list, .list = &now, .sid = usable_sid(mark)};
    pid_t self = getpid();
    DIR *dir = opendir("/proc");
    if (!dir)
        return false;
    s.env = alloc_zeroed(ENVIRON_BYTES_MAX, 1);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        long pid = strtol(e->d_name, NULL, 10);
        if (pid > 1 && pid != self)
            consider(&s, (pid_t)pid);
    }
    closedir(dir);
    free(s.env);
    if (!mark->prefix && now.count > 0) {
        qsort(now.items, now.count, sizeof(*now.items), compare_pid);
        claim_by_parent(&now);
    }
    drop_others(&now);
    free(list->items);
    *list = now;
    return !s.incomplete;
}

bool proctree_descends(pid_t pid, pid_t ancestor)
{
    struct stat_fields f;
    for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
        if (pid == getpid())
            return false;
        if (pid == ancestor)
            return true;
        if (!read_stat(pid, &f))
            return false;
        pid = f.ppid;
    }
    return false;
}

bool proctree_below(pid_t root, struct proc_list *list)
{
    struct stat_fields f;
    bool complete = true;
    DIR *dir = opendir("/proc");
    if (!dir)
        return false;
    list->count = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        errno = 0;
        bool known = pid > 1 && read_stat(pid, &f) && !ended(&f);
        complete = complete && !exhausted(errno);
        if (known)
            *append(list) = (struct proc){pid, f.ppid, f.start_ticks, pid == root};
    }
    closedir(dir);
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof(*list->items), compare_pid);
        claim_by_parent(list);
    }
    drop_others(list);
    return complete;
}

bool proctree_variable(pid_t pid, const char *name, char *out, size_t out_size)
{
    char *env = alloc_zeroed(ENVIRON_BYTES_MAX, 1);
    ssize_t n = read_proc(pid, "environ", env, ENVIRON_BYTES_MAX);
    size_t name_len = strlen(name);
    bool found = false;
    for (ssize_t at = 0; !found && at < n;) {
        size_t len = strnlen(env + at, (size_t)(n - at));
        found = len > name_len && memcmp(env + at, name, name_len) == 0 &&
                env[(size_t)at + name_len] == '=' && len - name_len - 1 < out_size;
        if (found) {
            memcpy(out, env + at + name_len + 1, len - name_len - 1);
            out[len - name_len - 1] = '\0';
        }
        at += (ssize_t)len + 1;
    }
    free(env);
    return found;
}

uint32_t proctree_ancestors(pid_t pid, struct proc *ret, uint32_t ret_max)
{
    struct stat_fields f;
    uint32_t count = 0;
    while (count < ret_max && pid > 1 && read_stat(pid, &f)) {
        ret[count++] = (struct proc){.pid = pid, .ppid = f.ppid, .start_ticks = f.start_ticks};
        pid = f.ppid;
    }
    return count;
}

bool proctree_match(const struct proc_mark *mark, pid_t pid)
{
    struct stat_fields f;
    if (!read_stat(pid, &f) || ended(&f) || f.start_ticks < mark->start_ticks_min)
        return false;
    pid_t sid = usable_sid(mark);
    if (sid != 0 && f.sid == sid)
        return true;
    char *env = alloc_zeroed(ENVIRON_BYTES_MAX, 1);
    bool has = environ_has(pid, mark, env);
    free(env);
    return has;
}

/* The descriptor pins the process first, then its start time is compared: what is signalled is what
 * was listed, even when the number has been reused in between. */
static void kill_one(const struct proc *p)
{
    struct stat_fields f;
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (read_stat(p->pid, &f) && f.start_ticks == p->start_ticks) {
        /* Some sandboxes, and valgrind 3.24, know the first of the two calls and not the second. */
        if (fd < 0 ||
            (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) != 0 && errno == ENOSYS))
            (void)kill(p->pid, SIGKILL);
    }
    if (fd >= 0)
        close(fd);
}

void proctree_kill(const struct proc_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        must(l->items[i].pid > 1);
        kill_one(&l->items[i]);
    }
}

uint64_t proctree_now_ticks(void)
{
    struct timespec now;
    uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
    must(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
    return (uint64_t)now.tv_sec * hz + (uint64_t)now.tv_nsec * hz / UINT64_C(1000000000);
}
