#include "wire.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/pure/units.h"
#include "client/client.h"

/* A host that vanishes while a stream is open is noticed after about a minute. */
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES 3
#define QUEUE_RETRY_MS 10

static struct mono now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct mono){(uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec};
}

/* Deadline 0: none. */
static struct mono deadline_in(uint32_t ms_max)
{
    uint64_t ms = ms_max == CLIENT_NO_WAIT ? 0 : ms_max;
    return (struct mono){ms_max ? now().ns + ms * NS_PER_MS : 0};
}

/* For poll: -1 without a deadline, rounded up so that the deadline has passed on waking. */
static int poll_timeout(struct mono deadline)
{
    if (deadline.ns == 0)
        return -1;
    uint64_t t = now().ns;
    if (t >= deadline.ns)
        return 0;
    uint64_t ms = (deadline.ns - t + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* The events of the socket that came (or an error on it), 0: time is up; -CLIENT_STOPPED. */
static int wait_for(const struct wire *w, short events, struct mono deadline)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = w->fd, .events = events},
                               {.fd = w->stop_fd, .events = POLLIN}};
        int timeout_ms = poll_timeout(deadline);
        int n = poll(fds, countof(fds), timeout_ms);
        must(n >= 0 || errno == EINTR || errno == ENOMEM);
        if (n > 0 && fds[1].revents)
            return -CLIENT_STOPPED;
        if (n > 0 && fds[0].revents)
            return fds[0].revents;
        if (n <= 0 && timeout_ms == 0)
            return 0;
    }
}

static int stopped(struct err *e)
{
    err_set(e, "interrupted");
    return -CLIENT_STOPPED;
}

static int timed_out(const struct wire *w, uint32_t silence_ms_max, struct err *e)
{
    char span[UNITS_TEXT_MAX];
    if (silence_ms_max == CLIENT_NO_WAIT)
        err_set(e, "wharf at %s does not take the request at once", w->address->text);
    else
        err_set(e, "wharf at %s has said nothing for %s", w->address->text,
                units_format_duration(silence_ms_max * NS_PER_MS, span));
    return -CLIENT_TIMEOUT;
}

static int broken(const struct wire *w, int error, struct err *e)
{
    char text[128];
    err_set(e, "the connection to wharf at %s failed: %s", w->address->text,
            strerror_r(error, text, sizeof(text)));
    return -CLIENT_BROKEN;
}

static int unreachable(const struct wire *w, const char *why, bool is_denied, struct err *e)
{
    err_set(e, "cannot reach wharf at %s: %s (%s)", w->address->text, why,
            is_denied ? "the socket's owner and mode say who may use it"
                      : "is `wharf serve` running? --url or $WHARF_URL says where");
    return -CLIENT_UNREACHABLE;
}

static int unreachable_errno(const struct wire *w, int error, struct err *e)
{
    char text[128];
    bool is_denied = w->address->is_unix && (error == EACCES || error == EPERM);
    return unreachable(w, strerror_r(error, text, sizeof(text)), is_denied, e);
}

/* 0; the errno of the failure; or -CLIENT_STOPPED. Leaves w->fd open only on success. */
static int connect_one(struct wire *w, const struct sockaddr *sa, socklen_t len,
                       uint32_t connect_ms_max)
{
    int error = 0;
    socklen_t error_len = sizeof(error);
    w->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd < 0)
        return errno;
    if (connect(w->fd, sa, len) == 0)
        return 0;
    error = errno;
    if (error == EINPROGRESS) {
        int ready = wait_for(w, POLLOUT, deadline_in(connect_ms_max));
        error = ready == 0 ? ETIMEDOUT : 0;
        if (ready == -CLIENT_STOPPED)
            error = ready;
        else if (ready > 0 && getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
            error = errno;
    }
    if (error)
        wire_close(w);
    return error;
}

