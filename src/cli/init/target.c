#include "cli/init/target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

#define MODE_NEW 0600

/* The folder of a path, as an owned text. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return alloc_text(".");
    return slash == path ? alloc_text("/") : alloc_text_n(path, (size_t)(slash - path));
}

int target_check(const char *path, bool force, struct err *e)
{
    struct stat st;
    auto_free char *folder = folder_of(path);
    if (lstat(path, &st) == 0) {
        if (!force)
            return err_set(e, "%.300s is there already; --force replaces it", path);
        if (stat(path, &st) != 0)
            return err_set(e, "%.300s: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode))
            return err_set(e, "%.300s is no regular file; - prints to stdout", path);
    } else if (errno != ENOENT) {
        return err_set(e, "%.300s: %s", path, strerror(errno));
    }
    if (access(folder, W_OK | X_OK) != 0)
        return err_set(e, "cannot write into the folder %.300s: %s", folder, strerror(errno));
    return 0;
}

static int write_all(int fd, const struct buf *text)
{
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(fd, text->data + at, text->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return errno;
        at += (size_t)n;
    }
    return fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

/* 0 or an errno. Nobody's file is replaced without force, also one that has come meanwhile. */
static int give_name(const char *from, const char *to, bool force)
{
    if (force)
        return rename(from, to) == 0 ? 0 : errno;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    /* A file system that cannot do it in one step. */
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    if (access(to, F_OK) == 0)
        return EEXIST;
    return rename(from, to) == 0 ? 0 : errno;
}

/* 0 or an errno. */
static int write_beside(const char *path, bool force, const struct buf *text)
{
    struct stat st;
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 07777 : MODE_NEW;
    auto_free char *temporary = alloc_printf("%s.XXXXXX", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = write_all(fd, text);
    if (!error && fchmod(fd, mode) != 0)
        error = errno;
    if (close(fd) != 0 && !error)
        error = errno;
    if (!error)
        error = give_name(temporary, path, force);
    if (error)
        (void)unlink(temporary);
    return error;
}

int target_write(const char *path, bool force, const struct buf *text, struct err *e)
{
    sigset_t all, before;
    auto_free char *real = force ? realpath(path, NULL) : NULL;
    sigfillset(&all);
    must(sigprocmask(SIG_BLOCK, &all, &before) == 0);
    int error = write_beside(real ? real : path, force, text);
    must(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
    if (error == EEXIST)
        return err_set(e, "%.300s is there by now; --force replaces it", path);
    return error ? err_set(e, "cannot write %.300s: %s", path, strerror(error)) : 0;
}
