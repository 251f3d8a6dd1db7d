#include "server/residents/residents.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/residents/ollama.h"
#include "server/residents/worker.h"
#include "server/server.h"

#define WATCH_NS (5 * NS_PER_S)

static const struct resident_ops *const kinds[CONFIG_BACKEND__COUNT] = {
    [CONFIG_BACKEND_PROCESS] = &resident_process,
    [CONFIG_BACKEND_OLLAMA] = &resident_ollama,
    [CONFIG_BACKEND_WORKER] = &resident_worker,
};

static const char *const op_words[RESIDENT_OPEN__COUNT] = {
    [RESIDENT_LOAD] = "load",       [RESIDENT_UNLOAD] = "unload", [RESIDENT_MOVE] = "move",
    [RESIDENT_SUSPEND] = "suspend", [RESIDENT_RESUME] = "resume",
};

void residents_init(struct server *s)
{
    s->residents =
        (struct residents){.kinds = kinds, .kind_count = countof(kinds), .ollama = ollama_new()};
    uv_timer_init(s->loop, &s->residents.watch);
}

static void on_watch(uv_timer_t *timer)
{
    residents_watch(container_of(timer, struct server, residents.watch), uv_hrtime());
}

int residents_start(struct server *s, struct err *err)
{
    (void)err;
    ollama_start(s);
    s->residents.watched_ns = uv_hrtime();
    return uv_timer_start(&s->residents.watch, on_watch, WATCH_NS / NS_PER_MS,
                          WATCH_NS / NS_PER_MS);
}

void residents_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->residents.watch, NULL);
    ollama_close(s);
}

void residents_fini(struct server *s)
{
    free(s->residents.ollama);
}

void residents_reload(struct server *s, const struct config_ref *old)
{
    (void)old;
    ollama_follow(s);
}

/* What the core gives it. The configuration may have changed since it was loaded. */
static uint64_t limit_of(const struct resident *r)
{
    bool loads = r->open != RESIDENT_UNLOAD && r->open != RESIDENT_SUSPEND;
    const struct config_model *now = roster_model(&r->server->roster, r->slot), *then = r->model;
    uint64_t a = loads ? then->load_timeout_ns : then->unload_timeout_ns, b = a;
    if (now)
        b = loads ? now->load_timeout_ns : now->unload_timeout_ns;
    return a > b ? a : b;
}

static void report(struct server *s, struct resident *r)
{
    const char *id = roster_id(&s->roster, r->slot);
    struct buf details = {0};
    uint64_t seconds = r->open_ns / NS_PER_S;
    r->overdue = true;
    log_error_with(id, LOG_WITH(LOG_TEXT("op", op_words[r->open]), LOG_NUMBER("seconds", seconds)),
                   "no progress");
    buf_text(&details, "{\"model\":");
    buf_json_text(&details, id);
    buf_printf(&details, ",\"op\":\"%s\",\"seconds\":%llu}", op_words[r->open],
               (unsigned long long)seconds);
    server_publish(s, "no_progress", details.data);
    buf_fini(&details);
}

void residents_watch(struct server *s, uint64_t now_ns)
{
    uint64_t passed = now_ns - s->residents.watched_ns;
    s->residents.watched_ns = now_ns;
    /* Time in which the daemon stood still counts against nobody, as in the core. */
    if (passed > 2 * WATCH_NS)
        passed = WATCH_NS;
    for (uint32_t i = 0; i < s->roster.count; i++) {
        struct resident *r = s->roster.entries[i].resident;
        if (!r || r->open == RESIDENT_IDLE)
            continue;
        r->open_ns += passed;
        if (!r->overdue && r->open_ns > RESIDENT_OVERDUE_NS &&
            r->open_ns - RESIDENT_OVERDUE_NS > limit_of(r))
            report(s, r);
    }
}

#define BACKEND_NAME_MAX 32

/* By the name that its kind gives it, or else by its number. */
static struct resident_backend backend_of(struct server *s, uint32_t backend,
                                          char name[BACKEND_NAME_MAX])
{
    struct resident_backend is = {.name = name, .reason = reason_text(REASON_BACKEND_DOWN)};
    snprintf(name, BACKEND_NAME_MAX, "%u", backend);
    for (uint32_t i = 0; i < s->residents.kind_count; i++) {
        const struct resident_ops *ops = s->residents.kinds[i];
        if (ops && ops->backend && ops->backend(s, backend, &is))
            break;
    }
    return is;
}

void residents_backend_down(struct server *s, uint32_t backend)
{
    char name[BACKEND_NAME_MAX];
    struct resident_backend is = backend_of(s, backend, name);
    degraded_set(s, DEGRADED_BACKEND, is.name, is.reason, is.models, is.model_count);
}

void residents_backend_up(struct server *s, uint32_t backend)
{
    char name[BACKEND_NAME_MAX];
    degraded_clear(s, DEGRADED_BACKEND, backend_of(s, backend, name).name);
}

struct resident *resident_at(const struct server *s, uint32_t slot)
{
    return slot < s->roster.count ? s->roster.entries[slot].resident : NULL;
}

struct origin *resident_origin(const struct server *s, uint32_t slot)
{
    struct resident *r = resident_at(s, slot);
    return r ? r->ops->origin(r) : NULL;
}

void resident_refused(struct server *s, uint32_t slot)
{
    struct resident *r = resident_at(s, slot);
    if (r)
        r->ops->refused(r);
}

void resident_describe(const struct server *s, uint32_t slot, struct resident_view *ret)
{
    const struct resident *r = resident_at(s, slot);
    *ret = (struct resident_view){0};
    if (r)
        r->ops->describe(r, ret);
}

/* What its main process uses is a model's own; to look for descendants costs far more. */
static void take_own(const struct resident *r, struct resident_claim *claims, uint32_t count)
{
    struct resident_view view = {0};
    r->ops->describe(r, &view);
    for (uint32_t i = 0; i < count && view.pid; i++)
        if (claims[i].pid == view.pid && !claims[i].known)
            claims[i].slot = r->slot;
}

bool resident_claimed(const struct resident *r, const struct resident_claim *claims, uint32_t count,
                      uint64_t *ret_bytes)
{
    uint64_t sum = 0;
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        if (claims[i].slot != r->slot)
            continue;
        any = true;
        sum += claims[i].bytes;
    }
    if (any)
        *ret_bytes = sum;
    return any;
}

uint32_t resident_uses(struct server *s, uint32_t device, struct resident_claim *claims,
                       uint32_t claim_count, struct sample_use *ret, uint32_t ret_max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->roster.count; i++)
        if (s->roster.entries[i].resident)
            take_own(s->roster.entries[i].resident, claims, claim_count);
    for (uint32_t i = 0; i < s->roster.count && count < ret_max; i++) {
        struct resident *r = s->roster.entries[i].resident;
        uint64_t bytes;
        if (!r)
            continue;
        if (r->ops->uses ? r->ops->uses(r, device, claims, claim_count, &bytes)
                         : resident_claimed(r, claims, claim_count, &bytes))
            ret[count++] = (struct sample_use){.model = i, .bytes = bytes};
    }
    return count;
}
