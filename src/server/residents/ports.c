#include "server/residents/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/residents/process.h"
#include "server/server.h"

#define PORTS_TRIED_MAX 2000

/* Free on the loopback address and on all others: a server may bind either. */
static bool bindable(uint16_t port)
{
    const uint32_t addrs[] = {INADDR_LOOPBACK, INADDR_ANY};
    bool ok = true;
    for (int i = 0; i < 2 && ok; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        struct sockaddr_in addr = {
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addrs[i])};
        /* With SO_REUSEADDR, connections of an earlier server in TIME_WAIT do not count. */
        ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
             bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 1) == 0;
        if (fd >= 0)
            close(fd);
    }
    return ok;
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

uint16_t ports_find(const struct server *s, uint16_t preferred)
{
    for (uint32_t i = 0; i < PORTS_TRIED_MAX; i++) {
        uint32_t port = preferred + i;
        if (port > 65535)
            port = 1024 + (port - 65536);
        if (!given(s, (uint16_t)port) && bindable((uint16_t)port))
            return (uint16_t)port;
    }
    return 0;
}
