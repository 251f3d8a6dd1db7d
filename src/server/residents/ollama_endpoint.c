/* One Ollama server: the list of what is loaded there, asked for again and again, and what follows
 * from it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "config/ollama_name.h"
#include "server/net/call.h"
#include "server/net/origin.h"
#include "server/proxy/upstream.h"
#include "server/residents/ollama.h"
#include "server/server.h"

#define BOOT "ollama"
/* A list that is to come within this; less where an unload has less. */
#define LIST_NS_MAX (5 * NS_PER_S)
#define LIST_NS_MIN (100 * NS_PER_MS)
/* More than the first lists, the look for processes and that for GPUs take. */
#define BOOT_NS_MAX (60 * NS_PER_S)
/* While a device is being read. */
#define SOON_NS (20 * NS_PER_MS)
#define VERSION_BYTES_MAX 4096

static const char *id_of(const struct ollama_endpoint *e, uint32_t slot)
{
    return roster_id(&e->server->roster, slot);
}

/* ---- whether it is of any use ---- */

static bool is_resident(const struct ollama_endpoint *e)
{
    bool there = false;
    for (uint32_t i = 0; i < e->server->roster.count; i++)
        there |= ollama_resident_at(e, i) != NULL;
    return there;
}

static void cancel_calls(struct ollama_endpoint *e)
{
    if (e->list)
        call_cancel(e->list);
    if (e->version_call)
        call_cancel(e->version_call);
    e->list = e->version_call = NULL;
    uv_timer_stop(&e->timer);
}

/* Nothing of it is configured or loaded any more: its number may become another's, and that one is
 * not to be thought of as down. */
static void leave(struct ollama_endpoint *e)
{
    cancel_calls(e);
    ollama_tree_close(e);
    if (e->state == OLLAMA_DOWN)
        runner_event(&e->server->runner,
                     (struct event){.type = EVENT_BACKEND_UP, .backend = {.backend = e->number}});
    if (e->origin) {
        e->origin->open = false;
        upstream_drop_idle(e->origin);
        origin_put(e->origin);
    }
    e->origin = NULL;
    e->state = OLLAMA_NEW;
    e->used = e->again = false;
    e->listed.count = e->stranger_count = 0;
    e->version[0] = '\0';
}

/* When all has been said of what was there: that it is down comes before that it is nobody's. */
static bool leave_if_unused(struct ollama_endpoint *e)
{
    if (e->used && e->model_count == 0 && !is_resident(e) && !e->server->residents.ollama->closed)
        leave(e);
    return !e->used;
}

/* ---- asking ---- */

static void on_timer(uv_timer_t *timer)
{
    ollama_endpoint_ask(container_of(timer, struct ollama_endpoint, timer));
}

static void arm(struct ollama_endpoint *e)
{
    if (leave_if_unused(e))
        return;
    bool busy = e->server->residents.ollama->boots, holds = e->listed.count > 0;
    for (uint32_t i = 0; i < e->server->roster.count; i++) {
        const struct ollama_resident *o = ollama_resident_at(e, i);
        holds |= o != NULL;
        busy |= o && ollama_is_busy(&o->model);
    }
    uint64_t ns = ollama_period_ns(e->state, busy, holds);
    if (e->soon)
        ns = SOON_NS;
    e->soon = false;
    if (uv_is_closing((uv_handle_t *)&e->timer))
        return;
    uv_timer_stop(&e->timer);
    uv_update_time(e->server->loop);
    if (ns)
        uv_timer_start(&e->timer, on_timer, ns / NS_PER_MS, 0);
}

/* It must answer within what the quickest of its models has for an unload. */
static uint64_t list_ns(const struct ollama_endpoint *e)
{
    uint64_t ns = LIST_NS_MAX;
    for (uint32_t i = 0; i < e->model_count; i++) {
        const struct config_model *m = roster_model(&e->server->roster, e->models[i]);
        if (m && m->unload_timeout_ns < ns)
            ns = m->unload_timeout_ns;
    }
    return ns > LIST_NS_MIN ? ns : LIST_NS_MIN;
}

static void on_listed(void *arg, const struct call_answer *a);

void ollama_endpoint_ask(struct ollama_endpoint *e)
{
    if (leave_if_unused(e))
        return;
    const struct call_spec spec = {.method = "GET",
                                   .path = "/api/ps",
                                   .timeout_ns = list_ns(e),
                                   .answer_bytes_max = OLLAMA_ANSWER_BYTES_MAX};
    e->again = e->list || e->tree.scan;
    if (e->again || e->server->residents.ollama->closed)
        return;
    uv_timer_stop(&e->timer);
    e->asked_ns = uv_hrtime();
    e->list = call_start(e->origin, &spec, on_listed, e);
}

