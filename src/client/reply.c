#include "reply.h"

#include <jansson.h>
#include <string.h>

#include "http/head.h"

/* Longer answers than this that are no JSON are pages, not messages. */
#define PLAIN_MESSAGE_MAX 400

int client_collect(struct client_answer *a, struct client_reply *ret, struct err *e)
{
    struct client_reply r = {.status = client_status(a), .body = {.max = CLIENT_REPLY_BYTES_MAX}};
    const char *data;
    size_t n;
    int rc;
    while ((rc = client_read(a, &data, &n, e)) > 0 && !r.body.overflow)
        buf_append(&r.body, data, n);
    if (r.body.overflow) {
        err_set(e, "the answer is larger than %d bytes", CLIENT_REPLY_BYTES_MAX);
        rc = -CLIENT_TOO_LARGE;
    }
    if (rc < 0) {
        buf_fini(&r.body);
        return rc;
    }
    if (r.body.len > 0)
        r.json = json_loadb(r.body.data, r.body.len, 0, NULL);
    *ret = r;
    return 0;
}

int client_fetch(const struct client_options *opt, const struct client_request *rq,
                 struct client_reply *ret, struct err *e)
{
    struct client_answer *a;
    *ret = (struct client_reply){.status = 0};
    int rc = client_open(opt, rq, &a, e);
    if (rc == 0)
        rc = client_collect(a, ret, e);
    client_close(a);
    return rc;
}

void client_reply_fini(struct client_reply *r)
{
    buf_fini(&r->body);
    json_decref(r->json);
    *r = (struct client_reply){.status = 0};
}

void client_reply_explain(const struct client_reply *r, struct buf *out)
{
    const json_t *error = json_object_get(r->json, "error");
    const char *text = json_string_value(error);
    if (!text)
        text = json_string_value(json_object_get(error, "message"));
    size_t len = text ? strlen(text) : 0;
    if (!r->json && r->body.len <= PLAIN_MESSAGE_MAX) {
        text = r->body.data;
        len = r->body.len;
    }
    while (len > 0 && strchr(" \t\r\n", text[len - 1]))
        len--;
    if (len > 0)
        buf_append(out, text, len);
    else
        buf_printf(out, "it answered %u %s", r->status, http_reason(r->status));
}
