/* Processes, threads, memory and the wall clock. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "interpose.h"

#define NS_PER_S INT64_C(1000000000)

FAILING(FAULT_fork, pid_t, fork, (void), (), -1)
FAILING(FAULT_exec, int, execv, (const char *path, char *const argv[]), (path, argv), -1)

/* All of its arguments are words in registers; more than are given are not looked at. */
long syscall(long number, ...)
{
    NEXT(long, "syscall", long, ...);
    long a[6];
    va_list ap;
    va_start(ap, number);
    for (size_t i = 0; i < sizeof(a) / sizeof(a[0]); i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if ((number == SYS_clone3 && fault_fails(FAULT_fork, NULL, -1)) ||
        (number == SYS_pidfd_open && fault_fails(FAULT_pidfd, NULL, -1)))
        return -1;
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr,
                   void *(*start)(void *), void *restrict arg)
{
    NEXT(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    struct fault f = fault_of(FAULT_thread, NULL, -1, 0);
    return f.error ? f.error : next(thread, attr, start, arg);
}

/* --- memory: under a sanitizer, its own comes first and these are not called --- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *old, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

static bool is_out_of_memory(size_t bytes)
{
    bool is = fault_of(FAULT_memory, NULL, -1, bytes).error != 0;
    if (is)
        errno = ENOMEM;
    return is;
}

void *malloc(size_t n)
{
    return is_out_of_memory(n) ? NULL : __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    return is_out_of_memory(count * n) ? NULL : __libc_calloc(count, n);
}

void *realloc(void *old, size_t n)
{
    return is_out_of_memory(n) ? NULL : __libc_realloc(old, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return is_out_of_memory(n) ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **ret, size_t alignment, size_t n)
{
    void *found = is_out_of_memory(n) ? NULL : __libc_memalign(alignment, n);
    if (found)
        *ret = found;
    return found ? 0 : ENOMEM;
}

/* --- the wall clock --- */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    NEXT(int, "clock_gettime", clockid_t, struct timespec *);
    int rc = next(clock, ret);
    if (rc == 0 && clock == CLOCK_REALTIME) {
        int64_t ns = ret->tv_sec * NS_PER_S + ret->tv_nsec + fault_clock_ns();
        ret->tv_sec = ns / NS_PER_S;
        ret->tv_nsec = ns % NS_PER_S;
    }
    return rc;
}

time_t time(time_t *ret)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (ret)
        *ret = ts.tv_sec;
    return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &ts);
    *ret = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return 0;
}
