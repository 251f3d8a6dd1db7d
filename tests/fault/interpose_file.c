/* Files, and bytes in and out of any descriptor. libc has some of these by two names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "interpose.h"

/* A mode is there only where a file may be made; without, it is anything, and is not looked at. */
#define OPENING(name)                                                                              \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        NEXT(int, #name, const char *, int, ...);                                                  \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode =                                                                              \
            (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;        \
        va_end(ap);                                                                                \
        return fault_fails(FAULT_open, path, -1) ? -1 : next(path, flags, mode);                   \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                                           \
    int name(int folder, const char *path, int flags, ...)                                         \
    {                                                                                              \
        NEXT(int, #name, int, const char *, int, ...);                                             \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode =                                                                              \
            (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;        \
        va_end(ap);                                                                                \
        return fault_fails(FAULT_open, path, -1) ? -1 : next(folder, path, flags, mode);           \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

#define OPENING_STREAM(name)                                                                       \
    FILE *name(const char *restrict path, const char *restrict mode)                               \
    {                                                                                              \
        NEXT(FILE *, #name, const char *, const char *);                                           \
        return fault_fails(FAULT_open, path, -1) ? NULL : next(path, mode);                        \
    }
OPENING_STREAM(fopen)
OPENING_STREAM(fopen64)

DIR *opendir(const char *path)
{
    NEXT(DIR *, "opendir", const char *);
    return fault_fails(FAULT_open, path, -1) ? NULL : next(path);
}

FAILING_AT(FAULT_open, int, mkostemp64, (char *path, int flags), (path, flags), path)
FAILING_AT(FAULT_mkdir, int, mkdir, (const char *path, mode_t mode), (path, mode), path)
FAILING_AT(FAULT_unlink, int, unlink, (const char *path), (path), path)
FAILING_AT(FAULT_unlink, int, unlinkat, (int folder, const char *path, int flags),
           (folder, path, flags), path)
FAILING_AT(FAULT_rename, int, rename, (const char *from, const char *to), (from, to), to)
FAILING_AT(FAULT_rename, int, renameat, (int from_fd, const char *from, int to_fd, const char *to),
           (from_fd, from, to_fd, to), to)
FAILING_AT(FAULT_rename, int, renameat2,
           (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
           (from_fd, from, to_fd, to, flags), to)
FAILING(FAULT_fsync, int, fsync, (int fd), (fd), fd)
FAILING(FAULT_fsync, int, fdatasync, (int fd), (fd), fd)
FAILING(FAULT_truncate, int, ftruncate, (int fd, off_t n), (fd, n), fd)
FAILING(FAULT_truncate, int, ftruncate64, (int fd, off64_t n), (fd, n), fd)

/* It says why by its result, and leaves errno alone. */
int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    NEXT(int, "posix_fallocate64", int, off64_t, off64_t);
    struct fault f = fault_of(FAULT_truncate, NULL, fd, 0);
    return f.error ? f.error : next(fd, at, n);
}

/* -1 as a pointer is MAP_FAILED. */
void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t from)
{
    NEXT(void *, "mmap64", void *, size_t, int, int, int, off64_t);
    return fault_fails(FAULT_mmap, NULL, fd) ? MAP_FAILED
                                             : next(at, n, protection, flags, fd, from);
}

void *mremap(void *at, size_t from, size_t to, int flags, ...)
{
    NEXT(void *, "mremap", void *, size_t, size_t, int, ...);
    va_list ap;
    va_start(ap, flags);
    void *where = flags & MREMAP_FIXED ? va_arg(ap, void *) : NULL;
    va_end(ap);
    return fault_fails(FAULT_mmap, NULL, -1) ? MAP_FAILED : next(at, from, to, flags, where);
}

int fcntl64(int fd, int command, ...)
{
    NEXT(int, "fcntl64", int, int, ...);
    va_list ap;
    va_start(ap, command);
    void *argument = va_arg(ap, void *);
    va_end(ap);
    bool makes = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    return makes && fault_fails(FAULT_fcntl, NULL, fd) ? -1 : next(fd, command, argument);
}

/* --- bytes --- */

#define MOVING(what, name, pointer)                                                                \
    ssize_t name(int fd, pointer data, size_t n)                                                   \
    {                                                                                              \
        NEXT(ssize_t, #name, int, pointer, size_t);                                                \
        struct fault f = fault_of(what, NULL, fd, n);                                              \
        if (f.error) {                                                                             \
            errno = f.error;                                                                       \
            return -1;                                                                             \
        }                                                                                          \
        return next(fd, data, f.bytes_max);                                                        \
    }
MOVING(FAULT_read, read, void *)
MOVING(FAULT_write, write, const void *)

#define MOVING_AT(what, name, pointer)                                                             \
    ssize_t name(int fd, pointer data, size_t n, off64_t at)                                       \
    {                                                                                              \
        NEXT(ssize_t, #name, int, pointer, size_t, off64_t);                                       \
        struct fault f = fault_of(what, NULL, fd, n);                                              \
        if (f.error) {                                                                             \
            errno = f.error;                                                                       \
            return -1;                                                                             \
        }                                                                                          \
        return next(fd, data, f.bytes_max, at);                                                    \
    }
MOVING_AT(FAULT_read, pread64, void *)
MOVING_AT(FAULT_write, pwrite64, const void *)

/* Less than was asked is a part of the first piece. */
#define MOVING_PIECES(what, name)                                                                  \
    ssize_t name(int fd, const struct iovec *pieces, int count)                                    \
    {                                                                                              \
        NEXT(ssize_t, #name, int, const struct iovec *, int);                                      \
        struct fault f = fault_of(what, NULL, fd, count ? pieces[0].iov_len : 0);                  \
        struct iovec part = {.iov_len = f.bytes_max};                                              \
        if (f.error) {                                                                             \
            errno = f.error;                                                                       \
            return -1;                                                                             \
        }                                                                                          \
        if (count == 0 || f.bytes_max == pieces[0].iov_len)                                        \
            return next(fd, pieces, count);                                                        \
        part.iov_base = pieces[0].iov_base;                                                        \
        return next(fd, &part, 1);                                                                 \
    }
MOVING_PIECES(FAULT_read, readv)
MOVING_PIECES(FAULT_write, writev)
