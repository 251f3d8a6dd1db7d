#include "server/residents/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/worker.h"
#include "base/alloc.h"
#include "base/log.h"
#include "mapping/mapping.h"
#include "server/gpus/devices.h"
#include "server/leases/secret.h"
#include "server/net/held.h"
#include "server/net/origin.h"
#include "server/process/proctree.h"
#include "server/proxy/exchange.h"
#include "server/proxy/upstream.h"
#include "server/server.h"

#define TOKEN_BYTES 16
/* One that was dropped would be back at once, no wiser. */
#define BARRED_NS NS_PER_S
/* What was said to be left is given this time, and two looks, to be seen free. */
#define FREED_NS NS_PER_S
#define FREED_LOOKS 2
/* A driver keeps some of what a process used for as long as that lives. */
#define KEPT_SHARE 8

static const struct worker_place nowhere = {WORKER_NOWHERE, 0};

/* The model while it is loaded, or an op is open on it. */
struct loaded {
    struct resident resident;
    struct worker *seat;
};

struct worker {
    struct link link; /* server->workers */
    struct server *server;
    uint32_t slot;
    struct worker_machine machine;
    struct loaded *in; /* owned; NULL: neither loaded nor loading */
    struct held *held; /* NULL: nobody has registered */
    char token[2 * TOKEN_BYTES + 1];
    uint64_t order; /* the number of the last; numbers are not used again */
    bool order_open;
    uint32_t offered;
    uint64_t hash;             /* of the definition by which it has registered */
    struct worker_place asked; /* where the open order leads */
    pid_t pid;
    uint64_t bytes;
    struct origin *origin; /* counted, or NULL */
    uint64_t barred_until_ns;
    uv_timer_t timer;
    bool has_later;
    struct worker_input later;      /* in place of TIMER */
    uint64_t had[CORE_DEVICES_MAX]; /* what it was last seen to use */
    uint32_t left;                  /* devices that it says to have left, not yet seen free */
    uint32_t looks;
    uint64_t left_ns;
};

static void feed(struct worker *w, struct worker_input in);

static const char *id_of(const struct worker *w)
{
    return roster_id(&w->server->roster, w->slot);
}

/* The model's definition: what it was loaded with, else what it would be. */
static const struct config_model *model_of(const struct worker *w)
{
    return w->in ? w->in->resident.model : roster_model(&w->server->roster, w->slot);
}

/* ---- seats ---- */

static struct worker *seat_at(const struct server *s, uint32_t slot)
{
    struct link *n;
    list_each(n, &s->workers) {
        struct worker *w = list_entry(n, struct worker, link);
        if (w->slot == slot)
            return w;
    }
    return NULL;
}

static struct worker *seat_of(struct server *s, uint32_t slot)
{
    struct worker *w = seat_at(s, slot);
    if (w)
        return w;
    w = alloc_zeroed(1, sizeof(*w));
    w->server = s;
    w->slot = slot;
    worker_init(&w->machine);
    uv_timer_init(s->loop, &w->timer);
    list_push(&s->workers, &w->link);
    return w;
}

static void on_timer(uv_timer_t *timer)
{
    struct worker *w = container_of(timer, struct worker, timer);
    struct worker_input in = w->has_later ? w->later : (struct worker_input){.type = WORKER_TIMER};
    w->has_later = false;
    feed(w, in);
}

