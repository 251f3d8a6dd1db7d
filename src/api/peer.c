/* Who is at the other end of a connection, as far as that can be known. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/json.h"
#include "server/proxy/client.h"

bool api_is_loopback(const char *peer)
{
    return strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0 ||
           strncmp(peer, "::ffff:127.", 11) == 0;
}

struct peer_user api_peer_user(const struct exchange *ex)
{
    const struct client *c = ex->client;
    uv_os_fd_t fd;
    if (c->at.is_unix || !api_is_loopback(c->peer) || uv_fileno(&c->stream.uv.handle, &fd) != 0)
        return c->user;
    return peer_user_of_tcp(fd);
}

/* What the kernel says of the peer; over TCP, what it says of itself, where that can be true: its
 * process is here, and of the user who connected. Blocks no longer than a look into /proc. */
pid_t api_peer_pid(const struct exchange *ex, const json_t *body)
{
    struct peer_user user = api_peer_user(ex);
    json_int_t pid = json_integer_value(json_object_get(body, "pid"));
    char path[32];
    struct stat st;
    if (user.pid)
        return user.pid;
    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    bool theirs = pid > 1 && pid < INT32_MAX && user.known && stat(path, &st) == 0 &&
                  (st.st_uid == user.uid || user.uid == 0);
    return theirs ? (pid_t)pid : 0;
}
