#include "server/handover/courier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/list.h"

/* The kernel bounds the descriptors that are under way (ETOOMANYREFS), and tells nobody when there
 * is room again. */
#define RETRY_MS 10

struct parcel {
    struct link link;
    int fds[COURIER_FDS_MAX]; /* owned; -1: none */
    size_t len;
    char text[];
};

struct courier {
    const struct courier_ops *ops;
    void *owner;
    int fd;
    uv_poll_t poll;
    uv_timer_t retry;
    struct list queue; /* struct parcel */
    char *slab;        /* owned, COURIER_BYTES_MAX */
    bool gone, closing;
    unsigned handles; /* that the loop knows */
};

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(COURIER_FDS_MAX * sizeof(int))];
};

int courier_pair(int ret_fds[2])
{
    int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
    return socketpair(AF_UNIX, type, 0, ret_fds) == 0 ? 0 : -errno;
}

static void close_all(const int fds[COURIER_FDS_MAX])
{
    for (int i = 0; i < COURIER_FDS_MAX; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void free_parcel(struct parcel *p)
{
    close_all(p->fds);
    free(p);
}

static void drop(struct courier *c, struct parcel *p)
{
    list_remove(&c->queue, &p->link);
    free_parcel(p);
}

static void drop_all(struct courier *c)
{
    struct link *n;
    while ((n = list_pop(&c->queue)))
        free_parcel(list_entry(n, struct parcel, link));
}

/* ---- sending ---- */

static int send_parcel(const struct courier *c, struct parcel *p)
{
    union control control = {.bytes = {0}};
    struct iovec piece = {p->text, p->len};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    int fds[COURIER_FDS_MAX], count = 0;
    for (int i = 0; i < COURIER_FDS_MAX; i++)
        if (p->fds[i] >= 0)
            fds[count++] = p->fds[i];
    if (count) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(h), fds, (size_t)count * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_retry(uv_timer_t *timer);

static void watch(struct courier *c, bool writable)
{
    if (!c->closing && !c->gone)
        uv_poll_start(&c->poll, UV_READABLE | (writable ? UV_WRITABLE : 0), on_poll);
}

static void lose(struct courier *c)
{
    if (c->gone)
        return;
    c->gone = true;
    uv_poll_stop(&c->poll);
    drop_all(c);
    c->ops->on_gone(c->owner);
}

static void send_queue(struct courier *c)
{
    while (c->queue.count) {
        struct parcel *p = list_entry(list_first(&c->queue), struct parcel, link);
        int rc = send_parcel(c, p);
        if (rc == -EAGAIN) {
            watch(c, true);
            return;
        }
        if (rc == -ETOOMANYREFS || rc == -ENOBUFS || rc == -ENOMEM) {
            watch(c, false);
            uv_timer_start(&c->retry, on_retry, RETRY_MS, 0);
            return;
        }
        if (rc < 0) { /* the end is told by the poll, and not from inside a call */
            drop_all(c);
            break;
        }
        drop(c, p);
    }
    watch(c, false);
}

static void on_retry(uv_timer_t *timer)
{
    send_queue(container_of(timer, struct courier, retry));
}

void courier_send(struct courier *c, json_t *msg, const int fds[COURIER_FDS_MAX])
{
    char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;
    json_decref(msg);
    if (!text || len > COURIER_BYTES_MAX || c->gone) {
        if (!c->gone)
            log_error(NULL, "a message of %zu bytes to the other daemon is lost", len);
        close_all(fds);
        free(text);
        return;
    }
    struct parcel *p = alloc_zeroed(1, sizeof(*p) + len);
    memcpy(p->fds, fds, sizeof(p->fds));
    memcpy(p->text, text, len);
    p->len = len;
    free(text);
    bool first = c->queue.count == 0;
    list_push(&c->queue, &p->link);
    if (first)
        send_queue(c);
}

bool courier_idle(const struct courier *c)
{
    return c->queue.count == 0;
}

int courier_fd(const struct courier *c)
{
    return c->fd;
}

/* ---- receiving ---- */

static void take_fds(struct msghdr *m, int fds[COURIER_FDS_MAX])
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(h),
               (count < COURIER_FDS_MAX ? count : COURIER_FDS_MAX) * sizeof(int));
    }
}

/* False: there is nothing more for now. */
static bool receive(struct courier *c)
{
    union control control;
    struct iovec piece = {c->slab, COURIER_BYTES_MAX};
    struct msghdr m = {.msg_iov = &piece,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    int fds[COURIER_FDS_MAX] = {-1, -1};
    ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        lose(c);
        return false;
    }
    take_fds(&m, fds);
    json_t *msg = json_loadb(c->slab, (size_t)n, 0, NULL);
    if (json_is_object(msg))
        c->ops->on_message(c->owner, msg, fds);
    else
        log_error(NULL, "the other daemon sent what is no message");
    json_decref(msg);
    close_all(fds);
    return !c->closing;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct courier *c = container_of(poll, struct courier, poll);
    if (status < 0) {
        lose(c);
        return;
    }
    if (events & UV_READABLE)
        while (receive(c))
            ;
    if ((events & UV_WRITABLE) && !c->closing && !c->gone)
        send_queue(c);
}

/* ---- life ---- */

struct courier *courier_new(uv_loop_t *loop, int fd, const struct courier_ops *ops, void *owner)
{
    struct courier *c = alloc_zeroed(1, sizeof(*c));
    *c = (struct courier){.ops = ops, .owner = owner, .fd = fd, .handles = 2};
    c->slab = alloc_zeroed(1, COURIER_BYTES_MAX);
    list_init(&c->queue);
    must(uv_poll_init(loop, &c->poll, fd) == 0);
    uv_timer_init(loop, &c->retry);
    watch(c, false);
    return c;
}

static void free_closed(struct courier *c)
{
    if (--c->handles > 0)
        return;
    drop_all(c);
    close(c->fd);
    free(c->slab);
    free(c);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free_closed(container_of((uv_poll_t *)handle, struct courier, poll));
}

static void on_retry_closed(uv_handle_t *handle)
{
    free_closed(container_of((uv_timer_t *)handle, struct courier, retry));
}

void courier_close(struct courier *c)
{
    c->closing = true;
    uv_close((uv_handle_t *)&c->poll, on_poll_closed);
    uv_close((uv_handle_t *)&c->retry, on_retry_closed);
}
