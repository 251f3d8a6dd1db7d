#include "server/leases/leases.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/errors.h"
#include "server/leases/leases_priv.h"
#include "server/leases/secret.h"
#include "server/net/held.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/given.h"
#include "server/record/archive_lease.h"
#include "server/server.h"

#define TELL_MS 1000

/* ---- which there are ---- */

uint64_t leases_tag(const struct lease *l)
{
    return (uint64_t)l->self.gen << 32 | l->self.slot;
}

struct lease *leases_by_tag(const struct server *s, uint64_t tag)
{
    struct id id = {(uint32_t)tag, (uint32_t)(tag >> 32)};
    return pool_alive(&s->leases.pool, id) ? s->leases.items[id.slot] : NULL;
}

struct lease *leases_by_core(const struct server *s, struct id core)
{
    struct link *n;
    list_each(n, &s->leases.all) {
        struct lease *l = list_entry(n, struct lease, link);
        if (!id_none(core) && id_equal(l->core, core))
            return l;
    }
    return NULL;
}

struct lease *leases_find(struct server *s, const char *id, size_t n)
{
    struct link *at;
    list_each(at, &s->leases.all) {
        struct lease *l = list_entry(at, struct lease, link);
        bool lives = l->phase == PHASE_WAITING || l->phase == PHASE_GRANTED;
        if (lives && strlen(l->id) == n && memcmp(l->id, id, n) == 0)
            return l;
    }
    return NULL;
}

bool leases_name_waiting(const struct exchange *ex, char id[LEASE_ID_MAX],
                         char token[LEASE_TOKEN_MAX])
{
    const struct link *at;
    list_each(at, &ex->server->leases.all) {
        const struct lease *l = list_entry(at, const struct lease, link);
        bool its = l->asker == ex || (l->held && ex->local == l->held);
        if (!its || (l->phase != PHASE_WAITING && l->phase != PHASE_ASKED))
            continue;
        memcpy(id, l->id, sizeof(l->id));
        memcpy(token, l->token, sizeof(l->token));
        return true;
    }
    return false;
}

const struct lease *leases_next(const struct server *s, const struct lease *after)
{
    const struct link *head = &s->leases.all.head;
    const struct link *n = after ? after->link.next : head->next;
    while (n != head && (list_entry(n, const struct lease, link)->phase == PHASE_OVER ||
                         list_entry(n, const struct lease, link)->phase == PHASE_ASKED))
        n = n->next;
    return n == head ? NULL : list_entry(n, const struct lease, link);
}

bool leases_opens(const struct lease *l, const char *token, size_t n)
{
    return secret_equal(token, n, l->token);
}

bool leases_is_granted(const struct lease *l)
{
    return l->phase == PHASE_GRANTED;
}

bool leases_has_ttl(const struct lease *l)
{
    return l->ask.ttl_ns != 0;
}

struct id leases_core_id(const struct lease *l)
{
    return l->core;
}

const char *leases_id(const struct lease *l)
{
    return l->id;
}

const char *leases_name(const struct lease *l)
{
    return l->name;
}

void leases_count(const struct server *s, uint32_t *ret_waiting, uint32_t *ret_granted)
{
    const struct link *n;
    *ret_waiting = *ret_granted = 0;
    list_each(n, &s->leases.all) {
        const struct lease *l = list_entry(n, const struct lease, link);
        *ret_waiting += l->phase == PHASE_WAITING;
        *ret_granted += l->phase == PHASE_GRANTED;
    }
}

static const char *state_of(const struct lease *l)
{
    if (l->phase == PHASE_REMAINS)
        return "settling";
    return l->phase != PHASE_GRANTED ? "waiting" : l->revoked ? "revoked" : "granted";
}

void leases_look(struct server *s, const struct lease *l, struct lease_view *ret)
{
    bool waits = l->phase == PHASE_WAITING;
    (void)s;
    *ret = (struct lease_view){.id = l->id,
                               .name = l->name,
                               .state = state_of(l),
                               .ask = &l->ask,
                               .devices = l->devices,
                               .pid = l->process.pid,
                               .held = l->held != NULL,
                               .revoked_for = l->revoked_for,
                               .since_ns = l->since_ns,
                               .granted_ns = l->granted_ns,
                               .waited_ns = l->waited_ns,
                               .expires_ns = l->phase == PHASE_GRANTED ? l->expires_ns : 0,
                               .overdue_ns = waits ? lease_overdue_ns(l) : 0,
                               .position = waits ? lease_position(l) : 0,
                               .estimate_s = waits ? lease_estimate_s(l) : 0};
}

