#include "sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/units.h"

/* Longer than any decimal number below 2^63 with spaces around it. */
#define CLAIM_TEXT_MAX 32

struct holder {
    bool live;
    pid_t pid; /* <= 0: alive, but not visible from this process's namespace */
};

static void close_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* Claims are named by a process id; "lock", "capacity" and temporary files are not. */
static bool is_claim_name(const char *name)
{
    return name[0] != '\0' && name[strspn(name, "0123456789")] == '\0';
}

/* Whether any process holds a record lock on the file. Testing with a write lock meets read locks
 * too, and F_GETLK asks nothing of the mode in which the file is open. */
static int find_holder(int fd, struct holder *ret)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &lock) != 0)
        return -1;
    *ret = (struct holder){.live = lock.l_type != F_UNLCK, .pid = lock.l_pid};
    return 0;
}

/* An empty claim is one whose engine holds the lock and has yet to write: it claims nothing. */
static bool parse_claim(char *text, uint64_t *ret_bytes)
{
    size_t n = strlen(text);
    while (n > 0 && strchr(" \r\n\t", text[n - 1]))
        text[--n] = '\0';
    if (text[strspn(text, "0123456789")] != '\0')
        return false;
    if (n == 0) {
        *ret_bytes = 0;
        return true;
    }
    return units_parse_bytes(text, ret_bytes);
}

static int read_claim_text(int fd, const char *name, uint64_t *ret_bytes, struct err *err)
{
    char text[CLAIM_TEXT_MAX + 1];
    ssize_t n = pread(fd, text, sizeof(text), 0);
    if (n < 0)
        return err_set(err, "read claim %s: %s", name, strerror(errno));
    if ((size_t)n > CLAIM_TEXT_MAX)
        return err_set(err, "claim %s is longer than %d bytes", name, CLAIM_TEXT_MAX);
    text[n] = '\0';
    if (strlen(text) != (size_t)n || !parse_claim(text, ret_bytes))
        return err_set(err, "claim %s is not a decimal number of bytes", name);
    return 0;
}

/* O_NONBLOCK: a fifo with a claim's name must not hold up the reader. */
static int open_claim(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static int add_claim(struct sim_reading *r, struct holder holder, uint64_t bytes, struct err *err)
{
    if (bytes > UINT64_MAX - r->used_bytes)
        return err_set(err, "the claims add up to more than 64 bits");
    r->used_bytes += bytes;
    if (holder.pid > 0 && r->claim_count < SIM_CLAIMS_MAX)
        r->claims[r->claim_count++] = (struct sim_claim){.pid = holder.pid, .bytes = bytes};
    return 0;
}

/* What can't be read while its lock is held is an error, never 0: too small a sum would let a
 * model start that does not fit. A claim that vanishes meanwhile was its engine's exit. */
static int read_claim(int dir, const char *name, struct sim_reading *r, struct err *err)
{
    auto_close int fd = open_claim(dir, name);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO))
        return 0;
    if (fd < 0)
        return err_set(err, "open claim %s: %s", name, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        return 0;
    struct holder holder;
    if (find_holder(fd, &holder) != 0)
        return err_set(err, "test the lock of claim %s: %s", name, strerror(errno));
    if (!holder.live)
        return 0;
    uint64_t bytes = 0;
    if (read_claim_text(fd, name, &bytes, err) != 0)
        return -1;
    return add_claim(r, holder, bytes, err);
}

static int compare_claims(const void *a, const void *b)
{
    pid_t left = ((const struct sim_claim *)a)->pid, right = ((const struct sim_claim *)b)->pid;
    return (left > right) - (left < right);
}

int sim_read(const char *folder, struct sim_reading *ret, struct err *err)
{
    return sim_read_others(folder, 0, ret, err);
}

