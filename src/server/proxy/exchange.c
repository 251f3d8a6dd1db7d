#include "server/proxy/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/errors.h"
#include "server/net/origin.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/given.h"
#include "server/proxy/head_copy.h"
#include "server/proxy/loading.h"
#include "server/proxy/relay.h"
#include "server/proxy/request.h"
#include "server/proxy/scanner.h"
#include "server/proxy/upstream.h"
#include "server/record/traffic.h"
#include "server/server.h"

struct exchange_table {
    struct pool pool;
    void *pool_memory;       /* owned */
    struct exchange **items; /* owned; indexed by slot */
};

struct exchange_table *exchange_table_new(uint32_t max)
{
    struct exchange_table *t = alloc_zeroed(1, sizeof(*t));
    t->pool_memory = alloc_zeroed(1, pool_bytes(max));
    t->items = alloc_zeroed(max, sizeof(struct exchange *));
    pool_init(&t->pool, t->pool_memory, max);
    return t;
}

void exchange_table_free(struct exchange_table *t)
{
    must(t->pool.used == 0);
    free(t->pool_memory);
    free(t->items);
    free(t);
}

uint32_t exchange_table_count(const struct exchange_table *t)
{
    return t->pool.used;
}

/* A tag is the table's id in one number; generations are odd, so it is never 0. */
uint64_t exchange_tag(const struct exchange *ex)
{
    return (uint64_t)ex->self.gen << 32 | ex->self.slot;
}

struct exchange *exchange_find(struct server *s, uint64_t tag)
{
    struct id id = {(uint32_t)tag, (uint32_t)(tag >> 32)};
    return pool_alive(&s->exchanges->pool, id) ? s->exchanges->items[id.slot] : NULL;
}

/* Whether its upgrade is asked for upstream; what is not may be ignored (RFC 9110, section 7.8).
 * Another version of HTTP in the tunnel would carry requests that wharf knows nothing of ("h2c
 * smuggling"), and where content ends and the new protocol begins, two servers may differ. */
static bool passes_upgrade(const struct http_head *h, const char *bytes, bool bodyless)
{
    return h->upgrade && bodyless && !http_head_upgrades_to(h, bytes, "h2c", 3) &&
           !http_head_upgrades_to(h, bytes, "http", 4);
}

static void take_given(struct exchange *ex)
{
    struct given *g = ex->client->given;
    ex->client->given = NULL;
    ex->given = g;
    if (!g)
        return;
    ex->since_ns = g->since_ns;
    if (!g->begun)
        return;
    ex->answer_begun = true;
    ex->out_chunked = g->chunked;
    ex->out_until_close = !g->chunked;
    if (!*g->lease_id)
        loading_go_on(ex);
}

struct exchange *exchange_new(struct server *s, struct client *c, const struct http_head *head,
                              const char *bytes)
{
    struct id id;
    struct http_head *copy = head_copy(head, bytes);
    if (!copy || !pool_get(&s->exchanges->pool, &id)) {
        free(copy);
        return NULL;
    }
    struct exchange *ex = alloc_zeroed(1, sizeof(*ex));
    s->exchanges->items[id.slot] = ex;
    ex->server = s;
    ex->client = c;
    ex->self = id;
    ex->slot = CORE_SLOT_NONE;
    ex->ask.class = CLASS__COUNT;
    ex->ask.wait_ns_max = UINT64_MAX;
    ex->config = config_ref_get(s->roster.current);
    ex->head = copy;
    ex->bytes = head_copy_bytes(ex->head);
    /* Complete already, a request without a body may go on a kept connection. */
    ex->body_complete = head->framing == HTTP_BODY_NONE ||
                        (head->framing == HTTP_BODY_LENGTH && head->content_length == 0);
    ex->head->upgrade = passes_upgrade(head, bytes, ex->body_complete);
    ex->client_keep_alive = head->keep_alive;
    ex->client_http10 = head->minor == 0;
    ex->expects_continue = head->expect_continue && !ex->body_complete;
    ex->is_head_method = http_span_equal(bytes, head->method, "HEAD");
    body_init(&ex->body, &s->bodies);
    take_given(ex);
    traffic_arrived(ex);
    return ex;
}

