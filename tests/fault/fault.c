#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct fault_control *control; /* NULL: this process is let be */
static pid_t owner;

/* By system calls alone: what is interposed here must not be met by its own preparations. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULT_CONTROL");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    unsetenv("FAULT_CONTROL");
    unsetenv("LD_PRELOAD");
    if (fd < 0)
        return;
    void *map = (void *)syscall(SYS_mmap, NULL, sizeof(*control), PROT_READ | PROT_WRITE,
                                MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map == MAP_FAILED)
        return;
    uint64_t nobody = 0, self = (uint64_t)getpid();
    struct fault_control *c = map;
    if (!__atomic_compare_exchange_n(&c->pid, &nobody, self, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return;
    owner = (pid_t)self;
    control = c;
}

static bool is_below(const char *path)
{
    size_t n = strlen(control->folder);
    return n && strncmp(path, control->folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* A path that is not absolute is taken for one of somewhere else. */
static bool is_in_folder(const char *path, int fd)
{
    char link[32], target[512];
    if (path)
        return is_below(path);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof(target) - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    return is_below(target);
}

static bool is_socket(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool is_about(const struct fault_rule *r, const char *path, int fd, size_t bytes)
{
    bool loop = (pid_t)syscall(SYS_gettid) == owner;
    if ((r->thread == FAULT_LOOP && !loop) || (r->thread == FAULT_OTHERS && loop) ||
        bytes < r->bytes_min)
        return false;
    if (r->scope == FAULT_SOCKETS)
        return is_socket(fd);
    return r->scope != FAULT_FOLDER || is_in_folder(path, fd);
}

/* SplitMix64 (Steele, Lea and Flood, 2014), of the seed and the call's number. */
static uint32_t draw(uint64_t seed, uint64_t number)
{
    uint64_t z = seed + number * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(z >> 32);
}

static bool is_chosen(const struct fault_rule *r, uint64_t number)
{
    if (r->chance)
        return draw(r->seed, number) < r->chance;
    if (number < r->first || (r->last && number > r->last))
        return false;
    return r->every <= 1 || (number - r->first) % r->every == 0;
}

static void dawdle(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, &t) != 0)
        ;
}

/* Folders are looked up on the disk, so this is for files alone. */
static void count_for_loop(enum fault_function what, const char *path, int fd)
{
    bool file = what == FAULT_open || what == FAULT_write || what == FAULT_read ||
                what == FAULT_fsync || what == FAULT_rename || what == FAULT_truncate ||
                what == FAULT_unlink || what == FAULT_mkdir;
    if (file && *control->folder && (pid_t)syscall(SYS_gettid) == owner && is_in_folder(path, fd))
        __atomic_add_fetch(&control->loop_folder_calls, 1, __ATOMIC_RELAXED);
}

struct fault fault_of(enum fault_function what, const char *path, int fd, size_t bytes)
{
    struct fault f = {.bytes_max = bytes};
    /* Between its making and its exec, a copy of the process has all this too. */
    if (!control || getpid() != owner)
        return f;
    int saved = errno;
    struct fault_rule *r = &control->rules[what];
    __atomic_add_fetch(&r->calls, 1, __ATOMIC_RELAXED);
    count_for_loop(what, path, fd);
    if (__atomic_load_n(&r->active, __ATOMIC_ACQUIRE) && is_about(r, path, fd, bytes)) {
        uint64_t number = __atomic_add_fetch(&r->seen, 1, __ATOMIC_RELAXED);
        if (is_chosen(r, number)) {
            if (r->delay_us)
                dawdle(r->delay_us);
            f.error = (int)r->error;
            if (r->bytes_max && r->bytes_max < bytes)
                f.bytes_max = r->bytes_max;
            __atomic_add_fetch(&r->done, 1, __ATOMIC_RELAXED);
        }
    }
    errno = saved;
    return f;
}

bool fault_fails(enum fault_function what, const char *path, int fd)
{
    struct fault f = fault_of(what, path, fd, 0);
    if (f.error)
        errno = f.error;
    return f.error != 0;
}

int64_t fault_clock_ns(void)
{
    return control ? __atomic_load_n(&control->clock_ns, __ATOMIC_RELAXED) : 0;
}
