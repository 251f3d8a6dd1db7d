#include <string.h>
#include <strings.h>

#include "api/handlers.h"
#include "base/pure/errors.h"
#include "http/url.h"

bool api_path_tail(struct exchange *ex, char *out, size_t size)
{
    struct http_span path = exchange_path(ex);
    size_t skip = strlen(ex->route->path) - 1; /* without the '*' */
    if (url_decode(ex->bytes + path.off + skip, path.len - skip, false, out, size))
        return true;
    exchange_fail(ex, &(struct problem){.error = ERR_ROUTE_UNKNOWN});
    return false;
}

void api_send_json(struct exchange *ex, int status, struct buf *json)
{
    exchange_reply(ex, status, "application/json", NULL, json->data, json->len);
    buf_fini(json);
}

/* Whether "SCHEME://HOST:PORT" is what the client calls this server; both leave out a port that is
 * the scheme's own (RFC 6454, section 6.2). */
static bool is_own_origin(const struct exchange *ex, struct http_span origin)
{
    const struct http_field *host = http_head_find(ex->head, HTTP_FIELD_HOST);
    const char *text = ex->bytes + origin.off;
    uint32_t n = host ? host->value.len : 0;
    return n && origin.len > n + 3 && memcmp(text + origin.len - n - 3, "://", 3) == 0 &&
           strncasecmp(text + origin.len - n, ex->bytes + host->value.off, n) == 0;
}

/* Sec-Fetch-Site is sent to https and to this machine alone (Fetch Metadata, section 2); elsewhere
 * Origin tells as much of all that can change something but GET. */
static bool is_cross_site(const struct exchange *ex)
{
    const struct http_field *f = http_head_find_text(ex->head, ex->bytes, "sec-fetch-site");
    if (f)
        return !http_span_equal_case(ex->bytes, f->value, "same-origin") &&
               !http_span_equal_case(ex->bytes, f->value, "none");
    f = http_head_find(ex->head, HTTP_FIELD_ORIGIN);
    return f && !is_own_origin(ex, f->value);
}

bool api_refuse_cross_site(struct exchange *ex)
{
    if (!is_cross_site(ex))
        return false;
    exchange_fail(ex, &(struct problem){.error = ERR_CONFLICT,
                                        .detail = "refused to a page of another site"});
    return true;
}

bool api_path_model(struct exchange *ex, uint32_t *ret_slot)
{
    char name[API_NAME_MAX];
    if (!api_path_tail(ex, name, sizeof(name)))
        return false;
    uint32_t slot = roster_find(&ex->server->roster, name);
    if (slot == CORE_SLOT_NONE)
        exchange_fail_unknown(ex, name);
    else
        *ret_slot = slot;
    return slot != CORE_SLOT_NONE;
}
