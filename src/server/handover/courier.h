/* courier.h: messages between two processes of wharf, with descriptors, over a socketpair.
 *
 * A message is a JSON object and up to COURIER_FDS_MAX descriptors; each arrives whole and in order
 * (SOCK_SEQPACKET). What the socket does not take at once waits in a queue: nothing blocks. The two
 * may be of different versions, so each ignores what it does not know. */
#ifndef SERVER_HANDOVER_COURIER_H
#define SERVER_HANDOVER_COURIER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/pure/check.h"

#define COURIER_FDS_MAX 2
#define COURIER_BYTES_MAX (64 * 1024)

struct courier;

struct courier_ops {
    /* msg is borrowed; of the descriptors, -1 for none, those that are taken are set to -1. */
    void (*on_message)(void *owner, const json_t *msg, int fds[COURIER_FDS_MAX]);
    /* The other side has gone; nothing more comes, and what is sent is thrown away. */
    void (*on_gone)(void *owner);
};

/* The two ends; both close on exec. 0 or -errno. */
int courier_pair(int ret_fds[2]) warn_unused;
/* Takes fd. */
struct courier *courier_new(uv_loop_t *loop, int fd, const struct courier_ops *ops, void *owner);
/* Takes msg and fds, of which -1 is none. One that is too long is dropped, and logged. */
void courier_send(struct courier *c, json_t *msg, const int fds[COURIER_FDS_MAX]);
/* All that was sent has been taken by the kernel, or nobody is there to take it. */
bool courier_idle(const struct courier *c);
int courier_fd(const struct courier *c);
/* Frees it, once the loop has closed its handles; no callback comes any more. */
void courier_close(struct courier *c);

#endif
