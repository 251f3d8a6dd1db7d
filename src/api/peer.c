/* Who is at the other end of a connection, as far as that can be known. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/json.h"
#include "base/log.h"
#include "server/process/proctree.h"
#include "server/proxy/client.h"

#define PATH_BYTES 64
/* Of a process; the connection stands beyond that in none that asks for leases. */
#define FDS_LOOKED_AT 16384
#define ANCESTORS_LOOKED_AT 32

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

/* Whether a process has that socket open. *ret_blind: nobody may look. */
static bool has_open(pid_t pid, uint64_t inode, bool *ret_blind)
{
    char path[PATH_BYTES], want[PATH_BYTES], target[PATH_BYTES];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    snprintf(want, sizeof(want), "socket:[%llu]", (unsigned long long)inode);
    DIR *dir = opendir(path);
    *ret_blind = !dir && errno != ENOENT;
    const struct dirent *e;
    for (uint32_t i = 0; dir && !found && i < FDS_LOOKED_AT && (e = readdir(dir)); i++) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        found = strcmp(target, want) == 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* Whether the connection is the process's, or that of one that has started it, or that it has
 * started: a program that asks for itself or for its child, or a script whose curl asks for it.
 * Where the kernel lets nobody look, its user must do. */
static bool is_related(pid_t pid, const struct peer_user *user)
{
    struct proc line[ANCESTORS_LOOKED_AT];
    struct proc_list below = {.items = NULL};
    bool blind, found = has_open(pid, user->inode, &blind);
    uint32_t count = found || blind ? 0 : proctree_ancestors(pid, line, ANCESTORS_LOOKED_AT);
    for (uint32_t i = 1; i < count && !found; i++)
        found = has_open(line[i].pid, user->inode, &(bool){false});
    if (found || blind)
        return true;
    if (!proctree_below(pid, &below))
        log_debug(NULL, "not all processes below %d could be seen", (int)pid);
    for (size_t i = 0; i < below.count && !found; i++)
        found = has_open(below.items[i].pid, user->inode, &(bool){false});
    proc_list_fini(&below);
    return found;
}

/* What the kernel says of the peer; over TCP, what it says of itself, where that is true as far as
 * can be seen: its process is here, of the user who connected, and related to his. Another's
 * would have its memory, and its end, taken for the peer's: that of a proxy's other clients, or of
 * whoever has the number that the peer knows itself by in a container. Blocks no longer than a look
 * into /proc. */
pid_t api_peer_pid(const struct exchange *ex, const json_t *body)
{
    struct peer_user user = api_peer_user(ex);
    json_int_t pid = json_integer_value(json_object_get(body, "pid"));
    char path[PATH_BYTES];
    struct stat st;
    if (user.pid)
        return user.pid;
    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    bool theirs = pid > 1 && pid < INT32_MAX && user.known && user.inode && stat(path, &st) == 0 &&
                  st.st_uid == user.uid && is_related((pid_t)pid, &user);
    return theirs ? (pid_t)pid : 0;
}