static void set_timer(struct worker *w, uint64_t delay_ns)
{
    uv_update_time(w->server->loop);
    uv_timer_start(&w->timer, on_timer, (delay_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
}

/* From the loop, since it is not to come from inside what happens now. */
static void feed_later(struct worker *w, struct worker_input in)
{
    if (w->has_later && w->later.type == WORKER_LEFT)
        return; /* which ends all */
    w->has_later = true;
    w->later = in;
    set_timer(w, 0);
}

static void let_go(struct worker *w)
{
    w->token[0] = '\0';
    w->order_open = false;
    w->pid = 0;
    w->left = 0;
    memset(w->had, 0, sizeof(w->had));
    if (!w->origin)
        return;
    w->origin->open = false;
    exchange_end_uncounted(w->origin);
    upstream_drop_idle(w->origin);
    origin_put(w->origin);
    w->origin = NULL;
}

static void on_left(void *arg)
{
    struct worker *w = arg;
    w->held = NULL;
    log_info(id_of(w), "its worker has left");
    let_go(w);
    feed_later(w, (struct worker_input){.type = WORKER_LEFT});
}

/* False: it has gone meanwhile. */
static bool say(struct worker *w, struct buf *line)
{
    bool here = w->held && held_line(w->held, line->data);
    buf_fini(line);
    return here;
}

static void dismiss(struct worker *w, const char *why)
{
    struct buf line = {0};
    log_info(id_of(w), "its worker is sent away: %s", why);
    buf_text(&line, "{\"do\":\"bye\",\"why\":");
    buf_json_text(&line, why);
    buf_char(&line, '}');
    if (say(w, &line)) {
        held_end(w->held);
        w->held = NULL;
    }
    let_go(w);
    w->has_later = false;
}

/* One whose model is another one now, or none. What it said of itself may not hold any more. */
static void dismiss_outdated(struct worker *w)
{
    const struct config_model *m = roster_model(&w->server->roster, w->slot);
    bool wanted = m && m->backend == CONFIG_BACKEND_WORKER;
    if (!w->held || w->in || (wanted && m->hash_process == w->hash))
        return;
    dismiss(w, wanted ? "its model is configured anew"
                      : "its model is not configured for a worker any more");
    feed(w, (struct worker_input){.type = WORKER_LEFT});
}

/* ---- places ---- */

/* As many GPUs as it takes, the first that are there. */
static uint32_t usual_devices(const struct config *c, const struct config_placement *p)
{
    uint32_t mask = 0, count = 0;
    for (uint32_t g = 0; g < c->gpu_count && count < p->gpu_count && !p->host; g++) {
        if (!c->gpus[g].found || !config_placement_may_use(c, p, g))
            continue;
        mask |= 1U << g;
        count++;
    }
    return mask;
}

static int locate(const struct server *s, const struct config_model *m, const char *device,
                  struct worker_place *ret, struct err *err)
{
    const struct config *c = s->roster.current->config;
    uint32_t variant = device ? config_model_find_placement(m, device) : UINT32_MAX;
    if (!device) {
        *ret = nowhere;
        return 0;
    }
    if (variant == UINT32_MAX)
        return err_set(err, "model %s has no device called %s", m->id, device);
    *ret = (struct worker_place){variant, 0};
    if (m->placements[variant].host || !roster_fits(c))
        return 0;
    ret->devices = usual_devices(c, &m->placements[variant]);
    if (!ret->devices)
        return err_set(err, "no GPU that device %s of model %s may use is present", device, m->id);
    return 0;
}

int worker_check(const struct server *s, const struct config_model *m, const char *device,
                 struct err *err)
{
    struct worker_place at;
    return locate(s, m, device, &at, err);
}

/* Where the core wants it. */
static struct worker_place place_of(const struct worker *w, const struct resident_order *o)
{
    const struct roster_entry *e = &w->server->roster.entries[w->slot];
    if (o->placement == CORE_SLOT_NONE || e->index == CORE_SLOT_NONE)
        return nowhere;
    return (struct worker_place){
        mapping_placement_variant(w->server->roster.current->config, e->index, o->placement),
        o->devices};
}

/* Likewise for the core: CORE_SLOT_NONE where it does not plan by bytes. */
static uint32_t placement_of(const struct worker *w, struct worker_place at)
{
    const struct config *c = w->server->roster.current->config;
    const struct config_model *m = roster_model(&w->server->roster, w->slot);
    if (!roster_fits(c))
        return CORE_SLOT_NONE;
    return mapping_placement_find(c, w->server->roster.entries[w->slot].index,
                                  m->placements[at.variant].id);
}

/* ---- what is asked ---- */

static void put_gpus(const struct worker *w, uint32_t devices, struct buf *out)
{
    const struct config *c = w->server->roster.current->config;
    const char *sep = "";
    buf_text(out, ",\"gpus\":[");
    for (uint32_t g = 0; g < c->gpu_count; g++) {
        if (!(devices >> g & 1))
            continue;
        buf_printf(out, "%s{\"name\":", sep);
        buf_json_text(out, c->gpus[g].name);
        buf_text(out, ",\"uuid\":");
        if (c->gpus[g].uuid && *c->gpus[g].uuid)
            buf_json_text(out, c->gpus[g].uuid);
        else
            buf_text(out, "null");
        buf_char(out, '}');
        sep = ",";
    }
    buf_char(out, ']');
}

/* As a process would find it in its environment. */
static void put_env(const struct worker *w, uint32_t devices, struct buf *out)
{
    char *env[DEVICES_ENV_MAX + 1] = {NULL};
    devices_put_env(w->server->devices, devices, env);
    buf_text(out, ",\"env\":{");
    for (uint32_t i = 0; env[i]; i++) {
        size_t n = strcspn(env[i], "=");
        buf_text(out, i ? "," : "");
        buf_json(out, env[i], n);
        buf_char(out, ':');
        buf_json_text(out, env[i] + n + 1);
        free(env[i]);
    }
    buf_char(out, '}');
}

static void ask(struct worker *w, const char *what)
{
    struct buf line = {0};
    w->order_open = true;
    w->asked = nowhere;
    buf_printf(&line, "{\"id\":%" PRIu64 ",\"do\":\"%s\"}", ++w->order, what);
    say(w, &line);
}

/* Where nothing is planned by bytes: the first that it offers and can have, else the first. */
static struct worker_place usual_place(const struct worker *w, const struct config_model *m)
{
    const struct config *c = w->server->roster.current->config;
    struct worker_place first = {0, 0};
    for (uint32_t i = m->placement_count; i-- > 0;)
        if (w->offered >> i & 1)
            first.variant = i;
    for (uint32_t i = 0; i < m->placement_count; i++) {
        uint32_t devices = usual_devices(c, &m->placements[i]);
        if ((w->offered >> i & 1) && (m->placements[i].host || devices))
            return (struct worker_place){i, devices};
    }
    return first;
}

static void ask_to(struct worker *w, const char *what)
{
    const struct config_model *m = model_of(w);
    struct worker_place to = w->machine.to;
    struct buf line = {0};
    if (to.variant == WORKER_NOWHERE)
        to = usual_place(w, m);
    if (!(w->offered >> to.variant & 1)) {
        log_warn(id_of(w), "its worker has said that it cannot use %s",
                 m->placements[to.variant].id);
        feed_later(w, (struct worker_input){.type = WORKER_ANSWERED, .at = w->machine.at});
        return;
    }
    w->order_open = true;
    w->asked = to;
    buf_printf(&line, "{\"id\":%" PRIu64 ",\"do\":\"%s\",\"device\":", ++w->order, what);
    buf_json_text(&line, m->placements[to.variant].id);
    put_gpus(w, to.devices, &line);
    put_env(w, to.devices, &line);
    buf_char(&line, '}');
    say(w, &line);
}

/* ---- whether it has left ---- */

static void start_watch(struct worker *w)
{
    w->left = 0;
    w->looks = 0;
    w->left_ns = uv_hrtime();
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if ((w->machine.at.devices & ~w->machine.to.devices) >> d & 1 && w->had[d])
            w->left |= 1U << d;
    if (!w->left || !w->pid) {
        w->left = 0;
        feed_later(w, (struct worker_input){.type = WORKER_SEEN_GONE});
        return;
    }
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++)
        if (w->left >> d & 1)
            devices_sample_now(w->server->devices, d);
}

static void note_use(struct worker *w, uint32_t device, uint64_t bytes)
{
    /* Once nobody watches any more, a reading is no news of the move, and must not take the place
     * of what is waited for by now. */
    if (!w->machine.watching || !(w->left >> device & 1)) {
        w->had[device] = bytes;
        return;
    }
    if (bytes <= w->had[device] / KEPT_SHARE) {
        w->had[device] = bytes;
        w->left &= ~(1U << device);
        if (!w->left)
            feed_later(w, (struct worker_input){.type = WORKER_SEEN_GONE});
        return;
    }
    if (++w->looks < FREED_LOOKS || uv_hrtime() - w->left_ns < FREED_NS)
        return;
    char text[UNITS_TEXT_MAX];
    struct roster_entry *e = &w->server->roster.entries[w->slot];
    free(e->last_error);
    e->last_error = alloc_printf("its worker said that it has moved, but still uses %s on %s",
                                 units_format_bytes(bytes, text),
                                 w->server->roster.current->config->gpus[device].name);
    log_warn(id_of(w), "%s", e->last_error);
    w->left = 0;
    feed_later(w, (struct worker_input){.type = WORKER_SEEN_KEPT});
}

/* ---- what the machine wants ---- */

static void complete(struct worker *w, enum resident_end end, enum reason why)
{
    resident_complete(&w->in->resident, end, why, 0);
}

/* Another may be loaded there before this returns. */
static void complete_gone(struct worker *w, enum resident_end end, enum reason why)
{
    struct loaded *in = w->in;
    w->in = NULL;
    if (!in)
        return;
    resident_complete(&in->resident, end, why, 0);
    resident_fini(&in->resident);
    free(in);
    dismiss_outdated(w);
}

static void adopt(struct worker *w)
{
    struct worker_place at = w->machine.at;
    w->in = alloc_zeroed(1, sizeof(*w->in));
    w->in->seat = w;
    resident_begin(&w->in->resident, &resident_worker, w->server, w->slot, NULL);
    resident_adopt(&w->in->resident, placement_of(w, at), at.devices, ADOPTED_LOADED);
}

static void remember_absence(struct worker *w)
{
    struct roster_entry *e = &w->server->roster.entries[w->slot];
    free(e->last_error);
    e->last_error = alloc_text("no worker has registered for it");
    log_warn(e->id, "load failed: %s", e->last_error);
}

static void act(struct worker *w, enum worker_action action, uint64_t delay_ns)
{
    switch (action) {
    case WORKER_DO_ASK_LOAD:
        ask_to(w, "load");
        break;
    case WORKER_DO_ASK_MOVE:
        ask_to(w, "move");
        break;
    case WORKER_DO_ASK_UNLOAD:
        if (w->origin)
            exchange_end_uncounted(w->origin);
        ask(w, "unload");
        break;
    case WORKER_DO_ASK_WHERE:
        ask(w, "where");
        break;
    case WORKER_DO_WATCH:
        start_watch(w);
        break;
    case WORKER_DO_TIMER:
        if (!w->has_later)
            set_timer(w, delay_ns);
        break;
    case WORKER_DO_DROP:
        w->barred_until_ns = uv_hrtime() + BARRED_NS;
        dismiss(w, "it did not do what it was asked to");
        break;
    case WORKER_DO_ADOPT:
        adopt(w);
        break;
    case WORKER_DO_DONE:
        if (w->machine.resident)
            complete(w, RESIDENT_DONE, REASON_NONE);
        else
            complete_gone(w, RESIDENT_DONE, REASON_NONE);
        break;
    case WORKER_DO_ABSENT:
        remember_absence(w);
        complete_gone(w, RESIDENT_FAILED, REASON_BACKEND_DOWN);
        break;
    case WORKER_DO_FAILED:
        complete_gone(w, RESIDENT_FAILED, REASON_NONE);
        break;
    case WORKER_DO_AT_SOURCE:
        complete(w, RESIDENT_AT_SOURCE, REASON_NONE);
        break;
    case WORKER_DO_AT_TARGET:
        complete(w, RESIDENT_AT_TARGET, REASON_NONE);
        break;
    case WORKER_DO_GONE:
        complete_gone(w, RESIDENT_GONE, REASON_NONE);
        break;
    case WORKER_DO_BROKEN:
        if (w->in)
            complete(w, RESIDENT_BROKEN, REASON_BROKEN);
        break;
    }
}

static void feed(struct worker *w, struct worker_input in)
{
    struct worker_actions todo = worker_step(&w->machine, in);
    if (w->origin)
        w->origin->open = w->machine.resident;
    for (uint32_t i = 0; i < todo.count; i++)
        act(w, todo.items[i], todo.delay_ns);
}

/* ---- registration ---- */

int worker_admits(struct server *s, uint32_t slot, struct err *err)
{
    const struct worker *w = seat_at(s, slot);
    const struct resident *r = resident_at(s, slot);
    const char *id = roster_id(&s->roster, slot);
    if (w && (w->held || w->machine.here))
        return err_set(err, "model %s has a worker already", id);
    if (w && uv_hrtime() < w->barred_until_ns)
        return err_set(
            err, "the worker of model %s was dropped a moment ago; try again in a second", id);
    if (r && r->ops != &resident_worker)
        return err_set(
            err,
            "model %s is still loaded by backend %s, as it was configured before; try again "
            "when that has ended",
            id, r->ops->word);
    return 0;
}

void worker_join(struct server *s, struct exchange *ex, const struct worker_terms *terms)
{
    struct worker *w = seat_of(s, terms->slot);
    struct buf line = {0};
    struct worker_place at;
    struct err err = {0};
    must(locate(s, roster_model(&s->roster, terms->slot), terms->device, &at, &err) == 0);
    w->held = held_begin(
        ex, &(struct held_spec){.ping = "{\"do\":\"ping\"}", .on_left = on_left, .arg = w});
    if (!w->held) {
        if (terms->origin)
            origin_put(terms->origin);
        return;
    }
    secret_make(w->token, TOKEN_BYTES);
    w->offered = terms->offered;
    w->hash = roster_model(&s->roster, terms->slot)->hash_process;
    w->pid = terms->pid;
    w->bytes = terms->bytes;
    w->origin = terms->origin;
    log_info_with(id_of(w), LOG_WITH(LOG_NUMBER("pid", w->pid)), "a worker has registered");
    buf_printf(&line, "{\"worker\":\"%s\",\"keepalive_s\":%u}", w->token,
               (unsigned)(HELD_PING_NS / NS_PER_S));
    if (say(w, &line))
        feed(w, (struct worker_input){.type = WORKER_JOINED, .at = at});
}

struct worker *worker_find(struct server *s, const char *token)
{
    struct link *n;
    list_each(n, &s->workers) {
        struct worker *w = list_entry(n, struct worker, link);
        if (w->held && strcmp(w->token, token) == 0)
            return w;
    }
    return NULL;
}

static void remember_reply(struct worker *w, const struct worker_reply *reply)
{
    struct roster_entry *e = &w->server->roster.entries[w->slot];
    char quoted[512];
    if (reply->bytes)
        w->bytes = reply->bytes;
    if (reply->ok)
        return;
    const char *error = reply->error ? reply->error : "it did not say why";
    free(e->last_error);
    e->last_error = alloc_printf("its worker could not do it: %s", error);
    log_warn(e->id, "its worker could not do it: \"%s\"",
             log_quote(error, strlen(error), quoted, sizeof(quoted)));
}

int worker_answer(struct worker *w, const struct worker_reply *reply, struct err *err)
{
    const struct config_model *m = model_of(w);
    struct worker_place at;
    if (!w->order_open || reply->id != w->order || !m) {
        err_set(err, "order %" PRIu64 " is not open", reply->id);
        return 1;
    }
    if (locate(w->server, m, reply->device, &at, err) < 0)
        return -1;
    if (at.variant == w->asked.variant)
        at = w->asked;
    else if (at.variant == w->machine.to.variant && at.variant != WORKER_NOWHERE)
        at = w->machine.to; /* it says where it is, in the middle of a move */
    else if (at.variant == w->machine.at.variant)
        at = w->machine.at;
    bool leads = w->asked.variant != WORKER_NOWHERE;
    if (leads && reply->ok && !worker_same_place(at, w->asked))
        return err_set(err, "order %" PRIu64 " is to %s, so it was not carried out if it is at %s",
                       reply->id, m->placements[w->asked.variant].id,
                       reply->device ? reply->device : "no device");
    w->order_open = false;
    remember_reply(w, reply);
    feed(w, (struct worker_input){.type = WORKER_ANSWERED, .at = at, .ok = reply->ok});
    return 0;
}

void worker_leave(struct worker *w)
{
    held_end(w->held);
    on_left(w);
}

/* ---- the resident ---- */

static struct worker *worker_of(const struct resident *r)
{
    return container_of(r, const struct loaded, resident)->seat;
}

static void load(struct server *s, uint32_t slot, const struct resident_order *order)
{
    struct worker *w = seat_of(s, slot);
    must(!w->in);
    w->in = alloc_zeroed(1, sizeof(*w->in));
    w->in->seat = w;
    resident_begin(&w->in->resident, &resident_worker, s, slot, order);
    feed(w, (struct worker_input){.type = WORKER_LOAD, .at = place_of(w, order)});
}

/* When the daemon ends, its listeners are closed and no answer could come: the worker, which goes
 * on without it, keeps what it holds. */
static void unload(struct resident *r)
{
    struct worker *w = worker_of(r);
    if (!w->server->stopping) {
        feed(w, (struct worker_input){.type = WORKER_UNLOAD});
        return;
    }
    dismiss(w, "wharf is stopping");
    feed_later(w, (struct worker_input){.type = WORKER_LEFT});
}

static void move(struct resident *r)
{
    struct worker *w = worker_of(r);
    feed(w, (struct worker_input){.type = WORKER_MOVE, .at = place_of(w, &r->order)});
}

static void abort_load(struct resident *r)
{
    feed(worker_of(r), (struct worker_input){.type = WORKER_ABORT});
}

static void kill_it(struct resident *r)
{
    feed(worker_of(r), (struct worker_input){.type = WORKER_KILL});
}

static struct origin *origin(struct resident *r)
{
    struct worker *w = worker_of(r);
    return w->machine.resident ? w->origin : NULL;
}

static void refused(struct resident *r)
{
    resident_complete(r, RESIDENT_BROKEN, REASON_BROKEN, 0);
}

/* Without its number, its memory looks like strangers': what it says of itself then counts, as far
 * as there is so much of that. */
static bool declared_use(const struct worker *w, uint32_t device,
                         const struct resident_claim *claims, uint32_t count, uint64_t *ret_bytes)
{
    uint64_t strangers = 0;
    for (uint32_t i = 0; i < count; i++)
        strangers +=
            claims[i].slot == CORE_SLOT_NONE && id_none(claims[i].lease) ? claims[i].bytes : 0;
    if (!(w->machine.at.devices >> device & 1) || !w->bytes || !strangers)
        return false;
    *ret_bytes = w->bytes < strangers ? w->bytes : strangers;
    return true;
}

static bool uses(struct resident *r, uint32_t device, struct resident_claim *claims, uint32_t count,
                 uint64_t *ret_bytes)
{
    struct worker *w = worker_of(r);
    uint64_t bytes = 0;
    if (!w->pid)
        return declared_use(w, device, claims, count, ret_bytes);
    for (uint32_t i = 0; i < count; i++)
        if (claims[i].slot == CORE_SLOT_NONE && !claims[i].known &&
            proctree_descends(claims[i].pid, w->pid))
            claims[i].slot = r->slot;
    bool seen = resident_claimed(r, claims, count, &bytes);
    note_use(w, device, bytes);
    if (seen)
        *ret_bytes = bytes;
    return seen;
}

static void describe(const struct resident *r, struct resident_view *ret)
{
    const struct worker *w = worker_of(r);
    ret->pid = (int)w->pid;
    ret->port = w->pid && w->origin && !w->origin->is_unix ? w->origin->port : 0;
    if (w->held && !w->origin)
        ret->deaf = "its worker has named no address (proxy) to which requests could be passed on";
}

const struct resident_ops resident_worker = {.word = "worker",
                                             .load = load,
                                             .unload = unload,
                                             .move = move,
                                             .abort = abort_load,
                                             .kill = kill_it,
                                             .origin = origin,
                                             .refused = refused,
                                             .uses = uses,
                                             .describe = describe};

/* ---- the part ---- */

void workers_init(struct server *s)
{
    list_init(&s->workers);
}

void workers_reload(struct server *s, const struct config_ref *old)
{
    struct link *n;
    (void)old;
    list_each(n, &s->workers)
        dismiss_outdated(list_entry(n, struct worker, link));
}

static void on_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct worker, timer));
}

void workers_close(struct server *s)
{
    struct link *n;
    while ((n = list_pop(&s->workers))) {
        struct worker *w = list_entry(n, struct worker, link);
        struct loaded *in = w->in;
        if (w->held)
            held_end(w->held);
        w->held = NULL;
        let_go(w);
        w->in = NULL;
        if (in) {
            resident_fini(&in->resident);
            free(in);
        }
        uv_close((uv_handle_t *)&w->timer, on_closed);
    }
}
