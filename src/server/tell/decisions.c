#include "server/tell/decisions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "server/proxy/answer.h"
#include "server/record/archive_decision.h"
#include "server/server.h"

/* Of a machine with many small models, the first. */
#define CANDIDATES_MAX 16

static void clear(struct decision *d)
{
    free(d->model);
    free(d->lease);
    free(d->lease_name);
    free(d->other);
    free(d->detail);
    free(d->candidates);
    *d = (struct decision){0};
}

void decisions_fini(struct decisions *d)
{
    for (size_t i = 0; i < DECISIONS_MAX; i++)
        clear(&d->items[i]);
}

const struct decision *decisions_at(const struct decisions *d, uint64_t back)
{
    if (back >= DECISIONS_MAX || back >= d->next)
        return NULL;
    return &d->items[(d->next - 1 - back) % DECISIONS_MAX];
}

/* NULL: nothing that anybody would ask why of. */
static const char *type_of(const struct effect *e)
{
    if (e->type == EFFECT_DECISION)
        return "evict";
    if (e->type == EFFECT_REFUSE)
        return "refused";
    switch ((int)e->notice) {
    case NOTICE_MODEL_LOADING:
    case NOTICE_LOAD_FAILED:
    case NOTICE_IDLE_UNLOAD:
    case NOTICE_BLOCKED:
    case NOTICE_STUCK:
    case NOTICE_LEASE_GRANTED:
    case NOTICE_LEASE_REVOKED:
    case NOTICE_STARVING:
        return notice_text(e->notice);
    case NOTICE_LEASE_ENDED:
        /* One that is given back is nobody's decision. */
        return e->reason == REASON_NONE ? NULL : notice_text(e->notice);
    case NOTICE_MODEL_UNLOADING:
        /* Those that make room or were idle are told by their own decisions. */
        return e->reason == REASON_EVICTED || e->reason == REASON_IDLE ? NULL
                                                                       : notice_text(e->notice);
    default:
        return NULL;
    }
}

/* Of what is not about a request or a model: the lease that it is about; else whom it is for. */
static const struct lease *lease_of(const struct server *s, const struct effect *e)
{
    if (e->type == EFFECT_REFUSE && e->model != CORE_SLOT_NONE)
        return NULL; /* its waiter is a request */
    const struct lease *l = id_none(e->waiter) ? NULL : leases_by_core(s, e->waiter);
    return l || e->model != CORE_SLOT_NONE ? l : leases_by_tag(s, e->tag);
}

static char *detail_of(struct server *s, const struct effect *e)
{
    const char *last = e->model < s->roster.count ? s->roster.entries[e->model].last_error : NULL;
    if (e->type == EFFECT_REFUSE && e->model != CORE_SLOT_NONE) {
        struct buf text = {0};
        struct problem p;
        exchange_describe(s, e, &p, &text);
        return buf_take(&text);
    }
    const struct lease *l = lease_of(s, e);
    if (e->type == EFFECT_REFUSE && l) {
        struct lease_view v;
        struct buf text = {0};
        leases_look(s, l, &v);
        (void)leases_describe(s, v.ask, e->reason, &text);
        return buf_take(&text);
    }
    return e->type == EFFECT_NOTICE && e->notice == NOTICE_LOAD_FAILED && last ? alloc_text(last)
                                                                               : NULL;
}

