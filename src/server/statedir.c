#include "server/statedir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"

/* ---- nobody else's ---- */

#define WRITE_OF_OTHERS (S_IWGRP | S_IWOTH)
#define ANY_OF_OTHERS (S_IRWXG | S_IRWXO)

/* Root may change everything anyway. */
static bool is_foreign(uid_t owner)
{
    return owner != geteuid() && owner != 0;
}

/* Whoever may write in the folder may put his own files in place of wharf's. One that was made for
 * this is narrowed; one that is everybody's (such as /tmp) is not to be changed, nor used. */
static int close_folder(const char *path, const struct stat *st, struct err *err)
{
    if (!(st->st_mode & WRITE_OF_OTHERS))
        return 0;
    if (st->st_mode & S_ISVTX)
        return err_set(err,
                       "%s is a folder for several users (mode %04o): give wharf one of its own "
                       "(see --state)",
                       path, (unsigned)st->st_mode & 07777);
    if (st->st_uid != geteuid()) { /* a volume that was made for a container, for one */
        log_warn(NULL,
                 "other users may write in %s (mode %04o), and put files of their own in place "
                 "of wharf's",
                 path, (unsigned)st->st_mode & 07777);
        return 0;
    }
    if (chmod(path, st->st_mode & 07777 & ~(mode_t)WRITE_OF_OTHERS) < 0)
        return err_set(err, "others may write in %s, and that cannot be changed: %s", path,
                       strerror(errno));
    log_warn(NULL, "others could write in %s (mode %04o): now its owner alone can", path,
             (unsigned)st->st_mode & 07777);
    return 0;
}

static int check_folder(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_set(err, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, "%s is no folder (see --state)", path);
    if (is_foreign(st.st_uid))
        return err_set(err,
                       "%s belongs to user %u, who could put files of his own in place of "
                       "wharf's (see --state)",
                       path, st.st_uid);
    return close_folder(path, &st, err);
}

/* Files hold prompts, and tokens of leases. */
static int check_file(int folder, const char *path, const char *name, struct err *err)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT
                   ? 0
                   : err_set(err, "cannot look at %s/%s: %s", path, name, strerror(errno));
    if (S_ISLNK(st.st_mode) && strcmp(name, "logs") != 0)
        return err_set(err,
                       "%s/%s is a symbolic link, which wharf does not write through: remove it",
                       path, name);
    if (!S_ISREG(st.st_mode))
        return 0;
    if (is_foreign(st.st_uid))
        return err_set(err,
                       "%s/%s belongs to user %u: remove it, or give it to the user that wharf "
                       "runs as",
                       path, name, st.st_uid);
    if (!(st.st_mode & ANY_OF_OTHERS) || st.st_uid != geteuid())
        return 0;
    /* The folder is nobody else's by now, so that the name leads where it did. */
    if (fchmodat(folder, name, st.st_mode & S_IRWXU, 0) < 0)
        return err_set(err, "others may open %s/%s, and that cannot be changed: %s", path, name,
                       strerror(errno));
    log_warn(NULL, "others could open %s/%s (mode %04o): now its owner alone can", path, name,
             (unsigned)st.st_mode & 07777);
    return 0;
}

static int check_files(const char *path, struct err *err)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    int rc = dir ? 0 : err_set(err, "cannot read %s: %s", path, strerror(errno));
    while (rc == 0 && (e = readdir(dir)))
        rc = check_file(dirfd(dir), path, e->d_name, err);
    if (dir)
        closedir(dir);
    return rc;
}

/* Whoever may rename one above it may put another in its place. Said and no more: it may be a
 * home that is shared on purpose. */
static void look_above(const char *state)
{
    char *path = alloc_text(state);
    for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
        struct stat st;
        *slash = '\0';
        if (stat(path, &st) < 0)
            continue;
        bool open = (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX);
        if (open || is_foreign(st.st_uid))
            log_warn(NULL,
                     "%s, in which the state directory is, %s: they may put another in its place",
                     path, open ? "can be written by every user" : "belongs to another user");
    }
    free(path);
}

void statedir_look_at(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    if (is_foreign(st.st_uid) || (st.st_mode & WRITE_OF_OTHERS))
        log_warn(NULL, "%s can be changed by other users (mode %04o, user %u)", path,
                 (unsigned)st.st_mode & 07777, st.st_uid);
    else if (st.st_mode & ANY_OF_OTHERS)
        log_warn(NULL, "%s can be read by other users (mode %04o)", path,
                 (unsigned)st.st_mode & 07777);
}

/* The folder for logs may stand elsewhere, as a link that wharf's user has made. */
static int take_folder(const char *path, struct err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(err, "cannot create %s: %s (see --state)", path, strerror(errno));
    return check_folder(path, err) < 0 || check_files(path, err) < 0 ? -1 : 0;
}

/* ---- one daemon's ---- */

/* One daemon a state directory: two would end each other's models. Held until the process ends. By
 * fcntl and not flock: a child between its clone and its exec has a copy of the descriptor, and may
 * outlive a daemon that is killed by that moment. */
static int lock_state(const char *state, int *lock_fd, struct err *err)
{
    char *path = alloc_printf("%s/lock", state);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), rc = 0;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd < 0)
        rc = err_set(err, "cannot open %s: %s", path, strerror(errno));
    else if (fcntl(fd, F_SETLK, &whole) < 0)
        rc = errno == EACCES || errno == EAGAIN
                 ? err_set(err, "another wharf uses the state directory %s (see --state)", state)
                 : err_set(err, "cannot lock %s: %s (see --state)", path, strerror(errno));
    *lock_fd = fd;
    free(path);
    return rc;
}

int statedir_open(const char *state, int *lock_fd, struct err *err)
{
    char *logs = alloc_printf("%s/logs", state);
    look_above(state);
    int rc = take_folder(state, err) < 0 || take_folder(logs, err) < 0 ? -1 : 0;
    free(logs);
    /* To close any other descriptor of the file would open a lock that this process has. */
    return rc < 0 || *lock_fd >= 0 ? rc : lock_state(state, lock_fd, err);
}

int statedir_mark(const char *state, char mark[STATEDIR_MARK_BYTES], struct err *err)
{
    char *path = alloc_printf("%s/instance-id", state);
    int rc = 0, old = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    FILE *f = old < 0 ? NULL : fdopen(old, "r");
    bool known = f && fscanf(f, "%32[0-9a-f]", mark) == 1 && strlen(mark) == 32;
    if (f)
        fclose(f);
    if (!known) {
        unsigned char bytes[16];
        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
            rc = err_set(err, "no random numbers: %s", strerror(errno));
        for (size_t i = 0; i < sizeof(bytes); i++)
            snprintf(mark + 2 * i, 3, "%02x", bytes[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        f = fd < 0 ? NULL : fdopen(fd, "w");
        bool ok = f && fprintf(f, "%s\n", mark) > 0;
        if ((f && fclose(f) != 0) || !ok)
            rc = err_set(err, "cannot write %s: %s (see --state)", path, strerror(errno));
    }
    free(path);
    return rc;
}
