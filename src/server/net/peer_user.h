/* peer_user.h: whose process is at the other end of a connection, as the kernel says. */
#ifndef SERVER_PEER_USER_H
#define SERVER_PEER_USER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

struct peer_user {
    bool known;
    uint32_t uid;
    int pid;        /* over a unix socket; else 0 */
    uint64_t inode; /* over TCP: of the socket at the other end; 0: not known */
};

/* Of a connected unix socket: who connected, or, at the end that connected, who listens. */
struct peer_user peer_user_of_unix(int fd);
/* Of a TCP connection within this machine and network namespace, as long as its other end is open.
 * Where the kernel has no sock_diag(7) this reads /proc, which takes about a microsecond for each
 * connection of the machine. */
struct peer_user peer_user_of_tcp(int fd);
/* wharf's own user, or root: nothing can be kept from them. */
bool peer_user_is_owner(struct peer_user u);

/* For tests: looks for the socket from local to remote in a table such as /proc/net/tcp. */
bool peer_user_scan(FILE *table, const struct sockaddr_storage *local,
                    const struct sockaddr_storage *remote, struct peer_user *ret_user);

#endif
