/* work.h: something that takes long, done on the thread pool for a request that may be over
 * before. */
#ifndef SERVER_WORK_H
#define SERVER_WORK_H

#include <stdint.h>
#include <uv.h>

struct exchange;
struct server;

/* Embedded in whatever is worked on, which `done` frees. */
struct work {
    uv_work_t request;
    struct server *server;
    uint64_t tag;                                      /* of the exchange */
    void (*run)(struct work *w);                       /* on another thread */
    void (*done)(struct exchange *ex, struct work *w); /* on the loop; ex NULL: it is over */
};

/* The request's body must be there; run and done must be set. */
void work_begin(struct work *w, struct exchange *ex);

#endif
