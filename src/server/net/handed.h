/* handed.h: listening sockets that the daemon was born with: of a service manager, of an earlier
 * daemon that left them with it, or of the program that this process ran before (handover/). A
 * connection that comes meanwhile waits in them, and is not refused. */
#ifndef SERVER_NET_HANDED_H
#define SERVER_NET_HANDED_H

#include <stdint.h>
#include <sys/socket.h>

struct server;

#define HANDED_MAX 64

enum handed_source {
    HANDED_NOT,    /* the daemon's own */
    HANDED_UNIT,   /* the service manager's: it outlives the daemon, and its file is not ours */
    HANDED_STORED, /* an earlier daemon's */
};

struct handed {
    struct handed_socket {
        int fd; /* owned; -1: taken */
        enum handed_source source;
        struct sockaddr_storage address;
    } sockets[HANDED_MAX];
    uint32_t count;
};

/* Takes fd, which is closed, and that logged, when nothing listens there. */
void handed_add(struct handed *h, int fd, enum handed_source source);
/* The socket that listens at that address, with any port where that is 0; it is the caller's from
 * now on. -1: none was handed over. */
int handed_take(struct server *s, const struct sockaddr *address, enum handed_source *ret_source);
/* Says which of them nobody has taken, and closes them. */
void handed_drop_rest(struct server *s);
void handed_fini(struct server *s);

#endif
