#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "http.h"

/* How many bytes a truncated answer promises and never sends. */
#define TRUNCATED_BYTES 64

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {204, "No Content"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {413, "Content Too Large"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < countof(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Other";
}

bool http_send_raw(struct http_conn *c, const void *data, size_t n)
{
    const char *at = data;
    while (n > 0) {
        ssize_t sent = send(c->fd, at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool flush_out(struct http_conn *c)
{
    bool ok = http_send_raw(c, c->out.data, c->out.len);
    buf_clear(&c->out);
    return ok;
}

static void put_head(struct http_conn *c, int status, const char *type)
{
    buf_clear(&c->out);
    if (c->flags->bad_head && !c->behaves)
        buf_printf(&c->out, "HTTP/1.1 two hundred\r\nno colon in here\r\nServer : demo\r\n");
    else
        buf_printf(&c->out, "HTTP/1.1 %d %s\r\nServer: wharf-demo-model\r\n", status,
                   status_text(status));
    buf_printf(&c->out, "Content-Type: %s\r\n", type);
    if (!c->req.keep_alive)
        buf_text(&c->out, "Connection: close\r\n");
}

/* Pads a JSON object with one more member, so that it stays JSON. */
static size_t put_body(struct http_conn *c, const char *type, const struct buf *body,
                       bool with_data)
{
    static const char open[] = ",\"padding\":\"", close[] = "\"}";
    const size_t frame = sizeof(open) - 1 + sizeof(close) - 1 - 1;
    uint64_t want = c->behaves ? 0 : c->flags->response_bytes;
    bool pad = want > body->len + frame && strcmp(type, "application/json") == 0 && body->len > 2 &&
               body->data[body->len - 1] == '}';
    size_t n = pad ? (size_t)want : body->len;
    if (!with_data)
        return n;
    buf_append(&c->out, body->data, pad ? body->len - 1 : body->len);
    if (!pad)
        return n;
    size_t fill = n - body->len - frame;
    buf_text(&c->out, open);
    char *at = buf_reserve(&c->out, fill);
    memset(at, 'x', fill);
    buf_commit(&c->out, fill);
    buf_text(&c->out, close);
    return n;
}

static void put_length_head(struct http_conn *c, int status, const char *type, uint64_t length)
{
    bool truncate = c->flags->truncate && !c->behaves;
    put_head(c, status, type);
    buf_printf(&c->out, "Content-Length: %" PRIu64 "\r\n\r\n",
               truncate ? length + TRUNCATED_BYTES : length);
}

bool http_send_head(struct http_conn *c, int status, const char *type, uint64_t content_length)
{
    put_length_head(c, status, type, content_length);
    return flush_out(c);
}

bool http_finish(const struct http_conn *c)
{
    return c->req.keep_alive && (c->behaves || !c->flags->truncate);
}

/* One send for head and body, so that a short answer is one segment. */
bool http_send_whole(struct http_conn *c, int status, const char *type, const struct buf *body)
{
    put_length_head(c, status, type, put_body(c, type, body, false));
    if (strcmp(c->req.method ? c->req.method : "", "HEAD") != 0)
        put_body(c, type, body, true);
    return flush_out(c) && http_finish(c);
}

bool http_send_json(struct http_conn *c, int status, const char *text)
{
    struct buf body = {0};
    buf_text(&body, text);
    bool ok = http_send_whole(c, status, "application/json", &body);
    buf_fini(&body);
    return ok;
}

/* An HTTP/1.0 client knows no chunks: the stream ends with the connection. */
void http_stream_begin(struct http_conn *c, const char *type)
{
    if (c->req.http10)
        c->req.keep_alive = false;
    put_head(c, 200, type);
    buf_text(&c->out, "Cache-Control: no-cache\r\n");
    buf_text(&c->out, c->req.http10 ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n");
}

bool http_stream_part(struct http_conn *c, const void *data, size_t n)
{
    if (n == 0)
        return true;
    if (!c->req.http10)
        buf_printf(&c->out, "%zx\r\n", n);
    buf_append(&c->out, data, n);
    if (!c->req.http10)
        buf_text(&c->out, "\r\n");
    return flush_out(c);
}

bool http_stream_end(struct http_conn *c)
{
    if ((c->behaves || !c->flags->truncate) && !c->req.http10)
        buf_text(&c->out, "0\r\n\r\n");
    return flush_out(c) && http_finish(c);
}
