#include "server/net/peer_user.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
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
                    const struct sockaddr_storage *remote, struct peer_user *ret_user)
{
    char line[LINE_MAX_BYTES], from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];
    format_address(local, from);
    format_address(remote, to);
    while (fgets(line, sizeof(line), table)) {
        char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];
        struct peer_user user = {.known = true};
        unsigned state;
        /* Of a socket that is being set up or has been let go of there is no inode: 0. */
        if (sscanf(line, " %*[0-9]: %47s %47s %x %*s %*s %*s %" SCNu32 " %*s %" SCNu64, a, b,
                   &state, &user.uid, &user.inode) != 5 ||
            state != TCP_ESTABLISHED || strcmp(a, from) != 0 || strcmp(b, to) != 0)
            continue;
        *ret_user = user;
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

/* ---- sock_diag(7): one connection is asked for, however many there are ---- */

struct diag_ask {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

struct diag_answer {
    struct nlmsghdr head;
    struct inet_diag_msg body;
    char attributes[1024];
};

static void put_end(const struct sockaddr_storage *a, __be32 address[4], __be16 *port)
{
    if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
        memcpy(address, &in6->sin6_addr, 4 * sizeof(*address));
        *port = in6->sin6_port;
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)a;
        memcpy(address, &in->sin_addr, sizeof(*address));
        *port = in->sin_port;
    }
}

/* The answer is there when send returns. False: the kernel cannot be asked. */
static bool exchange_diag(const struct diag_ask *ask, struct diag_answer *answer)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return false;
    ssize_t n = send(fd, ask, sizeof(*ask), 0);
    if (n == (ssize_t)sizeof(*ask))
        n = recv(fd, answer, sizeof(*answer), MSG_DONTWAIT);
    close(fd);
    if (n < (ssize_t)sizeof(answer->head))
        return false;
    bool refused = answer->head.nlmsg_type == NLMSG_ERROR;
    const struct nlmsgerr *e = (const struct nlmsgerr *)(const void *)&answer->body;
    return refused ? n >= (ssize_t)(sizeof(answer->head) + sizeof(e->error)) && e->error == -ENOENT
                   : n >= (ssize_t)offsetof(struct diag_answer, attributes);
}

/* What has been closed by its owner has none any more, which the kernel tells as 0: root. False: it
 * cannot be asked. */
static bool ask_diag(const struct sockaddr_storage *local, const struct sockaddr_storage *remote,
                     struct peer_user *ret)
{
    struct diag_ask ask = {
        .head = {.nlmsg_len = sizeof(ask),
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = (__u8)local->ss_family,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = UINT32_MAX,
                 .id = {.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}}};
    struct diag_answer answer = {0};
    struct inet_diag_sockid *id = &ask.body.id;
    put_end(local, id->idiag_src, &id->idiag_sport);
    put_end(remote, id->idiag_dst, &id->idiag_dport);
    if (!exchange_diag(&ask, &answer))
        return false;
    ret->known = answer.head.nlmsg_type == SOCK_DIAG_BY_FAMILY &&
                 answer.body.idiag_state == TCP_ESTABLISHED &&
                 answer.body.id.idiag_dport == id->idiag_dport;
    ret->uid = ret->known ? answer.body.idiag_uid : 0;
    ret->inode = ret->known ? answer.body.idiag_inode : 0;
    return true;
}

/* ---- where the kernel has no sock_diag: all of them are looked through ---- */

static bool look_through(const struct sockaddr_storage *local,
                         const struct sockaddr_storage *remote, struct peer_user *ret)
{
    FILE *f = fopen(local->ss_family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6", "re");
    bool found = f && peer_user_scan(f, local, remote, ret);
    if (f)
        fclose(f);
    return found;
}

/* The other end's socket: its local address is the one that is remote here. */
static void find_user(const struct sockaddr_storage *here, const struct sockaddr_storage *there,
                      struct peer_user *ret)
{
    if (!ask_diag(there, here, ret))
        (void)look_through(there, here, ret);
}

struct peer_user peer_user_of_tcp(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
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
    find_user(&here_as, &there_as, &user);
    /* The other end of a mapped one may be a socket for both, too. */
    if (!user.known && here_as.ss_family != here.ss_family)
        find_user(&here, &there, &user);
    return user;
}
