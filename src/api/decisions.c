/* GET /wharf/decisions: why models came, left and were refused. */
#include <string.h>

#include "api/json.h"
#include "api/query.h"
#include "base/pure/errors.h"
#include "http/url.h"
#include "server/tell/decisions.h"

static void put_number(struct buf *b, const char *name, uint64_t value)
{
    if (value)
        buf_printf(b, ",\"%s\":%llu", name, (unsigned long long)value);
    else
        buf_printf(b, ",\"%s\":null", name);
}

static void put_decision(const struct server *s, const struct decision *d, struct buf *b)
{
    buf_printf(b, "{\"time\":\"%s\",\"type\":\"%s\",\"model\":", d->time, d->type);
    api_put_text(b, d->model);
    bool blocked = strcmp(d->type, notice_text(NOTICE_BLOCKED)) == 0;
    buf_printf(b, ",\"%s\":", d->model ? "for_lease" : "lease");
    api_put_text(b, d->lease);
    buf_printf(b, ",\"%s\":", d->model ? "for_lease_name" : "lease_name");
    api_put_text(b, d->lease_name);
    buf_text(b, ",\"for_model\":");
    api_put_text(b, blocked ? NULL : d->other);
    buf_text(b, ",\"by_model\":");
    api_put_text(b, blocked ? d->other : NULL);
    buf_text(b, ",\"reason\":");
    api_put_text(b, reason_text(d->reason));
    buf_text(b, ",\"devices\":");
    api_put_devices(b, s, d->devices);
    put_number(b, "bytes", d->bytes);
    buf_text(b, ",\"last_used_s\":");
    if (d->idle_ns)
        api_put_seconds(b, d->idle_ns);
    else
        buf_text(b, "null");
    put_number(b, "estimate_s", d->estimate_s);
    buf_printf(b, ",\"count\":%u,\"detail\":", d->count);
    api_put_text(b, d->detail);
    buf_printf(b, ",\"candidates\":%s}", d->candidates ? d->candidates : "[]");
}

static bool equal(const char *text, const char *name)
{
    return text && strcmp(text, name) == 0;
}

/* Whether it is about the model or lease: it left, came, or was made room for. */
static bool concerns(const struct decision *d, const char *name)
{
    return !name || equal(d->model, name) || equal(d->other, name) || equal(d->lease, name) ||
           equal(d->lease_name, name);
}

bool api_was_decided(const struct server *s, const char *name)
{
    const struct decision *d;
    for (uint64_t back = 0; (d = decisions_at(&s->decisions, back)); back++)
        if (concerns(d, name))
            return true;
    return false;
}

/* The model or lease of the query; false, and answered, for a model that is not known and never
 * was. */
static bool read_model(const struct server *s, struct exchange *ex, char name[API_NAME_MAX],
                       const char **ret_id)
{
    struct http_span q = ex->head->query;
    *ret_id = NULL;
    if (api_query_value(ex, "lease", name, API_NAME_MAX)) {
        *ret_id = name;
        return true;
    }
    int found = url_query_find(ex->bytes + q.off, q.len, "model", name, API_NAME_MAX);
    if (found == 0)
        return true;
    if (found != 1 || !*name) {
        exchange_fail(ex, &(struct problem){.error = ERR_MODEL_MISSING,
                                            .detail = "the model in the query cannot be read"});
        return false;
    }
    uint32_t slot = roster_find(&s->roster, name);
    *ret_id = slot == CORE_SLOT_NONE ? name : roster_id(&s->roster, slot);
    /* It may have gone from the configuration. */
    if (slot != CORE_SLOT_NONE || api_was_decided(s, name))
        return true;
    exchange_fail_unknown(ex, name);
    return false;
}

void api_put_decisions(struct server *s, const char *name, uint64_t max, struct buf *b)
{
    const struct decision *d;
    const char *sep = "";
    /* The newest that fit, the oldest of them first. */
    uint64_t count = 0, back = 0;
    for (; count < max && (d = decisions_at(&s->decisions, back)); back++)
        count += concerns(d, name);
    buf_text(b, "\"decisions\":[");
    while (back-- > 0) {
        d = decisions_at(&s->decisions, back);
        if (!concerns(d, name))
            continue;
        buf_text(b, sep);
        put_decision(s, d, b);
        sep = ",";
    }
    buf_char(b, ']');
}

void api_decisions(struct server *s, struct exchange *ex)
{
    char name[API_NAME_MAX];
    const char *id;
    struct buf json = {0};
    if (!read_model(s, ex, name, &id))
        return;
    buf_char(&json, '{');
    api_put_decisions(s, id, api_query_number(ex, "limit", API_DECISIONS_DEFAULT), &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
