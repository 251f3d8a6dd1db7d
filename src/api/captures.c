/* GET /api/captures/ID: one request and its answer, as they went. */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/pure/errors.h"
#include "server/proxy/head_copy.h"
#include "server/redact.h"

/* RFC 4648, section 4. */
static void put_base64(struct buf *out, const char *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)data;
    char *to = buf_reserve(out, (n + 2) / 3 * 4);
    size_t len = 0;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                        (left > 2 ? p[i + 2] : 0);
        to[len++] = digits[bits >> 18];
        to[len++] = digits[bits >> 12 & 63];
        to[len++] = left > 1 ? digits[bits >> 6 & 63] : '=';
        to[len++] = left > 2 ? digits[bits & 63] : '=';
    }
    buf_commit(out, len);
}

static void put_body(struct buf *out, const char *name, const struct buf *body)
{
    buf_printf(out, ",\"%s\":", name);
    if (body->len == 0) {
        buf_text(out, "null");
        return;
    }
    buf_char(out, '"');
    put_base64(out, body->data, body->len);
    buf_char(out, '"');
}

static void put_head(struct buf *out, const char *name, struct http_head *head)
{
    buf_printf(out, ",\"%s\":", name);
    if (head)
        redact_fields(head, head_copy_bytes(head), out);
    else
        buf_text(out, "{}");
}

void api_capture(struct server *s, struct exchange *ex)
{
    char text[API_NAME_MAX];
    struct buf json = {0};
    if (!api_path_tail(ex, text, sizeof(text)))
        return;
    if (!*text || strlen(text) > 18 || text[strspn(text, "0123456789")]) {
        exchange_fail_error(ex, ERR_BODY_INVALID, "invalid capture ID");
        return;
    }
    const struct capture *c = captures_find(&s->captures, strtoll(text, NULL, 10));
    if (!c) {
        exchange_fail_error(ex, ERR_ROUTE_UNKNOWN, "capture not found");
        return;
    }
    buf_printf(&json, "{\"id\":%lld,\"req_path\":", (long long)c->id);
    buf_json(&json, head_copy_bytes(c->request_head) + c->path.off, c->path.len);
    put_head(&json, "req_headers", c->request_head);
    put_body(&json, "req_body", &c->request);
    put_head(&json, "resp_headers", c->answer_head);
    put_body(&json, "resp_body", &c->answer);
    buf_char(&json, '}');
    api_send_json(ex, 200, &json);
}
