/* One model: orders of the core's, calls to the server, and what it comes to. */
#include "server/residents/ollama.h"

#include <stdlib.h>
#include <string.h>

#include "backend/out_of_memory.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "server/net/call.h"
#include "server/proxy/exchange.h"
#include "server/server.h"

/* The core ends a load that takes too long; this only ends what nobody would. */
#define LOAD_SLACK_NS (60 * NS_PER_S)
#define UNLOAD_NS_MIN (1 * NS_PER_S)

static struct ollama_resident *resident_of(struct resident *r)
{
    return container_of(r, struct ollama_resident, resident);
}

struct ollama_resident *ollama_resident_at(const struct ollama_endpoint *e, uint32_t slot)
{
    struct resident *r = resident_at(e->server, slot);
    if (!r || r->ops != &resident_ollama)
        return NULL;
    struct ollama_resident *o = resident_of(r);
    return o->endpoint == e ? o : NULL;
}

static const char *id_of(const struct ollama_resident *o)
{
    return roster_id(&o->resident.server->roster, o->resident.slot);
}

static void release(struct ollama_resident *o)
{
    must(!o->call);
    ollama_tree_leave(o->endpoint, o->resident.slot);
    resident_fini(&o->resident);
    free(o->failure);
    free(o);
}

void ollama_drop(struct ollama_resident *o)
{
    if (o->call)
        call_cancel(o->call);
    o->call = NULL;
    release(o);
}

/* ---- calls ---- */

static void set_failure(struct ollama_resident *o, char *text)
{
    free(o->failure);
    o->failure = text;
}

static void note_failure(struct ollama_resident *o, const struct call_answer *a)
{
    char said[512];
    const char *url = o->endpoint->url, *name = o->resident.model->backend_model;
    ollama_read_error(a->body, a->n, said, sizeof(said));
    if (a->error)
        set_failure(o, alloc_printf("ollama at %s: %s", url, a->why));
    else if (a->status == 404)
        set_failure(o,
                    alloc_printf("ollama at %s has no model %s; ollama pull %s", url, name, name));
    else
        set_failure(o, alloc_printf("ollama at %s answered %d%s%s", url, a->status,
                                    *said ? ": " : "", said));
    o->out_of_memory = out_of_memory_said(said, strlen(said));
}

static void on_called(void *arg, const struct call_answer *a)
{
    struct ollama_resident *o = arg;
    struct ollama_endpoint *e = o->endpoint;
    bool refused = a->error && !a->connected;
    enum ollama_event ev = OLLAMA_CALL_OK;
    o->call = NULL;
    if (a->error || a->status != 200) {
        note_failure(o, a);
        ev = a->status == 400 && strstr(o->failure, "does not support generate")
                 ? OLLAMA_CALL_UNFIT
                 : OLLAMA_CALL_FAILED;
    }
    ollama_feed(o, ev, uv_hrtime());
    if (refused)
        ollama_endpoint_refused(e, a->why);
    else
        ollama_endpoint_ask(e);
}

/* keep_alive: 0 unloads; a negative number keeps it until it is told to go. */
static void start_call(struct ollama_resident *o, bool embed, int keep_alive, uint64_t timeout_ns)
{
    struct buf body = {0};
    buf_text(&body, "{\"model\":");
    buf_json_text(&body, o->resident.model->backend_model);
    buf_text(&body, embed ? ",\"input\":\"\"" : ",\"stream\":false");
    buf_printf(&body, ",\"keep_alive\":%d}", keep_alive);
    const struct call_spec spec = {.method = "POST",
                                   .path = embed ? "/api/embed" : "/api/generate",
                                   .body = body.data,
                                   .timeout_ns = timeout_ns,
                                   .answer_bytes_max = OLLAMA_ANSWER_BYTES_MAX};
    must(!o->call);
    o->call = call_start(o->endpoint->origin, &spec, on_called, o);
    buf_fini(&body);
}

static uint64_t load_ns(const struct ollama_resident *o)
{
    return o->resident.model->load_timeout_ns + LOAD_SLACK_NS;
}

static uint64_t unload_ns(const struct ollama_resident *o)
{
    uint64_t ns = o->resident.model->unload_timeout_ns;
    return ns > UNLOAD_NS_MIN ? ns : UNLOAD_NS_MIN;
}

/* ---- what it comes to ---- */