static void release(struct exchange *ex)
{
    struct server *s = ex->server;
    s->exchanges->items[ex->self.slot] = NULL;
    pool_put(&s->exchanges->pool, ex->self.slot);
    waiting_over(ex);
    if (ex->filter && ex->filter->fini)
        ex->filter->fini(ex);
    scanner_free(ex->scanner);
    body_fini(&ex->body);
    body_fini(&ex->body_asked);
    free(ex->head);
    free(ex->given);
    free(ex->ask.query);
    config_ref_put(ex->config);
    free(ex);
}

struct exchange *exchange_next(const struct server *s, uint32_t *cursor)
{
    while (*cursor < s->exchanges->pool.high_water) {
        struct exchange *ex = s->exchanges->items[(*cursor)++];
        if (ex)
            return ex;
    }
    return NULL;
}

void exchange_forget(struct exchange *ex)
{
    must(!ex->upstream && !ex->peer);
    ex->client->exchange = NULL;
    if (ex->on_local_end)
        ex->on_local_end(ex);
    traffic_forget(ex);
    release(ex);
}

void exchange_over(struct exchange *ex, enum ended how, bool keep)
{
    struct server *s = ex->server;
    struct client *c = ex->client;
    struct id waiter = ex->waiter;
    uint64_t tag = exchange_tag(ex);
    uint32_t commands = ex->commands_open;
    if (ex->peer)
        peers_end(ex);
    if (ex->upstream)
        upstream_put(ex->upstream, ex->upstream_keep && how == ENDED_DONE);
    ex->upstream = NULL;
    if (ex->on_local_end)
        ex->on_local_end(ex);
    /* Behind that: it may follow the log, which gets a line now. */
    traffic_over(ex, how);
    release(ex);
    if (c)
        client_answered(c, keep);
    if (!id_none(waiter))
        runner_request_ended(&s->runner, waiter, how);
    for (; commands > 0; commands--)
        runner_event(&s->runner,
                     (struct event){.type = EVENT_COMMAND_CANCELLED, .command = {.tag = tag}});
}

bool exchange_lives(const struct server *s, struct id self)
{
    return pool_alive(&s->exchanges->pool, self);
}

/* Whether the answer is to be read to its end although nobody takes it: engines that lose their
 * place when they are interrupted want that (onAbort: drain). Only one that has the whole request
 * can finish it. */
static bool is_drained(const struct exchange *ex)
{
    const struct config_model *m = roster_model(&ex->server->roster, ex->slot);
    return m && m->on_abort == CONFIG_ABORT_DRAIN && ex->body_complete && ex->upstream &&
           ex->upstream->connected &&
           (ex->state == EXCHANGE_FORWARDING || ex->state == EXCHANGE_RELAYING);
}

void exchange_client_gone(struct exchange *ex)
{
    ex->client = NULL;
    if (is_drained(ex)) {
        stream_read_start(&ex->upstream->stream); /* the client may have held it up */
        return;
    }
    ex->upstream_keep = false;
    exchange_over(ex, ENDED_GONE, false);
}

void exchange_end_drained(struct server *s)
{
    struct exchange *ex;
    for (uint32_t i = 0; (ex = exchange_next(s, &i));)
        if (!ex->client)
            exchange_over(ex, ENDED_GONE, false);
}

void exchange_end_peers(struct server *s)
{
    struct exchange *ex;
    for (uint32_t i = 0; (ex = exchange_next(s, &i));)
        if (ex->peer)
            exchange_fail_error(ex, ERR_SHUTTING_DOWN, NULL);
}

const char *exchange_target(const struct exchange *ex)
{
    return ex->peer ? ex->peer->id : roster_id(&ex->server->roster, ex->slot);
}

const char *exchange_model(const struct exchange *ex)
{
    if (ex->peer)
        return ex->peer->names.items[ex->peer_model];
    return ex->slot == CORE_SLOT_NONE ? NULL : roster_id(&ex->server->roster, ex->slot);
}

void exchange_end_uncounted(const struct origin *o)
{
    exchange_end_uncounted_of(o, CORE_SLOT_NONE);
}

