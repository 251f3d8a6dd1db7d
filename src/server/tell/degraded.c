#include "server/tell/degraded.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/server.h"

const char *const degraded_words[DEGRADED__COUNT] = {[DEGRADED_GPU] = "gpu",
                                                     [DEGRADED_BACKEND] = "backend",
                                                     [DEGRADED_STORE] = "store",
                                                     [DEGRADED_LIMIT] = "limit",
                                                     [DEGRADED_CERTIFICATE] = "certificate"};

static struct degradation *find(struct degraded *d, enum degraded_what what, const char *name)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->items[i].what == what && strcmp(d->items[i].name, name) == 0)
            return &d->items[i];
    return NULL;
}

static struct degradation *add(struct degraded *d, enum degraded_what what, const char *name)
{
    if (d->count == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 4;
        d->items = alloc_grow(d->items, d->cap, sizeof(*d->items));
    }
    struct degradation *it = &d->items[d->count++];
    *it = (struct degradation){.what = what, .name = alloc_text(name), .since_ns = uv_hrtime()};
    return it;
}

static void clear(struct degradation *it)
{
    free(it->name);
    free(it->reason);
    free(it->models);
}

static void publish(struct server *s, const char *type, const struct degradation *it)
{
    struct buf details = {0};
    buf_printf(&details, "{\"what\":\"%s\",\"name\":", degraded_words[it->what]);
    if (*it->name)
        buf_json_text(&details, it->name);
    else
        buf_text(&details, "null");
    buf_text(&details, ",\"reason\":");
    buf_json_text(&details, it->reason);
    buf_text(&details, ",\"models\":[");
    for (uint32_t i = 0; i < it->model_count; i++) {
        buf_text(&details, i ? "," : "");
        buf_json_text(&details, roster_id(&s->roster, it->models[i]));
    }
    uint64_t ms = (uv_hrtime() - it->since_ns) / NS_PER_MS;
    buf_printf(&details, "],\"seconds\":%llu.%03llu}", (unsigned long long)(ms / 1000),
               (unsigned long long)(ms % 1000));
    log_at_with(strcmp(type, "degraded") == 0 ? LOG_WARN : LOG_INFO, NULL,
                LOG_WITH(LOG_JSON("details", details.data)), "%s", type);
    server_publish(s, type, details.data);
    buf_fini(&details);
}

void degraded_set(struct server *s, enum degraded_what what, const char *name, const char *reason,
                  const uint32_t *models, uint32_t model_count)
{
    struct degradation *it = find(&s->degraded, what, name);
    if (!it)
        it = add(&s->degraded, what, name);
    bool same = it->reason && strcmp(it->reason, reason) == 0;
    /* Before the old ones go, which may be what was given. */
    char *new_reason = alloc_text(reason);
    uint32_t *new_models = alloc_zeroed(model_count + 1, sizeof(*new_models));
    for (uint32_t i = 0; i < model_count; i++)
        new_models[i] = models[i];
    free(it->reason);
    free(it->models);
    it->reason = new_reason;
    it->models = new_models;
    it->model_count = model_count;
    if (what == DEGRADED_STORE)
        mend_soon(s);
    if (!same)
        publish(s, "degraded", it);
}

void degraded_clear(struct server *s, enum degraded_what what, const char *name)
{
    struct degraded *d = &s->degraded;
    struct degradation *it = find(d, what, name);
    if (!it)
        return;
    struct degradation was = *it;
    d->count--;
    memmove(it, it + 1, (size_t)(d->items + d->count - it) * sizeof(*it));
    publish(s, "recovered", &was);
    clear(&was);
}

const struct degradation *degraded_find(const struct server *s, enum degraded_what what,
                                        const char *name)
{
    for (uint32_t i = 0; i < s->degraded.count; i++)
        if (s->degraded.items[i].what == what && strcmp(s->degraded.items[i].name, name) == 0)
            return &s->degraded.items[i];
    return NULL;
}

const char *degraded_backend_of(const struct server *s, uint32_t slot)
{
    for (uint32_t i = 0; i < s->degraded.count; i++) {
        const struct degradation *it = &s->degraded.items[i];
        for (uint32_t k = 0; it->what == DEGRADED_BACKEND && k < it->model_count; k++)
            if (it->models[k] == slot)
                return it->reason;
    }
    return NULL;
}

void degraded_fini(struct server *s)
{
    for (uint32_t i = 0; i < s->degraded.count; i++)
        clear(&s->degraded.items[i]);
    free(s->degraded.items);
    s->degraded = (struct degraded){.items = NULL};
}
