/* Where a model is to be moved: ?device=NAME, or {"device": NAME}. */
#include <jansson.h>

#include "api/json.h"
#include "api/query.h"
#include "config/config.h"
#include "mapping/mapping.h"

static void fail_unknown(struct server *s, struct exchange *ex, uint32_t slot, const char *device)
{
    const struct config *c = s->roster.current->config;
    uint32_t model = s->roster.entries[slot].index;
    const char *name, *sep = "; it may be moved to ";
    struct buf detail = {0};
    buf_text(&detail, "model ");
    buf_json_text(&detail, roster_id(&s->roster, slot));
    buf_text(&detail, " has no place called ");
    buf_json_text(&detail, device);
    for (uint32_t p = 0; (name = mapping_placement_name(c, model, p)); p++) {
        buf_text(&detail, sep);
        buf_json_text(&detail, name);
        sep = ", ";
    }
    api_fail_body(ex, detail.data);
    buf_fini(&detail);
}

/* By its name, which is not asked for: the first. */
static bool find(struct server *s, struct exchange *ex, uint32_t slot, const char *device,
                 uint32_t *ret)
{
    *ret = 0;
    if (!device)
        return true;
    *ret = mapping_placement_find(s->roster.current->config, s->roster.entries[slot].index, device);
    if (*ret == CORE_SLOT_NONE)
        fail_unknown(s, ex, slot, device);
    return *ret != CORE_SLOT_NONE;
}

bool api_read_placement(struct server *s, struct exchange *ex, uint32_t slot, uint32_t *ret)
{
    char device[API_NAME_MAX];
    if (api_query_value(ex, "device", device, sizeof(device)))
        return find(s, ex, slot, device, ret);
    if (body_size(&ex->body) == 0)
        return find(s, ex, slot, NULL, ret);
    static const char *const members[] = {"device"};
    json_t *body = api_read_json(ex);
    const char *name;
    bool ok = body && api_check_members(ex, body, "a move", members, countof(members)) &&
              api_read_text(ex, body, "device", false, &name) && find(s, ex, slot, name, ret);
    json_decref(body);
    return ok;
}
