/* Answers of wharf's own: errors, whole bodies, and streams that wharf writes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pure/errors.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/relay.h"
#include "server/server.h"
#include "server/traffic.h"

/* Whether the connection can take another request after this answer. */
static bool can_keep(const struct exchange *ex)
{
    return ex->client_keep_alive && ex->body_complete && !ex->server->stopping;
}

/* A GET without a body is complete even before the client's connection says so. */
static void note_no_body(struct exchange *ex)
{
    if (ex->head && (ex->head->framing == HTTP_BODY_NONE ||
                     (ex->head->framing == HTTP_BODY_LENGTH && ex->head->content_length == 0)))
        ex->body_complete = true;
}

static void format_head(struct exchange *ex, int status, const char *content_type,
                        const char *fields, struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    if (content_type)
        buf_printf(out, "Content-Type: %s\r\n", content_type);
    if (fields)
        buf_text(out, fields);
    if (!can_keep(ex))
        buf_text(out, "Connection: close\r\n");
    else if (ex->client_http10)
        buf_text(out, "Connection: keep-alive\r\n");
}

void exchange_reply(struct exchange *ex, int status, const char *content_type, const char *fields,
                    const char *body, size_t n)
{
    struct buf head = {0};
    note_no_body(ex);
    format_head(ex, status, content_type, fields, &head);
    if (status != 204)
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

void exchange_fail(struct exchange *ex, const struct problem *p)
{
    const struct error_info *info = error_info(p->error);
    log_debug(exchange_target(ex), "request failed code=%s begun=%d", info->code, ex->answer_begun);
    if (!ex->client) {
        ex->upstream_keep = false;
        exchange_over(ex, ENDED_GONE, false);
        return;
    }
    if (ex->answer_begun) {
        if (!exchange_filter_fail(ex, p))
            cut(ex);
        return;
    }
    char fields[128] = "";
    bool later = info->retryable && (info->http_status == 503 || info->http_status == 429);
    if (p->retry_after_s || later)
        snprintf(fields, sizeof(fields), "Retry-After: %u\r\n",
                 p->retry_after_s ? p->retry_after_s : 1);
    if (p->allow)
        snprintf(fields, sizeof(fields), "Allow: %.64s\r\n", p->allow);
    if (p->error == ERR_UNAUTHORIZED)
        snprintf(fields, sizeof(fields), "WWW-Authenticate: Basic realm=\"wharf\"\r\n");
    struct buf body = {0};
    ex->client->api->format_problem(p, ex->route ? ex->route->face : FACE_OPENAI, &body);
    /* After bytes that are no valid HTTP, nothing on the connection can be trusted. */
    if (p->error == ERR_HTTP_INVALID)
        ex->client_keep_alive = false;
    exchange_reply(ex, info->http_status, "application/json", fields, body.data, body.len);
    buf_fini(&body);
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
        log_warn(id, "answer cut short: %s", why ? why : text);
    exchange_fail(ex, &(struct problem){.error = error, .detail = detail.data});
    buf_fini(&detail);
}

bool exchange_stream_begin(struct exchange *ex, const char *content_type)
{
    struct buf head = {0};
    ex->state = EXCHANGE_LOCAL;
    ex->out_chunked = !ex->client_http10;
    ex->out_until_close = ex->client_http10;
    if (ex->out_until_close)
        ex->client_keep_alive = false;
    format_head(ex, 200, content_type, "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n",
                &head);
    buf_text(&head, ex->out_chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    uv_buf_t out = uv_buf_init(head.data, (unsigned)head.len);
    ex->answer_begun = true;
    traffic_head(ex, 200, NULL, NULL);
    bool alive = client_write(ex->client, &out, 1);
    buf_fini(&head);
    return alive;
}

bool exchange_stream_write(struct exchange *ex, const char *data, size_t n)
{
    char size[CHUNK_SIZE_LINE_MAX], end[] = "\r\n";
    if (n == 0)
        return true;
    traffic_bytes(ex, data, n);
    union {
        const char *from;
        char *to;
    } text = {data}; /* uv_buf_t has no const form; nothing is written through it */
    if (!ex->out_chunked)
        return client_write(ex->client, &(uv_buf_t){text.to, n}, 1);
    uv_buf_t out[] = {
        uv_buf_init(size, (unsigned)chunk_format_size(size, n)), {text.to, n}, uv_buf_init(end, 2)};
    return client_write(ex->client, out, 3);
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
