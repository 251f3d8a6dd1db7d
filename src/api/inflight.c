/* /api/inflight: the requests that are being served or wait, and the end of one of them. */
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "base/pure/errors.h"
#include "server/record/inflight.h"
#include "server/record/recording.h"

void api_inflight(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    buf_text(&json, "{\"requests\":");
    inflight_put_all(s, &json);
    buf_char(&json, '}');
    api_send_json(ex, 200, &json);
}

static struct recording *find(struct server *s, const char *id, size_t n)
{
    struct link *pos;
    if (n == 0 || n > 18 || strspn(id, "0123456789") < n)
        return NULL;
    uint64_t number = strtoull(id, NULL, 10);
    list_each(pos, &s->in_flight) {
        struct recording *t = list_entry(pos, struct recording, link);
        if (t->id == number)
            return t;
    }
    return NULL;
}

void api_inflight_cancel(struct server *s, struct exchange *ex)
{
    char text[API_NAME_MAX];
    if (!api_path_tail(ex, text, sizeof(text)))
        return;
    const char *slash = strchr(text, '/');
    if (!slash || strcmp(slash, "/cancel") != 0) {
        exchange_fail_error(ex, ERR_ROUTE_UNKNOWN, NULL);
        return;
    }
    struct recording *t = find(s, text, (size_t)(slash - text));
    if (!t) {
        exchange_fail_error(ex, ERR_ROUTE_UNKNOWN, "inflight request not found");
        return;
    }
    exchange_fail_error(t->ex, ERR_CANCELLED, "the request was cancelled");
    exchange_reply(ex, 200, "application/json", NULL, "{\"msg\":\"ok\"}", 12);
}
