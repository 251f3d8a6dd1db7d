/* Who is at the other end of a connection, as far as that can be known. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/json.h"
#include "server/proxy/client.h"

bool api_is_loopback(const char *peer)
{
    return strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0 ||
           strncmp(peer, "::ffff:127.", 11) == 0;
}

/* What the kernel says of the peer; over TCP, what it says of itself, where that can be true: its
 * process is here, and not another user's. Blocks no longer than a look into /proc. */
pid_t api_peer_pid(const struct exchange *ex, const json_t *body)
{
    uv_os_fd_t fd;
    struct ucred peer;
    socklen_t n = sizeof(peer);
    if (!*ex->client->peer && uv_fileno(&ex->client->stream.uv.handle, &fd) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
        return peer.pid;
    json_int_t pid = json_integer_value(json_object_get(body, "pid"));
    char path[32];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    bool ours = pid > 1 && pid < INT32_MAX && api_is_loopback(ex->client->peer) &&
                stat(path, &st) == 0 && (st.st_uid == geteuid() || geteuid() == 0);
    return ours ? (pid_t)pid : 0;
}