static void on_version(void *arg, const struct call_answer *a)
{
    struct ollama_endpoint *e = arg;
    e->version_call = NULL;
    if (!a->error && a->status == 200)
        ollama_read_version(a->body, a->n, e->version, sizeof(e->version));
}

static void ask_version(struct ollama_endpoint *e)
{
    const struct call_spec spec = {.method = "GET",
                                   .path = "/api/version",
                                   .timeout_ns = LIST_NS_MAX,
                                   .answer_bytes_max = VERSION_BYTES_MAX};
    if (!e->version_call)
        e->version_call = call_start(e->origin, &spec, on_version, e);
}

/* ---- there, or not ---- */

/* What was asked of it will not be answered. The core, which is told next, takes it so too. */
static void lose_models(struct ollama_endpoint *e)
{
    for (uint32_t i = 0; i < e->server->roster.count; i++) {
        struct ollama_resident *o = ollama_resident_at(e, i);
        if (o)
            ollama_feed(o, OLLAMA_LOST, uv_hrtime());
    }
}

/* Whether what it has been found to hold is measured, too. */
static bool is_known(struct ollama_endpoint *e)
{
    bool known = e->state != OLLAMA_NEW;
    for (uint32_t i = 0; i < e->server->roster.count; i++) {
        struct ollama_resident *o = ollama_resident_at(e, i);
        known &= !o || ollama_is_measured(o);
    }
    e->soon |= !known;
    return known;
}

/* The boot goes on when all are known. */
static void release_boot(struct server *s)
{
    struct ollama *all = s->residents.ollama;
    bool waits = false;
    for (uint32_t i = 1; i <= CORE_BACKENDS_MAX && all->boots; i++)
        waits |= all->endpoints[i] && all->endpoints[i]->used && !is_known(all->endpoints[i]);
    if (!all->boots || waits)
        return;
    all->boots = false;
    boot_release(s, BOOT);
}

static void change(struct ollama_endpoint *e, enum ollama_answer answer)
{
    struct server *s = e->server;
    bool first = e->state == OLLAMA_NEW;
    enum ollama_change is = ollama_answered(&e->state, answer);
    if (is == OLLAMA_WENT_DOWN) {
        upstream_drop_idle(e->origin);
        lose_models(e);
        ollama_tree_close(e);
        e->listed.count = 0;
        e->stranger_count = 0;
        runner_event(&s->runner,
                     (struct event){.type = EVENT_BACKEND_DOWN, .backend = {.backend = e->number}});
    } else if (is == OLLAMA_CAME_UP) {
        runner_event(&s->runner,
                     (struct event){.type = EVENT_BACKEND_UP, .backend = {.backend = e->number}});
    }
    if (e->state == OLLAMA_UP && (first || is == OLLAMA_CAME_UP))
        ask_version(e);
}

void ollama_endpoint_refused(struct ollama_endpoint *e, const char *why)
{
    if (!e->used || e->server->residents.ollama->closed)
        return;
    if (e->list) {
        call_cancel(e->list);
        e->list = NULL;
    }
    snprintf(e->why, sizeof(e->why), "ollama at %s does not answer: %s", e->url, why);
    change(e, OLLAMA_REFUSED);
    release_boot(e->server);
    arm(e);
}

static void note_failure(struct ollama_endpoint *e, const struct call_answer *a)
{
    if (a->error)
        snprintf(e->why, sizeof(e->why), "ollama at %s does not answer: %s", e->url, a->why);
    else if (a->status != 200)
        snprintf(e->why, sizeof(e->why), "ollama at %s answers /api/ps with %d", e->url, a->status);
    else
        snprintf(e->why, sizeof(e->why), "what answers at %s is no ollama: its /api/ps is no list",
                 e->url);
}

static void on_listed(void *arg, const struct call_answer *a)
{
    struct ollama_endpoint *e = arg;
    bool fine = !a->error && a->status == 200;
    e->list = NULL;
    fine = fine && ollama_read_list(a->body, a->n, (int64_t)time(NULL), &e->next) == 0;
    if (fine && ollama_endpoint_changed(e)) {
        ollama_tree_scan(e);
        return;
    }
    if (fine) {
        ollama_endpoint_take(e);
        return;
    }
    note_failure(e, a);
    change(e, a->error == UV_ETIMEDOUT ? OLLAMA_SLOW : OLLAMA_REFUSED);
    release_boot(e->server);
    arm(e);
}

/* ---- what the list says ---- */

static const struct ollama_listed *find(const struct ollama_list *l, const char *name)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (config_same_ollama_name(l->items[i].name, name))
            return &l->items[i];
    return NULL;
}

