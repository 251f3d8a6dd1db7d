#include "server/net/resolver.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"

#define PATIENCE_MS 1000

/* What libuv has of a lookup. In a fork it may be among the answers that the loop was told of and
 * has not looked at, and nobody can say whether it is: there it is let go, and another one is put.
 */
struct question {
    uv_getaddrinfo_t request;
    struct lookup *lookup; /* NULL: nobody waits for the answer */
};

static void start_next(struct resolver *r);

static void close_patience(struct resolver *r)
{
    uv_close((uv_handle_t *)&r->patience, NULL);
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct question *q = container_of(request, struct question, request);
    struct lookup *l = q->lookup;
    free(q);
    if (!l) {
        uv_freeaddrinfo(found);
        return;
    }
    struct resolver *r = l->resolver;
    l->question = NULL;
    list_remove(&r->running, &l->link);
    l->on_done(l, status, found);
    uv_freeaddrinfo(found);
    start_next(r);
    if (r->closed && r->running.count == 0)
        close_patience(r);
}

static void start_next(struct resolver *r)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct link *n;
    while (r->running.count < RESOLVER_RUNNING_MAX && (n = list_pop(&r->waiting))) {
        struct lookup *l = list_entry(n, struct lookup, link);
        struct question *q = alloc_zeroed(1, sizeof(*q));
        q->lookup = l;
        l->question = q;
        /* It only fails at once for what cannot be a name at all. */
        int rc = uv_getaddrinfo(r->loop, &q->request, on_found, l->host, NULL, &hints);
        must(rc == 0);
        list_push(&r->running, &l->link);
    }
}

void resolver_init(struct resolver *r, uv_loop_t *loop)
{
    *r = (struct resolver){.loop = loop};
    list_init(&r->waiting);
    list_init(&r->running);
    uv_timer_init(loop, &r->patience);
}

void resolver_begin_anew(struct resolver *r)
{
    struct link *n;
    while ((n = list_pop(&r->running))) {
        struct lookup *l = list_entry(n, struct lookup, link);
        l->question->lookup = NULL;
        l->question = NULL;
        list_push(&r->waiting, n);
    }
    start_next(r);
}

void resolver_start(struct resolver *r, struct lookup *l)
{
    l->resolver = r;
    list_push(&r->waiting, &l->link);
    start_next(r);
}

/* By now everything else is closed; joining the pool's threads would wait for the name server. */
static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    log_warn(NULL, "not waiting for a name server that does not answer");
    fflush(NULL);
    _exit(0);
}

void resolver_close(struct resolver *r)
{
    struct link *n, *next;
    r->closed = true;
    while ((n = list_pop(&r->waiting))) {
        struct lookup *l = list_entry(n, struct lookup, link);
        l->on_done(l, UV_ECANCELED, NULL);
    }
    list_each_safe(n, next, &r->running)
        uv_cancel((uv_req_t *)&list_entry(n, struct lookup, link)->question->request);
    if (r->running.count)
        uv_timer_start(&r->patience, on_patience, PATIENCE_MS, 0);
    else
        close_patience(r);
}
