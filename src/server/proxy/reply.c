/* Answers of wharf's own: errors, whole bodies, and streams that wharf writes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pure/errors.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/cors.h"
#include "server/proxy/relay.h"
#include "server/record/recording.h"
#include "server/record/traffic.h"
#include "server/server.h"

/* Whether the connection can take another request after this answer. */
static bool can_keep(const struct exchange *ex)
{
    return ex->client_keep_alive && ex->body_complete && server_takes_more(ex->server);
}

static void format_head(struct exchange *ex, int status, const char *content_type,
                        const char *fields, struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    if (content_type)
        buf_printf(out, "Content-Type: %s\r\n", content_type);
    /* What wharf tells, a browser must not take for a page or a script of a name that it made up.
     */
    buf_text(out, "X-Content-Type-Options: nosniff\r\n");
    if (fields)
        buf_text(out, fields);
    waiting_put_fields(ex, out);
    if (ex->recording)
        recording_put_fields(ex->recording, out);
    cors_put_fields(ex, out);
    if (!can_keep(ex))
        buf_text(out, "Connection: close\r\n");
    else if (ex->client_http10)
        buf_text(out, "Connection: keep-alive\r\n");
}

void exchange_reply(struct exchange *ex, int status, const char *content_type, const char *fields,
                    const char *body, size_t n)
{
    struct buf head = {0};
    format_head(ex, status, content_type, fields, &head);
    if (status != 204 && status != 304)
        buf_printf(&head, "Content-Length: %zu\r\n", n);
    buf_text(&head, "\r\n");
    if (!ex->is_head_method)
        buf_append(&head, body, n);
    uv_buf_t out = uv_buf_init(head.data, (unsigned)head.len);
    ex->answer_begun = true;
    traffic_head(ex, (unsigned)status, NULL, NULL);
    traffic_bytes(ex, body, n);
    bool keep = can_keep(ex);
    if (client_write(ex->client, &out, 1)) {
        if (ex->body_complete && ex->client->state == CLIENT_BODY)
            ex->client->state = CLIENT_ANSWER;
        exchange_over(ex, ENDED_CUT, keep);
    }
    buf_fini(&head);
}

static void cut(struct exchange *ex)
{
    struct client *c = ex->client;
    bool reset = ex->out_until_close;
    ex->client = NULL;
    exchange_over(ex, ENDED_CUT, false);
    client_truncate(c, reset);
}

/* When it may be worth another try; 0: never. What is wrong with one model is over, at the
 * earliest, when its next request would be served. */
static uint32_t retry_after_s(const struct exchange *ex, const struct problem *p)
{
    if (p->retry_after_s)
        return p->retry_after_s;
    if (!error_info(p->error)->retryable)
        return 0;
    bool known = roster_model(&ex->server->roster, ex->slot) != NULL;
    return known ? core_estimate_s(ex->server->runner.core, ex->slot) : 1;
}

/* A browser asks for a password of its own accord when it is challenged by Basic, also where a
 * script of a page asked that has a field for the key. Scripts say so by a convention. */
static const char *challenge_of(const struct exchange *ex)
{
    return http_head_find_text(ex->head, ex->bytes, "x-requested-with") ? "Bearer" : "Basic";
}

static void refuse(struct exchange *ex, const struct problem *p)
{
    struct buf fields = {0}, body = {0};
    const struct http_field *accept = http_head_find(ex->head, HTTP_FIELD_ACCEPT);
    struct problem_reader who = {.face = ex->route ? ex->route->face : ex->client->api->face};
    if (accept) {
        who.accept = ex->bytes + accept->value.off;
        who.accept_len = accept->value.len;
    }
    if (p->retry_after_s)
        buf_printf(&fields, "Retry-After: %u\r\n", p->retry_after_s);
    if (!error_info(p->error)->retryable)
        buf_text(&fields, ANSWER_NO_RETRY);
    if (p->allow)
        buf_printf(&fields, "Allow: %s\r\n", p->allow);
    if (p->error == ERR_UNAUTHORIZED)
        buf_printf(&fields, "WWW-Authenticate: %s realm=\"llama-swap\"\r\n", challenge_of(ex));
    const char *type = ex->client->api->format_problem(p, &who, &body);
    exchange_reply(ex, error_info(p->error)->http_status, type, fields.data, body.data, body.len);
    buf_fini(&fields);
    buf_fini(&body);
}