static bool equal(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* Clients that ask again and again must not push out what is worth knowing. */
static bool repeats(struct server *s, const struct effect *e)
{
    struct decisions *d = &s->decisions;
    struct decision *last = d->next ? &d->items[(d->next - 1) % DECISIONS_MAX] : NULL;
    const char *id = e->model == CORE_SLOT_NONE ? NULL : roster_id(&s->roster, e->model);
    if (e->type != EFFECT_REFUSE || !last || strcmp(last->type, "refused") != 0 ||
        last->reason != e->reason || !equal(last->model, id) || lease_of(s, e))
        return false;
    last->count++;
    last->estimate_s = e->retry_after_s;
    server_time(last->time);
    last->at_ms = archiving_now_ms();
    return true;
}

static char *name(const struct server *s, uint32_t slot)
{
    return slot == CORE_SLOT_NONE ? NULL : alloc_text(roster_id(&s->roster, slot));
}

/* Whom it was for, or who is in the way. Of a lease that is asked back that was told with the
 * order, not with the notice. */
static char *other_of(struct server *s, const struct effect *e, const struct lease *l)
{
    struct lease_view v = {.revoked_for = CORE_SLOT_NONE};
    if (e->other != CORE_SLOT_NONE)
        return name(s, e->other);
    if (l && e->type == EFFECT_NOTICE && e->notice == NOTICE_LEASE_REVOKED)
        leases_look(s, l, &v);
    return name(s, v.revoked_for);
}

static void put_seconds(struct buf *out, const char *name, bool known, uint64_t ns)
{
    if (known)
        buf_printf(out, ",\"%s\":%" PRIu64 ".%03u", name, ns / NS_PER_S,
                   (unsigned)(ns % NS_PER_S / NS_PER_MS));
    else
        buf_printf(out, ",\"%s\":null", name);
}

static void put_candidate(const struct server *s, uint32_t slot, const struct core_model_view *v,
                          struct buf *out)
{
    uint64_t now = uv_hrtime();
    buf_text(out, out->len ? ",{\"model\":" : "[{\"model\":");
    buf_json_text(out, roster_id(&s->roster, slot));
    buf_printf(out, ",\"state\":\"%s\",\"bytes\":%" PRIu64 ",\"busy\":%s,\"pinned\":%s",
               model_state_text(v->state), v->charged_bytes, v->running ? "true" : "false",
               v->pinned ? "true" : "false");
    put_seconds(out, "reload_s", v->load_ns_mean != 0, v->load_ns_mean);
    put_seconds(out, "last_used_s", v->last_used.ns && v->last_used.ns <= now,
                now - v->last_used.ns);
    buf_printf(out, ",\"next_percent\":%u.%u}", v->next_permille / 10, v->next_permille % 10);
}

/* Those on the same devices as the one that leaves, itself among them, and what it would have cost
 * to lose each. */
static char *candidates_of(const struct server *s, const struct effect *e)
{
    struct buf out = {0};
    uint32_t count = 0;
    if (e->type != EFFECT_DECISION)
        return NULL;
    for (uint32_t i = 0; i < s->roster.count && count < CANDIDATES_MAX; i++) {
        struct core_model_view v;
        if (!s->roster.entries[i].id)
            continue;
        core_view_model(s->runner.core, i, &v);
        bool is_there = v.devices && (!e->devices || v.devices & e->devices);
        if (i != e->model && (!is_there || v.state == MODEL_LOADING || i == e->other))
            continue;
        put_candidate(s, i, &v, &out);
        count++;
    }
    buf_text(&out, out.len ? "]" : "[]");
    return buf_take(&out);
}

void decisions_note(struct server *s, const struct effect *e)
{
    struct decisions *d = &s->decisions;
    const char *type = type_of(e);
    if (!type)
        return;
    metrics_decided(s, e, type);
    if (repeats(s, e))
        return;
    const struct lease *l = lease_of(s, e);
    if (!l && e->type == EFFECT_NOTICE && e->notice == NOTICE_LEASE_ENDED)
        return; /* of what was left of one */
    archive_decision(s);
    struct decision *slot = &d->items[d->next++ % DECISIONS_MAX];
    /* Nothing can have been used before the daemon was there: it never was. */
    bool used = e->type == EFFECT_DECISION && e->duration_ns < uv_hrtime() - s->started_ns;
    clear(slot);
    *slot =
        (struct decision){.type = type,
                          .model = name(s, e->model),
                          .lease = l ? alloc_text(leases_id(l)) : NULL,
                          .lease_name = l && *leases_name(l) ? alloc_text(leases_name(l)) : NULL,
                          .other = other_of(s, e, l),
                          .candidates = candidates_of(s, e),
                          .detail = detail_of(s, e),
                          .reason = e->reason,
                          .devices = e->devices,
                          .count = 1,
                          .estimate_s = e->type == EFFECT_REFUSE ? e->retry_after_s : 0,
                          .bytes = e->bytes,
                          .idle_ns = used ? e->duration_ns : 0};
    server_time(slot->time);
    slot->at_ms = archiving_now_ms();
}