/* ---- its life ---- */

/* Its places at gates are counted, so that those keep their slots. */
static void use_gates(struct lease *l, bool more)
{
    for (uint32_t i = 0; i < l->ask.gate_count; i++)
        roster_use_gate(&l->server->roster, l->ask.gates[i], more);
}

struct lease *lease_new(struct server *s)
{
    struct id self;
    if (!pool_get(&s->leases.pool, &self)) {
        limits_refused(s, LIMIT_leases);
        return NULL;
    }
    struct lease *l = alloc_zeroed(1, sizeof(*l));
    s->leases.items[self.slot] = l;
    l->server = s;
    l->self = self;
    l->record = RECORDS_NONE;
    l->revoked_for = CORE_SLOT_NONE;
    l->since_ns = uv_hrtime();
    list_push(&s->leases.all, &l->link);
    return l;
}

void lease_set_ask(struct lease *l, const struct core_lease_ask *ask)
{
    l->ask = *ask;
    use_gates(l, true);
}

static void free_lease(struct lease *l)
{
    struct leases *ls = &l->server->leases;
    must(!l->held && !l->asker && !l->scanning && !l->timer_open);
    ls->items[l->self.slot] = NULL;
    pool_put(&ls->pool, l->self.slot);
    list_remove(&ls->all, &l->link);
    proc_list_fini(&l->found);
    free(l->name);
    free(l->told_wait);
    free(l);
}

void lease_note(struct lease *l)
{
    if (!link_linked(&l->news))
        list_push(&l->server->leases.news, &l->news);
}

void lease_over(struct lease *l)
{
    use_gates(l, false);
    l->ask.gate_count = 0;
    l->phase = PHASE_OVER;
    l->core = (struct id){0};
    records_drop(&l->server->records, &l->record);
    lease_unwatch(l);
    lease_note(l);
}

/* For the archive, before it is over: how it ended. */
static void archive(const struct lease *l, const char *how)
{
    bool granted = l->phase == PHASE_GRANTED;
    archive_lease(l->server, &(struct archived_lease){.id = l->id,
                                                      .name = l->name,
                                                      .class = class_text(l->ask.class),
                                                      .how = how,
                                                      .devices = granted ? l->devices : 0,
                                                      .bytes = l->ask.bytes,
                                                      .device_count = l->ask.device_count,
                                                      .since_ns = l->since_ns,
                                                      .granted_ns = granted ? l->granted_ns : 0});
}

/* It has no gates any more, and whoever held it is to be told. Its bytes, if it had any, are
 * nobody's to take while processes that were started for it may use them. */
static void finish(struct lease *l, const char *why)
{
    bool remains = l->phase == PHASE_GRANTED && l->ask.bytes;
    l->ended_why = why;
    archive(l, why);
    if (l->phase == PHASE_GRANTED)
        lease_learn_hold(l);
    log_info_with(NULL, LOG_WITH(LOG_SAID("lease", l->id)), "lease %s ended: %s", l->id, why);
    if (!remains) {
        lease_over(l);
        return;
    }
    use_gates(l, false);
    l->phase = PHASE_REMAINS;
    l->ask.gate_count = 0;
    l->ask.revocable = false;
    l->ask.ttl_ns = l->ask.run_ns_max = 0;
    lease_keep(l);
    lease_note(l);
}

/* The core has heard of the end, and no reading that was taken since. */
static void keep_remains(struct lease *l)
{
    runner_event(&l->server->runner,
                 (struct event){.type = EVENT_LEASE_REMAINS, .lease_id = {.lease = l->core}});
    lease_watch_remains(l);
}

/* By its holder, or by whoever has its token. */
static void end(struct lease *l, const char *why)
{
    struct server *s = l->server;
    struct id core = l->core;
    finish(l, why);
    bool remains = l->phase == PHASE_REMAINS; /* else it may be gone with the next event */
    if (!id_none(core))
        runner_event(&s->runner,
                     (struct event){.type = EVENT_LEASE_ENDED, .lease_id = {.lease = core}});
    if (remains)
        keep_remains(l);
}

void leases_end(struct lease *l, const char *why)
{
    if (l->phase == PHASE_WAITING || l->phase == PHASE_GRANTED)
        end(l, why);
}

void leases_end_waiting(struct server *s, const char *why)
{
    struct link *n, *next;
    list_each_safe(n, next, &s->leases.all) {
        struct lease *l = list_entry(n, struct lease, link);
        if (l->phase == PHASE_WAITING)
            end(l, why);
    }
}

