/* resolver.h: looks up host names, off the loop and a few at once: the thread pool that does it
 * also starts processes and reads devices, and a name server that does not answer must not stop
 * those. */
#ifndef SERVER_RESOLVER_H
#define SERVER_RESOLVER_H

#include <stdbool.h>
#include <uv.h>

#include "base/pure/list.h"

#define RESOLVER_RUNNING_MAX 2

struct addrinfo;
struct question;

struct resolver {
    uv_loop_t *loop;
    struct list waiting, running; /* struct lookup */
    uv_timer_t patience;          /* runs once it is closed and something is still under way */
    bool closed;
};

/* Embedded in who asks. */
struct lookup {
    struct question *question; /* that is put for it; NULL while it waits */
    struct link link;
    struct resolver *resolver;
    const char *host; /* borrowed until on_done; 253 bytes of ASCII at most */
    /* Once, from the loop, or from resolver_close: 0 and what was found, valid during the call, or
     * a negative errno. */
    void (*on_done)(struct lookup *l, int error, const struct addrinfo *found);
};

void resolver_init(struct resolver *r, uv_loop_t *loop);
/* l->host and l->on_done are set; l stays where it is until it is done. */
void resolver_start(struct resolver *r, struct lookup *l);
/* What waits is called off. What is under way cannot be; it keeps the daemon for a second at most.
 */
void resolver_close(struct resolver *r);
/* In a fork, which has none of the threads that were looking up: what was under way begins anew. */
void resolver_begin_anew(struct resolver *r);

#endif