/* Which of its processes are whose follows from which models are there. */
bool ollama_endpoint_changed(const struct ollama_endpoint *e)
{
    bool changed = e->tree.wanted || e->next.count != e->listed.count || e->state != OLLAMA_UP;
    for (uint32_t i = 0; i < e->next.count && !changed; i++)
        changed = !find(&e->listed, e->next.items[i].name);
    for (uint32_t i = 0; i < e->server->roster.count && !changed; i++) {
        const struct ollama_resident *o = ollama_resident_at(e, i);
        changed = o && ollama_is_busy(&o->model);
    }
    return changed;
}

static void find_strangers(struct ollama_endpoint *e)
{
    e->stranger_count = 0;
    for (uint32_t i = 0; i < e->listed.count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < e->server->roster.count; k++) {
            const struct ollama_resident *o = ollama_resident_at(e, k);
            known |= o && config_same_ollama_name(o->resident.model->backend_model,
                                                  e->listed.items[i].name);
        }
        for (uint32_t k = 0; k < e->model_count; k++) {
            const struct config_model *m = roster_model(&e->server->roster, e->models[k]);
            known |= m && config_same_ollama_name(m->backend_model, e->listed.items[i].name);
        }
        e->strange[i] = !known;
        e->stranger_count += !known;
    }
}

/* Another model of the configuration may have the same name there: what is there is that one's. */
static bool is_taken(const struct ollama_endpoint *e, const char *name)
{
    bool taken = false;
    for (uint32_t i = 0; i < e->server->roster.count; i++) {
        const struct ollama_resident *o = ollama_resident_at(e, i);
        taken |= o && config_same_ollama_name(o->resident.model->backend_model, name);
    }
    return taken;
}

/* Not before it is known which devices there are: they are part of what the core is told. */
static bool may_adopt(const struct server *s)
{
    return !s->stopping && (s->boot.over || boot_waits_only_for(s, BOOT));
}

static void adopt_new(struct ollama_endpoint *e)
{
    for (uint32_t i = 0; i < e->model_count; i++) {
        uint32_t slot = e->models[i];
        const struct config_model *m = roster_model(&e->server->roster, slot);
        const struct ollama_listed *at = m ? find(&e->listed, m->backend_model) : NULL;
        if (at && !resident_at(e->server, slot) && !is_taken(e, m->backend_model))
            ollama_adopt(e, slot, at);
    }
}

void ollama_endpoint_take(struct ollama_endpoint *e)
{
    struct server *s = e->server;
    uint64_t asked_ns = e->asked_ns;
    bool adopts = may_adopt(s);
    e->listed = e->next;
    find_strangers(e);
    /* Up comes before what is there: the core looks at that then. */
    if (e->state != OLLAMA_NEW || adopts)
        change(e, OLLAMA_LISTED);
    for (uint32_t i = 0; i < s->roster.count; i++) {
        struct ollama_resident *o = ollama_resident_at(e, i);
        if (o)
            ollama_look(o, find(&e->listed, o->resident.model->backend_model), asked_ns);
    }
    if (adopts)
        adopt_new(e);
    release_boot(s);
    if (e->again)
        ollama_endpoint_ask(e);
    else
        arm(e);
}

/* ---- numbers ---- */

static bool is_named(const struct config *c, const char *url)
{
    bool named = false;
    for (uint32_t i = 0; i < c->model_count; i++)
        named |= strcmp(c->models[i].endpoint, url) == 0;
    return named;
}

static struct ollama_endpoint *add(struct server *s, uint32_t number, const char *url)
{
    struct ollama_endpoint *e = s->residents.ollama->endpoints[number];
    if (!e) {
        e = s->residents.ollama->endpoints[number] = alloc_zeroed(1, sizeof(*e));
        uv_timer_init(s->loop, &e->timer);
        e->server = s;
        e->number = number;
    }
    free(e->url);
    e->url = alloc_text(url);
    return e;
}

/* The endpoint's, or a free one for it; NULL: there is none. */
static struct ollama_endpoint *place(struct server *s, const struct config *c, const char *url)
{
    struct ollama_endpoint **all = s->residents.ollama->endpoints;
    uint32_t number = 0;
    for (uint32_t i = 1; i <= CORE_BACKENDS_MAX; i++)
        if (all[i] && strcmp(all[i]->url, url) == 0)
            return all[i];
    for (uint32_t i = CORE_BACKENDS_MAX; i >= 1; i--)
        if (!all[i] || (!all[i]->used && !is_named(c, all[i]->url)))
            number = i;
    return number ? add(s, number, url) : NULL;
}

