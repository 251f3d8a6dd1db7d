/* The request on its way to the model's server. Its head is rebuilt from what was parsed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/pure/errors.h"
#include "server/handover/drainer.h"
#include "server/net/origin.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/relay.h"
#include "server/proxy/request.h"
#include "server/proxy/upstream.h"
#include "server/record/recording.h"
#include "server/residents/residents.h"
#include "server/server.h"

/* When a paused client may go on sending. */
#define AHEAD_LOW (256 * 1024)
/* Of the fields that are meant for wharf alone. */
#define OWN_PREFIX "x-wharf-"

/* Text put together in the server's scratch. */
struct writer {
    char *at, *end;
    bool overflow;
};

static void put(struct writer *w, const char *text, size_t n)
{
    if ((size_t)(w->end - w->at) < n) {
        w->overflow = true;
        return;
    }
    memcpy(w->at, text, n);
    w->at += n;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_span(struct writer *w, const struct exchange *ex, struct http_span s)
{
    put(w, ex->bytes + s.off, s.len);
}

static void put_field(struct writer *w, const struct exchange *ex, const struct http_field *f)
{
    put_span(w, ex, f->name);
    put(w, ": ", 2);
    put_span(w, ex, f->value);
    put(w, "\r\n", 2);
}

static void put_number_field(struct writer *w, const char *name, uint64_t value)
{
    char digits[UNITS_DIGITS_MAX];
    size_t n = units_put_digits(value, digits);
    put_text(w, name);
    put(w, ": ", 2);
    put(w, digits, n);
    put(w, "\r\n", 2);
}

/* A peer is told who asks, and nothing of who asked there. */
static bool withheld_from_peer(const struct exchange *ex, const struct http_field *f)
{
    static const char prefix[] = "x-forwarded-";
    const char *name = ex->bytes + f->name.off;
    return f->known == HTTP_FIELD_HOST || http_span_equal_case(ex->bytes, f->name, "forwarded") ||
           (f->name.len > sizeof(prefix) - 1 && strncasecmp(name, prefix, sizeof(prefix) - 1) == 0);
}

/* Fields that wharf sets itself, or keeps to itself. */
static bool withheld(const struct exchange *ex, const struct http_field *f)
{
    /* What is measured or translated must be readable. */
    if ((ex->recording || ex->filter) && f->known == HTTP_FIELD_OTHER &&
        http_span_equal_case(ex->bytes, f->name, "accept-encoding"))
        return true;
    /* Of the body as it came. */
    if (ex->ask.path && f->known == HTTP_FIELD_CONTENT_TYPE)
        return true;
    if (f->known == HTTP_FIELD_CONTENT_LENGTH || f->known == HTTP_FIELD_EXPECT ||
        f->known == HTTP_FIELD_X_FORWARDED_FOR)
        return true;
    /* Said to wharf, and to nobody behind it. */
    if (f->known == HTTP_FIELD_OTHER && f->name.len > strlen(OWN_PREFIX) &&
        strncasecmp(ex->bytes + f->name.off, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
        return true;
    /* A key of wharf's never goes upstream; without keys of its own, it may be the model's. */
    if ((f->known == HTTP_FIELD_AUTHORIZATION || f->known == HTTP_FIELD_X_API_KEY) &&
        (ex->config->config->key_count > 0 || (ex->peer && ex->peer->api_key[0])))
        return true;
    if (ex->peer && withheld_from_peer(ex, f))
        return true;
    return http_head_is_hop(ex->head, ex->bytes, f);
}

static void put_keys(struct writer *w, const char *key)
{
    if (!*key)
        return;
    put_text(w, "Authorization: Bearer ");
    put_text(w, key);
    put_text(w, "\r\nx-api-key: ");
    put_text(w, key);
    put_text(w, "\r\n");
}

static void put_fields(struct writer *w, struct exchange *ex)
{
    const struct http_head *h = ex->head;
    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct http_field *f = &h->fields[i];
        if (!withheld(ex, f))
            put_field(w, ex, f);
    }
    if (ex->peer) {
        put_keys(w, ex->peer->api_key);
    } else if (ex->client->peer[0]) {
        put_text(w, "X-Forwarded-For: ");
        for (uint32_t i = 0; i < h->field_count; i++) {
            if (h->fields[i].known != HTTP_FIELD_X_FORWARDED_FOR)
                continue;
            put_span(w, ex, h->fields[i].value);
            put(w, ", ", 2);
        }
        put_text(w, ex->client->peer);
        put(w, "\r\n", 2);
    }
    if (h->upgrade) {
        put_text(w, "Connection: Upgrade\r\n");
        for (uint32_t i = 0; i < h->field_count; i++)
            if (h->fields[i].known == HTTP_FIELD_UPGRADE)
                put_field(w, ex, &h->fields[i]);
    }
}

static void put_framing(struct writer *w, struct exchange *ex)
{
    const struct http_head *h = ex->head;
    ex->send_chunked = false;
    if (h->framing == HTTP_BODY_NONE)
        return;
    if (ex->body_complete) {
        put_number_field(w, "Content-Length", body_size(&ex->body));
    } else if (h->framing == HTTP_BODY_LENGTH) {
        put_number_field(w, "Content-Length", h->content_length);
    } else {
        put_text(w, "Transfer-Encoding: chunked\r\n");
        ex->send_chunked = true;
    }
}

static void put_target(struct writer *w, const struct exchange *ex, const struct origin *o)
{
    struct http_span path = ex->head->path, query = ex->head->query;
    path.off += ex->ask.path_skip;
    path.len -= ex->ask.path_skip;
    put_text(w, o->base_path);
    if (ex->ask.path)
        put_text(w, ex->ask.path);
    else
        put_span(w, ex, path);
    if (o->base_query[0]) {
        put(w, "?", 1);
        put_text(w, o->base_query);
    }
    if (ex->ask.path || query.len == 0)
        return;
    put(w, o->base_query[0] ? "&" : "?", 1);
    if (ex->ask.query)
        put_text(w, ex->ask.query);
    else
        put_span(w, ex, query);
}

/* Builds the head in scratch; its length, or 0 when it does not fit. */
static size_t format_head(struct exchange *ex, const struct origin *o)
{
    char *scratch = ex->server->scratch;
    struct writer w = {scratch, scratch + SERVER_SCRATCH_BYTES, false};
    const struct http_head *h = ex->head;
    put_span(&w, ex, h->method);
    put(&w, " ", 1);
    put_target(&w, ex, o);
    put_text(&w, " HTTP/1.1\r\n");
    if (ex->peer || !http_head_find(h, HTTP_FIELD_HOST)) {
        put_text(&w, "Host: ");
        put_text(&w, o->host);
        put(&w, "\r\n", 2);
    }
    put_fields(&w, ex);
    if (ex->recording || ex->filter)
        put_text(&w, "Accept-Encoding: identity\r\n");
    if (ex->recording && *ex->recording->traceparent) {
        put_text(&w, "traceparent: ");
        put_text(&w, ex->recording->traceparent);
        put(&w, "\r\n", 2);
    }
    if (ex->ask.path)
        put_text(&w, "Content-Type: application/json\r\n");
    put_framing(&w, ex);
    put(&w, "\r\n", 2);
    return w.overflow ? 0 : (size_t)(w.at - scratch);
}

/* Where it goes, as things are now; NULL: nobody is there to take it. */
static struct origin *origin_of(const struct exchange *ex)
{
    if (ex->peer)
        return peers_origin(ex->server, ex->config, ex->peer);
    return resident_origin(ex->server, ex->slot);
}

/* Back into the queue, once: its server was not there to take it. */
static bool bounce(struct exchange *ex)
{
    if (ex->bounced || ex->body_sent || id_none(ex->waiter))
        return false;
    ex->bounced = true;
    ex->state = EXCHANGE_WAITING;
    if (ex->upstream)
        upstream_put(ex->upstream, false);
    ex->upstream = NULL;
    if (ex->server->drainer) {
        drainer_bounce(ex);
        return true;
    }
    runner_event(&ex->server->runner,
                 (struct event){.type = EVENT_REQUEST_BOUNCED, .ended = {.waiter = ex->waiter}});
    return true;
}

/* Nobody takes it: back into the queue, unless that would be no use. */
static void fail_nowhere(struct exchange *ex, int error)
{
    struct resident_view its = {0};
    if (!ex->peer)
        resident_describe(ex->server, ex->slot, &its);
    if (its.deaf)
        exchange_fail_error(ex, ERR_NOT_POSSIBLE, its.deaf);
    else if (!bounce(ex))
        exchange_fail_upstream(ex, error, NULL);
}

static void send_request(struct exchange *ex)
{
    const struct origin *o = origin_of(ex);
    size_t n = o ? format_head(ex, o) : 0;
    if (!o) {
        fail_nowhere(ex, ERR_UPSTREAM_CLOSED);
        return;
    }
    if (n == 0) {
        exchange_fail_upstream(ex, ERR_HEAD_TOO_LARGE, NULL);
        return;
    }
    uv_buf_t out[3] = {uv_buf_init(ex->server->scratch, (unsigned)n)};
    unsigned count = 1;
    /* The usual body is whole, in memory and one piece: head and body leave in one write. */
    if (ex->body_complete && ex->body.fd < 0 && ex->body.edit_count == 0 && ex->body.size) {
        out[count++] = uv_buf_init(ex->body.memory, (unsigned)ex->body.size);
        ex->body_sent = ex->body.size;
    }
    if (stream_write(&ex->upstream->stream, out, count) < 0) {
        exchange_upstream_end(ex, UV_EPIPE);
        return;
    }
    if (o->header_timeout_ns)
        timeouts_arm_ms(&ex->server->timeouts, &ex->upstream->timeout, TIMEOUT_ANSWER,
                        o->header_timeout_ns / NS_PER_MS);
    exchange_send_body(ex);
}

/* That wharf has no descriptor left says nothing about the model's server. */
static void fail_connect(struct exchange *ex, int error, const char *why)
{
    bool lacking = descriptors_short(ex->server, "to connect to a model's server", error);
    exchange_fail_upstream(ex,
                           lacking                    ? ERR_OVERLOADED
                           : error == UV_ECONNREFUSED ? ERR_UPSTREAM_REFUSED
                           : error == UV_ETIMEDOUT    ? ERR_UPSTREAM_TIMEOUT
                                                      : ERR_UPSTREAM_ERROR,
                           why);
}

void exchange_forward(struct exchange *ex)
{
    struct origin *o = origin_of(ex);
    ex->state = EXCHANGE_FORWARDING;
    ex->body_sent = 0;
    ex->sent_all = false;
    /* A body that is not held whole cannot be sent twice, so it must not meet a stale connection.
     */
    bool fresh = ex->fresh_only || !ex->body_complete || ex->head->upgrade;
    int error = UV_ECONNABORTED;
    ex->upstream = o ? upstream_get(o, ex, fresh, &error) : NULL;
    if (!o) {
        fail_nowhere(ex, ERR_UPSTREAM_ERROR);
        return;
    }
    if (!ex->upstream) {
        fail_connect(ex, error, uv_strerror(error));
        return;
    }
    if (ex->expects_continue) {
        static char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
        uv_buf_t out = uv_buf_init(line, sizeof(line) - 1);
        ex->expects_continue = false;
        if (!client_write(ex->client, &out, 1))
            return;
    }
    if (ex->upstream->connected)
        send_request(ex);
}

void exchange_upstream_connected(struct exchange *ex, int error)
{
    if (error == 0) {
        send_request(ex);
        return;
    }
    if (error == UV_ECONNREFUSED && !ex->peer)
        resident_refused(ex->server, ex->slot);
    if (error != UV_ECONNREFUSED || !bounce(ex))
        fail_connect(ex, error, dial_why(&ex->upstream->dial, error));
}

static int send_piece(struct exchange *ex, const char *data, size_t n)
{
    char size[CHUNK_SIZE_LINE_MAX], end[] = "\r\n";
    union {
        const char *from;
        char *to;
    } text = {data}; /* uv_buf_t has no const form; nothing is written through it */
    uv_buf_t piece = {text.to, n};
    if (!ex->send_chunked)
        return stream_write(&ex->upstream->stream, &piece, 1);
    uv_buf_t out[] = {uv_buf_init(size, (unsigned)chunk_format_size(size, n)), piece,
                      uv_buf_init(end, 2)};
    return stream_write(&ex->upstream->stream, out, 3);
}

static int send_last(struct exchange *ex)
{
    static char last[] = "0\r\n\r\n";
    uv_buf_t out = uv_buf_init(last, sizeof(last) - 1);
    ex->sent_all = true;
    return ex->send_chunked ? stream_write(&ex->upstream->stream, &out, 1) : 0;
}

void exchange_send_body(struct exchange *ex)
{
    while (!ex->sent_all && !stream_full(&ex->upstream->stream)) {
        const char *data;
        size_t n;
        int rc = body_peek(&ex->body, ex->body_sent, ex->server->spool_scratch,
                           SERVER_SCRATCH_BYTES, &data, &n);
        if (rc < 0) {
            exchange_fail(ex, &(struct problem){.error = -rc});
            return;
        }
        if (n == 0 && !ex->body_complete)
            break; /* more will come */
        rc = n ? send_piece(ex, data, n) : send_last(ex);
        ex->body_sent += n;
        if (rc < 0) {
            exchange_upstream_end(ex, rc);
            return;
        }
    }
    if (!ex->body_complete && ex->body.size - ex->body_sent < AHEAD_LOW)
        client_resume(ex->client);
}

void exchange_upstream_drained(struct exchange *ex)
{
    if (ex->state == EXCHANGE_TUNNEL)
        client_resume(ex->client);
    else
        exchange_send_body(ex);
}

void exchange_upstream_timeout(struct exchange *ex, enum timeout_kind kind)
{
    exchange_fail_upstream(ex, ERR_UPSTREAM_TIMEOUT,
                           kind == TIMEOUT_CONNECT     ? "no connection in time"
                           : kind == TIMEOUT_HANDSHAKE ? "no TLS handshake in time"
                                                       : "no answer in time");
}
