#include "server/notices.h"

#include "base/buf.h"
#include "base/log.h"
#include "server/server.h"

static void put_text(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
    buf_json_text(b, value);
}

static void put_number(struct buf *b, const char *name, uint64_t value)
{
    buf_printf(b, "%s\"%s\":%llu", b->len > 1 ? "," : "", name, (unsigned long long)value);
}

static void put_seconds(struct buf *b, const char *name, uint64_t ns)
{
    buf_printf(b, "%s\"%s\":%llu.%03llu", b->len > 1 ? "," : "", name,
               (unsigned long long)(ns / NS_PER_S),
               (unsigned long long)(ns % NS_PER_S / NS_PER_MS));
}

static void put_details(struct server *s, const struct effect *e, struct buf *b)
{
    const struct config *c = s->roster.current->config;
    buf_char(b, '{');
    if (e->model != CORE_SLOT_NONE)
        put_text(b, "model", roster_id(&s->roster, e->model));
    if (e->other != CORE_SLOT_NONE)
        put_text(b,
                 e->notice == NOTICE_BLOCKED && e->type == EFFECT_NOTICE ? "by_model" : "for_model",
                 roster_id(&s->roster, e->other));
    if (e->reason != REASON_NONE)
        put_text(b, "reason", reason_text(e->reason));
    if (e->device != CORE_SLOT_NONE && e->device < c->gpu_count)
        put_text(b, "device", c->gpus[e->device].name);
    if (e->bytes)
        put_number(b, "bytes", e->bytes);
    if (e->duration_ns)
        put_seconds(b, "seconds", e->duration_ns);
    if (e->notice == NOTICE_MODE_REACHED)
        put_text(b, "mode", s->modes.name);
    if (e->notice == NOTICE_LOAD_FAILED && s->roster.entries[e->model].last_error)
        put_text(b, "error", s->roster.entries[e->model].last_error);
    if (e->notice == NOTICE_OP_FAILED && s->roster.entries[e->model].op_error)
        put_text(b, "error", s->roster.entries[e->model].op_error);
    buf_char(b, '}');
}

void notices_publish(struct server *s, const struct effect *e)
{
    struct buf details = {0};
    put_details(s, e, &details);
    const char *type = notice_text(e->notice);
    log_info(e->model == CORE_SLOT_NONE ? NULL : roster_id(&s->roster, e->model), "%s %s", type,
             details.data);
    server_publish(s, type, details.data);
    changes_models(s);
    buf_fini(&details);
}

void notices_waiter(struct server *s, const char *type, const struct effect *e)
{
    struct buf details = {0};
    if (s->events.followers.count == 0 && !hooks_want(s, type))
        return;
    put_details(s, e, &details);
    /* Before the closing brace. */
    details.len--;
    if (e->position)
        put_number(&details, "position", e->position);
    if (e->retry_after_s)
        put_number(&details, "estimate_s", e->retry_after_s);
    buf_char(&details, '}');
    server_publish(s, type, details.data);
    buf_fini(&details);
}

void notices_decision(struct server *s, const struct effect *e)
{
    struct buf details = {0};
    put_details(s, e, &details);
    log_debug(roster_id(&s->roster, e->model), "decision %s", details.data);
    server_publish(s, "decision", details.data);
    buf_fini(&details);
}
