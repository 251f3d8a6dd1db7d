/* What is said of leases: lines to their holders, and why they are refused. */
#include <stdlib.h>
#include <string.h>

#include "base/pure/errors.h"
#include "mapping/mapping.h"
#include "server/gpus/devices.h"
#include "server/leases/leases_priv.h"
#include "server/server.h"

/* ---- lines ---- */

static void put_seconds(struct buf *out, const char *name, uint64_t ns)
{
    buf_printf(out, ",\"%s\":%llu.%03llu", name, (unsigned long long)(ns / NS_PER_S),
               (unsigned long long)(ns % NS_PER_S / NS_PER_MS));
}

static void put_devices(const struct lease *l, struct buf *out)
{
    const struct config *c = l->server->roster.current->config;
    const char *sep = "";
    buf_text(out, ",\"devices\":[");
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        if (!(l->devices >> d & 1))
            continue;
        buf_printf(out, "%s{\"name\":", sep);
        buf_json_text(out, c->gpus[d].name);
        buf_text(out, ",\"uuid\":");
        if (c->gpus[d].uuid && *c->gpus[d].uuid)
            buf_json_text(out, c->gpus[d].uuid);
        else
            buf_text(out, "null");
        buf_printf(out, ",\"bytes\":%llu}", (unsigned long long)l->ask.bytes);
        sep = ",";
    }
    buf_char(out, ']');
}

static void put_environment(const struct lease *l, struct buf *out)
{
    char *env[DEVICES_ENV_MAX + 1] = {NULL};
    devices_put_env(l->server->devices, l->devices, env);
    buf_text(out, ",\"environment\":{");
    for (uint32_t i = 0; env[i]; i++) {
        size_t n = strcspn(env[i], "=");
        buf_json(out, env[i], n);
        buf_char(out, ':');
        buf_json_text(out, env[i] + n + 1);
        buf_char(out, ',');
        free(env[i]);
    }
    buf_printf(out, "\"WHARF_LEASE\":\"%s:%s\"}", l->id, l->token);
}

static void put_begin(const struct lease *l, const char *state, struct buf *out)
{
    buf_printf(out, "{\"lease\":\"%s\"", l->id);
    if (!l->knows_token || (l->ask.ttl_ns && l->phase == PHASE_GRANTED))
        buf_printf(out, ",\"token\":\"%s\"", l->token);
    buf_printf(out, ",\"state\":\"%s\"", state);
}

void lease_put_granted(const struct lease *l, struct buf *out)
{
    put_begin(l, "granted", out);
    put_devices(l, out);
    put_environment(l, out);
    put_seconds(out, "waited_s", l->waited_ns);
    if (l->ask.ttl_ns)
        put_seconds(out, "expires_s", leases_left_ns(l));
    buf_char(out, '}');
}

uint64_t leases_left_ns(const struct lease *l)
{
    uint64_t now = uv_hrtime();
    return l->expires_ns > now ? l->expires_ns - now : 0;
}

static char *wait_of(const struct lease *l)
{
    struct buf text = {0};
    leases_put_wait(l->server, l, &text);
    return buf_take(&text);
}

bool lease_wait_changed(const struct lease *l)
{
    if (lease_position(l) != l->told_position)
        return true;
    char *now = wait_of(l);
    bool changed = !l->told_wait || strcmp(now, l->told_wait) != 0;
    free(now);
    return changed;
}

static void put_waiting(struct lease *l, struct buf *out)
{
    uint32_t estimate = lease_estimate_s(l);
    free(l->told_wait);
    l->told_wait = wait_of(l);
    l->told_position = lease_position(l);
    put_begin(l, "waiting", out);
    buf_printf(out, ",\"position\":%u,\"estimate_s\":", l->told_position);
    if (estimate)
        buf_printf(out, "%u", estimate);
    else
        buf_text(out, "null");
    buf_text(out, ",\"for\":");
    buf_json_text(out, l->told_wait);
    buf_char(out, '}');
}

static void put_refused(const struct lease *l, struct buf *out)
{
    struct buf text = {0};
    int error = leases_describe(l->server, &l->ask, l->refused, &text);
    put_begin(l, "refused", out);
    buf_printf(out, ",\"error\":{\"code\":\"%s\",\"message\":", error_info(error)->code);
    buf_json_text(out, text.data);
    buf_text(out, "}}");
    buf_fini(&text);
}