/* The connection that held it, or waited for it, is gone. */
static void on_left(void *arg)
{
    struct lease *l = arg;
    l->held = NULL;
    if (l->server->closed)
        return; /* the daemon ends, and the next one knows of it */
    if (l->phase == PHASE_ASKED)
        l->ended_why = "its connection has ended"; /* as soon as the core has answered */
    else
        leases_end(l, "its connection has ended");
}

static void on_asker_gone(struct exchange *ex)
{
    struct lease *l = ex->local;
    l->asker = NULL;
    on_left(l);
}

static void let_asker_go(struct lease *l)
{
    l->asker->local = NULL;
    l->asker->on_local_end = NULL;
    l->asker = NULL;
}

/* One that waited under an earlier program is the one that its holder knows. */
static void name_lease(struct lease *l, const struct given *given)
{
    secret_make(l->id, LEASE_ID_BYTES);
    secret_make(l->token, LEASE_TOKEN_BYTES);
    if (!given || !*given->lease_id ||
        leases_find(l->server, given->lease_id, strlen(given->lease_id)))
        return;
    memcpy(l->id, given->lease_id, sizeof(l->id));
    memcpy(l->token, given->lease_token, sizeof(l->token));
    l->since_ns = given->since_ns;
    l->knows_token = given->begun;
}

void leases_ask(struct server *s, struct exchange *ex, const struct lease_terms *terms)
{
    struct lease *l = lease_new(s);
    if (!l) {
        exchange_fail(ex, &(struct problem){.error = ERR_QUEUE_FULL,
                                            .detail = "there are too many leases already",
                                            .retry_after_s = 1});
        return;
    }
    name_lease(l, ex->given);
    ex->since_ns = l->since_ns;
    l->name = alloc_text(terms->name);
    lease_set_ask(l, &terms->ask);
    if (terms->pid && proc_list_add(&l->found, terms->pid))
        l->process = l->found.items[0];
    proc_list_fini(&l->found);
    l->asker = ex;
    ex->local = l;
    ex->on_local_end = on_asker_gone;
    runner_event(&s->runner, (struct event){.type = EVENT_LEASE_ASKED,
                                            .lease = {.tag = leases_tag(l),
                                                      .ask = &l->ask,
                                                      .since = {ex->given ? l->since_ns : 0}}});
}

static struct held *hold(struct lease *l, struct exchange *ex)
{
    return held_begin(ex,
                      &(struct held_spec){.ping = "{\"ping\":true}", .on_left = on_left, .arg = l});
}

void leases_hold(struct lease *l, struct exchange *ex)
{
    struct server *s = l->server;
    must(l->phase == PHASE_GRANTED && !leases_has_ttl(l));
    if (l->held)
        held_end(l->held); /* whoever has come last has it: the other connection may be dead */
    l->held = NULL;
    l->held = hold(l, ex);
    if (!l->held) {
        on_left(l);
        return;
    }
    lease_came_back(l);
    l->expires_ns = l->revoked ? l->expires_ns : 0;
    l->knows_token = true;
    l->knows_grant = l->knows_revoke = false;
    lease_note(l);
    runner_event(&s->runner,
                 (struct event){.type = EVENT_LEASE_RENEWED, .lease_id = {.lease = l->core}});
}

void leases_renew(struct lease *l)
{
    must(l->phase == PHASE_GRANTED && leases_has_ttl(l));
    lease_came_back(l);
    uint64_t expires = uv_hrtime() + l->ask.ttl_ns;
    l->expires_ns = l->revoked && l->expires_ns < expires ? l->expires_ns : expires;
    runner_event(&l->server->runner,
                 (struct event){.type = EVENT_LEASE_RENEWED, .lease_id = {.lease = l->core}});
}

/* ---- what the core says ---- */

static void tell_core_ended(struct server *s, struct id core)
{
    runner_event(&s->runner,
                 (struct event){.type = EVENT_LEASE_ENDED, .lease_id = {.lease = core}});
}

void leases_wait(struct server *s, const struct effect *e)
{
    struct lease *l = leases_by_tag(s, e->tag);
    must(l && l->phase == PHASE_ASKED);
    if (l->ended_why) {
        archive(l, l->ended_why);
        lease_over(l);
        tell_core_ended(s, e->waiter);
        return;
    }
    l->core = e->waiter;
    l->phase = PHASE_WAITING;
    lease_note(l);
}