void exchange_end_uncounted_of(const struct origin *o, uint32_t slot)
{
    struct exchange *ex;
    for (uint32_t i = 0; (ex = exchange_next(o->server, &i));) {
        if (!ex->upstream || ex->upstream->origin != o || !id_none(ex->waiter) ||
            (slot != CORE_SLOT_NONE && ex->slot != slot))
            continue;
        ex->upstream_keep = false;
        if (ex->state == EXCHANGE_TUNNEL)
            exchange_over(ex, ENDED_CUT, false);
        else
            exchange_fail_error(ex, ERR_UNLOADED, NULL);
    }
}

void exchange_client_drained(struct exchange *ex)
{
    if (ex->upstream && (ex->state == EXCHANGE_RELAYING || ex->state == EXCHANGE_TUNNEL))
        stream_read_start(&ex->upstream->stream);
    if (ex->on_local_drain)
        ex->on_local_drain(ex);
}

void exchange_waiting(struct server *s, const struct effect *e)
{
    struct exchange *ex = exchange_find(s, e->tag);
    if (!ex) {
        runner_request_ended(&s->runner, e->waiter, ENDED_GONE);
        return;
    }
    ex->waiter = e->waiter;
    log_debug_with(roster_id(&s->roster, e->model),
                   LOG_WITH(EXCHANGE_LOG_FIELDS(ex), LOG_NUMBER("position", e->position),
                            LOG_NUMBER("estimate_s", e->retry_after_s)),
                   "waiting");
    waiting_begin(ex, e);
}

void exchange_granted(struct server *s, const struct effect *e)
{
    struct exchange *ex = exchange_find(s, e->tag);
    if (!ex) {
        runner_request_ended(&s->runner, e->waiter, ENDED_GONE);
        return;
    }
    must(ex->state == EXCHANGE_WAITING);
    ex->waiter = e->waiter;
    traffic_granted(ex);
    if (waiting_granted(ex))
        exchange_forward(ex);
}

/* What a reason is to clients; those that are not listed end loads only. */
static int error_of(enum reason why)
{
    static const int errors[REASON__COUNT] = {
        [REASON_MODEL_UNKNOWN] = ERR_MODEL_UNKNOWN,
        [REASON_QUEUE_FULL] = ERR_QUEUE_FULL,
        [REASON_BUSY] = ERR_BUSY,
        [REASON_NO_ROOM] = ERR_NO_ROOM,
        [REASON_NO_ROOM_NOW] = ERR_NO_ROOM_NOW,
        [REASON_PINNED] = ERR_BLOCKED,
        [REASON_LEASED] = ERR_BLOCKED,
        [REASON_FOREIGN] = ERR_BLOCKED,
        [REASON_OWN_LEASE] = ERR_OWN_LEASE,
        [REASON_NO_DEVICE] = ERR_NO_DEVICE,
        [REASON_BACKEND_DOWN] = ERR_BACKEND_DOWN,
        [REASON_NOT_POSSIBLE] = ERR_NOT_POSSIBLE,
        [REASON_OP_FAILED] = ERR_OP_FAILED,
        [REASON_LOAD_TIMEOUT] = ERR_LOAD_TIMEOUT,
        [REASON_PAUSED] = ERR_LOAD_PAUSED,
        [REASON_UNLOADED] = ERR_UNLOADED,
        [REASON_COMMAND] = ERR_UNLOADED,
        [REASON_CONFIG] = ERR_UNLOADED,
        [REASON_REMOVED] = ERR_UNLOADED,
        [REASON_SHUTDOWN] = ERR_SHUTTING_DOWN,
        [REASON_STUCK] = ERR_STUCK,
        [REASON_WAIT_EXPIRED] = ERR_WAIT_EXPIRED,
    };
    return errors[why] ? errors[why] : ERR_LOAD_FAILED;
}

/* Free and total per device, and who could leave: what a 507 has to say. */
static void describe_room(struct server *s, const struct effect *e, struct buf *out)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];
    buf_printf(out, "model %s needs %s of device memory;", roster_id(&s->roster, e->model),
               units_format_bytes(e->bytes, a));
    const struct config *c = s->roster.current->config;
    for (uint32_t d = 0; d < c->gpu_count && d < CORE_DEVICES_MAX; d++) {
        struct core_device_view v;
        core_view_device(s->runner.core, d, &v);
        buf_printf(out, " %s has %s of %s free;", c->gpus[d].name,
                   units_format_bytes(v.room_bytes, a), units_format_bytes(v.total_bytes, b));
    }
    const char *sep = " models that could be unloaded: ";
    for (uint32_t i = 0; i < s->roster.count; i++) {
        struct core_model_view v;
        core_view_model(s->runner.core, i, &v);
        if (v.state != MODEL_LOADED || v.device == CORE_SLOT_NONE)
            continue;
        buf_printf(out, "%s%s (%s)", sep, roster_id(&s->roster, i),
                   units_format_bytes(v.charged_bytes, a));
        sep = ", ";
    }
}

