#include "server/limits.h"

#include <malloc.h>
#include <stdio.h>

#include "base/log.h"
#include "base/pure/errors.h"
#include "http/chunk.h"
#include "http/head.h"
#include "server/proxy/client.h"
#include "server/server.h"

/* Connections whose memory is worth the trouble. */
#define CROWD 64
#define TIDY_MS 1000

const char *const limit_names[LIMIT__COUNT] = {
#define LIMIT(name, ...) [LIMIT_##name] = #name,
#include "server/limits.def"
};

static const struct row {
    const char *unit, *setting;
    int error;
} rows[LIMIT__COUNT] = {
#define LIMIT(name, unit, setting, def, error, ...) [LIMIT_##name] = {unit, setting, ERR_##error},
#include "server/limits.def"
};

const char *limit_unit(enum limit which)
{
    return rows[which].unit;
}

const char *limit_setting(enum limit which)
{
    return *rows[which].setting ? rows[which].setting : NULL;
}

static const struct config *config_of(const struct server *s)
{
    return s->roster.current->config;
}

/* ---- who may come in ---- */

/* A reload may ask for fewer, and not for more than there is room for. */
static uint32_t connections_max(const struct server *s)
{
    uint32_t configured = config_of(s)->connections_max;
    return configured < s->limits.connections_max ? configured : s->limits.connections_max;
}

static uint32_t connections(const struct server *s)
{
    return s->clients.count - s->limits.turned_away;
}

static void tell_full(struct server *s)
{
    char reason[160];
    snprintf(reason, sizeof(reason),
             "%u connections are all that may be (maxConnections, open files): others are told 503",
             connections_max(s));
    s->limits.connections_full = true;
    degraded_set(s, DEGRADED_LIMIT, limit_names[LIMIT_connections], reason, NULL, 0);
}

bool limits_admit(struct server *s, bool is_unix)
{
    uint32_t max = connections_max(s), now = connections(s);
    if (s->stopping)
        return false;
    if (now < max)
        return true;
    if (!s->limits.connections_full)
        tell_full(s);
    if (is_unix && now < max + CONNECTIONS_KEPT)
        return true;
    limits_refused(s, is_unix ? LIMIT_connections_kept : LIMIT_connections);
    return false;
}

void limits_client_left(struct server *s)
{
    if (!s->limits.connections_full || connections(s) * 10ull > connections_max(s) * 9ull)
        return;
    s->limits.connections_full = false;
    degraded_clear(s, DEGRADED_LIMIT, limit_names[LIMIT_connections]);
}

/* What lies between pieces that others still use would stay with the daemon for good. It takes some
 * milliseconds, so only a crowd is worth it. */
void limits_tidy(struct server *s)
{
    uint32_t now = s->clients.count;
    s->limits.peak = now > s->limits.peak ? now : s->limits.peak;
    uint64_t at_ms = uv_now(s->loop);
    if (s->limits.peak < CROWD || now > s->limits.peak / 4 || at_ms - s->limits.tidied_ms < TIDY_MS)
        return;
    s->limits.peak = now;
    s->limits.tidied_ms = at_ms;
    malloc_trim(0);
}

/* ---- what was refused ---- */

void limits_refused(struct server *s, enum limit which)
{
    s->limits.refused[which]++;
}

void limits_count(struct server *s, int error)
{
    int e = error < 0 ? -error : error;
    for (int i = 0; i < LIMIT__COUNT; i++)
        if (rows[i].error == e && e != ERR_NONE)
            limits_refused(s, (enum limit)i);
}

/* ---- how far they are used up ---- */

#define LIMIT_COUNTED (LIMIT_UNKNOWN - 1)

/* Of the model that is nearest to its bound. */
struct fullest {
    uint64_t used, max;
};

static struct fullest fullest(const struct server *s, bool running)
{
    const struct config *c = config_of(s);
    struct fullest f = {LIMIT_UNKNOWN, LIMIT_UNKNOWN};
    for (uint32_t slot = 0; slot < s->roster.count; slot++) {
        struct core_model_view v;
        uint32_t index = s->roster.entries[slot].index;
        if (!s->roster.entries[slot].id || index == CORE_SLOT_NONE)
            continue;
        core_view_model(s->runner.core, slot, &v);
        const struct config_model *m = &c->models[index];
        uint64_t used = running ? v.running : v.waiting;
        uint64_t max = running ? m->concurrency_limit : m->queue_max;
        if (f.max == LIMIT_UNKNOWN || used * f.max > f.used * max)
            f = (struct fullest){used, max};
    }
    return f;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void limits_look(const struct server *s, struct limit_now ret[LIMIT__COUNT])
{
    const struct config *c = config_of(s);
    struct fullest queue = fullest(s, false), running = fullest(s, true);
    struct store *store = s->history.store;
    struct archive *archive = s->archiving.archive;
    uint64_t in = connections(s), most = connections_max(s);
    const struct limit_now now[LIMIT__COUNT] = {
#define UNKNOWN LIMIT_UNKNOWN
#define COUNTED LIMIT_COUNTED
#define LIMIT(name, unit, setting, def, error, used, max, refused, ...)                            \
    [LIMIT_##name] = {used, max, refused},
#include "server/limits.def"
    };
    for (int i = 0; i < LIMIT__COUNT; i++) {
        ret[i] = now[i];
        if (now[i].refused == LIMIT_COUNTED)
            ret[i].refused = s->limits.refused[i];
    }
}
