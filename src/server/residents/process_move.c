/* Moves of processes: the successor, and who is in the roster when. */
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/residents/process.h"
#include "server/server.h"

static struct instance *instance_of(struct resident *r)
{
    return container_of(r, struct instance, resident);
}

void instance_move(struct resident *r)
{
    struct instance *in = instance_of(r), *next = alloc_zeroed(1, sizeof(*next));
    struct server *s = r->server;
    next->resident = (struct resident){.ops = r->ops,
                                       .server = s,
                                       .config = config_ref_get(s->roster.current),
                                       .model = roster_model(&s->roster, r->slot),
                                       .slot = r->slot,
                                       .placement = r->order.placement,
                                       .devices = r->order.devices};
    must(next->resident.model != NULL && !in->next && !in->prev);
    next->prev = in;
    in->next = next;
    instance_begin(next);
    instance_feed(next, PROCESS_LOAD);
}

static void on_grace(uv_timer_t *timer)
{
    instance_feed(timer->data, PROCESS_KILL);
}

/* The op goes over to the successor, with the place; it ends when the other has gone, since until
 * then the memory of both is taken. */
void instance_move_ready(struct instance *next)
{
    struct instance *prev = next->prev;
    struct resident *from = &prev->resident, *to = &next->resident;
    must(from->open == RESIDENT_MOVE && prev->next == next);
    to->open = from->open;
    to->order = from->order;
    to->open_ns = from->open_ns;
    to->overdue = from->overdue;
    from->open = RESIDENT_IDLE;
    to->server->roster.entries[to->slot].resident = to;
    prev->replaced = true;
    /* The process may have ended already; then this finds it on its way. */
    instance_feed(prev, PROCESS_UNLOAD);
    uint64_t grace_ns = from->model->unload_timeout_ns;
    uv_timer_start(prev->timer, on_grace, grace_ns / NS_PER_MS, 0);
}

void instance_move_failed(struct instance *next)
{
    struct instance *prev = next->prev;
    next->prev = NULL;
    prev->next = NULL;
    resident_complete(&prev->resident, RESIDENT_AT_SOURCE, REASON_NONE, 0);
}

void instance_move_left(struct instance *prev)
{
    struct instance *next = prev->next;
    if (!next)
        return; /* which has ended as well */
    prev->next = NULL;
    next->prev = NULL;
    resident_complete(&next->resident, RESIDENT_DONE, REASON_NONE, 0);
}

bool instance_move_kill(struct instance *in)
{
    if (in->next) {
        in->next->aborted = true;
        instance_feed(in->next, PROCESS_ABORT);
    } else if (in->prev) {
        instance_feed(in->prev, PROCESS_KILL);
    }
    return in->next || in->prev;
}

void instance_move_forget(struct instance *in)
{
    struct instance *next = in->next, *prev = in->prev;
    in->next = in->prev = NULL;
    if (prev)
        prev->next = NULL;
    if (!next)
        return;
    /* It ended in the middle of its move: nobody is waiting for the other any more. */
    next->prev = NULL;
    next->aborted = true;
    instance_feed(next, PROCESS_ABORT);
}
