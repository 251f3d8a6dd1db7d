#include "base/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool journal_is(int fd)
{
    unsigned long long device, inode;
    struct stat st;
    char rest;
    const char *stream = getenv("JOURNAL_STREAM");
    return stream && sscanf(stream, "%llu:%llu%c", &device, &inode, &rest) == 2 &&
           fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* The journal reads it after this process may have changed or cut it, unless it is sealed: it
 * takes no other. */
static int make_file(const void *entry, size_t n)
{
    int fd = memfd_create("wharf-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, entry, n);
    if (written == (ssize_t)n &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
        return fd;
    int rc = written >= 0 && written != (ssize_t)n ? -ENOSPC : -errno;
    close(fd);
    return rc;
}

static int send_message(int fd, struct msghdr *m)
{
    ssize_t n;
    do
        n = sendmsg(fd, m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static int send_file(int fd, struct sockaddr_un *to, const void *entry, size_t n)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr m = {.msg_name = to,
                       .msg_namelen = sizeof(*to),
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    int file = make_file(entry, n);
    if (file < 0)
        return file;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &file, sizeof(file));
    int rc = send_message(fd, &m);
    close(file);
    return rc;
}

/* The socket stays unconnected: a journal that was started anew is found by its path. */
int journal_send(const char *path, int *fd, const void *entry, size_t n)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    union {
        const void *from;
        void *to;
    } base = {.from = entry}; /* sendmsg does not write there */
    struct iovec piece = {.iov_base = base.to, .iov_len = n};
    struct msghdr m = {
        .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &piece, .msg_iovlen = 1};
    if (strlen(path) >= sizeof(to.sun_path))
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path, strlen(path));
    if (*fd < 0)
        *fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return -errno;
    int rc = send_message(*fd, &m);
    return rc == -EMSGSIZE || rc == -ENOBUFS ? send_file(*fd, &to, entry, n) : rc;
}
