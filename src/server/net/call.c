#include "server/net/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "http/chunk.h"
#include "http/head.h"
#include "server/net/dial.h"
#include "server/server.h"

/* A head is 32 KiB at most, which the parser sees to; what comes with it in one read is kept. */
#define IN_BYTES_MAX (32 * 1024 + STREAM_SLAB_BYTES)

struct call {
    struct stream stream;
    struct origin *origin; /* counted */
    struct dial dial;
    uv_timer_t timer;
    struct buf request;
    struct buf in; /* until the head is whole */
    size_t scan;
    struct buf body;
    size_t body_max;
    enum http_framing framing; /* of the answer */
    struct chunk_decoder chunks;
    uint64_t left; /* HTTP_BODY_LENGTH: bytes still to come */
    bool connected;
    char why[256];
    int start_error;                                         /* it could not even be tried */
    int status;                                              /* 0: no head yet */
    void (*on_done)(void *arg, const struct call_answer *a); /* NULL: done, or cancelled */
    void *arg;
    int handles_open;
};

static void release(struct call *c)
{
    if (--c->handles_open > 0)
        return;
    origin_put(c->origin);
    buf_fini(&c->request);
    buf_fini(&c->in);
    buf_fini(&c->body);
    free(c);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(container_of(handle, struct call, timer));
}

