/* Orders of the program, from their begin to their end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/broker/broker.h"
#include "lib/clock.h"

struct wharf_call {
    struct link link; /* in the broker's calls, until it is over */
    struct inbox_item item;
    struct cancel_member member;
    struct wharf_broker *broker;
    struct wharf_inbox *inbox; /* NULL: somebody blocks on cond */
    pthread_cond_t cond;
    struct wharf_answer *ret;
    enum wharf_order_kind kind;
    uint32_t model;   /* or CORE_SLOT_NONE */
    struct id waiter; /* ENTER, LEASE, once it is known */
    uint64_t mode_seq;
    uint64_t end_ns; /* the core does not know of: LOAD UNLOAD MOVE MODE; UINT64_MAX: never */
    bool over, cancelled;
};

static struct wharf_call *call_of(struct link *n)
{
    return list_entry(n, struct wharf_call, link);
}

static uint64_t tag_of(const struct wharf_call *call)
{
    return (uint64_t)(uintptr_t)call;
}

/* The core names only those that it has to answer. */
static struct wharf_call *call_named(uint64_t tag)
{
    return (struct wharf_call *)(uintptr_t)tag;
}

static void end(struct wharf_call *call, int rc, const char *why)
{
    struct wharf_broker *b = call->broker;
    list_remove(&b->calls, &call->link);
    call->over = true;
    call->ret->rc = rc;
    call->ret->why = rc == 0 ? "" : why;
    if (call->inbox)
        inbox_put(call->inbox, &call->item);
    else
        must(pthread_cond_signal(&call->cond) == 0);
}

