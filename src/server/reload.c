/* A configuration takes the place of another. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/gpus/devices.h"
#include "server/parts.h"
#include "server/proxy/upstream.h"
#include "server/server.h"
#include "server/service.h"
#include "server/watch.h"

/* Said, since it changes for all of them once one is named. */
static void tell_of_admins(const struct config *c)
{
    bool named = false;
    for (uint32_t i = 0; i < c->key_count; i++)
        named |= c->keys[i].admin;
    if (c->key_count && !named)
        log_info(NULL,
                 "no key has admin: true, so all may change what stands below /wharf but those "
                 "with models, readOnly or admin: false");
}

void server_apply(struct server *s)
{
    const struct config_timeouts *t = &s->roster.current->config->timeouts;
    const uint64_t lengths[TIMEOUT__COUNT] = {
        [TIMEOUT_HEAD] = t->head_ns / NS_PER_MS,
        [TIMEOUT_BODY] = t->body_ns / NS_PER_MS,
        [TIMEOUT_IDLE] = t->idle_ns / NS_PER_MS,
        [TIMEOUT_WRITE] = t->write_ns / NS_PER_MS,
        [TIMEOUT_LINGER] = 1000,
        [TIMEOUT_POOL] = UPSTREAM_IDLE_MS,
    };
    logs_apply(s, s->roster.current->config);
    tell_of_admins(s->roster.current->config);
    memcpy(s->timeouts.length_ms, lengths, sizeof(lengths));
    s->bodies.body_max = s->roster.current->config->body_bytes_max;
    s->bodies.spooled_max = s->roster.current->config->spool_bytes_max;
}

void server_hide_keys(struct server *s)
{
    const struct config *c = s->roster.current->config;
    const char **keys = alloc_zeroed(c->key_count + 1, sizeof(*keys));
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->key_count; i++)
        if (*c->keys[i].key)
            keys[n++] = c->keys[i].key;
    children_hide(s->children, keys);
    free(keys);
}

/* What was opened at the start stays as it is until the next one. */
static void warn_of_fixed(const struct config *old, const struct config *new)
{
    bool listens = old->listen_count != new->listen_count;
    for (uint32_t i = 0; !listens && i < new->listen_count; i++)
        listens = strcmp(old->listens[i].host, new->listens[i].host) != 0 ||
                  strcmp(old->listens[i].path, new->listens[i].path) != 0 ||
                  old->listens[i].port != new->listens[i].port;
    if (old->connections_max < new->connections_max)
        log_warn(NULL, "a raised maxConnections takes effect at the next start");
    if (strcmp(old->state, new->state) != 0)
        log_warn(NULL, "a change of state takes effect at the next start");
    if (old->access.socket_mode != new->access.socket_mode ||
        old->access.socket_gid != new->access.socket_gid)
        log_warn(NULL, "a change of socket takes effect at the next start");
    if (listens)
        log_warn(NULL, "a change of listen takes effect at the next start");
}

static bool reload(struct server *s)
{
    struct config_ref *old = config_ref_get(s->roster.current);
    struct config_report report = {0};
    watch_note(s);
    struct config *config = config_load(&s->options.sources, &report);
    for (const char *at = report.text.data; at && *at; at += strspn(at, "\n")) {
        size_t n = strcspn(at, "\n");
        log_warn(NULL, "configuration: %.*s", (int)n, at);
        at += n;
    }
    config_report_fini(&report);
    if (config && !residents_place(s, config)) {
        log_error(NULL, "too many ollama servers, with those whose models are still leaving");
        config_free(config);
        config = NULL;
    }
    if (config && !roster_apply(&s->roster, config)) {
        log_error(NULL, "too many models are still leaving");
        config = NULL;
    }
    if (!config) {
        log_error(NULL, "the configuration was not reloaded; the old one stays in force");
        server_publish(s, "config_rejected", "{}");
        config_ref_put(old);
        return false;
    }
    warn_of_fixed(old->config, config);
    devices_adopt(s->devices, config, old->config);
    server_apply(s);
    server_hide_keys(s);
    for (uint32_t i = 0; i < server_part_count; i++)
        if (server_parts[i].reload)
            server_parts[i].reload(s, old);
    config_ref_put(old);
    malloc_trim(0); /* loading it left holes, as at the start */
    log_info_with(NULL, LOG_WITH(LOG_NUMBER("models", config->model_count)),
                  "configuration reloaded");
    server_publish(s, "config_reloaded", "{}");
    changes_models(s);
    return true;
}

bool server_reload(struct server *s)
{
    service_reloading(s);
    bool ok = reload(s);
    service_reloaded(s, ok);
    return ok;
}
