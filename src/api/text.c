#include <string.h>

#include "api/handlers.h"
#include "base/pure/errors.h"
#include "config/config.h"
#include "http/url.h"
#include "server/proxy/entry.h"

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

bool api_lists(const struct exchange *ex, const struct config_model *m)
{
    return !entry_is_scoped(ex) || config_key_fits_model(ex->ask.auth.key, m);
}

bool api_lists_name(const struct exchange *ex, const char *name)
{
    return !entry_is_scoped(ex) || config_key_fits(ex->ask.auth.key, name);
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
