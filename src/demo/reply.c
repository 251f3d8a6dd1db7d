#include "reply.h"

json_t *reply_parse_body(const struct http_request *r)
{
    json_t *request = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, NULL);
    if (json_is_object(request))
        return request;
    json_decref(request);
    return NULL;
}

bool reply_refuse(struct http_conn *c)
{
    return http_send_json(c, 400,
                          "{\"error\":{\"message\":\"the body is not what it should be\"}}");
}

bool reply_json(struct http_conn *c, struct buf *body)
{
    bool ok = http_send_whole(c, 200, "application/json", body);
    buf_fini(body);
    return ok;
}

void reply_put_model(const struct engine *e, const json_t *request, struct buf *out)
{
    const char *model = json_string_value(json_object_get(request, "model"));
    buf_text(out, "\"model\":");
    buf_json_text(out, model ? model : e->flags->name);
}
