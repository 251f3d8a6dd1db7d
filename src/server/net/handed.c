#include "server/net/handed.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "server/server.h"
#include "server/service.h"

#define ADDRESS_BYTES 256

static int option(int fd, int name)
{
    int value = -1;
    socklen_t n = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &n) == 0 ? value : -1;
}

static bool is_listening(int fd, struct sockaddr_storage *ret)
{
    socklen_t n = sizeof(*ret);
    memset(ret, 0, sizeof(*ret));
    return option(fd, SO_TYPE) == SOCK_STREAM && option(fd, SO_ACCEPTCONN) == 1 &&
           getsockname(fd, (struct sockaddr *)ret, &n) == 0;
}

static void describe(const struct sockaddr_storage *a, char *out, size_t out_size)
{
    char ip[64] = "";
    if (a->ss_family == AF_UNIX) {
        snprintf(out, out_size, "unix:%s", ((const struct sockaddr_un *)a)->sun_path);
        return;
    }
    bool v6 = a->ss_family == AF_INET6;
    uv_ip_name((const struct sockaddr *)a, ip, sizeof(ip));
    unsigned port = ntohs(v6 ? ((const struct sockaddr_in6 *)a)->sin6_port
                             : ((const struct sockaddr_in *)a)->sin_port);
    snprintf(out, out_size, v6 ? "[%s]:%u" : "%s:%u", ip, port);
}

void handed_add(struct handed *h, int fd, enum handed_source source)
{
    struct sockaddr_storage address;
    if (h->count == HANDED_MAX || !is_listening(fd, &address)) {
        log_warn(NULL, "descriptor %d was handed over, and is no listening socket", fd);
        close(fd);
        return;
    }
    h->sockets[h->count++] = (struct handed_socket){.fd = fd, .source = source, .address = address};
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr *b)
{
    if (a->ss_family != b->sa_family)
        return false;
    if (a->ss_family == AF_UNIX)
        return strcmp(((const struct sockaddr_un *)a)->sun_path,
                      ((const struct sockaddr_un *)b)->sun_path) == 0;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *have = (const struct sockaddr_in *)a;
        const struct sockaddr_in *want = (const struct sockaddr_in *)b;
        return have->sin_addr.s_addr == want->sin_addr.s_addr &&
               (want->sin_port == 0 || want->sin_port == have->sin_port);
    }
    const struct sockaddr_in6 *have = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in6 *want = (const struct sockaddr_in6 *)b;
    return memcmp(&have->sin6_addr, &want->sin6_addr, sizeof(have->sin6_addr)) == 0 &&
           (want->sin6_port == 0 || want->sin6_port == have->sin6_port);
}

static void drop(struct server *s, struct handed_socket *h, const char *why)
{
    char text[ADDRESS_BYTES];
    describe(&h->address, text, sizeof(text));
    log_warn(NULL, "closing the socket at %s, which was handed over: %s", text, why);
    if (h->source == HANDED_STORED)
        service_forget(s, text);
    close(h->fd);
    h->fd = -1;
}

/* A unix socket is found by clients only as long as its file is there; it does not come back. */
static bool can_be_reached(const struct handed_socket *h)
{
    struct stat st;
    return h->address.ss_family != AF_UNIX ||
           (lstat(((const struct sockaddr_un *)&h->address)->sun_path, &st) == 0 &&
            S_ISSOCK(st.st_mode));
}

int handed_take(struct server *s, const struct sockaddr *address, enum handed_source *ret_source)
{
    for (uint32_t i = 0; i < s->handed.count; i++) {
        struct handed_socket *h = &s->handed.sockets[i];
        if (h->fd < 0 || !same_address(&h->address, address))
            continue;
        if (!can_be_reached(h)) {
            drop(s, h, "its file has gone");
            continue;
        }
        int fd = h->fd;
        h->fd = -1;
        *ret_source = h->source;
        return fd;
    }
    return -1;
}

void handed_drop_rest(struct server *s)
{
    for (uint32_t i = 0; i < s->handed.count; i++)
        if (s->handed.sockets[i].fd >= 0)
            drop(s, &s->handed.sockets[i], "no listen names that address");
}

void handed_fini(struct server *s)
{
    for (uint32_t i = 0; i < s->handed.count; i++)
        if (s->handed.sockets[i].fd >= 0)
            close(s->handed.sockets[i].fd);
}