static void put_reason(const struct lease *l, const char *state, const char *why, struct buf *out)
{
    put_begin(l, state, out);
    buf_text(out, ",\"reason\":");
    buf_json_text(out, why);
    if (l->phase == PHASE_GRANTED)
        put_seconds(out, "grace_s", leases_left_ns(l));
    buf_char(out, '}');
}

void lease_put_line(struct lease *l, struct buf *out)
{
    switch (l->phase) {
    case PHASE_ASKED:
    case PHASE_WAITING:
        put_waiting(l, out);
        break;
    case PHASE_GRANTED:
        if (l->knows_grant)
            put_reason(l, "revoked", l->revoked_why, out);
        else
            lease_put_granted(l, out);
        break;
    case PHASE_REMAINS:
    case PHASE_OVER:
        if (l->refused != REASON_NONE)
            put_refused(l, out);
        else
            put_reason(l, "ended", l->ended_why, out);
        break;
    }
}

/* ---- refusals ---- */

static uint64_t capacity_of(const struct mapping_device *d, const struct core_device_view *v)
{
    uint64_t limited = v->total_bytes / 1000 * d->limit_permille +
                       v->total_bytes % 1000 * d->limit_permille / 1000;
    return v->present && limited > d->reserve_bytes ? limited - d->reserve_bytes : 0;
}

/* What each of the devices could ever give, and what the largest lease like this would be. */
static void put_capacities(struct server *s, const struct core_lease_ask *ask, struct buf *out)
{
    uint64_t sizes[CORE_DEVICES_MAX] = {0};
    uint32_t count = 0, wanted = ask->device_count ? ask->device_count : 1;
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];
    struct mapping_devices devices;
    mapping_find_devices(s->roster.current->config, &devices);
    for (uint32_t d = 0; d < devices.count; d++) {
        struct core_device_view v;
        core_view_device(s->runner.core, d, &v);
        if (!(ask->device_mask >> d & 1) || !v.present)
            continue;
        uint64_t size = capacity_of(&devices.items[d], &v);
        buf_printf(out, " %s can give %s of %s;", devices.items[d].name,
                   units_format_bytes(size, a), units_format_bytes(v.total_bytes, b));
        uint32_t at = count++;
        for (; at > 0 && sizes[at - 1] < size; at--)
            sizes[at] = sizes[at - 1];
        sizes[at] = size;
    }
    if (count < wanted)
        buf_printf(out, " there are %u such devices", count);
    else
        buf_printf(out, " the largest possible on %u is %s (%llu bytes)", wanted,
                   units_format_bytes(sizes[wanted - 1], a), (unsigned long long)sizes[wanted - 1]);
}

static int error_of(enum reason why)
{
    switch ((int)why) {
    case REASON_NO_ROOM:
        return ERR_NO_ROOM;
    case REASON_NO_DEVICE:
        return ERR_NO_DEVICE;
    case REASON_QUEUE_FULL:
        return ERR_QUEUE_FULL;
    case REASON_WAIT_EXPIRED:
        return ERR_WAIT_EXPIRED;
    case REASON_SHUTDOWN:
        return ERR_SHUTTING_DOWN;
    case REASON_PINNED:
    case REASON_LEASED:
    case REASON_FOREIGN:
        return ERR_BLOCKED;
    default:
        return ERR_NO_ROOM_NOW;
    }
}

void leases_put_numbers(struct server *s, const struct core_lease_ask *ask, struct buf *text)
{
    char size[UNITS_TEXT_MAX];
    buf_printf(text, "it asks for %s on %u of these:", units_format_bytes(ask->bytes, size),
               ask->device_count ? ask->device_count : 1);
    put_capacities(s, ask, text);
}

int leases_describe(struct server *s, const struct core_lease_ask *ask, enum reason why,
                    struct buf *text)
{
    int error = error_of(why);
    if (why == REASON_QUEUE_FULL) {
        buf_printf(text, "there are %d leases already", LEASES_MAX);
        return error;
    }
    buf_printf(text, "the lease is refused: %s", reason_text(why));
    if (!ask->bytes)
        return error;
    buf_text(text, "; ");
    leases_put_numbers(s, ask, text);
    return error;
}
