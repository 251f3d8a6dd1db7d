#include "server/work.h"

#include "server/proxy/exchange.h"
#include "server/server.h"

static void on_run(uv_work_t *request)
{
    struct work *w = container_of(request, struct work, request);
    w->run(w);
}

/* Nothing calls it off: it is short, and at the end of the daemon the loop waits for it. */
static void on_done(uv_work_t *request, int status)
{
    struct work *w = container_of(request, struct work, request);
    (void)status;
    w->done(exchange_find(w->server, w->tag), w);
}

void work_begin(struct work *w, struct exchange *ex)
{
    must(ex->body_complete);
    ex->state = EXCHANGE_LOCAL;
    w->server = ex->server;
    w->tag = exchange_tag(ex);
    must(uv_queue_work(w->server->loop, &w->request, on_run, on_done) == 0);
}
