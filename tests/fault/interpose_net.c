/* Sockets, and whatever else makes or watches a descriptor. */
#include <errno.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "interpose.h"

FAILING(FAULT_socket, int, socket, (int domain, int type, int protocol), (domain, type, protocol),
        -1)
FAILING(FAULT_socketpair, int, socketpair, (int domain, int type, int protocol, int fds[2]),
        (domain, type, protocol, fds), -1)
FAILING(FAULT_bind, int, bind, (int fd, const struct sockaddr *addr, socklen_t n), (fd, addr, n),
        fd)
FAILING(FAULT_listen, int, listen, (int fd, int n), (fd, n), fd)
FAILING(FAULT_accept, int, accept4,
        (int fd, struct sockaddr *addr, socklen_t *restrict n, int flags), (fd, addr, n, flags), fd)
FAILING(FAULT_accept, int, accept, (int fd, struct sockaddr *addr, socklen_t *restrict n),
        (fd, addr, n), fd)
FAILING(FAULT_connect, int, connect, (int fd, const struct sockaddr *addr, socklen_t n),
        (fd, addr, n), fd)
FAILING(FAULT_pipe, int, pipe2, (int fds[2], int flags), (fds, flags), -1)
FAILING(FAULT_eventfd, int, eventfd, (unsigned count, int flags), (count, flags), -1)
FAILING(FAULT_inotify, int, inotify_init1, (int flags), (flags), -1)
FAILING_AT(FAULT_inotify, int, inotify_add_watch, (int fd, const char *path, uint32_t mask),
           (fd, path, mask), path)
FAILING(FAULT_send, ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags),
        (fd, msg, flags), fd)
FAILING(FAULT_recv, ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags), fd)

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
    NEXT(int, "getaddrinfo", const char *, const char *, const struct addrinfo *,
         struct addrinfo **);
    return fault_fails(FAULT_lookup, NULL, -1) ? EAI_AGAIN : next(name, service, hints, found);
}

/* The kernel wants memory for what it does not watch yet, and for nothing else. */
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    NEXT(int, "epoll_ctl", int, int, int, struct epoll_event *);
    int rc = next(epfd, op, fd, event);
    if (rc < 0 || op != EPOLL_CTL_ADD || !fault_fails(FAULT_epoll_ctl, NULL, fd))
        return rc;
    int error = errno;
    next(epfd, EPOLL_CTL_DEL, fd, event);
    errno = error;
    return -1;
}

ssize_t send(int fd, const void *data, size_t n, int flags)
{
    NEXT(ssize_t, "send", int, const void *, size_t, int);
    struct fault f = fault_of(FAULT_send, NULL, fd, n);
    if (f.error) {
        errno = f.error;
        return -1;
    }
    return next(fd, data, f.bytes_max, flags);
}

ssize_t recv(int fd, void *data, size_t n, int flags)
{
    NEXT(ssize_t, "recv", int, void *, size_t, int);
    struct fault f = fault_of(FAULT_recv, NULL, fd, n);
    if (f.error) {
        errno = f.error;
        return -1;
    }
    return next(fd, data, f.bytes_max, flags);
}