void leases_granted(struct server *s, const struct effect *e)
{
    struct lease *l = leases_by_tag(s, e->tag);
    if (!l || l->phase == PHASE_OVER) {
        tell_core_ended(s, e->waiter); /* it has crossed the end */
        return;
    }
    if (l->phase == PHASE_ASKED && l->ended_why) {
        archive(l, l->ended_why);
        lease_over(l);
        tell_core_ended(s, e->waiter);
        return;
    }
    l->core = e->waiter;
    if (l->phase == PHASE_REMAINS) {
        lease_watch_remains(l);
        return;
    }
    if (l->phase == PHASE_GRANTED)
        return; /* of an earlier daemon */
    l->phase = PHASE_GRANTED;
    l->devices = e->devices;
    l->waited_ns = e->duration_ns;
    l->granted_ns = uv_hrtime();
    l->expires_ns = l->ask.ttl_ns ? l->granted_ns + l->ask.ttl_ns : 0;
    lease_keep(l);
    lease_note(l);
}

void leases_refused(struct server *s, const struct effect *e)
{
    struct lease *l = leases_by_tag(s, e->tag);
    if (!l || l->phase == PHASE_OVER)
        return;
    if (l->phase == PHASE_WAITING || l->phase == PHASE_ASKED) {
        l->refused = e->reason;
        archive(l, reason_text(e->reason));
    } else {
        log_warn_with(NULL, LOG_WITH(LOG_SAID("lease", l->id)), "lease %s cannot be kept: %s",
                      l->id, reason_text(e->reason));
    }
    lease_over(l);
}

void leases_revoked(struct server *s, const struct effect *e)
{
    struct lease *l = leases_by_tag(s, e->tag);
    if (!l || l->phase != PHASE_GRANTED)
        return;
    l->revoked = true;
    l->revoked_why = reason_text(e->reason);
    l->revoked_for = e->other;
    uint64_t expires = uv_hrtime() + e->duration_ns;
    l->expires_ns = l->expires_ns && l->expires_ns < expires ? l->expires_ns : expires;
    lease_note(l);
}

void leases_ended(struct server *s, const struct effect *e)
{
    struct lease *l = leases_by_tag(s, e->tag);
    if (!l || l->phase != PHASE_GRANTED || !id_equal(l->core, e->waiter))
        return;
    /* While the daemon ends nobody can renew; the next one gives time to. */
    if (s->stopping && e->reason == REASON_LEASE_EXPIRED)
        return;
    finish(l, reason_text(e->reason));
    if (l->phase == PHASE_REMAINS)
        keep_remains(l);
}

void leases_traced(struct server *s, const struct effect *e)
{
    const struct lease *l = leases_by_tag(s, e->tag);
    const char *gate = roster_gate(&s->roster, e->gate);
    log_debug_with(NULL,
                   LOG_WITH(LOG_TEXT("gate", gate), LOG_TEXT("lease", l ? l->id : NULL),
                            LOG_TEXT("class", class_text(e->class)),
                            LOG_NUMBER("ms", e->duration_ns / NS_PER_MS)),
                   "%s", trace_text(e->trace));
}

bool leases_hide(const struct server *s, const struct effect *e)
{
    if (e->model != CORE_SLOT_NONE || id_none(e->waiter))
        return false;
    const struct lease *l = leases_by_core(s, e->waiter);
    return l && l->phase == PHASE_REMAINS && l->end_told;
}

/* ---- what holders are told ---- */

/* Before there is a line: as everywhere. */
static void refuse_asker(struct lease *l)
{
    struct exchange *ex = l->asker;
    struct buf text = {0};
    int error = leases_describe(l->server, &l->ask, l->refused, &text);
    let_asker_go(l);
    exchange_fail(ex, &(struct problem){.error = error, .detail = text.data});
    buf_fini(&text);
}

static void answer_created(struct lease *l)
{
    struct exchange *ex = l->asker;
    struct buf json = {0};
    let_asker_go(l);
    l->knows_token = l->knows_grant = true;
    lease_put_granted(l, &json);
    buf_char(&json, '\n');
    exchange_reply(ex, 201, "application/json", "Cache-Control: no-store\r\n", json.data, json.len);
    buf_fini(&json);
}

/* False: he has left meanwhile. */
static bool begin_answer(struct lease *l)
{
    struct exchange *ex = l->asker;
    let_asker_go(l);
    l->held = hold(l, ex);
    if (!l->held)
        on_left(l);
    return l->held != NULL;
}