static int rc_of(enum reason why)
{
    switch ((int)why) {
    case REASON_NONE:
        return 0;
    case REASON_WAIT_EXPIRED:
    case REASON_BUSY:
        return -ETIMEDOUT;
    case REASON_NO_ROOM:
    case REASON_NO_ROOM_NOW:
    case REASON_NO_DEVICE:
    case REASON_PINNED:
    case REASON_LEASED:
    case REASON_FOREIGN:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

void call_waits(struct wharf_broker *b, const struct effect *e)
{
    (void)b;
    call_named(e->tag)->waiter = e->waiter;
}

void call_granted(struct wharf_broker *b, const struct effect *e)
{
    struct wharf_call *call = call_named(e->tag);
    bool lease = call->kind == WHARF_LEASE;
    call->waiter = e->waiter;
    call->ret->id = broker_id(e->waiter, lease);
    uint32_t devices = e->devices;
    if (!lease) {
        struct core_model_view v;
        core_view_model(b->core, call->model, &v);
        devices = v.devices;
    }
    call->ret->device = names_device_of(&b->names, devices);
    end(call, 0, "");
}

void call_refused(struct wharf_broker *b, const struct effect *e)
{
    (void)b;
    end(call_named(e->tag), rc_of(e->reason), reason_text(e->reason));
}

void call_commanded(struct wharf_broker *b, const struct effect *e)
{
    (void)b;
    end(call_named(e->tag), rc_of(e->reason), reason_text(e->reason));
}

enum wish_is { IS_MET, IS_COMING, IS_IN_VAIN };

static enum wish_is look_at(const struct wharf_broker *b, const struct core_wish *wish,
                            const char **ret_why)
{
    struct core_model_view v;
    core_view_model(b->core, wish->model, &v);
    bool there = v.state == MODEL_LOADED &&
                 (wish->placement == CORE_SLOT_NONE || wish->placement == v.placement);
    if (wish->what == WISH_LOADED ? there : v.state == MODEL_UNLOADED)
        return IS_MET;
    *ret_why = reason_text(v.reason);
    return v.wish_failed || v.wish_rests || v.state == MODEL_STUCK ? IS_IN_VAIN : IS_COMING;
}

/* True: it has ended. */
static bool look_at_mode(struct wharf_call *call)
{
    struct wharf_broker *b = call->broker;
    const char *why = "", *failed = NULL;
    if (call->mode_seq != b->mode_seq) {
        end(call, -EIO, "another mode was set");
        return true;
    }
    const struct named_mode *mode = b->mode == CORE_SLOT_NONE ? NULL : &b->names.modes[b->mode];
    for (uint32_t i = 0; mode && i < mode->wish_count; i++) {
        enum wish_is is = look_at(b, &mode->wishes[i], &why);
        if (is == IS_COMING)
            return false;
        if (is == IS_IN_VAIN)
            failed = why;
    }
    end(call, failed ? -EIO : 0, failed ? failed : "");
    return true;
}

void calls_look_at_modes(struct wharf_broker *b)
{
    struct link *n, *next;
    list_each_safe(n, next, &b->calls) {
        if (call_of(n)->kind == WHARF_MODE)
            (void)look_at_mode(call_of(n));
    }
}

/* With the lock. */
static void give_back(struct wharf_broker *b, uint64_t id)
{
    struct id of = {.slot = (uint32_t)(id & (ID_OF_LEASE - 1)), .gen = (uint32_t)(id >> 32)};
    if (id & ID_OF_LEASE)
        broker_step(b, (struct event){.type = EVENT_LEASE_ENDED, .lease_id = {of}});
    else
        broker_step(b, (struct event){.type = EVENT_REQUEST_ENDED, .ended = {of, ENDED_DONE}});
}

void wharf_broker_leave(struct wharf_broker *b, uint64_t id)
{
    broker_lock(b);
    give_back(b, id);
    broker_unlock(b);
}

/* Nobody waits for it any more. What the core knows of it, it has to be told; what it had been
 * given meanwhile is given back. */
static void withdraw(struct wharf_call *call)
{
    struct wharf_broker *b = call->broker;
    if (call->kind == WHARF_ENTER || call->kind == WHARF_LEASE) {
        if (!call->over || call->ret->rc == 0)
            give_back(b, broker_id(call->waiter, call->kind == WHARF_LEASE));
    } else if (call->kind != WHARF_MODE && !call->over) {
        broker_step(
            b, (struct event){.type = EVENT_COMMAND_CANCELLED, .command = {.tag = tag_of(call)}});
    }
}

bool calls_expire(struct wharf_broker *b, uint64_t now_ns, uint64_t *next_ns)
{
    struct link *n;
    list_each(n, &b->calls) {
        struct wharf_call *call = call_of(n);
        if (call->end_ns <= now_ns) {
            withdraw(call);
            if (!call->over)
                end(call, -ETIMEDOUT, reason_text(REASON_WAIT_EXPIRED));
            return true;
        }
        *next_ns = call->end_ns < *next_ns ? call->end_ns : *next_ns;
    }
    return false;
}

static bool class_of(enum wharf_class c, enum class *ret)
{
    if (c != WHARF_FOREGROUND && c != WHARF_NORMAL && c != WHARF_BACKGROUND)
        return false;
    *ret = c == WHARF_FOREGROUND ? CLASS_FOREGROUND
           : c == WHARF_NORMAL   ? CLASS_NORMAL
                                 : CLASS_BACKGROUND;
    return true;
}

static uint64_t wait_ns_of(const struct wharf_order *o)
{
    return o->timeout_ns < 0 ? UINT64_MAX : (uint64_t)o->timeout_ns;
}

/* Each makes the event, and what else the call needs to know. 0, -ENOENT or -EINVAL. */

static int make_command(struct wharf_call *call, const struct wharf_order *o, struct event *ev)
{
    static const enum command commands[] = {
        [WHARF_LOAD] = COMMAND_LOAD, [WHARF_UNLOAD] = COMMAND_UNLOAD, [WHARF_MOVE] = COMMAND_MOVE};
    const struct names *names = &call->broker->names;
    call->end_ns = clock_end_ns(clock_ns(), o->timeout_ns);
    *ev = (struct event){.type = EVENT_COMMAND,
                         .command = {.tag = tag_of(call),
                                     .model = call->model,
                                     .what = commands[o->kind],
                                     .why = REASON_COMMAND}};
    if (call->model == CORE_SLOT_NONE)
        return -ENOENT;
    if (o->kind != WHARF_MOVE)
        return 0;
    if (!o->device)
        return -EINVAL;
    ev->command.placement = names_placement(names, call->model, o->device);
    return ev->command.placement == CORE_SLOT_NONE ? -ENOENT : 0;
}

static int make_mode(struct wharf_call *call, const struct wharf_order *o, struct event *ev)
{
    struct wharf_broker *b = call->broker;
    uint32_t mode = o->mode ? names_mode(&b->names, o->mode) : CORE_SLOT_NONE;
    call->end_ns = clock_end_ns(clock_ns(), o->timeout_ns);
    if (o->mode && mode == CORE_SLOT_NONE)
        return -ENOENT;
    *ev = (struct event){.type = EVENT_MODE};
    if (o->mode) {
        ev->mode.wishes = b->names.modes[mode].wishes;
        ev->mode.count = b->names.modes[mode].wish_count;
    }
    b->mode = mode;
    call->mode_seq = ++b->mode_seq;
    return 0;
}

static int make_request(struct wharf_call *call, const struct wharf_order *o, struct event *ev)
{
    *ev = (struct event){
        .type = EVENT_REQUEST_ARRIVED,
        .request = {.tag = tag_of(call), .model = call->model, .wait_ns_max = wait_ns_of(o)}};
    if (call->model == CORE_SLOT_NONE)
        return -ENOENT;
    return class_of(o->wharf_class, &ev->request.class) ? 0 : -EINVAL;
}

/* ask: lives as long as the event. */
static int make_lease(struct wharf_call *call, const struct wharf_order *o, struct event *ev,
                      struct core_lease_ask *ask)
{
    const struct names *names = &call->broker->names;
    *ask = (struct core_lease_ask){.bytes = o->bytes, .wait_ns_max = wait_ns_of(o)};
    *ev = (struct event){.type = EVENT_LEASE_ASKED, .lease = {.tag = tag_of(call), .ask = ask}};
    if (!class_of(o->wharf_class, &ask->class) || o->gate_count > CORE_LEASE_GATES_MAX ||
        (!o->bytes && !o->gate_count))
        return -EINVAL;
    uint32_t device = names_device(names, o->device);
    if (o->bytes && o->device && device == CORE_SLOT_NONE)
        return -ENOENT;
    if (o->bytes)
        ask->device_mask = o->device ? 1U << device : (1U << names->config.device_count) - 1;
    for (; ask->gate_count < o->gate_count; ask->gate_count++) {
        uint32_t gate = names_gate(names, o->gates[ask->gate_count]);
        for (uint32_t i = 0; i < ask->gate_count; i++)
            if (ask->gates[i] == gate)
                return -EINVAL;
        if (gate == CORE_SLOT_NONE)
            return -ENOENT;
        ask->gates[ask->gate_count] = gate;
    }
    return 0;
}

static int make(struct wharf_call *call, const struct wharf_order *o, struct event *ev,
                struct core_lease_ask *ask)
{
    switch (o->kind) {
    case WHARF_LOAD:
    case WHARF_UNLOAD:
    case WHARF_MOVE:
        return make_command(call, o, ev);
    case WHARF_MODE:
        return make_mode(call, o, ev);
    case WHARF_ENTER:
        return make_request(call, o, ev);
    case WHARF_LEASE:
        return make_lease(call, o, ev, ask);
    }
    return -EINVAL;
}

/* Of an order that is not begun. */
static const char *text_of(int rc)
{
    return rc == -ENOENT ? "it names what there is not" : "it makes no sense";
}

/* With the lock; on 0 it is under way, or over already. */
static int begin(struct wharf_call *call, const struct wharf_order *o)
{
    struct wharf_broker *b = call->broker;
    struct core_lease_ask ask;
    struct event ev;
    call->kind = o->kind;
    call->model = names_model(&b->names, o->model);
    call->end_ns = UINT64_MAX;
    *call->ret = (struct wharf_answer){.why = ""};
    int rc = make(call, o, &ev, &ask);
    if (rc < 0) {
        call->ret->why = text_of(rc);
        return rc;
    }
    list_push(&b->calls, &call->link);
    broker_step(b, ev);
    return 0;
}

static void wake(struct cancel_member *m)
{
    struct wharf_call *call = container_of(m, struct wharf_call, member);
    broker_lock(call->broker);
    call->cancelled = true;
    must(pthread_cond_signal(&call->cond) == 0);
    broker_unlock(call->broker);
}

static void wait_for(struct wharf_call *call)
{
    while (!call->over && !call->cancelled)
        (void)clock_cond_wait(&call->cond, &call->broker->lock, UINT64_MAX);
    if (call->over)
        return;
    withdraw(call);
    if (!call->over)
        end(call, -ECANCELED, "it was cancelled");
}

int wharf_broker_do(struct wharf_broker *b, const struct wharf_order *order,
                    struct wharf_cancel *cancel, struct wharf_answer *ret)
{
    struct wharf_answer answer = {.rc = 0};
    struct wharf_call call = {.broker = b, .member = {.wake = wake}, .ret = ret ? ret : &answer};
    if (!cancel_join(cancel, &call.member)) {
        *call.ret = (struct wharf_answer){.rc = -ECANCELED, .why = "it was cancelled"};
        return -ECANCELED;
    }
    clock_cond_init(&call.cond);
    broker_lock(b);
    int rc = begin(&call, order);
    if (rc == 0) {
        wait_for(&call);
        rc = call.ret->rc;
    }
    broker_unlock(b);
    cancel_leave(cancel, &call.member);
    must(pthread_cond_destroy(&call.cond) == 0);
    call.ret->rc = rc;
    return rc;
}

static void free_call(struct inbox_item *item)
{
    free(container_of(item, struct wharf_call, item));
}

int wharf_broker_begin(struct wharf_broker *b, const struct wharf_order *order,
                       struct wharf_answer *ret, struct wharf_inbox *inbox, void *arg,
                       struct wharf_call **ret_call)
{
    struct wharf_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    *call = (struct wharf_call){
        .broker = b, .inbox = inbox, .ret = ret, .item = {.arg = arg, .free = free_call}};
    *ret_call = call;
    broker_lock(b);
    int rc = begin(call, order);
    broker_unlock(b);
    if (rc < 0) {
        *ret_call = NULL;
        free(call);
    }
    return rc;
}

void wharf_call_cancel(struct wharf_call *call)
{
    struct wharf_broker *b = call->broker;
    broker_lock(b);
    withdraw(call);
    if (call->over)
        must(inbox_remove(call->inbox, &call->item));
    else
        list_remove(&b->calls, &call->link);
    broker_unlock(b);
    free(call);
}

int wharf_broker_can(struct wharf_broker *b, const struct wharf_order *order, const char **ret_why)
{
    struct wharf_call call = {.broker = b, .kind = order->kind};
    struct core_plan_view plan;
    struct core_lease_ask ask;
    struct event ev;
    const char *ignored = NULL;
    const char **why = ret_why ? ret_why : &ignored;
    bool lease = order->kind == WHARF_LEASE;
    enum class class = CLASS_NORMAL;
    int rc = 0;
    call.model = names_model(&b->names, order->model);
    *why = "it makes no sense";
    if (order->kind != WHARF_LOAD && order->kind != WHARF_ENTER && !lease)
        return -EINVAL;
    if (order->kind != WHARF_LOAD && !class_of(order->wharf_class, &class))
        return -EINVAL;
    if (lease)
        rc = make_lease(&call, order, &ev, &ask);
    else if (call.model == CORE_SLOT_NONE)
        rc = -ENOENT;
    if (rc < 0) {
        *why = text_of(rc);
        return rc;
    }
    broker_lock(b);
    if (lease)
        core_plan_lease(b->core, &ask, &plan);
    else
        core_plan_model(b->core, call.model, class, &plan);
    broker_unlock(b);
    *why = plan.verdict <= VERDICT_GO ? "" : reason_text(plan.why);
    return plan.verdict <= VERDICT_GO ? 0 : plan.verdict == VERDICT_NEVER ? -ENOSPC : -EAGAIN;
}
