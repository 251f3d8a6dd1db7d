#include "server/residents/ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/residents/process.h"
#include "server/server.h"

#define PORTS_TRIED_MAX 2000

static int try_bind(int fd, uint32_t address, uint16_t port)
{
    const int one = 1;
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    /* With SO_REUSEADDR, connections of an earlier server in TIME_WAIT do not count. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0)
        return errno;
    return 0;
}

/* 0 when it is free on the loopback address and on all others, since a server may bind either; else
 * an errno. */
static int find_fault(uint16_t port)
{
    const uint32_t addrs[] = {INADDR_LOOPBACK, INADDR_ANY};
    int error = 0;
    for (size_t i = 0; i < countof(addrs) && error == 0; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        error = fd < 0 ? errno : try_bind(fd, addrs[i], port);
        if (fd >= 0)
            close(fd);
    }
    return error;
}

static bool given(const struct server *s, uint16_t port)
{
    for (uint32_t i = 0; i < s->roster.count; i++) {
        const struct resident *r = s->roster.entries[i].resident;
        if (r && instance_has_port(r, port))
            return true;
    }
    return false;
}

uint16_t ports_find(const struct server *s, uint16_t preferred, int *ret_error)
{
    *ret_error = EADDRINUSE;
    /* Without descriptors, no other port would do either. */
    for (uint32_t i = 0; i < PORTS_TRIED_MAX && !descriptors_is_short(*ret_error); i++) {
        uint32_t port = preferred + i;
        if (port > 65535)
            port = 1024 + (port - 65536);
        if (given(s, (uint16_t)port))
            continue;
        *ret_error = find_fault((uint16_t)port);
        if (*ret_error == 0)
            return (uint16_t)port;
    }
    return 0;
}