static bool has_line(const struct lease *l)
{
    if (l->phase == PHASE_WAITING)
        return !l->knows_wait;
    return l->phase != PHASE_GRANTED || !l->knows_grant || (l->revoked && !l->knows_revoke);
}

static void tell_holder(struct lease *l)
{
    while (l->held && has_line(l)) {
        struct buf line = {0};
        bool last = l->phase == PHASE_REMAINS || l->phase == PHASE_OVER;
        lease_put_line(l, &line);
        l->knows_token = l->knows_wait = true;
        l->knows_revoke |= l->knows_grant && l->revoked;
        l->knows_grant |= l->phase == PHASE_GRANTED;
        bool here = held_line(l->held, line.data);
        buf_fini(&line);
        if (!here)
            return;
        if (last) {
            held_end(l->held);
            l->held = NULL;
        }
    }
}

static void on_timer(uv_timer_t *timer);

/* It was not granted in the step in which it was asked for. */
static void begin_wait(struct lease *l)
{
    struct server *s = l->server;
    if (!uv_is_active((uv_handle_t *)&s->leases.timer))
        uv_timer_start(&s->leases.timer, on_timer, TELL_MS, TELL_MS);
    if (l->wait_published)
        return;
    l->wait_published = true;
    notices_waiter(s, "waiting",
                   &(struct effect){.type = EFFECT_LEASE_WAIT,
                                    .waiter = l->core,
                                    .tag = leases_tag(l),
                                    .model = CORE_SLOT_NONE,
                                    .other = CORE_SLOT_NONE,
                                    .position = lease_position(l),
                                    .bytes = l->ask.bytes});
}

static void tell(struct lease *l)
{
    if (l->phase == PHASE_WAITING && l->ask.wait_ns_max)
        begin_wait(l);
    /* An earlier program may have begun it. */
    bool streams = l->phase != PHASE_OVER && !l->ask.ttl_ns &&
                   (l->phase == PHASE_GRANTED || l->ask.wait_ns_max);
    if (l->asker && (l->asker->answer_begun || streams))
        begin_answer(l);
    else if (l->phase == PHASE_OVER && l->asker && l->refused != REASON_NONE)
        refuse_asker(l);
    else if (l->phase == PHASE_OVER && l->asker)
        exchange_fail_error(l->asker, ERR_LEASE_UNKNOWN, l->ended_why);
    else if (l->phase == PHASE_GRANTED && l->asker && l->ask.ttl_ns)
        answer_created(l);
    tell_holder(l);
    if (l->phase == PHASE_OVER && !l->scanning && !l->timer_open && !link_linked(&l->news))
        free_lease(l);
}

void leases_turn(struct server *s)
{
    struct leases *ls = &s->leases;
    struct link *n;
    if (ls->turning || s->runner.stepping)
        return;
    ls->turning = true;
    while ((n = list_pop(&ls->news)))
        tell(list_entry(n, struct lease, news));
    ls->turning = false;
}

/* Those who wait hear how they stand when that has changed, and at most so often. */
static void on_timer(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, leases.timer);
    struct link *n;
    bool any = false;
    list_each(n, &s->leases.all) {
        struct lease *l = list_entry(n, struct lease, link);
        any |= l->phase == PHASE_WAITING;
        if (l->phase != PHASE_WAITING || !l->held || !lease_wait_changed(l))
            continue;
        l->knows_wait = false;
        lease_note(l);
    }
    leases_turn(s);
    if (!any)
        uv_timer_stop(timer);
}

/* ---- the part ---- */

void leases_init(struct server *s)
{
    struct leases *ls = &s->leases;
    list_init(&ls->all);
    list_init(&ls->news);
    ls->pool_memory = alloc_zeroed(1, pool_bytes(LEASES_MAX));
    pool_init(&ls->pool, ls->pool_memory, LEASES_MAX);
    ls->items = alloc_zeroed(LEASES_MAX, sizeof(struct lease *));
    uv_timer_init(s->loop, &ls->timer);
}

void leases_close(struct server *s)
{
    struct link *n, *next;
    uv_close((uv_handle_t *)&s->leases.timer, NULL);
    list_each_safe(n, next, &s->leases.all)
        lease_unwatch(list_entry(n, struct lease, link));
}

void leases_fini(struct server *s)
{
    struct leases *ls = &s->leases;
    struct link *n, *next;
    list_each_safe(n, next, &ls->all)
        free_lease(list_entry(n, struct lease, link));
    free(ls->pool_memory);
    free(ls->items);
}
