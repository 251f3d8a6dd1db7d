#include "server/net/peer_user.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512
#define ADDRESS_TEXT_MAX 48

struct peer_user peer_user_of_unix(int fd)
{
    struct ucred cred;
    socklen_t n = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
        return (struct peer_user){0};
    return (struct peer_user){.known = true, .uid = cred.uid, .pid = cred.pid};
}

bool peer_user_is_owner(struct peer_user u)
{
    return u.known && (u.uid == 0 || u.uid == geteuid());
}

/* As the kernel writes it: the words of the address as they lie in memory, the port as a number
 * (proc(5), /proc/net/tcp). */
static void format_address(const struct sockaddr_storage *a, char out[ADDRESS_TEXT_MAX])
{
    uint32_t words[4];
    if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
        memcpy(words, &in6->sin6_addr, sizeof(words));
        snprintf(out, ADDRESS_TEXT_MAX, "%08" PRIX32 "%08" PRIX32 "%08" PRIX32 "%08" PRIX32 ":%04X",
                 words[0], words[1], words[2], words[3], ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)a;
        memcpy(words, &in->sin_addr, sizeof(words[0]));
        snprintf(out, ADDRESS_TEXT_MAX, "%08" PRIX32 ":%04X", words[0], ntohs(in->sin_port));
    }
}

bool peer_user_scan(FILE *table, const struct sockaddr_storage *local,
                    const struct sockaddr_storage *remote, uint32_t *ret_uid)
{
    char line[LINE_MAX_BYTES], from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];
    format_address(local, from);
    format_address(remote, to);
    while (fgets(line, sizeof(line), table)) {
        char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];
        uint32_t uid;
        if (sscanf(line, " %*[0-9]: %47s %47s %*s %*s %*s %*s %" SCNu32, a, b, &uid) != 3 ||
            strcmp(a, from) != 0 || strcmp(b, to) != 0)
            continue;
        *ret_uid = uid;
        return true;
    }
    return false;
}

/* An IPv4 connection to a socket for both is an IPv4 one at the other end. */
static void unmap(struct sockaddr_storage *a)
{
    struct sockaddr_in6 in6;
    memcpy(&in6, a, sizeof(in6));
    if (a->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
        return;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6.sin6_port};
    memcpy(&in.sin_addr, in6.sin6_addr.s6_addr + 12, sizeof(in.sin_addr));
    memset(a, 0, sizeof(*a));
    memcpy(a, &in, sizeof(in));
}

struct peer_user peer_user_of_tcp(int fd)
{
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    struct sockaddr_storage here, there;
    socklen_t here_len = sizeof(here), there_len = sizeof(there);
    struct peer_user user = {0};
    if (getsockname(fd, (struct sockaddr *)&here, &here_len) != 0 ||
        getpeername(fd, (struct sockaddr *)&there, &there_len) != 0)
        return user;
    if (here.ss_family != AF_INET && here.ss_family != AF_INET6)
        return user; /* nor is it in the tables, nor has all of the address been written */
    struct sockaddr_storage here_as = here, there_as = there;
    unmap(&here_as);
    unmap(&there_as);
    for (size_t i = 0; i < 2 && !user.known; i++) {
        FILE *f = fopen(tables[i], "re");
        bool plain = i == 0;
        if (!f)
            continue;
        /* The other end's line: its local address is the one that is remote here. */
        user.known =
            peer_user_scan(f, plain ? &there_as : &there, plain ? &here_as : &here, &user.uid);
        fclose(f);
    }
    return user;
}