static void tell_failure(struct ollama_resident *o)
{
    struct roster_entry *entry = &o->resident.server->roster.entries[o->resident.slot];
    char quoted[1024];
    if (o->resident.called_off) {
        log_info(id_of(o), "its load was called off");
        return;
    }
    if (!o->failure)
        set_failure(o, alloc_printf("ollama at %s answered that it was loaded, but it is not",
                                    o->endpoint->url));
    free(entry->last_error);
    entry->last_error = alloc_text(o->failure);
    log_warn(id_of(o), "load failed: \"%s\"",
             log_quote(o->failure, strlen(o->failure), quoted, sizeof(quoted)));
}

static void act(struct ollama_resident *o, enum ollama_action action)
{
    struct resident *r = &o->resident;
    switch (action) {
    case OLLAMA_DO_LOAD:
    case OLLAMA_DO_EMBED:
        start_call(o, action == OLLAMA_DO_EMBED, -1, load_ns(o));
        break;
    case OLLAMA_DO_KEEP:
        start_call(o, o->model.embeds, -1, unload_ns(o));
        break;
    case OLLAMA_DO_UNLOAD:
        exchange_end_uncounted_of(o->endpoint->origin, r->slot);
        start_call(o, false, 0, unload_ns(o));
        break;
    case OLLAMA_DO_CANCEL:
        call_cancel(o->call);
        o->call = NULL;
        break;
    case OLLAMA_DO_LOADED:
        log_info(id_of(o), "loaded by ollama at %s", o->endpoint->url);
        resident_complete(r, RESIDENT_DONE, REASON_NONE, 0);
        break;
    case OLLAMA_DO_LOAD_FAILED:
        tell_failure(o);
        resident_complete(r, RESIDENT_FAILED, o->out_of_memory ? REASON_OUT_OF_MEMORY : REASON_NONE,
                          0);
        break;
    case OLLAMA_DO_UNLOADED:
    case OLLAMA_DO_EXITED:
        resident_complete(r, RESIDENT_GONE, REASON_NONE, 0);
        break;
    case OLLAMA_DO_STUCK:
        resident_complete(r, RESIDENT_STUCK, REASON_NONE, 0);
        break;
    case OLLAMA_DO_UNKNOWN:
        resident_complete(r, RESIDENT_UNKNOWN, REASON_NONE, 0);
        break;
    case OLLAMA_ACTION__COUNT:
        break;
    }
}

void ollama_feed(struct ollama_resident *o, enum ollama_event ev, uint64_t at_ns)
{
    struct ollama_actions todo = ollama_step(&o->model, ev, at_ns);
    bool over = o->model.phase == OLLAMA_OVER;
    for (uint32_t i = 0; i < todo.count; i++)
        act(o, todo.items[i]);
    if (over)
        release(o);
}

/* Ollama spills layers to the CPU without a word when it finds too little room. */
static void look_for_spill(struct ollama_resident *o, const struct ollama_listed *at)
{
    struct buf details = {0};
    if (at->vram_bytes == 0 || at->vram_bytes >= at->bytes) {
        o->spilt = false;
        return;
    }
    if (o->spilt || o->model.phase != OLLAMA_HELD)
        return;
    o->spilt = true;
    unsigned long long rest = at->bytes - at->vram_bytes, bytes = at->bytes;
    log_warn(id_of(o), "ollama has put %llu of its %llu bytes on the CPU", rest, bytes);
    buf_text(&details, "{\"model\":");
    buf_json_text(&details, id_of(o));
    buf_printf(&details, ",\"bytes\":%llu,\"cpu_bytes\":%llu}", bytes, rest);
    server_publish(o->resident.server, "running_on_cpu", details.data);
    buf_fini(&details);
}

void ollama_look(struct ollama_resident *o, const struct ollama_listed *at, uint64_t asked_ns)
{
    struct ollama_endpoint *e = o->endpoint;
    uint32_t slot = o->resident.slot;
    if (at)
        o->vram_bytes = at->vram_bytes;
    bool comes = o->model.phase == OLLAMA_CHECKING && asked_ns >= o->model.acted_ns;
    if (at && comes && !ollama_is_measured(o)) {
        e->soon = true;
        return;
    }
    ollama_feed(o, !at ? OLLAMA_UNSEEN : at->brief ? OLLAMA_SEEN_BRIEF : OLLAMA_SEEN, asked_ns);
    o = at ? ollama_resident_at(e, slot) : NULL;
    if (o)
        look_for_spill(o, at);
}

/* ---- found there ---- */