static void set_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_NODELAY, 1},
    };
    /* Each is a help and no need: a kernel without one serves as well. */
    for (size_t i = 0; i < countof(options); i++)
        (void)!setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                          sizeof(options[i].value));
}

static int connect_tcp(struct wire *w, uint32_t connect_ms_max, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[8];
    int error = ECONNREFUSED;
    snprintf(port, sizeof(port), "%u", w->address->port);
    int rc = getaddrinfo(w->address->host, port, &hints, &found);
    if (rc != 0)
        return unreachable(w, gai_strerror(rc), false, e);
    for (const struct addrinfo *ai = found; ai && w->fd < 0; ai = ai->ai_next) {
        error = connect_one(w, ai->ai_addr, ai->ai_addrlen, connect_ms_max);
        if (error == -CLIENT_STOPPED)
            break;
    }
    freeaddrinfo(found);
    if (w->fd >= 0)
        set_tcp_options(w->fd);
    return error == 0 ? 0 : error < 0 ? stopped(e) : unreachable_errno(w, error, e);
}

static int connect_unix(struct wire *w, uint32_t connect_ms_max, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    _Static_assert(sizeof(sa.sun_path) == CLIENT_SOCKET_PATH_MAX, "unix(7)");
    memcpy(sa.sun_path, w->address->socket_path, sizeof(sa.sun_path));
    struct mono deadline = deadline_in(connect_ms_max);
    int error;
    /* EAGAIN: the daemon's queue of new connections is full, and nothing tells when there is room
     * again (unix(7)). */
    for (;;) {
        error = connect_one(w, (const struct sockaddr *)(const void *)&sa, sizeof(sa), 0);
        if (error != EAGAIN || poll_timeout(deadline) == 0)
            break;
        if (wait_for(w, 0, deadline_in(QUEUE_RETRY_MS)) < 0)
            return stopped(e);
    }
    return error == 0 ? 0 : error < 0 ? stopped(e) : unreachable_errno(w, error, e);
}

int wire_connect(struct wire *w, uint32_t connect_ms_max, struct err *e)
{
    must(w->fd < 0);
    return w->address->is_unix ? connect_unix(w, connect_ms_max, e)
                               : connect_tcp(w, connect_ms_max, e);
}

int wire_send(struct wire *w, const char *data, size_t n, uint32_t silence_ms_max, struct err *e)
{
    while (n > 0) {
        ssize_t sent = send(w->fd, data, n, MSG_NOSIGNAL);
        if (sent >= 0) {
            data += sent;
            n -= (size_t)sent;
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return broken(w, errno, e);
        int ready = wait_for(w, POLLOUT | POLLIN, deadline_in(silence_ms_max));
        if (ready < 0)
            return stopped(e);
        if (ready == 0)
            return timed_out(w, silence_ms_max, e);
        if (!(ready & POLLOUT))
            return 0;
    }
    return 0;
}

static int receive_at_once(struct wire *w, char *out, size_t size, struct err *e)
{
    ssize_t n = recv(w->fd, out, size, 0);
    if (n >= 0)
        return (int)n;
    if (errno != EAGAIN && errno != EINTR)
        return broken(w, errno, e);
    err_set(e, "wharf at %s has not answered yet", w->address->text);
    return -CLIENT_AGAIN;
}

int wire_receive(struct wire *w, char *out, size_t size, uint32_t silence_ms_max, struct err *e)
{
    must(size > 0 && size <= INT_MAX);
    if (silence_ms_max == CLIENT_NO_WAIT)
        return receive_at_once(w, out, size, e);
    struct mono deadline = deadline_in(silence_ms_max);
    for (;;) {
        int ready = wait_for(w, POLLIN, deadline);
        if (ready < 0)
            return stopped(e);
        if (ready == 0)
            return timed_out(w, silence_ms_max, e);
        ssize_t n = recv(w->fd, out, size, 0);
        if (n >= 0)
            return (int)n;
        if (errno != EAGAIN && errno != EINTR)
            return broken(w, errno, e);
    }
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}