bool residents_place(struct server *s, struct config *c)
{
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (!*c->models[i].endpoint)
            continue;
        const struct ollama_endpoint *e = place(s, c, c->models[i].endpoint);
        if (!e)
            return false;
        c->models[i].endpoint_number = e->number;
    }
    return true;
}

/* ---- the life of all ---- */

static void make_origin(struct ollama_endpoint *e, const struct config_model *m)
{
    struct err err = {0};
    if (!e->origin)
        e->origin = origin_new(e->server);
    e->origin->connect_timeout_ns = m->connect_timeout_ns;
    e->origin->tls_timeout_ns = m->tls_timeout_ns;
    e->origin->header_timeout_ns = m->header_timeout_ns;
    e->origin->idle_timeout_ns = m->idle_timeout_ns;
    e->origin->keepalive_ns = m->keepalive_ns;
    if (e->origin->open)
        return;
    if (origin_locate(e->origin, e->url, &err) < 0)
        log_error(m->id, "%s", err.text);
    else
        e->origin->open = true;
}

/* Which of its models there are, by the configuration in force. */
static void follow(struct ollama_endpoint *e)
{
    const struct config_ref *ref = e->server->roster.current;
    e->model_count = 0;
    free(e->models);
    e->models = alloc_zeroed(ref->config->model_count + 1, sizeof(*e->models));
    for (uint32_t i = 0; i < ref->config->model_count; i++) {
        const struct config_model *m = &ref->config->models[i];
        if (m->endpoint_number != e->number)
            continue;
        if (e->model_count == 0)
            make_origin(e, m);
        e->models[e->model_count++] = ref->slots[i];
    }
    e->used |= e->model_count > 0;
    ollama_endpoint_ask(e);
}

void ollama_follow(struct server *s)
{
    for (uint32_t i = 1; i <= CORE_BACKENDS_MAX; i++)
        if (s->residents.ollama->endpoints[i])
            follow(s->residents.ollama->endpoints[i]);
}

struct ollama *ollama_new(void)
{
    return alloc_zeroed(1, sizeof(struct ollama));
}

void ollama_start(struct server *s)
{
    struct ollama *all = s->residents.ollama;
    for (uint32_t i = 1; i <= CORE_BACKENDS_MAX; i++)
        all->boots |= all->endpoints[i] != NULL;
    if (all->boots)
        boot_hold(s, BOOT, BOOT_NS_MAX);
    ollama_follow(s);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct ollama_endpoint *e = container_of(handle, struct ollama_endpoint, timer);
    free(e->url);
    free(e->models);
    free(e);
}

/* Residents that are left are let go: what they held stays where it is. */
static void drop_models(struct ollama_endpoint *e)
{
    for (uint32_t i = 0; i < e->server->roster.count; i++) {
        struct ollama_resident *o = ollama_resident_at(e, i);
        if (!o)
            continue;
        log_warn(id_of(e, i), "left loaded at %s", e->url);
        ollama_drop(o);
    }
}

void ollama_close(struct server *s)
{
    struct ollama *all = s->residents.ollama;
    all->closed = true;
    for (uint32_t i = 1; i <= CORE_BACKENDS_MAX; i++) {
        struct ollama_endpoint *e = all->endpoints[i];
        if (!e)
            continue;
        drop_models(e);
        cancel_calls(e);
        ollama_tree_close(e);
        if (e->origin) {
            e->origin->open = false;
            upstream_drop_idle(e->origin);
            origin_put(e->origin);
        }
        all->endpoints[i] = NULL;
        uv_close((uv_handle_t *)&e->timer, on_timer_closed);
    }
}

/* ---- what others ask ---- */

static void put_strangers(const struct ollama_endpoint *e, struct buf *b)
{
    const char *sep = "";
    for (uint32_t k = 0; k < e->listed.count; k++) {
        const struct ollama_listed *at = &e->listed.items[k];
        if (!e->strange[k])
            continue;
        buf_printf(b, "%s{\"name\":", sep);
        buf_json_text(b, at->name);
        if (at->bytes)
            buf_printf(b, ",\"bytes\":%" PRIu64, at->bytes);
        else
            buf_text(b, ",\"bytes\":null");
        buf_printf(b, ",\"vram_bytes\":%" PRIu64 "}", at->vram_bytes);
        sep = ",";
    }
}

void ollama_status(const struct server *s, uint32_t backend, struct buf *b)
{
    const struct ollama_endpoint *e = s->residents.ollama->endpoints[backend];
    buf_text(b, ",\"version\":");
    if (e->version[0] && e->state != OLLAMA_DOWN)
        buf_json_text(b, e->version);
    else
        buf_text(b, "null");
    buf_text(b, ",\"strangers\":[");
    put_strangers(e, b);
    buf_char(b, ']');
}