int sim_read_others(const char *folder, pid_t self, struct sim_reading *ret, struct err *err)
{
    char own[16];
    snprintf(own, sizeof(own), "%d", (int)self);
    __attribute__((cleanup(close_dir))) DIR *dir = opendir(folder);
    if (!dir)
        return err_set(err, "open simulated GPU '%s': %s", folder, strerror(errno));
    struct sim_reading r = {0};
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (is_claim_name(entry->d_name) && strcmp(entry->d_name, own) != 0 &&
            read_claim(dirfd(dir), entry->d_name, &r, err) != 0)
            return err_wrap(err, "simulated GPU '%s'", folder);
    }
    if (errno != 0)
        return err_set(err, "list simulated GPU '%s': %s", folder, strerror(errno));
    qsort(r.claims, r.claim_count, sizeof(r.claims[0]), compare_claims);
    *ret = r;
    return 0;
}

int sim_read_device(const char *folder, uint64_t total_bytes, struct gpu_device *ret,
                    struct err *err)
{
    struct sim_reading r;
    if (sim_read(folder, &r, err) < 0)
        return -1;
    *ret = (struct gpu_device){.source = GPU_SIMULATED,
                               .known = GPU_TOTAL | GPU_USED | GPU_USES,
                               .driver = "sim",
                               .total_bytes = total_bytes,
                               .used_bytes = r.used_bytes};
    ret->free_bytes = total_bytes > r.used_bytes ? total_bytes - r.used_bytes : 0;
    for (uint32_t i = 0; i < r.claim_count; i++)
        (void)gpu_add_use(ret, r.claims[i].pid, r.claims[i].bytes);
    return 0;
}

static int make_folders(const char *folder, struct err *err)
{
    auto_free char *path = alloc_text(folder);
    for (char *p = path; *p; p++) {
        if (*p != '/' || p == path)
            continue;
        *p = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return err_set(err, "create folder '%s': %s", path, strerror(errno));
        *p = '/';
    }
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return err_set(err, "create folder '%s': %s", path, strerror(errno));
    return 0;
}

/* Through a rename, since engines of an earlier daemon may be reading the capacity. */
static int write_capacity(int dir, uint64_t capacity_bytes, struct err *err)
{
    static const char temporary[] = "capacity.new";
    char text[UNITS_TEXT_MAX];
    int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", capacity_bytes);
    auto_close int fd =
        openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || write(fd, text, (size_t)n) != n || renameat(dir, temporary, dir, "capacity") != 0)
        return err_set(err, "write the capacity: %s", strerror(errno));
    return 0;
}

static void remove_dead_claim(int dir, const char *name)
{
    auto_close int fd = open_claim(dir, name);
    struct stat st;
    struct holder holder;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || find_holder(fd, &holder) != 0)
        return;
    if (!holder.live)
        unlinkat(dir, name, 0);
}

/* Dead claims count for nothing, so leaving them is harmless; an engine that is writing its claim
 * holds the folder's lock, and then they stay rather than make the daemon wait. */
static void remove_dead_claims(int dir, int lock_fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(lock_fd, F_SETLK, &lock) != 0)
        return;
    int list_fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    __attribute__((cleanup(close_dir))) DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
    struct dirent *entry;
    while (list && (entry = readdir(list)) != NULL)
        if (is_claim_name(entry->d_name))
            remove_dead_claim(dir, entry->d_name);
}

int sim_create(const char *folder, uint64_t capacity_bytes, struct err *err)
{
    if (make_folders(folder, err) != 0)
        return err_wrap(err, "simulated GPU");
    auto_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, "open simulated GPU '%s': %s", folder, strerror(errno));
    auto_close int lock_fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock_fd < 0)
        return err_set(err, "open simulated GPU '%s': lock: %s", folder, strerror(errno));
    if (write_capacity(dir, capacity_bytes, err) != 0)
        return err_wrap(err, "simulated GPU '%s'", folder);
    remove_dead_claims(dir, lock_fd);
    return 0;
}