/* The sentence for a refusal. */
void exchange_describe(struct server *s, const struct effect *e, struct problem *ret,
                       struct buf *text)
{
    const char *id = roster_id(&s->roster, e->model);
    int error = error_of(e->reason);
    const struct roster_entry *entry =
        e->model < s->roster.count ? &s->roster.entries[e->model] : NULL;
    const char *last = entry ? entry->last_error : NULL;
    char every[UNITS_TEXT_MAX];
    const char *down = error == ERR_BACKEND_DOWN ? degraded_backend_of(s, e->model) : NULL;
    if (error == ERR_NO_ROOM || error == ERR_NO_ROOM_NOW || error == ERR_BLOCKED)
        describe_room(s, e, text);
    else if (down)
        buf_printf(text, "model %s: %s; it is asked again each %s (backendRetry)", id, down,
                   units_format_duration(s->roster.current->config->backend_retry_ns, every));
    else if ((error == ERR_LOAD_FAILED || error == ERR_LOAD_TIMEOUT || error == ERR_LOAD_PAUSED ||
              error == ERR_OP_FAILED || error == ERR_BACKEND_DOWN) &&
             last)
        buf_printf(text, "model %s: %s: %s", id, error_info(error)->text, last);
    else
        buf_printf(text, "model %s: %s", id, error_info(error)->text);
    *ret = (struct problem){.error = error,
                            .detail = text->data,
                            .retry_after_s = error_info(error)->retryable ? e->retry_after_s : 0};
}

void exchange_refused(struct server *s, const struct effect *e)
{
    struct exchange *ex = exchange_find(s, e->tag);
    if (!ex)
        return;
    struct buf text = {0};
    struct problem p;
    exchange_describe(s, e, &p, &text);
    if (p.error == ERR_QUEUE_FULL)
        limits_refused(s, LIMIT_queue);
    ex->waiter = (struct id){0}; /* a refusal is final */
    waiting_over(ex);
    exchange_fail(ex, &p);
    buf_fini(&text);
}

static void start_command(struct exchange *ex, struct event ev,
                          void (*on_done)(struct exchange *ex))
{
    ex->commands_open++;
    ex->on_commands_done = on_done;
    ev.command.tag = exchange_tag(ex);
    runner_event(&ex->server->runner, ev);
}

void exchange_command(struct exchange *ex, uint32_t slot, enum command what,
                      void (*on_done)(struct exchange *ex))
{
    start_command(ex,
                  (struct event){.type = EVENT_COMMAND,
                                 .command = {.model = slot, .what = what, .why = REASON_COMMAND}},
                  on_done);
}

void exchange_keep(struct exchange *ex, uint32_t slot, uint64_t ttl_ns,
                   void (*on_done)(struct exchange *ex))
{
    start_command(ex,
                  (struct event){.type = EVENT_COMMAND,
                                 .command = {.model = slot,
                                             .what = COMMAND_KEEP,
                                             .why = REASON_COMMAND,
                                             .ttl_ns = ttl_ns}},
                  on_done);
}

void exchange_move(struct exchange *ex, uint32_t slot, uint32_t placement,
                   void (*on_done)(struct exchange *ex))
{
    start_command(ex,
                  (struct event){.type = EVENT_COMMAND,
                                 .command = {.model = slot,
                                             .what = COMMAND_MOVE,
                                             .why = REASON_COMMAND,
                                             .placement = placement}},
                  on_done);
}

void exchange_command_done(struct server *s, const struct effect *e)
{
    struct exchange *ex = exchange_find(s, e->tag);
    if (!ex || ex->commands_open == 0)
        return;
    if (ex->command_result == REASON_NONE)
        ex->command_result = e->reason;
    if (--ex->commands_open == 0 && !ex->commands_held)
        ex->on_commands_done(ex);
}