static struct ollama_resident *begin(struct ollama_endpoint *e, uint32_t slot,
                                     const struct resident_order *order)
{
    struct ollama_resident *o = alloc_zeroed(1, sizeof(*o));
    resident_begin(&o->resident, &resident_ollama, e->server, slot, order);
    o->endpoint = e;
    return o;
}

/* Its devices as far as that can be told: where its server is seen to use memory, of those that it
 * may use; else the first of these. */
static uint32_t devices_of(const struct ollama_endpoint *e, const struct config_model *m)
{
    const struct config *c = e->server->roster.current->config;
    uint32_t allowed = 0, mask = 0;
    for (uint32_t g = 0; g < c->gpu_count && g < CORE_DEVICES_MAX; g++)
        if (c->gpus[g].found && config_placement_may_use(c, &m->placements[0], g))
            allowed |= 1U << g;
    uint32_t seen = ollama_seen_on(e, allowed);
    if (seen)
        return seen;
    for (uint32_t g = 0, n = 0; g < CORE_DEVICES_MAX && n < m->placements[0].gpu_count; g++) {
        mask |= allowed & 1U << g;
        n += allowed >> g & 1;
    }
    return mask;
}

void ollama_adopt(struct ollama_endpoint *e, uint32_t slot, const struct ollama_listed *at)
{
    struct ollama_resident *o = begin(e, slot, NULL);
    const struct config_model *m = o->resident.model;
    const struct config *c = e->server->roster.current->config;
    bool placed = m->placement_count && roster_fits(c);
    uint32_t devices = placed && at->vram_bytes ? devices_of(e, m) : 0;
    o->vram_bytes = at->vram_bytes;
    log_info(id_of(o), "found loaded by ollama at %s", e->url);
    ollama_feed(o, OLLAMA_FOUND, uv_hrtime());
    resident_adopt(&o->resident, placed ? 0 : CORE_SLOT_NONE, devices, ADOPTED_LOADED);
}

/* ---- orders ---- */

static void load(struct server *s, uint32_t slot, const struct resident_order *order)
{
    const struct config_model *m = roster_model(&s->roster, slot);
    struct ollama_endpoint *e = s->residents.ollama->endpoints[m->endpoint_number];
    struct ollama_resident *o = begin(e, slot, order);
    ollama_feed(o, OLLAMA_LOAD, uv_hrtime());
    ollama_endpoint_ask(e);
}

static void order(struct resident *r, enum ollama_event ev)
{
    struct ollama_endpoint *e = resident_of(r)->endpoint;
    ollama_feed(resident_of(r), ev, uv_hrtime());
    ollama_endpoint_ask(e);
}

static void unload(struct resident *r)
{
    order(r, OLLAMA_UNLOAD);
}

static void abort_load(struct resident *r)
{
    struct ollama_resident *o = resident_of(r);
    set_failure(o, alloc_printf("ollama at %s had not loaded it by then", o->endpoint->url));
    order(r, OLLAMA_ABORT);
}

static void kill_it(struct resident *r)
{
    order(r, OLLAMA_KILL);
}

static struct origin *origin(struct resident *r)
{
    struct ollama_resident *o = resident_of(r);
    return o->model.phase == OLLAMA_HELD ? o->endpoint->origin : NULL;
}

/* The server is not there; of the model that says nothing. */
static void refused(struct resident *r)
{
    ollama_endpoint_refused(resident_of(r)->endpoint, "connection refused");
}

/* Its process is the server's own business. */
static void describe(const struct resident *r, struct resident_view *ret)
{
    (void)r;
    *ret = (struct resident_view){0};
}

static void probe(struct server *s, uint32_t backend)
{
    struct ollama_endpoint *e = s->residents.ollama->endpoints[backend];
    if (e && e->used)
        ollama_endpoint_ask(e);
}

static bool backend(struct server *s, uint32_t number, struct resident_backend *ret)
{
    const struct ollama_endpoint *e = s->residents.ollama->endpoints[number];
    if (!e)
        return false;
    *ret = (struct resident_backend){e->url, e->why, e->models, e->model_count, !e->used};
    return true;
}

const struct resident_ops resident_ollama = {.word = "ollama",
                                             .load = load,
                                             .abort = abort_load,
                                             .unload = unload,
                                             .kill = kill_it,
                                             .origin = origin,
                                             .refused = refused,
                                             .uses = ollama_uses,
                                             .describe = describe,
                                             .probe = probe,
                                             .backend = backend,
                                             .status = ollama_status};
