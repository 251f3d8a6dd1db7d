/* GET /api/captures/ID: one request and its answer, as they went. */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "base/pure/errors.h"
#include "server/proxy/head_copy.h"
#include "server/record/redact.h"

static void put_body(struct buf *out, const char *name, const char *body, size_t n)
{
    buf_printf(out, ",\"%s\":", name);
    if (n == 0) {
        buf_text(out, "null");
        return;
    }
    buf_char(out, '"');
    buf_base64(out, body, n);
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
    if (c->translated)
        buf_json_text(&json, c->translated);
    else
        buf_json(&json, head_copy_bytes(c->request_head) + c->path.off, c->path.len);
    put_head(&json, "req_headers", c->request_head);
    put_body(&json, "req_body", c->request, c->request_bytes);
    put_head(&json, "resp_headers", c->answer_head);
    put_body(&json, "resp_body", c->answer, c->answer_bytes);
    buf_char(&json, '}');
    api_send_json(ex, 200, &json);
}