static void shut(struct call *c)
{
    dial_stop(&c->dial);
    stream_close(&c->stream);
    if (!uv_is_closing((uv_handle_t *)&c->timer))
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void finish(struct call *c, int error)
{
    void (*on_done)(void *arg, const struct call_answer *a) = c->on_done;
    if (error)
        snprintf(c->why, sizeof(c->why), "%s", dial_why(&c->dial, error));
    struct call_answer a = {.error = error,
                            .why = error ? c->why : NULL,
                            .connected = c->connected,
                            .status = c->status,
                            .body = c->body.data ? c->body.data : "",
                            .n = c->body.len};
    c->on_done = NULL;
    /* What is handed out lives until the handles are closed, which is later. */
    shut(c);
    if (on_done)
        on_done(c->arg, &a);
}

static void take(struct call *c, const char *data, size_t n)
{
    if (c->body.len + n > c->body_max)
        c->body.overflow = true;
    else
        buf_append(&c->body, data, n);
}

/* True when the body is whole. */
static bool take_chunked(struct call *c, const char *data, size_t n, int *ret_error)
{
    int rc = 0;
    while (n && rc == 0) {
        size_t used, off, len;
        rc = chunk_decode(&c->chunks, data, n, &used, &off, &len);
        if (rc < 0)
            break;
        take(c, data + off, len);
        data += used;
        n -= used;
    }
    *ret_error = rc < 0 ? UV_EPROTO : 0;
    return rc == 1;
}

static void take_body(struct call *c, const char *data, size_t n)
{
    bool whole = c->framing == HTTP_BODY_NONE;
    int error = 0;
    if (c->framing == HTTP_BODY_CHUNKED) {
        whole = take_chunked(c, data, n, &error);
    } else if (c->framing == HTTP_BODY_UNTIL_CLOSE) {
        take(c, data, n);
    } else if (c->framing == HTTP_BODY_LENGTH) {
        if (n > c->left)
            n = (size_t)c->left;
        take(c, data, n);
        c->left -= n;
        whole = c->left == 0;
    }
    if (c->body.overflow)
        error = UV_EMSGSIZE;
    if (whole || error)
        finish(c, error);
}

static void take_head(struct call *c, const char *data, size_t n)
{
    static struct http_head head; /* large; used within this call only */
    buf_append(&c->in, data, n);
    int rc = 0;
    do {
        rc = http_head_parse(HTTP_RESPONSE, false, c->in.data, c->in.len, &c->scan, &head);
        if (rc == 1 && head.status < 200) { /* an interim one: the answer follows */
            buf_consume(&c->in, head.bytes);
            c->scan = 0;
        }
    } while (rc == 1 && head.status < 200 && c->in.len);
    if (rc < 0 || c->in.overflow) {
        finish(c, UV_EPROTO);
        return;
    }
    if (rc == 0 || head.status < 200)
        return;
    c->status = head.status;
    c->framing = head.framing;
    c->left = head.content_length;
    if (c->body_max == 0)
        finish(c, 0);
    else if (c->framing == HTTP_BODY_LENGTH && c->left > c->body_max)
        finish(c, UV_EMSGSIZE);
    else
        take_body(c, c->in.data + head.bytes, c->in.len - head.bytes);
}

static void on_data(struct stream *s, const char *data, size_t n)
{
    struct call *c = container_of(s, struct call, stream);
    if (c->status)
        take_body(c, data, n);
    else
        take_head(c, data, n);
}

static void on_end(struct stream *s, int error)
{
    struct call *c = container_of(s, struct call, stream);
    bool whole = c->status && c->framing == HTTP_BODY_UNTIL_CLOSE && error == 0;
    finish(c, whole ? 0 : error ? error : UV_EOF);
}

static void on_closed(struct stream *s)
{
    release(container_of(s, struct call, stream));
}

static void on_connected(struct stream *s, int error)
{
    struct call *c = container_of(s, struct call, stream);
    uv_buf_t out = uv_buf_init(c->request.data, (unsigned)c->request.len);
    if (error == 0)
        error = dial_check(&c->dial);
    if (error && dial_next(&c->dial, &error))
        return;
    if (error == 0) {
        c->connected = true;
        dial_done(&c->dial);
        error = stream_write(s, &out, 1);
    }
    if (error)
        finish(c, error);
    else
        stream_read_start(s);
}

static void on_reopened(struct stream *s)
{
    dial_reopened(&container_of(s, struct call, stream)->dial);
}

static void on_timeout(uv_timer_t *timer)
{
    struct call *c = container_of(timer, struct call, timer);
    finish(c, c->start_error ? c->start_error : UV_ETIMEDOUT);
}

static void put_request(struct buf *out, const struct origin *o, const struct call_spec *spec)
{
    buf_printf(out, "%s %s%s", spec->method, o->base_path, spec->path);
    if (*o->base_query)
        buf_printf(out, "%c%s", strchr(spec->path, '?') ? '&' : '?', o->base_query);
    buf_printf(out,
               " HTTP/1.1\r\nHost: %s\r\nUser-Agent: wharf/" WHARF_VERSION
               "\r\nAccept: */*\r\nConnection: close\r\n%s",
               o->host, spec->fields ? spec->fields : "");
    if (spec->body)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(spec->body), spec->body);
    else
        buf_text(out, strcmp(spec->method, "GET") == 0 ? "\r\n" : "Content-Length: 0\r\n\r\n");
}

struct call *call_start(struct origin *o, const struct call_spec *spec,
                        void (*on_done)(void *arg, const struct call_answer *a), void *arg)
{
    static const struct stream_ops ops = {.on_data = on_data,
                                          .on_end = on_end,
                                          .on_closed = on_closed,
                                          .on_connected = on_connected,
                                          .on_reopened = on_reopened};
    struct call *c = alloc_zeroed(1, sizeof(*c));
    buf_init(&c->in, IN_BYTES_MAX);
    c->body_max = spec->answer_bytes_max;
    c->origin = origin_get(o);
    put_request(&c->request, o, spec);
    c->on_done = on_done;
    c->arg = arg;
    c->handles_open = 2;
    stream_init(&c->stream, &o->server->hub, o->is_unix, &ops);
    uv_timer_init(o->server->loop, &c->timer);
    c->start_error = dial_start(&c->dial, &c->stream, o);
    /* What cannot even be tried is told by the timer, so that nobody is called back from inside his
     * own call. */
    uint64_t ms = c->start_error ? 0 : (spec->timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
    uv_update_time(o->server->loop);
    uv_timer_start(&c->timer, on_timeout, ms, 0);
    return c;
}

void call_cancel(struct call *c)
{
    c->on_done = NULL;
    shut(c);
}
