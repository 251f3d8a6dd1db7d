#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "http.h"
#include "route.h"

#define LISTEN_BACKLOG 4096
#define STACK_BYTES (256 * 1024)
/* What the kernel holds for a slow reader, so that the sender feels it soon. */
#define SLOW_READ_BUFFER_BYTES 4096

/* Counts down the connections that may still be opened. */
static sem_t room;

struct client {
    struct engine *engine;
    int fd;
};

int serve_listen(const struct flags *flags, struct err *err)
{
    const int on = 1, small = SLOW_READ_BUFFER_BYTES;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)flags->port)};
    socklen_t n = sizeof(a);
    if (inet_pton(AF_INET, flags->host, &a.sin_addr) != 1)
        return err_set(err, "--host: '%s' is no IPv4 address", flags->host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, "open a socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (flags->slow_read)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    if (bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, LISTEN_BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        err_set(err, "couldn't bind HTTP server socket, hostname: %s, port: %d: %s", flags->host,
                (int)flags->port, strerror(errno));
        close(fd);
        return -1;
    }
    engine_say("listening on http://%s:%d", flags->host, (int)ntohs(a.sin_port));
    return fd;
}

static void serve_requests(struct engine *e, struct http_conn *c)
{
    for (uint64_t answers = 1;; answers++) {
        if (!http_read_head(c) || !route_answer(e, c))
            return;
        if (e->flags->close_after && answers >= e->flags->close_after)
            return;
    }
}

static void *serve_client(void *arg)
{
    struct client *client = arg;
    struct http_conn *c = alloc_zeroed(1, sizeof(*c));
    http_init(c, client->fd, client->engine->flags);
    serve_requests(client->engine, c);
    http_fini(c);
    close(client->fd);
    free(c);
    free(client);
    sem_post(&room);
    return NULL;
}

static void start_client(struct engine *e, const pthread_attr_t *attr, int fd)
{
    const int on = 1;
    pthread_t thread;
    struct client *client = alloc_zeroed(1, sizeof(*client));
    *client = (struct client){e, fd};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (pthread_create(&thread, attr, serve_client, client) == 0)
        return;
    close(fd);
    free(client);
    sem_post(&room);
}

void serve_accept(struct engine *e, int listen_fd)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sem_init(&room, 0, (unsigned)e->flags->connections);
    for (;;) {
        while (sem_wait(&room) != 0)
            continue;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            start_client(e, &attr, fd);
            continue;
        }
        sem_post(&room);
        if (errno == EINVAL || errno == EBADF)
            break;
        if (errno == EMFILE || errno == ENFILE)
            engine_sleep(NS_PER_MS);
    }
    pthread_attr_destroy(&attr);
}