void exchange_fail(struct exchange *ex, const struct problem *problem)
{
    struct problem p = *problem;
    p.retry_after_s = retry_after_s(ex, problem);
    limits_count(ex->server, p.error);
    log_debug_with(exchange_model(ex),
                   LOG_WITH(EXCHANGE_LOG_FIELDS(ex), LOG_TEXT("code", error_info(p.error)->code),
                            LOG_NUMBER("begun", ex->answer_begun)),
                   "request failed");
    if (!ex->client) {
        ex->upstream_keep = false;
        exchange_over(ex, ENDED_GONE, false);
        return;
    }
    if (ex->answer_begun) {
        if (!exchange_filter_fail(ex, &p))
            cut(ex);
        return;
    }
    /* After bytes that are no valid HTTP, nothing on the connection can be trusted; and each guess
     * is to take a connection of its own. */
    if (p.error == ERR_HTTP_INVALID || p.error == ERR_KEYS_WRONG)
        ex->client_keep_alive = false;
    refuse(ex, &p);
}

void exchange_fail_error(struct exchange *ex, int error, const char *detail)
{
    exchange_fail(ex, &(struct problem){.error = error < 0 ? -error : error, .detail = detail});
}

void exchange_fail_upstream(struct exchange *ex, int error, const char *why)
{
    const char *id = exchange_target(ex), *text = error_info(error)->text;
    struct buf detail = {0};
    buf_printf(&detail, "%s %s: %s%s%s", ex->peer ? "peer proxy error:" : "model", id, text,
               why ? ": " : "", why ? why : "");
    if (ex->answer_begun)
        log_warn_with(exchange_model(ex), LOG_WITH(EXCHANGE_LOG_FIELDS(ex)), "answer cut short: %s",
                      why ? why : text);
    exchange_fail(ex, &(struct problem){.error = error, .detail = detail.data});
    buf_fini(&detail);
}

bool exchange_stream_open(struct exchange *ex, const char *content_type)
{
    struct buf head = {0};
    if (ex->answer_begun)
        return true; /* an earlier program has begun it */
    ex->out_chunked = !ex->client_http10;
    ex->out_until_close = ex->client_http10;
    if (ex->out_until_close)
        ex->client_keep_alive = false;
    format_head(ex, 200, content_type, "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n",
                &head);
    buf_text(&head, ex->out_chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    uv_buf_t out = uv_buf_init(head.data, (unsigned)head.len);
    ex->answer_begun = true;
    bool alive = client_write(ex->client, &out, 1);
    buf_fini(&head);
    return alive;
}

bool exchange_stream_begin(struct exchange *ex, const char *content_type)
{
    ex->state = EXCHANGE_LOCAL;
    traffic_head(ex, 200, NULL, NULL);
    return exchange_stream_open(ex, content_type);
}

bool exchange_stream_put(struct exchange *ex, const char *data, size_t n)
{
    char size[CHUNK_SIZE_LINE_MAX], end[] = "\r\n";
    if (n == 0)
        return true;
    union {
        const char *from;
        char *to;
    } text = {data}; /* uv_buf_t has no const form; nothing is written through it */
    const uv_buf_t plain = {.base = text.to, .len = n};
    if (!ex->out_chunked)
        return client_write(ex->client, &plain, 1);
    uv_buf_t out[] = {uv_buf_init(size, (unsigned)chunk_format_size(size, n)), plain,
                      uv_buf_init(end, 2)};
    return client_write(ex->client, out, 3);
}

bool exchange_stream_write(struct exchange *ex, const char *data, size_t n)
{
    traffic_bytes(ex, data, n);
    return exchange_stream_put(ex, data, n);
}

bool exchange_stream_full(struct exchange *ex)
{
    return stream_full(&ex->client->stream);
}

void exchange_stream_end(struct exchange *ex)
{
    char last[] = "0\r\n\r\n";
    uv_buf_t out = uv_buf_init(last, sizeof(last) - 1);
    if (ex->out_chunked && !client_write(ex->client, &out, 1))
        return;
    exchange_over(ex, ENDED_DONE, can_keep(ex));
}
