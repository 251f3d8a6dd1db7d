/* listening.h: which process takes the connections that are made to an address of this machine.
 *
 * From /proc (proc(5): net/tcp, net/tcp6, net/unix, PID/fd). What belongs to another user, or is in
 * a container, is not seen by those who may not. Blocking: for the thread pool. */
#ifndef SERVER_PROCESS_LISTENING_H
#define SERVER_PROCESS_LISTENING_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* 0: none that can be seen. Of several that hold the same socket, the one that is the parent. */
pid_t listening_process(const struct sockaddr_storage *address);
/* Whether it is an address of this machine's own, to which nobody else can answer. */
bool listening_is_here(const struct sockaddr_storage *address);

#endif
