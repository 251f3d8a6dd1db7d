#include "server/process/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"

/* Folders that a child made in its own, e.g. a container runtime; deeper ones are not followed. */
#define DEPTH_MAX 16
#define SUFFIX_MAX 16

/* Reads at most out_size - 1 bytes and ends them with a NUL. 0 or a negative errno. */
static int read_text(const char *folder, const char *file, char *out, size_t out_size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, out, out_size - 1);
    int error = n < 0 ? -errno : 0;
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return error;
}

static int write_text(const char *folder, const char *file, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* /proc/PID/cgroup has one line for the cgroup2 hierarchy: "0::/path" (cgroups(7)). */
static bool path_of(const char *pid, char *out, size_t out_size)
{
    char folder[32], text[2 * PATH_MAX];
    snprintf(folder, sizeof(folder), "/proc/%s", pid);
    if (read_text(folder, "cgroup", text, sizeof(text)) != 0)
        return false;
    const char *line = text;
    while (line && strncmp(line, "0::/", 4) != 0) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (line)
        snprintf(out, out_size, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
    return line != NULL;
}

/* mountinfo writes space, tab, newline and backslash as \ooo (proc(5)). */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] && from[2] && from[3]) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* Where one mount shows the folder `own`. NULL when it does not. */
static char *place_on_mount(char *root, char *point, const char *own)
{
    unescape(root);
    unescape(point);
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(own, root, n) != 0 || (own[n] != '/' && own[n] != '\0'))
        return NULL;
    const char *below = own + n;
    return alloc_printf("%s%s", point, strcmp(below, "/") == 0 ? "" : below);
}

/* The daemon's own folder as a path; NULL with why set. */
static char *find_own(struct err *why)
{
    char own[PATH_MAX], root[PATH_MAX], point[PATH_MAX];
    char *found = NULL, *line = NULL;
    size_t cap = 0;
    /* "/.." comes from a cgroup namespace made elsewhere: no mount here shows that folder. */
    if (!path_of("self", own, sizeof(own)) || strncmp(own, "/..", 3) == 0) {
        err_set(why, "the daemon is in no cgroup2 folder");
        return NULL;
    }
    FILE *f = fopen("/proc/self/mountinfo", "re");
    while (f && !found && getline(&line, &cap, f) > 0) {
        if (strlen(line) < PATH_MAX && strstr(line, " - cgroup2 ") &&
            sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) == 2)
            found = place_on_mount(root, point, own);
    }
    if (f)
        fclose(f);
    free(line);
    if (!found)
        err_set(why, "no cgroup2 mount shows the daemon's own folder");
    return found;
}

/* FNV-1a, 64 bits (draft-eastlake-fnv): any text becomes a folder name. */
static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

char *cgroup_make_root(const char *where, const char *mark, struct err *why)
{
    struct statfs fs;
    char *parent = where ? alloc_text(where) : find_own(why);
    if (!parent)
        return NULL;
    char *path = alloc_printf("%s/wharf-%016" PRIx64, parent, hash(mark));
    if (statfs(parent, &fs) != 0) {
        err_set(why, "%s: %s", parent, strerror(errno));
    } else if (fs.f_type != CGROUP2_SUPER_MAGIC) {
        err_set(why, "%s is not on a cgroup2 mount", parent);
    } else if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        err_set(why, "cannot make %s: %s", path, strerror(errno));
    } else {
        free(parent);
        return path;
    }
    free(parent);
    free(path);
    return NULL;
}

char *cgroup_make(const char *root, const char *name)
{
    for (unsigned i = 0; i < SUFFIX_MAX; i++) {
        char *path =
            i == 0 ? alloc_printf("%s/%s", root, name) : alloc_printf("%s/%s-%u", root, name, i);
        if (mkdir(path, 0755) == 0 || (errno == EEXIST && !cgroup_populated(path)))
            return path;
        free(path);
        if (errno != EEXIST)
            return NULL;
    }
    return NULL;
}

int cgroup_join(const char *path, pid_t pid)
{
    char text[24];
    snprintf(text, sizeof(text), "%d", (int)pid);
    return write_text(path, "cgroup.procs", text);
}

bool cgroup_populated(const char *path)
{
    char text[256];
    int error = read_text(path, "cgroup.events", text, sizeof(text));
    if (error != 0)
        return error != -ENOENT && error != -ENODEV;
    return strstr(text, "populated 1") != NULL;
}

/* Calls visit for each folder below path, then for path itself. */
static void walk(const char *path, unsigned depth, void (*visit)(const char *path, void *arg),
                 void *arg)
{
    DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        char *below = alloc_printf("%s/%s", path, e->d_name);
        walk(below, depth + 1, visit, arg);
        free(below);
    }
    if (dir)
        closedir(dir);
    visit(path, arg);
}

/* Collects cgroup.procs. A process of a pid namespace that is not visible from here is shown as 0
 * and left out: kill(0) would hit wharf's own group. */
static void list_one(const char *path, void *arg)
{
    struct proc_list *list = arg;
    char *file = alloc_printf("%s/cgroup.procs", path);
    FILE *f = fopen(file, "re");
    int pid;
    free(file);
    while (f && fscanf(f, "%d", &pid) == 1) {
        if (pid > 1)
            (void)proc_list_add(list, pid);
    }
    if (f)
        fclose(f);
}

unsigned cgroup_list(const char *path, struct proc_list *list)
{
    size_t before = list->count;
    walk(path, 0, list_one, list);
    return (unsigned)(list->count - before);
}

void cgroup_kill(const char *path)
{
    struct proc_list list = {0};
    /* Since Linux 5.14. Before, processes are killed one by one, and whoever forks meanwhile is
     * caught by the caller's next attempt. */
    if (write_text(path, "cgroup.kill", "1") == 0)
        return;
    if (cgroup_list(path, &list) > 0)
        proctree_kill(&list);
    proc_list_fini(&list);
}

static void remove_one(const char *path, void *keep)
{
    if (!keep || strcmp(path, keep) != 0)
        (void)rmdir(path);
}

bool cgroup_remove(const char *path)
{
    if (rmdir(path) == 0 || errno == ENOENT)
        return true;
    walk(path, 0, remove_one, NULL);
    return access(path, F_OK) != 0;
}

void cgroup_remove_below(const char *path)
{
    char *keep = alloc_text(path);
    walk(path, 0, remove_one, keep);
    free(keep);
}

bool cgroup_holds(const char *root, const char *path, pid_t pid)
{
    char number[16], now[PATH_MAX];
    const char *folder = strrchr(root, '/');
    snprintf(number, sizeof(number), "%d", (int)pid);
    if (!folder || !path_of(number, now, sizeof(now)))
        return false;
    /* /proc shows paths from the reader's cgroup namespace, not from a mount: compare from
     * "/wharf-<hash>/<name>" on, which is the same in both. */
    const char *want = path + (folder - root);
    const char *at = strstr(now, want);
    size_t n = strlen(want);
    return at && (at[n] == '\0' || at[n] == '/');
}
