#include "server/proxy/cors.h"

#include "base/buf.h"
#include "config/config.h"
#include "server/proxy/entry.h"
#include "server/proxy/exchange.h"

void cors_put_fields(const struct exchange *ex, struct buf *out)
{
    const struct http_field *origin = http_head_find(ex->head, HTTP_FIELD_ORIGIN);
    if (!origin || origin->value.len > CONFIG_ORIGIN_BYTES_MAX || !ex->route ||
        entry_trust(ex) < (ex->route->kind == ROUTE_LOCAL ? SITE_ALL : SITE_MODELS))
        return;
    buf_printf(out,
               "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n"
               "Access-Control-Expose-Headers: Retry-After, X-Should-Retry, X-Wharf-Queued, "
               "X-Wharf-Position, "
               "X-Wharf-Estimate\r\n",
               (int)origin->value.len, ex->bytes + origin->value.off);
}
